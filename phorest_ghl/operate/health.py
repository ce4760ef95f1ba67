"""How it goes: healthy, degraded or failed, and every reason for it, from our own tables alone.

Belongs here: the figures and what follows from them. Does not: Dagster's schedules (handed over by who asked it), printing,
checks of settings and connections (`phorest_ghl.doctor`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text

from phorest_ghl.db.pauses import EVERYTHING, Pause, pauses
from phorest_ghl.http.budget import Limits
from phorest_ghl.http.budget_rules import left_of_day
from phorest_ghl.http.budget_state import load_state
from phorest_ghl.operate.entities import ENTITIES, Entity
from phorest_ghl.sync.client_repair import CAUSE as NOT_BROUGHT
from phorest_ghl.sync.quiet_hours import QUIET_HOURS
from phorest_ghl.sync.stops.record import Stop, open_stops

_WAITING_BY_ITSELF = (QUIET_HOURS, NOT_BROUGHT)
"""Causes of work items that end without a person."""
_PERSON = "a person decides"
_UNSETTLED = timedelta(hours=1)


class State(StrEnum):
    """Healthy: nothing to do. Degraded: it works, and somebody should look. Failed: something does not work."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILED = "failed"


_ORDER = list(State)


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One thing that is not as it should be: a sentence without personal values."""

    state: State
    said: str


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A line of the cron table as Dagster holds it. `next_at` is aware."""

    running: bool
    next_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class EntityHealth:
    """One entity: its last run, its last good one, how far behind Phorest its import is, and when it runs next.

    `schedule` is None where Dagster was not asked, or has no such line.
    """

    entity: Entity
    last: Mapping[str, Any] | None
    good_at: datetime | None
    imported_at: datetime | None
    pause: Pause | None
    schedule: Schedule | None


@dataclass(frozen=True, kw_only=True)
class BudgetHealth:
    """The location's requests: `left` of `daily` today, and until when a vendor's refusal holds everybody back."""

    used: int
    left: int | None
    daily: int | None
    held_until: datetime | None


@dataclass(frozen=True, kw_only=True)
class Health:
    """All of it, as of `now`."""

    now: datetime
    location_id: str
    mode: str | None
    entities: Sequence[EntityHealth]
    work_items: Mapping[str, int]
    findings: Mapping[str, int]
    unsettled: int
    budget: BudgetHealth
    pauses: Sequence[Pause] = ()
    stops: Sequence[Stop] = ()
    reasons: Sequence[Reason] = field(default_factory=tuple[Reason, ...])

    @property
    def state(self) -> State:
        """The worst of the reasons."""
        return max((reason.state for reason in self.reasons), key=_ORDER.index, default=State.HEALTHY)


def health(
    connection: Connection,
    location_id: str,
    limits: Limits,
    schedules: Mapping[str, Schedule] | None = None,
    now: datetime | None = None,
) -> Health:
    """How it goes. `schedules` are Dagster's, by their names; None where it was not asked."""
    now = now or datetime.now(UTC)
    keys = {"location_id": location_id, "before": now - _UNSETTLED}
    held = pauses(connection, location_id)
    last = {row["entity_type"]: dict(row) for row in connection.execute(_LAST).mappings()}
    good: dict[str, datetime] = {row.entity_type: row.at for row in connection.execute(_GOOD)}
    imported: dict[str, datetime] = {row.entity_type: row.at for row in connection.execute(_IMPORTED)}
    mode = connection.execute(_MODE, keys).scalar_one_or_none()
    found = Health(
        now=now,
        location_id=location_id,
        mode=mode,
        entities=[
            EntityHealth(
                entity=entity,
                last=last.get(entity.entity_type),
                good_at=good.get(entity.entity_type),
                imported_at=imported.get(entity.imports),
                pause=next((p for p in held if p.entity_type in (EVERYTHING, entity.entity_type)), None),
                schedule=None if schedules is None else schedules.get(entity.schedule),
            )
            for entity in ENTITIES
        ],
        work_items={row.cause: row.items for row in connection.execute(_WORK, keys)},
        findings={row.kind: row.items for row in connection.execute(_FINDINGS, keys)},
        unsettled=connection.execute(_UNKNOWN, keys).scalar_one(),
        budget=_budget(connection, location_id, limits, now),
        pauses=held,
        stops=open_stops(connection, location_id),
    )
    return replace(found, reasons=tuple(_reasons(found, limits)))


