"""A plan for reading: one JSON document, with ids, field names, rules and counts; values masked unless asked for.

Belongs here: the shape of the document (design §10) and its table of changes in Markdown. Does not: the figures
(`plan_summary`), printing.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from phorest_ghl.ghl.fields import PERSONAL, VALUE_FACETS
from phorest_ghl.http.budget import Limits
from phorest_ghl.http.redaction import mask
from phorest_ghl.sync import plan_summary
from phorest_ghl.sync.mirror import LocationState
from phorest_ghl.sync.plan import FieldDiff, Plan, PlannedChange


def document(
    plan: Plan, limits: Limits, stops: Sequence[str], *, values: bool = False, entity: str = "clients"
) -> dict[str, Any]:
    """The plan as JSON: `minutes` at the location's budget, `days` by its daily quota, `changes` with every field.

    `entity` is what a command calls what was planned; `stops` says what would stop an apply (`guards`).
    """
    calls = plan_summary.requests(plan)
    pace = plan_summary.pace(calls.total, limits)
    silenced = plan_summary.silenced(plan)
    return {
        "entities": {entity: {"items": plan.total, **plan.counts(), "reviews": len(plan.reviews)}},
        "requests": calls.total,
        "requests_by_kind": vars(calls),
        "minutes": pace.minutes,
        "days": pace.days,
        "automations": plan_summary.automations(plan),
        "consent_changes": {
            **plan.consent_changes(),
            "lose_reminders": vars(silenced),
            "adopted_newly_blocked": plan_summary.adopted_newly_blocked(plan),
        },
        "guards": list(stops),
        "fields": plan_summary.fields(plan),
        "overwrites": [
            {"client": o.phorest_id, "contact": o.ghl_id, **_field(o.diff, values=values)}
            for o in plan_summary.overwrites(plan)
        ],
        "edited_in_ghl": len(plan.edited),
        "reviews": [
            {"client": r.desired.phorest_id, "contact": r.ghl_id, "cause": r.cause, "reason": r.reason}
            for r in plan.reviews
        ],
        "changes": [_change(change, values=values) for change in plan.changes],
    }


def guards(location: LocationState) -> list[str]:
    """What would stop an apply: sentences without their beginning "An apply would be refused:"."""
    if location.workflows_confirmed_at is None:
        return ["it is not confirmed that the location's workflows are paused or exclude the guard tag"]
    return []


def shown(diff: FieldDiff, *, values: bool) -> tuple[str, str]:
    """Before and after of a field, masked but for what is no personal value: a consent status, a tag, an id."""
    if values or diff.facet not in VALUE_FACETS or diff.name not in PERSONAL:
        return diff.before or "", diff.after
    return mask(diff.before) if diff.before else "", mask(diff.after)


def changes_markdown(plan: Plan, *, most: int) -> str:
    """The first changes as a Markdown table, a line a field, masked."""
    lines = ["| action | client | contact | field | now | then | rule |", "|---|---|---|---|---|---|---|"]
    lines += [_line(cells) for change in plan.changes[:most] for cells in _cells(change)]
    if len(plan.changes) > most:
        lines += ["", f"{len(plan.changes) - most} further changes; `phorest-ghl plan --json` lists all of them."]
    return "\n".join(lines)


def _cells(change: PlannedChange) -> Iterator[tuple[str, ...]]:
    head = (change.action.value, change.desired.phorest_id, change.ghl_id or "")
    if not change.diffs:
        yield (*head, "", "", "", change.reason)
    for diff in change.diffs:
        yield (*head, diff.name, *shown(diff, values=False), diff.rule.value)


def _line(cells: Collection[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _change(change: PlannedChange, *, values: bool) -> dict[str, Any]:
    return {
        "action": change.action.value,
        "client": change.desired.phorest_id,
        "household": list(change.desired.member_ids),
        "contact": change.ghl_id,
        "reason": change.reason,
        "requests": change.requests,
        "fields": [{"facet": diff.facet.value, **_field(diff, values=values)} for diff in change.diffs],
    }


def _field(diff: FieldDiff, *, values: bool) -> dict[str, str | None]:
    before, after = shown(diff, values=values)
    return {
        "field": diff.name,
        "rule": diff.rule.value,
        "before": before if diff.before is not None else None,
        "after": after,
    }
