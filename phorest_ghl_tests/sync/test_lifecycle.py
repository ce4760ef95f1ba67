"""What becomes of a contact while its client is archived, banned, deleted and back, or it is merged or deleted in GHL.

Belongs here: design §6's table, each row with its undo; the sticky primary. Does not: merges in Phorest (`test_merges`).
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest

from phorest_ghl.ghl.fields import ARCHIVED_TAG, BANNED_TAG, DELETED_TAG, GUARD_TAG, Facet
from phorest_ghl.sync.decisions import Kind
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.builders import client as row_of
from phorest_ghl_tests.sync.rig import Rig, Row, installation
from phorest_ghl_tests.sync.test_adoption import decide, mapped_to
from phorest_ghl_tests.sync.test_merges import ALL
from phorest_ghl_tests.sync.test_plan import World
from phorest_ghl_tests.sync.test_road import NOTHING
from phorest_ghl_tests.sync.test_safety_consent import blocked_channels, willing
from phorest_ghl_tests.sync.test_safety_creates import alone

pytestmark = pytest.mark.road


@pytest.fixture
def salon(database: Database) -> Iterator[Rig]:
    with installation(database.url, clients=24) as rig:
        yield rig


def ours(rig: Rig, row: Row) -> dict[str, object]:
    """The values of our fields on a contact, by the fields' names."""
    named = {field["id"]: field["name"] for field in rig.sandbox.truth("ghl/fields")}
    return {named[key]: value for key, value in row["customFields"].items() if value not in ("", None)}


def changed(before: Row, after: Row) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} - {
        "dateUpdated", "dndChanged"}  # fmt: skip


def test_an_archived_client_keeps_its_contact_as_it_is_but_for_a_tag_and_is_projected_again_when_it_is_back(
    salon: Rig,
) -> None:
    client = willing(salon)
    salon.run()
    before = salon.contact_of(client["clientId"])
    salon.edit_client(client["clientId"], archived=True, firstName="Archived")
    salon.run()
    after = salon.contact_of(client["clientId"])
    assert changed(before, after) == {"tags"}
    assert set(after["tags"]) - set(before["tags"]) == {ARCHIVED_TAG}
    assert salon.run().changes == NOTHING
    salon.edit_client(client["clientId"], archived=False)
    salon.run()
    after = salon.contact_of(client["clientId"])
    assert (after["firstName"], set(after["tags"])) == ("Archived", set(before["tags"]))
    assert salon.run().changes == NOTHING


def test_a_ban_closes_all_channels_and_its_end_opens_those_that_the_client_itself_has_not_refused(salon: Rig) -> None:
    client = willing(salon)
    salon.run()
    before = salon.contact_of(client["clientId"])
    salon.edit_client(client["clientId"], banned=True)
    salon.run()
    after = salon.contact_of(client["clientId"])
    assert (blocked_channels(after), BANNED_TAG in after["tags"]) == (ALL, True)
    salon.edit_client(client["clientId"], banned=False, smsMarketingConsent=False)
    salon.run()
    after = salon.contact_of(client["clientId"])
    assert (blocked_channels(after), set(after["tags"])) == ({"SMS", "Call", "WhatsApp"}, set(before["tags"]))
    assert salon.run().changes == NOTHING


def test_a_deleted_client_has_its_fields_cleared_and_read_back_and_gets_them_back_when_it_is_restored(
    salon: Rig,
) -> None:
    client = willing(salon)
    salon.edit_client(client["clientId"], externalId="OLD TILL 7")
    salon.run()
    before = salon.contact_of(client["clientId"])
    assert {"Phorest id", "Phorest branch", "Phorest client since", "Phorest external id"} <= ours(salon, before).keys()
    salon.edit_client(client["clientId"], deleted=True)
    salon.forget_requests()
    salon.run()
    assert salon.requests("GET", "/contacts/{contactId}") == 2  # before the write, and after it
    after = salon.contact_of(client["clientId"])
    assert ours(salon, after) == {"Phorest id": client["clientId"]}
    assert (blocked_channels(after), DELETED_TAG in after["tags"]) == (ALL, True)
    assert {name: after[name] for name in ("firstName", "email", "phone")} == {
        name: before[name] for name in ("firstName", "email", "phone")
    }
    assert salon.run().changes == NOTHING
    salon.edit_client(client["clientId"], deleted=False)
    salon.run()
    after = salon.contact_of(client["clientId"])
    assert ours(salon, after) == ours(salon, before)
    assert (blocked_channels(after), set(after["tags"])) == (set(), set(before["tags"]))
    assert salon.run().changes == NOTHING