def _reasons(found: Health, limits: Limits) -> Iterator[Reason]:
    for one in found.entities:
        yield from _of_entity(one, found)
    for pause in found.pauses:
        what = "everything" if pause.entity_type == EVERYTHING else pause.entity_type
        yield Reason(
            state=State.DEGRADED,
            said=f"{what} is paused since {pause.paused_at:%Y-%m-%d %H:%M} UTC by {pause.operator}; "
            "`phorest-ghl resume` lifts it",
        )
    for stop in found.stops:
        if stop.allowed_by is None:
            yield Reason(
                state=State.DEGRADED,
                said=f"the guard on {stop.guard} holds {stop.figure} back, {stop.entity_type}; `phorest-ghl allow` says more",
            )
    waiting = {cause: count for cause, count in found.work_items.items() if cause not in _WAITING_BY_ITSELF}
    if waiting:
        listed = ", ".join(f"{count} {cause}" for cause, count in sorted(waiting.items()))
        yield Reason(state=State.DEGRADED, said=f"records wait for a person: {listed}; see `phorest-ghl review`")
    if found.findings:
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(found.findings.items()))
        yield Reason(state=State.DEGRADED, said=f"findings that a person decides: {listed}; see `phorest-ghl review`")
    if found.unsettled:
        yield Reason(
            state=State.DEGRADED,
            said=f"{found.unsettled} creates have had no answer for over an hour; the next run looks them up",
        )
    yield from _of_budget(found, limits)


def _of_entity(one: EntityHealth, found: Health) -> Iterator[Reason]:
    name, last = one.entity.name, one.last
    if last is not None and last["status"] == "failed":
        yield Reason(state=State.FAILED, said=f"{name}: the last run failed{_why(last)}")
    elif last is not None and last["status"] == "partial":
        yield Reason(state=State.DEGRADED, said=f"{name}: the last run did only a part of its work{_why(last)}")
    if found.mode != "live" or one.pause is not None:
        return  # until go-live nothing has to run by itself
    if one.schedule is not None and not one.schedule.running:
        yield Reason(state=State.DEGRADED, said=f"{name}: its schedule is off; `phorest-ghl schedules on` turns it on")
        return
    if one.good_at is None:
        yield Reason(state=State.DEGRADED, said=f"{name}: no run has ended well yet")
        return
    for what, at in (("the last good run", one.good_at), ("the last import", one.imported_at)):
        age = None if at is None else found.now - at
        if age is not None and age > one.entity.late:
            too_late = age > one.entity.too_late
            said = f"{name}: {what} is {span(age)} old, and should not be older than {span(one.entity.late)}"
            yield Reason(state=State.FAILED if too_late else State.DEGRADED, said=said)


def _of_budget(found: Health, limits: Limits) -> Iterator[Reason]:
    budget = found.budget
    if budget.left == 0:
        yield Reason(state=State.FAILED, said="no request to GHL is left for today; runs go on tomorrow by themselves")
    elif budget.left is not None and budget.left < limits.bulk_daily_floor * (budget.daily or 0):
        yield Reason(
            state=State.DEGRADED,
            said=f"{budget.left} of {budget.daily} requests to GHL are left for today: first loads, notes and tags wait",
        )
    if budget.held_until is not None:
        yield Reason(state=State.DEGRADED, said=f"GHL asked everybody to wait until {budget.held_until:%H:%M:%S} UTC")


def span(age: timedelta) -> str:
    """A length of time as people say it."""
    minutes = int(age.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 60 * 72 else f"{minutes // (60 * 24)} days"


def _why(last: Mapping[str, Any]) -> str:
    return f": {last['last_error']}" if last["last_error"] else "; `phorest-ghl logs` says which records"


def _budget(connection: Connection, location_id: str, limits: Limits, now: datetime) -> BudgetHealth:
    row = connection.execute(
        text("select state::text from api_budget where key = :key"), {"key": f"ghl:{location_id}"}
    ).scalar_one_or_none()
    state, moment = load_state(row or "{}"), now.timestamp()
    left = left_of_day(state, moment, limits)
    today = int(moment // 86400)
    return BudgetHealth(
        used=state.used if state.day == today else 0,
        left=None if left is None else left[0],
        daily=None if left is None else left[1],
        held_until=datetime.fromtimestamp(state.paused_until, UTC) if state.paused_until > moment + 1 else None,
    )


_LAST = text("""
    select distinct on (entity_type) entity_type, batch_id, job_id, status, total_count, success_count, skipped_count,
           failed_count, requests, started_at, completed_at, last_error
    from sync_run_summaries order by entity_type, created_at desc, id desc
""")
_GOOD = text("""
    select entity_type, max(completed_at) as at from sync_run_summaries where status = 'completed' group by entity_type
""")
_IMPORTED = text("select entity_type, max(updated_at) as at from import_cursors group by entity_type")
_MODE = text("select mode from ghl_locations where location_id = :location_id")
_WORK = text("""
    select cause, count(*) as items from work_items where state = 'open' and location_id in (:location_id, '')
    group by cause order by cause
""")
_FINDINGS = text(f"""
    select kind, count(*) as items from audit_findings
    where location_id = :location_id and resolved_at is null and coalesce(detail ->> 'act', '{_PERSON}') = '{_PERSON}'
    group by kind order by kind
""")  # noqa: S608 - a text of ours
_UNKNOWN = text("""
    select count(*) from sync_intents
    where location_id = :location_id and state in ('sent', 'unknown') and coalesce(sent_at, planned_at) < :before
""")
