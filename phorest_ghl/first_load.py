"""The first load: everything imported, contacts with all their parts, the staff's, the events of the named months, notes.

Belongs here: the order, the months, how much is left. Does not: any step's own work, showing it. Used alike by the CLI and
by Dagster.

Every step is the scheduled run of its entity, so a load that was killed is simply started again: a month that was read is
asked only for what changed, a contact, event or note that is there is planned as unchanged, a create without an answer is
looked up. Loyalty, visits, online bookings and product tags have no step: a contact is made with all of them, in one request.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import text

from phorest_ghl.assembly import Runtime, ghl_limits
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.http.errors import ApiError
from phorest_ghl.load_progress import EntityPlan, Left, Progress, at_most
from phorest_ghl.memory import give_back
from phorest_ghl.phorest.exports import Pace
from phorest_ghl.phorest.results import ImportResult
from phorest_ghl.phorest.scopes import Month, UnknownMonth, months, months_around, named_month
from phorest_ghl.settings import IMPORT_TABLES
from phorest_ghl.sync import mirror
from phorest_ghl.sync.clients import new_batch_id, require_confirmed
from phorest_ghl.sync.lookup import SEARCH_LAG_S
from phorest_ghl.sync.summary import RunResult

_FIRST = "clients"
_PREPARED_ANEW = frozenset({"check-ins"})
"""Whose preparation holds the moment up to which visits have begun; the others' stays true while a load lasts."""


@dataclass(frozen=True)
class NamedMonths:
    """The months whose appointments a load brings: from `first` to `last`, or as far ahead as scheduled runs look."""

    first: Month
    last: Month | None = None

    @classmethod
    def parse(cls, first: str, last: str | None = None) -> "NamedMonths":
        """From `2025-01`, to `2025-03` or nothing. Raises UnknownMonth."""
        found = cls(named_month(first), None if last is None else named_month(last))
        if found.last is not None and found.last < found.first:
            raise UnknownMonth(f"The months end before they begin: {found.first} is after {found.last}.")
        return found

    @classmethod
    def scheduled(cls, today: date, back: int) -> "NamedMonths":
        """From the month in which the window of scheduled runs begins."""
        return cls(Month.of(today - timedelta(days=back)))

    def days(self, today: date, ahead: int) -> tuple[date, date]:
        """The first and the last day whose events are created. Raises UnknownMonth where there would be none."""
        last = today + timedelta(days=ahead) if self.last is None else self.last.last
        if last < self.first.first:
            raise UnknownMonth(f"{self.first} is further ahead than {last}, up to which events are created.")
        return self.first.first, last

    def to_read(self, today: date, back: int, ahead: int) -> tuple[Month, ...]:
        """The months to import: those named, and those that scheduled runs read, without which visits are not counted."""
        scheduled = months_around(today, timedelta(days=back), timedelta(days=ahead))
        return tuple(sorted({*months(*self.days(today, ahead)), *scheduled}))


@dataclass
class LoadResult:
    """What a load did, by CLI entity in the order of its steps; `findings` are discrepancies that a person should see."""

    entities: dict[str, RunResult] = field(default_factory=dict[str, RunResult])
    findings: int = 0

    @property
    def stopped(self) -> ApiError | None:
        """Why it ended before its last step."""
        return next((result.stopped for result in self.entities.values() if result.stopped is not None), None)

    @property
    def needs_a_person(self) -> bool:
        """Whether somebody has to look."""
        return bool(self.findings) or any(result.needs_a_person for result in self.entities.values())


