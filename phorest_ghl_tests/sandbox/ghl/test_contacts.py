"""Contacts: create, update, upsert, read shapes, duplicates, DND, custom fields (facts/ghl-api §5, §6, §9, §10)."""

from datetime import timedelta
from typing import Any

import pytest

from phorest_ghl_tests.sandbox.driver import V3, Driver


def _put(drive: Driver, key: str, **body: object) -> Any:
    return drive.ghl("PUT", f"/contacts/{key}", body)


def _get(drive: Driver, key: str, version: str = "2021-07-28") -> dict[str, Any]:
    return drive.ghl("GET", f"/contacts/{key}", version=version).json["contact"]


def _upsert(drive: Driver, **body: object) -> Any:
    return drive.ghl("POST", "/contacts/upsert", {"locationId": drive.location, **body})


def test_a_create_answers_201_with_the_create_shape_and_a_get_with_another(drive: Driver) -> None:
    made = drive.contact(
        firstName="Aoife", lastName="Byrne", email="A@Example.com", phone="087 555 1234", dateOfBirth="04/02/1990"
    )
    assert len(made["id"]) == 20
    assert (made["email"], made["phone"]) == ("a@example.com", "+353875551234")
    assert (made["dateOfBirth"], made["birthMonth"], made["birthDay"]) == ("1990-04-02T00:00:00.000Z", 4, 2)
    assert "name" not in made
    got = _get(drive, made["id"])
    assert (got["name"], got["dateOfBirth"], got["firstNameLowerCase"]) == ("Aoife Byrne", "1990-04-02", "aoife")
    assert "birthMonth" not in got
    v3 = drive.ghl(
        "POST", "/contacts/", {"locationId": drive.location, "firstName": "Z", "dateOfBirth": "1990-04-02"}, version=V3
    )
    assert v3.json["contact"]["dateOfBirth"] == "1990-04-02", "under v3 a create reads like a get"


@pytest.mark.parametrize(
    "written",
    ["1990/04/02", "04/02/1990", "1990-04-02", "04-02-1990", "1990.04.02", "04.02.1990", "1990_04_02", "04_02_1990"],
)
def test_all_eight_spellings_of_a_birth_date_are_taken(drive: Driver, written: str) -> None:
    assert _get(drive, drive.contact(dateOfBirth=written)["id"])["dateOfBirth"] == "1990-04-02"


@pytest.mark.parametrize("wrong", ["2 April 1990", "1990-13-40", 5])
def test_another_birth_date_is_422(drive: Driver, wrong: object) -> None:
    assert drive.ghl("POST", "/contacts/", {"locationId": drive.location, "dateOfBirth": wrong}).status == 422


def test_an_impossible_phone_is_refused_and_the_text_names_phone(drive: Driver) -> None:
    body = {"locationId": drive.location, "phone": "12"}
    assert drive.ghl("POST", "/contacts/", body).status == 422
    drive.switch(ghl_invalid_phone_status=400)
    answer = drive.ghl("POST", "/contacts/", body)
    assert answer.status == 400
    assert "phone" in answer.json["message"]


def test_one_name_is_split_into_two_and_a_country_is_two_letters(drive: Driver) -> None:
    made = drive.contact(name="Aoife Ní Byrne")
    assert (made["firstName"], made["lastName"]) == ("Aoife", "Ní Byrne")
    assert drive.ghl("POST", "/contacts/", {"locationId": drive.location, "country": "Ireland"}).status == 422


def test_an_empty_or_null_email_is_refused_as_the_switch_says(drive: Driver) -> None:
    key = drive.contact(email="a@example.com")["id"]
    assert _put(drive, key, email="").status == 422
    drive.switch(ghl_null_email_422=True)
    assert _put(drive, key, email=None).status == 422
    drive.switch(ghl_null_email_422=False)
    assert "email" not in _put(drive, key, email=None).json["contact"]


def test_a_put_is_partial_and_null_clears(drive: Driver) -> None:
    key = drive.contact(firstName="A", lastName="B", city="Cork", email="a@example.com")["id"]
    answer = _put(drive, key, city=None, lastName="C")
    assert answer.status == 200
    assert answer.json["succeded"] is True
    assert "succeeded" not in answer.json
    got = _get(drive, key)
    assert (got["firstName"], got["lastName"], got["email"]) == ("A", "C", "a@example.com")
    assert "city" not in got


