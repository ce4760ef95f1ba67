"""One appointment explained: its client's contact, what its event should hold, what GHL holds, and what a run would do.

Belongs here: asking the planning of events about one of them, without asking GHL. Does not: the queries of the record
(`record`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.explain import record
from phorest_ghl.explain.client import NotKnown
from phorest_ghl.explain.clock import vendors_now
from phorest_ghl.explain.record import Record
from phorest_ghl.ghl.fields import Rule
from phorest_ghl.sync import mirror
from phorest_ghl.sync.events import mirror as event_mirror
from phorest_ghl.sync.events.appointments import ENTITY
from phorest_ghl.sync.events.keeper import REJECTED, load_told
from phorest_ghl.sync.events.plan import EventChange
from phorest_ghl.sync.events.planner import FACET, EventPlanner, HeldEvents
from phorest_ghl.sync.events.projection import FIELDS, RESTORED, DesiredEvent, EventProjector, Team, value_hash
from phorest_ghl.sync.events.rules import EventRules
from phorest_ghl.sync.events.source import AppointmentRow, Client, load_appointments, load_contacts, winner
from phorest_ghl.sync.journal import Ledger, MappingRow
from phorest_ghl.sync.outcomes import Outcome
from phorest_ghl.sync.source import load_names

_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class EventLine:
    """One field of an event; the title and the description are personal."""

    name: str
    rule: Rule
    desired: str | None
    held: str | None
    acknowledged: bool
    verdict: str
    sent: tuple[str, datetime] | None = None


@dataclass(frozen=True, kw_only=True)
class ExplainedAppointment:
    """An appointment. `outcome` is what a run would say of it now, `change` what it would do; `as_of` the time it is of."""

    phorest_id: str
    as_of: datetime
    row: AppointmentRow
    client_now: str | None
    contact: str | None
    event: str | None
    seen_at: datetime | None
    gone_at: datetime | None
    change: EventChange | None
    outcome: Outcome | None
    lines: Sequence[EventLine]
    record: Record


@dataclass(frozen=True)
class AppointmentExplainer:
    """Explains appointments of one location; reads the database alone.

    Who is in a calendar's team is known to GHL alone, so every user whom the salon has named is taken to be in it.
    """

    location_id: str
    keyring: Keyring
    rules: EventRules

    def explain(self, connection: Connection, phorest_id: str) -> ExplainedAppointment:
        """Explain one. Raises NotKnown, KeyMismatch."""
        self.keyring.require_same(connection)
        ledger = Ledger(self.location_id, ENTITY, batch_id="")
        state = mirror.location_state(connection, self.location_id)
        now = vendors_now(connection, self.location_id)
        rows = self._visit(connection, phorest_id, now)
        row = next(row for row in rows if row.phorest_id == phorest_id)
        clients = load_contacts(connection, self.location_id)
        projector = self._projector(connection, now)
        held = HeldEvents(
            mirror=event_mirror.load(connection, self.location_id),
            mappings=ledger.mappings(connection, [row.phorest_id for row in rows]),
            intents=ledger.open_intents(connection),
            refused=ledger.refused(connection, REJECTED),
            told=load_told(connection, self.location_id),
            live_at=None if state is None else state.live_at,
        )
        plan = EventPlanner(held, projector, clients, self.keyring).plan(rows)
        change = next((change for change in plan.changes if change.phorest_id == phorest_id), None)
        mapping = held.mappings.get(phorest_id)
        client = None if row.client_id is None else winner(clients, row.client_id)
        event = None if mapping is None else mapping.ghl_id
        known = record.load(connection, self.location_id, ENTITY, [phorest_id], [event] if event else [])
        seen_at, gone_at = _seen(connection, self.location_id, event)
        return ExplainedAppointment(
            phorest_id=phorest_id,
            as_of=now,
            row=row,
            client_now=None if client is None else client.phorest_id,
            contact=None if client is None else client.contact_id,
            event=event,
            seen_at=seen_at,
            gone_at=gone_at,
            change=change,
            outcome=plan.settled.get(phorest_id),
            lines=self._lines(_desired(projector, row, client, change), held, mapping, change, known),
            record=known,
        )

    def _visit(self, connection: Connection, phorest_id: str, now: datetime) -> list[AppointmentRow]:
        """The appointment, with those of its client on its day: which of them is announced hangs on all of them (S2)."""
        found = connection.execute(
            text("select appointment_date, client_id, branch_id from phorest_appointments where phorest_id = :id"),
            {"id": phorest_id},
        ).one_or_none()
        if found is None:
            raise NotKnown(
                f"There is no appointment {phorest_id} here. Appointments are imported by month: `phorest-ghl sync "
                "appointments` brings those of the settings' days, `phorest-ghl backfill` older ones."
            )
        day = found.appointment_date
        first, last = (moment.date() for moment in self.rules.window(now))
        return [
            replace(row, in_window=first <= row.day <= last)
            for row in load_appointments(connection, self.location_id, day, day)
            if row.phorest_id == phorest_id or (row.day, row.client_id, row.branch_id) == tuple(found)
        ]

    def _projector(self, connection: Connection, now: datetime) -> EventProjector:
        names = load_names(connection)
        named = [*self.rules.users.values(), *([self.rules.user] if self.rules.user else [])]
        return EventProjector(
            keyring=self.keyring,
            rules=self.rules,
            team=Team({calendar: frozenset(named) for calendar in self.rules.all_calendars}),
            now=now,
            zones=names.zones,
            stylists=names.staff,
        )

    def _lines(
        self,
        desired: DesiredEvent | None,
        held: HeldEvents,
        mapping: MappingRow | None,
        change: EventChange | None,
        known: Record,
    ) -> list[EventLine]:
        event = None if mapping is None else held.mirror.get(mapping.ghl_id)
        acked = _NOTHING if mapping is None else mapping.acked.get(FACET, _NOTHING)
        wanted: Mapping[str, str] = {} if desired is None else desired.values
        there: Mapping[str, str] = {} if event is None else event.values
        found: list[EventLine] = []
        for name in FIELDS:
            value, before = wanted.get(name), there.get(name)
            if value is None and before is None:
                continue
            acknowledged = value is not None and acked.get(name) == value_hash(self.keyring, name, value)
            found.append(
                EventLine(
                    name=name,
                    rule=Rule.RESTORE if name in RESTORED else Rule.PHOREST,
                    desired=value,
                    held=before,
                    acknowledged=acknowledged,
                    verdict=_verdict(name, value, before, change, acknowledged=acknowledged),
                    sent=known.last_sent.get(name),
                )
            )
        return found


def _desired(
    projector: EventProjector, row: AppointmentRow, client: Client | None, change: EventChange | None
) -> DesiredEvent | None:
    if change is not None:
        return change.desired
    return None if client is None else projector.desired(row, client)


def _verdict(
    name: str, desired: str | None, held: str | None, change: EventChange | None, *, acknowledged: bool
) -> str:
    diff = None if change is None else next((diff for diff in change.diffs if diff.name == name), None)
    if diff is not None and change is not None:
        return f"to be written ({change.action.value}): {diff.rule.value}"
    if held is None:
        return "no event in GHL"
    if desired is None:
        return "left: no run would write it now"
    if held == desired:
        return "as it should be"
    if acknowledged and name not in RESTORED:
        return "changed in GHL, and Phorest did not change it since: left (safety S16)"
    return "left as it is"


def _seen(connection: Connection, location_id: str, event: str | None) -> tuple[datetime | None, datetime | None]:
    row = connection.execute(
        text("select seen_at, gone_at from ghl_events where location_id = :location_id and ghl_id = :id"),
        {"location_id": location_id, "id": event},
    ).one_or_none()
    return (None, None) if row is None else (row.seen_at, row.gone_at)
