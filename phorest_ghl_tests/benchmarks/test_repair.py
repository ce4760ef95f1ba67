"""`bench repair` at a tiny size: it measures newcomers whom the sandbox has seen come, beside a load that goes on."""

import pytest

from benchmarks import repair
from benchmarks.report import BenchError, Options


def test_the_percentile_is_a_value_that_was_measured_and_few_exceed() -> None:
    values = [float(number) for number in range(1, 21)]
    assert repair.percentile(values, 0.95) == 19
    assert repair.percentile([*values[:-2], 90, 99], 0.95) == 90
    assert repair.percentile([7.0], 0.95) == 7


def test_more_newcomers_than_the_diary_has_days_are_refused() -> None:
    with pytest.raises(BenchError, match="at most"):
        repair.run(Options(rounds=101), print)


@pytest.mark.road
def test_newcomers_are_brought_once_each_while_a_load_goes_on() -> None:
    report = repair.run(Options(clients=400, rounds=2), lambda _: None)
    found = report.figures["inline"]
    assert (found["fetches"], found["contacts"], found["events"]) == (2, 2, 2)
    assert int(found["made_by_the_load_meanwhile"]) > 0
    assert (found["refused"], found["load_ended"]) == (0, False)
    assert 0.3 < float(found["p50_s"]) <= float(found["worst_s"])
