"""`python -m phorest_ghl.sandbox.load`: how fast the sandbox is here, and how much memory it takes.

Belongs here: measuring a sandbox of its own over real HTTP. Does not belong here: measuring the product (`benchmarks`).

The client is a handful of plain connections that send prepared bytes: it must cost less than the server it measures.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import HOST, SandboxProcess

PAGE = 100
SEARCH_PAGE = 500
_LIMITLESS = {
    "ghl_rate_max": 10**9, "ghl_daily_max": 10**9, "phorest_rate_max": 10**9, "ghl_search_lag_s": 0.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One measured thing: the bar is the issue's, None where it sets none; `at_most` says which side of it is good."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    at_most: bool = False

    @property
    def holds(self) -> bool:
        """Whether the bar is kept."""
        return self.bar is None or (self.value <= self.bar if self.at_most else self.value >= self.bar)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    clients: int = 15_000
    months: int = 13
    creates: int = 15_000
    pages: int = 5_000
    searches: int = 300
    connections: int = 8


def measure(size: Size, *, state: bool = False) -> list[Line]:
    """Start a sandbox process, load it, and stop it.

    Args:
        size: how much.
        state: whether the sandbox keeps its journal in a folder, as with `--state`.

    Raises:
        RuntimeError: contacts are missing after the creates; a wrong number would be worse than none.
        ExceptionGroup: of RuntimeError, where an answer was no success.
    """
    with TemporaryDirectory() as folder:
        options = SandboxOptions(
            clients=size.clients, months=size.months, state=Path(folder) if state else None, switches=_LIMITLESS
        )
        begun = time.perf_counter()
        with SandboxProcess(options) as sandbox:
            ready = time.perf_counter() - begun
            return [Line("ready, with its Python", ready, "s", 5.0, at_most=True), *loaded(sandbox, size)]


def loaded(sandbox: SandboxProcess, size: Size) -> Iterator[Line]:
    """Load a sandbox that runs without limits, line by line.

    Raises:
        ExceptionGroup: of RuntimeError, where an answer was no success.
    """
    yield Line("memory at the start", _memory(sandbox), "MB")
    yield Line(f"pages of {PAGE} clients", _rate(sandbox, _pages(sandbox, size), size), "/s", 300)
    sandbox.control("GET", "/state")
    whole = _memory(sandbox)
    yield Line("memory when all clients were read", whole, "MB")
    yield Line("contact creates", _rate(sandbox, _creates(sandbox, size), size), "/s", 1_500)
    made = sandbox.control("GET", "/state")["ghl"]["contacts"]
    if made != size.creates:
        raise RuntimeError(f"The sandbox holds {made:,} contacts after {size.creates:,} creates.")
    yield Line("memory per contact and its automations", (_memory(sandbox) - whole) * 1_000 / size.creates, "kB")
    yield Line(f"searches of {SEARCH_PAGE}", _rate(sandbox, _searches(sandbox, size), size), "/s")
    yield Line("memory at the end", _memory(sandbox), "MB")


# --- requests -------------------------------------------------------------------------------------------------------


def _pages(sandbox: SandboxProcess, size: Size) -> Iterator[bytes]:
    known = sandbox.settings
    user = b64encode(f"{known['PHOREST_CLIENT_ID']}:{known['PHOREST_CLIENT_SECRET']}".encode()).decode()
    base = known["PHOREST_API_BASE_URL"].removeprefix(sandbox.url) + f"/{known['PHOREST_BUSINESS_ID']}/client"
    most = max(1, size.clients // PAGE)
    for turn in range(size.pages):
        yield _request("GET", f"{base}?size={PAGE}&page={turn % most}", {"Authorization": f"Basic {user}"})


def _creates(sandbox: SandboxProcess, size: Size) -> Iterator[bytes]:
    fields = [_field(sandbox, f"Phorest load {turn}") for turn in range(4)]
    for turn in range(size.creates):
        body = {
            "locationId": sandbox.settings["GHL_LOCATION_ID"],
            "firstName": f"First{turn}", "lastName": f"Last{turn}", "email": f"load{turn}@example.com",
            "phone": f"+1{201 + turn // 9_000}555{1_000 + turn % 9_000:04d}", "source": "phorest",
            "tags": ["phorest:backfill", "loyalty:gold"],
            "dndSettings": {"SMS": {"status": "active", "message": "m", "code": "phorest"}},
            "customFields": [{"id": field, "field_value": f"value {turn}"} for field in fields],
        }  # fmt: skip
        yield _request("POST", "/contacts/", _ghl(sandbox), body)


def _searches(sandbox: SandboxProcess, size: Size) -> Iterator[bytes]:
    pages = max(1, min(size.creates, 10_000) // SEARCH_PAGE)
    for turn in range(size.searches):
        body = {
            "locationId": sandbox.settings["GHL_LOCATION_ID"],
            "pageLimit": SEARCH_PAGE,
            "page": 1 + turn % pages,
        }
        yield _request("POST", "/contacts/search", _ghl(sandbox), body)


def _ghl(sandbox: SandboxProcess) -> dict[str, str]:
    return {"Authorization": f"Bearer {sandbox.settings['GHL_PRIVATE_TOKEN']}", "Version": "2021-07-28"}


def _field(sandbox: SandboxProcess, name: str) -> str:
    path = f"/locations/{sandbox.settings['GHL_LOCATION_ID']}/customFields"
    answers: list[bytes] = []
    made = _request("POST", path, _ghl(sandbox), {"name": name, "dataType": "TEXT"})
    asyncio.run(_drive(sandbox, iter([made]), 1, answers.append))
    return json.loads(answers[0])["customField"]["id"]


def _request(method: str, target: str, headers: dict[str, str], body: dict[str, Any] | None = None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    told = {"Host": HOST, "Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + content


# --- the client -----------------------------------------------------------------------------------------------------


def _rate(sandbox: SandboxProcess, requests: Iterator[bytes], size: Size) -> float:
    """Requests a second; they are prepared before the watch starts."""
    ready = list(requests)
    begun = time.perf_counter()
    asyncio.run(_drive(sandbox, iter(ready), size.connections, lambda _: None))
    return len(ready) / (time.perf_counter() - begun)


async def _drive(
    sandbox: SandboxProcess, requests: Iterator[bytes], connections: int, take: Callable[[bytes], None]
) -> None:
    port = int(sandbox.url.rpartition(":")[2])

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        for request in requests:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            answer = await reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 2"):
                raise RuntimeError(f"The sandbox answered {head.split()[1].decode()}: {answer[:200].decode()}")
            take(answer)
        writer.close()
        await writer.wait_closed()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(connection())


def _memory(sandbox: SandboxProcess) -> float:
    """Resident memory of the process in MB, as `ps` says it."""
    assert sandbox.process is not None
    shown = subprocess.run(  # noqa: S603 - our own process id
        ["ps", "-o", "rss=", "-p", str(sandbox.process.pid)],  # noqa: S607 - wherever the system keeps it
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(shown.stdout) / 1_024


# --- the command ----------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 when a bar is not kept."""
    defaults = Size()
    parser = argparse.ArgumentParser(
        prog="python -m phorest_ghl.sandbox.load", description="How fast the sandbox is here."
    )
    for name, value in asdict(defaults).items():
        parser.add_argument(f"--{name}", type=int, default=value, help="(%(default)s)")
    parser.add_argument("--state", action="store_true", help="with a journal, as --state of the sandbox")
    told = vars(parser.parse_args(arguments))
    state = told.pop("state")
    lines = measure(Size(**told), state=state)
    for line in lines:
        bar = "" if line.bar is None else f"   {'at most' if line.at_most else 'at least'} {line.bar:,.0f}"
        sys.stdout.write(f"{line.name:<42}{line.value:>10,.1f} {line.unit}{bar}{'' if line.holds else '   MISSED'}\n")
    return 0 if all(line.holds for line in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
