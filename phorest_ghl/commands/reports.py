"""What commands report of plans and runs: documents for --json, tables for people. Values only where they are asked for.

Belongs here: shapes (design §10). Does not: computing a plan or a run.
"""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from phorest_ghl.assembly import ghl_limits
from phorest_ghl.settings import Settings
from phorest_ghl.sync import plan_summary
from phorest_ghl.sync.clients import Prepared
from phorest_ghl.sync.plan import Plan
from phorest_ghl.sync.plan_document import document, guards, shown
from phorest_ghl.sync.summary import RunResult


def plan_document(
    plan: Plan, prepared: Prepared, settings: Settings, *, values: bool = False, entity: str = "clients"
) -> dict[str, Any]:
    """A plan as JSON at this location's budget; see `phorest_ghl.sync.plan_document`."""
    return document(plan, ghl_limits(settings), guards(prepared.location), values=values, entity=entity)


def plan_table(plan: Plan) -> Table:
    """Counts of a plan, for people."""
    table = Table("", "clients", title="Plan", title_justify="left")
    for action, count in plan.counts().items():
        table.add_row(action, str(count))
    for outcome, count in _settled(plan).items():
        table.add_row(outcome, str(count))
    table.add_row("to review", str(len(plan.reviews)))
    closings = plan.consent_changes()
    table.add_row("channels closed", str(closings["closed_on_create"] + closings["closed_on_update"]))
    silenced = plan_summary.silenced(plan)
    table.add_row("present contacts that lose reminders", str(silenced.present))
    table.add_row("new contacts without reminders", str(silenced.new))
    table.add_row("adopted contacts newly blocked", str(plan_summary.adopted_newly_blocked(plan)))
    table.add_row("fields overwritten", str(len(plan_summary.overwrites(plan))))
    table.add_section()
    for kind, count in vars(plan_summary.requests(plan)).items():
        table.add_row(f"requests: {kind.replace('_', ' ')}", str(count))
    return table


def overwrites_table(plan: Plan, *, values: bool, most: int) -> Table:
    """Fields in which GHL holds another value than Phorest, which the plan replaces; masked unless `values`."""
    found = plan_summary.overwrites(plan)
    table = Table("client", "contact", "field", "now", "then", title="Overwritten in GHL", title_justify="left")
    for one in found[:most]:
        table.add_row(one.phorest_id, one.ghl_id, one.diff.name, *shown(one.diff, values=values))
    if len(found) > most:
        table.caption = f"{len(found) - most} further ones; --json lists all of them"
    return table


def changes_table(plan: Plan, *, values: bool, most: int) -> Table:
    """The first changes, a line a field with its rule; masked unless `values`."""
    table = Table("action", "client", "field", "now", "then", "rule", title="First changes", title_justify="left")
    for change in plan.changes[:most]:
        first = (change.action.value, change.desired.phorest_id)
        for diff in change.diffs:
            table.add_row(*first, diff.name, *shown(diff, values=values), diff.rule.name.lower())
            first = ("", "")
        table.add_section()
    if len(plan.changes) > most:
        table.caption = f"{len(plan.changes) - most} further changes; --json lists all of them"
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