class Road(Protocol):
    """A run of one entity."""

    def prepare(self) -> Any:
        """Read what a plan needs to know of the location."""
        ...

    def plan(self, prepared: Any) -> Any:
        """What would be done."""
        ...

    def apply(
        self,
        plan: Any,
        prepared: Any,
        *,
        started_at: datetime,
        job_id: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> RunResult:
        """Do it."""
        ...


class FirstLoad:
    """One load of one location.

    Args:
        runtime: the salon.
        named: the months whose appointments become events; without them, from the month in which the scheduled window begins.
        tell: is told how far it is, often; from the thread that runs it.
        job_id: the run that it is part of, for the summaries.
        lag_s: GHL's search lag, in seconds.
        pace: how often an export of sales is looked at.
    """

    def __init__(
        self,
        runtime: Runtime,
        named: NamedMonths | None = None,
        *,
        tell: Callable[[Progress], None] = lambda _: None,
        job_id: str | None = None,
        lag_s: float = SEARCH_LAG_S,
        pace: Pace | None = None,
    ) -> None:
        self._runtime = runtime
        self._tell = tell
        self._job_id = job_id
        self._lag_s = lag_s
        self._pace = pace
        self._today = runtime.phorest().now().date()
        self._back, self._ahead = runtime.settings.appointment_days_back, runtime.settings.appointment_days_ahead
        self._named = named or NamedMonths.scheduled(self._today, self._back)
        self.days = self._named.days(self._today, self._ahead)

    def require_confirmed(self) -> None:
        """Raises NotConfirmed before hours of importing, where nothing could be written after them (S1)."""
        location_id = str(self._runtime.settings.ghl_location_id)
        with self._runtime.engine.connect() as connection:
            state = mirror.location_state(connection, location_id)
        require_confirmed(location_id, state)

    def bring(self) -> list[str]:
        """Import all of Phorest; sentences on what could not be read. Raises ApiError, ExportFailed, UnknownZone."""
        began, parts = time.monotonic(), self._imports()
        problems: list[str] = []
        for done, (name, part) in enumerate(parts):
            elapsed = time.monotonic() - began
            left = elapsed / done * (len(parts) - done) / 60 if done else None
            self._tell(Progress(step=f"Importing {name}", done=done, known=len(parts), minutes_left=left))
            problems += [problem for result in part() if (problem := result.problem)]
        self._count()
        self._tell(Progress(step="Imported", done=len(parts), known=len(parts)))
        return problems

    def plan(self) -> dict[str, EntityPlan]:
        """What would be written now, by entity; nothing is written."""
        return {name: road.plan(road.prepare()) for name, road in self._roads(writing=False)}

    def carry_out(self) -> LoadResult:
        """Plan and apply one entity after the other. What ends a step early for all that follows ends the load.

        Raises NotConfirmed, NotImported, CalendarNotUsable before a record is written, ApiError.
        """
        self.require_confirmed()
        started, result = datetime.now(UTC), LoadResult()
        roads = dict(self._roads(writing=True))
        # How much there is to do is known before the first write, by the plan that the first step then carries out.
        prepared = {_FIRST: roads[_FIRST].prepare()}
        plans: dict[str, EntityPlan] = {_FIRST: roads[_FIRST].plan(prepared[_FIRST])}
        known = {_FIRST: at_most(plans[_FIRST])}
        for name, reading in self._roads(writing=False):
            if name not in known:
                prepared[name] = reading.prepare()
                known[name] = at_most(reading.plan(prepared[name]))
        left = Left(known, ghl_limits(self._runtime.settings), self._tell)
        for name, road in roads.items():
            if name in _PREPARED_ANEW:
                prepared[name] = road.prepare()
            plan = plans.pop(name, None) or road.plan(prepared[name])
            left.begin(name, plan)
            done = road.apply(plan, prepared[name], started_at=started, job_id=self._job_id, progress=left.progress)
            result.entities[name] = done
            result.findings += len(getattr(plan, "findings", ()))
            if done.stopped is not None:
                break
            left.end()
            del plan  # of a large salon, it is most of what this process holds
            give_back()
            started = datetime.now(UTC)
        return result

    def _count(self) -> None:
        """Let PostgreSQL count what was imported: it would plan what follows by the tables as they were, and take its time."""
        in_transaction(self._runtime.engine, lambda c: c.execute(text(f"analyze {', '.join(IMPORT_TABLES)}")))
        give_back()

    def _imports(self) -> list[tuple[str, Callable[[], list[ImportResult]]]]:
        """What is imported, in order: whom appointments and sales name comes first."""
        from phorest_ghl.phorest.purchases import PurchaseImporter  # noqa: PLC0415 - its pandas costs half a second

        runtime = self._runtime
        importer = runtime.importer(new_batch_id())
        sales = PurchaseImporter(
            runtime.engine, runtime.phorest(), runtime.keyring(), batch_id=new_batch_id(), pace=self._pace
        )
        found: list[tuple[str, Callable[[], list[ImportResult]]]] = [
            ("clients", lambda: [*importer.clients().values()]),
            ("services and products", lambda: [*importer.catalogue().values()]),
        ]
        found += [
            (f"appointments of {month}", lambda month=month: importer.appointments([month]))
            for month in self._named.to_read(self._today, self._back, self._ahead)
        ]
        return [*found, ("sales", lambda: [sales.run(importer.branches())])]

    def _batch_id(self) -> str:
        return new_batch_id(job_id=self._job_id)

    def _roads(self, *, writing: bool) -> Iterator[tuple[str, Road]]:
        """The runs, each made when its turn comes."""
        runtime, lag_s = self._runtime, self._lag_s
        yield _FIRST, runtime.clients_sync(batch_id=self._batch_id(), writing=writing, lag_s=lag_s, polls_after=False)
        # Who of the staff is a client too has that client's contact by now.
        yield "staff", runtime.staff_sync(batch_id=self._batch_id(), writing=writing, lag_s=lag_s)
        yield (
            "appointments",
            runtime.appointments_sync(
                batch_id=self._batch_id(), writing=writing, lag_s=lag_s, days=self.days, judging=writing
            ),
        )
        yield "check-ins", runtime.check_ins_sync(batch_id=self._batch_id(), writing=writing, lag_s=lag_s)
