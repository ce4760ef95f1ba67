"""Contacts that somebody else made, against the sandbox: taken over by name and address, filled, never overwritten (S14).

Belongs here: adoption and what a person decides about it. Does not: contacts made by us (`test_safety_creates`).
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from phorest_ghl.ghl.client import GhlClient
from phorest_ghl.ghl.fields import GUARD_TAG
from phorest_ghl.sync import review
from phorest_ghl.sync.decisions import Kind
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import LAG_S, Rig, Row, installation
from phorest_ghl_tests.sync.test_merges import contact
from phorest_ghl_tests.sync.test_road import NOTHING
from phorest_ghl_tests.sync.test_safety_consent import blocked_channels, willing

pytestmark = pytest.mark.road

STANDARD = (
    "firstName",
    "lastName",
    "email",
    "phone",
    "city",
    "address1",
    "dateOfBirth",
    "state",
    "postalCode",
    "country",
)
ADDRESS = ("address1", "city", "state", "postalCode", "country")


@pytest.fixture
def salon(database: Database) -> Iterator[Rig]:
    with installation(database.url, clients=24) as rig:
        yield rig


def theirs(rig: Rig, client: Row, **more: object) -> Row:
    """A contact that somebody made by hand for a client, as the client's own record says."""
    same = {"firstName": client["firstName"].strip(), "lastName": client["lastName"].strip()}
    return rig.make_contact(**{**same, "email": client["truth"]["email"], **more})


def decide(rig: Rig, kind: Kind, client_id: str) -> None:
    with rig.engine.begin() as connection:
        review.decide(
            connection,
            rig.runtime.keyring(),
            location_id=rig.runtime.ghl().location_id,
            kind=kind,
            phorest_id=client_id,
            operator="a test",
        )


def mapped_to(rig: Rig, client_id: str) -> str | None:
    rows = rig.rows("select ghl_id from entity_mappings where phorest_id = :id", id=client_id)
    return rows[0]["ghl_id"] if rows else None


def looser(before: Row, after: Row) -> set[str]:
    return blocked_channels(before) - blocked_channels(after)


