"""`bench tick`: what a ten-minute run of appointments costs, beside 15,000 clients and 12,000 appointments that are synced.

A tick is the code of the cron: what changed in the diary is imported, events are planned and applied. Four of them are
counted by the sandbox, after one that settles what the first load left in motion:

- nothing changed: no write to GHL, three reads at most (location, calendars, opt-outs), a page of Phorest's diary for each
  branch and month, and under three seconds;
- changes: appointments of clients with a contact, booked, moved, checked in and cancelled: one event request each, and
  nothing else on either side;
- newcomers: an appointment each of clients whom nobody has seen yet: one read of each client, one contact and one event;
- other contacts: coming appointments given to another client: two event requests each.

A tick beside a first load is a case of its own (`beside_load`), held to its slot of ten minutes.

Seconds are wall time from the first request to the summary, the sandbox's work and all waiting included: at no latency and
with a budget that holds nobody up, that is more than the tick's own time. `own_cpu_s`, our process and the whole
PostgreSQL server, stands beside it. The ratio is the requests that may be by those that were, the least of the four.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from statistics import median

from sqlalchemy import text

from benchmarks import counted
from benchmarks.beside_load import beside_load
from benchmarks.desk import Desk, Row, desk
from benchmarks.lab import Lab, sandbox, sandbox_options, settings_of
from benchmarks.report import BenchError, Figure, Options, Report, Say, rounded_down
from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.phorest.results import combined
from phorest_ghl.phorest.scopes import months, months_around
from phorest_ghl.sandbox.server import SandboxProcess
from phorest_ghl.sync.summary import RunResult

TAKES = frozenset({"--clients", "--rounds"})
OWN_S = 3.0
READS = 3
_CLIENTS = 15_000
_ROUNDS = 3
_MONTHS_BACK = 11  # with the four ahead: 12,900 rows at 15,000 clients, of which events are made
_BACK = timedelta(days=365)  # the window of scheduled runs, so that all of these rows are looked at
_EACH = 10  # of each kind of change
_RATE_WINDOW_S = 0.1  # GHL's window of 10 s, shrunk: nothing here is about pace
_EVENING = datetime(2026, 3, 10, 20, 30, tzinfo=UTC)
"""The salon is closed, so no appointment begins while this runs; Dublin is on UTC."""
_EVENTS = frozenset({"POST /calendars/events/appointments", "PUT /calendars/events/appointments/{eventId}"})
_CONTACT = "POST /contacts/"
_PAGE = "GET /branch/{branchId}/appointment"
_CLIENT = frozenset({"GET /client/{clientId}", "GET /client-batch", "GET /client"})


@dataclass(frozen=True)
class _Tick:
    """One tick: what it came to, its seconds, and what the sandbox counted."""

    result: RunResult
    wall: float
    cpu: float
    ghl: Counter[str]
    phorest: Counter[str]

    @property
    def events(self) -> int:
        """Requests that make or change an event."""
        return sum(self.ghl[name] for name in _EVENTS)

    @property
    def other_writes(self) -> int:
        """Whatever else was written to GHL."""
        return counted.writes(self.ghl).total() - self.events

    def figures(self) -> dict[str, Figure]:
        """As reports have it."""
        return {
            "event_requests": self.events,
            "contact_creates": self.ghl[_CONTACT],
            "other_writes": self.other_writes - self.ghl[_CONTACT],
            "ghl_reads": counted.reads(self.ghl),
            "diary_pages": self.phorest[_PAGE],
            "client_reads": sum(self.phorest[name] for name in _CLIENT),
            "applied": self.result.outcomes["applied"],
            "deferred": self.result.outcomes["deferred"],
            "wall_s": round(self.wall, 3),
            "own_cpu_s": round(self.cpu, 3),
        }


def run(options: Options, say: Say) -> Report:
    """Measure.

    Raises:
        BenchError: an option is not for this benchmark, or the salon could not be brought.
    """
    options.check("tick", TAKES)
    salon = sandbox_options(
        clients=options.clients or _CLIENTS,
        months=_MONTHS_BACK,
        now=_EVENING,
        rate_window_s=_RATE_WINDOW_S,
        switches={"phorest_rate_max": 1_000_000, "ghl_rate_max": 1_000_000, "ghl_search_lag_s": _RATE_WINDOW_S},
    )
    with Lab() as lab, sandbox(salon) as served, lab.database() as database, desk(served) as people:
        settings = settings_of(
            served,
            database,
            PHOREST_REQUESTS_PER_SECOND="10000",
            GHL_RATE_LIMIT="1000",
            GHL_RATE_WINDOW_S=str(_RATE_WINDOW_S),
            GHL_DAILY_LIMIT="1000000",
            APPOINTMENT_DAYS_BACK=str(_BACK.days),
        )
        with open_runtime(settings) as runtime:
            _bring(runtime, say)
            report = _Ticks(lab, served, runtime, people, options.rounds or _ROUNDS).report(say)
    with Lab() as lab:
        figures, met = beside_load(lab, options.clients or _CLIENTS, say)
    return replace(report, figures={**report.figures, "beside a load": figures}, holds=report.holds and met)


def _bring(runtime: Runtime, say: Say) -> None:
    """Import the salon, and sync its clients and all of its diary."""
    importer = runtime.importer("bench-first")
    today = _EVENING.date()
    everything = list(months(today - _BACK, months_around(today)[-1].last))
    complete = importer.clients()["client"].complete
    importer.catalogue()
    if not (complete and all(one.complete for one in importer.appointments(everything, full=True))):
        raise BenchError("The sandbox's salon could not be imported whole, so there is nothing to tick over.")
    contacts = runtime.clients_sync(batch_id="bench-contacts", writing=True, lag_s=_RATE_WINDOW_S)
    contacts.confirm_workflows("bench")
    prepared = contacts.prepare()
    made = contacts.apply(contacts.plan(prepared), prepared, started_at=datetime.now(UTC))
    say(f"tick: {made.changes} contacts first")
    events = _apply(runtime, "bench-events")
    say(f"tick: {events.outcomes['applied']} events first")
    for result in (made, events):
        if result.error or result.outcomes["failed"]:
            raise BenchError(
                f"The first load did not come to its end: {result.outcomes}, {result.error or 'no error'}."
            )


def _apply(runtime: Runtime, name: str) -> RunResult:
    started = datetime.now(UTC)
    road = runtime.appointments_sync(batch_id=name, writing=True, lag_s=_RATE_WINDOW_S)
    prepared = road.prepare()
    return road.apply(road.plan(prepared), prepared, started_at=started)


class _Ticks:
    """The ticks over one salon, in their order."""

    def __init__(self, lab: Lab, served: SandboxProcess, runtime: Runtime, people: Desk, rounds: int) -> None:
        self._lab, self._served, self._runtime, self._desk = lab, served, runtime, people
        self._rounds = rounds
        self._windows = len(months_around(_EVENING.date(), _BACK))
        self._rng = Random(7)

    def report(self, say: Say) -> Report:
        """All cases."""
        self._tick("settling")
        cases = {
            "nothing changed": self._unchanged(),
            "changes": self._changes(),
            "newcomers": self._newcomers(),
            "other contacts": self._other_contacts(),
        }
        figures = {name: case for name, (case, _) in cases.items()}
        for name, found in figures.items():
            say(f"tick, {name}: {found['requests']} requests of {found['bound']}, {found['wall_s']} s")
        ratio = min(rounded_down(int(one["bound"]) / int(one["requests"])) for one in figures.values())
        holds = all(met for _, met in cases.values())
        return Report(name="tick", figures=figures, ratio=ratio, bar=1.0, holds=holds and ratio >= 1.0)

    def _unchanged(self) -> tuple[dict[str, Figure], bool]:
        rounds = [self._tick(f"unchanged-{number}") for number in range(self._rounds)]
        worst = max(rounds, key=lambda one: one.ghl.total() + one.phorest.total())
        wall = median(one.wall for one in rounds)
        with self._runtime.engine.connect() as connection:
            held = connection.execute(text("select count(*) from entity_mappings where entity_type = 'appointment'"))
            events: int = held.scalar_one()
        figures = {
            "clients": len(self._served.truth("phorest/clients")) - 1,
            "items": worst.result.total,
            "events": events,
            **self._held_to(worst, events=0),
            "wall_s": round(wall, 3),
            "own_cpu_s": round(median(one.cpu for one in rounds), 3),
        }
        return figures, wall < OWN_S and self._nothing_else(worst, events=0)

    def _changes(self) -> tuple[dict[str, Figure], bool]:
        drawn = self._draw()
        tick = self._tick("changes")
        k = sum(drawn.values())
        return {**drawn, **self._held_to(tick, events=k)}, self._nothing_else(tick, events=k)

    def _draw(self) -> dict[str, int]:
        """Changes of rows whose client has a contact and whose event stands."""
        rows = self._standing()
        today = _EVENING.date().isoformat()
        coming = [row for row in rows if row["appointmentDate"] > today and row.get("state") == "BOOKED"]
        first_month = months_around(_EVENING.date(), _BACK)[0].first.isoformat()
        over = [row for row in rows if first_month <= row["appointmentDate"] <= today and row.get("state") == "BOOKED"]
        moved, cancelled = coming[:_EACH], coming[_EACH : 2 * _EACH]
        came = over[:_EACH]
        booked = [row["clientId"] for row in coming[2 * _EACH : 3 * _EACH]]
        for row in moved:
            day = datetime.fromisoformat(row["appointmentDate"]).date() + timedelta(days=1)
            self._desk.edit(row["appointmentId"], appointmentDate=day.isoformat())
        for row in cancelled:
            self._desk.edit(row["appointmentId"], activationState="CANCELED")
        for row in came:
            self._desk.edit(row["appointmentId"], state="CHECKED_IN")
        self._book(booked)
        return {"new": len(booked), "moved": len(moved), "status": len(came), "cancelled": len(cancelled)}

    def _newcomers(self) -> tuple[dict[str, Figure], bool]:
        new = [self._desk.meet(number) for number in range(_EACH)]
        self._book(new, days_ahead=30)
        tick = self._tick("newcomers")
        held = self._held_to(tick, events=_EACH, contacts=_EACH)
        met = held["event_requests"] == held["contact_creates"] == _EACH
        return {"newcomers": _EACH, **held}, met and self._nothing_else(tick, events=_EACH, contacts=_EACH)

    def _other_contacts(self) -> tuple[dict[str, Figure], bool]:
        rows = self._standing()
        today = _EVENING.date().isoformat()
        coming = [row for row in rows if row["appointmentDate"] > today and row.get("state") == "BOOKED"]
        given = coming[-_EACH:]
        contacts = self._contacts()
        taken = {contacts[row["clientId"]] for row in given}
        others = islice((client for client, contact in contacts.items() if contact not in taken), len(given))
        for row, client_id in zip(given, others, strict=True):
            self._desk.edit(row["appointmentId"], clientId=client_id)
        tick = self._tick("other-contacts")
        events = 2 * len(given)
        return {"given": len(given), **self._held_to(tick, events=events)}, self._nothing_else(tick, events=events)

    def _held_to(self, tick: _Tick, *, events: int, contacts: int = 0) -> dict[str, Figure]:
        """A tick's figures beside what it may come to; the clock is asked for once."""
        bound = READS + events + 2 * contacts + self._windows + 1
        return {**tick.figures(), "requests": tick.ghl.total() + tick.phorest.total(), "bound": bound}

    def _nothing_else(self, tick: _Tick, *, events: int, contacts: int = 0) -> bool:
        figures = tick.figures()
        return (
            figures["event_requests"] == events
            and figures["contact_creates"] == contacts
            and figures["other_writes"] == 0
            and int(figures["ghl_reads"]) <= READS
            and int(figures["diary_pages"]) <= self._windows
            and int(figures["client_reads"]) <= contacts
        )

    def _tick(self, name: str) -> _Tick:
        """Ten minutes later."""
        self._desk.pass_time(600)
        time.sleep(2 * _RATE_WINDOW_S)  # until GHL's search shows what was written
        self._lab.settle()
        counted.forget(self._served)
        postgres, ours, wall = self._lab.cpu_seconds(), time.process_time(), time.perf_counter()
        read = combined(self._runtime.importer(f"bench-{name}").appointments())
        result = _apply(self._runtime, f"bench-{name}")
        wall, ours = time.perf_counter() - wall, time.process_time() - ours
        postgres = self._lab.cpu_seconds() - postgres
        if not read.complete or result.error or result.outcomes["failed"]:
            raise BenchError(f"The tick {name} did not come to its end: {result.outcomes}, {result.error or read}.")
        ghl, phorest = (counted.operations(self._served, api) for api in ("ghl", "phorest"))
        return _Tick(result, wall, ours + postgres, ghl, phorest)

    def _standing(self) -> Sequence[Row]:
        """Appointments that stand and have an event, in the order of a draw."""
        with self._runtime.engine.connect() as connection:
            mapped = connection.execute(
                text("select phorest_id from entity_mappings where entity_type = 'appointment'")
            )
            ids = set(mapped.scalars())
        contacts = self._contacts()
        rows = [
            row
            for row in self._served.truth("phorest/appointments")
            if row["appointmentId"] in ids
            and row["clientId"] in contacts
            and row.get("activationState") == "ACTIVE"
            and not row["deleted"]
        ]
        return self._rng.sample(rows, len(rows))

    def _contacts(self) -> dict[str, str]:
        """The contact of each client that has one, by client."""
        with self._runtime.engine.connect() as connection:
            rows = connection.execute(
                text("""select phorest_id, ghl_id from entity_mappings
                        where entity_type = 'client' and removed_at is null order by phorest_id""")
            )
            return {row.phorest_id: row.ghl_id for row in rows}

    def _book(self, clients: Sequence[str], *, days_ahead: int = 20) -> None:
        """Before the salon opens, when nobody else has booked; a stylist each, a day for each round of stylists."""
        morning = _EVENING.replace(hour=5, minute=0) + timedelta(days=days_ahead)
        for turn, client_id in enumerate(clients):
            self._desk.book(client_id, morning + timedelta(days=turn), turn)
