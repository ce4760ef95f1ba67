"""Options and switches: what they refuse, and that a process gets the options it was given."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from phorest_ghl.sandbox.__main__ import read_options
from phorest_ghl.sandbox.options import SandboxOptions, Switches
from phorest_ghl.sandbox.server import arguments
from phorest_ghl.sandbox.settings import settings_for
from phorest_ghl.sandbox.world import World
from phorest_ghl.settings import load_settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"clients": 0},
        {"clients": 200_000},
        {"branches": 0},
        {"rate_window_s": 0},
        {"latency_ms": -1},
        {"now": datetime(2026, 1, 1)},  # noqa: DTZ001 - that it has no zone is the mistake
    ],
)
def test_an_impossible_salon_is_refused_with_a_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        SandboxOptions(**wrong)


def test_switches_change_all_or_nothing() -> None:
    switches = Switches()
    with pytest.raises(ValueError, match="There is no switch"):
        switches.change({"ghl_rate_max": 5, "nonsense": 1})
    assert switches.ghl_rate_max == 100
    switches.change({"ghl_rate_max": 5, "ghl_unique_identifiers": ["phone"]})
    assert (switches.ghl_rate_max, switches.ghl_unique_identifiers) == (5, ["phone"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ghl_window", "round"),
        ("ghl_rate_max", 1.5),
        ("ghl_rate_max", True),
        ("ghl_search_lag_s", "3"),
        ("ghl_unique_identifiers", ["fax"]),
    ],
)
def test_a_switch_takes_only_its_own_kind_of_value(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        Switches().change({name: value})


def test_the_window_option_is_the_window_switch() -> None:
    assert SandboxOptions(rate_window_s=0.5).make_switches().ghl_rate_window_s == 0.5


def test_a_process_gets_exactly_the_options_it_was_given(tmp_path: Path) -> None:
    options = SandboxOptions(
        port=4_711, clients=12, seed=3, latency_ms=1.5, rate_window_s=0.25, branches=2, months=1, crm_contacts=4,
        agency_contacts=3, state=tmp_path, now=datetime(2026, 1, 31, 9, tzinfo=UTC), switches={"ghl_window": "sliding"},
    )  # fmt: skip
    assert read_options(arguments(options, options.port)) == options


@pytest.mark.parametrize(
    "options", [{}, {"branches": 2}, {"rate_window_s": 0.5}, {"switches": {"ghl_rate_window_s": 2.5}}]
)
def test_the_product_takes_every_printed_setting_and_paces_by_the_sandboxes_window(options: dict[str, Any]) -> None:
    world = World(SandboxOptions(clients=5, months=0, **options))
    printed = settings_for(world, "http://127.0.0.1:4711")
    taken = load_settings(printed, env_file=None)
    assert taken.ghl_rate_window_s == world.switches.ghl_rate_window_s
    assert ("GHL_RATE_WINDOW_S" in printed) == (taken.ghl_rate_window_s != 10.0)
    assert taken.secret("GHL_PRIVATE_TOKEN") == world.credentials.ghl_token
    assert taken.zone.key == "Europe/Dublin"
    assert (taken.phorest_branch_id is None) == (len(world.phorest["branches"]) > 1), "None is all branches"
