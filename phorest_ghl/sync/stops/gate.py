"""The gate between plan and apply: whole runs that must not write are ended, and what is too much of one kind is held back.

Belongs here: asking the guards, and what is left of a plan. Does not: the guards themselves (`size`, `place`), the record of
what was stopped and allowed (`record`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.sync.events.plan import EventPlan
from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.notes.planning import NotePlan
from phorest_ghl.sync.outcomes import Deferred, Outcome
from phorest_ghl.sync.plan import Action, Plan
from phorest_ghl.sync.staff.plan import StaffPlan
from phorest_ghl.sync.stops import place, record, size
from phorest_ghl.sync.stops.size import Bound, SizeGuard

P = TypeVar("P", Plan, EventPlan, StaffPlan, NotePlan)
CLIENT, APPOINTMENT = "client", "appointment"


class ApplyStopped(Exception):
    """A guard ended the run before its first write; the text says which, why, and the one way on."""


@dataclass(frozen=True)
class Gate:
    """The guards of one installation. `bounds` are the operator's own, by guard."""

    bounds: Mapping[str, Bound] = field(default_factory=dict[str, Bound])

    def admitted(self, engine: Engine, ledger: Ledger, plan: P) -> P:
        """What of a plan may be carried out by this run; allowances that it needs are used up with it.

        Raises ApplyStopped where nothing may be.
        """
        whole = getattr(plan, "looked_at", None) is None

        def ask(connection: Connection) -> tuple[P, list[str]]:
            stops = self._misplaced(connection, ledger, plan, whole=whole)
            if stops:
                return plan, stops
            return self._sized(connection, ledger, plan, whole=whole), []

        admitted, stops = in_transaction(engine, ask)
        if stops:
            raise ApplyStopped(" ".join(stops))
        return admitted

    def foreseen(self, connection: Connection, ledger: Ledger, plan: P) -> list[str]:
        """What would be stopped or held back if this plan were carried out now; nothing is recorded."""
        where = place.load(connection, ledger.location_id, ledger.entity_type)
        found = [
            one.sentence
            for one in place.misplaced(
                where, ledger.entity_type, unknown=_unknown(connection, ledger, plan), bounds=self.bounds
            )
            if not record.allowed(connection, ledger, one.guard, one.figure)
        ]
        base = _base(connection, ledger)
        return found + [
            one.guard.sentence(one.figure, one.bound, ledger.entity_type)
            for one in size.tripped(plan.changes, _guards(plan), base, self.bounds)
            if not record.allowed(connection, ledger, one.guard.name, one.figure)
        ]

    def _misplaced(self, connection: Connection, ledger: Ledger, plan: P, *, whole: bool) -> list[str]:
        where = place.load(connection, ledger.location_id, ledger.entity_type)
        found = place.misplaced(
            where, ledger.entity_type, unknown=_unknown(connection, ledger, plan), bounds=self.bounds
        )
        barred = [one for one in found if not record.allowed(connection, ledger, one.guard, one.figure)]
        for one in barred:
            record.stop(connection, ledger, one.guard, figure=one.figure, bound=one.bound, sentence=one.sentence)
        if barred:
            return [one.sentence for one in barred]
        for one in found:
            record.use(connection, ledger, one.guard)
        place.writes_here(connection, ledger.location_id, where.here)
        if whole:
            record.passed(connection, ledger, {place.LOCATION, place.DATABASE, place.UNKNOWN, place.EMPTY})
        return []

    def _sized(self, connection: Connection, ledger: Ledger, plan: P, *, whole: bool) -> P:
        guards = _guards(plan)
        if not guards:
            return plan
        found = size.tripped(plan.changes, guards, _base(connection, ledger), self.bounds)
        if whole:
            record.passed(connection, ledger, {g.name for g in guards} - {one.guard.name for one in found})
        holding: list[SizeGuard] = []
        for one in found:
            if record.allowed(connection, ledger, one.guard.name, one.figure):
                record.use(connection, ledger, one.guard.name)
                continue
            sentence = one.guard.sentence(one.figure, one.bound, ledger.entity_type)
            record.stop(connection, ledger, one.guard.name, figure=one.figure, bound=one.bound, sentence=sentence)
            holding.append(one.guard)
        return _without(plan, holding) if holding else plan


def held_by(guard: str) -> str:
    """The reason of what a guard holds back."""
    return f"held by the guard on {guard}; `phorest-ghl allow` shows it"


def _without(plan: P, holding: Collection[SizeGuard]) -> P:
    """The plan without what these guards count, which waits."""
    kept: list[Any] = []
    waiting: dict[str, Outcome] = {}
    for change in plan.changes:
        by = next((guard.name for guard in holding if guard.counts(change)), None)
        if by is None:
            kept.append(change)
        else:
            waiting |= dict.fromkeys(change.item_ids, Deferred(held_by(by)))
    less: dict[str, Any] = {"changes": tuple(kept), "settled": {**plan.settled, **waiting}}
    if isinstance(plan, Plan):
        written = {change.ghl_id for change in kept}
        less["to_guard"] = tuple(ghl_id for ghl_id in plan.to_guard if ghl_id in written)
    return replace(plan, **less)


def _guards(plan: Plan | EventPlan | StaffPlan | NotePlan) -> tuple[SizeGuard, ...]:
    if isinstance(plan, Plan):
        return size.CONTACTS
    if isinstance(plan, EventPlan):
        return size.EVENTS
    return size.STAFF if isinstance(plan, StaffPlan) else ()


def _unknown(connection: Connection, ledger: Ledger, plan: Plan | EventPlan | StaffPlan | NotePlan) -> int:
    """Contacts that carry ids of clients of whom nothing is on record here: no mapping, and no create that was ever journalled.

    One whose create had no answer is taken up in the same way, and is no stranger: the journal knows it.
    """
    if not isinstance(plan, Plan):
        return 0
    found = [change.desired.member_ids for change in plan.changes if change.action is Action.REMAP]
    if not found:
        return 0
    known = set(
        connection.execute(
            text("""select phorest_id from sync_intents
                    where location_id = :id and entity_type = :client and phorest_id = any(:ids)
                    union select phorest_id from entity_mappings
                    where location_id = :id and entity_type = :client and phorest_id = any(:ids)"""),
            {"id": ledger.location_id, "client": CLIENT, "ids": [key for ids in found for key in ids]},
        ).scalars()
    )
    return sum(known.isdisjoint(ids) for ids in found)


def _base(connection: Connection, ledger: Ledger) -> int:
    """What shares are of: future events for appointments, contacts with a client for all else."""
    if ledger.entity_type == APPOINTMENT:
        return connection.execute(
            text("""select count(*) from ghl_events where location_id = :id and gone_at is null and starts_at > now()
                           and status is distinct from 'cancelled'"""),
            {"id": ledger.location_id},
        ).scalar_one()
    return connection.execute(
        text("""select count(*) from entity_mappings
                where location_id = :id and entity_type = :client and role = 'primary' and removed_at is null"""),
        {"id": ledger.location_id, "client": CLIENT},
    ).scalar_one()
