"""The salon's clock: real time plus an offset that a test may move forward.

Belongs here: what time it is for both vendors, and how they print it. Does not belong here: pacing and rate windows,
which use real time.
"""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

_END_S = datetime(3000, 1, 1, tzinfo=UTC).timestamp()


class Clock:
    """Time as both simulated vendors see it. It only moves forward, as their logs do."""

    def __init__(self, start: datetime | None = None) -> None:
        self.offset_s = 0.0 if start is None else start.timestamp() - time.time()

    def seconds(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.offset_s

    def now(self) -> datetime:
        """The present instant in UTC."""
        return datetime.fromtimestamp(self.seconds(), UTC)

    @staticmethod
    def moment(milliseconds: int) -> datetime:
        """The UTC instant of epoch milliseconds."""
        return datetime.fromtimestamp(milliseconds / 1_000, UTC)

    def advance(self, by: timedelta) -> None:
        """Move the clock forward.

        Raises:
            ValueError: `by` is negative, or leads beyond the year 2999.
        """
        if by < timedelta(0):
            raise ValueError(
                "The sandbox's clock only moves forward; start a new sandbox with `now` for an earlier time."
            )
        if self.seconds() + by.total_seconds() > _END_S:
            raise ValueError("The sandbox's clock ends with the year 2999; start a new sandbox with `now` set.")
        self.offset_s += by.total_seconds()

    def http_date(self) -> str:
        """The value of a `Date` header (RFC 9110), whole seconds."""
        return format_datetime(self.now().replace(microsecond=0), usegmt=True)


def phorest_instant(moment: datetime) -> str:
    """An instant as Phorest prints it for clients and appointments.

    UTC, whole seconds, `.000Z` (facts/phorest-api §13.19).
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def exact_instant(moment: datetime) -> str:
    """An instant in UTC with real milliseconds: GHL's dates, and Phorest's products."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
