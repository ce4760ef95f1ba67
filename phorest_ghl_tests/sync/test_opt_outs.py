"""Opt-outs that people set in GHL, on contacts of ours and of others (safety S9 to S11)."""

import time

import pytest

from phorest_ghl.ghl.models import ContactWrite
from phorest_ghl.sync.keeper import UNMARKED
from phorest_ghl.sync.opt_outs import NOT_POLLED
from phorest_ghl_tests.sync.rig import LAG_S, Rig, Row
from phorest_ghl_tests.sync.test_safety_consent import blocked_channels, willing

pytestmark = pytest.mark.road

ALL = {"Email", "SMS", "Call", "WhatsApp"}


def findings(rig: Rig) -> list[Row]:
    return rig.rows(
        "select resolved_at is not null as over, phorest_id, ghl_id from audit_findings where kind = :kind",
        kind=NOT_POLLED,
    )


def test_s11_a_contact_that_a_person_closed_as_a_whole_is_closed_on_every_channel_and_for_whoever_comes_next(
    rig: Rig,
) -> None:
    client = willing(rig)
    rig.run()
    contact = rig.contact_of(client["clientId"])
    assert blocked_channels(contact) == set()
    rig.edit_contact(contact["id"], dnd=True)
    rig.run()
    assert blocked_channels(rig.contact_of(client["clientId"])) == ALL
    heir = next(row for row in rig.clients(why_not="no contact point"))
    rig.edit_client(client["clientId"], email="moved.on@example.com")
    agreed = {"emailMarketingConsent": True, "smsMarketingConsent": True}
    rig.edit_client(heir["clientId"], email=client["truth"]["email"], **agreed)
    rig.run()
    rig.run()
    assert blocked_channels(rig.contact_of(heir["clientId"])) == {"Email"}
    # Off again, the contact opens where it is reached now. Who got its old address stays as silent as it was.
    rig.edit_contact(contact["id"], dnd=False)
    rig.edit_client(client["clientId"], firstName="Renamed")
    rig.run()
    rig.run()
    after = rig.contact_of(client["clientId"])
    assert (after["dnd"], blocked_channels(after)) == (False, set())
    assert blocked_channels(rig.contact_of(heir["clientId"])) == {"Email"}


def test_s11_where_ghl_does_not_know_the_filters_runs_go_on_with_one_finding(rig: Rig) -> None:
    rig.switch(ghl_dnd_filters=False)
    client = willing(rig, smsMarketingConsent=False)
    rig.run()
    assert findings(rig) == [{"over": False, "phorest_id": None, "ghl_id": None}]
    # A channel still opens, with the contact read by id before and after; a block that stands is found there.
    rig.edit_client(client["clientId"], smsMarketingConsent=True)
    rig.sandbox.control(
        "POST",
        f"/ghl/contacts/{rig.contact_of(client['clientId'])['id']}/dnd",
        {"channels": {"Call": "active"}, "message": "asked at the desk"},
    )
    assert rig.run().outcomes["failed"] == 0
    assert blocked_channels(rig.contact_of(client["clientId"])) == {"Call"}
    assert len(findings(rig)) == 1
    # Known again, all that was missed is asked for, and the finding is over.
    rig.switch(ghl_dnd_filters=True)
    rig.run()
    assert [row["over"] for row in findings(rig)] == [True]
    assert rig.rows("select polled_at is not null as asked from ghl_locations") == [{"asked": True}]


def test_s9_a_block_that_stood_in_ghl_before_the_first_run_outlives_a_contact_that_was_never_ours(rig: Rig) -> None:
    client = willing(rig)
    address = client["truth"]["email"]
    theirs = rig.make_contact(
        firstName="Somebody", lastName="Else", email=address, dndSettings={"Email": {"status": "active"}}
    )
    stranger = rig.make_contact(firstName="No", lastName="Client", email="stranger@example.com", dnd=True)
    rig.run()
    rig.run()  # the run after the first asks about everything that stood there before
    seen = {row["ghl_id"]: row["seen_by"] for row in rig.rows("select ghl_id, seen_by from ghl_contacts")}
    assert (seen[theirs["id"]], seen[stranger["id"]]) == ("read", "search")  # a stranger is nobody's business
    assert not any(client["clientId"] in contact["customFields"].values() for contact in rig.contacts())
    rig.delete_contact(theirs["id"])
    with rig.engine.begin() as connection:
        connection.exec_driver_sql("update ghl_contacts set gone_at = now() where ghl_id = %s", (theirs["id"],))
    rig.run()
    assert blocked_channels(rig.contact_of(client["clientId"])) == {"Email"}


def test_s10_an_address_that_a_person_edited_on_a_blocked_contact_is_seen_and_one_read_is_enough(rig: Rig) -> None:
    client = willing(rig, smsMarketingConsent=False)
    rig.run()
    rig.run()
    ghl_id = rig.contact_of(client["clientId"])["id"]
    rig.edit_contact(ghl_id, email="by.hand@example.com")
    time.sleep(2 * LAG_S)
    rig.plan()
    seen = rig.rows("select email, seen_by from ghl_contacts where ghl_id = :id", id=ghl_id)
    assert seen == [{"email": "by.hand@example.com", "seen_by": "read"}]
    rig.forget_requests()
    rig.plan()
    assert rig.requests("POST", "/contacts/search") == 1
    assert rig.requests("GET", "/contacts/{contactId}") == 0


def test_s7_a_location_that_drops_the_text_of_our_blocks_is_told_so_until_it_keeps_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = willing(rig, smsMarketingConsent=False)
    body = ContactWrite.body

    def without_text(self: ContactWrite, *given: object, **more: object) -> dict[str, object]:
        sent = body(self, *given, **more)  # type: ignore[arg-type]
        settings = sent.get("dndSettings") or {}
        return {**sent, "dndSettings": {name: {"status": held["status"]} for name, held in settings.items()}}

    def found() -> list[Row]:
        return rig.rows("select resolved_at is null as open from audit_findings where kind = :kind", kind=UNMARKED)

    with monkeypatch.context() as patched:
        patched.setattr(ContactWrite, "body", without_text)
        rig.run()
    assert [row["open"] for row in found()] == [True]
    rig.edit_client(client["clientId"], emailMarketingConsent=False)
    rig.run()
    assert [row["open"] for row in found()] == [False]
