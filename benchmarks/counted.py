"""What the sandbox counted of requests: by API and operation, reads and writes apart.

Belongs here: reading its log. Does not: what a benchmark allows.
"""

from collections import Counter

from phorest_ghl.sandbox.server import SandboxProcess

_SEARCHES = ("/contacts/search", "/contacts/search/duplicate")
"""Reads, whatever their method."""


def forget(served: SandboxProcess) -> None:
    """Count anew."""
    served.control("DELETE", "/requests")


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
