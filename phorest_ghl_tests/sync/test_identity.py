"""Who shares a contact, and who speaks for it."""

import random
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.sync.consent import blocks
from phorest_ghl.sync.identity import JUNK_THRESHOLD, Household, Person, households, people, why_not_live, winners
from phorest_ghl.sync.source import ClientRow
from phorest_ghl_tests.sync.builders import COUNTRIES, client, salons


def grouped(clients: list[ClientRow]) -> list[Household]:
    return households(people(clients, COUNTRIES), {})


def naive_components(found: list[Person]) -> set[frozenset[str]]:
    """Components by searching the graph from everybody, the slow way; a merged record is its winner."""
    into = winners(person.client for person in found)

    def one(person: Person) -> str:
        return into.get(person.phorest_id, person.phorest_id)

    components: set[frozenset[str]] = set()
    for start in found:
        reached, todo = {start.phorest_id}, [start]
        while todo:
            here = todo.pop()
            for other in found:
                shares = (here.email and here.email == other.email) or (here.phone and here.phone == other.phone)
                if (shares or one(here) == one(other)) and other.phorest_id not in reached:
                    reached.add(other.phorest_id)
                    todo.append(other)
        components.add(frozenset(reached))
    return components


@given(salons(14))
def test_households_are_the_connected_components_of_shared_addresses(clients: list[ClientRow]) -> None:
    found = people(clients, COUNTRIES)
    assert {frozenset(m.phorest_id for m in h.members) for h in households(found, {})} == naive_components(found)


@given(salons(), st.randoms(use_true_random=False))
def test_the_order_of_the_clients_changes_nothing(clients: list[ClientRow], rng: random.Random) -> None:
    shuffled = list(clients)
    rng.shuffle(shuffled)

    def said(rows: list[ClientRow]) -> set[tuple[str, tuple[str, ...]]]:
        return {(h.primary.phorest_id, tuple(m.phorest_id for m in h.members)) for h in grouped(rows)}

    assert said(clients) == said(shuffled)


@given(salons(), st.sets(st.integers(0, 8)), st.booleans())
def test_everybody_is_in_exactly_one_household_and_every_anchor_speaks_for_its_own_contact(
    clients: list[ClientRow], mapped: set[int], group: bool  # noqa: FBT001
) -> None:  # fmt: skip
    found = people(clients, COUNTRIES)
    anchors = {p.phorest_id: f"X{p.phorest_id}" for n, p in enumerate(found) if n in mapped}
    made = households(found, anchors, group=group)
    members = [m.phorest_id for h in made for m in h.members]
    assert sorted(members) == sorted(p.phorest_id for p in found)
    kept = {h.speaker: h.anchor for h in made if h.anchor}
    left = {f.person.phorest_id: f.ghl_id for h in made for f in h.former}
    assert {**kept, **left} == anchors
    assert not kept.keys() & left.keys()
    assert all(h.members[0] is h.primary for h in made)
    into = winners(person.client for person in found)
    assert left.keys() <= into.keys()
    for h in made:
        ids = {m.phorest_id for m in h.members}
        assert h.speaker in (None, h.primary.phorest_id) or into[h.speaker] == h.primary.phorest_id
        if not group:  # everybody alone, but for the records that were merged into them
            assert len(ids - into.keys()) == 1 or len(ids) == 1


def test_a_merge_chain_is_followed_to_its_end_and_a_circle_ends_nowhere() -> None:
    chain = [client("A", merged_to="B"), client("B", merged_to="C"), client("C"), client("D", merged_to="unknown")]
    circle = [client("E", merged_to="F"), client("F", merged_to="E"), client("G", merged_to="E")]
    assert winners([*chain, *circle]) == {"A": "C", "B": "C"}


def test_a_merged_client_is_in_its_winners_household_whatever_its_addresses() -> None:
    rows = [client("W", email="w@example.com"), client("L", email="l@example.com", merged_to="W", deleted=True)]
    (household,) = grouped(rows)
    assert [m.phorest_id for m in household.members] == ["W", "L"]


@pytest.mark.parametrize(
    ("anchors", "anchor", "speaker", "former"),
    [
        ({"L": "X"}, "X", "L", []),
        ({"L": "X", "W": "Y"}, "Y", "W", [("L", "X")]),
        ({"L": "X", "M": "Z"}, "X", "L", [("M", "Z")]),
    ],
    ids=["the winner takes the contact over", "the loser's is left behind", "the second one is left behind"],
)
def test_what_a_merge_does_to_contacts(
    anchors: dict[str, str], anchor: str, speaker: str, former: list[tuple[str, str]]
) -> None:
    merged = {"merged_to": "W", "deleted": True}
    rows = [client("W", email="w@example.com"), client("L", email="l@example.com", **merged), client("M", **merged)]
    (household,) = households(people(rows, COUNTRIES), anchors)
    assert (household.primary.phorest_id, household.anchor, household.speaker) == ("W", anchor, speaker)
    assert [(f.person.phorest_id, f.ghl_id) for f in household.former] == former


