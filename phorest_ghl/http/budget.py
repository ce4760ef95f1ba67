"""The request budget as callers see it: ask before each request, tell it what the vendor's headers say.

Belongs here: lanes, limits, the protocol. Does not: who goes when (`budget_rules`), where (`budget_postgres`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Lane(StrEnum):
    """Who asks, in order of priority. Each lane that keeps asking gets its minimum share (design §7)."""

    REPAIR = "repair"
    APPOINTMENTS = "appointments"
    CONTACTS = "contacts"
    REST = "rest"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """A vendor's quota and our part of it.

    Attributes:
        requests: requests a window that the vendor allows everybody who uses this bucket.
        window_s: the window, seconds.
        share: our part of the window, above 0 up to 1 (safety S22: 0.8 unless set otherwise).
        daily: requests a UTC day, or None where there is no daily quota.
        bulk_daily_floor: bulk work stops when less than this part of the day's quota is left (S22).
    """

    requests: int
    window_s: float
    share: float
    daily: int | None
    bulk_daily_floor: float = 0.25

    def __post_init__(self) -> None:
        if self.requests < 1 or self.window_s <= 0 or not 0 < self.share <= 1:
            raise ValueError("Limits need at least one request, a window above 0 s, and a share above 0 and up to 1.")
        if (self.daily is not None and self.daily < 1) or not 0 <= self.bulk_daily_floor < 1:
            raise ValueError(
                "Limits need a daily quota of at least one request (or none), and a floor from 0 to below 1."
            )


class Budget(Protocol):
    """One bucket of requests, shared by everybody who uses it."""

    def acquire(self, lane: Lane, *, bulk: bool = False) -> None:
        """Return when the request may leave.

        Raises ApiError: QUOTA_EXHAUSTED when the day has none left for it, RATE_LIMITED when the wait is too long.
        """
        ...

    def observe(self, headers: Mapping[str, str]) -> None:
        """Take note of what an answer's headers say about the bucket (header names in lower case); never raises."""
        ...

    def pause(self, seconds: float) -> None:
        """A 429 was seen: nobody departs for so long."""
        ...


class InLane:
    """A budget in which everybody asks in one lane, whichever they name: for work that is urgent as a whole."""

    def __init__(self, budget: Budget, lane: Lane) -> None:
        self._budget = budget
        self._lane = lane

    def acquire(self, lane: Lane, *, bulk: bool = False) -> None:
        """As the budget's own, in this lane."""
        del lane
        self._budget.acquire(self._lane, bulk=bulk)

    def observe(self, headers: Mapping[str, str]) -> None:
        """As the budget's own."""
        self._budget.observe(headers)

    def pause(self, seconds: float) -> None:
        """As the budget's own."""
        self._budget.pause(seconds)


class UnlimitedBudget:
    """Lets everything through: for tests, and for commands that send a handful of requests."""

    def acquire(self, lane: Lane, *, bulk: bool = False) -> None:
        """Return at once."""

    def observe(self, headers: Mapping[str, str]) -> None:
        """Take no note."""

    def pause(self, seconds: float) -> None:
        """Hold nobody back; the retry loop still waits before its next attempt."""
