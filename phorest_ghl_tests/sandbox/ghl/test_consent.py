"""Consent in GHL: who changed which channel, opt-outs beside a request, filters that find them, writes that vanish."""

from typing import Any

import pytest

from phorest_ghl_tests.sandbox.driver import Driver

STOPPED = {"field": "dndSettings.SMS.status", "operator": "eq", "value": "permanent"}


def _truth(drive: Driver, key: str) -> dict[str, Any]:
    return next(row for row in drive.control("GET", "/ghl/contacts").json if row["id"] == key)


def _who(drive: Driver, key: str) -> dict[str, tuple[str, str]]:
    return {channel: (last["status"], last["by"]) for channel, last in _truth(drive, key)["dndChanged"].items()}


def test_the_truth_says_who_last_changed_each_channel_and_when(drive: Driver) -> None:
    key = drive.contact(dndSettings={"SMS": {"status": "active"}, "Email": {"status": "inactive"}})["id"]
    assert _who(drive, key) == {
        "SMS": ("active", "private_integration"), "Email": ("inactive", "private_integration"),
    }  # fmt: skip
    drive.control("POST", "/clock", {"advance_s": 60})
    answer = drive.control("POST", f"/ghl/contacts/{key}/dnd", {"channels": {"Email": "permanent"}, "message": "STOP"})
    assert answer.json["dndSettings"]["Email"] == {"status": "permanent", "message": "STOP"}
    assert answer.json["dndSettings"]["SMS"] == {"status": "active"}, "other channels are left alone"
    changed = _truth(drive, key)["dndChanged"]
    assert _who(drive, key) == {"SMS": ("active", "private_integration"), "Email": ("permanent", "person")}
    assert changed["Email"]["at"] > changed["SMS"]["at"]
    drive.control("PATCH", f"/ghl/contacts/{key}", {"dnd": True, "dndSettings": {}})
    assert _who(drive, key) == {"SMS": ("absent", "person"), "Email": ("absent", "person"), "all": ("active", "person")}


def test_no_answer_of_ghl_says_who_changed_what(drive: Driver) -> None:
    key = drive.contact(dnd=True)["id"]
    shown = [drive.ghl("GET", f"/contacts/{key}").json["contact"], drive.search()[0]]
    assert [set(row) & {"dndChanged", "createdBy", "agency"} for row in shown] == [set(), set()]


def test_the_truth_says_who_made_a_contact(drive: Driver) -> None:
    ours, theirs = drive.contact()["id"], drive.control("POST", "/ghl/contacts", {"firstName": "A"}).json["id"]
    assert [_truth(drive, key)["createdBy"] for key in (ours, theirs)] == ["private_integration", "person"]


def test_a_tag_or_a_name_changes_no_channel(drive: Driver) -> None:
    key = drive.contact(dndSettings={"SMS": {"status": "active"}})["id"]
    before = _truth(drive, key)["dndChanged"]
    drive.control("POST", "/clock", {"advance_s": 60})
    drive.ghl("POST", f"/contacts/{key}/tags", {"tags": ["a"]})
    drive.control("PATCH", f"/ghl/contacts/{key}", {"firstName": "B"})
    assert _truth(drive, key)["dndChanged"] == before


def test_the_opt_out_poll_finds_a_stop_once_the_lag_is_over(drive: Driver) -> None:
    drive.switch(ghl_search_lag_s=3.0)
    key = drive.contact(phone="+353875551234")["id"]
    drive.control("POST", "/clock", {"advance_s": 4})
    drive.control("POST", f"/ghl/contacts/{key}/dnd", {"channels": {"SMS": "permanent"}})
    assert drive.search(filters=[STOPPED]) == []
    drive.control("POST", "/clock", {"advance_s": 4})
    assert [row["id"] for row in drive.search(filters=[STOPPED])] == [key]


def test_a_location_without_those_filters_refuses_them(drive: Driver) -> None:
    drive.switch(ghl_dnd_filters=False)
    body = {"locationId": drive.location, "pageLimit": 5, "filters": [STOPPED]}
    assert drive.ghl("POST", "/contacts/search", body).status == 400


