"""The part of `bench first-load` that is the whole of it: `phorest-ghl backfill` over 13 months, in GHL's shrunken window.

Belongs here: that load, and what it is held to. Does not: contacts alone and what a run after them costs (`first_load`).

Held to: requests at most contacts, events, notes, the bulk calls of product tags, and 50; from the first to the last of
them at most 1.05 times what they take at the budget's pace; no 429; under 300 MB for the process that loads. The import
stands apart. What is counted is the sandbox's, requests and seconds alike.

The clients' run after it writes nothing. What it reads stands beside: GHL names it every contact with a block, 500 a page,
since those of the load are as new as any that a person set meanwhile.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text

from benchmarks import counted
from benchmarks.lab import Lab, environment_of, sandbox, sandbox_options
from benchmarks.loading import backfill
from benchmarks.report import BenchError, Figure, Say, rounded_down
from phorest_ghl.assembly import ghl_limits, open_runtime
from phorest_ghl.ghl.fields import PRODUCT_PREFIX
from phorest_ghl.sandbox.server import SandboxProcess
from phorest_ghl.settings import Settings, load_settings

MORE_REQUESTS = 50
SLOWER = 1.05
MEGABYTES = 300
WINDOW_S = 2.0
"""GHL's window of 10 s, shrunk: the load of a day then takes minutes, and no longer a single request's time."""
FIRST_MONTH = "2025-02"
MONTHS = 13
AFTERNOON = datetime(2026, 3, 10, 15, tzinfo=UTC)
_SHARE = "0.8"


@dataclass(frozen=True)
class WholeLoad:
    """What a load came to: its figures, and how far below each of its two bounds it is (1 is at it)."""

    figures: Mapping[str, Figure]
    by_requests: float
    by_time: float
    holds: bool


def whole_load(lab: Lab, clients: int, window_s: float, say: Say) -> WholeLoad:
    """Load a salon of so many clients and 13 months. Raises BenchError where the load does not come to its end."""
    salon = sandbox_options(
        clients=clients,
        months=MONTHS,
        now=AFTERNOON,
        rate_window_s=window_s,
        switches={"phorest_rate_max": 1_000_000},
    )
    with sandbox(salon) as served, lab.database() as database:
        environment = environment_of(
            served,
            database,
            PHOREST_REQUESTS_PER_SECOND="10000",
            GHL_RATE_WINDOW_S=str(window_s),
            GHL_BUDGET_SHARE=_SHARE,
        )
        settings = load_settings(environment, None)
        before = confirm(served, settings)
        began = time.perf_counter()
        with backfill(environment, FIRST_MONTH) as load:
            load.wait()
        whole_s = time.perf_counter() - began
        return _judged(served, settings, before, whole_s, load.peak_mb, say)


def confirm(served: SandboxProcess, settings: Settings) -> int:
    """Somebody has paused the workflows; how many requests to GHL that took. Requests are counted anew."""
    counted.forget(served)
    with open_runtime(settings) as runtime:
        runtime.clients_sync(batch_id="bench-confirmed", writing=True).confirm_workflows("bench")
    taken = counted.pace(served).requests
    counted.forget(served)
    return taken


def _judged(
    served: SandboxProcess, settings: Settings, before: int, whole_s: float, peak_mb: float, say: Say
) -> WholeLoad:
    pace, limits = counted.pace(served), ghl_limits(settings)
    held = served.truth("ghl/contacts")
    contacts, notes = len(held), len(served.truth("ghl/notes"))
    events = sum(event["kind"] == "appointment" for event in served.truth("ghl/events"))
    if _mapped(settings) != (contacts, events, notes):
        raise BenchError("After the load GHL holds other records than those on record, so its requests say nothing.")
    bulk = counted.bulk_calls(counted.tagged(held, PRODUCT_PREFIX).values())
    requests = before + pace.requests
    bound = contacts + events + notes + bulk + MORE_REQUESTS
    at_pace_s = pace.requests * limits.window_s / (limits.share * limits.requests)
    by_requests, by_time = rounded_down(bound / requests), rounded_down(SLOWER * at_pace_s / pace.seconds)
    later = _next_run(served, settings)
    say(f"whole load: {requests} requests of {bound}, {pace.seconds:.1f} s where the pace takes {at_pace_s:.1f} s")
    figures: dict[str, Figure] = {
        "contacts": contacts,
        "events": events,
        "notes": notes,
        "product_tag_calls": bulk,
        "requests": requests,
        "bound": bound,
        "beyond_records": requests - contacts - events - notes,
        "share": limits.share,
        "window_s": limits.window_s,
        "at_pace_s": round(at_pace_s, 1),
        "first_to_last_s": round(pace.seconds, 1),
        "slower_than_pace": round(pace.seconds / at_pace_s, 3),
        "most_in_window": pace.most,
        "rejected_429": pace.refused,
        "import_and_start_s": round(whole_s - pace.seconds, 1),
        "peak_mb": round(peak_mb),
        "next_run_reads": counted.reads(later),
        "next_run_writes": counted.writes(later).total(),
    }
    quiet = not pace.refused and not figures["next_run_writes"]
    holds = by_requests >= 1 and by_time >= 1 and quiet and peak_mb < MEGABYTES
    return WholeLoad(figures, by_requests, by_time, holds)


def _next_run(served: SandboxProcess, settings: Settings) -> Counter[str]:
    """The requests of the clients' run that follows, by method and route."""
    counted.forget(served)
    with open_runtime(settings) as runtime:
        road = runtime.clients_sync(batch_id="bench-next", writing=True)
        prepared = road.prepare()
        road.apply(road.plan(prepared), prepared, started_at=datetime.now(UTC))
    return counted.operations(served, "ghl")


def _mapped(settings: Settings) -> tuple[int, ...]:
    """Contacts, events and notes on record."""
    with open_runtime(settings) as runtime, runtime.engine.connect() as connection:
        found = connection.execute(
            text("select entity_type, count(distinct ghl_id) from entity_mappings where removed_at is null group by 1")
        )
        by_entity = {row[0]: row[1] for row in found}
    return tuple(by_entity.get(name, 0) for name in ("client", "appointment", "checkin"))
