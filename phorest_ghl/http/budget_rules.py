"""Who departs when: pure functions over the shared state, so that every promise can be proved by simulation.

Belongs here: pacing, lanes, the day's quota, what headers and refusals change. Does not: clocks, rows, sleeping.

Departures are spread evenly, one each window / quota. That holds the quota whether the vendor's window is fixed or
slides, which nobody knows (facts/ghl-api §4). Who asks too early is told when to ask again; a departure is handed out
at most 200 ms ahead, so that an urgent caller never waits behind a queue.

Each lane has a clock that says when its next guaranteed departure is due. Of the lanes that ask, the one whose
guarantee runs out first goes first; what no guarantee claims goes by priority.
"""

from dataclasses import dataclass, replace

from phorest_ghl.http.budget import Lane, Limits
from phorest_ghl.http.budget_state import BudgetState, LaneState, Recent
from phorest_ghl.http.rate_headers import Reading

AHEAD_S = 0.2
"""How far ahead a departure may be reserved."""
SHARES = {Lane.REPAIR: 0.2, Lane.APPOINTMENTS: 0.3, Lane.CONTACTS: 0.2, Lane.REST: 0.1}
"""Each lane's minimum share of the pace, in order of priority."""

TOGETHER_S = 0.001
"""Departures within less than this may be reserved together: at such a pace asking costs more than waiting."""

_PATIENCE_S = 0.05  # a slot kept for another lane is given up so long before it would be lost
_RETURN_S = 0.1  # how late a caller may come back and still count as asking
_SHORTEST_WAIT_S = 0.001
_LONGEST_PAUSE_S = 3600.0
_CERTAIN_S = 3600.0  # for so long a vendor's count of the day's rest is trusted
_DAY_S = 86400
_STRETCHES = 20  # parts of a window in which departures are counted


@dataclass(frozen=True, slots=True)
class Departure:
    """The request may leave at this moment (epoch seconds)."""

    at: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Nothing is left for this caller until the moment `until` (epoch seconds): `left` of `daily` requests."""

    until: float
    left: int
    daily: int


Verdict = Departure | Wait | Exhausted


def decide(state: BudgetState, lane: Lane, now: float, limits: Limits, bulk: bool) -> tuple[BudgetState, Verdict]:  # noqa: FBT001
    """What a caller in this lane may do at the moment `now`, and the state after it.

    Promises: at most quota + 1 departures in any window; none more than 200 ms ahead; each lane that keeps asking gets
    at least its share; unused shares are free to all; bulk work stops at its floor of the day's quota (safety S22).
    """
    state = _sane(state, now, pace_s(state, now, limits))
    spent = _spent(state, now, limits, bulk=bulk)
    if spent is not None:
        return state, spent
    interval = pace_s(state, now, limits)
    slot = max(now, state.next_slot, state.paused_until)
    if slot - now > AHEAD_S:
        return _told_to_wait(state, lane, now, interval, slot - AHEAD_S - now)
    patience = slot - _PATIENCE_S - now
    if patience > 0 and _first(state, lane, now, slot, interval) is not lane:
        return _told_to_wait(state, lane, now, interval, min(patience, interval))
    return _depart(state, lane, now, slot, limits), Departure(slot)


def decide_together(
    state: BudgetState, lane: Lane, now: float, limits: Limits, *, bulk: bool, at_most: int
) -> tuple[BudgetState, Verdict, tuple[float, ...]]:
    """As `decide`, and the moments of those departures that follow within a millisecond, up to `at_most` in all.

    Nothing follows where departures are further apart, so at a vendor's pace nobody reserves what it may not need.
    """
    state, verdict = decide(state, lane, now, limits, bulk)
    more: list[float] = []
    while isinstance(verdict, Departure) and len(more) + 1 < at_most:
        then, following = decide(state, lane, now, limits, bulk)
        if not isinstance(following, Departure) or following.at - now >= TOGETHER_S:
            break
        state = then
        more.append(following.at)
    return state, verdict, tuple(more)


def absorb(state: BudgetState, reading: Reading, age_s: float, now: float, limits: Limits) -> BudgetState:
    """The state after an answer's headers, seen `age_s` seconds before `now`, were read."""
    state = _sane(state, now, pace_s(state, now, limits))
    state = replace(
        state,
        daily=state.daily if reading.daily is None else reading.daily,
        most=reading.most or state.most,
        window_s=reading.window_s or state.window_s,
    )
    if reading.daily_left is not None:
        state = replace(state, day_left=reading.daily_left, day_left_at=now - age_s)
    if reading.left is None:
        return state
    most, window_s = _vendor_window(state, limits)
    # Everything of ours that may be in the vendor's count, and a little more: foreign use is never imagined.
    ours = _departed_since(state, now - age_s - window_s * (1 + 1 / _STRETCHES))
    foreign = most - reading.left - ours
    if foreign > max(3.0, 0.05 * most):
        believed = state.foreign if now < state.foreign_until else 0.0
        state = replace(state, foreign=max(believed, float(foreign)), foreign_until=now + 2 * window_s)
    if reading.left == 0 and ours < most - 2:
        return pause(state, now, window_s - age_s)
    return state


def pause(state: BudgetState, now: float, seconds: float) -> BudgetState:
    """The state in which nobody departs for so many seconds (at most an hour); a longer pause is never shortened."""
    return replace(state, paused_until=max(state.paused_until, now + min(seconds, _LONGEST_PAUSE_S)))