@pytest.mark.parametrize("after", [False, True])
def test_somebody_opts_out_just_before_or_just_after_a_write(drive: Driver, *, after: bool) -> None:
    key = drive.contact(phone="+353875551234")["id"]
    fault = drive.app.faults.add({"route": "PUT /contacts/{contactId}", "kind": "opt_out", "after_commit": after})
    reply = drive.strike("PUT", f"/contacts/{key}", {"dndSettings": {"SMS": {"status": "inactive"}}})
    assert (reply.status, fault.hits) == (200, 1)
    assert reply.json["contact"]["dndSettings"]["SMS"]["status"] == "inactive", "the answer knows nothing of it"
    now = drive.ghl("GET", f"/contacts/{key}").json["contact"]["dndSettings"]["SMS"]["status"]
    assert now == ("active" if after else "inactive"), "a block set before a PUT is lost in it"


def test_a_new_contact_can_opt_out_at_once(drive: Driver) -> None:
    drive.app.faults.add({"route": "POST /contacts/", "kind": "opt_out", "after_commit": True, "status": "permanent"})
    key = drive.strike("POST", "/contacts/", {"locationId": drive.location}).json["contact"]["id"]
    assert _who(drive, key) == {"SMS": ("permanent", "person")}


def test_an_opt_out_meets_only_requests_for_one_contact(drive: Driver) -> None:
    assert drive.control("POST", "/faults", {"kind": "opt_out", "route": "POST /contacts/search"}).status == 400
    early = drive.control("POST", "/faults", {"kind": "opt_out", "route": "POST /contacts/"})
    assert early.status == 400, "before a create there is nobody to opt out"
    assert drive.control("POST", "/faults", {"kind": "opt_out"}).status == 201


def test_dnd_of_a_body_can_vanish_while_the_answer_says_200(drive: Driver) -> None:
    drive.app.faults.add({"route": "POST /contacts/", "kind": "dnd_ignored"})
    made = drive.strike("POST", "/contacts/", {"locationId": drive.location, "dnd": True, "firstName": "A"})
    assert (made.status, made.json["contact"]["dnd"], made.json["contact"]["firstName"]) == (201, False, "A")


def test_custom_values_of_a_body_can_vanish_while_the_answer_says_200(drive: Driver) -> None:
    field = drive.control("POST", "/ghl/fields", {"name": "Drink", "dataType": "TEXT"}).json["id"]
    drive.app.faults.add({"route": "PUT /contacts/{contactId}", "kind": "fields_ignored"})
    key = drive.contact()["id"]
    body = {"city": "Cork", "customFields": [{"id": field, "field_value": "tea"}]}
    first, second = (drive.strike("PUT", f"/contacts/{key}", body).json["contact"] for _ in range(2))
    assert (first["city"], first["customFields"], len(second["customFields"])) == ("Cork", [], 1)


def test_a_search_can_ignore_its_filters(drive: Driver) -> None:
    drive.contact()
    drive.app.faults.add({"route": "POST /contacts/search", "kind": "filter_ignored"})
    body = {"locationId": drive.location, "pageLimit": 5, "filters": [STOPPED]}
    assert [drive.strike("POST", "/contacts/search", body).json["total"] for _ in range(2)] == [1, 0]


def test_an_update_can_drop_the_address_of_somebody_else_in_silence(drive: Driver) -> None:
    drive.contact(phone="+353875551234")
    key = drive.contact(email="a@example.com")["id"]
    both = {"email": "b@example.com", "phone": "+353875551234"}
    refused = drive.ghl("PUT", f"/contacts/{key}", both)
    assert (refused.status, refused.json["meta"]["matchingField"]) == (400, "phone")
    drive.switch(ghl_put_clash="dropped")
    answer = drive.ghl("PUT", f"/contacts/{key}", both)
    assert (answer.status, answer.json["contact"]["email"]) == (200, "b@example.com")
    assert "phone" not in answer.json["contact"]


