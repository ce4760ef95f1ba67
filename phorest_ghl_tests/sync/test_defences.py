"""Whole runs over what once went wrong, against the sandbox: each of these opened, lost, woke or repeated something.

Belongs here: a defence that takes several parts of a run to hold. Does not: what one pure function decides.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from phorest_ghl.ghl import fields
from phorest_ghl.ghl.bulk_tags import BulkTags
from phorest_ghl.ghl.client import GhlClient
from phorest_ghl.ghl.fields import GUARD_TAG
from phorest_ghl.ghl.models import Contact
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.sync import contact_updater, decisions, going_live, opt_outs
from phorest_ghl.sync.decisions import Kind
from phorest_ghl.sync.summary import RunResult
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import Rig, Row, installation
from phorest_ghl_tests.sync.test_safety_consent import blocked_channels, willing
from phorest_ghl_tests.sync.test_safety_creates import alone

pytestmark = pytest.mark.road

CLIENTS = 14
CREATE = "POST /contacts/"
UPDATE = "PUT /contacts/{contactId}"
OLD, NEW = "+353 86 555 2991", "+353 86 555 2992"
BY_PHONE = {"SMS", "Call", "WhatsApp"}
AGREED = {"smsMarketingConsent": True, "emailMarketingConsent": True}
REFUSED = {"smsMarketingConsent": False, "emailMarketingConsent": False}


@pytest.fixture
def rig(database: Database) -> Iterator[Rig]:
    """A very small salon: what is tested concerns one contact or two."""
    with installation(database.url, clients=CLIENTS) as made:
        yield made


def of(rig: Rig, client: Row) -> list[Row]:
    """The contacts that carry a client's id."""
    return [contact for contact in rig.contacts() if client["clientId"] in contact["customFields"].values()]


def contact_by_id(rig: Rig, ghl_id: str) -> Row:
    return next(contact for contact in rig.contacts() if contact["id"] == ghl_id)


def somebody_holds(rig: Rig, phone: str) -> None:
    rig.make_contact(firstName="Some", lastName="Body", phone=phone.replace(" ", ""))


def another_category(rig: Rig, client: Row) -> list[str]:
    """A category that the client does not have: it changes a tag and nothing else."""
    have = set(client.get("clientCategoryIds") or [])
    rows = rig.rows("select phorest_id from phorest_client_categories order by phorest_id")
    return [row["phorest_id"] for row in rows if row["phorest_id"] not in have][:1]


def two_apart(rig: Rig) -> tuple[Row, Row]:
    """Two clients with contacts of their own; the second one refuses everything."""
    first, second = alone(rig, 2)
    rig.edit_client(first["clientId"], mobile=OLD, email="first@example.com", **AGREED)
    rig.edit_client(second["clientId"], mobile=NEW, email="second@example.com", **REFUSED)
    rig.run()
    return first, second


def merge(rig: Rig, loser: Row, winner: Row) -> None:
    rig.edit_client(loser["clientId"], mergedToClientId=winner["clientId"], deleted=True)


def changed(result: RunResult) -> dict[str, int]:
    """The kinds of changes that a run's plan had."""
    return {name: count for name, count in result.changes.items() if count}


@pytest.mark.parametrize("clash", ["rejected", "dropped"])
def test_s6_a_new_address_that_ghl_does_not_take_opens_nothing_at_the_old_one_where_a_housemate_refused(
    rig: Rig, clash: str
) -> None:
    rig.switch(ghl_put_clash=clash)
    pair = alone(rig, 2)
    for n, row in enumerate(pair):
        rig.edit_client(row["clientId"], mobile=OLD, email=f"mate{n}@example.com", **AGREED)
    rig.run()
    first = next(row for row in pair if of(rig, row))
    other = next(row for row in pair if row is not first)
    rig.edit_client(other["clientId"], smsMarketingConsent=False)
    rig.run()
    assert blocked_channels(rig.contact_of(first["clientId"])) == BY_PHONE
    somebody_holds(rig, NEW)
    rig.edit_client(first["clientId"], mobile=NEW)
    for _ in range(2):
        rig.run()
        contact = rig.contact_of(first["clientId"])
        assert contact["phone"] == OLD.replace(" ", "")
        assert blocked_channels(contact) == BY_PHONE


