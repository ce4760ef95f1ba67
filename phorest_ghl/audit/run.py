"""One audit of one location: read back, compare, confirm, keep, mend, look again.

Belongs here: the order of these steps, and what each entity's part of an audit came to. Does not: any of the steps itself.
What is mended travels the entity's own road; nothing here writes to GHL.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, text

from phorest_ghl.audit import compare, findings
from phorest_ghl.audit.compare import APPOINTMENT, CHECK_IN, CLIENT, FIELD
from phorest_ghl.audit.findings import Act, Finding, Kind
from phorest_ghl.audit.log import EntityAudit, write_logs
from phorest_ghl.audit.read_back import ReadBack
from phorest_ghl.db.pauses import Paused
from phorest_ghl.db.run_lock import LocationBusy
from phorest_ghl.db.work_items import WorkItem, open_items, resolve_items
from phorest_ghl.http.errors import ApiError
from phorest_ghl.sync import mirror
from phorest_ghl.sync.clients import ClientsSync, NotConfirmed, NotImported
from phorest_ghl.sync.clients_planning import Prepared
from phorest_ghl.sync.events.appointments import AppointmentsSync, CalendarNotUsable, PreparedEvents
from phorest_ghl.sync.events.plan import EventPlan
from phorest_ghl.sync.events.rules import EventRules
from phorest_ghl.sync.mirror import MirrorContact
from phorest_ghl.sync.notes.planning import NotePlan
from phorest_ghl.sync.notes.road import CheckInsSync
from phorest_ghl.sync.notes.road import Prepared as PreparedNotes
from phorest_ghl.sync.plan import Plan
from phorest_ghl.sync.registry import ForeignField
from phorest_ghl.sync.stops.gate import ApplyStopped
from phorest_ghl.sync.summary import RunResult

CAUSE = "audit"
"""The cause of work items of findings that are to be mended."""
_LOOKED_FOR: Mapping[str, tuple[Kind, ...]] = {
    FIELD: (Kind.FIELD_CHANGED,),
    CLIENT: (
        Kind.MISSING, Kind.WITHOUT_OBJECT, Kind.ORPHANED, Kind.DUPLICATE, Kind.DRIFTED, Kind.EDITED, Kind.LOOSER,
        Kind.TAG_MISSING, Kind.TAG_LEFT_OVER, Kind.TAG_FOREIGN,
    ),
    APPOINTMENT: (
        Kind.MISSING, Kind.WITHOUT_OBJECT, Kind.ORPHANED, Kind.DUPLICATE, Kind.DRIFTED, Kind.EDITED, Kind.WRONG_CONTACT,
    ),
    CHECK_IN: (Kind.MISSING, Kind.DUPLICATE, Kind.NOTE_MISSING),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Roads:
    """The entities' own roads, which plan and mend; those that may write, for an audit that mends."""

    clients: ClientsSync
    appointments: AppointmentsSync
    check_ins: CheckInsSync


@dataclass(frozen=True, kw_only=True)
class Audited:
    """What an audit came to. `found` is before anything was mended, `left` what still holds after."""

    batch_id: str
    found: tuple[Finding, ...]
    left: tuple[Finding, ...]
    entities: tuple[EntityAudit, ...]
    mended: Mapping[str, RunResult] = field(default_factory=dict[str, RunResult])
    requests: int = 0
    """Requests of reading back; those of the roads are in their own summaries."""
    not_mended: str | None = None

    @property
    def needs_a_person(self) -> bool:
        """Whether somebody has to act, or something was not looked at."""
        return any(one.act is not Act.STANDS for one in self.left) or any(e.reason for e in self.entities)

    @property
    def healed(self) -> int:
        """Findings that no longer hold."""
        return len({one.key for one in self.found} - {one.key for one in self.left})


@dataclass
class _Plans:
    clients: tuple[Plan, Prepared] | None = None
    appointments: tuple[EventPlan, PreparedEvents] | None = None
    check_ins: tuple[NotePlan, PreparedNotes] | None = None


