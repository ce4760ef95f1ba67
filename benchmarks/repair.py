"""`bench repair`: how long a client who is new takes to a contact, while a full load uses up the location's budget.

The salon answers after 150 ms on both sides. A second process makes contacts of all its clients, at 80 % of GHL's 100
requests in 10 s, and would go on for minutes. Meanwhile people at the desk meet somebody and book, one after the other, and
a run of appointments follows each booking. *Inline*: from the plan that finds the appointment's client missing to the moment
at which another session sees the contact mapped: one read from Phorest, one create in GHL, and whatever they wait for.

*Queued*, one newcomer for ten of these: Phorest refuses to answer for the client while the run asks, so that the client is
left to the sensor of a real Dagster, which launches the job `repair`. From the run's end to the mapped contact; the half
minute that such a client is let rest, the sensor's interval and the start of a run are in it, so it has no bar.

The ratio is one second by the 95th percentile of the inline ones. A client who was asked for or made more than once, a 429,
or a load that ended before the last inline measurement makes the bar fail.
"""

import base64
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import psycopg

from benchmarks import counted
from benchmarks.desk import Desk, desk
from benchmarks.lab import Database, Lab, sandbox, sandbox_options, settings_of
from benchmarks.report import BenchError, Figure, Options, Report, Say, rounded_down
from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.commands.dagster_ui import DagsterUi, dagster_environment
from phorest_ghl.db.engine import dagster_url
from phorest_ghl.sandbox.server import SandboxProcess
from phorest_ghl.sync.events.appointments import AppointmentsSync, PreparedEvents

TAKES = frozenset({"--clients", "--rounds"})
WITHIN_S = 1.0
_CLIENTS = 2_500
_ROUNDS = 40
_MOST_ROUNDS = 100  # a day of the diary each
_LATENCY_MS = 150
_NOW = datetime(2026, 3, 10, 10, tzinfo=UTC)
"""Within the hours in which people may be written to; Dublin is on UTC."""
_FETCH = "GET /client/{clientId}"
_FOR_EACH_QUEUED = 10
_LOOK_S = 0.01
_PATIENCE_S, _QUEUED_PATIENCE_S = 60.0, 300.0


def run(options: Options, say: Say) -> Report:
    """Measure.

    Raises:
        BenchError: an option is not for this benchmark, or somebody was not brought.
    """
    options.check("repair", TAKES)
    rounds = options.rounds or _ROUNDS
    if rounds > _MOST_ROUNDS:
        raise BenchError(f"bench repair takes {_MOST_ROUNDS} --rounds at most.")
    salon = sandbox_options(
        clients=options.clients or _CLIENTS,
        months=0,
        now=_NOW,
        latency_ms=_LATENCY_MS,
        switches={"phorest_rate_max": 1_000_000},
    )
    with Lab() as lab, sandbox(salon) as served, lab.database() as database, desk(served) as people:
        given = {
            "PHOREST_GHL_HASH_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "PHOREST_REQUESTS_PER_SECOND": "100",
        }
        with open_runtime(settings_of(served, database, **given)) as runtime:
            importer = runtime.importer("bench")
            importer.clients()
            importer.appointments(full=True)
            say("repair: the clients are imported, and the load begins")
            environment = _environment(served, database, given)
            ticks = _Ticks(served, runtime, database, people)
            with _load(environment) as load:
                found = _inline(ticks, rounds)
                found["load_ended"] = load.poll() is not None
            say(f"repair, inline: {found['p95_s']} s for 95 % of {rounds}")
            figures = {"inline": found}
            queued = rounds // _FOR_EACH_QUEUED
            if queued:
                with lab.database() as storage:
                    figures["queued"] = _queued(ticks, environment, storage, range(rounds, rounds + queued))
                say(f"repair, queued: {figures['queued']['p50_s']} s for half of {queued}")
    ratio = rounded_down(WITHIN_S / float(found["p95_s"]))
    once = found["fetches"] == found["contacts"] == rounds
    holds = ratio >= 1.0 and once and not found["load_ended"] and found["refused"] == 0
    return Report(name="repair", figures=figures, ratio=ratio, bar=1.0, holds=holds)


def percentile(values: Sequence[float], part: float) -> float:
    """The least of the values that so much of them does not exceed."""
    ordered = sorted(values)
    return next(value for place, value in enumerate(ordered, 1) if place >= part * len(ordered))


def _inline(ticks: "_Ticks", rounds: int) -> dict[str, Figure]:
    ticks.wait_for_the_load()
    before = ticks.contacts()
    measured = [ticks.newcomer(number) for number in range(rounds)]
    after = ticks.contacts()
    seen = ticks.served.control("GET", "/requests")["apis"]["ghl"]
    return {
        "latency_ms": _LATENCY_MS,
        "newcomers": rounds,
        "p50_s": round(median(measured), 3),
        "p95_s": round(percentile(measured, 0.95), 3),
        "worst_s": round(max(measured), 3),
        "fetches": counted.operations(ticks.served, "phorest")[_FETCH],
        "contacts": sum(after.get(key, 0) for key in ticks.met),
        "events": len([row for row in ticks.served.truth("ghl/events") if row["kind"] == "appointment"]),
        "made_by_the_load_meanwhile": sum(after.values()) - sum(before.values()) - rounds,
        "refused": int(seen["rejected_429"]),
    }


