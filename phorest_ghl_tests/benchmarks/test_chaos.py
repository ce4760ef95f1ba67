"""`bench chaos` at a tiny size, its seeds, and a judge that sees what is wrong."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import chaos, fuse
from benchmarks.chaos import Outcome, Plan
from benchmarks.chaos_truth import Verdict, judged
from benchmarks.fuse import Boundary, Order, Spark
from benchmarks.report import Options
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl_tests.sync.rig import options


def test_a_round_follows_from_its_seed_alone() -> None:
    assert Plan.of(3, 7) == Plan.of(3, 7)
    assert Plan.of(3, 7) != replace(Plan.of(4, 7), seed=Plan.of(3, 7).seed)
    assert {Plan.of(1, number).scenario for number in range(6)} == set(chaos.SCENARIOS)
    plans = [Plan.of(1, number) for number in range(60)]
    assert {plan.storm for plan in plans} == {plan.live for plan in plans} == {False, True}
    assert {spark.backend for plan in plans for spark in plan.sparks} == {False, True}


def test_a_round_that_does_not_hold_says_how_to_repeat_it() -> None:
    line = chaos._line(5, Outcome(Plan.of(5, 2), kills=1, verdict=Verdict(duplicates=2)))
    assert "does not hold: {'duplicates': 2}" in line
    assert "phorest-ghl bench chaos --seed 5 --only-round 3" in line


def test_the_judge_counts_who_has_no_contact_and_who_has_two() -> None:
    with SandboxServer(options(clients=20)) as sandbox:
        syncable = [row for row in sandbox.truth("phorest/clients") if row["truth"]["syncable"]]
        empty = judged(sandbox, (), plans=0, unsettled=0)
        assert (empty.missing, empty.duplicates, empty.holds) == (len(syncable), 0, False)
        for _ in range(2):
            sandbox.control("POST", "/ghl/contacts", {"customFields": {"an id": syncable[0]["clientId"]}})
        assert judged(sandbox, (), plans=0, unsettled=0).duplicates == 1


def test_a_fuse_kills_the_process_at_the_named_crossing_of_the_named_boundary(tmp_path: Path) -> None:
    log = tmp_path / "crossed"
    order = Order([], Spark(boundary=Boundary.ANSWERED, operation="GET /two", nth=2), str(log))
    assert Order.parse(order.line()) == order
    script = f"""
        import sys
        from benchmarks.fuse import Boundary, Order, _Fuse
        import os
        order = Order.parse(sys.argv[1])
        fuse = _Fuse(order.spark, os.open(order.crossed, os.O_WRONLY | os.O_CREAT))
        for boundary, operation in {[("SENT", "GET /two"), ("ANSWERED", "GET /one"), *[("ANSWERED", "GET /two")] * 3]}:
            fuse.cross(Boundary[boundary], operation)
    """
    code = "\n".join(
        line.strip() if "fuse.cross" not in line else "    " + line.strip() for line in script.splitlines()
    )
    done = subprocess.run([sys.executable, "-c", code, order.line()], env=dict(os.environ), check=False)
    assert done.returncode == -signal.SIGKILL
    crossed = fuse.crossings(log)
    assert crossed[-1] == (fuse.BURNT, "GET /two")
    assert crossed.count((Boundary.ANSWERED, "GET /two")) == 2


@pytest.mark.crash
@pytest.mark.timeout(600)
def test_a_first_load_that_is_killed_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos.drt_peer, "executable", lambda: None)
    said: list[str] = []
    report = chaos.run(Options(rounds=1, clients=10), said.append)
    assert report.holds, said
    assert int(report.figures["first load"]["kills"]) > 0
