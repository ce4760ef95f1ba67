"""What the sandbox counted of requests: by API and operation, reads and writes apart.

Belongs here: reading its log. Does not: what a benchmark allows.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from phorest_ghl.ghl.bulk_tags import BULK_LIMIT
from phorest_ghl.sandbox.server import SandboxProcess

_SEARCHES = ("/contacts/search", "/contacts/search/duplicate")
"""Reads, whatever their method."""


def forget(served: SandboxProcess) -> None:
    """Count anew."""
    served.control("DELETE", "/requests")


@dataclass(frozen=True)
class Pace:
    """How GHL was asked: `seconds` from the first to the last request, `most` of them in any window, `refused` by a 429."""

    requests: int
    seconds: float
    most: int
    refused: int


def pace(served: SandboxProcess) -> Pace:
    """Of the requests to GHL since they were counted anew."""
    found = served.control("GET", "/requests")["apis"]["ghl"]
    return Pace(found["requests"], found["seconds"], found["most_in_window"], found["rejected_429"])


def bulk_calls(contacts_by_tag: Iterable[int]) -> int:
    """The fewest calls that put tags on so many contacts each."""
    return sum(-(-count // BULK_LIMIT) for count in contacts_by_tag)


def tagged(contacts: Iterable[Mapping[str, Any]], prefix: str) -> Counter[str]:
    """How many contacts of the truth carry each tag that begins so."""
    return Counter(tag for contact in contacts for tag in contact["tags"] if tag.startswith(prefix))


def operations(served: SandboxProcess, api: str) -> Counter[str]:
    """Requests to `ghl` or `phorest` since they were counted anew, by method and route."""
    found: Counter[str] = Counter()
    for row in served.control("GET", "/requests")["requests"]:
        if row["api"] == api:
            found[f"{row['method']} {row['route']}"] += row["count"]
    return found


def writes(found: Counter[str]) -> Counter[str]:
    """Those that change something."""
    return Counter({name: count for name, count in found.items() if not _reads(name)})


def reads(found: Counter[str]) -> int:
    """How many change nothing."""
    return found.total() - writes(found).total()


def _reads(operation: str) -> bool:
    method, route = operation.split(" ", 1)
    return method == "GET" or route in _SEARCHES
