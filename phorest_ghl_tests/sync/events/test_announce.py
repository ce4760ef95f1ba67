"""Who is told, as properties: whatever happens, nobody is told twice, in the night, or of what is technical."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phorest_ghl.sync.contact_hours import ContactHours
from phorest_ghl.sync.events.announce import FRESH, Circumstances, Kind, News, Told, Visit, announcing_row, decide

NOW = datetime(2026, 3, 10, 10, tzinfo=UTC)
VISITS = [Visit("A", "B", "2026-03-12"), Visit("A", "B", "2026-03-13"), Visit("C", "B", "2026-03-12")]
CALM = Circumstances(
    now=NOW,
    live_at=NOW - timedelta(days=1),
    announcing=frozenset({"calendar"}),
    times_confirmed=True,
    hours=ContactHours(),
    zone=lambda _: ZoneInfo("Europe/Dublin"),
    told={},
    active={},
)
BOOKED = News(
    phorest_id="1", visit=VISITS[0], kind=Kind.BOOKED, starts_at=NOW + timedelta(days=2),
    ends_at=NOW + timedelta(days=2, hours=1), changed_at=NOW - timedelta(minutes=5), calendar_id="calendar",
)  # fmt: skip
LATER = ContactHours(opens=time(11))
hours = st.integers(-72, 72).map(lambda n: NOW + timedelta(hours=n))
rarely = st.sampled_from([False, False, False, False, True])
"""So that most cases pass the conditions that keep everything silent, and the others are reached."""


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[News], Circumstances]:
    rows = draw(st.lists(st.sampled_from("123456"), unique=True, max_size=6))
    news: list[News] = []
    for row in rows:
        starts_at = draw(hours)
        news.append(
            News(
                phorest_id=row,
                visit=draw(st.sampled_from([VISITS[0], *VISITS])),
                kind=draw(st.sampled_from(Kind)),
                starts_at=starts_at,
                ends_at=starts_at + timedelta(hours=1),
                changed_at=draw(st.just(NOW - timedelta(minutes=5)) | st.none() | hours),
                calendar_id=draw(st.sampled_from(["calendar", "calendar", "calendar", "another"])),
                before=draw(st.none() | st.sampled_from(VISITS)),
                was_at=draw(st.none() | hours),
                technical=draw(rarely),
                vanished=draw(rarely),
                secondary=draw(rarely),
                online=draw(st.booleans()),
            )
        )
    active: dict[Visit, list[tuple[datetime, str]]] = {}
    for one in news:
        if one.kind is not Kind.CANCELLED:
            active.setdefault(one.visit, []).append((one.starts_at, one.phorest_id))
    told = {
        visit: Told(draw(st.sampled_from("123456")), draw(st.booleans()), draw(hours))
        for visit in draw(st.lists(st.sampled_from(VISITS), unique=True))
    }
    at = replace(
        CALM,
        now=draw(st.just(NOW) | hours),
        live_at=draw(st.just(NOW - timedelta(days=1)) | st.none() | hours),
        times_confirmed=not draw(rarely),
        told=told,
        active=active,
    )
    return news, at


@settings(max_examples=500)
@given(situations())
def test_s2_every_write_is_decided_and_of_a_visit_at_most_one_is_told(case: tuple[list[News], Circumstances]) -> None:
    news, at = case
    decisions = decide(news, at)
    assert decisions.keys() == {one.phorest_id for one in news}
    assert all(decision.reason for decision in decisions.values())
    told = Counter(one.visit for one in news if decisions[one.phorest_id].notify)
    assert all(count == 1 for count in told.values())


@given(situations())
def test_s2_s3_s4_nothing_outweighs_a_quiet_location_a_technical_move_or_a_row_that_vanished(
    case: tuple[list[News], Circumstances],
) -> None:
    news, at = case
    decisions = decide(news, at)
    for one in (one for one in news if decisions[one.phorest_id].notify):
        assert at.live_at is not None
        assert at.times_confirmed
        assert one.calendar_id in at.announcing
        assert (one.technical, one.vanished, one.secondary) == (False, False, False)
        assert one.kind is not Kind.OTHER
        if one.kind is Kind.CANCELLED:
            assert not at.active.get(one.visit)
        else:
            assert one.starts_at > at.now or one.kind is Kind.SHOWED


@given(situations())
def test_s5_in_quiet_hours_only_an_online_booking_or_what_is_near_is_told(
    case: tuple[list[News], Circumstances],
) -> None:
    news, at = case
    if at.hours.permit(at.now, at.zone("B")):
        return
    decisions = decide(news, at)
    for one in (one for one in news if decisions[one.phorest_id].notify):
        near = min(one.starts_at, one.was_at or one.starts_at) - at.now <= timedelta(hours=12)
        assert (one.kind is Kind.BOOKED and one.online) or (one.kind in (Kind.CANCELLED, Kind.MOVED) and near)


def decided(one: News, **circumstances: object) -> tuple[bool, str]:
    at = replace(CALM, active={one.visit: [(one.starts_at, one.phorest_id)]})
    decision = decide([one], replace(at, **circumstances))["1"]
    return decision.notify, decision.reason


@pytest.mark.parametrize(
    ("one", "circumstances", "expected"),
    [
        (BOOKED, {}, (True, "booked")),
        (BOOKED, {"live_at": None}, (False, "the location is quiet")),
        (BOOKED, {"live_at": NOW}, (False, "it changed before the location went live")),
        (BOOKED, {"announcing": frozenset()}, (False, "GHL was not chosen to write to this calendar's clients")),
        (BOOKED, {"times_confirmed": False}, (False, "nobody has confirmed a summer appointment's time")),
        (replace(BOOKED, changed_at=NOW - FRESH), {}, (False, "it changed more than two hours ago")),
        (replace(BOOKED, changed_at=None), {}, (False, "Phorest does not say when it changed")),
        (replace(BOOKED, starts_at=NOW), {}, (False, "the start is past")),
        (replace(BOOKED, secondary=True), {}, (False, "the client is not the one who speaks for its contact")),
        (replace(BOOKED, kind=Kind.OTHER), {}, (False, "nothing changed that a client needs to know")),
        (replace(BOOKED, kind=Kind.SHOWED, starts_at=NOW, ends_at=NOW - timedelta(hours=23)), {}, (True, "showed")),
        (
            replace(BOOKED, kind=Kind.SHOWED, starts_at=NOW, ends_at=NOW - timedelta(hours=25)),
            {},
            (False, "the visit ended more than a day ago"),
        ),
        (BOOKED, {"active": {BOOKED.visit: [(NOW, "0")]}}, (False, "another row of the visit announces it")),
        (replace(BOOKED, vanished=True), {}, (False, "a row that vanished is cancelled in silence")),
        (replace(BOOKED, technical=True), {}, (False, "a technical write is silent")),
        (BOOKED, {"hours": LATER}, (False, "quiet hours")),
        (replace(BOOKED, online=True), {"hours": LATER}, (True, "booked")),
        (replace(BOOKED, kind=Kind.CANCELLED), {"hours": LATER, "active": {}}, (False, "quiet hours")),
        (
            replace(BOOKED, kind=Kind.CANCELLED, starts_at=NOW + timedelta(hours=12)),
            {"hours": LATER, "active": {}},
            (True, "cancelled"),
        ),
        (replace(BOOKED, kind=Kind.CANCELLED), {}, (False, "another row of the visit remains")),
        (replace(BOOKED, kind=Kind.CANCELLED), {"active": {}}, (True, "cancelled")),
    ],
)
def test_s2_each_condition_alone_keeps_a_write_silent(
    one: News, circumstances: dict[str, object], expected: tuple[bool, str]
) -> None:
    assert decided(one, **circumstances) == expected


def test_s2_a_visit_that_was_announced_is_cancelled_or_moved_aloud_whatever_its_age_and_row() -> None:
    told = {BOOKED.visit: Told("0", cancelled=False, up_to=NOW - timedelta(days=3))}
    old = replace(BOOKED, changed_at=NOW - timedelta(days=2), was_at=BOOKED.starts_at)
    assert decided(replace(old, kind=Kind.CANCELLED), told=told, active={}) == (True, "cancelled")
    assert decided(replace(old, kind=Kind.MOVED), told=told) == (True, "moved")
    known = {BOOKED.visit: Told("0", cancelled=False, up_to=NOW)}
    assert decided(replace(old, kind=Kind.MOVED), told=known) == (False, "the client knows already")
    over = {BOOKED.visit: Told("0", cancelled=True, up_to=NOW - timedelta(days=3))}
    assert decided(replace(old, kind=Kind.CANCELLED), told=over, active={}) == (False, "the client knows already")


def test_s2_of_a_visit_that_is_cancelled_or_moved_whole_one_row_tells_it() -> None:
    told = {BOOKED.visit: Told("2", cancelled=False, up_to=NOW - timedelta(days=3))}
    for kind in (Kind.CANCELLED, Kind.MOVED):
        news = [replace(BOOKED, phorest_id=row, kind=kind, was_at=BOOKED.starts_at) for row in "123"]
        active = {} if kind is Kind.CANCELLED else {BOOKED.visit: [(BOOKED.starts_at, row) for row in "123"]}
        decisions = decide(news, replace(CALM, told=told, active=active))
        assert [row for row, decision in decisions.items() if decision.notify] == ["2"]


def test_s2_the_earliest_row_that_remains_becomes_the_announcing_one() -> None:
    first, second, third = ((NOW + timedelta(hours=n), str(n)) for n in (1, 2, 3))
    told = Told("1", cancelled=False, up_to=NOW)
    assert announcing_row([third, first, second], told) == "1"
    assert announcing_row([third, second], told) == "2"
    assert announcing_row([], told) is None
