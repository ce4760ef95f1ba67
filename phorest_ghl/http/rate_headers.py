"""What a vendor's rate-limit headers say about the bucket.

Belongs here: names and units of the headers. Does not: what follows from them (`budget_rules`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

_GHL_PREFIX = "x-ratelimit-"


@dataclass(frozen=True, slots=True)
class Reading:
    """The bucket as one answer saw it; None where the vendor did not say. Counts are requests, the window is seconds.

    A `daily_left` of 0 is how GHL tells a spent day from a busy moment (facts/ghl-api §4).
    """

    most: int | None = None
    left: int | None = None
    window_s: float | None = None
    daily: int | None = None
    daily_left: int | None = None

    @property
    def urgent(self) -> bool:
        """Whether everybody has to know before the next request."""
        return self.left == 0 or self.daily_left == 0


def read_rate_headers(headers: Mapping[str, str]) -> Reading | None:
    """What the headers say, or None if they say nothing. Names in any case; unreadable numbers count as absent.

    GHL: facts/ghl-api §4. Phorest puts the application and the user's name behind its names (facts/phorest-api §2.3),
    so they are recognised by their beginning, and its reset is not used: its unit is a guess.
    """
    found = {name.lower(): value for name, value in headers.items() if name.lower().startswith(_GHL_PREFIX)}
    if not found:
        return None
    reading = Reading(
        most=_count(found, "x-ratelimit-max", "x-ratelimit-limit-rate-limit-"),
        left=_count(found, "x-ratelimit-remaining", "x-ratelimit-remaining-rate-limit-"),
        window_s=window_of(found),
        daily=_count(found, "x-ratelimit-limit-daily"),
        daily_left=_count(found, "x-ratelimit-daily-remaining"),
    )
    return None if reading == Reading() else reading


def window_of(headers: Mapping[str, str]) -> float | None:
    """The burst window in seconds by `X-RateLimit-Interval-Milliseconds` (facts/ghl-api §4), or None."""
    interval = _number(headers.get("x-ratelimit-interval-milliseconds", ""))
    return interval / 1000 if interval else None


def _count(found: Mapping[str, str], name: str, prefix: str | None = None) -> int | None:
    if name in found:
        return _number(found[name])
    if prefix is None:
        return None
    return next((_number(value) for key, value in found.items() if key.startswith(prefix)), None)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
