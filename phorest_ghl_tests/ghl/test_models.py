"""What GHL answers, read leniently; what we send, exactly."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from phorest_ghl.ghl.fields import CUSTOM, IDENTITY, PHOREST_ID
from phorest_ghl.ghl.models import Contact, ContactWrite, CustomField, DndSetting, Location
from phorest_ghl.ghl.versions import ApiVersion, canonical_channel
from phorest_ghl_tests.sync.builders import held_settings

DATED, V3 = ApiVersion("2021"), ApiVersion("v3")


def test_an_answer_needs_nothing_but_an_id_and_what_it_leaves_out_is_unknown() -> None:
    contact = Contact.model_validate({"id": "X"})
    assert contact.dnd_settings is None
    assert (contact.tags, contact.custom_fields, contact.given_name, contact.email) == ([], {}, None, None)
    assert Contact.model_validate({"id": "X", "dndSettings": None}).dnd_settings is None
    assert Contact.model_validate({"id": "X", "dndSettings": {}}).dnd_settings == {}


@pytest.mark.parametrize(
    "keys", [("Call", "Email", "SMS", "WhatsApp", "GMB", "FB"), ("call", "email", "sms", "whatsApp", "gmb", "fb")]
)
def test_channels_have_one_name_whichever_generation_answered(keys: tuple[str, ...]) -> None:
    answer = {"id": "X", "dndSettings": {key: {"status": "active"} for key in keys}}
    assert set(Contact.model_validate(answer).dnd_settings or {}) == {"Call", "Email", "SMS", "WhatsApp", "GMB", "FB"}


@pytest.mark.parametrize("key", ["value", "field_value", "fieldValue"])
def test_a_custom_value_is_read_under_any_of_its_names(key: str) -> None:
    answer = {"id": "X", "customFields": [{"id": "F", key: "A1"}, {"id": "G"}, {"id": "H", key: 0}]}
    assert Contact.model_validate(answer).custom_fields == {"F": "A1", "G": None, "H": 0}


@pytest.mark.parametrize("absent", [None, [], {}])
def test_no_custom_values_are_none_however_they_are_left_out(absent: Any) -> None:
    assert Contact.model_validate({"id": "X", "customFields": absent}).custom_fields == {}


def test_a_search_answer_may_hold_lower_case_copies_of_names_only() -> None:
    found = Contact.model_validate({"id": "X", "firstNameLowerCase": "aoife", "lastNameLowerCase": "byrne"})
    assert (found.given_name, found.family_name) == ("aoife", "byrne")
    read = Contact.model_validate({"id": "X", "firstName": "Aoife", "firstNameLowerCase": "aoife"})
    assert read.given_name == "Aoife"


def test_unknown_members_and_tags_in_any_case_do_no_harm() -> None:
    contact = Contact.model_validate({"id": "X", "tags": [" VIP ", "Phorest:Backfill"], "somethingNew": {"a": 1}})
    assert contact.tags == ["vip", "phorest:backfill"]


def test_dates_are_instants() -> None:
    contact = Contact.model_validate({"id": "X", "dateAdded": "2026-01-02T03:04:05.678Z"})
    assert contact.date_added == datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


@given(held_settings)
def test_consent_read_is_consent_sent_in_both_generations(held: dict[str, DndSetting]) -> None:
    for version in (DATED, V3):
        body = ContactWrite(dnd_settings=held).body(version)
        if not held:
            assert body == {"dndSettings": {}}
        assert Contact.model_validate({"id": "X", **body}).dnd_settings == held


def test_a_channels_setting_is_sent_without_members_that_a_write_does_not_know() -> None:
    """Unknown properties are refused with the whole write (facts/ghl-api §3), and with it a tightening."""
    read = DndSetting.model_validate({"status": "permanent", "code": "101", "message": None, "updatedAt": "2026-01-01"})
    assert read.wire() == {"status": "permanent", "code": "101"}


def test_a_create_holds_everything_under_the_names_of_its_generation() -> None:
    write = ContactWrite(
        identity={"first_name": "Aoife", "last_name": "Byrne", "email": "a@example.com", "phone": "+353871234567"},
        source="phorest",
        dnd_settings={"SMS": DndSetting(status="active", code="phorest_ghl"), "RCS": DndSetting(status="inactive")},
        custom_fields={"F": "A1"},
        tags=("phorest:backfill",),
    )
    common = {
        "locationId": "L", "firstName": "Aoife", "lastName": "Byrne", "email": "a@example.com", "phone": "+353871234567",
        "source": "phorest", "tags": ["phorest:backfill"],
    }  # fmt: skip
    assert write.body(DATED, location_id="L") == {
        **common,
        "dndSettings": {"SMS": {"status": "active", "code": "phorest_ghl"}, "RCS": {"status": "inactive"}},
        "customFields": [{"id": "F", "field_value": "A1"}],
    }
    assert write.body(V3, location_id="L") == {
        **common,
        "dndSettings": {"sms": {"status": "active", "code": "phorest_ghl"}, "rcs": {"status": "inactive"}},
        "customFields": [{"id": "F", "fieldValue": "A1"}],
    }


def test_an_update_holds_only_what_is_to_change() -> None:
    body = ContactWrite(identity={"last_name": "Quinn"}).body(DATED)
    assert body == {"lastName": "Quinn"}  # no locationId, no tags: the one is refused, the others would be overwritten


@pytest.mark.parametrize("module", ["contacts", "locations", "calendars", "users", "oauth"])
def test_every_module_has_its_version_header(module: Any) -> None:
    assert DATED.header(module) == {"Version": "2021-04-15" if module == "calendars" else "2021-07-28"}
    assert V3.header(module) == {"Version": "v3"}


def test_a_channel_that_nobody_knows_keeps_its_name() -> None:
    assert canonical_channel("carrierPigeon") == "carrierPigeon"


@pytest.mark.parametrize(
    ("settings", "allows", "identifiers"),
    [
        ({"allowDuplicateContact": False, "contactUniqueIdentifiers": ["email", "phone"]}, False, ("email", "phone")),
        ({"allowDuplicateContact": True}, True, None),
        ({"contactUniqueIdentifiers": None}, None, None),
        ({}, None, None),
        (None, None, None),
    ],
)
def test_what_a_location_does_not_say_of_duplicates_is_unknown(
    settings: Any, allows: bool | None, identifiers: tuple[str, ...] | None  # noqa: FBT001
) -> None:  # fmt: skip
    location = Location.from_answer({"id": "L", "timezone": "Europe/Dublin", "settings": settings})
    assert (location.allows_duplicates, location.unique_identifiers) == (allows, identifiers)


def test_s18_all_our_custom_fields_are_named_phorest_and_keyed_as_ghl_does_it() -> None:
    assert all(field.label.startswith("Phorest ") for field in CUSTOM)
    assert PHOREST_ID.key == "contact.phorest_id"
    made = {"id": "F", "name": "Phorest id", "fieldKey": "contact.phorest_id", "dataType": "TEXT", "position": 0}
    assert CustomField.model_validate(made).field_key == PHOREST_ID.key
    assert len({field.name for field in (*IDENTITY, *CUSTOM)}) == len(IDENTITY) + len(CUSTOM)
