"""Both vendors' rate headers, and nonsense."""

from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.http.rate_headers import Reading, read_rate_headers

SUFFIX = "rate-limit-application_third-party-api-server_global_me@salon.example"


def test_ghl_tells_burst_and_day() -> None:
    headers = {
        "X-RateLimit-Limit-Daily": "200000",
        "X-RateLimit-Daily-Remaining": "199000",
        "X-RateLimit-Interval-Milliseconds": "10000",
        "X-RateLimit-Max": "100",
        "X-RateLimit-Remaining": "42",
    }
    assert read_rate_headers(headers) == Reading(most=100, left=42, window_s=10.0, daily=200_000, daily_left=199_000)


def test_phorest_names_its_headers_after_the_user_and_its_reset_is_not_believed() -> None:
    headers = {
        f"x-ratelimit-limit-{SUFFIX}": "500",
        f"x-ratelimit-remaining-{SUFFIX}": "499",
        f"x-ratelimit-reset-{SUFFIX}": "1000",
    }
    assert read_rate_headers(headers) == Reading(most=500, left=499)


def test_the_daily_limit_is_not_taken_for_the_burst() -> None:
    assert read_rate_headers({"X-RateLimit-Limit-Daily": "200000"}) == Reading(daily=200_000)


def test_answers_without_them_say_nothing() -> None:
    assert read_rate_headers({"content-type": "application/json"}) is None


@given(st.text())
def test_unreadable_numbers_count_as_absent(value: str) -> None:
    reading = read_rate_headers({"x-ratelimit-remaining": value})
    assert reading is None or reading == Reading(left=int(value))


def test_only_an_empty_bucket_is_urgent() -> None:
    assert Reading(left=0).urgent
    assert Reading(daily_left=0).urgent
    assert not Reading(left=1, daily_left=1).urgent
    assert not Reading().urgent