def test_what_the_spec_says_cannot_be_null_is_cleared_by_an_empty_text(drive: Driver) -> None:
    key = drive.contact(postalCode="D1", country="IE", source="form")["id"]
    assert _put(drive, key, postalCode=None).json["message"] == ["postalCode must be a string"]
    got = _put(drive, key, postalCode="", country="", source=None).json["contact"]
    assert not {"postalCode", "country", "source"} & set(got)
    assert drive.ghl("POST", "/contacts/", {"locationId": drive.location, "source": None}).status == 422


def test_v3_gives_both_spellings_of_success(drive: Driver) -> None:
    key = drive.contact(firstName="A")["id"]
    answer = drive.ghl("DELETE", f"/contacts/{key}", version=V3).json
    assert (answer["succeded"], answer["succeeded"]) == (True, True)


def test_tags_in_a_put_overwrite_all_tags_and_come_back_lower_case(drive: Driver) -> None:
    key = drive.contact(tags=["VIP", " Gold "])["id"]
    assert _get(drive, key)["tags"] == ["vip", "gold"]
    _put(drive, key, tags=["Only This"])
    assert _get(drive, key)["tags"] == ["only this"]


def test_a_missing_contact_is_400_or_404_by_switch(drive: Driver) -> None:
    answer = drive.ghl("GET", "/contacts/search")
    assert (answer.status, answer.json["message"]) == (400, "Contact with id search not found")
    drive.switch(ghl_missing_contact_status=404)
    assert drive.ghl("GET", "/contacts/none").status == 404


# --- duplicates -----------------------------------------------------------------------------------------------------


def test_a_duplicate_create_is_400_and_names_the_contact_and_the_field(drive: Driver) -> None:
    first = drive.contact(firstName="A", lastName="B", email="a@example.com", phone="+353875551234")
    for body, field in (({"email": "A@EXAMPLE.com"}, "email"), ({"phone": "087 555 1234"}, "phone")):
        answer = drive.ghl("POST", "/contacts/", {"locationId": drive.location, **body})
        assert answer.status == 400
        assert answer.json["message"] == "This location does not allow duplicated contacts."
        assert answer.json["meta"] == {"contactId": first["id"], "contactName": "A B", "matchingField": field}


def test_the_identifiers_and_their_order_are_the_locations(drive: Driver) -> None:
    by_email = drive.contact(email="a@example.com")["id"]
    by_phone = drive.contact(phone="+353875551234")["id"]
    both = {"locationId": drive.location, "email": "a@example.com", "phone": "+353875551234"}
    assert drive.ghl("POST", "/contacts/", both).json["meta"]["contactId"] == by_email
    drive.switch(ghl_unique_identifiers=["phone", "email"])
    assert drive.ghl("POST", "/contacts/", both).json["meta"]["contactId"] == by_phone
    drive.switch(ghl_unique_identifiers=["email"])
    assert drive.ghl("POST", "/contacts/", {"locationId": drive.location, "phone": "+353875551234"}).status == 201
    shown = drive.ghl("GET", f"/locations/{drive.location}").json["location"]["settings"]
    assert (shown["contactUniqueIdentifiers"], shown["allowDuplicateContact"]) == (["email"], False)


def test_a_location_that_allows_duplicates_makes_them(drive: Driver) -> None:
    drive.switch(ghl_allow_duplicate_contact=True)
    assert drive.contact(email="a@example.com")["id"] != drive.contact(email="a@example.com")["id"]


def test_a_put_that_takes_an_address_of_somebody_else_is_the_same_400(drive: Driver) -> None:
    drive.contact(email="a@example.com")
    other = drive.contact(email="b@example.com")["id"]
    answer = _put(drive, other, email="a@example.com")
    assert (answer.status, answer.json["meta"]["matchingField"]) == (400, "email")
    assert _put(drive, other, email="b@example.com").status == 200, "its own address is no clash"


