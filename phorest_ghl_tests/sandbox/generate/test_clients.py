"""The generated salon has the real shape, and what the generator knows agrees with what the canonicaliser finds."""

import time
from collections import Counter

import pytest

from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.world import World
from phorest_ghl_tests.sandbox.driver import Driver


@pytest.fixture(scope="module")
def salon() -> World:
    """The real salon's size, two branches."""
    return World(SandboxOptions(branches=2, months=0))


def test_the_shares_of_email_phone_and_neither_are_those_of_the_real_salon(salon: World) -> None:
    rows = [draft.row for draft in salon.drafts[:-1]]
    email = sum(bool(row.get("email")) for row in rows) / len(rows)
    phone = sum(bool(row.get("mobile")) for row in rows) / len(rows)
    neither = sum(not row.get("email") and not row.get("mobile") for row in rows) / len(rows)
    assert len(rows) == 14_806
    assert (email, phone, neither) == pytest.approx((0.145, 0.656, 0.280), abs=0.006)


def test_every_shape_of_client_that_the_facts_name_occurs(salon: World) -> None:
    traits = Counter(trait for draft in salon.drafts for trait in draft.traits)
    expected = {
        "family",
        "landline only",
        "linked child",
        "junk",
        "archived",
        "deleted",
        "banned",
        "merged",
        "staff",
        "staff number",
    }
    assert expected <= set(traits)
    share = {
        name: traits[name] / 14_806 for name in ("landline only", "archived", "deleted", "banned", "merged", "family")
    }
    assert share == pytest.approx(
        {"landline only": 0.02, "archived": 0.02, "deleted": 0.01, "banned": 0.01, "merged": 0.012, "family": 0.03},
        abs=0.003,
    )
    losers = {
        draft.row["clientId"]: draft.row["mergedToClientId"] for draft in salon.drafts if "merged" in draft.traits
    }
    assert any(winner in losers for winner in losers.values()), "some winners were merged away themselves"


def test_what_the_generator_knows_by_construction_is_what_the_canonicaliser_finds(salon: World) -> None:
    truths = salon.truths()
    found = {key: truths.of(key) for key in salon.phorest["clients"].rows}
    known = {draft.row["clientId"]: (draft.email, draft.phone) for draft in salon.drafts[:-1]}
    wrong = [key for key, pair in known.items() if (found[key]["email"], found[key]["phone"]) != pair]
    assert wrong == []


def test_archived_banned_deleted_and_merged_clients_have_addresses_too(salon: World) -> None:
    """A filter that only looks for an address must not be enough to leave them out."""
    for trait in ("archived", "deleted", "banned", "merged"):
        assert sum(bool(draft.phone) for draft in salon.drafts if trait in draft.traits) > 20


def test_the_same_seed_makes_the_same_salon_and_another_seed_another() -> None:
    now = Driver().world.clock.now()
    one, two, other = (World(SandboxOptions(clients=80, seed=seed, months=0, now=now)) for seed in (3, 3, 4))
    assert one.phorest["clients"].rows.keys() == two.phorest["clients"].rows.keys()
    assert one.phorest["clients"].rows.keys() != other.phorest["clients"].rows.keys()


def test_ids_are_22_characters_and_one_starts_with_a_dash_even_in_a_small_salon() -> None:
    keys = list(Driver(clients=5).world.phorest["clients"].rows)
    assert {len(key) for key in keys} == {22}
    assert any(key.startswith("-") for key in keys)
    assert {key[-1] for key in keys} <= set("AQgw")


def test_half_of_the_null_fields_are_left_out_and_half_are_null(salon: World) -> None:
    rows = [draft.row for draft in salon.drafts]
    absent = sum("externalId" not in row for row in rows)
    assert absent / len(rows) == pytest.approx(0.5, abs=0.05)


def test_the_walk_in_record_is_never_syncable(salon: World) -> None:
    assert salon.truths().of(salon.walk_in)["why_not"] == "walk-in"


def test_fifteen_thousand_clients_are_ready_well_under_five_seconds() -> None:
    start = time.process_time()
    World(SandboxOptions(clients=15_000, months=0))
    assert time.process_time() - start < 3.0


def test_two_branches_lie_in_two_zones_with_phones_of_their_own_countries() -> None:
    drive = Driver(clients=200, branches=3, months=1)
    branches = drive.phorest("GET", "/branch").json["_embedded"]["branches"]
    assert [row["timeZone"] for row in branches] == ["Europe/Dublin", "America/Toronto", "Europe/Dublin"]
    homes = {row["branchId"] for row in drive.world.appointments.rows.values()}
    assert homes == {row["branchId"] for row in branches}, "each branch has a diary"
    truths = [row["truth"]["phone"] or "" for row in drive.control("GET", "/phorest/clients").json]
    assert {"+353", "+1"} <= {"+1" if phone.startswith("+1") else phone[:4] for phone in truths}


def test_two_records_are_each_merged_into_the_other(salon: World) -> None:
    one, two = (draft.row for draft in salon.drafts if "cycle" in draft.traits)
    assert (one["mergedToClientId"], two["mergedToClientId"]) == (two["clientId"], one["clientId"])
    assert {salon.truths().of(row["clientId"])["why_not"] for row in (one, two)} == {"merged"}


def test_some_of_a_family_are_linked_to_the_one_whose_phone_they_share(salon: World) -> None:
    known, truths = {draft.row["clientId"]: draft for draft in salon.drafts}, salon.truths()
    linked = [draft for draft in salon.drafts if "linked" in draft.traits]
    assert len(linked) > 100
    assert all(known[draft.row["linkedClientId"]].phone == draft.phone for draft in linked)
    households = [
        {truths.of(key)["household"] for key in (row["clientId"], row["linkedClientId"])}
        for row in (draft.row for draft in linked)
    ]
    assert {len(pair) for pair in households} == {1}
