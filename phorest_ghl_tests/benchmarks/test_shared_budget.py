"""`bench shared-budget` at a tiny size: three processes send through one budget, and none is starved."""

import pytest

from benchmarks import budget, shared_budget
from benchmarks.report import BenchError, Options


@pytest.mark.e2e
def test_every_window_is_measured_and_no_process_is_starved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "LATENCIES_MS", (50,))
    monkeypatch.setattr(budget, "LIMIT", 20)
    said: list[str] = []
    report = shared_budget.run(Options(requests=130, rate_window_s=0.5), said.append)
    assert set(report.figures) == {"50 ms, fixed", "50 ms, sliding"}
    assert len(said) == 2
    for figures in report.figures.values():
        assert (figures["window_s"], figures["processes"]) == (0.5, 3)
        assert 0 < report.ratio <= float(figures["share"]) <= 1
        assert 0.1 <= float(figures["least_part_of_one"]) <= 1 / 3
    assert report.holds == (
        report.ratio >= report.bar and all(figures["refused"] == 0 for figures in report.figures.values())
    )


def test_what_one_process_had_is_counted_while_all_were_sending() -> None:
    assert shared_budget.least_part([[0, 1, 2, 3, 4], [1, 2.5, 3], [0, 1, 2, 3]]) == 3 / 9
    assert shared_budget.least_part([[0, 5], [0, 1, 2, 3, 4, 5]]) == 2 / 8
    assert shared_budget.least_part([[0, 1], [2, 3]]) == 0


def test_a_process_that_ends_early_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_budget.sys, "executable", "/bin/false")
    with shared_budget._Sender() as sender, pytest.raises(BenchError, match="ended early: it did not say why"):
        sender.hear()
