"""A plan that a person has read, and the promise that nothing else is carried out: a keyed hash of each change.

Belongs here: what of a change is hashed, sealing a plan's document, reading one back, holding it against the plan as it is
now. Does not: making plans, their documents (`plan_document`).

A plan's file holds no value of anybody's that is not masked, so it cannot be carried out by itself: the plan is made anew,
and what the file names has to come out the same, change by change. What came up since waits for the next run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import singledispatch
from typing import Any, TypeVar

import orjson

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.sync.events.plan import EventChange, EventPlan
from phorest_ghl.sync.notes.planning import NoteChange, NotePlan
from phorest_ghl.sync.outcomes import Deferred
from phorest_ghl.sync.plan import Plan, PlannedChange
from phorest_ghl.sync.staff.plan import StaffChange, StaffPlan

FORMAT = "phorest-ghl plan 1"
CAME_LATER = "came up after the plan that this run was given"
_NAMED = 10

AnyPlan = TypeVar("AnyPlan", Plan, EventPlan, StaffPlan, NotePlan)


class PlanNotUsable(Exception):
    """The file is no plan of this location's that was left as it was made. The text is a sentence."""


class StalePlan(Exception):
    """What the plan names would be done otherwise now, or not at all. The text is a sentence and names the records."""


@dataclass(frozen=True, kw_only=True)
class PlanFile:
    """A plan as it was read by a person: the record of each change by the change's hash."""

    entity: str
    made_at: datetime
    changes: Mapping[str, str]


def sealed(
    document: Mapping[str, Any], plan: AnyPlan, keyring: Keyring, *, entity: str, location_id: str
) -> dict[str, Any]:
    """A plan's document that `sync --plan` takes: with whose it is, and the hashes. Its changes are in the plan's order."""
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    hashes = [_hash(keyring, change) for change in plan.changes]
    rows: Sequence[Mapping[str, Any]] = document["changes"]
    return {
        "format": FORMAT,
        "entity": entity,
        "location": location_id,
        "made_at": made_at,
        "hash": _whole(keyring, entity, location_id, made_at, hashes),
        **document,
        "changes": [
            {**row, "record": change.phorest_id, "hash": known}
            for row, change, known in zip(rows, plan.changes, hashes, strict=True)
        ],
    }


def read(content: bytes, keyring: Keyring, *, location_id: str) -> PlanFile:
    """A sealed document. Raises PlanNotUsable."""
    try:
        document: dict[str, Any] = orjson.loads(content)
        if document["format"] != FORMAT:
            raise PlanNotUsable("The plan's file is one of another release. Make a new one.")
        rows = {str(row["hash"]): str(row["record"]) for row in document["changes"]}
        entity, location, made_at, whole = (str(document[name]) for name in ("entity", "location", "made_at", "hash"))
        moment = datetime.fromisoformat(made_at)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise PlanNotUsable(
            "The file is no plan, or was cut short. `phorest-ghl plan ENTITY --file plan.json` makes one."
        ) from None
    if location != location_id:
        raise PlanNotUsable(
            f"The plan is one of location {location}, and the settings name location {location_id}. Nothing was written."
        )
    if whole != _whole(keyring, entity, location, made_at, list(rows)):
        raise PlanNotUsable(
            "The plan's file was changed after it was made, or made under another PHOREST_GHL_HASH_KEY. Make a new one: "
            "what is carried out is what was planned, whole."
        )
    return PlanFile(entity=entity, made_at=moment, changes=rows)


def held_to(file: PlanFile, plan: AnyPlan, keyring: Keyring) -> AnyPlan:
    """The plan as it is now with what the file names and nothing else. Raises StalePlan where one of it is no longer so."""
    now = {_hash(keyring, change): change for change in plan.changes}
    moved = [record for known, record in file.changes.items() if known not in now]
    if moved:
        raise StalePlan(_stale(file, plan, moved))
    kept = tuple(change for known, change in now.items() if known in file.changes)
    left = {item: Deferred(CAME_LATER) for known, c in now.items() if known not in file.changes for item in c.item_ids}
    narrowed = replace(plan, changes=kept, settled={**plan.settled, **left})
    if isinstance(narrowed, Plan):
        written = {change.ghl_id for change in narrowed.changes}
        return replace(narrowed, to_guard=tuple(ghl_id for ghl_id in narrowed.to_guard if ghl_id in written))
    return narrowed


def _stale(file: PlanFile, plan: Plan | EventPlan | StaffPlan | NotePlan, moved: Sequence[str]) -> str:
    otherwise = {change.phorest_id for change in plan.changes}

    def why(record: str) -> str:
        outcome = plan.settled.get(record)
        if record in otherwise:
            return f"{record} (would be written otherwise)"
        return f"{record} ({'no longer there' if outcome is None else outcome.reason or outcome.kind})"

    named = ", ".join(why(record) for record in moved[:_NAMED])
    more = f", and {len(moved) - _NAMED} further ones" if len(moved) > _NAMED else ""
    return (
        f"The plan of {file.made_at:%Y-%m-%d %H:%M} UTC is stale, so nothing of it was written: {len(moved)} of its "
        f"{len(file.changes)} changes are no longer what would be done: {named}{more}. Make a new one with "
        f"`phorest-ghl plan {file.entity} --file plan.json`, and read it."
    )


def _hash(keyring: Keyring, change: object) -> str:
    return keyring.digest("planned change", orjson.dumps(_told(change)).decode())


def _whole(keyring: Keyring, entity: str, location_id: str, made_at: str, hashes: Sequence[str]) -> str:
    return keyring.digest("plan", FORMAT, entity, location_id, made_at, *sorted(hashes))


@singledispatch
def _told(change: object) -> list[object]:
    """All of a change that decides what is sent, and nothing that may differ while the same is sent."""
    raise TypeError(f"{type(change).__name__} is no change of a plan")


@_told.register
def _(change: PlannedChange) -> list[object]:
    return [
        "contact",
        change.action.value,
        list(change.mapped_ids),
        change.ghl_id,
        change.joins,
        change.replaces,
        change.decided,
        change.guarded,
        _diffs(change),
        sorted((channel.value, causes) for channel, causes in change.desired.blocked.items()),
    ]


@_told.register
def _(change: EventChange) -> list[object]:
    sent = ("event", change.action.value, change.phorest_id, change.ghl_id, change.desired.contact_id)
    return [*sent, change.decision.notify, _diffs(change), sorted(change.desired.values.items())]


@_told.register
def _(change: StaffChange) -> list[object]:
    return ["staff", change.action.value, list(change.item_ids), change.ghl_id, change.client, _diffs(change)]


@_told.register
def _(change: NoteChange) -> list[object]:
    visit = change.visit
    named = [visit.service_id, visit.service_name, visit.category_id, visit.category_name, visit.when]
    return ["note", change.action.value, change.phorest_id, change.ghl_id, *named]


def _diffs(change: PlannedChange | EventChange | StaffChange) -> list[tuple[object, ...]]:
    return sorted((diff.name, diff.before or "", diff.after, diff.rule.value) for diff in change.diffs)
