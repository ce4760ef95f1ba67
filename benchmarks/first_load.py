"""`bench first-load`: what the first load of a location takes, how close to the pace it is, and what a run after it costs.

The whole load, `phorest-ghl backfill` with 13 months, is described in `whole_load`; `--rate-window-s` is for it.

Besides, contacts alone: 15,000 clients, once into an empty location and once into one that holds 5,000 contacts which an
agency made by hand, many of them of the salon's own clients. The bound on requests is what cannot be done without:

- empty: one for each contact, one for each 500 present, and 30;
- with the agency's: also one read of consent for each contact taken over, and one bulk call for each tag and 500 contacts.

After it, a run over unchanged clients writes nothing and reads three times at most, in under two seconds: reading what is
held, planning, and finding out what people blocked in GHL. Requests are counted by the sandbox. Their pace is not measured
here: GHL's window is shrunk much further. Facets of other entities (loyalty, visits, bookings, products) are off.

The ratio is the bound by what was, of requests and of the whole load's time, the least of all.
"""

import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text

from benchmarks.lab import Database, Lab, sandbox, sandbox_options, settings_of
from benchmarks.report import BenchError, Figure, Options, Report, Say, rounded_down
from benchmarks.whole_load import WINDOW_S, whole_load
from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.ghl.bulk_tags import BULK_LIMIT
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxProcess
from phorest_ghl.sync.plan import Plan
from phorest_ghl.sync.summary import RunResult

TAKES = frozenset({"--clients", "--rate-window-s"})
UNCHANGED_S = 2.0
UNCHANGED_READS = 3
_CLIENTS = 15_000
_BY_HAND = 3  # one contact of the agency's for each so many clients
_RATE_WINDOW_S = 0.2
_ALLOWANCE = 30
_CLIENTS_ALONE = dict.fromkeys(
    ("SYNC_LOYALTY", "SYNC_VISITS", "SYNC_SPEND", "SYNC_ONLINE_BOOKINGS", "SYNC_PRODUCT_TAGS"), "no"
)
"""The contacts themselves: each field that a facet defines costs one more request, once for a location."""


@dataclass(frozen=True)
class _Run:
    """One run: seconds of its own, and what the sandbox counted meanwhile."""

    plan: Plan
    result: RunResult
    seconds: float
    requests: int
    writes: int


