"""Bounds and waits of the retry loop, in simulated time."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.http.answer import retry_after
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.http.retry import AGAIN, RetryPolicy
from phorest_ghl_tests.http.wire import Clock, policy

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


def _fail(category: Category, wait: float | None = None) -> ApiError:
    return ApiError(category, api="ghl", operation="GET /x", retry_after=wait)


def _run(clock: Clock, failure: ApiError, **bounds: float) -> list[int]:
    attempts: list[int] = []

    def call(number: int) -> None:
        attempts.append(number)
        raise failure

    with pytest.raises(ApiError) as raised:
        policy(clock, **bounds).run(call)
    assert raised.value is failure
    return attempts


def test_attempts_are_bounded() -> None:
    clock = Clock()
    assert _run(clock, _fail(Category.TRANSIENT)) == [1, 2, 3, 4, 5]
    assert clock.slept == [1.0, 2.0, 4.0, 8.0]


def test_time_is_bounded_before_it_is_spent() -> None:
    clock = Clock()
    assert _run(clock, _fail(Category.TRANSIENT), attempts=50, elapsed_s=20) == [1, 2, 3, 4, 5]
    assert clock.now <= 20


def test_a_wait_longer_than_the_bound_is_not_begun() -> None:
    clock = Clock()
    assert _run(clock, _fail(Category.RATE_LIMITED, 3600.0)) == [1]
    assert clock.slept == []


@pytest.mark.parametrize("category", sorted(set(Category) - AGAIN))
def test_what_repeating_cannot_cure_is_raised_at_once(category: Category) -> None:
    assert _run(Clock(), _fail(category)) == [1]


def test_errors_that_are_not_ours_pass_through_at_once() -> None:
    calls: list[int] = []

    def call(number: int) -> None:
        calls.append(number)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        policy(Clock()).run(call)
    assert calls == [1]


def test_a_429_without_a_hint_costs_a_whole_window() -> None:
    clock = Clock()
    _run(clock, _fail(Category.RATE_LIMITED), attempts=2, window_s=10.0)
    assert 10.0 < clock.slept[0] <= 12.0


@given(
    failure=st.builds(_fail, st.sampled_from(Category), st.none() | st.floats(0, 1000)),
    attempt=st.integers(1, 60),
    jitter=st.floats(0, 1),
)
def test_waits_are_finite_and_never_shorter_than_the_vendor_asks(
    failure: ApiError, attempt: int, jitter: float
) -> None:
    wait = RetryPolicy(jitter=lambda: jitter).wait_s(failure, attempt)
    assert (failure.retry_after or 0.0) <= wait <= max(30.0, (failure.retry_after or 0.0) + 1.0)


def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    assert retry_after({"retry-after": "7"}, NOW) == 7.0
    assert retry_after({"retry-after": "1.5"}, NOW) == 1.5
    assert retry_after({"retry-after": format_datetime(NOW + timedelta(seconds=30), usegmt=True)}, NOW) == 30.0
    assert retry_after({"retry-after": format_datetime(NOW - timedelta(hours=1), usegmt=True)}, NOW) == 0.0
    assert retry_after({}, NOW) is None


def test_a_date_counts_from_the_vendors_clock_not_from_ours() -> None:
    headers = {
        "date": format_datetime(NOW + timedelta(hours=3), usegmt=True),
        "retry-after": format_datetime(NOW + timedelta(hours=3, seconds=5), usegmt=True),
    }
    assert retry_after(headers, NOW) == 5.0


@given(st.text())
def test_an_unreadable_retry_after_counts_as_absent(value: str) -> None:
    wait = retry_after({"retry-after": value}, NOW)
    assert wait is None or wait >= 0


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"elapsed_s": -1.0}, {"window_s": -1.0}])
def test_senseless_bounds_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one attempt"):
        RetryPolicy(**wrong)  # pyright: ignore[reportArgumentType]
