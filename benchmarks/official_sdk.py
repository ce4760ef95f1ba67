"""GoHighLevel's own Python SDK, driven as its documentation shows: create contacts, one at a time or several at once.

Belongs here: driving it. Does not: judging it. It has no pacing of its own: what the API refuses, it raises.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.peers import peer

Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where contacts are created, and with which private integration token."""

    url: str
    token: str
    location_id: str


@dataclass
class Delivery:
    """What came of a run: the moments (`time.monotonic`) at which creates were accepted, and how many were refused."""

    started: float = field(default_factory=time.monotonic)
    accepted: list[float] = field(default_factory=list[float])
    refused: int = 0
    ended: float = 0.0


def create_contacts(location: Location, bodies: list[Body], *, at_once: int, seconds: float | None = None) -> Delivery:
    """Create these contacts, `at_once` in flight; with `seconds` no further one is begun after so long.

    Raises what the SDK raises, but for refusals with 429, which are counted.
    """
    return asyncio.run(_create_contacts(location, bodies, at_once, seconds))


async def _create_contacts(location: Location, bodies: list[Body], at_once: int, seconds: float | None) -> Delivery:
    highlevel = peer("highlevel")
    # The base URL is an attribute of the class; a subclass leaves the class itself pointing at the real API.
    local: Any = type("LocalHighLevel", (highlevel.HighLevel,), {"BASE_URL": location.url})
    api = local(private_integration_token=location.token, log_level="none")
    refused: type[Exception] = highlevel.error.GHLError
    done = Delivery()
    waiting = iter(bodies)

    async def work() -> None:
        for body in waiting:
            if seconds is not None and time.monotonic() - done.started >= seconds:
                return
            try:
                await api.contacts.create_contact({**body, "locationId": location.location_id})
            except refused as error:
                if getattr(error, "status_code", None) != 429:
                    raise
                done.refused += 1
            else:
                done.accepted.append(time.monotonic())

    try:
        await asyncio.gather(*(work() for _ in range(at_once)))
    finally:
        await api.http_client.aclose()
    done.ended = time.monotonic()
    return done
