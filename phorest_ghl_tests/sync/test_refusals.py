"""What GHL says no to, or says yes to without doing it: each is told once, and nobody else waits for it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from phorest_ghl.ghl.client import GhlClient
from phorest_ghl.ghl.fields import enabled
from phorest_ghl.ghl.models import Contact, ContactWrite
from phorest_ghl.http.errors import ApiError
from phorest_ghl.sandbox.ghl import contact_writes
from phorest_ghl.sync.registry import ForeignField
from phorest_ghl.sync.rules import Rules
from phorest_ghl_tests.sync.rig import Rig
from phorest_ghl_tests.sync.test_safety_consent import blocked_channels, willing
from phorest_ghl_tests.sync.test_safety_creates import alone

pytestmark = pytest.mark.road


def test_a_field_that_ghl_does_not_keep_is_a_finding_and_not_sent_again_until_it_changes(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = willing(rig)
    rig.run()
    honest = contact_writes.changes

    def forgetful(call: Any, before: Any) -> Mapping[str, Any]:
        return {name: value for name, value in honest(call, before).items() if name != "lastName"}

    monkeypatch.setattr(contact_writes, "changes", forgetful)
    rig.edit_client(client["clientId"], lastName="Forgotten")
    assert rig.run().outcomes["applied"] == 1
    assert rig.rows("select kind, detail from audit_findings") == [
        {"kind": "GHL did not keep a field", "detail": {"fields": ["last_name"]}}
    ]
    assert rig.rows("select field, outcome from sync_changes where outcome <> 'acknowledged'") == [
        {"field": "last_name", "outcome": "not kept"}
    ]
    rig.forget_requests()
    assert rig.run().outcomes["rejected"] == 1
    assert rig.requests("PUT", "/contacts/{contactId}") == 0
    monkeypatch.setattr(contact_writes, "changes", honest)
    rig.edit_client(client["clientId"], lastName="Remembered")
    rig.run()
    assert rig.contact_of(client["clientId"])["lastName"] == "Remembered"
    assert rig.rows("select reason from work_items where state = 'open'") == []


def test_a_block_that_becomes_permanent_between_our_read_and_our_write_is_read_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = willing(rig)
    rig.run()
    contact = rig.contact_of(client["clientId"])
    honest = GhlClient.contact
    theirs = {"status": "permanent", "message": "STOP"}

    def late(self: GhlClient, contact_id: str, **more: Any) -> Contact:
        read = honest(self, contact_id, **more)
        rig.edit_contact(contact["id"], dndSettings={**contact["dndSettings"], "SMS": theirs})
        return read

    monkeypatch.setattr(GhlClient, "contact", late)
    rig.edit_client(client["clientId"], emailMarketingConsent=False, lastName="Changed")
    result = rig.run()
    assert (result.outcomes["applied"], result.outcomes["rejected"]) == (1, 0)
    after = rig.contact_of(client["clientId"])
    assert after["dndSettings"]["SMS"] == theirs
    assert (blocked_channels(after), after["lastName"]) == ({"Email", "SMS"}, "Changed")


def test_a_refusal_that_names_a_contact_which_is_gone_is_for_a_person(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.load()
    rig.confirm()
    sync = rig.sync()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    client = next(row for row in alone(rig, 50) if row["truth"]["phone"])
    other = rig.make_contact(phone=client["truth"]["phone"])
    honest = GhlClient.create_contact

    def refused(self: GhlClient, write: ContactWrite, **more: Any) -> object:
        try:
            return honest(self, write, **more)
        except ApiError:
            rig.delete_contact(other["id"])
            raise

    monkeypatch.setattr(GhlClient, "create_contact", refused)
    assert rig.carry_out(sync, plan, prepared).outcomes["rejected"] == 1
    monkeypatch.setattr(GhlClient, "create_contact", honest)
    rig.run()
    rig.check_everyone_is_on_one_contact()


def test_a_contact_that_lost_our_id_is_not_taken_up(rig: Rig) -> None:
    rig.run()
    (client,) = alone(rig)
    contact = rig.contact_of(client["clientId"])
    with rig.engine.begin() as connection:
        connection.exec_driver_sql("delete from entity_mappings where ghl_id = %s", (contact["id"],))
    rig.switch(ghl_search_lag_s=30.0)  # the poll for opt-outs would see it otherwise
    rig.edit_contact(contact["id"], customFields={})
    result = rig.apply()
    assert result.reasons["skipped"]["the contact no longer carries this client's Phorest id"] == 1
    assert not rig.rows("select 1 as one from entity_mappings where phorest_id = :id", id=client["clientId"])


def test_a_field_of_our_name_and_another_type_stops_everything(rig: Rig) -> None:
    rig.load()
    rig.confirm()
    rig.runtime.ghl().create_custom_field("Phorest id", "NUMERICAL")
    for adopt in (False, True):
        with pytest.raises(ForeignField, match=r"exists in this location with the type NUMERICAL, where ours is TEXT"):
            rig.sync().prepare(adopt_fields=adopt)
    assert rig.contacts() == []


def test_a_field_that_cannot_be_made_ends_the_run_before_any_contact(rig: Rig) -> None:
    rig.load()
    rig.confirm()
    rig.fault("timeout_before", "POST /locations/{locationId}/customFields", count=1, ms=5)
    with pytest.raises(ApiError, match=r"POST /locations/\{locationId\}/customFields: GoHighLevel gave no answer"):
        rig.apply()
    assert rig.contacts() == []
    rig.run()
    assert len(rig.sandbox.truth("ghl/fields")) == len(enabled(Rules().switches))
    rig.check_everyone_is_on_one_contact()


def test_progress_is_told_change_by_change(rig: Rig) -> None:
    rig.load()
    rig.confirm()
    sync = rig.sync()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    told: list[tuple[int, int]] = []
    sync.apply(plan, prepared, started_at=datetime.now(UTC), progress=lambda done, total: told.append((done, total)))
    assert told == [(n + 1, len(plan.changes)) for n in range(len(plan.changes))]


def test_a_business_without_a_walk_in_client_is_imported_all_the_same(rig: Rig) -> None:
    rig.load()
    assert rig.rows("select count(*) as n from phorest_clients where walk_in") == [{"n": 1}]
    importer = rig.importer()
    read = type(importer._client).walk_in
    try:
        type(importer._client).walk_in = lambda self: self.client("nobody")
        assert importer.mark_walk_in() is None
    finally:
        type(importer._client).walk_in = read