def _queued(
    ticks: "_Ticks", environment: Mapping[str, str], storage: Database, numbers: Sequence[int]
) -> dict[str, Figure]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        settings = {
            **environment,
            "DAGSTER_DATABASE_URL": storage.url,
            "PHOREST_GHL_STATE_DIR": place,
        }
        env = dagster_environment(folder / "dagster", dagster_url(storage.url), settings)
        ui = DagsterUi(port=0, env=env, cwd=folder, log=folder / "dagster.log")
        try:
            ui.wait_until_ready()
            command = [sys.executable, "-m", "phorest_ghl", "schedules", "on", "repair", "--json"]
            done = subprocess.run(  # noqa: S603 - our own command
                command, env=settings, cwd=folder, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise BenchError(f"The sensor of repairs could not be turned on: {done.stderr}")
            measured = [ticks.refused_newcomer(number) for number in numbers]
        finally:
            ui.stop()
    return {
        "newcomers": len(measured),
        "p50_s": round(median(measured), 1),
        "worst_s": round(max(measured), 1),
    }


class _Ticks:
    """Newcomers and the runs of appointments that find them, one after the other."""

    def __init__(self, served: SandboxProcess, runtime: Runtime, database: Database, people: Desk) -> None:
        self.served = served
        self.met: list[str] = []
        self._runtime = runtime
        self._database = database
        self._desk = people

    def contacts(self) -> dict[str, int]:
        """How many contacts each Phorest id stands on."""
        found: dict[str, int] = {}
        for contact in self.served.truth("ghl/contacts"):
            for value in contact["customFields"].values():
                found[str(value)] = found.get(str(value), 0) + 1
        return {row["clientId"]: found.get(row["clientId"], 0) for row in self.served.truth("phorest/clients")}

    def wait_for_the_load(self) -> None:
        """Until it makes contacts, and so has read what the location holds. Raises BenchError."""
        limit = time.monotonic() + _PATIENCE_S
        while not any(self.contacts().values()):
            if time.monotonic() > limit:
                raise BenchError(
                    f"The load made no contact within {_PATIENCE_S:g} s, so there is nothing to compete with."
                )
            time.sleep(0.5)

    def newcomer(self, number: int) -> float:
        """Somebody new books, and the next run brings them; seconds from detection to the mapped contact."""
        client_id, road, prepared, started = self._come(number)
        plan = road.plan(prepared)
        with _mapped(self._database, client_id) as seen:
            detected = time.perf_counter()
            plan = road.bring(plan, prepared, started_at=started)
        result = road.apply(plan, prepared, started_at=started)
        if not seen or result.outcomes["applied"] != 1:
            raise BenchError(f"Newcomer {number} was not brought: {result.outcomes}, {result.reasons}, {result.error}.")
        return seen[0] - detected

    def refused_newcomer(self, number: int) -> float:
        """Somebody new books, and Phorest does not answer for them just then; seconds from there to the mapped contact."""
        client_id, road, prepared, started = self._come(number)
        fault = {"api": "phorest", "route": _FETCH, "kind": "500", "rate": 1.0}
        self.served.control("POST", "/faults", fault)
        plan = road.bring(road.plan(prepared), prepared, started_at=started)
        refused = time.perf_counter()
        self.served.control("DELETE", "/faults")
        with _mapped(self._database, client_id) as seen:
            while not seen and time.perf_counter() - refused < _QUEUED_PATIENCE_S:
                time.sleep(0.1)
        if not seen:
            reasons = sorted({str(outcome.reason) for outcome in plan.settled.values()})
            raise BenchError(f"Newcomer {number} was not brought within {_QUEUED_PATIENCE_S:g} s: {reasons}.")
        return seen[0] - refused

    def _come(self, number: int) -> tuple[str, AppointmentsSync, PreparedEvents, datetime]:
        """Somebody new books, and what changed in the diary is imported; the run that is about to look at it."""
        client_id = self._desk.meet(number)
        self.met.append(client_id)
        self._desk.book(client_id, _NOW.replace(hour=6) + timedelta(days=2 + number), number)
        self._desk.pass_time(2)
        name = f"bench-{number}"
        self._runtime.importer(name).appointments()
        road = self._runtime.appointments_sync(batch_id=name, writing=True)
        prepared = road.prepare()
        return client_id, road, prepared, datetime.now(UTC)


@contextmanager
def _mapped(database: Database, client_id: str) -> Generator[list[float]]:
    """The moment at which another session sees the client mapped, once it does, by `time.perf_counter`."""
    seen: list[float] = []
    over = threading.Event()

    def look() -> None:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            ready.set()
            query = "select 1 from entity_mappings where entity_type = 'client' and phorest_id = %s"
            while True:
                last = over.is_set()
                if connection.execute(query, (client_id,)).fetchone():
                    seen.append(time.perf_counter())
                    return
                if last:
                    return
                time.sleep(_LOOK_S)

    ready = threading.Event()
    thread = threading.Thread(target=look)
    thread.start()
    ready.wait(_PATIENCE_S)
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _environment(served: SandboxProcess, database: Database, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of the product's own processes: these settings and no others."""
    return {
        **{name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ},
        **served.settings,
        "DATABASE_URL": database.url,
        **given,
    }


@contextmanager
def _load(environment: Mapping[str, str]) -> Generator["subprocess.Popen[bytes]"]:
    """A process that makes contacts of everybody, as an operator starts it; ended with the block."""
    command = [sys.executable, "-m", "phorest_ghl", "sync", "clients", "--no-import", "--workflows-paused", "--json"]
    with tempfile.TemporaryDirectory() as folder:  # where no .env is
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
