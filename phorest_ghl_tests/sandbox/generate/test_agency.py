"""An agency's own contacts agree with the salon's clients exactly as far as their truth says, and the salon stays the same."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from phorest_ghl.sandbox.canon import name_of
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.world import World
from phorest_ghl_tests.sandbox.driver import Driver

NOW = datetime(2026, 10, 5, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> World:
    """A salon of 1,000 clients whose agency has 300 contacts."""
    return World(SandboxOptions(clients=1_000, months=0, agency_contacts=300, now=NOW))


def _kinds(world: World) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in world.contacts.rows.values():
        found.setdefault(row["agency"]["kind"], []).append(row)
    return found


def test_there_are_as_many_as_asked_for_of_every_kind(world: World) -> None:
    counts = Counter({kind: len(rows) for kind, rows in _kinds(world).items()})
    assert counts.total() == 300
    assert counts["same person"] > 90
    assert min(counts[kind] for kind in ("other name", "relative", "family", "twice", "two clients")) >= 8
    assert (counts["staff"] > 0, counts["salon number"]) == (True, 1)


def test_each_contact_has_the_addresses_of_its_clients_and_no_others(world: World) -> None:
    truths = world.truths()
    known = {
        value: key
        for key in world.phorest["clients"].rows
        if truths.of(key)["syncable"]
        for value in (truths.of(key)["email"], truths.of(key)["phone"])
        if value
    }
    wrong = [
        row["agency"]
        for row in world.contacts.rows.values()
        if row["agency"]["kind"] not in {"family", "staff"}
        and {known[value] for value in (row.get("email"), row.get("phone")) if value in known}
        != set(row["agency"]["clients"])
    ]
    assert wrong == []


def test_a_name_is_the_clients_where_the_truth_says_so_and_nowhere_else(world: World) -> None:
    clients = world.phorest["clients"].rows
    wrong = [
        row["agency"]
        for row in world.contacts.rows.values()
        for key in row["agency"]["clients"]
        if (name_of(row) == name_of(clients[key])) != (row["agency"]["is"] == key)
        and row["agency"]["kind"] not in {"family", "two clients"}
    ]
    assert wrong == []


def test_a_quarter_opted_out_by_a_person_and_many_have_values_of_their_own(world: World) -> None:
    rows = list(world.contacts.rows.values())
    opted = [row for row in rows if row.get("dndChanged")]
    assert len(opted) == 75
    assert {last["by"] for row in opted for last in row["dndChanged"].values()} == {"person"}
    assert {"SMS", "Email", "Call", "WhatsApp", "all", "inbound"} == {
        name for row in opted for name in row["dndChanged"]
    }
    fields = world.ghl["fields"].rows
    assert all(set(row["customFields"]) <= set(fields) for row in rows)
    assert sum(bool(row["customFields"]) for row in rows) == 120
    assert {tag for row in rows for tag in row["tags"]} == {row["name"] for row in world.ghl["tags"].rows.values()}


def test_the_salon_is_the_same_with_and_without_them(world: World) -> None:
    without = World(SandboxOptions(clients=1_000, months=0, now=NOW))
    assert without.phorest["clients"].rows == world.phorest["clients"].rows
    assert without.location == world.location


def test_they_read_like_any_other_contact_and_say_nothing_of_their_truth() -> None:
    drive = Driver(clients=60, agency_contacts=20)
    shown = drive.search()
    assert len(shown) == 20
    assert not any("agency" in row or "dndChanged" in row for row in shown)
    assert len(drive.ghl("GET", f"/locations/{drive.location}/customFields").json["customFields"]) == 3


def test_a_salon_of_few_clients_gets_unrelated_ones_instead() -> None:
    world = World(SandboxOptions(clients=5, months=0, agency_contacts=60, now=NOW))
    assert len(world.contacts) == 60
    assert len(_kinds(world)["unrelated"]) > 40
