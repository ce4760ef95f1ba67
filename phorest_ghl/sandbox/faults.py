"""Faults on demand: what breaks, where, and how often.

Belongs here: which request meets which fault. Does not belong here: acting a fault out on the socket (`app.py`) or in a
handler (`bulk_partial` and those named `…_ignored`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import count
from random import Random
from typing import Any

KINDS = frozenset({
    "429", "500", "502", "503", "504", "520", "timeout_before", "timeout_after_commit", "reset", "truncated", "html",
    "slow", "created_but_422", "filter_ignored", "clear_ignored", "fields_ignored", "dnd_ignored", "page_drift",
    "opt_out", "bulk_partial",
})  # fmt: skip
_KEYS = frozenset({"api", "route", "kind", "count", "rate", "ms", "after_commit", "retry_after", "channel", "status"})
_MAKES_A_CONTACT = frozenset({"POST /contacts/", "POST /contacts/upsert"})


@dataclass(slots=True)
class Fault:
    """One fault in force.

    Attributes:
        route: method and template as in `GET /__sandbox__/routes`, `*` and `?` allowed; without a method, any.
        count: how many requests it still meets; None when `rate` decides.
        rate: share of requests it meets, 0 to 1.
        ms: waiting time of `slow`; how long a timeout holds the connection.
        after_commit: whether `reset`, the statuses and `opt_out` strike after the work was done.
        channel: what a person opts out of by `opt_out`, which meets requests for one contact only.
        status: `active` or `permanent`, of that opt-out.
    """

    key: int
    api: str
    route: str
    kind: str
    count: int | None
    rate: float
    ms: float
    after_commit: bool
    retry_after: str | None
    channel: str = "SMS"
    status: str = "active"
    hits: int = 0

    def meets(self, api: str, name: str) -> bool:
        """Whether it is aimed at this route, chance and count aside."""
        if self.api not in {"*", api} or self.count == 0:
            return False
        if self.kind == "opt_out" and not ("{contactId}" in name or (self.after_commit and name in _MAKES_A_CONTACT)):
            return False  # nobody whom the request is about is there to opt out
        target = name if " " in self.route else name.partition(" ")[2]
        return fnmatchcase(target, self.route)

    def as_dict(self) -> dict[str, Any]:
        """The fault as JSON, with the number of requests it has met."""
        return {slot: getattr(self, slot) for slot in self.__slots__}


class Faults:
    """The faults in force, in the order they were set."""

    def __init__(self, rng: Random, routes: Mapping[str, Collection[str]]) -> None:
        self._rng = rng
        self._routes = routes
        self._keys = count(1)
        self.active: list[Fault] = []

    def add(self, wish: Mapping[str, Any]) -> Fault:
        """Set one fault: `{api, route, kind, count or rate}`.

        Raises:
            ValueError: an unknown key, kind, API or a route that no operation has; a misspelt fault must not pass for
                calm.
        """
        self._check(wish)
        rate = wish.get("rate")
        fault = Fault(
            key=next(self._keys),
            api=wish.get("api", "*"),
            route=wish.get("route", "*"),
            kind=str(wish["kind"]),
            count=None if rate is not None else int(wish.get("count", 1)),
            rate=1.0 if rate is None else float(rate),
            ms=float(wish.get("ms", 1_000 if wish["kind"] == "slow" else 60_000)),
            after_commit=bool(wish.get("after_commit", False)),
            retry_after=None if wish.get("retry_after") is None else str(wish["retry_after"]),
            channel=wish.get("channel", "SMS"),
            status=wish.get("status", "active"),
        )
        self.active.append(fault)
        return fault

    def _check(self, wish: Mapping[str, Any]) -> None:
        unknown = set(wish) - _KEYS
        if unknown:
            raise ValueError(f"A fault has no {', '.join(sorted(unknown))}. It takes {', '.join(sorted(_KEYS))}.")
        if str(wish.get("kind")) not in KINDS:
            raise ValueError(f"There is no fault kind {wish.get('kind')!r}. Kinds: {', '.join(sorted(KINDS))}.")
        api = wish.get("api", "*")
        if api not in {"*", *self._routes}:
            raise ValueError(f"There is no API {api!r}. APIs: {', '.join(sorted(self._routes))}, *.")
        probe = Fault(0, api, wish.get("route", "*"), wish["kind"], 1, 1.0, 0.0, bool(wish.get("after_commit")), None)
        if not any(probe.meets(name, route) for name, routes in self._routes.items() for route in routes):
            raise ValueError(f"No route matches {wish.get('route')!r}. GET /__sandbox__/routes lists them.")

    def clear(self) -> None:
        """End all faults."""
        self.active.clear()

    def strike(self, api: str, name: str) -> Fault | None:
        """The first fault that meets this request, counted; None when all is calm."""
        for fault in self.active:
            if fault.meets(api, name) and (fault.rate >= 1.0 or self._rng.random() < fault.rate):
                fault.hits += 1
                if fault.count is not None:
                    fault.count -= 1
                return fault
        return None
