"""When an appointment is: printed date and times to instants, over changes of the clocks and midnight."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.phorest.local_time import instants_of, time_text

DUBLIN, TORONTO = ZoneInfo("Europe/Dublin"), ZoneInfo("America/Toronto")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def clock(text: str) -> time:
    return time.fromisoformat(text)


@pytest.mark.parametrize(
    ("day", "start", "end", "zone", "first", "last"),
    [
        ("2025-11-14", "09:30", "10:15", DUBLIN, "2025-11-14T09:30", "2025-11-14T10:15"),
        ("2025-07-14", "09:30", "10:15", DUBLIN, "2025-07-14T08:30", "2025-07-14T09:15"),
        ("2025-11-14", "09:30", "10:15", TORONTO, "2025-11-14T14:30", "2025-11-14T15:15"),
        ("2025-07-14", "09:30", "10:15", TORONTO, "2025-07-14T13:30", "2025-07-14T14:15"),
        # midnight: the end is on the next day
        ("2025-11-14", "23:30", "00:15", DUBLIN, "2025-11-14T23:30", "2025-11-15T00:15"),
        ("2025-12-31", "23:00", "00:00", TORONTO, "2026-01-01T04:00", "2026-01-01T05:00"),
        # no length
        ("2025-11-14", "09:30", "09:30", DUBLIN, "2025-11-14T09:30", "2025-11-14T09:30"),
        # clocks go forward at 01:00 UTC in Dublin, at 02:00 local in Toronto: a time they skip is moved forward
        ("2025-03-30", "01:30", "03:00", DUBLIN, "2025-03-30T01:30", "2025-03-30T02:00"),
        ("2025-03-30", "00:30", "02:30", DUBLIN, "2025-03-30T00:30", "2025-03-30T01:30"),
        ("2025-03-09", "02:30", "04:00", TORONTO, "2025-03-09T07:30", "2025-03-09T08:00"),
        # a start that is moved past its own end keeps its length
        ("2025-03-30", "01:45", "02:15", DUBLIN, "2025-03-30T01:45", "2025-03-30T02:15"),
        # clocks go back: a time shown twice is its first
        ("2025-10-26", "01:30", "03:00", DUBLIN, "2025-10-26T00:30", "2025-10-26T03:00"),
        ("2025-11-02", "01:30", "01:45", TORONTO, "2025-11-02T05:30", "2025-11-02T05:45"),
    ],
)
def test_printed_times_become_these_instants(
    day: str, start: str, end: str, zone: ZoneInfo, first: str, last: str
) -> None:
    found = instants_of(date.fromisoformat(day), clock(start), clock(end), zone, "branch_local")
    assert found == (utc(first), utc(last))


def test_in_utc_mode_the_branch_s_zone_does_not_matter() -> None:
    found = instants_of(date(2025, 7, 14), clock("09:30"), clock("00:30"), TORONTO, "utc")
    assert found == (utc("2025-07-14T09:30"), utc("2025-07-15T00:30"))


@given(
    day=st.dates(date(1990, 1, 1), date(2060, 1, 1)),
    start=st.times(),
    end=st.times(),
    zone=st.sampled_from([DUBLIN, TORONTO, ZoneInfo("Australia/Perth"), ZoneInfo("Australia/Lord_Howe")]),
)
def test_the_end_is_never_before_the_start_and_a_start_that_exists_reads_the_same_on_the_wall(
    day: date, start: time, end: time, zone: ZoneInfo
) -> None:
    first, last = instants_of(day, start, end, zone, "branch_local")
    assert first <= last < first + timedelta(hours=25)
    assert first.utcoffset() == last.utcoffset() == timedelta(0)
    wall = first.astimezone(zone).replace(tzinfo=None)
    skipped = wall - datetime.combine(day, start)
    assert timedelta(0) <= skipped <= timedelta(hours=1)
    if skipped:
        assert wall.replace(tzinfo=zone).utcoffset() != (wall - 2 * skipped).replace(tzinfo=zone).utcoffset()


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        ({"hour": 9, "minute": 30}, "09:30:00.000"),
        ({"hour": "9", "minute": 5, "second": 7, "nano": 0}, "09:05:07.000"),
        ({"hour": 25}, {"hour": 25}),
        ({"hour": None}, {"hour": None}),
        ("09:30:00.000", "09:30:00.000"),
        (None, None),
    ],
)
def test_a_time_in_parts_is_read_as_text_and_anything_else_is_left_as_it_is(printed: object, text: object) -> None:
    assert time_text(printed) == text
