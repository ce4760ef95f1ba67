"""What was asked of the sandbox: counts by API, method, route and status, and the most requests in any window.

Belongs here: counting. Does not belong here: bodies or query values; the log holds no personal data.
"""

import time
from collections import Counter, deque
from typing import Any

Entry = tuple[str, str, str, int]


class MostInWindow:
    """The largest number of requests that any window of `seconds` ever held, in real time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.most = 0
        self._times: deque[float] = deque()

    def note(self, now: float) -> None:
        """Count one request."""
        times = self._times
        times.append(now)
        while times[0] <= now - self.seconds:
            times.popleft()
        self.most = max(self.most, len(times))


class Observed:
    """The request log. Memory is bounded: totals, and the last few hundred requests."""

    def __init__(self, windows: dict[str, float]) -> None:
        self._windows = windows
        self.clear()

    def clear(self) -> None:
        """Start counting anew."""
        self.counts: Counter[Entry] = Counter()
        self.recent: deque[dict[str, Any]] = deque(maxlen=300)
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._any = {api: MostInWindow(seconds) for api, seconds in self._windows.items()}
        self._let_through = {api: MostInWindow(seconds) for api, seconds in self._windows.items()}

    def resize(self, api: str, seconds: float) -> None:
        """Look at windows of another length; the most requests in any of them are counted anew."""
        self._windows[api] = seconds
        self._any[api], self._let_through[api] = MostInWindow(seconds), MostInWindow(seconds)

    def note(self, entry: Entry, *, at: str, counted: float, trace: str) -> None:
        """Count one request at monotonic second `counted`; status 0 is one left without an answer."""
        api, method, route, status = entry
        self.counts[entry] += 1
        self.recent.append({"api": api, "method": method, "route": route, "status": status, "at": at, "trace": trace})
        self._first.setdefault(api, counted)
        self._last[api] = counted
        self._any[api].note(counted)
        if status != 429:
            self._let_through[api].note(counted)

    def report(self) -> dict[str, Any]:
        """Everything counted, as JSON. `most_in_window` leaves out what was refused with 429.

        `most_asked_in_window` does not.
        """
        rows = [
            {"api": api, "method": method, "route": route, "status": status, "count": count}
            for (api, method, route, status), count in sorted(self.counts.items())
        ]
        apis = {
            api: {
                "requests": sum(count for entry, count in self.counts.items() if entry[0] == api),
                "rejected_429": sum(
                    count for entry, count in self.counts.items() if entry[0] == api and entry[3] == 429
                ),
                "window_s": window.seconds,
                "most_in_window": self._let_through[api].most,
                "most_asked_in_window": window.most,
                "seconds": self._last.get(api, 0.0) - self._first.get(api, 0.0),
            }
            for api, window in self._any.items()
        }
        return {"requests": rows, "apis": apis, "recent": list(self.recent)[-50:]}


def monotonic() -> float:
    """Real seconds for windows."""
    return time.monotonic()