def test_s14_in_a_location_that_an_agency_uses_nothing_of_theirs_is_overwritten_and_each_contact_costs_a_read_and_a_write(
    database: Database,
) -> None:
    with installation(database.url, clients=120, agency_contacts=60) as rig:
        before = {row["id"]: row for row in rig.contacts()}
        rig.load()
        rig.confirm()
        rig.forget_requests()
        result = rig.apply()
        report = rig.sandbox.control("GET", "/requests")
        after = {row["id"]: row for row in rig.contacts()}
        tags = [
            tag for key, row in after.items() if key in before for tag in set(row["tags"]) - set(before[key]["tags"])
        ]
        adopted, made = result.changes["adopt"], result.changes["create"]
        assert adopted > 15
        bulk = sum(-(-tags.count(tag) // 500) for tag in set(tags))
        assert report["apis"]["ghl"]["requests"] <= made + adopted + 1 + adopted + bulk + 30
        assert rig.requests("PUT", "/contacts/{contactId}") == adopted
        assert rig.requests("POST", "/contacts/bulk/tags/update/{type}") == bulk
        for key, was in before.items():
            now = after[key]
            assert {name: now.get(name) for name in STANDARD if was.get(name)} == {
                name: was[name] for name in STANDARD if was.get(name)
            }
            assert now["customFields"].items() >= was["customFields"].items()
            assert set(now["tags"]) >= set(was["tags"])
            assert {name: now.get(name) for name in ("dnd", "inboundDndSettings", "additionalEmails", "source")} == {
                name: was.get(name) for name in ("dnd", "inboundDndSettings", "additionalEmails", "source")
            }
            assert (
                now["dndSettings"].items()
                >= {n: s for n, s in was["dndSettings"].items() if s["status"] != "inactive"}.items()
            )
            if any(was.get(name) for name in ADDRESS):  # half of their address and half of ours is nobody's
                assert {name: now.get(name) for name in ADDRESS} == {name: was.get(name) for name in ADDRESS}
            if mapped_to_nobody := GUARD_TAG not in now["tags"]:
                assert (mapped_to_nobody, now) == (True, was)
        assert {row["agency"]["kind"] for row in after.values() if "agency" in row and GUARD_TAG in row["tags"]} <= {
            "same person", "family"}  # fmt: skip
        for row in rig.rows("select phorest_id, ghl_id from entity_mappings where metadata ->> 'adopted' = 'true'"):
            assert before[row["ghl_id"]]["agency"]["is"] == row["phorest_id"]
        time.sleep(2 * LAG_S)  # until the search shows what this run has tagged
        assert rig.apply().changes == NOTHING  # it asks once for the blocks that stood there before
        rig.forget_requests()
        again = rig.apply()
        assert again.changes == NOTHING
        assert rig.sandbox.control("GET", "/requests")["apis"]["ghl"]["requests"] <= 3


def test_s1_an_adopted_contact_has_the_guard_tag_before_it_is_read_and_written(
    salon: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = willing(salon)
    made = theirs(salon, client)
    calls: list[tuple[str, object]] = []
    for name in ("contact", "update_contact", "bulk_tags"):
        honest = getattr(GhlClient, name)

        def noted(self: GhlClient, *given: Any, honest: Any = honest, name: str = name, **more: Any) -> object:
            calls.append((name, given[0]))
            return honest(self, *given, **more)

        monkeypatch.setattr(GhlClient, name, noted)
    woken = len(salon.sandbox.truth("automations"))
    salon.run()
    mine = [name for name, given in calls if made["id"] in (given if isinstance(given, list) else [given])]
    assert mine[:3] == ["bulk_tags", "contact", "update_contact"]
    assert mine.count("update_contact") == 1
    since = [row for row in salon.sandbox.truth("automations")[woken:] if row["contact"] == made["id"]]
    assert since
    assert [row for row in since if row["sent"] and row["workflow"].endswith("guarded")] == []


def test_s14_consent_of_an_adopted_contact_is_only_tightened(salon: Rig) -> None:
    client = willing(salon, smsMarketingConsent=False)
    stop = {"Email": {"status": "permanent", "message": "STOP"}, "RCS": {"status": "active"}}
    made = theirs(salon, client, phone=client["truth"]["phone"], dndSettings=stop)
    salon.run()
    after = contact(salon, made["id"])
    assert {name: after["dndSettings"][name] for name in stop} == stop
    assert blocked_channels(after) == {"Email", "RCS", "SMS", "Call", "WhatsApp"}
    assert salon.plan().changes == ()


def test_s14_addresses_on_two_contacts_of_a_client_are_not_brought_together_by_us(salon: Rig) -> None:
    client = willing(salon)
    by_email = theirs(salon, client)
    other = salon.make_contact(firstName="Some", lastName="Body", phone=client["truth"]["phone"])
    salon.run()
    after = contact(salon, by_email["id"])
    assert (mapped_to(salon, client["clientId"]), after.get("phone")) == (by_email["id"], None)
    assert contact(salon, other["id"]) == other
    salon.forget_requests()
    assert salon.run().changes == NOTHING
    assert salon.requests("PUT", "/contacts/{contactId}") == 0
    assert salon.rows("select cause, detail from work_items where state = 'open'") == [
        {"cause": "address", "detail": {"ghl_id": other["id"]}}
    ]
    salon.delete_contact(other["id"])
    with salon.engine.begin() as connection:
        connection.exec_driver_sql("update ghl_contacts set gone_at = now() where ghl_id = %s", (other["id"],))
    assert salon.run().changes["update"] == 1
    assert contact(salon, by_email["id"])["phone"] == client["truth"]["phone"]
    salon.run()
    assert salon.rows("select cause from work_items where state = 'open'") == []


def test_s14_two_contacts_of_a_clients_name_are_for_a_person(salon: Rig) -> None:
    client = willing(salon)
    both = [theirs(salon, client), theirs(salon, client, email=None, phone=client["truth"]["phone"])]
    result = salon.run()
    assert (result.changes["adopt"], result.outcomes["rejected"]) == (0, 1)
    assert [contact(salon, row["id"]) for row in both] == both
    assert "merge them in GHL" in salon.rows("select reason from work_items where state = 'open'")[0]["reason"]


def test_a_person_accepts_an_adoption_and_then_lets_phorests_values_win(salon: Rig) -> None:
    client = willing(salon)
    made = theirs(salon, client, firstName="Nick", lastName="Name", city="Elsewhere")
    assert salon.run().outcomes["rejected"] == 1
    assert contact(salon, made["id"]) == made
    decide(salon, Kind.ADOPT, client["clientId"])
    assert salon.run().changes["adopt"] == 1
    after = contact(salon, made["id"])
    assert (after["firstName"], after["lastName"], after["phone"]) == ("Nick", "Name", client["truth"]["phone"])
    assert salon.rows("select kind from review_decisions where used_at is null") == []
    assert salon.rows("select cause from work_items where state = 'open'") == []
    assert salon.run().changes == NOTHING
    decide(salon, Kind.IDENTITY, client["clientId"])
    assert salon.run().changes["update"] == 1
    after = contact(salon, made["id"])
    assert (after["firstName"], after["lastName"]) == (client["firstName"].strip(), client["lastName"].strip())
    assert salon.run().changes == NOTHING
    assert salon.rows("select kind from review_decisions where used_at is null") == [{"kind": "identity"}]


def test_a_person_refuses_an_adoption_and_is_asked_again_only_when_somebody_changes(salon: Rig) -> None:
    client = willing(salon)
    made = theirs(salon, client, firstName="Nick", lastName="Name")
    salon.run()
    decide(salon, Kind.REFUSE_ADOPTION, client["clientId"])
    result = salon.run()
    assert result.reasons["skipped"]["a person decided that the contact in GHL is somebody else"] == 1
    assert salon.rows("select cause from work_items where state = 'open'") == []
    salon.edit_client(client["clientId"], firstName="Nick", lastName="Name")
    assert salon.run().changes["adopt"] == 1
    assert mapped_to(salon, client["clientId"]) == made["id"]


def test_a_contact_made_between_plan_and_apply_is_adopted_by_the_next_run_if_it_has_the_clients_name(
    salon: Rig,
) -> None:
    salon.load()
    salon.confirm()
    sync = salon.sync()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    client = willing(salon)
    made = theirs(salon, client, tags=["walked in"])
    assert salon.carry_out(sync, plan, prepared).outcomes["rejected"] == 1
    assert contact(salon, made["id"]) == made
    assert salon.run().changes["adopt"] == 1
    assert set(contact(salon, made["id"])["tags"]) >= {"walked in", GUARD_TAG}
    assert salon.rows("select cause from work_items where state = 'open'") == []


def test_s14_a_field_that_somebody_fills_between_plan_and_apply_is_theirs(salon: Rig) -> None:
    client = willing(salon)
    made = theirs(salon, client)
    salon.load()
    salon.confirm()
    sync = salon.sync()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    salon.edit_contact(made["id"], phone="+353865552999", city="Elsewhere")
    salon.carry_out(sync, plan, prepared)
    after = contact(salon, made["id"])
    assert (after["phone"], after["city"], after.get("address1")) == ("+353865552999", "Elsewhere", None)
    assert salon.run().changes == NOTHING


@pytest.mark.parametrize("clash", ["rejected", "dropped"])
def test_an_address_that_ghl_refuses_is_told_and_not_sent_again_until_it_changes(salon: Rig, clash: str) -> None:
    """Another contact got it a moment ago, so that our mirror does not know; GHL says 400, or takes the rest in silence."""
    client = willing(salon)
    salon.run()
    made = salon.contact_of(client["clientId"])
    salon.switch(ghl_put_clash=clash)
    salon.edit_client(client["clientId"], mobile="+353 86 555 2999", lastName="Moved")
    salon.make_contact(phone="+353865552999")
    salon.run()
    after = contact(salon, made["id"])
    assert after["phone"] == made["phone"]
    assert after["lastName"] == "Moved"  # an address that another contact holds keeps nothing else from being written
    assert [row["cause"] for row in salon.rows("select cause from work_items where state = 'open'")] == ["rejected"]
    kinds = [row["kind"] for row in salon.rows("select kind from audit_findings")]
    assert kinds == (["GHL did not keep a field"] if clash == "dropped" else [])
    salon.forget_requests()
    assert salon.run().outcomes["rejected"] == 1
    assert salon.requests("PUT", "/contacts/{contactId}") == 0
    salon.edit_client(client["clientId"], mobile="+353 86 555 2998")
    salon.run()
    assert contact(salon, made["id"])["phone"] == "+353865552998"
    assert salon.rows("select cause from work_items where state = 'open'") == []


def test_what_ghl_refused_is_forgotten_when_the_client_is_as_it_was_before(salon: Rig) -> None:
    client = willing(salon)
    salon.run()
    salon.make_contact(phone="+353865552999")
    salon.edit_client(client["clientId"], mobile="+353 86 555 2999")
    salon.run()
    assert salon.rows("select cause from work_items where state = 'open'") == [{"cause": "rejected"}]
    salon.edit_client(client["clientId"], mobile=client["mobile"])
    assert salon.run().changes == NOTHING
    assert salon.rows("select cause from work_items where state = 'open'") == []


def test_fields_that_ghl_ignores_are_findings_and_the_run_after_sends_nothing(salon: Rig) -> None:
    salon.fault("fields_ignored", "POST /contacts/", rate=1.0)
    salon.load()
    salon.confirm()
    made = salon.apply().changes["create"]
    salon.calm()
    found = [row["detail"]["fields"] for row in salon.rows("select detail from audit_findings")]
    assert len(found) == made
    assert all({"branch", "client_since", "phorest_id"} <= set(fields) for fields in found)
    salon.forget_requests()
    assert salon.run().outcomes["rejected"] == made
    assert salon.requests("PUT", "/contacts/{contactId}") == salon.requests("POST", "/contacts/") == 0