def test_an_upsert_creates_then_updates(drive: Driver) -> None:
    first = _upsert(drive, email="a@example.com", firstName="A")
    second = _upsert(drive, email="A@example.com", lastName="B")
    assert (first.status, first.json["new"], second.json["new"]) == (200, True, False)
    assert second.json["contact"]["id"] == first.json["contact"]["id"]
    assert second.json["contact"]["firstName"] == "A"


def test_upsert_37_the_second_address_that_belongs_to_another_contact_is_dropped_in_silence(drive: Driver) -> None:
    drive.contact(phone="+353875551234")
    by_email = drive.contact(email="b@example.com")["id"]
    answer = _upsert(drive, email="b@example.com", phone="+353875551234")
    assert (answer.status, answer.json["new"], answer.json["contact"]["id"]) == (200, False, by_email)
    assert "phone" not in answer.json["contact"]


def test_upsert_337_a_secondary_address_becomes_the_primary_one_and_the_old_one_is_lost(drive: Driver) -> None:
    key = drive.contact(email="old@example.com")["id"]
    drive.control("PATCH", f"/ghl/contacts/{key}", {"additionalEmails": ["second@example.com"]})
    answer = _upsert(drive, email="second@example.com")
    assert answer.json["contact"]["id"] == key
    got = _get(drive, key)
    assert (got["email"], got["additionalEmails"]) == ("second@example.com", [])
    assert "old@example.com" not in str(got)


def test_upsert_313_gender_is_accepted_and_thrown_away_on_an_existing_contact(drive: Driver) -> None:
    _upsert(drive, email="a@example.com")
    assert _upsert(drive, email="a@example.com", gender="female").status == 200
    assert "gender" not in drive.control("GET", "/ghl/contacts").json[0]


def test_an_upsert_without_email_and_phone_is_400_but_a_create_is_not(drive: Driver) -> None:
    assert _upsert(drive, firstName="A").status == 400
    assert drive.contact(firstName="A")["id"]


def test_create_new_if_duplicate_allowed_counts_only_where_duplicates_are_allowed(drive: Driver) -> None:
    _upsert(drive, email="a@example.com")
    assert _upsert(drive, email="a@example.com", createNewIfDuplicateAllowed=True).json["new"] is False
    drive.switch(ghl_allow_duplicate_contact=True)
    assert _upsert(drive, email="a@example.com").json["new"] is False
    assert _upsert(drive, email="a@example.com", createNewIfDuplicateAllowed=True).json["new"] is True


def test_the_duplicate_look_up_answers_a_contact_or_null(drive: Driver) -> None:
    made = drive.contact(email="a@example.com", phone="+353875551234")
    for query in ({"email": "a@example.com"}, {"number": "+353875551234"}):
        found = drive.ghl("GET", "/contacts/search/duplicate", query={"locationId": drive.location, **query})
        assert found.json["contact"]["id"] == made["id"]
    none = drive.ghl(
        "GET", "/contacts/search/duplicate", query={"locationId": drive.location, "email": "b@example.com"}
    )
    assert (none.status, none.json["contact"]) == (200, None)


# --- DND ------------------------------------------------------------------------------------------------------------

BLOCK, OPEN = {"status": "active", "message": "m", "code": "c"}, {"status": "inactive"}


def test_dnd_settings_are_replaced_as_a_whole(drive: Driver) -> None:
    key = drive.contact(dndSettings={"SMS": BLOCK, "Email": BLOCK})["id"]
    _put(drive, key, dndSettings={"SMS": OPEN})
    assert _get(drive, key)["dndSettings"] == {"SMS": OPEN}, "the email block is gone: read, merge, write"