def test_s18_a_clear_that_ghl_ignores_is_a_finding_and_is_not_sent_for_ever(salon: Rig) -> None:
    client = willing(salon)
    salon.run()
    salon.fault("clear_ignored", "PUT /contacts/{contactId}", rate=1.0)
    salon.edit_client(client["clientId"], deleted=True)
    salon.run()
    assert blocked_channels(salon.contact_of(client["clientId"])) == ALL
    (finding,) = salon.rows("select kind, detail from audit_findings")
    assert finding["kind"] == "GHL did not keep a field"
    assert {"branch", "client_since"} <= set(finding["detail"]["fields"])
    salon.forget_requests()
    assert salon.run().outcomes["rejected"] == 1
    assert salon.requests("PUT", "/contacts/{contactId}") == 0
    salon.calm()
    salon.edit_client(client["clientId"], deleted=False)
    salon.run()
    salon.edit_client(client["clientId"], deleted=True)
    salon.run()
    assert ours(salon, salon.contact_of(client["clientId"])) == {"Phorest id": client["clientId"]}
    assert salon.rows("select kind from audit_findings where resolved_at is null") == []


@pytest.mark.parametrize("state", ["archived", "banned", "deleted"])
def test_a_client_that_never_had_a_contact_gets_one_only_when_its_state_is_over(salon: Rig, state: str) -> None:
    client = willing(salon, **{state: True})
    salon.run()
    assert mapped_to(salon, client["clientId"]) is None
    salon.edit_client(client["clientId"], **{state: False})
    assert salon.run().changes["create"] == 1
    assert blocked_channels(salon.contact_of(client["clientId"])) == set()


# --- people's work on contacts in GHL


def test_s16_a_contact_merged_in_ghl_into_another_of_the_same_person_is_followed_there(salon: Rig) -> None:
    client = willing(salon, smsMarketingConsent=False)
    salon.run()
    mine = salon.contact_of(client["clientId"])
    kept = salon.make_contact(firstName=mine["firstName"], lastName=mine["lastName"], email="second@example.com")
    salon.sandbox.control("POST", f"/ghl/contacts/{mine['id']}/merge", {"into": kept["id"]})
    salon.edit_contact(kept["id"], email=mine["email"], phone=mine["phone"])
    salon.edit_client(client["clientId"], notes="so that we look", emailMarketingConsent=False)
    salon.run()  # finds out that it is gone, and who holds the address
    salon.run()
    assert mapped_to(salon, client["clientId"]) == kept["id"]
    after = salon.contact_of(client["clientId"])
    assert (after["id"], blocked_channels(after)) == (kept["id"], ALL)
    assert salon.rows("select cause from work_items where state = 'open'") == []
    assert salon.run().changes == NOTHING


def test_s9_a_contact_merged_in_ghl_into_another_persons_is_for_a_person(salon: Rig) -> None:
    client, other = (row["clientId"] for row in alone(salon, 2))
    salon.run()
    mine, kept = salon.contact_of(client), salon.contact_of(other)
    salon.sandbox.control("POST", f"/ghl/contacts/{mine['id']}/merge", {"into": kept["id"]})
    salon.edit_client(client, firstName="Looked", lastName="For")
    salon.run()
    salon.run()
    assert (mapped_to(salon, client), mapped_to(salon, other)) == (mine["id"], kept["id"])
    assert {row["cause"] for row in salon.rows("select cause from work_items where state = 'open'")} == {"gone"}
    assert salon.run().changes["create"] == 0