def test_s6_a_refusal_that_comes_to_an_address_while_its_replacement_is_refused_closes_the_contact(rig: Rig) -> None:
    first, second = alone(rig, 2)
    rig.edit_client(first["clientId"], mobile=OLD, email="kept@example.com", **AGREED)
    rig.edit_client(second["clientId"], mobile=None, email=None)
    rig.run()
    somebody_holds(rig, NEW)
    rig.edit_client(first["clientId"], mobile=NEW)
    rig.run()
    assert blocked_channels(rig.contact_of(first["clientId"])) == set()
    rig.edit_client(second["clientId"], mobile=OLD, smsMarketingConsent=False)
    rig.run()
    contact = rig.contact_of(first["clientId"])
    assert contact["phone"] == OLD.replace(" ", "")
    assert blocked_channels(contact) == BY_PHONE


def test_s15_a_create_without_an_answer_stays_unsettled_when_its_repeat_is_turned_away_and_is_found_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.fault("timeout_after_commit", CREATE, rate=1.0, ms=5)
    rig.run()
    made = len(rig.contacts())
    rig.calm()

    def turned_away(*_: object, **__: object) -> None:
        kind = next(kinds, Category.AUTH)
        raise ApiError(kind, api="ghl", operation=CREATE, status=401 if kind is Category.AUTH else 429)

    kinds = iter([Category.RATE_LIMITED] * 2)
    rig.switch(ghl_dnd_filters=False)  # else the poll of opt-outs comes upon them, if the search is fast enough
    with monkeypatch.context() as patched:
        patched.setattr(GhlClient, "create_contact", turned_away)
        rig.apply()
    rig.switch(ghl_dnd_filters=True)
    open_ones = rig.rows("select phorest_id, state from sync_intents where target_kind = 'contact'")
    assert {row["state"] for row in open_ones} <= {"unknown", "sent", "confirmed"}
    by_id = {row["clientId"]: row for row in rig.clients()}
    unsettled = [by_id[row["phorest_id"]] for row in open_ones if row["state"] == "unknown"]
    moved, banned = unsettled[:2]
    rig.edit_client(moved["clientId"], mobile=OLD, email="moved@example.com", **REFUSED)
    rig.edit_client(banned["clientId"], banned=True)
    rig.run()
    rig.run()
    assert len(rig.contacts()) == made
    for client in (moved, banned):
        assert blocked_channels(rig.contact_of(client["clientId"])) == {"Email", *BY_PHONE}
    assert rig.contact_of(moved["clientId"])["phone"] == OLD.replace(" ", "")
    assert {row["state"] for row in rig.rows("select state from sync_intents")} == {"confirmed"}


def test_s9_a_plan_from_before_a_merge_neither_opens_nor_takes_back_the_contact_that_the_merge_retired(
    rig: Rig,
) -> None:
    winner, loser = two_apart(rig)
    ghl_id = rig.contact_of(loser["clientId"])["id"]
    rig.edit_client(loser["clientId"], **AGREED)
    rig.load()
    sync = rig.sync()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    assert any(change.opens for change in plan.changes)
    merge(rig, loser, winner)
    assert changed(rig.run()) == {"retire": 1}
    retired = contact_by_id(rig, ghl_id)
    rig.carry_out(sync, plan, prepared)
    assert contact_by_id(rig, ghl_id)["dndSettings"] == retired["dndSettings"]
    assert blocked_channels(retired) == {"Email", *BY_PHONE}
    assert rig.rows("select phorest_id from entity_mappings where ghl_id = :id", id=ghl_id) == []
    assert changed(rig.run()) == {}


