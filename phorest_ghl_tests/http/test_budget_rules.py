"""The promises of the request budget, by simulation."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phorest_ghl.http.budget import Lane, Limits
from phorest_ghl.http.budget_rules import AHEAD_S, SHARES, Departure, Exhausted, Wait, absorb, decide, pace_s, pause
from phorest_ghl.http.budget_state import BudgetState, LaneState, Recent, dump_state, load_state
from phorest_ghl.http.rate_headers import Reading
from phorest_ghl_tests.http.simulation import START, Simulation, most_in_window

GHL = Limits(requests=100, window_s=10.0, share=0.8, daily=200_000)

limits = st.builds(
    Limits,
    requests=st.integers(1, 200),
    window_s=st.sampled_from([1.0, 2.0, 10.0]),
    share=st.floats(0.05, 1.0),
    daily=st.just(None),
)
callers = st.lists(st.tuples(st.sampled_from(Lane), st.sampled_from([0.0, 0.02, 0.3, 2.0])), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(limits=limits, callers=callers, lateness=st.sampled_from([0.0, 0.004, 0.3]), seed=st.integers(0, 9))
def test_no_window_ever_holds_more_than_the_share_and_one(
    limits: Limits, callers: list[tuple[Lane, float]], lateness: float, seed: int
) -> None:
    run = Simulation(limits, lateness_s=lateness, seed=seed).run(callers, 2.2 * limits.window_s)
    moments = [moment for moment, _ in run.departures]
    assert most_in_window(moments, limits.window_s) <= limits.requests * limits.share + 1


@settings(max_examples=60, deadline=None)
@given(limits=limits, callers=callers)
def test_nobody_reserves_more_than_200_ms_ahead(limits: Limits, callers: list[tuple[Lane, float]]) -> None:
    run = Simulation(limits).run(callers, limits.window_s)
    for asked, verdict in run.verdicts:
        if isinstance(verdict, Departure):
            assert 0 <= verdict.at - asked <= AHEAD_S + 1e-6


@settings(max_examples=30, deadline=None)
@given(
    lanes=st.sets(st.sampled_from(Lane), min_size=1),
    crowd=st.integers(1, 4),
    share=st.sampled_from([0.3, 0.8, 0.98]),
    seed=st.integers(0, 9),
)
def test_each_lane_that_keeps_asking_gets_its_minimum_share(
    lanes: set[Lane], crowd: int, share: float, seed: int
) -> None:
    limits = replace(GHL, share=share)
    run = Simulation(limits, seed=seed).run([(lane, 0.0) for lane in sorted(lanes) for _ in range(crowd)], 30.0)
    slots = 30.0 / pace_s(BudgetState(), START, limits)
    for lane in lanes:
        assert run.count(lane) >= SHARES[lane] * slots - 3
    assert run.count() >= slots - 2, "the rest is free to all, so nothing is lost"


def test_what_no_lane_is_owed_goes_to_the_most_urgent() -> None:
    run = Simulation(GHL).run([(lane, 0.0) for lane in Lane], 100.0)
    shares = {lane: run.count(lane) / run.count() for lane in Lane}
    assert shares == {
        Lane.REPAIR: pytest.approx(0.4, abs=0.02),
        Lane.APPOINTMENTS: pytest.approx(0.3, abs=0.02),
        Lane.CONTACTS: pytest.approx(0.2, abs=0.02),
        Lane.REST: pytest.approx(0.1, abs=0.02),
    }


def test_a_lane_that_lies_idle_leaves_its_share_to_the_others() -> None:
    run = Simulation(GHL).run([(Lane.REST, 0.0)], 60.0)
    assert run.count() == pytest.approx(480, abs=3)


def test_an_urgent_caller_waits_less_than_half_a_second_behind_a_crowd() -> None:
    crowded = Simulation(GHL).run([(Lane.CONTACTS, 0.0), (Lane.REST, 0.0)] * 8, 30.0)
    calm = crowded.departures[-1][0]
    crowded.run([(Lane.CONTACTS, 0.0), (Lane.REST, 0.0), (Lane.REPAIR, 0.0)], 2.0, start=calm)
    first = min(moment for moment, lane in crowded.departures if lane is Lane.REPAIR)
    assert first - calm < 0.5


def test_a_lane_saves_nothing_up_while_it_is_silent() -> None:
    run = Simulation(GHL).run([(Lane.REPAIR, 0.0)], 60.0)
    before = len(run.departures)
    run.run([(Lane.REPAIR, 0.0), (Lane.REST, 0.0)], 5.0, start=START + 60.0)
    lanes = [lane for _, lane in run.departures[before : before + 10]]
    assert lanes.count(Lane.REST) <= 2


@pytest.mark.parametrize("shape", ["fixed", "sliding"])
@pytest.mark.parametrize("latency_s", [0.0, 0.4])
@pytest.mark.parametrize(("requests", "expected"), [(100, 588), (25, 138)])
def test_our_own_use_at_98_percent_never_slows_us_down(
    shape: str, latency_s: float, requests: int, expected: int
) -> None:
    """Whatever the vendor's window, its count of what is left must not look like somebody else's requests."""
    arrived: list[float] = []
    full = replace(GHL, requests=requests, share=0.98)

    def answer(run: Simulation, moment: float) -> None:
        arrived.append(moment)
        since = moment - moment % 10.0 if shape == "fixed" else moment - 10.0
        left = requests - sum(1 for one in arrived if one >= since)
        reading = Reading(most=requests, left=left, window_s=10.0)
        run.state = absorb(run.state, reading, latency_s, moment + latency_s, full)
        assert left > 0

    run = Simulation(full, on_departure=answer).run([(Lane.CONTACTS, 0.0)] * 4, 60.0)
    assert run.state.foreign_until == 0.0
    assert run.state.paused_until == 0.0
    assert run.count() == pytest.approx(expected, abs=4)


def test_somebody_elses_requests_slow_us_down_and_are_forgotten_when_they_stop() -> None:
    reading = Reading(most=100, left=35, window_s=10.0)
    busy = absorb(BudgetState(), reading, 0.0, START, GHL)
    assert pace_s(busy, START, GHL) == pytest.approx(10.0 / (98 - 65))
    assert pace_s(busy, START + 21.0, GHL) == pytest.approx(10.0 / 80)


def test_others_who_stay_in_the_part_we_leave_free_do_not_slow_us_down() -> None:
    busy = absorb(BudgetState(), Reading(most=100, left=85, window_s=10.0), 0.0, START, GHL)
    assert pace_s(busy, START, GHL) == pytest.approx(10.0 / 80)


def test_a_smaller_bucket_than_configured_is_obeyed_and_a_larger_one_is_not_believed() -> None:
    """Developer accounts allow 25 (facts/ghl-api §2.1); one Phorest tenant announced 500 (phorest-api §4)."""
    small = absorb(BudgetState(), Reading(most=25, left=24, window_s=10.0), 0.0, START, GHL)
    large = absorb(BudgetState(), Reading(most=500, left=499), 0.0, START, GHL)
    assert pace_s(small, START, GHL) == pytest.approx(10.0 / 20)
    assert pace_s(large, START, GHL) == pytest.approx(10.0 / 80)


def test_an_empty_bucket_pauses_everybody_for_one_window() -> None:
    empty = absorb(BudgetState(), Reading(most=100, left=0, window_s=10.0), 0.0, START, GHL)
    for lane in Lane:
        _, verdict = decide(empty, lane, START + 0.1, GHL, bulk=False)
        assert isinstance(verdict, Wait)
        assert verdict.seconds == pytest.approx(9.9 - AHEAD_S)


@given(st.floats(0.0, 3600.0), st.sampled_from(Lane))
def test_after_a_refusal_nobody_departs_before_the_pause_is_over(seconds: float, lane: Lane) -> None:
    state = pause(BudgetState(), START, seconds)
    _, verdict = decide(state, lane, START + 0.01, GHL, bulk=False)
    if isinstance(verdict, Departure):
        assert verdict.at >= START + seconds
    else:
        assert isinstance(verdict, Wait)
        assert START + 0.01 + verdict.seconds <= START + max(seconds, 0.02)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    state = pause(pause(BudgetState(), START, 30.0), START + 1, 2.0)
    assert state.paused_until == START + 30.0


def test_the_day_ends_when_its_quota_is_used_and_begins_again_at_midnight_utc() -> None:
    small = replace(GHL, daily=5)
    evening = START - START % 86400 + 86000.0
    state = BudgetState()
    for number in range(5):
        state, verdict = decide(state, Lane.REST, evening + number, small, bulk=False)
        assert isinstance(verdict, Departure)
    state, verdict = decide(state, Lane.REPAIR, evening + 9, small, bulk=False)
    midnight = evening - 86000.0 + 86400
    assert verdict == Exhausted(until=midnight, left=0, daily=5)
    _, verdict = decide(state, Lane.REPAIR, midnight + 1, small, bulk=False)
    assert isinstance(verdict, Departure)


def test_bulk_work_stops_at_a_quarter_of_the_day_and_the_rest_goes_on() -> None:
    state = BudgetState(day=int(START // 86400), used=150_001)
    _, bulk = decide(state, Lane.CONTACTS, START, GHL, bulk=True)
    _, single = decide(state, Lane.CONTACTS, START, GHL, bulk=False)
    assert isinstance(bulk, Exhausted)
    assert bulk.left == 49_999
    assert isinstance(single, Departure)


def test_the_vendors_count_of_the_day_is_asked_for_again_after_an_hour() -> None:
    """When its day begins is unknown, so a zero seen in the evening must not cost the next day too."""
    spent = absorb(BudgetState(), Reading(daily=200_000, daily_left=0), 0.0, START, GHL)
    _, now = decide(spent, Lane.REPAIR, START + 1, GHL, bulk=False)
    _, later = decide(spent, Lane.REPAIR, START + 3601, GHL, bulk=False)
    assert isinstance(now, Exhausted)
    assert now.until == START + 3600
    assert isinstance(later, Departure)


def test_without_a_daily_quota_no_day_ends() -> None:
    phorest = Limits(requests=100, window_s=1.0, share=0.4, daily=None)
    _, verdict = decide(BudgetState(day=int(START // 86400), used=10**9), Lane.REST, START, phorest, bulk=True)
    assert isinstance(verdict, Departure)


@given(back=st.floats(0.5, 1e6), lane=st.sampled_from(Lane))
def test_a_clock_set_back_holds_nobody_up(back: float, lane: Lane) -> None:
    run = Simulation(GHL).run([(one, 0.0) for one in Lane], 3.0)
    _, verdict = decide(run.state, lane, START + 3.0 - back, GHL, bulk=False)
    seconds = verdict.seconds if isinstance(verdict, Wait) else 0.0
    assert not isinstance(verdict, Exhausted)
    assert seconds <= 1.0


def test_a_pause_of_a_clock_that_was_set_back_is_not_waited_for() -> None:
    paused = pause(BudgetState(), START, 3000.0)
    _, verdict = decide(paused, Lane.REST, START - 86_400, GHL, bulk=False)
    assert isinstance(verdict, Departure)


moments = st.floats(0, 4e9, allow_nan=False)
states = st.builds(
    BudgetState,
    next_slot=moments,
    day_left=st.none() | st.integers(0, 10**6),
    window_s=st.none() | st.floats(0.1, 100),
    foreign=st.floats(0, 100),
    lanes=st.dictionaries(st.sampled_from(Lane), st.builds(LaneState, moments, moments)),
    recent=st.lists(st.builds(Recent, moments, moments, st.integers(0, 99)), max_size=3).map(tuple),
)


@given(states)
def test_the_state_survives_its_row(state: BudgetState) -> None:
    assert load_state(dump_state(state)) == state


@pytest.mark.parametrize("text", ["{}", "null", "[]", '{"format": 0}', '{"format": 1, "lanes": 3, "recent": []}', "x"])
def test_a_state_of_another_format_is_begun_anew(text: str) -> None:
    assert load_state(text) == BudgetState()