def test_s9_a_contact_deleted_in_ghl_is_made_again_by_command_alone_and_with_the_strictest_consent_ever_seen(
    salon: Rig,
) -> None:
    client = willing(salon)
    salon.run()
    gone = salon.contact_of(client["clientId"])
    salon.sandbox.control(
        "POST", f"/ghl/contacts/{gone['id']}/dnd", {"channels": {"SMS": "permanent"}, "message": "STOP"}
    )
    salon.run()  # the poll puts the STOP on record
    salon.delete_contact(gone["id"])
    salon.edit_client(client["clientId"], lastName="Changed")
    for _ in range(2):
        assert salon.run().reasons["skipped"]["contact gone from GHL"] == 1
    assert salon.rows("select kind from audit_findings") == [{"kind": "contact gone from GHL"}]
    decide(salon, Kind.RECREATE, client["clientId"])
    assert salon.run().changes["create"] == 1
    made = salon.contact_of(client["clientId"])
    assert made["id"] != gone["id"]
    assert {"SMS"} <= blocked_channels(made)
    assert "Email" not in blocked_channels(made)
    assert (made["lastName"], GUARD_TAG in made["tags"]) == ("Changed", True)
    assert salon.rows("select kind from review_decisions where used_at is null") == []
    assert salon.rows("select cause from work_items where state = 'open'") == []
    assert salon.rows("select kind from audit_findings where resolved_at is null") == []
    assert salon.run().changes == NOTHING


# --- the sticky primary


def test_s13_a_year_of_family_visits_renames_nobody() -> None:
    """Whoever comes in, the mother's contact stays hers; the children, linked to her, come every few weeks."""
    mother = row_of("M", first_name="Maeve", mobile="087 123 4567", last_visit=date(2025, 1, 1))
    family = [
        mother,
        row_of("F", first_name="Fionn", mobile="087 123 4567", linked_to=None),
        row_of("C1", first_name="Cara", mobile="087 123 4567", linked_to="M"),
        row_of("C2", first_name="Conor", mobile="087 123 4567", linked_to="M"),
    ]
    world = World()
    world.apply(world.plan(family))
    assert {held.first_name for held in world.mirror.values()} == {"Maeve"}
    for week in range(52):
        place = (week * 7) % 4
        family[place] = replace(family[place], last_visit=date(2026, 1, 1) + timedelta(weeks=week))
        plan = world.plan(family)
        assert [d for change in plan.changes for d in change.diffs if d.facet is Facet.IDENTITY] == []
        assert plan.changes == ()
        world.apply(plan)


def test_s13_visits_of_a_family_change_nothing_in_ghl(salon: Rig) -> None:
    one, two = (row["clientId"] for row in alone(salon, 2))
    for key, visit in ((one, "2026-01-05"), (two, "2026-01-04")):
        salon.edit_client(key, mobile="+353 86 555 2970", email=None, lastVisit=visit, linkedClientId=None)
    salon.run()
    before = salon.contact_of(one)
    for week, key in ((11, two), (12, one), (13, two)):
        salon.edit_client(key, lastVisit=f"2026-01-{week}")
        assert salon.run().changes == NOTHING
    assert salon.contact_of(one) == before


def test_a_client_without_an_address_gets_a_contact_only_where_the_salon_wants_it(database: Database) -> None:
    with installation(database.url, clients=24, settings={"SYNC_WITHOUT_CONTACT_POINT": "true"}) as rig:
        nameless = {row["clientId"] for row in rig.clients(why_not="no contact point")}
        assert nameless
        rig.fault("timeout_after_commit", "POST /contacts/", count=3, ms=5)
        rig.run()
        rig.run()
        held = [value for row in rig.contacts() for value in row["customFields"].values()]
        assert all(held.count(key) == 1 for key in nameless)
        assert rig.run().changes == NOTHING
        (key,) = list(nameless)[:1]
        rig.edit_client(key, mobile="+353 86 555 2971", smsMarketingConsent=False)
        assert rig.run().changes["update"] == 1
        after = rig.contact_of(key)
        assert (after["phone"], blocked_channels(after) >= {"SMS"}) == ("+353865552971", True)
