"""Departures that one caller reserved for those after it.

Belongs here: keeping them, giving them up, how many are worth reserving. Does not: when several may be reserved together
(`budget_rules`).
"""

import threading
from collections import deque
from collections.abc import Hashable, Iterable

_MOST = 8


class ReservedDepartures:
    """Moments of a monotonic clock, per kind of caller; may be used by several threads.

    `keeps_s`: a departure that is missed by more seconds is lost.
    """

    def __init__(self, *, keeps_s: float) -> None:
        self._keeps_s = keeps_s
        self._lock = threading.Lock()
        self._moments: dict[Hashable, deque[float]] = {}
        self._came: dict[Hashable, deque[float]] = {}

    def worth_reserving(self, caller: Hashable, now: float) -> int:
        """How many departures to reserve for a caller who is here now and those after it, 8 at most.

        As many as came in the time that a departure keeps: who asks now and then reserves no more than is used.
        """
        with self._lock:
            came = self._came.setdefault(caller, deque(maxlen=_MOST))
            return max(1, sum(moment > now - self._keeps_s for moment in came))

    def keep(self, caller: Hashable, moments: Iterable[float]) -> None:
        """Keep moments for the callers of a kind that come next."""
        with self._lock:
            self._moments.setdefault(caller, deque()).extend(moments)

    def take(self, caller: Hashable, now: float) -> float | None:
        """The next moment kept for a caller who is here now; those that are lost are dropped. None where there is none."""
        with self._lock:
            self._came.setdefault(caller, deque(maxlen=_MOST)).append(now)
            kept = self._moments.get(caller, deque())
            while kept:
                moment = kept.popleft()
                if moment >= now - self._keeps_s:
                    return moment
            return None

    def give_up(self) -> None:
        """Keep none any longer: whoever comes next has to ask again."""
        with self._lock:
            self._moments.clear()
