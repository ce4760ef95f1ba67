"""A process that imports and syncs, made to be killed.

Belongs here: starting it quickly and killing it with -9. It is forked from a server that has everything imported, so that
a kill costs a fraction of a second and not the start of a Python.
"""

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess

import structlog

from benchmarks import fuse
from phorest_ghl.assembly import open_runtime
from phorest_ghl.first_load import FirstLoad, NamedMonths
from phorest_ghl.phorest.importer import Importer
from phorest_ghl.settings import load_settings
from phorest_ghl.sync import mirror
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.going_live import go_live
from phorest_ghl.sync.guard import guard
from phorest_ghl.sync.journal import Ledger
from phorest_ghl_tests.phorest.salon import SWIFT
from phorest_ghl_tests.sync.rig import LAG_S, RETRY

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])


def live(environ: dict[str, str], jobs: tuple[str, ...], order: fuse.Order | None = None) -> None:  # noqa: C901 - a list
    """What the process does: the jobs, with the product's own parts; where `order` says so it dies by itself."""
    if order is not None:
        fuse.light(order.spark, order.crossed)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with open_runtime(load_settings(environ, None), retry=RETRY) as runtime:
        keyring = runtime.keyring()
        if "import" in jobs:
            Importer(runtime.engine, runtime.phorest(), keyring, batch_id=new_batch_id()).clients()
        if "sync" in jobs:
            sync = runtime.clients_sync(batch_id=new_batch_id(), writing=True, lag_s=LAG_S)
            sync.confirm_workflows("a test")
            prepared = sync.prepare()
            sync.apply(sync.plan(prepared), prepared, started_at=datetime.now(UTC))
        if "diary" in jobs:
            Importer(runtime.engine, runtime.phorest(), keyring, batch_id=new_batch_id()).appointments()
        if "staff" in jobs:
            staff = runtime.staff_sync(batch_id=new_batch_id(), writing=True, lag_s=LAG_S)
            team = staff.prepare()
            staff.apply(staff.plan(team), team, started_at=datetime.now(UTC))
        if "appointments" in jobs:
            events = runtime.appointments_sync(batch_id=new_batch_id(), writing=True, lag_s=LAG_S)
            known = events.prepare()
            events.apply(events.plan(known), known, started_at=datetime.now(UTC))
        if "notes" in jobs:
            notes = runtime.check_ins_sync(batch_id=new_batch_id(), writing=True, lag_s=LAG_S)
            ready = notes.prepare()
            notes.apply(notes.plan(ready), ready, started_at=datetime.now(UTC))
        if "first load" in jobs or "short load" in jobs:
            first = "2025-02" if "first load" in jobs else "2026-03"
            load = FirstLoad(runtime, NamedMonths.parse(first), lag_s=LAG_S, pace=SWIFT)
            load.bring()
            load.carry_out()
        if "guard" in jobs:
            ghl = runtime.ghl()
            with runtime.engine.connect() as connection:
                ids = [*mirror.load(connection, ghl.location_id)]
            guard(runtime.engine, ghl, Ledger(ghl.location_id, "client", new_batch_id()), ids)
        if "go live" in jobs:
            go_live(runtime.engine, runtime.ghl())


@contextlib.contextmanager
def victim(environ: dict[str, str], *jobs: str, order: fuse.Order | None = None) -> Generator[BaseProcess]:
    """A process that lives for the block, and not a moment longer."""
    process = _forks.Process(target=live, args=(environ, jobs, order), daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join(30)
        process.close()


def wait_for(condition: Callable[[], bool], process: BaseProcess, *, seconds: float = 30) -> None:
    """Wait until something is so; fails if the process ends first."""
    limit = time.monotonic() + seconds
    while not condition():
        assert process.is_alive(), "the process ended before it got there"
        assert time.monotonic() < limit, f"it did not get there within {seconds:g} s"
        time.sleep(0.005)