def test_a_permanent_channel_may_be_echoed_but_neither_changed_nor_dropped(drive: Driver) -> None:
    key = drive.contact(email="a@example.com")["id"]
    permanent = {"status": "permanent", "message": "STOP", "code": "30"}
    drive.control("PATCH", f"/ghl/contacts/{key}", {"dndSettings": {"SMS": permanent}})
    assert _put(drive, key, dndSettings={"SMS": permanent, "Email": BLOCK}).status == 200
    for changed in ({"SMS": OPEN}, {"Email": BLOCK}):
        answer = _put(drive, key, dndSettings=changed, firstName="must not be written")
        assert answer.status == 400
        assert answer.json["statusCode"] == 401
        assert answer.json["message"] == "Not authorized to update permanent dnd setting for SMS"
    assert _get(drive, key)["firstName"] == ""
    drive.switch(ghl_permanent_omitted="kept")
    assert _put(drive, key, dndSettings={"Email": OPEN}).json["contact"]["dndSettings"] == {
        "Email": OPEN,
        "SMS": permanent,
    }


def test_channels_are_named_by_the_requests_version(drive: Driver) -> None:
    key = drive.contact(dndSettings={"SMS": BLOCK, "WhatsApp": BLOCK, "RCS": OPEN})["id"]
    assert set(_get(drive, key, V3)["dndSettings"]) == {"sms", "whatsApp", "rcs"}
    assert set(_get(drive, key)["dndSettings"]) == {"SMS", "WhatsApp", "RCS"}
    assert _put(drive, key, dndSettings={"sms": BLOCK}).json["message"] == ["property dndSettings.sms should not exist"]
    answer = drive.ghl("PUT", f"/contacts/{key}", {"dndSettings": {"email": BLOCK}}, version=V3)
    assert answer.json["contact"]["dndSettings"] == {"email": BLOCK}


def test_a_channel_needs_a_known_status(drive: Driver) -> None:
    for wrong in ({}, {"status": "on"}, {"status": "active", "reason": "x"}, "active"):
        assert (
            drive.ghl("POST", "/contacts/", {"locationId": drive.location, "dndSettings": {"SMS": wrong}}).status == 422
        )


def test_answers_to_writes_can_lack_dnd_settings_by_switch(drive: Driver) -> None:
    drive.switch(ghl_dnd_in_write_answers=False)
    made = drive.contact(dndSettings={"SMS": BLOCK})
    assert "dndSettings" not in made
    assert _get(drive, made["id"])["dndSettings"] == {"SMS": BLOCK}


# --- custom fields --------------------------------------------------------------------------------------------------


def _field(drive: Driver, name: str, kind: str, **more: object) -> dict[str, Any]:
    answer = drive.ghl("POST", f"/locations/{drive.location}/customFields", {"name": name, "dataType": kind, **more})
    assert answer.status == 201, answer.json
    return answer.json["customField"]


def test_a_field_gets_a_key_from_its_name_and_cannot_be_made_twice(drive: Driver) -> None:
    field = _field(drive, "Phorest Client ID", "TEXT")
    assert field["fieldKey"] == "contact.phorest_client_id"
    again = drive.ghl(
        "POST", f"/locations/{drive.location}/customFields", {"name": "Phorest client id", "dataType": "TEXT"}
    )
    assert again.status == 400
    assert "already exists" in again.json["message"]
    listed = drive.ghl("GET", f"/locations/{drive.location}/customFields", query={"model": "contact"}).json[
        "customFields"
    ]
    assert listed == [field]
    renamed = drive.ghl("PUT", f"/locations/{drive.location}/customFields/{field['id']}", {"name": "Other"}).json[
        "customField"
    ]
    assert (renamed["name"], renamed["fieldKey"]) == ("Other", field["fieldKey"])


@pytest.mark.parametrize("word", ["field_value", "value", "fieldValue"])
def test_a_value_is_written_by_id_or_key_under_any_of_three_names_and_read_by_id_alone(
    drive: Driver, word: str
) -> None:
    field = _field(drive, "Phorest ID", "TEXT")
    for name in ({"id": field["id"]}, {"key": "phorest_id"}, {"key": "contact.phorest_id"}):
        made = drive.contact(customFields=[{**name, word: "ph1"}])
        assert made["customFields"] == [{"id": field["id"], "value": "ph1"}]


def test_only_listed_fields_change_and_an_empty_value_clears(drive: Driver) -> None:
    one, two = _field(drive, "One", "TEXT"), _field(drive, "Two", "TEXT")
    key = drive.contact(customFields=[{"id": one["id"], "value": "1"}, {"id": two["id"], "value": "2"}])["id"]
    _put(drive, key, customFields=[{"id": one["id"], "field_value": "x"}])
    _put(drive, key, customFields=[{"id": two["id"], "field_value": ""}])
    assert _get(drive, key)["customFields"] == [{"id": one["id"], "value": "x"}]


