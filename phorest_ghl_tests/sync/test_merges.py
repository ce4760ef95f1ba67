"""Clients merged in Phorest, against the sandbox: one contact goes on, the other is closed, and no run ends half-way.

Belongs here: merges of clients in Phorest. Does not: contacts merged in GHL (`test_lifecycle`).
"""

from collections.abc import Iterator

import pytest

from phorest_ghl.ghl.fields import MERGED_TAG
from phorest_ghl.sync.keeper import Keeper
from phorest_ghl.sync.plan import ADDRESS
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import Rig, Row, installation
from phorest_ghl_tests.sync.test_safety_consent import blocked_channels
from phorest_ghl_tests.sync.test_safety_creates import alone

pytestmark = pytest.mark.road

ALL = {"Email", "SMS", "Call", "WhatsApp"}
AGREED = {"smsMarketingConsent": True, "emailMarketingConsent": True}


@pytest.fixture
def salon(database: Database) -> Iterator[Rig]:
    with installation(database.url, clients=16) as rig:
        yield rig


def people(rig: Rig, *, count: int = 2) -> list[str]:
    """Clients of their own addresses who agreed to everything."""
    ids = [row["clientId"] for row in alone(rig, count)]
    assert len(ids) == count
    for place, key in enumerate(ids):
        rig.edit_client(key, **AGREED, email=f"one{place}@example.com", mobile=f"+353 86 555 29{80 + place}")
    return ids


def merge(rig: Rig, loser: str, winner: str) -> None:
    rig.edit_client(loser, mergedToClientId=winner, deleted=True)


def contact(rig: Rig, ghl_id: str) -> Row:
    return next(row for row in rig.contacts() if row["id"] == ghl_id)


def on_contact(rig: Rig, *client_ids: str) -> dict[str, tuple[str, str]]:
    rows = rig.rows(
        "select phorest_id, ghl_id, role from entity_mappings where phorest_id = any(:ids)", ids=list(client_ids)
    )
    return {row["phorest_id"]: (row["ghl_id"], row["role"]) for row in rows}


def test_the_contact_of_a_merged_client_is_closed_and_tagged_and_its_client_joins_the_winners(salon: Rig) -> None:
    loser, winner = people(salon)
    salon.run()
    left, stays = salon.contact_of(loser), salon.contact_of(winner)
    assert blocked_channels(left) == blocked_channels(stays) == set()
    merge(salon, loser, winner)
    result = salon.run()
    assert (result.changes["retire"], result.changes["create"], result.outcomes["applied"]) == (1, 0, 1)
    after = contact(salon, left["id"])
    assert blocked_channels(after) == ALL
    assert set(after["tags"]) == {*left["tags"], MERGED_TAG}
    assert after["firstName"] == left["firstName"]
    assert contact(salon, stays["id"]) == stays
    assert on_contact(salon, loser, winner) == {loser: (stays["id"], "secondary"), winner: (stays["id"], "primary")}
    assert salon.rows("select ghl_id, phorest_id, cause from former_contacts") == [
        {"ghl_id": left["id"], "phorest_id": loser, "cause": "merged"}
    ]
    assert salon.plan().changes == ()


@pytest.mark.parametrize("after", ["put", "tag"])
def test_a_run_that_dies_while_a_contact_is_retired_is_completed_by_the_next(
    salon: Rig, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    loser, winner = people(salon)
    salon.run()
    left, stays = salon.contact_of(loser), salon.contact_of(winner)
    merge(salon, loser, winner)

    def dies(*_: object) -> None:
        raise RuntimeError("the process is gone")

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "tagged" if after == "put" else "joined", dies)
        with pytest.raises(RuntimeError):
            salon.run()
    assert blocked_channels(contact(salon, left["id"])) == ALL
    assert on_contact(salon, loser)[loser] == (left["id"], "primary")
    assert salon.run().changes["retire"] == 1
    assert on_contact(salon, loser, winner) == {loser: (stays["id"], "secondary"), winner: (stays["id"], "primary")}
    assert MERGED_TAG in contact(salon, left["id"])["tags"]
    assert salon.plan().changes == ()


def test_a_winner_without_a_contact_takes_the_losers_over(salon: Rig) -> None:
    (loser,) = people(salon, count=1)
    winner = next(row["clientId"] for row in salon.clients(why_not="no contact point"))
    salon.run()
    before = salon.contact_of(loser)
    salon.edit_client(winner, firstName="Winner", lastName="Takes All", **AGREED)
    merge(salon, loser, winner)
    result = salon.run()
    assert (result.changes["create"], result.changes["update"], result.changes["retire"]) == (0, 1, 0)
    after = salon.contact_of(winner)
    assert (after["id"], after["firstName"], after["lastName"]) == (before["id"], "Winner", "Takes All")
    assert on_contact(salon, loser, winner) == {loser: (before["id"], "secondary"), winner: (before["id"], "primary")}
    assert salon.plan().changes == ()