def pace_s(state: BudgetState, now: float, limits: Limits) -> float:
    """Seconds between departures: ours by the settings, slower if the vendor allows less or others use the bucket."""
    pace = limits.window_s / _quota(limits.requests, limits.share)
    if state.most is None:
        return pace
    most, window_s = _vendor_window(state, limits)
    pace = max(pace, window_s / _quota(most, limits.share))
    if now < state.foreign_until:
        pace = max(pace, window_s / max(0.98 * most - state.foreign, 0.05 * most))
    return pace


def _quota(requests: int, share: float) -> float:
    """Our departures a window. Two stay free, or our own last one would read as an empty bucket."""
    return max(min(requests * share, requests - 2.0), min(requests * share, 1.0))


def _vendor_window(state: BudgetState, limits: Limits) -> tuple[int, float]:
    return state.most or limits.requests, state.window_s or limits.window_s


def _sane(state: BudgetState, now: float, interval: float) -> BudgetState:
    """The state of today, without moments that only a clock set back can have left in the future."""
    day = int(now // _DAY_S)
    if state.day != day:
        state = replace(state, day=day, used=0, day_left=None)
    if state.next_slot > now + AHEAD_S + interval:
        state = replace(state, next_slot=now + interval, recent=(), lanes={})
    if state.paused_until > now + _LONGEST_PAUSE_S:
        state = replace(state, paused_until=now)
    return state


def left_of_day(state: BudgetState, now: float, limits: Limits) -> tuple[int, int] | None:
    """Requests left for the day, and the day's quota; None where there is none."""
    spent = _lefts(_sane(state, now, pace_s(state, now, limits)), now, limits)
    return None if spent is None else (max(0, min(spent[0])), spent[1])


def _lefts(state: BudgetState, now: float, limits: Limits) -> tuple[list[int], int] | None:
    """What is left of the day by our own count, and by the vendor's where it is known; and the day's quota."""
    if limits.daily is None and state.daily is None:
        return None
    daily = min(quota for quota in (limits.daily, state.daily) if quota is not None)
    lefts = [daily - state.used]
    # The hour at which the vendor's day begins is unknown (facts/ghl-api §4), so its word is asked for again each hour.
    if state.day_left is not None and now < state.day_left_at + _CERTAIN_S:
        lefts.append(state.day_left)
    return lefts, daily


def _spent(state: BudgetState, now: float, limits: Limits, *, bulk: bool) -> Exhausted | None:
    known = _lefts(state, now, limits)
    if known is None:
        return None
    lefts, daily = known
    until = float((state.day + 1) * _DAY_S)
    left = max(0, min(lefts))
    if left > 0 and not (bulk and left < limits.bulk_daily_floor * daily):
        return None
    ours_alone = lefts[0] <= 0 or (bulk and lefts[0] < limits.bulk_daily_floor * daily)
    return Exhausted(until if ours_alone else min(until, state.day_left_at + _CERTAIN_S), left, daily)


def _told_to_wait(
    state: BudgetState, lane: Lane, now: float, interval: float, seconds: float
) -> tuple[BudgetState, Wait]:
    seconds = max(seconds, _SHORTEST_WAIT_S)
    known = _claim(state, lane, now, interval)
    asking = replace(known, asking_until=max(known.asking_until, now + seconds + _RETURN_S))
    return replace(state, lanes={**state.lanes, lane: asking}), Wait(seconds)


def _first(state: BudgetState, lane: Lane, now: float, slot: float, interval: float) -> Lane:
    """Whose slot it is, among this lane and those that were told to come back."""
    asking = [other for other in SHARES if other is lane or _is_asking(state, other, now)]
    claims = {other: _claim(state, other, now, interval).due for other in asking}
    due = [other for other in asking if claims[other] <= slot]
    return min(due, key=lambda other: claims[other] + interval / SHARES[other]) if due else asking[0]


def _is_asking(state: BudgetState, lane: Lane, now: float) -> bool:
    return lane in state.lanes and state.lanes[lane].asking_until >= now


def _claim(state: BudgetState, lane: Lane, now: float, interval: float) -> LaneState:
    """A lane's claim, without a moment that only a clock set back can have left so far in the future."""
    claim = state.lanes.get(lane, LaneState())
    period = interval / SHARES[lane]
    return claim if claim.due <= now + AHEAD_S + period else replace(claim, due=now + period)


def _depart(state: BudgetState, lane: Lane, now: float, slot: float, limits: Limits) -> BudgetState:
    interval = pace_s(state, now, limits)
    period = interval / SHARES[lane]
    claim = _claim(state, lane, now, interval)
    # Served late, the next one is due a period after the last was; served early, a period after this one. However long
    # the lane was silent, it is never due before this slot: silence saves nothing up.
    claim = replace(claim, due=min(max(claim.due + period, slot), slot + period))
    return replace(
        state,
        next_slot=slot + interval,
        used=state.used + 1,
        day_left=None if state.day_left is None else max(0, state.day_left - 1),
        lanes={**state.lanes, lane: claim},
        recent=_counted(state, slot, limits),
    )


def _counted(state: BudgetState, slot: float, limits: Limits) -> tuple[Recent, ...]:
    _, window_s = _vendor_window(state, limits)
    length = max(window_s, limits.window_s) / _STRETCHES
    kept = tuple(stretch for stretch in state.recent if stretch.start > slot - 2 * max(window_s, limits.window_s))
    if kept and kept[-1].start <= slot < kept[-1].start + kept[-1].length:
        return (*kept[:-1], replace(kept[-1], count=kept[-1].count + 1))
    return (*kept, Recent(slot, length, 1))


def _departed_since(state: BudgetState, moment: float) -> int:
    return sum(stretch.count for stretch in state.recent if stretch.start + stretch.length >= moment)
