"""The part of `bench tick` that has a first load beside it: the ten-minute run has to be over before the next one is due.

Belongs here: that run, and the load beside it. Does not: the requests of a tick (`tick`), the cost of a load (`whole_load`).

`phorest-ghl backfill` loads 13 months in a process of its own. When a third of its contacts are there, the code of the cron
runs in this one, on the same location's budget: it imports the diary and makes an event for each appointment in its window
whose client has a contact by then. GHL's window is shrunk from 10 s to 2 s, and the tick's slot of ten minutes with it.
"""

import time
from datetime import UTC, datetime

from benchmarks import counted
from benchmarks.lab import Lab, environment_of, sandbox, sandbox_options
from benchmarks.loading import backfill
from benchmarks.report import BenchError, Figure, Say
from benchmarks.whole_load import AFTERNOON, FIRST_MONTH, MONTHS, WINDOW_S, confirm
from phorest_ghl.assembly import open_runtime
from phorest_ghl.phorest.results import combined
from phorest_ghl.settings import load_settings

_REAL_WINDOW_S, _REAL_SLOT_S = 10.0, 600.0
SLOT_S = _REAL_SLOT_S * WINDOW_S / _REAL_WINDOW_S
_CONTACTS = 0.65  # of clients, those with a contact of their own, roughly
_BEGUN = 1 / 3
_CREATE = "POST /contacts/"
_EVENT = "POST /calendars/events/appointments"


def beside_load(lab: Lab, clients: int, say: Say) -> tuple[dict[str, Figure], bool]:
    """One tick beside a load of so many clients: its figures, and whether it was over in its slot.

    Raises:
        BenchError: the load or the tick did not come to its end, or the load was over before the tick.
    """
    salon = sandbox_options(
        clients=clients,
        months=MONTHS,
        now=AFTERNOON,
        rate_window_s=WINDOW_S,
        switches={"phorest_rate_max": 1_000_000},
    )
    with sandbox(salon) as served, lab.database() as database:
        environment = environment_of(
            served, database, PHOREST_REQUESTS_PER_SECOND="10000", GHL_RATE_WINDOW_S=str(WINDOW_S)
        )
        settings = load_settings(environment, None)
        confirm(served, settings)
        with backfill(environment, FIRST_MONTH) as load, open_runtime(settings) as runtime:
            enough = clients * _CONTACTS * _BEGUN
            load.wait(until=lambda: counted.operations(served, "ghl")[_CREATE] >= enough, look_s=0.5)
            began, started = time.perf_counter(), datetime.now(UTC)
            before = counted.operations(served, "ghl")[_CREATE]
            read = combined(runtime.importer("bench-beside").appointments())
            road = runtime.appointments_sync(batch_id="bench-beside", writing=True)
            prepared = road.prepare()
            result = road.apply(road.plan(prepared), prepared, started_at=started)
            seconds = time.perf_counter() - began
            after = counted.operations(served, "ghl")
            if not read.complete or result.error or result.outcomes["failed"]:
                raise BenchError(f"The tick beside a load did not come to its end: {result.outcomes}, {result.error}.")
            if load.over:
                raise BenchError("The load was over before the tick beside it, which says nothing; take more clients.")
        pace = counted.pace(served)
    say(f"tick, beside a load: {result.outcomes['applied']} events in {seconds:.1f} s of {SLOT_S:g} s")
    figures: dict[str, Figure] = {
        "contacts_at_its_beginning": before,
        "contacts_at_its_end": after[_CREATE],
        "events_made": after[_EVENT],
        "applied": result.outcomes["applied"],
        "deferred": result.outcomes["deferred"],
        "window_s": WINDOW_S,
        "slot_s": SLOT_S,
        "wall_s": round(seconds, 1),
        "most_in_window": pace.most,
        "rejected_429": pace.refused,
    }
    return figures, seconds < SLOT_S and not pace.refused
