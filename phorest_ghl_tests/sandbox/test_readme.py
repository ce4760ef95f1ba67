"""The README names every switch, option, control call and fault kind there is, and no other switch."""

import re
from dataclasses import fields
from pathlib import Path

from phorest_ghl.sandbox import faults
from phorest_ghl.sandbox.options import SandboxOptions, Switches
from phorest_ghl_tests.sandbox.driver import Driver
from phorest_ghl_tests.sandbox.test_facts import GHL, PHOREST
from phorest_ghl_tests.sandbox.test_hazards import HAZARDS

TEXT = (Path(faults.__file__).parent / "README.md").read_text()


ELSEWHERE = {  # held by tests of the wire, of webhooks and of calls that do not exist
    "latency is waited once a request",
    "webhooks are signed with both headers",
    "only a 429 is retried",
    "a create answers 422 and creates",
    "there is no bulk create, update or upsert and no bulk notes",
}


def _rows(first: str) -> list[list[str]]:
    """The cells of a table, by its first column's head."""
    lines = TEXT.partition(f"| {first} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_fact_that_a_test_holds_is_in_the_table_and_no_other() -> None:
    for head, facts in (("§13", PHOREST), ("§18", GHL)):
        shown = {f"{number} {text}" for number, cell, _ in _rows(head) for text in cell.split("; ")}
        assert {fact for fact in shown if fact.partition(" ")[2] not in ELSEWHERE} == set(facts)


def test_every_hazard_that_a_test_shows_is_in_the_table_and_no_other() -> None:
    shown = {(thread.removeprefix("#"), text) for thread, text, _ in _rows("thread") if text not in ELSEWHERE}
    assert shown == {(name[1:].partition("_")[0], name.partition("_")[2].replace("_", " ")) for name in HAZARDS}


def test_every_switch_is_explained_and_every_explained_switch_exists() -> None:
    named = set(re.findall(r"`((?:phorest|ghl)_[a-z0-9_]+)`", TEXT)) - {"phorest_secret", "ghl_token"}
    assert named == {field.name for field in fields(Switches)}


def test_every_option_is_explained() -> None:
    missing = [name for name in SandboxOptions().names() if f"`--{name.replace('_', '-')}`" not in TEXT]
    assert missing == []


def test_every_control_call_is_explained(drive: Driver) -> None:
    calls = [
        f"{route.method} {route.template.removeprefix('/__sandbox__')}" for route in drive.app.control.router.routes
    ]
    assert [call for call in calls if f"`{call}`" not in TEXT] == []


def test_every_fault_kind_is_explained() -> None:
    assert [kind for kind in faults.KINDS if f"`{kind}`" not in TEXT] == []


def test_every_kind_of_live_event_is_explained_and_no_other(drive: Driver) -> None:
    named = {kind for cell, _ in _rows("kind") for kind in re.findall(r"`(.+?)`", cell)}
    assert named == set(drive.app.control.live.kinds)