def test_unknown_fields_are_ignored_or_422_by_switch(drive: Driver) -> None:
    assert drive.contact(customFields=[{"id": "nope", "value": "1"}])["customFields"] == []
    drive.switch(ghl_unknown_custom_field="reject422")
    assert (
        drive.ghl(
            "POST", "/contacts/", {"locationId": drive.location, "customFields": [{"id": "nope", "value": "1"}]}
        ).status
        == 422
    )


@pytest.mark.parametrize(
    ("kind", "sent", "read"),
    [
        ("TEXT", "a", "a"), ("NUMERICAL", 12.5, 12.5), ("NUMERICAL", "12", 12), ("DATE", "2026-01-31", "2026-01-31"),
        ("RADIO", "Yes", "Yes"), ("CHECKBOX", ["a"], ["a"]), ("SINGLE_OPTIONS", "Maybe", None),
        ("TEXTBOX_LIST", {"o": "t"}, {"o": "t"}),
    ],
)  # fmt: skip
def test_each_type_takes_its_values_and_an_unlisted_option_is_dropped_in_silence(
    drive: Driver, kind: str, sent: Any, read: Any
) -> None:
    field = _field(drive, "F", kind, options=["Yes", "No"])
    made = drive.contact(customFields=[{"id": field["id"], "field_value": sent}])
    assert made["customFields"] == ([] if read is None else [{"id": field["id"], "value": read}])


@pytest.mark.parametrize(
    ("kind", "wrong"), [("NUMERICAL", "many"), ("CHECKBOX", "a"), ("DATE", "soon"), ("TEXT", ["a"])]
)
def test_a_value_of_the_wrong_type_is_422(drive: Driver, kind: str, wrong: Any) -> None:
    field = _field(drive, "F", kind)
    body = {"locationId": drive.location, "customFields": [{"id": field["id"], "field_value": wrong}]}
    assert drive.ghl("POST", "/contacts/", body).status == 422


def test_dates_read_back_in_the_form_the_switch_says(drive: Driver) -> None:
    field = _field(drive, "Last visit", "DATE")
    key = drive.contact(customFields=[{"id": field["id"], "field_value": "2026-01-31"}])["id"]
    for form, value in (
        ("date", "2026-01-31"),
        ("datetime", "2026-01-31T00:00:00.000Z"),
        ("epoch_ms", 1_769_817_600_000),
    ):
        drive.switch(ghl_date_field_format=form)
        assert _get(drive, key)["customFields"][0]["value"] == value


# --- list -----------------------------------------------------------------------------------------------------------


def test_the_deprecated_list_pages_by_start_after_and_lower_cases_names(drive: Driver) -> None:
    keys: set[str] = set()
    for turn in range(7):
        keys.add(drive.contact(firstName=f"Name{turn}")["id"])
        drive.world.clock.advance(timedelta(milliseconds=5))
    seen: list[str] = []
    query: dict[str, object] = {"locationId": drive.location, "limit": 3}
    while True:
        page = drive.ghl("GET", "/contacts/", query=query).json
        seen += [row["id"] for row in page["contacts"]]
        assert page["count"] == 7
        assert page["contacts"][0]["firstName"].islower()
        if page["meta"]["startAfterId"] is None:
            break
        query |= {"startAfterId": page["meta"]["startAfterId"], "startAfter": page["meta"]["startAfter"]}
    assert len(seen) == 7
    assert set(seen) == keys


@pytest.mark.parametrize("query", [{"limit": "2.5"}, {"limit": "0"}, {"startAfter": "9" * 400, "startAfterId": "x"}])
def test_a_page_of_the_old_list_that_is_no_whole_number_is_a_complaint(drive: Driver, query: dict[str, str]) -> None:
    drive.contact(email="a@example.com")
    assert drive.ghl("GET", "/contacts/", query={"locationId": drive.location, **query}).status == 422