def test_a_contact_merged_by_a_person_answers_as_a_deleted_one_and_the_winner_says_so(drive: Driver) -> None:
    loser, winner = drive.contact(firstName="A")["id"], drive.contact(firstName="A")["id"]
    drive.control("POST", f"/ghl/contacts/{loser}/merge", {"into": winner})
    assert drive.ghl("GET", f"/contacts/{loser}").status == 400
    body = {"contacts": [loser, winner], "tags": ["x"], "locationId": drive.location}
    bulk = drive.ghl("POST", "/contacts/bulk/tags/update/add", body).json
    assert [row["message"] for row in bulk["responses"]] == ["contact is deleted", "Tags updated"]
    assert _truth(drive, winner)["mergedFrom"] == [loser]


def test_the_location_may_not_say_how_it_treats_duplicates(drive: Driver) -> None:
    drive.switch(ghl_allow_duplicate_shown=False, ghl_identifiers_shown=False)
    settings = drive.ghl("GET", f"/locations/{drive.location}").json["location"]["settings"]
    assert not {"allowDuplicateContact", "contactUniqueIdentifiers"} & set(settings)


def test_a_field_that_a_person_made_stands_in_the_way_of_one_of_another_type(drive: Driver) -> None:
    assert drive.control("POST", "/ghl/fields", {"name": "Phorest Id", "dataType": "NUMERICAL"}).status == 201
    path = f"/locations/{drive.location}/customFields"
    answer = drive.ghl("POST", path, {"name": "Phorest ID", "dataType": "TEXT"})
    assert (answer.status, "already exists" in answer.json["message"]) == (400, True)
    listed = drive.ghl("GET", path).json["customFields"][0]
    assert (listed["fieldKey"], "createdBy" in listed) == ("contact.phorest_id", False)
    assert drive.control("GET", "/ghl/fields").json[0]["createdBy"] == "person"
    assert drive.control("POST", "/ghl/fields", {"name": "Phorest Id", "dataType": "TEXT"}).status == 400


def test_workflows_are_listed_and_a_paused_one_is_a_draft(drive: Driver) -> None:
    query = {"locationId": drive.location}
    listed = drive.ghl("GET", "/workflows/", query=query).json["workflows"]
    assert {row["status"] for row in listed} == {"published"}
    drive.control("POST", "/workflows", {"unfiltered": "paused"})
    after = drive.ghl("GET", "/workflows/", query=query).json["workflows"]
    assert {row["name"] for row in after if row["status"] == "draft"} == {
        row["name"] for row in listed if row["name"].endswith("unfiltered")
    }
    token = drive.control("POST", "/tokens", {"scopes": ["contacts.readonly"]}).json["token"]
    assert drive.ghl("GET", "/workflows/", query=query, token=token).status == 401


def test_the_texts_beside_a_status_may_get_lost(drive: Driver) -> None:
    block = {"SMS": {"status": "active", "message": "ours", "code": "x"}}
    assert drive.contact(dndSettings=block)["dndSettings"] == block
    drive.switch(ghl_dnd_texts_kept=False)
    assert drive.contact(dndSettings=block)["dndSettings"] == {"SMS": {"status": "active"}}


def test_a_bulk_call_can_do_half_of_its_work(drive: Driver) -> None:
    drive.app.faults.add({"route": "POST /contacts/bulk/tags/update/{type}", "kind": "bulk_partial"})
    keys = [drive.contact()["id"] for _ in range(4)]
    body = {"contacts": keys, "tags": ["x"], "locationId": drive.location}
    answer = drive.strike("POST", "/contacts/bulk/tags/update/add", body)
    assert (answer.status, answer.json["errorCount"], answer.json["succeded"]) == (201, 2, False)
    assert [row["type"] for row in answer.json["responses"]] == ["error", "success"] * 2
    assert [drive.ghl("GET", f"/contacts/{key}").json["contact"]["tags"] for key in keys] == [[], ["x"]] * 2
