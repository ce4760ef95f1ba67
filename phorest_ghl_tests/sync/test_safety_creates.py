"""Safety S1, S14 and S15 against the sandbox: a load wakes nobody up, and nobody is ever made twice."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from phorest_ghl.ghl.bulk_tags import BulkTags
from phorest_ghl.ghl.client import GhlClient
from phorest_ghl.ghl.fields import GUARD_TAG, enabled
from phorest_ghl.ghl.models import Contact
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.sync.clients import NotConfirmed, NotImported
from phorest_ghl.sync.registry import ForeignField
from phorest_ghl.sync.rules import Rules
from phorest_ghl.sync.summary import RunResult
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import Rig, Row, installation, opened

pytestmark = pytest.mark.road

CREATE = "POST /contacts/"


def alone(rig: Rig, count: int = 1) -> list[Row]:
    """Clients who may be synced and share no address with anybody."""
    households = [row["truth"]["household"] for row in rig.clients()]
    return [row for row in rig.clients(syncable=True) if households.count(row["truth"]["household"]) == 1][:count]


def test_s1_every_create_carries_the_guard_tag_in_its_own_body_and_no_filtered_workflow_writes_to_anybody(
    rig: Rig,
) -> None:
    rig.run()
    contacts = rig.contacts()
    assert contacts
    assert all(GUARD_TAG in contact["tags"] for contact in contacts)
    runs = rig.sandbox.truth("automations")
    assert {row["contact"] for row in runs if row["filtered"]} == {contact["id"] for contact in contacts}
    assert [row for row in runs if row["sent"] and row["workflow"].endswith("guarded")] == []
    # A later call that adds the tag would have come too late: none was made.
    assert rig.requests("POST", "/contacts/{contactId}/tags") == 0
    assert rig.requests("PUT", "/contacts/{contactId}") == 0
    guarded = {row["ghl_id"] for row in rig.rows("select ghl_id from guarded_contacts where released_at is null")}
    assert guarded == {contact["id"] for contact in contacts}


def test_s1_an_unfiltered_workflow_would_have_written_so_the_operator_has_to_pause_it(rig: Rig) -> None:
    """What the confirmation is for: the sandbox counts what a workflow without a filter would have sent."""
    rig.run()
    sent = [row for row in rig.sandbox.truth("automations") if row["sent"]]
    assert {row["workflow"] for row in sent} == {"contact created, unfiltered", "tag added, unfiltered"}


def test_s1_the_first_apply_refuses_until_the_operator_confirms(rig: Rig) -> None:
    rig.load()
    sync = rig.sync()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    assert plan.counts()["create"] > 0
    with pytest.raises(NotConfirmed, match=r"was never written to.*pause every published workflow.*--workflows-paused"):
        rig.carry_out(sync, plan, prepared)
    assert rig.contacts() == []
    assert rig.sandbox.truth("ghl/fields") == []
    assert rig.count("sync_intents") == 0


def test_s1_a_contact_that_lost_its_guard_tag_gets_it_back_before_it_is_taken_up_again(rig: Rig) -> None:
    rig.run()
    client = alone(rig)[0]
    contact = rig.contact_of(client["clientId"])
    rig.edit_contact(contact["id"], tags=[])
    with rig.engine.begin() as connection:
        connection.exec_driver_sql("delete from entity_mappings where ghl_id = %s", (contact["id"],))
    assert rig.apply().changes["remap"] == 1
    assert GUARD_TAG in rig.contact_of(client["clientId"])["tags"]
    rig.apply()  # what is on record of its tags is lost too, so those of its client come again
    assert rig.plan().changes == ()


def test_s1_while_quiet_nothing_but_an_opt_out_is_written_to_a_contact_that_lost_its_guard_tag(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = next(row for row in alone(rig, 50) if row["truth"]["email"])
    rig.edit_client(client["clientId"], emailMarketingConsent=True)
    rig.run()
    contact = rig.contact_of(client["clientId"])
    rig.edit_contact(contact["id"], tags=[])
    rig.edit_client(client["clientId"], lastName="Unguarded", email="new.one@example.com", emailMarketingConsent=False)

    def refuse(_: GhlClient, contact_ids: Sequence[str], *__: object, **___: object) -> BulkTags:
        return BulkTags(dict.fromkeys(contact_ids, "contact is locked"))

    with monkeypatch.context() as patch:
        patch.setattr(GhlClient, "bulk_tags", refuse)
        result = rig.run()
    assert result.reasons["rejected"] == {"the contact lacks the guard tag": 1}
    after = rig.contact_of(client["clientId"])
    assert (after["lastName"], after["email"]) == (contact["lastName"], contact["email"])
    assert after["dndSettings"]["Email"]["status"] == "active"
    assert {row["trigger"] for row in rig.sandbox.truth("automations") if row["contact"] == contact["id"]} <= {
        "contact created", "tag added", "DND"}  # fmt: skip
    assert rig.run().outcomes["applied"] == 1
    after = rig.contact_of(client["clientId"])
    assert (after["lastName"], GUARD_TAG in after["tags"]) == ("Unguarded", True)
    assert rig.rows("select reason from work_items where state = 'open'") == []


def test_s10_a_change_of_a_name_does_not_send_consent_along(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would open what a person closes between our read and our write."""
    (client,) = alone(rig)
    rig.run()
    contact = rig.contact_of(client["clientId"])
    honest = GhlClient.contact

    def late(self: GhlClient, contact_id: str, **more: Any) -> Contact:
        read = honest(self, contact_id, **more)
        closed = {channel: {"status": "active"} for channel in contact["dndSettings"]}
        rig.edit_contact(contact["id"], dndSettings=closed)
        return read

    monkeypatch.setattr(GhlClient, "contact", late)
    rig.edit_client(client["clientId"], lastName="Renamed")
    rig.run()
    after = rig.contact_of(client["clientId"])
    assert after["lastName"] == "Renamed"
    assert {setting["status"] for setting in after["dndSettings"].values()} == {"active"}