def test_an_address_that_the_closed_contact_still_holds_waits_for_a_person_and_holds_nothing_else_up(
    salon: Rig,
) -> None:
    """A person merges the two in GHL: it refuses the address to the winner's contact as long as the other one has it."""
    loser, winner = people(salon)
    salon.run()
    stays = salon.contact_of(winner)
    merge(salon, loser, winner)
    salon.run()
    salon.edit_client(winner, email="one0@example.com", firstName="Sadhbh")
    salon.run()
    after = contact(salon, stays["id"])
    assert (after["email"], after["firstName"]) == ("one1@example.com", "Sadhbh")
    assert salon.rows("select cause, phorest_id from work_items where state = 'open'") == [
        {"cause": ADDRESS, "phorest_id": winner}
    ]
    assert salon.plan().changes == ()


def test_a_chain_of_merges_ends_on_the_last_winners_contact(salon: Rig) -> None:
    first, second, third = people(salon, count=3)
    salon.run()
    stays = salon.contact_of(third)
    merge(salon, first, second)
    merge(salon, second, third)
    assert salon.run().changes["retire"] == 2
    assert {place for place, _ in on_contact(salon, first, second, third).values()} == {stays["id"]}
    assert salon.plan().changes == ()


def test_clients_merged_in_a_circle_keep_their_contacts_as_they_are_and_nothing_oscillates(salon: Rig) -> None:
    one, two = people(salon)
    salon.run()
    before = salon.contacts()
    merge(salon, one, two)
    merge(salon, two, one)
    salon.run()
    assert salon.plan().changes == ()
    assert len(salon.contacts()) == len(before)


def test_a_merge_undone_gives_the_client_its_own_contact_back(salon: Rig) -> None:
    loser, winner = people(salon)
    salon.run()
    left, stays = salon.contact_of(loser), salon.contact_of(winner)
    merge(salon, loser, winner)
    salon.run()
    salon.edit_client(loser, mergedToClientId=None, deleted=False, firstName="Undone")
    assert salon.run().changes["update"] == 1
    after = contact(salon, left["id"])
    assert (after["firstName"], blocked_channels(after), after["tags"]) == ("Undone", set(), left["tags"])
    assert on_contact(salon, loser, winner) == {loser: (left["id"], "primary"), winner: (stays["id"], "primary")}
    assert salon.rows("select * from former_contacts") == []
    assert contact(salon, stays["id"]) == stays
    assert salon.plan().changes == salon.plan().reviews == ()
    merge(salon, loser, winner)
    assert salon.run().changes["retire"] == 1
    assert blocked_channels(contact(salon, left["id"])) == ALL


def test_a_merge_undone_opens_no_channel_that_the_client_itself_refused(salon: Rig) -> None:
    loser, winner = people(salon)
    salon.edit_client(loser, smsMarketingConsent=False)
    salon.run()
    left = salon.contact_of(loser)
    merge(salon, loser, winner)
    salon.run()
    salon.edit_client(loser, mergedToClientId=None, deleted=False)
    salon.run()
    assert blocked_channels(contact(salon, left["id"])) == {"SMS", "Call", "WhatsApp"}
    assert salon.plan().changes == ()


def test_a_merge_into_a_client_whose_contact_is_gone_keeps_the_losers_contact_for_the_winner(salon: Rig) -> None:
    loser, winner = people(salon)
    salon.run()
    kept, gone = salon.contact_of(loser), salon.contact_of(winner)
    salon.delete_contact(gone["id"])
    salon.edit_client(winner, firstName="Winner")
    assert salon.run().reasons["skipped"]["contact gone from GHL"] == 1
    merge(salon, loser, winner)
    result = salon.run()
    assert (result.changes["update"], result.changes["retire"], result.changes["create"]) == (1, 0, 0)
    after = salon.contact_of(winner)
    assert (after["id"], after["firstName"], blocked_channels(after)) == (kept["id"], "Winner", set())
    assert on_contact(salon, loser, winner) == {loser: (kept["id"], "secondary"), winner: (kept["id"], "primary")}
    assert salon.rows("select cause from work_items where state = 'open'") == []
    assert salon.plan().changes == ()


def test_a_losers_contact_that_is_gone_is_no_reason_not_to_join_the_winner(salon: Rig) -> None:
    loser, winner = people(salon)
    salon.run()
    left, stays = salon.contact_of(loser), salon.contact_of(winner)
    salon.delete_contact(left["id"])
    merge(salon, loser, winner)
    salon.run()
    assert on_contact(salon, loser, winner) == {loser: (stays["id"], "secondary"), winner: (stays["id"], "primary")}
    assert salon.rows("select cause from work_items where state = 'open'") == []
    assert salon.plan().changes == ()
