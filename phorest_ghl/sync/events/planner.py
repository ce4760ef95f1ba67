"""Decides what becomes of each appointment's event: create, update, cancel, move, or nothing, and why. Pure.

Belongs here: comparing what should be with what is held, field by field and by rule. Does not: queries, writing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.ghl.fields import Rule
from phorest_ghl.sync.events.announce import Circumstances, Kind, News, Told, Visit, decide
from phorest_ghl.sync.events.mirror import MirrorEvent
from phorest_ghl.sync.events.plan import (
    GONE,
    NEVER,
    NO_CONTACT,
    VANISHED,
    EventAction,
    EventChange,
    EventDiff,
    EventEdited,
    EventPlan,
    Finding,
)
from phorest_ghl.sync.events.projection import (
    CALENDAR,
    CANCELLED,
    FIELDS,
    RESTORED,
    SHOWED,
    START,
    STATUS,
    USER,
    DesiredEvent,
    EventProjector,
    value_hash,
)
from phorest_ghl.sync.events.source import RESERVED, AppointmentRow, Client, end_of_chain, winner
from phorest_ghl.sync.journal import Intent, MappingRow
from phorest_ghl.sync.outcomes import Deferred, Outcome, Rejected, Skipped, Unchanged
from phorest_ghl.sync.plan import NOT_AGAIN

FACET = "event"
MANY_VANISHED = "many appointments vanished at once"
_LEAST, _SHARE = 5, 0.02


@dataclass(frozen=True, kw_only=True)
class HeldEvents:
    """What GHL holds and what we did there. `intents` are creates that nobody has an answer to."""

    mirror: Mapping[str, MirrorEvent]
    mappings: Mapping[str, MappingRow]
    intents: Mapping[str, Intent] = field(default_factory=dict[str, Intent])
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    told: Mapping[Visit, Told] = field(default_factory=dict[Visit, Told])
    live_at: datetime | None = None


class EventPlanner:
    """Plans one run."""

    def __init__(
        self, held: HeldEvents, projector: EventProjector, clients: Mapping[str, Client], keyring: Keyring
    ) -> None:
        self._held = held
        self._projector = projector
        self._clients = clients
        self._keyring = keyring
        self._now = projector.now
        self._edited: list[EventEdited] = []

    def plan(self, rows: Iterable[AppointmentRow]) -> EventPlan:
        """One outcome or change for each row that is in the window or has an event."""
        rows = list(rows)
        settled: dict[str, Outcome] = {}
        changes: list[EventChange] = []
        unremembered: dict[str, str] = {}
        waiting = [row for row in rows if self._waits(row)]
        for row in rows:
            if not row.in_window and row.phorest_id not in self._held.mappings:
                continue
            found = self._one(row)
            if isinstance(found, EventChange):
                changes.append(found)
            else:
                settled[row.phorest_id] = found
                if not row.in_window and not isinstance(found, Deferred):
                    unremembered[row.phorest_id] = row.fingerprint
        changes, held_back, findings = self._without_mass_vanishing(rows, changes)
        settled |= held_back
        announced = self._announced(rows, changes, settled)
        future = sum(c.action is EventAction.CREATE and c.desired.starts_at > self._now for c in announced)
        waiting.sort(key=lambda row: (row.starts_at <= self._now, row.starts_at))
        ends = {row.phorest_id: end_of_chain(self._clients, row.client_id or "") for row in waiting}
        return EventPlan(
            tuple(announced), settled, tuple(findings), future, unremembered, ends, edited=tuple(self._edited)
        )

    def _one(self, row: AppointmentRow) -> EventChange | Outcome:
        mapping = self._held.mappings.get(row.phorest_id)
        return self._new(row) if mapping is None else self._present(row, mapping)

    # Appointments without an event.

    def _new(self, row: AppointmentRow) -> EventChange | Outcome:
        intent = self._held.intents.get(row.phorest_id)
        unsettled = intent is not None and intent.state != "planned"
        if not unsettled and row.cancelled:
            return Skipped(NEVER)
        if not unsettled and row.activation_state == RESERVED:
            return Skipped("a held slot, not booked yet")
        client = None if row.client_id is None else winner(self._clients, row.client_id)
        if client is None or client.walk_in or client.contact_id is None:
            return self._without_contact(row, client)
        desired = self._projector.desired(row, client)
        if desired is None:
            return Rejected(self._unassignable(row))
        if self._held.refused.get(row.phorest_id) == desired.source_hash and not unsettled:
            return Rejected(NOT_AGAIN)
        diffs = tuple(
            EventDiff(name, None, value, Rule.RESTORE if name in RESTORED else Rule.PHOREST)
            for name, value in desired.values.items()
        )
        wanted = not row.cancelled and row.activation_state != RESERVED
        return EventChange(
            action=EventAction.CREATE if wanted else EventAction.SETTLE,
            desired=desired,
            ghl_id=None,
            diffs=diffs,
            reason="new appointment" if wanted else "an earlier create has no answer yet",
        )

    def _waits(self, row: AppointmentRow) -> bool:
        """Whether the event is made, or moved to another contact, once the appointment's client has one."""
        if row.cancelled or row.activation_state == RESERVED or row.client_id is None:
            return False
        mapping = self._held.mappings.get(row.phorest_id)
        event = None if mapping is None else self._held.mirror.get(mapping.ghl_id)
        if not row.in_window if mapping is None else (event is not None and event.gone) or row.starts_at <= self._now:
            return False
        client = winner(self._clients, row.client_id)
        return client is None or (
            client.contact_id is None and not client.walk_in and not client.closed and client.reachable
        )

    def _without_contact(self, row: AppointmentRow, client: Client | None) -> Outcome:
        """Why, and whether that may change by itself: a client without contact point is not asked for again (S22)."""
        if row.client_id is None:
            return Skipped("no client")
        if client is None:
            return Deferred(NO_CONTACT)
        if client.walk_in:
            return Skipped("walk-in client")
        if client.closed:
            return Skipped("its client is archived, banned or deleted and has no contact")
        if not client.reachable:
            return Skipped("its client has no contact point")
        return Deferred(NO_CONTACT)

    def _unassignable(self, row: AppointmentRow) -> str:
        if self._projector.rules.calendar_of(row.branch_id, row.staff_id, row.category) is None:
            return (
                "its branch has no calendar: set GHL_DEFAULT_CALENDAR_ID, or the branch under [calendars] in salon.toml"
            )
        return "nobody to assign it to: add GHL_DEFAULT_USER_ID to the team of the calendar in GHL"

    # Appointments with an event.

    def _present(self, row: AppointmentRow, mapping: MappingRow) -> EventChange | Outcome:
        event = self._held.mirror.get(mapping.ghl_id)
        if event is not None and event.gone:
            return Skipped(GONE)
        if row.activation_state == RESERVED and not row.cancelled:
            return Unchanged()
        client = None if row.client_id is None else winner(self._clients, row.client_id)
        if (client is None or client.contact_id is None) and event is not None and event.contact_id is not None:
            client = _on(row, event.contact_id)
        if client is None or client.contact_id is None:
            return Deferred(NO_CONTACT)
        desired = self._projector.desired(row, client)
        if desired is None:
            return Rejected(self._unassignable(row))
        return self._compared(desired, mapping, event)

    def _compared(self, desired: DesiredEvent, mapping: MappingRow, event: MirrorEvent | None) -> EventChange | Outcome:
        row = desired.row
        elsewhere = event is not None and event.contact_id is not None and event.contact_id != desired.contact_id
        standing = event is None or event.status != CANCELLED
        if elsewhere and standing and not row.cancelled and row.starts_at > self._now:
            return self._moved(desired, mapping)
        diffs = self._diffs(desired, mapping, event)
        if not diffs:
            return Unchanged()
        if self._held.refused.get(row.phorest_id) == desired.source_hash:
            return Rejected(NOT_AGAIN)
        cancels = any(diff.name == STATUS and diff.after == CANCELLED for diff in diffs)
        return EventChange(
            action=EventAction.CANCEL if cancels else EventAction.UPDATE,
            desired=desired,
            ghl_id=mapping.ghl_id,
            diffs=diffs,
            reason="cancelled in Phorest" if cancels and not row.vanished else "vanished" if cancels else "changed",
        )

    def _moved(self, desired: DesiredEvent, mapping: MappingRow) -> EventChange:
        diffs = tuple(
            EventDiff(name, None, value, Rule.RESTORE if name in RESTORED else Rule.PHOREST)
            for name, value in desired.values.items()
        )
        reason = "its client is on another contact now"
        return EventChange(action=EventAction.MOVE, desired=desired, ghl_id=mapping.ghl_id, diffs=diffs, reason=reason)

    def _diffs(self, desired: DesiredEvent, mapping: MappingRow, event: MirrorEvent | None) -> tuple[EventDiff, ...]:
        acked = mapping.acked.get(FACET, {})
        held = event.values if event is not None else dict.fromkeys(FIELDS, "")
        found: list[EventDiff] = []
        edited: list[str] = []
        wanted = desired.values
        for name in FIELDS:
            value, before = wanted[name], held[name]
            if value == before:
                continue
            if name == CALENDAR and desired.starts_at <= self._now:
                continue  # past events stay where they are (S3)
            acknowledged = acked.get(name) == value_hash(self._keyring, name, value)
            if name not in RESTORED and acknowledged and event is not None:
                edited.append(name)
                continue  # a person's edit, or GHL's: it stands until Phorest's value changes (S16)
            found.append(EventDiff(name, before or None, value, Rule.RESTORE if name in RESTORED else Rule.PHOREST))
        if edited:
            self._edited.append(EventEdited(desired.phorest_id, mapping.ghl_id, tuple(edited)))
        if any(diff.name == CALENDAR for diff in found) and all(diff.name != USER for diff in found):
            # Whoever is assigned has to be in the new calendar's team.
            found.append(EventDiff(USER, held[USER] or None, desired.user_id, Rule.PHOREST))
        return tuple(found)

    # What vanished (S4).

    def _without_mass_vanishing(
        self, rows: list[AppointmentRow], changes: list[EventChange]
    ) -> tuple[list[EventChange], dict[str, Outcome], list[Finding]]:
        future: dict[str, int] = {}
        for row in rows:
            mapping = self._held.mappings.get(row.phorest_id)
            event = self._held.mirror.get(mapping.ghl_id) if mapping is not None else None
            if event is not None and row.starts_at > self._now and event.status != CANCELLED and not event.gone:
                future[row.branch_id] = future.get(row.branch_id, 0) + 1
        vanished: dict[str, list[EventChange]] = {}
        for change in changes:
            row = change.desired.row
            if change.action is EventAction.CANCEL and row.vanished and row.starts_at > self._now:
                vanished.setdefault(row.branch_id, []).append(change)
        held_back: dict[str, Outcome] = {}
        findings: list[Finding] = []
        for branch_id, found in sorted(vanished.items()):
            if len(found) > max(_LEAST, _SHARE * future.get(branch_id, 0)):
                held_back |= {change.phorest_id: Deferred(VANISHED) for change in found}
                detail = {"branch_id": branch_id, "vanished": len(found), "future": future.get(branch_id, 0)}
                findings.append(Finding(MANY_VANISHED, None, branch_id, detail))
        return [change for change in changes if change.phorest_id not in held_back], held_back, findings

    # Who is told (S2).

    def _announced(
        self, rows: list[AppointmentRow], changes: list[EventChange], settled: Mapping[str, Outcome]
    ) -> list[EventChange]:
        news = [self._news(change) for change in changes if change.action is not EventAction.SETTLE]
        decisions = decide(news, self._circumstances(rows, settled))
        latest: dict[Visit, datetime] = {}
        for one in news:
            if one.changed_at is not None:
                latest[one.visit] = max(latest.get(one.visit, one.changed_at), one.changed_at)
        by_id = {one.phorest_id: one for one in news}
        found: list[EventChange] = []
        for change in changes:
            decision = decisions.get(change.phorest_id)
            if decision is None:
                found.append(change)
                continue
            told: tuple[Visit, Told] | None = None
            if decision.notify:
                one = by_id[change.phorest_id]
                told = (one.visit, Told(one.phorest_id, one.kind is Kind.CANCELLED, latest[one.visit]))
            found.append(replace(change, decision=decision, told=told))
        return found

    def _news(self, change: EventChange) -> News:
        desired, row = change.desired, change.desired.row
        mapping = self._held.mappings.get(row.phorest_id)
        event = self._held.mirror.get(mapping.ghl_id) if mapping is not None else None
        was_at = event.starts_at if event is not None else None
        zone = self._projector.zone(row.branch_id)
        client_id = row.client_id or ""
        before = None if was_at is None else Visit(client_id, row.branch_id, was_at.astimezone(zone).date().isoformat())
        return News(
            phorest_id=row.phorest_id,
            visit=_visit(row),
            kind=_kind(change, event),
            starts_at=desired.starts_at,
            ends_at=desired.ends_at,
            changed_at=row.changed_at,
            calendar_id=desired.calendar_id,
            before=before,
            was_at=was_at,
            technical=change.action is EventAction.MOVE or self._repairs(change, mapping),
            vanished=row.vanished,
            secondary=desired.secondary,
            online=row.online,
        )

    def _repairs(self, change: EventChange, mapping: MappingRow | None) -> bool:
        """Whether Phorest changed nothing that it writes: it puts back what GHL had acknowledged, or changes calendars."""
        if mapping is None:
            return False
        acked = mapping.acked.get(FACET, {})
        told = [diff for diff in change.diffs if diff.name in (START, STATUS)]
        moved = any(diff.name == CALENDAR for diff in change.diffs)
        return moved or (
            bool(told) and all(acked.get(d.name) == value_hash(self._keyring, d.name, d.after) for d in told)
        )

    def _circumstances(self, rows: Iterable[AppointmentRow], settled: Mapping[str, Outcome]) -> Circumstances:
        active: dict[Visit, list[tuple[datetime, str]]] = {}
        for row in rows:
            outcome = settled.get(row.phorest_id)
            if row.cancelled or row.activation_state == RESERVED or row.client_id is None:
                continue
            if outcome is None or isinstance(outcome, Unchanged):
                active.setdefault(_visit(row), []).append((row.starts_at, row.phorest_id))
        rules = self._projector.rules
        return Circumstances(
            now=self._now,
            live_at=self._held.live_at,
            announcing=rules.announcing,
            times_confirmed=rules.times_confirmed,
            hours=rules.hours,
            zone=self._projector.zone,
            told=self._held.told,
            active=active,
        )


def _visit(row: AppointmentRow) -> Visit:
    return Visit(row.client_id or "", row.branch_id, row.day.isoformat())


def _kind(change: EventChange, event: MirrorEvent | None) -> Kind:
    if change.action is EventAction.CREATE:
        return Kind.BOOKED
    if change.action is EventAction.CANCEL:
        return Kind.CANCELLED
    names = set(change.field_names)
    if STATUS in names and event is not None and event.status == CANCELLED:
        return Kind.BOOKED
    if START in names:
        return Kind.MOVED
    if STATUS in names and change.desired.status == SHOWED:
        return Kind.SHOWED
    return Kind.OTHER


def _on(row: AppointmentRow, contact_id: str) -> Client:
    """The contact that an event is on, where its client no longer has one."""
    return Client(
        phorest_id=row.client_id or "",
        walk_in=False,
        closed=True,
        reachable=False,
        merged_to=None,
        contact_id=contact_id,
        secondary=True,
    )