def test_nothing_is_planned_before_a_complete_import(rig: Rig) -> None:
    rig.confirm()
    with pytest.raises(NotImported, match="never imported completely"):
        rig.plan()


def test_s14_a_contact_that_somebody_made_is_never_adopted_or_overwritten(rig: Rig) -> None:
    client = alone(rig)[0]
    truth = client["truth"]
    address = {"email": truth["email"]} if truth["email"] else {"phone": truth["phone"]}
    theirs = rig.make_contact(firstName="By", lastName="Hand", **address)
    result = rig.run()
    assert sum(result.reasons["rejected"].values()) == 1
    assert next(contact for contact in rig.contacts() if contact["id"] == theirs["id"]) == theirs
    assert not any(client["clientId"] in contact["customFields"].values() for contact in rig.contacts())


def test_s14_a_contact_made_by_hand_between_plan_and_apply_is_not_overwritten(rig: Rig) -> None:
    rig.load()
    rig.confirm()
    sync = rig.sync()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    client = next(row for row in alone(rig, 50) if row["truth"]["phone"])
    theirs = rig.make_contact(firstName="Just", lastName="Now", phone=client["truth"]["phone"])
    result = rig.carry_out(sync, plan, prepared)
    assert result.outcomes["rejected"] == 1
    assert next(contact for contact in rig.contacts() if contact["id"] == theirs["id"]) == theirs
    items = rig.rows("select cause, detail from work_items where phorest_id = :id", id=client["clientId"])
    assert items == [{"cause": "adoption", "detail": {"ghl_id": theirs["id"]}}]
    # It waits for a person: the next run asks GHL nothing about it.
    rig.forget_requests()
    assert rig.apply().outcomes["rejected"] == 1
    assert rig.requests("POST", "/contacts/") == 0


@pytest.mark.parametrize("duplicates", [False, True], ids=["refusing duplicates", "allowing duplicates"])
@pytest.mark.parametrize(
    "kind",
    [
        "timeout_after_commit",
        "created_but_422",
        *(pytest.param(k, marks=pytest.mark.e2e) for k in ("html", "503", "truncated")),
    ],
)
def test_s15_a_create_whose_answer_was_lost_is_made_once(rig: Rig, kind: str, duplicates: bool) -> None:  # noqa: FBT001
    rig.switch(ghl_allow_duplicate_contact=duplicates)
    more = {"after_commit": True} if kind in ("html", "503") else {}
    rig.fault(kind, CREATE, count=4, ms=20, **more)
    first = rig.run()
    made = len(rig.contacts())
    second = rig.run()
    third = rig.run()
    rig.check_everyone_is_on_one_contact(grouped=not duplicates)
    assert first.total == sum(first.outcomes.values())
    assert third.changes == {"create": 0, "update": 0, "adopt": 0, "remap": 0, "retire": 0, "link": 0}
    if duplicates and kind != "created_but_422":
        assert (first.outcomes["failed"], second.outcomes["failed"]) == (4, 0)
        assert len(rig.contacts()) == made  # looked up, not sent again
    else:
        assert first.outcomes["failed"] == 0
    if kind == "created_but_422":
        findings = rig.rows("select count(*) as n from audit_findings where kind = 'created although refused'")
        assert findings == [{"n": 4}]
    open_intents = rig.rows("select state from sync_intents where state in ('planned', 'sent', 'unknown')")
    assert open_intents == []


