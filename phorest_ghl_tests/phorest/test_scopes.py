"""Months and windows: without gap, without overlap, never longer than Phorest allows."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.phorest.scopes import BUSINESS, LOOK_AHEAD, LOOK_BACK, Month, Scope, months, months_around

days = st.dates(date(1900, 1, 1), date(2290, 1, 1))


@given(first=days, length=st.integers(0, 800))
def test_the_months_between_two_days_cover_each_day_once(first: date, length: int) -> None:
    last = first + timedelta(days=length)
    found = list(months(first, last))
    assert found[0].first <= first
    assert last <= found[-1].last
    for month, following in pairwise(found):
        assert month.last + timedelta(days=1) == following.first
    assert all((month.last - month.first).days <= 30 for month in found)


@given(days)
def test_a_month_s_key_names_it(day: date) -> None:
    month = Month.of(day)
    assert Month.parse(str(month)) == month
    assert month.first <= day <= month.last


@given(days)
def test_the_frequent_window_reaches_from_35_days_back_to_120_ahead(day: date) -> None:
    window = months_around(day)
    assert window[0].first <= day - LOOK_BACK
    assert day + LOOK_AHEAD <= window[-1].last
    assert len(window) <= 7


@given(day=days, back=st.integers(0, 400), ahead=st.integers(0, 400))
def test_a_wider_window_of_the_settings_is_read_whole_and_a_narrower_one_takes_nothing_away(
    day: date, back: int, ahead: int
) -> None:
    window = months_around(day, timedelta(days=back), timedelta(days=ahead))
    assert window[0].first <= day - timedelta(days=back)
    assert day + timedelta(days=ahead) <= window[-1].last
    assert set(months_around(day)) <= set(window)


@pytest.mark.parametrize("key", ["2025", "2025-13", "2025-3", ""])
def test_what_is_no_month_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Month.parse(key)


def test_a_scope_is_named_by_what_it_covers() -> None:
    month = Month(2025, 2)
    assert (BUSINESS.key, Scope("B").key, Scope("B", month).key) == ("", "B", "B/2025-02")
    assert Scope("B", month).window == {"from_date": "2025-02-01", "to_date": "2025-02-28"}
    assert BUSINESS.window == Scope("B").window == {}
