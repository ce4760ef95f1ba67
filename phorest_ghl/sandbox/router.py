"""Which handler answers which path.

Belongs here: matching of method and path against templates. Does not belong here: anything about one vendor.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from phorest_ghl.sandbox.wire import Reply


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: `template` holds `{names}`.

    `facts` is whatever the vendor's dispatcher needs beside the handler.
    """

    method: str
    template: str
    handler: Callable[..., Reply]
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def name(self) -> str:
        """Method and template, as faults and the request log name it."""
        return f"{self.method} {self.template}"


class Router:
    """Routes by method and number of path segments; a literal segment wins over a named one."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = list(routes)
        self._table: dict[tuple[str, int], list[tuple[tuple[str | None, ...], Route]]] = defaultdict(list)
        for route in self.routes:
            parts = tuple(None if part.startswith("{") else part for part in _split(route.template))
            self._table[route.method, len(parts)].append((parts, route))
        for found in self._table.values():
            found.sort(key=lambda pair: [part is None for part in pair[0]])

    def find(self, method: str, path: str) -> tuple[Route, list[str]] | None:
        """The route and the values of its named segments, in order."""
        parts = _split(path)
        for pattern, route in self._table.get((method, len(parts)), ()):
            if all(want is None or want == have for want, have in zip(pattern, parts, strict=True)):
                return route, [have for want, have in zip(pattern, parts, strict=True) if want is None]
        return None

    def knows_path(self, path: str) -> bool:
        """Whether any method answers this path."""
        return any(self.find(method, path) for method in {key[0] for key in self._table})


def _split(path: str) -> list[str]:
    return path.strip("/").split("/")
