"""Rate limits of both vendors, in real time.

Belongs here: counting requests in windows. Does not belong here: what a refusal looks like.
"""

import time
from collections import deque
from typing import Literal


class Window:
    """At most `limit` requests in `seconds`.

    `fixed` opens with the first request after the last window ended, as an expiring counter does; `sliding` looks back
    from every request. Which of the two GHL uses is unknown (facts/ghl-api §4).
    """

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self._opened = 0.0
        self._used = 0

    def take(
        self, *, limit: int, seconds: float, kind: Literal["fixed", "sliding"], rejected_count: bool
    ) -> tuple[bool, int]:
        """Count one request; whether it is let through, and how many more the window holds."""
        now = time.monotonic()
        if kind == "fixed":
            return self._take_fixed(now, limit, seconds)
        while self._times and self._times[0] <= now - seconds:
            self._times.popleft()
        fits = len(self._times) < limit
        if fits or rejected_count:
            self._times.append(now)
            if len(self._times) > limit:
                self._times.popleft()  # the oldest no longer matters once `limit` newer ones are inside the window
        return fits, max(0, limit - len(self._times))

    def _take_fixed(self, now: float, limit: int, seconds: float) -> tuple[bool, int]:
        if now >= self._opened + seconds:
            self._opened, self._used = now, 0
        fits = self._used < limit
        self._used += 1
        return fits, max(0, limit - self._used)


class Daily:
    """Requests since midnight UTC of the salon's clock (the reset hour is ASSUMED, facts/ghl-api §4)."""

    def __init__(self) -> None:
        self._day = -1
        self._used = 0

    def take(self, *, limit: int, day: int) -> tuple[bool, int]:
        """Count one request on day number `day`; whether it fits, and how many the day still holds."""
        if day != self._day:
            self._day, self._used = day, 0
        fits = self._used < limit
        self._used += 1
        return fits, max(0, limit - self._used)
