"""Rate windows of both shapes, in real time that the tests own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phorest_ghl.sandbox import limits, observed


class _Time:
    now = 1_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Time:
    """A monotonic clock that only the test moves."""
    return _own_clock(monkeypatch)


def _own_clock(monkeypatch: pytest.MonkeyPatch) -> _Time:
    time = _Time()
    monkeypatch.setattr(limits.time, "monotonic", lambda: time.now)
    return time


def test_a_fixed_window_opens_with_the_first_request_and_lets_a_double_burst_through_at_its_edge(clock: _Time) -> None:
    window = limits.Window()
    ask = {"limit": 10, "seconds": 10.0, "kind": "fixed", "rejected_count": True}
    clock.now += 9.9
    assert [window.take(**ask)[0] for _ in range(11)] == [True] * 10 + [False]
    clock.now += 10.0
    assert [window.take(**ask)[0] for _ in range(10)] == [True] * 10


def test_a_sliding_window_never_lets_more_than_the_limit_into_any_window(clock: _Time) -> None:
    window = limits.Window()
    ask = {"limit": 10, "seconds": 10.0, "kind": "sliding", "rejected_count": False}
    clock.now += 9.9
    assert all(window.take(**ask)[0] for _ in range(10))
    clock.now += 0.2
    assert window.take(**ask) == (False, 0)
    clock.now += 9.8
    assert window.take(**ask) == (True, 9)


def test_rejected_requests_that_count_keep_a_sliding_window_shut(clock: _Time) -> None:
    window = limits.Window()
    ask = {"limit": 2, "seconds": 10.0, "kind": "sliding", "rejected_count": True}
    for _ in range(4):
        window.take(**ask)
    clock.now += 5
    assert not window.take(**ask)[0]
    clock.now += 6
    assert window.take(**ask)[0], "one of the two places is free again"
    assert not window.take(**ask)[0]


@given(st.lists(st.floats(0.0, 4.0), min_size=1, max_size=60), st.integers(1, 6))
@settings(max_examples=80, deadline=None)
def test_what_a_sliding_window_let_through_holds_for_every_ten_seconds(gaps: list[float], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        time, window, passed = _own_clock(patch), limits.Window(), []
        for gap in gaps:
            time.now += gap
            if window.take(limit=limit, seconds=10.0, kind="sliding", rejected_count=False)[0]:
                passed.append(time.now)
        assert all(sum(start - 10.0 < other <= start for other in passed) <= limit for start in passed)


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=40))
@settings(max_examples=80, deadline=None)
def test_the_log_finds_the_fullest_window(gaps: list[float]) -> None:
    meter, times, now = observed.MostInWindow(10.0), [], 0.0
    for gap in gaps:
        now += gap
        times.append(now)
        meter.note(now)
    assert meter.most == max(sum(end - 10.0 < other <= end for other in times) for end in times)
