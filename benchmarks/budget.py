"""`bench budget`: how much of GHL's limit our client uses, at three latencies, under a fixed and under a sliding window.

Ours sends creates from 8 threads through the shared budget at 98 % of 100 requests per 10 s. Beside it, in the same
sandbox, GHL's own SDK one at a time and 10 at a time. Figures of ours are counted without the first and the last window.

The two kinds of window run side by side, each in a sandbox, a location and a database of its own. All runs have the
true window of 10 s; `--rate-window-s` shrinks all times alike, latency included, so that the proportions stay.
The ratio is the worst share of any case; a single 429 that ours meets makes the bar fail.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import mean, median, quantiles
from threading import Lock

from benchmarks.lab import Database, Lab, sandbox, sandbox_options, settings_of
from benchmarks.official_sdk import Body, Delivery, Location, create_contacts
from benchmarks.peers import peer
from benchmarks.report import BenchError, Figure, Options, Report, Say, rounded_down
from phorest_ghl.assembly import open_runtime
from phorest_ghl.db.engine import make_engine
from phorest_ghl.db.migrate import upgrade
from phorest_ghl.ghl.models import ContactWrite
from phorest_ghl.http.budget import Lane, Limits
from phorest_ghl.http.budget_postgres import PostgresBudget
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxProcess

TAKES = frozenset({"--requests", "--rate-window-s"})
BAR = 0.95
LATENCIES_MS = (50, 200, 500)
WINDOWS = ("fixed", "sliding")
LIMIT = 100  # requests a window (facts/ghl-api §4)
_TRUE_WINDOW_S = 10.0
_SHARE = 0.98
_WORKERS = 8
_REQUESTS = 1_000
_SDK_WINDOWS = 3  # how long the SDK runs one at a time; its pace is the same in each
_SDK_AT_ONCE = 10
_SDK_REQUESTS = 400
_ACQUIRES = 2_000

_opening = Lock()  # Alembic keeps its state in a module, so a process migrates one database at a time


@dataclass(frozen=True, kw_only=True)
class Case:
    """One latency under one kind of window; `latency_ms` is for a window of 10 s and shrinks with it."""

    latency_ms: int
    window: str
    window_s: float
    requests: int

    @property
    def name(self) -> str:
        """As reports have it."""
        return f"{self.latency_ms} ms, {self.window}"

    def sandbox(self) -> SandboxOptions:
        """The sandbox of this case: an empty location under GHL's limit."""
        return sandbox_options(
            clients=1,
            months=0,
            latency_ms=self.latency_ms * self.window_s / _TRUE_WINDOW_S,
            rate_window_s=self.window_s,
            switches={"ghl_window": self.window, "ghl_rate_max": LIMIT},
        )


def run(options: Options, say: Say) -> Report:
    """Measure.

    Raises:
        BenchError: an option is not for this benchmark or too small, or a package is missing.
        ApiError: a create of ours failed.
    """
    options.check("budget", TAKES)
    peer("highlevel")  # now, rather than after minutes
    requests, window_s = options.requests or _REQUESTS, options.rate_window_s or _TRUE_WINDOW_S
    if requests < 3 * LIMIT:
        raise BenchError(f"--requests must be at least {3 * LIMIT}: the first and the last window do not count.")
    figures: dict[str, Mapping[str, Figure]] = {}
    with Lab() as lab, ThreadPoolExecutor(len(WINDOWS)) as side_by_side:
        for latency in LATENCIES_MS:
            cases = [Case(latency_ms=latency, window=kind, window_s=window_s, requests=requests) for kind in WINDOWS]
            measured = side_by_side.map(partial(_measure, lab, say), cases)
            figures |= {case.name: found for case, found in zip(cases, measured, strict=True)}
        worst = min(float(found["share"]) for found in figures.values())
        refused = sum(int(found["refused"]) for found in figures.values())
        with lab.database() as database:
            figures |= _cost_of_asking(database)
    return Report(name="budget", figures=figures, ratio=worst, bar=BAR, holds=worst >= BAR and refused == 0)