def test_s6_an_opt_out_between_a_lost_answer_and_its_proof_is_delivered_with_the_proof(rig: Rig) -> None:
    """The contact was made with the older consent; taking it up as it is would leave the channel open."""
    rig.switch(ghl_allow_duplicate_contact=True)
    (client,) = alone(rig, 1)
    rig.edit_client(client["clientId"], mobile="+353 86 555 2995", email=None, smsMarketingConsent=True)
    rig.fault("timeout_after_commit", CREATE, rate=1.0, ms=5)
    rig.run()
    rig.calm()
    assert rig.contact_of(client["clientId"])["dndSettings"]["SMS"]["status"] == "inactive"
    rig.edit_client(client["clientId"], smsMarketingConsent=False)
    assert rig.run().outcomes["failed"] == 0
    held = rig.contact_of(client["clientId"])["dndSettings"]
    assert {held[channel]["status"] for channel in ("SMS", "Call", "WhatsApp")} == {"active"}
    assert rig.plan().changes == ()


def test_s15_a_create_that_never_arrived_is_sent_again_by_the_next_run(rig: Rig) -> None:
    rig.switch(ghl_allow_duplicate_contact=True)
    rig.fault("timeout_before", CREATE, count=3, ms=20)
    first = rig.run()
    assert first.outcomes["failed"] == 3
    second = rig.run()
    assert second.outcomes["applied"] == 3
    rig.check_everyone_is_on_one_contact(grouped=False)


def test_s15_the_look_up_waits_out_the_search_lag_where_an_address_is_shared(database: Database) -> None:
    """Only the Phorest id tells two contacts with one phone apart, and only search knows it, late."""
    with installation(database.url, clients=12, switches={"ghl_allow_duplicate_contact": True}) as rig:
        rig.load()
        for place, row in enumerate(rig.clients(syncable=True)):
            rig.edit_client(row["clientId"], mobile="+353 86 555 2997" if place < 5 else None, email=None)
        rig.fault("timeout_after_commit", CREATE, count=2, ms=20)
        assert rig.run().outcomes["failed"] == 2
        rig.run()
        rig.check_everyone_is_on_one_contact(grouped=False)
        assert len(rig.contacts()) == 5


def test_s15_a_lost_create_is_found_although_somebody_else_speaks_for_the_household_since(rig: Rig) -> None:
    """The location does not name its identifiers, so nothing but the look-up stands between a household and a double."""
    rig.switch(ghl_identifiers_shown=False, ghl_unique_identifiers=[])
    first, second = alone(rig, 2)
    for row, visit in ((first, "2026-01-02"), (second, "2026-01-01")):
        rig.edit_client(row["clientId"], mobile="+353 86 555 2996", email=None, lastVisit=visit, linkedClientId=None)
    rig.fault("timeout_after_commit", CREATE, rate=1.0, ms=5)
    rig.run()
    rig.calm()
    rig.edit_client(second["clientId"], lastVisit="2026-02-01")
    rig.run()
    rig.check_everyone_is_on_one_contact()
    assert rig.run().changes == {
        "create": 0,
        "update": 1,
        "adopt": 0,
        "remap": 0,
        "retire": 0,
        "link": 0,
    }  # the new speaker's name and id
    assert rig.plan().changes == ()
    assert rig.contact_of(second["clientId"])["phone"] == "+353865552996"


