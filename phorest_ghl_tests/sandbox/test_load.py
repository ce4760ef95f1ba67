"""Speed and memory: that they can be measured by anybody, and that what is kept is kept small."""

import gc
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from phorest_ghl.sandbox import load
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxProcess
from phorest_ghl.sandbox.world import World
from phorest_ghl_tests.sandbox.driver import Driver

SMALL = ["--clients=200", "--months=0", "--creates=150", "--pages=40", "--searches=5", "--connections=2"]


def _kept(work: Callable[[], object]) -> int:
    """Bytes that are still held after the work."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_an_automation_takes_less_than_fifty_bytes(drive: Driver) -> None:
    """A first load of a large salon makes hundreds of thousands, and the truth forgets none of them."""
    automations = drive.world.automations
    contacts = [{"id": f"{turn:020d}", "tags": ["vip"], "email": "a@example.com"} for turn in range(2_000)]

    def work() -> None:
        for turn, contact in enumerate(contacts):
            for trigger in ("contact created", "tag added", "field changed"):
                automations.fire(trigger, contact, at=f"2026-05-20T12:{turn // 60:02d}:{turn % 60:02d}.000Z")

    size = _kept(work)
    assert len(list(automations.runs())) == 2_000 * 3 * 4
    assert size / (2_000 * 3 * 4) < 50


def test_a_row_kept_as_json_takes_little_more_than_its_json(drive: Driver) -> None:
    clients = drive.world.phorest["clients"]
    size = _kept(lambda: [clients.blob(key) for key in clients.rows])
    assert size < 1.5 * sum(len(clients.blob(key)) for key in clients.rows)


def test_the_real_salon_with_thirteen_months_of_diary_is_ready_within_five_seconds() -> None:
    begun = time.process_time()
    world = World(SandboxOptions(clients=15_000, months=13))
    assert time.process_time() - begun < 5
    assert len(world.appointments) > 13 * 700, "about 850 a month (facts/phorest-api §12)"


def test_a_long_diary_reaches_back_as_far_as_was_asked() -> None:
    now = datetime(2026, 5, 20, 12, tzinfo=UTC)
    world = World(SandboxOptions(clients=800, months=13, now=now))
    months = {row["appointmentDate"][:7] for row in world.appointments.rows.values()}
    assert {"2025-04", "2025-05", "2026-04", "2026-05", "2026-08"} <= months


def test_the_command_measures_and_says_whether_the_bars_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    code = load.main(SMALL)
    lines = capsys.readouterr().out.splitlines()
    assert code == any("MISSED" in line for line in lines)
    barred = [line[:42].strip() for line in lines if "at least" in line or "at most" in line]
    assert barred == ["ready, with its Python", "pages of 100 clients", "contact creates"]
    assert len(lines) == 8


@pytest.mark.parametrize(("value", "at_most", "holds"), [(4.0, True, True), (6.0, True, False), (4.0, False, False)])
def test_a_bar_is_kept_on_its_own_side(value: float, *, at_most: bool, holds: bool) -> None:
    assert load.Line("x", value, "s", 5.0, at_most=at_most).holds is holds


def test_an_answer_that_is_no_success_ends_the_measurement() -> None:
    with SandboxProcess(SandboxOptions(clients=5, months=0)) as sandbox:
        sandbox.control("POST", "/faults", {"route": "POST /contacts/", "kind": "500", "rate": 1.0})
        with pytest.raises(ExceptionGroup) as raised:
            list(load.loaded(sandbox, load.Size(clients=5, creates=3, pages=1, searches=1, connections=1)))
    assert raised.group_contains(RuntimeError, match="The sandbox answered 500")