def run(options: Options, say: Say) -> Report:
    """Measure.

    Raises:
        BenchError: an option is not for this benchmark, or a load did not come to its end.
    """
    options.check("first-load", TAKES)
    clients = options.clients or _CLIENTS
    with Lab() as lab:
        whole = whole_load(lab, clients, options.rate_window_s or WINDOW_S, say)
        figures = {
            "empty location": _case(lab, _salon(clients, 0, _RATE_WINDOW_S), say),
            "an agency's contacts": _case(lab, _salon(clients, clients // _BY_HAND, _RATE_WINDOW_S), say),
        }
    ratio = min(rounded_down(int(found["bound"]) / int(found["requests"])) for found in figures.values())
    ratio = min(ratio, whole.by_requests, whole.by_time)
    quiet = all(
        found["unchanged_writes"] == 0
        and found["overwritten"] == 0
        and float(found["unchanged_s"]) < UNCHANGED_S
        and int(found["unchanged_reads"]) <= UNCHANGED_READS
        for found in figures.values()
    )
    holds = quiet and whole.holds and ratio >= 1.0
    return Report(
        name="first-load", figures={"whole load": whole.figures, **figures}, ratio=ratio, bar=1.0, holds=holds
    )


def _salon(clients: int, agency: int, window_s: float) -> SandboxOptions:
    return sandbox_options(
        clients=clients,
        months=0,
        agency_contacts=agency,
        rate_window_s=window_s,
        switches={"phorest_rate_max": 1_000_000, "ghl_search_lag_s": window_s},
    )


def _case(lab: Lab, salon: SandboxOptions, say: Say) -> dict[str, Figure]:
    with sandbox(salon) as served, lab.database() as database:
        return _load(served, database, salon, say)


def _load(served: SandboxProcess, database: Database, salon: SandboxOptions, say: Say) -> dict[str, Figure]:
    settings = settings_of(
        served,
        database,
        PHOREST_REQUESTS_PER_SECOND="10000",
        GHL_RATE_WINDOW_S=str(salon.rate_window_s),
        **_CLIENTS_ALONE,
    )
    before = served.truth("ghl/contacts")
    with open_runtime(settings) as runtime:
        runtime.importer("bench").clients()
        first = _run(served, runtime, salon, "first", confirm=True)
        say(f"first load into {len(before)} contacts: {first.requests} requests, {first.result.changes}")
        time.sleep(2 * salon.rate_window_s)  # until the search shows the load's last writes, as it does hours later
        # What a load leaves in motion is read once more; the run after that finds nothing at all.
        settled = _run(served, runtime, salon, "settling")
        again = _run(served, runtime, salon, "unchanged")
        say(f"unchanged: {again.requests} requests in {again.seconds:.2f} s")
        with runtime.engine.connect() as connection:
            mapped: int = connection.execute(
                text("select count(distinct ghl_id) from entity_mappings where entity_type = 'client'")
            ).scalar_one()
    adopted = first.result.changes["adopt"]
    bulk = _bulk_calls(first.plan)
    bound = mapped + -(-len(before) // BULK_LIMIT) + adopted + bulk + _ALLOWANCE
    after = {contact["id"]: contact for contact in served.truth("ghl/contacts")}
    return {
        "contacts_before": len(before),
        "contacts": mapped,
        "adopted": adopted,
        "for_review": len(first.plan.reviews),
        "requests": first.requests,
        "bound": bound,
        "planned_requests": first.plan.requests,
        "load_s": round(first.seconds, 1),
        "overwritten": sum(_changed(old, after[old["id"]]) for old in before),
        "settling_reads": settled.requests - settled.writes,
        "unchanged_writes": again.writes + settled.writes,
        "unchanged_reads": again.requests - again.writes,
        "unchanged_s": round(again.seconds, 3),
    }


def _run(served: SandboxProcess, runtime: Runtime, salon: SandboxOptions, name: str, *, confirm: bool = False) -> _Run:
    served.control("DELETE", "/requests")
    sync = runtime.clients_sync(batch_id=f"bench-{name}", writing=True, lag_s=salon.rate_window_s)
    if confirm:
        sync.confirm_workflows("bench")
    started = time.perf_counter()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    result = sync.apply(plan, prepared, started_at=datetime.now(UTC))
    seconds = time.perf_counter() - started
    if result.error or result.outcomes["failed"] or result.outcomes["deferred"]:
        raise BenchError(f"The {name} run did not come to its end: {result.outcomes}, {result.error or 'no error'}.")
    counted: Counter[str] = Counter()
    for row in served.control("GET", "/requests")["requests"]:
        if row["api"] == "ghl":
            reads = row["method"] == "GET" or row["route"].startswith("/contacts/search")
            counted["reads" if reads else "writes"] += row["count"]
    return _Run(plan, result, seconds, counted.total(), counted["writes"])


def _bulk_calls(plan: Plan) -> int:
    """One for each tag and 500 contacts that get it, the guard tag included."""
    tags = Counter(diff.name for change in plan.changes for diff in change.tag_diffs)
    return sum(-(-count // BULK_LIMIT) for count in (*tags.values(), len(plan.to_guard)))


def _changed(old: dict[str, object], new: dict[str, object]) -> int:
    """Values of the agency's that are no longer there; what was empty may have been filled."""
    names = ("firstName", "lastName", "email", "phone", "address1", "city", "postalCode", "country", "dateOfBirth")
    return sum(bool(old.get(name)) and old.get(name) != new.get(name) for name in names)
