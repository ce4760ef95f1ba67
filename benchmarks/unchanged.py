"""`bench unchanged`: what a run costs that finds nothing to do: 15,000 clients and six months of appointments.

The salon is imported and synced once. Then the clients' list and the months of the frequent import are read again whole,
which is the harder case, and once more by what changed, as the crons do; each time a plan is made.

Own time is the CPU time of our process and of the whole PostgreSQL server, added up as if nothing ran side by side. It
leaves out what the sandbox does and waits for it, and the disk; the wall time beside it has them all. The ratio is the
four seconds that it may be by the longer of the two. Not a row may be written: no row of the tables has a transaction of
the run in it, neither as its writer nor as the holder of a lock.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from sqlalchemy import Engine, text

from benchmarks.lab import Lab, sandbox, sandbox_options, settings_of
from benchmarks.report import BenchError, Figure, Options, Report, Say, rounded_down
from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.phorest.importer import ImportResult
from phorest_ghl.phorest.results import combined
from phorest_ghl.phorest.specs import APPOINTMENTS, CLIENTS
from phorest_ghl.sync.clients import ClientsSync
from phorest_ghl.sync.plan import Plan

TAKES = frozenset({"--clients", "--rounds"})
BAR_S = 4.0
_CLIENTS = 15_000
_ROUNDS = 3
_MONTHS = 2  # before today; the sandbox's diary goes four months ahead, and the frequent import reads six in all
_RATE_WINDOW_S = 0.1  # GHL's window of 10 s, shrunk: the first sync is no part of what is measured


@dataclass(frozen=True)
class _Round:
    """One run over unchanged data; seconds and bytes."""

    own: float
    ours: float
    postgres: float
    wall: float
    clients: int
    appointments: int
    requests: int
    written: int
    planned: int
    wal: int


def run(options: Options, say: Say) -> Report:
    """Measure.

    Raises:
        BenchError: an option is not for this benchmark, or the salon could not be brought.
    """
    options.check("unchanged", TAKES)
    salon = sandbox_options(
        clients=options.clients or _CLIENTS,
        months=_MONTHS,
        rate_window_s=_RATE_WINDOW_S,
        switches={"phorest_rate_max": 1_000_000},
    )
    with Lab() as lab, sandbox(salon) as served, lab.database() as database:
        settings = settings_of(served, database, PHOREST_REQUESTS_PER_SECOND="10000")
        with open_runtime(settings) as runtime:
            _bring(runtime, say)
            figures: dict[str, dict[str, Figure]] = {}
            for name, full in (("all read", True), ("what changed read", False)):
                rounds = [
                    _measure(lab, runtime, full=full, number=number) for number in range(options.rounds or _ROUNDS)
                ]
                figures[name] = _figures(rounds)
                say(f"unchanged, {name}: {figures[name]['own_s']} s of own time, {figures[name]['wall_s']} s in all")
    ratio = rounded_down(BAR_S / max(float(found["own_s"]) for found in figures.values()))
    untouched = not any(found["rows_written"] or found["changes_planned"] for found in figures.values())
    return Report(name="unchanged", figures=figures, ratio=ratio, bar=1.0, holds=untouched and ratio >= 1.0)


def _bring(runtime: Runtime, say: Say) -> None:
    """Import the salon and sync its clients, so that there is nothing left to do."""
    started = datetime.now(UTC)
    importer = runtime.importer("bench-first")
    if not (importer.clients()["client"].complete and all(one.complete for one in importer.appointments())):
        raise BenchError("The sandbox's salon could not be imported whole, so there is nothing unchanged to measure.")
    road = ClientsSync(runtime.engine, runtime.ghl(), runtime.keyring(), batch_id="bench-first")
    road.confirm_workflows("bench")
    prepared = road.prepare()
    plan = road.plan(prepared)
    say(f"unchanged: {len(plan.changes)} contacts to make first")
    result = road.apply(plan, prepared, started_at=started)
    if result.error:
        raise BenchError(f"The first sync of the sandbox's clients ended early: {result.error}")


def _measure(lab: Lab, runtime: Runtime, *, full: bool, number: int) -> _Round:
    lab.settle()
    engine = runtime.engine
    before, log = _transaction(engine), _log_position(engine)
    postgres, ours, wall = lab.cpu_seconds(), time.process_time(), time.perf_counter()
    importer = runtime.importer(f"bench-{full}-{number}")
    clients = importer.run(CLIENTS, full=full)
    appointments = combined(importer.appointments(full=full))
    plan = _plan(runtime)
    wall, ours = time.perf_counter() - wall, time.process_time() - ours
    postgres = lab.cpu_seconds() - postgres
    if not (clients.complete and appointments.complete):
        raise BenchError("An unchanged list was not read whole, so the figures are worth nothing.")
    return _Round(
        own=ours + postgres,
        ours=ours,
        postgres=postgres,
        wall=wall,
        clients=clients.seen,
        appointments=appointments.seen,
        requests=clients.requests + appointments.requests,
        written=_written(engine, before) + _news(clients) + _news(appointments),
        planned=len(plan.changes),
        wal=_log_position(engine) - log,
    )


def _plan(runtime: Runtime) -> Plan:
    road = ClientsSync(runtime.engine, runtime.ghl_reader(), runtime.keyring(), batch_id="bench-plan")
    return road.plan(road.prepare())


def _news(result: ImportResult) -> int:
    return result.inserted + result.updated + result.tombstoned


def _figures(rounds: list[_Round]) -> dict[str, Figure]:
    def middle(of: Callable[[_Round], float]) -> float:
        return round(median(of(one) for one in rounds), 3)

    return {
        "clients_read": rounds[0].clients,
        "appointments_read": rounds[0].appointments,
        "requests": rounds[0].requests,
        "own_s": middle(lambda one: one.own),
        "ours_cpu_s": middle(lambda one: one.ours),
        "postgres_cpu_s": middle(lambda one: one.postgres),
        "wall_s": middle(lambda one: one.wall),
        "rows_written": sum(one.written for one in rounds),
        "changes_planned": sum(one.planned for one in rounds),
        "log_bytes": round(median(one.wal for one in rounds)),
    }


def _transaction(engine: Engine) -> int:
    """The number of a transaction, below those of all that begin later."""
    return _number(engine, "select pg_current_xact_id()::text::bigint")


def _log_position(engine: Engine) -> int:
    """How much PostgreSQL has logged, bytes."""
    return _number(engine, "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")


def _written(engine: Engine, before: int) -> int:
    """Rows that a transaction since then wrote, or locked."""
    return sum(
        _number(
            engine,
            f"""select count(*) from {table}
                where xmin::text::bigint >= :before or xmax::text::bigint >= :before""",  # noqa: S608 - names of ours
            before=before,
        )
        for table in (CLIENTS.table.name, APPOINTMENTS.table.name)
    )


def _number(engine: Engine, statement: str, **values: Any) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(statement), values).scalar_one())