@pytest.mark.parametrize("sharers", [JUNK_THRESHOLD, JUNK_THRESHOLD + 1])
def test_a_value_that_more_than_five_clients_share_is_no_contact_point_of_any(sharers: int) -> None:
    crowd = [client(f"C{n}", mobile="087 123 4567", email=f"c{n}@example.com") for n in range(sharers)]
    found = people(crowd, COUNTRIES)
    assert {p.phone for p in found} == ({"+353871234567"} if sharers == JUNK_THRESHOLD else {None})
    assert len(grouped(crowd)) == (1 if sharers == JUNK_THRESHOLD else sharers)
    assert all(p.email for p in found)


def test_a_merged_away_record_is_not_one_more_who_shares_an_address() -> None:
    family = [client(f"C{n}", mobile="087 123 4567") for n in range(JUNK_THRESHOLD)]
    losers = [client(f"L{n}", mobile="087 123 4567", merged_to="C0", deleted=True) for n in range(3)]
    assert {p.phone for p in people([*family, *losers], COUNTRIES)} == {"+353871234567"}


def test_the_walk_in_client_is_nobody() -> None:
    assert people([client("W", walk_in=True, mobile="087 123 4567")], COUNTRIES) == []


def test_a_phone_is_read_with_the_country_of_the_clients_branch_or_else_of_the_first_one() -> None:
    rows = [
        client("A", mobile="416 555 0100", branch_id="T"),
        client("B", mobile="087 123 4567", branch_id=None),
        client("C", mobile="087 123 4567", branch_id="elsewhere"),
    ]
    found = people(rows, {"D": "IE", "T": "CA"})
    assert [p.phone for p in found] == ["+14165550100", "+353871234567", "+353871234567"]


def test_s13_the_speaker_is_living_no_linked_child_seen_last_and_known_longest() -> None:
    shared = {"mobile": "087 123 4567"}
    ranked = [
        client("E", last_visit=date(2026, 2, 2), **shared),
        client("D", last_visit=date(2026, 1, 1), created_at=datetime(2019, 1, 1, tzinfo=UTC), **shared),
        client("C", last_visit=date(2026, 1, 1), created_at=datetime(2020, 1, 1, tzinfo=UTC), **shared),
        client("B", linked_to="E", last_visit=date(2026, 3, 3), **shared),
        client("A", archived=True, last_visit=date(2026, 4, 4), **shared),
    ]
    (household,) = grouped(ranked[::-1])
    assert [m.phorest_id for m in household.members] == ["E", "D", "C", "B", "A"]


def test_s13_the_speaker_stays_although_somebody_else_would_rank_higher() -> None:
    rows = [client("A", mobile="087 123 4567"), client("B", mobile="087 123 4567", last_visit=date(2026, 1, 1))]
    found = people(rows, COUNTRIES)
    assert households(found, {})[0].primary.phorest_id == "B"
    (sticky,) = households(found, {"A": "X"})
    assert (sticky.primary.phorest_id, sticky.anchor) == ("A", "X")


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ({"archived": True}, "archived"),
        ({"banned": True}, "banned"),
        ({"deleted": True}, "deleted in Phorest"),
        ({"merged_to": "B", "deleted": True}, "merged into another client"),
        ({"walk_in": True}, "walk-in client"),
        ({}, None),
    ],
)
def test_why_a_client_gets_no_contact_of_its_own(flag: dict[str, object], reason: str | None) -> None:
    assert why_not_live(client(**flag)) == reason


def test_s12_a_staff_members_number_is_no_contact_point_of_a_client_of_another_name() -> None:
    clients = [
        client(first_name="Aoife", last_name="Byrne", mobile="087 123 4567"),
        client(first_name="Niamh", last_name="Kelly", mobile="087 123 4567", email="niamh@example.com"),
    ]
    staff = {"+353871234567": frozenset({"niamh kelly"})}
    stranger, herself = people(clients, COUNTRIES, staff)
    assert stranger.phone is None
    assert (herself.phone, herself.email) == ("+353871234567", "niamh@example.com")


def test_s6_an_opt_out_counts_at_an_address_that_is_no_contact_point_of_the_one_who_opted_out() -> None:
    clients = [
        client(
            phorest_id="stranger", first_name="Aoife", last_name="Byrne", mobile="087 123 4567", sms_marketing=False
        ),
        client(phorest_id="herself", first_name="Niamh", last_name="Kelly", mobile="087 123 4567", sms_marketing=True),
    ]
    found = people(clients, COUNTRIES, {"+353871234567": frozenset({"niamh kelly"})})
    herself = next(h for h in households(found, {}) if h.primary.phorest_id == "herself")
    assert [member.phorest_id for member in herself.members] == ["herself"]
    assert "SMS" in blocks(herself, {}, "strict")
