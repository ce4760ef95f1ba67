"""What commands report of plans and runs: documents for --json, tables for people. Values only where they are asked for.

Belongs here: shapes (design §10). Does not: computing a plan or a run.
"""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from phorest_ghl.ghl.fields import PHOREST_ID, Facet
from phorest_ghl.http.redaction import mask
from phorest_ghl.settings import Settings
from phorest_ghl.sync.clients import Prepared
from phorest_ghl.sync.plan import FieldDiff, Plan, PlannedChange
from phorest_ghl.sync.summary import RunResult


def plan_document(plan: Plan, prepared: Prepared, settings: Settings, *, values: bool = False) -> dict[str, Any]:
    """A plan as JSON: `minutes` at the location's budget, `days` by its daily quota, `changes` with every field."""
    per_second = settings.ghl_budget_share * settings.ghl_rate_limit / settings.ghl_rate_window_s
    creates = plan.counts()["create"]
    return {
        "entities": {"clients": {"items": plan.total, **plan.counts(), "reviews": len(plan.reviews)}},
        "requests": plan.requests,
        "minutes": round(plan.requests / per_second / 60, 2),
        "days": max(1, -(-plan.requests // settings.ghl_daily_limit)) if plan.requests else 0,
        # What GHL's workflows could react to; the guard tag holds back those that exclude it (safety S1).
        "automations": {"contact created": creates, "tag added": creates, "field changed": plan.counts()["update"]},
        "consent_changes": plan.consent_changes(),
        "guards": guards(prepared),
        "edited_in_ghl": len(plan.edited),
        "changes": [_change(change, values=values) for change in plan.changes],
    }


def guards(prepared: Prepared) -> list[str]:
    """What would stop an apply of this plan."""
    if prepared.location.workflows_confirmed_at is None:
        return ["it is not confirmed that the location's workflows are paused or exclude the guard tag"]
    return []


def plan_table(plan: Plan) -> Table:
    """Counts of a plan, for people."""
    table = Table("", "clients", title="Plan", title_justify="left")
    for action, count in plan.counts().items():
        table.add_row(action, str(count))
    for outcome, count in _settled(plan).items():
        table.add_row(outcome, str(count))
    table.add_row("requests", str(plan.requests))
    table.add_row("to review", str(len(plan.reviews)))
    closings = plan.consent_changes()
    table.add_row("channels closed", str(closings["closed_on_create"] + closings["closed_on_update"]))
    return table


def changes_table(plan: Plan, *, values: bool, shown: int) -> Table:
    """The first changes, a line a field with its rule; masked unless `values`."""
    table = Table("action", "client", "field", "now", "then", "rule", title="First changes", title_justify="left")
    for change in plan.changes[:shown]:
        first = (change.action.value, change.desired.phorest_id)
        for diff in change.diffs:
            before, after = _shown(diff, values=values)
            table.add_row(*first, diff.name, before, after, diff.rule.name.lower())
            first = ("", "")
        table.add_section()
    if len(plan.changes) > shown:
        table.caption = f"{len(plan.changes) - shown} further changes; --json lists all of them"
    return table


def run_document(result: RunResult) -> dict[str, Any]:
    """A run as JSON."""
    return {
        "batch_id": result.batch_id,
        "status": result.status,
        "outcomes": dict(result.outcomes),
        "reasons": {kind: dict(counts) for kind, counts in result.reasons.items()},
        "requests": result.requests,
        "seconds": round(result.seconds, 3),
        "error": result.error,
    }


def outcomes_table(entities: Mapping[str, Mapping[str, Any]]) -> Table:
    """A line for each entity: outcomes, requests, seconds."""
    kinds = ("applied", "unchanged", "skipped", "deferred", "rejected", "failed")
    table = Table("entity", *kinds, "requests", "seconds", title_justify="left")
    for name, entity in entities.items():
        counts = [str(entity["outcomes"][kind]) for kind in kinds]
        table.add_row(name, *counts, str(entity["requests"]), f"{entity['seconds']:.1f}")
    return table


def reasons_table(reasons: Mapping[str, Mapping[str, int]]) -> Table:
    """Why items were skipped, deferred, rejected or failed."""
    table = Table("outcome", "reason", "items", title_justify="left")
    for kind, counts in sorted(reasons.items()):
        for reason, count in sorted(counts.items(), key=lambda item: -item[1]):
            table.add_row(kind, reason, str(count))
    return table


def _settled(plan: Plan) -> dict[str, int]:
    found: dict[str, int] = {}
    for outcome in plan.settled.values():
        found[outcome.kind] = found.get(outcome.kind, 0) + 1
    return dict(sorted(found.items()))


def _change(change: PlannedChange, *, values: bool) -> dict[str, Any]:
    return {
        "action": change.action.value,
        "client": change.desired.phorest_id,
        "household": list(change.desired.member_ids),
        "contact": change.ghl_id,
        "reason": change.reason,
        "requests": change.requests,
        "fields": [
            {"field": d.name, "facet": d.facet.value, "rule": d.rule.value, **_values(d, shown=values)}
            for d in change.diffs
        ],
    }


def _values(diff: FieldDiff, *, shown: bool) -> dict[str, str | None]:
    before, after = _shown(diff, values=shown)
    return {"before": before if diff.before is not None else None, "after": after}


def _shown(diff: FieldDiff, *, values: bool) -> tuple[str, str]:
    """Before and after, masked but for what is no personal value: a consent status, an id."""
    if values or diff.facet is Facet.CONSENT or diff.name == PHOREST_ID.name:
        return diff.before or "", diff.after
    return mask(diff.before) if diff.before else "", mask(diff.after)
