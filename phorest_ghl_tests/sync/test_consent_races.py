"""Safety S10: what people do in the moments around the write that opens a channel."""

from typing import Any

import pytest

from phorest_ghl.ghl.client import GhlClient
from phorest_ghl.ghl.models import Acknowledged, ContactWrite
from phorest_ghl_tests.sync.rig import Rig, Row
from phorest_ghl_tests.sync.test_safety_consent import blocked_channels, willing

pytestmark = pytest.mark.road

PUT = "PUT /contacts/{contactId}"


def about_to_open(rig: Rig) -> tuple[str, Row]:
    """A client who has opted in again, seen by an import, and its contact, which is still closed by phone."""
    client = willing(rig, smsMarketingConsent=False)
    rig.run()
    contact = rig.contact_of(client["clientId"])
    assert blocked_channels(contact) == {"SMS", "Call", "WhatsApp"}
    rig.edit_client(client["clientId"], smsMarketingConsent=True)
    rig.load()
    return client["clientId"], contact


def on_record(rig: Rig) -> set[tuple[str, str]]:
    rows = rig.rows("select channel, cause from suppressions where lifted_at is null and cause like 'GHL%'")
    return {(row["channel"], row["cause"]) for row in rows}


@pytest.mark.parametrize("status", ["active", "permanent"])
def test_s10_a_block_that_a_person_sets_right_after_the_opening_stands_and_goes_on_record(
    rig: Rig, status: str
) -> None:
    client, _ = about_to_open(rig)
    rig.fault("opt_out", PUT, channel="SMS", status=status, after_commit=True)
    assert rig.apply().outcomes["failed"] == 0
    assert blocked_channels(rig.contact_of(client)) == {"SMS"}
    assert on_record(rig) == {("SMS", "GHL")}
    # It stays so, whatever is written to the contact later.
    rig.edit_client(client, firstName="Renamed", emailMarketingConsent=False)
    rig.run()
    contact = rig.contact_of(client)
    assert contact["dndSettings"]["SMS"] == {"status": status, "message": "asked at the desk"}
    assert blocked_channels(contact) == {"SMS", "Email"}


def test_s10_a_permanent_block_set_right_before_the_opening_stands_and_the_other_channels_open(rig: Rig) -> None:
    """GHL refuses the write that would lift it; it is read again, and the rest is sent without it."""
    client, _ = about_to_open(rig)
    rig.fault("opt_out", PUT, channel="SMS", status="permanent")
    assert rig.apply().outcomes["failed"] == 0
    assert blocked_channels(rig.contact_of(client)) == {"SMS"}
    assert on_record(rig) == {("SMS", "GHL")}


def test_s10_a_block_seen_between_the_read_and_the_opening_is_not_lifted(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run of ours reads it a moment after this one has read the contact open."""
    client, contact = about_to_open(rig)
    honest = GhlClient.contact

    def late(self: GhlClient, contact_id: str, **more: Any) -> object:
        monkeypatch.setattr(GhlClient, "contact", honest)
        before = honest(self, contact_id, **more)
        theirs = {"channels": {"SMS": "active"}, "message": "asked at the desk"}
        rig.sandbox.control("POST", f"/ghl/contacts/{contact_id}/dnd", theirs)
        rig.sync()._keeper(rig.sync().prepare()).seen(honest(self, contact_id), "read")
        return before

    monkeypatch.setattr(GhlClient, "contact", late)
    assert rig.apply().outcomes["failed"] == 0
    assert "SMS" in blocked_channels(rig.contact_of(client))
    assert ("SMS", "GHL") in on_record(rig)
    assert contact["id"] == rig.contact_of(client)["id"]


def test_s10_a_refusal_that_is_imported_while_the_channel_is_being_opened_closes_it_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = about_to_open(rig)
    honest = GhlClient.update_contact

    def slow(self: GhlClient, contact_id: str, write: ContactWrite, **more: Any) -> Acknowledged:
        monkeypatch.setattr(GhlClient, "update_contact", honest)
        rig.edit_client(client, smsMarketingConsent=False)
        rig.load()
        return honest(self, contact_id, write, **more)

    monkeypatch.setattr(GhlClient, "update_contact", slow)
    assert rig.apply().outcomes["failed"] == 0
    assert blocked_channels(rig.contact_of(client)) == {"SMS", "Call", "WhatsApp"}


def test_s10_a_block_of_somebody_elses_that_was_lost_with_the_opening_is_put_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write sends what was read, and GHL keeps less of it than it got."""
    client, contact = about_to_open(rig)
    theirs = {"status": "active", "message": "asked at the desk"}
    rig.edit_contact(contact["id"], dndSettings={**contact["dndSettings"], "Email": theirs})
    honest = GhlClient.update_contact

    def loses(self: GhlClient, contact_id: str, write: ContactWrite, **more: Any) -> Acknowledged:
        monkeypatch.setattr(GhlClient, "update_contact", honest)
        answer = honest(self, contact_id, write, **more)
        held = rig.contact_of(client)["dndSettings"]
        rig.edit_contact(contact_id, dndSettings={name: one for name, one in held.items() if name != "Email"})
        return answer

    monkeypatch.setattr(GhlClient, "update_contact", loses)
    assert rig.apply().outcomes["failed"] == 0
    after = rig.contact_of(client)
    assert after["dndSettings"]["Email"] == theirs
    assert blocked_channels(after) == {"Email"}