def test_s1_an_update_of_tags_alone_puts_the_guard_tag_back_on_first(rig: Rig) -> None:
    client = willing(rig)
    rig.run()
    ghl_id = rig.contact_of(client["clientId"])["id"]
    rig.edit_contact(ghl_id, tags=[])
    before = len(rig.sandbox.truth("automations"))
    rig.edit_client(client["clientId"], clientCategoryIds=another_category(rig, client))
    rig.run()
    tags = contact_by_id(rig, ghl_id)["tags"]
    assert tags[0] == GUARD_TAG
    assert len(tags) == 2
    woken = [row for row in rig.sandbox.truth("automations")[before:] if row["contact"] == ghl_id and row["sent"]]
    assert [row for row in woken if row["workflow"].endswith("guarded")] == []


def test_s1_no_tag_is_added_where_ghl_refused_the_guard_tag(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    client = willing(rig)
    rig.run()
    ghl_id = rig.contact_of(client["clientId"])["id"]
    rig.edit_contact(ghl_id, tags=[])
    rig.edit_client(client["clientId"], clientCategoryIds=another_category(rig, client))
    honest = GhlClient.bulk_tags

    def locked(self: GhlClient, ids: Any, tags: Any, **more: Any) -> BulkTags:
        if GUARD_TAG in tags:
            return BulkTags(dict.fromkeys(ids, "contact is locked"))
        return honest(self, ids, tags, **more)

    monkeypatch.setattr(GhlClient, "bulk_tags", locked)
    # The poll has not read the contact: GHL's search lags behind the hand that took the tag off.
    monkeypatch.setattr(opt_outs, "_news", lambda *_: [])
    result = rig.run()
    assert contact_by_id(rig, ghl_id)["tags"] == []
    assert result.reasons["rejected"] == {contact_updater.UNGUARDED: 1}


def test_s14_on_an_adopted_contact_that_nobody_reviewed_consent_only_tightens(rig: Rig) -> None:
    client = willing(rig, firstName="Zoe", lastName="Twelve", mobile=OLD, email="zoe@example.com")
    rig.edit_client(client["clientId"], smsMarketingConsent=False)
    rig.make_contact(firstName="Zoe", lastName="Twelve", phone=OLD.replace(" ", ""))
    assert rig.run().changes["adopt"] == 1
    assert blocked_channels(rig.contact_of(client["clientId"])) == BY_PHONE
    rig.edit_client(client["clientId"], smsMarketingConsent=True)
    rig.run()
    assert blocked_channels(rig.contact_of(client["clientId"])) == BY_PHONE
    rig.edit_client(client["clientId"], emailMarketingConsent=False)
    rig.run()
    assert blocked_channels(rig.contact_of(client["clientId"])) == {"Email", *BY_PHONE}


def test_a_number_that_no_field_of_ours_can_hold_ends_no_run_and_is_put_right(rig: Rig) -> None:
    rig.run()
    row = rig.rows("select field_id from ghl_fields where field_key = 'contact.phorest_credit_balance'")[0]
    first, second = (contact for contact in rig.contacts()[:2])
    for contact, odd in ((first, 1e40), (second, "Infinity")):
        rig.edit_contact(contact["id"], customFields={**contact["customFields"], row["field_id"]: odd})
        rig.sandbox.control(  # so that the poll reads it
            "POST", f"/ghl/contacts/{contact['id']}/dnd", {"channels": {"SMS": "active"}, "message": "x"}
        )
    result = rig.run()
    assert result.outcomes["failed"] == result.outcomes["rejected"] == 0
    assert changed(rig.run()) == {}
    for contact in (first, second):
        assert contact_by_id(rig, contact["id"])["customFields"].get(row["field_id"]) not in (1e40, "Infinity")


@pytest.mark.parametrize("odd", [1e40, 10**40, "1e29", "Infinity", "sNaN", float("inf"), {"a": 1}, True, 10**18])
def test_a_value_of_any_shape_in_a_field_of_ours_has_a_comparable_form(odd: object) -> None:
    for spec in (fields.CREDIT_BALANCE, fields.CLIENT_SINCE):
        assert isinstance(fields.canonical(spec, odd), str)


@pytest.mark.parametrize("zero", ["-0.00", "-0", -0.0, "0.00", 0])
def test_a_zero_is_the_same_zero_whatever_its_sign_and_its_decimals(zero: object) -> None:
    assert fields.canonical(fields.CREDIT_BALANCE, zero) == "0"


@pytest.mark.parametrize(
    "odd",
    [
        {"dndSettings": {"SMS": None, "Email": {}}},
        {"dndSettings": {"SMS": "active"}},
        {"dateOfBirth": 10**18},
        {"dateOfBirth": 1e400},
    ],
)
def test_a_contact_with_values_that_nobody_documents_can_be_read_and_has_no_channel_open_by_them(
    odd: Mapping[str, object],
) -> None:
    contact = Contact.model_validate({"id": "x", **odd})
    assert contact.date_of_birth is None
    assert all(setting.blocked for setting in (contact.dnd_settings or {}).values())


def test_what_a_contact_holds_shows_in_no_text_of_an_exception() -> None:
    with pytest.raises(ValidationError) as refused:
        Contact.model_validate({"id": "x", "firstName": "Niamh", "phone": {"n": "+353865552991"}})
    assert "Niamh" not in str(refused.value)
    assert "5552991" not in str(refused.value)
    unnamed = Contact.model_validate({"id": "x", "customFields": [{"value": "a secret note"}]})
    assert unnamed.custom_fields == {}


def test_s1_a_plan_from_before_go_live_makes_contacts_without_the_guard_tag_after_it(rig: Rig) -> None:
    archived = alone(rig)[0]
    rig.edit_client(archived["clientId"], archived=True)
    rig.run()
    rig.edit_client(archived["clientId"], archived=False)
    rig.load()
    sync = rig.sync()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    assert plan.counts()["create"] == 1
    going_live.go_live(rig.engine, rig.runtime.ghl())
    rig.carry_out(sync, plan, prepared)
    assert GUARD_TAG not in rig.contact_of(archived["clientId"])["tags"]
    assert [contact for contact in rig.contacts() if GUARD_TAG in contact["tags"]] == []


def test_s10_an_opening_that_was_decided_by_a_read_too_old_is_decided_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = willing(rig, **REFUSED)
    rig.run()
    ghl_id = rig.contact_of(client["clientId"])["id"]
    rig.edit_client(client["clientId"], emailMarketingConsent=True)
    rig.load()
    honest = GhlClient.contact
    slept: list[float] = []

    def late(self: GhlClient, contact_id: str, **more: Any) -> Contact:
        read = honest(self, contact_id, **more)
        if not slept:  # no turn in the budget comes for a while, and meanwhile the client unsubscribes
            slept.append(contact_updater._FRESH_S + 0.5)
            assert read.asked_at is not None
            read.asked_at -= slept[0]
            block = {"channels": {"Email": "active"}, "message": "unsubscribed"}
            rig.sandbox.control("POST", f"/ghl/contacts/{contact_id}/dnd", block)
        return read

    monkeypatch.setattr(GhlClient, "contact", late)
    opened: list[object] = []
    update = GhlClient.update_contact

    def noted(self: GhlClient, contact_id: str, write: Any, **more: Any) -> Any:
        answer = update(self, contact_id, write, **more)
        opened.append(not (write.dnd_settings or {})["Email"].blocked)
        return answer

    monkeypatch.setattr(GhlClient, "update_contact", noted)
    rig.apply()
    assert slept
    assert True not in opened
    assert "Email" in blocked_channels(contact_by_id(rig, ghl_id))
    causes = rig.rows("select cause from suppressions where source_id = :id and channel = 'Email'", id=ghl_id)
    assert [row["cause"] for row in causes] == ["GHL"]


def test_s10_an_opening_that_never_gets_its_turn_in_time_waits_for_the_next_run(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = willing(rig, **REFUSED)
    rig.run()
    rig.edit_client(client["clientId"], emailMarketingConsent=True)
    with monkeypatch.context() as patched:
        patched.setattr(contact_updater, "_FRESH_S", -1.0)
        result = rig.run()
    assert result.outcomes["deferred"] == 1
    assert "Email" in blocked_channels(rig.contact_of(client["clientId"]))
    rig.run()
    assert "Email" not in blocked_channels(rig.contact_of(client["clientId"]))


def test_s10_an_update_that_opens_a_channel_is_not_repeated_when_its_answer_is_lost(rig: Rig) -> None:
    client = willing(rig, **REFUSED)
    rig.run()
    rig.edit_client(client["clientId"], emailMarketingConsent=True)
    rig.fault("timeout_after_commit", UPDATE, rate=1.0, ms=5)
    rig.forget_requests()
    assert rig.run().outcomes["failed"] == 1
    assert rig.requests("PUT", "/contacts/{contactId}") == 1
    rig.calm()
    rig.run()
    assert blocked_channels(rig.contact_of(client["clientId"])) == BY_PHONE


def test_a_retirement_of_which_only_the_tag_is_left_writes_no_contact(rig: Rig) -> None:
    winner, loser = two_apart(rig)
    merge(rig, loser, winner)
    rig.forget_requests()
    assert changed(rig.run()) == {"retire": 1}
    assert rig.requests("PUT", "/contacts/{contactId}") == 0
    assert fields.MERGED_TAG in rig.contact_of(loser["clientId"])["tags"]
    assert changed(rig.run()) == {}


def test_a_contact_whose_mapping_was_lost_and_that_is_gone_itself_is_not_taken_up_for_ever(rig: Rig) -> None:
    client = willing(rig)
    rig.run()
    ghl_id = rig.contact_of(client["clientId"])["id"]
    with rig.engine.begin() as connection:
        connection.exec_driver_sql("delete from entity_mappings where ghl_id = %s", (ghl_id,))
    rig.delete_contact(ghl_id)
    assert changed(rig.run()) == {"remap": 1}
    assert rig.run().changes["remap"] == 0
    assert changed(rig.run()) == {}


def test_an_address_that_no_client_has_any_more_plans_nothing_for_ever(rig: Rig) -> None:
    client = willing(rig, smsMarketingConsent=False)
    rig.run()
    rig.edit_client(client["clientId"], mobile=None, smsMarketingConsent=True)
    rig.run()
    contact = rig.contact_of(client["clientId"])
    assert contact["phone"]  # what Phorest no longer has is left as GHL has it, and as closed as it was
    assert blocked_channels(contact) == BY_PHONE
    assert changed(rig.run()) == {}


def test_s7_an_accepted_opt_in_does_not_outlive_a_later_opt_out(rig: Rig) -> None:
    client = willing(rig, smsMarketingConsent=False)
    rig.run()
    rig.edit_client(client["clientId"], mobile=OLD, smsMarketingConsent=True)  # at another address: it waits
    rig.run()
    location = rig.rows("select location_id from ghl_locations")[0]["location_id"]
    with rig.engine.begin() as connection:
        decisions.record(
            connection,
            location_id=location,
            entity_type="client",
            phorest_id=client["clientId"],
            kind=Kind.OPT_IN,
            operator="a test",
        )
    rig.edit_client(client["clientId"], smsMarketingConsent=False)
    rig.run()
    assert [row["over"] for row in rig.rows("select used_at is not null as over from review_decisions")] == [True]
    assert blocked_channels(rig.contact_of(client["clientId"])) == BY_PHONE
    rig.edit_client(client["clientId"], mobile=NEW, smsMarketingConsent=True)
    rig.run()
    assert blocked_channels(rig.contact_of(client["clientId"])) == BY_PHONE