class Audit:
    """One audit. `event_rules` name the calendars and the days of the events that are compared, `note_days` those of notes."""

    def __init__(
        self,
        engine: Engine,
        reader: ReadBack,
        roads: Roads,
        *,
        location_id: str,
        batch_id: str,
        event_rules: EventRules,
        note_days: int,
        requests: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._roads = roads
        self._location_id = location_id
        self._batch_id = batch_id
        self._events = event_rules
        self._note_days = note_days
        self._requests = requests
        self._plans = _Plans()
        self._why: dict[str, str] = {}
        self._took: Counter[str] = Counter()

    def run(self, *, mending: bool, job_id: str | None = None) -> Audited:
        """Audit, and mend what is ours to mend. Raises ApiError where GHL cannot be asked at all."""
        with self._part(FIELD):
            self._reader.fields()
        with self._part(CLIENT):
            self._look_at_clients()
        with self._part(APPOINTMENT):
            self._look_at_events()
        with self._part(CHECK_IN):
            self._look_at_notes()
        found = left = self._found()
        self._keep(found, healed=False)
        mended: dict[str, RunResult] = {}
        why_not: str | None = None
        if mending and any(one.act is Act.HEALED for one in found):
            try:
                self._mend(found, job_id, mended)
            except (NotConfirmed, Paused, ApplyStopped, LocationBusy, ApiError) as error:
                why_not = str(error)
            left = self._looked_again(found)
            self._keep(left, healed=True)
        entities = self._entities(left)
        with self._engine.begin() as connection:
            write_logs(connection, self._batch_id, entities)
        return Audited(
            batch_id=self._batch_id,
            found=tuple(found),
            left=tuple(left),
            entities=entities,
            mended=mended,
            requests=self._requests(),
            not_mended=why_not,
        )

    # What is there.

    def _look_at_clients(self) -> None:
        self._reader.contacts()
        self._reader.consent_in_rotation()
        self._reader.by_id(sorted(self._reader.seen.doubtful), "contacts whose consent two answers show differently")
        self._plan_clients()
        if self._confirm_contacts():
            self._plan_clients()

    def _plan_clients(self) -> None:
        prepared = self._roads.clients.prepare() if self._plans.clients is None else self._plans.clients[1]
        self._plans.clients = (self._roads.clients.plan(prepared), prepared)

    def _confirm_contacts(self) -> int:
        """Read by id what a finding would be about and only a search has shown; how many were read."""
        if self._plans.clients is None:
            return 0
        plan, prepared = self._plans.clients
        doubtful = compare.doubtful_contacts(plan, self._held())
        strange = self._strange_contacts(prepared)
        doubtful |= {ghl_id for ghl_id, _, _, seen_by in strange if seen_by == "search"}
        return self._reader.by_id(sorted(doubtful), "contacts that only a search has shown")

    def _look_at_events(self) -> None:
        prepared = self._roads.appointments.prepare()
        now = prepared.clock.now()
        first, last = self._events.window(now)
        self._reader.events(self._events.all_calendars, first - timedelta(days=1), last + timedelta(days=1))
        self._plans.appointments = (self._roads.appointments.plan(prepared), prepared)

    def _look_at_notes(self) -> None:
        prepared = self._roads.check_ins.prepare()
        self._reader.notes(prepared.now - timedelta(days=self._note_days))
        self._plans.check_ins = (self._roads.check_ins.plan(prepared), prepared)

    @contextmanager
    def _part(self, entity: str):
        """An entity's part; where it cannot be compared, why. That is never a match."""
        begun = time.monotonic()
        try:
            yield
        except (NotImported, ForeignField, CalendarNotUsable) as error:
            self._why[entity] = str(error)
        except ApiError as error:
            self._why[entity] = f"GHL could not be asked: {error}"
        self._took[entity] += round((time.monotonic() - begun) * 1000)

    # What is wrong.

    def _found(self) -> list[Finding]:
        found: list[Finding] = []
        if FIELD not in self._why:
            found += compare.fields_changed(self._reader.seen.fields_changed)
        if CLIENT not in self._why and self._plans.clients is not None:
            plan, prepared = self._plans.clients
            found += compare.contact_findings(plan, self._held())
            known = {change.phorest_id for change in plan.changes} | set(plan.settled)
            found += compare.strangers(self._strange_contacts(prepared), known)
        if APPOINTMENT not in self._why and self._plans.appointments is not None:
            found += compare.event_findings(self._plans.appointments[0])
            with self._engine.connect() as connection:
                found += compare.strange_events(connection, self._location_id)
        if CHECK_IN not in self._why and self._plans.check_ins is not None:
            found += compare.note_findings(self._plans.check_ins[0], self._reader.seen.twice_noted)
            with self._engine.connect() as connection:
                found += compare.notes_gone(connection, self._location_id)
        return list({one.key: one for one in found}.values())

    def _held(self) -> dict[str, MirrorContact]:
        with self._engine.connect() as connection:
            return mirror.load(connection, self._location_id)

    def _strange_contacts(self, prepared: Prepared) -> list[tuple[str, str, bool, str]]:
        with self._engine.connect() as connection:
            return compare.strange_contacts(connection, self._location_id, prepared.field_ids.get("phorest_id", ""))

    def _keep(self, found: Sequence[Finding], *, healed: bool) -> None:
        looked_at = {(e, k.value) for e, kinds in _LOOKED_FOR.items() if e not in self._why for k in kinds}
        resolution = "healed by the audit" if healed else "a later audit no longer found it"
        with self._engine.begin() as connection:
            findings.keep(
                connection, self._location_id, self._batch_id, found, looked_at=looked_at, resolution=resolution
            )
            self._keep_items(connection, found, healed=healed)

    def _keep_items(self, connection: Connection, found: Iterable[Finding], *, healed: bool) -> None:
        """A work item for what is to be mended, once an audit; those of what no longer holds are closed."""
        items = [
            WorkItem(
                location_id=self._location_id,
                entity_type=one.entity_type,
                phorest_id=one.phorest_id,
                cause=CAUSE,
                reason=one.kind,
                detail={"ghl_id": one.ghl_id, **one.detail},
            )
            for one in found
            if one.act is Act.HEALED and one.phorest_id is not None
        ]
        if not healed:
            open_items(connection, items)
        for entity in _LOOKED_FOR:
            if entity in self._why:
                continue
            still = {item.phorest_id for item in items if item.entity_type == entity}
            rows = connection.execute(
                text("""select phorest_id from work_items where location_id = :location_id and entity_type = :entity
                        and cause = :cause and state = 'open'"""),
                {"location_id": self._location_id, "entity": entity, "cause": CAUSE},
            )
            over = [row.phorest_id for row in rows if row.phorest_id not in still]
            resolve_items(
                connection, entity_type=entity, phorest_ids=over, causes=[CAUSE], location_id=self._location_id
            )

    # Mending, by the roads themselves.

    def _mend(self, found: Sequence[Finding], job_id: str | None, done: dict[str, RunResult]) -> None:
        """Apply what heals; `done` has each entity's result as soon as there is one, for a later one may be held."""
        wanted = {one.entity_type for one in found if one.act is Act.HEALED}
        if CLIENT in wanted and self._plans.clients is not None:
            plan, prepared = self._plans.clients
            done[CLIENT] = self._roads.clients.apply(plan, prepared, started_at=datetime.now(UTC), job_id=job_id)
        if APPOINTMENT in wanted and self._plans.appointments is not None:
            _, at = self._plans.appointments
            plan_of_events = self._roads.appointments.plan(at)  # contacts may have been made meanwhile
            done[APPOINTMENT] = self._roads.appointments.apply(
                plan_of_events, at, started_at=datetime.now(UTC), job_id=job_id
            )
        if CHECK_IN in wanted and self._plans.check_ins is not None:
            _, then = self._plans.check_ins
            plan_of_notes = self._roads.check_ins.plan(then)
            done[CHECK_IN] = self._roads.check_ins.apply(
                plan_of_notes, then, started_at=datetime.now(UTC), job_id=job_id
            )

    def _looked_again(self, found: Sequence[Finding]) -> list[Finding]:
        """What still holds: all that was to be mended is read by id, and planned anew."""
        self._reader.forget_reads()
        healed = [one for one in found if one.act is Act.HEALED and one.ghl_id is not None]
        with self._part(CLIENT):
            if self._plans.clients is not None:
                mended = [str(one.ghl_id) for one in healed if one.entity_type == CLIENT]
                self._reader.by_id(mended, "contacts that were mended")
                self._plan_clients()
        with self._part(APPOINTMENT):
            if self._plans.appointments is not None:
                mended = [str(one.ghl_id) for one in healed if one.entity_type == APPOINTMENT]
                self._reader.events_by_id(mended, "events that were mended")
                prepared = self._plans.appointments[1]
                self._plans.appointments = (self._roads.appointments.plan(prepared), prepared)
        with self._part(CHECK_IN):
            if self._plans.check_ins is not None:
                then = self._plans.check_ins[1]
                self._plans.check_ins = (self._roads.check_ins.plan(then), then)
        # What could not be looked at again is not known to be mended.
        return [*self._found(), *(one for one in found if one.entity_type in self._why)]

    def _entities(self, left: Sequence[Finding]) -> tuple[EntityAudit, ...]:
        seen = self._reader.seen
        with self._engine.connect() as connection:
            return tuple(
                EntityAudit.of(
                    connection,
                    self._location_id,
                    entity,
                    [one for one in left if one.entity_type == entity],
                    reason=self._reason(entity),
                    details={
                        "contacts_seen": seen.contacts,
                        "contacts_that_GHL_counts": seen.total,
                        "events_seen": seen.events,
                        "notes_seen": seen.notes,
                        "not_looked_at": dict(seen.unread) if entity == CLIENT else {},
                    },
                    duration_ms=self._took[entity],
                )
                for entity in _LOOKED_FOR
            )

    def _reason(self, entity: str) -> str | None:
        """Why an entity was not compared, or not wholly."""
        if entity in self._why:
            return self._why[entity]
        seen = self._reader.seen
        if entity == CLIENT and seen.unread:
            left = ", ".join(f"{count} {what}" for what, count in sorted(seen.unread.items()))
            return f"Not looked at tonight, by the audit's share of the day's requests: {left}."
        if entity == CLIENT and seen.total is not None and seen.contacts < seen.total:
            return f"GHL counts {seen.total} contacts and listed {seen.contacts}; audit again when it lists them all."
        return None