def shares(moments: list[float], window_s: float, limit: int) -> list[float]:
    """What part of the limit each window used, counted from the first moment, without the first and the last window.

    Moments are seconds of one clock, in any order. A window in which nothing happened counts as 0.
    """
    start = min(moments)
    counts = Counter(int((moment - start) // window_s) for moment in moments)
    return [counts[number] / limit for number in range(1, max(counts))]


def _measure(lab: Lab, say: Say, case: Case) -> dict[str, Figure]:
    with sandbox(case.sandbox()) as served, lab.database() as database:
        ours = _ours(served, database, case)
        seen = served.control("GET", "/requests")["apis"]["ghl"]
        used = shares(ours.accepted, case.window_s, LIMIT)
        say(f"budget, {case.name}, ours: {mean(used):.1%} of the limit, {seen['rejected_429']} refused")
        single, tenfold = _sdk(served, case)
        say(f"budget, {case.name}, official SDK: one at a time {_share(single, case):.1%} of the limit")
    return {
        "window_s": case.window_s,
        "share": rounded_down(mean(used)),
        "lowest_window": rounded_down(min(used)),
        "most_in_any_window": int(seen["most_in_window"]),
        "refused": int(seen["rejected_429"]),
        "seconds": round(ours.ended - ours.started, 1),
        "sdk_single_share": rounded_down(_share(single, case)),
        "sdk_single_refused": single.refused,
        f"sdk_{_SDK_AT_ONCE}_accepted": len(tenfold.accepted),
        f"sdk_{_SDK_AT_ONCE}_refused": tenfold.refused,
    }


def _share(delivery: Delivery, case: Case) -> float:
    return len(delivery.accepted) / ((delivery.ended - delivery.started) / case.window_s) / LIMIT


def _bodies(first: int, count: int) -> Iterator[dict[str, str]]:
    """Invented people, each with an address of her own, so that no create is refused as a duplicate."""
    for number in range(first, first + count):
        yield {
            "firstName": "Aoife",
            "lastName": f"Byrne {number}",
            "email": f"client{number}@example.com",
            "phone": f"+35385{number:07d}",
        }


def _ours(served: SandboxProcess, database: Database, case: Case) -> Delivery:
    settings = settings_of(
        served,
        database,
        GHL_RATE_LIMIT=str(LIMIT),
        GHL_RATE_WINDOW_S=str(case.window_s),
        GHL_BUDGET_SHARE=str(_SHARE),
    )
    with ExitStack() as parts:
        with _opening:
            runtime = parts.enter_context(open_runtime(settings))
        workers, client = parts.enter_context(ThreadPoolExecutor(_WORKERS)), runtime.ghl()

        def create(body: Mapping[str, str]) -> float:
            identity = {"first_name": body["firstName"], "last_name": body["lastName"]}
            client.create_contact(ContactWrite(identity={**identity, "email": body["email"], "phone": body["phone"]}))
            return time.monotonic()

        done = Delivery()
        done.accepted = list(workers.map(create, _bodies(0, case.requests)))
        done.ended = time.monotonic()
    return done


def _sdk(served: SandboxProcess, case: Case) -> tuple[Delivery, Delivery]:
    """The SDK one at a time, then several at once, each in a window of its own that nobody has used."""
    settings = served.settings
    location = Location(url=served.url, token=settings["GHL_PRIVATE_TOKEN"], location_id=settings["GHL_LOCATION_ID"])
    longest = _SDK_WINDOWS * case.window_s
    time.sleep(case.window_s)
    # More than one at a time can ever send in that time, at a millisecond each.
    single = create_contacts(location, _sdk_bodies(1_000_000, int(longest * 1_000)), at_once=1, seconds=longest)
    time.sleep(case.window_s)
    return single, create_contacts(location, _sdk_bodies(2_000_000, _SDK_REQUESTS), at_once=_SDK_AT_ONCE)


def _sdk_bodies(first: int, count: int) -> list[Body]:
    return [dict(body) for body in _bodies(first, count)]


def _cost_of_asking(database: Database) -> dict[str, Mapping[str, Figure]]:
    """What one permission costs where the limit is never met: once by one thread, once by as many as send."""
    engine = make_engine(database.url)
    upgrade(engine)
    engine.dispose()
    limits = Limits(requests=10_000_000, window_s=1.0, share=1.0, daily=None)
    budget = PostgresBudget(database.dsn, "bench", limits)

    def ask(_: int) -> float:
        started = time.perf_counter()
        budget.acquire(Lane.CONTACTS)
        return (time.perf_counter() - started) * 1_000

    found: dict[str, Mapping[str, Figure]] = {}
    for threads in (1, _WORKERS):
        with ThreadPoolExecutor(threads) as pool:
            started = time.perf_counter()
            taken_ms = list(pool.map(ask, range(_ACQUIRES)))
            seconds = time.perf_counter() - started
        found[f"asking, {threads} at once"] = {
            "median_ms": round(median(taken_ms), 3),
            "p99_ms": round(quantiles(taken_ms, n=100)[-1], 3),
            "per_second": round(_ACQUIRES / seconds),
        }
    budget.close()
    return found