@pytest.mark.parametrize("duplicates", [False, True], ids=["refusing duplicates", "allowing duplicates"])
@pytest.mark.parametrize("after", ["+353 86 555 2991", None], ids=["another phone", "no phone"])
def test_s15_a_lost_create_is_found_although_the_client_changed_its_address_since(
    database: Database, after: str | None, duplicates: bool  # noqa: FBT001
) -> None:  # fmt: skip
    """GHL would not refuse the second create, for it knows the first one by another address."""
    with installation(database.url, clients=12, switches={"ghl_allow_duplicate_contact": duplicates}) as rig:
        client = next(row for row in alone(rig, 20) if row["truth"]["phone"] and not row["truth"]["email"])
        rig.fault("timeout_after_commit", CREATE, rate=1.0, ms=5)
        rig.run()
        rig.calm()
        made = rig.contact_of(client["clientId"])
        rig.edit_client(client["clientId"], mobile=after)
        rig.run()
        rig.run()
        now = rig.contact_of(client["clientId"])
        assert now["id"] == made["id"]
        assert now["phone"] == ("+353865552991" if after else made["phone"])
        assert rig.rows("select state from sync_intents where state in ('planned', 'sent', 'unknown')") == []
        assert rig.plan().changes == ()


@pytest.mark.parametrize("duplicates", [False, True], ids=["refusing duplicates", "allowing duplicates"])
def test_s15_two_runs_at_once_never_make_one_record_twice(database: Database, duplicates: bool) -> None:  # noqa: FBT001
    switches = {"ghl_allow_duplicate_contact": duplicates}
    with installation(database.url, switches=switches, latency_ms=5) as rig, ExitStack() as stack:
        other = stack.enter_context(opened(rig.sandbox, database.url))
        rig.load()
        rig.confirm()
        runs = [(each, each.sync()) for each in (rig, other)]
        planned = []
        for each, sync in runs:
            prepared = sync.prepare()
            planned.append((each, sync, sync.plan(prepared), prepared))
        results: list[RunResult] = []
        threads = [
            threading.Thread(target=lambda e=each, rest=rest: results.append(e.carry_out(*rest)))
            for each, *rest in planned
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(results) == 2
        rig.check_everyone_is_on_one_contact(grouped=not duplicates)
        assert (
            sum(result.outcomes["applied"] for result in results) == results[0].total - results[0].outcomes["skipped"]
        )
        assert all(result.outcomes["failed"] == result.outcomes["rejected"] == 0 for result in results)


def test_s15_an_error_that_proves_that_nothing_happened_withdraws_the_intent(database: Database) -> None:
    with installation(database.url, clients=6, switches={"ghl_allow_duplicate_contact": True}) as rig:
        rig.load()
        rig.confirm()
        rig.fault("429", CREATE, rate=1.0, retry_after="0")
        result = rig.apply()
        assert result.reasons["failed"] == {Category.RATE_LIMITED.value: result.outcomes["failed"]}
        states = rig.rows("select distinct state from sync_intents where entity_type = 'client'")
        assert states == [{"state": "withdrawn"}]
        rig.calm()
        rig.apply()
        rig.check_everyone_is_on_one_contact(grouped=False)


def test_a_field_of_another_owner_stops_everything_before_it_is_written_to(rig: Rig) -> None:
    rig.load()
    rig.confirm()
    ghl = rig.runtime.ghl()
    ghl.create_custom_field("Phorest id", "TEXT")
    with pytest.raises(ForeignField, match=r"was not made by this deployment.*--adopt-fields"):
        rig.plan()
    prepared = rig.sync().prepare(adopt_fields=True)
    assert "phorest_id" in prepared.field_ids


def test_a_field_whose_create_lost_its_answer_is_found_and_not_made_twice(rig: Rig) -> None:
    rig.load()
    rig.confirm()
    rig.fault("timeout_after_commit", "POST /locations/{locationId}/customFields", count=1, ms=10)
    rig.apply()
    names = [row["name"] for row in rig.sandbox.truth("ghl/fields")]
    assert len(names) == len(set(names)) == len(enabled(Rules().switches))
    rig.check_everyone_is_on_one_contact()


def test_an_unreachable_vendor_ends_the_run_and_every_item_still_has_one_outcome(rig: Rig) -> None:
    rig.load()
    rig.confirm()
    sync = rig.sync()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    rig.fault("502", CREATE, rate=1.0)
    result = rig.carry_out(sync, plan, prepared)
    assert sum(result.outcomes.values()) == result.total == plan.total
    rig.calm()
    with pytest.raises(ApiError):
        rig.runtime.ghl().contact("no such contact")
    rig.apply()
    rig.check_everyone_is_on_one_contact()
