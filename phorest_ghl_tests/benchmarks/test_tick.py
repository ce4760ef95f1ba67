"""`bench tick` at a tiny size: each tick is held to what the sandbox has counted, and a newcomer is not passed over."""

import pytest

from benchmarks import tick
from benchmarks.beside_load import SLOT_S
from benchmarks.report import Options

pytestmark = pytest.mark.road


def test_a_tick_asks_for_what_changed_and_nothing_else() -> None:
    said: list[str] = []
    report = tick.run(Options(clients=300, rounds=1), said.append)
    calm, changes, others = (report.figures[name] for name in ("nothing changed", "changes", "other contacts"))
    assert int(calm["events"]) > 0
    assert calm["event_requests"] == 0
    drawn = [int(changes[name]) for name in ("new", "moved", "status", "cancelled")]
    assert all(drawn)
    assert changes["event_requests"] == sum(drawn)
    assert others["event_requests"] == 2 * int(others["given"])
    for case in (calm, changes, others):
        assert (case["contact_creates"], case["other_writes"], case["client_reads"]) == (0, 0, 0)
        assert int(case["ghl_reads"]) <= tick.READS
        assert int(case["requests"]) <= int(case["bound"])
    newcomers = report.figures["newcomers"]
    new = newcomers["newcomers"]
    assert newcomers["contact_creates"] == newcomers["event_requests"] == newcomers["client_reads"] == new
    assert newcomers["other_writes"] == 0
    assert int(newcomers["requests"]) <= int(newcomers["bound"])
    beside = report.figures["beside a load"]
    assert 0 < int(beside["contacts_at_its_beginning"]) <= int(beside["contacts_at_its_end"])
    assert int(beside["applied"]) > 0
    assert float(beside["wall_s"]) < float(beside["slot_s"]) == SLOT_S
    assert beside["rejected_429"] == 0
    assert len(said) == 7
