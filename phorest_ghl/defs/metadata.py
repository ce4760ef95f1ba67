"""The metadata that every materialization reports, made in one place. Ids and counts only, never a personal value.

Belongs here: from results of the domain to Dagster's metadata. Does not: computing them.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import dagster as dg
from sqlalchemy import Table

from phorest_ghl.phorest.importer import ImportResult
from phorest_ghl.sync.plan import Plan
from phorest_ghl.sync.summary import RunResult

_SAMPLE = 20

Metadata = dict[str, dg.MetadataValue[Any]]


def table_metadata(table: Table) -> dict[str, Any]:
    """Definition metadata of an asset that is a table: its name and columns, from the one definition there is."""
    columns = [
        dg.TableColumn(
            column.name, str(column.type), constraints=dg.TableColumnConstraints(nullable=bool(column.nullable))
        )
        for column in table.columns
    ]
    return {"dagster/table_name": table.name, "dagster/column_schema": dg.TableSchema(columns=columns)}


def import_metadata(result: ImportResult, others: Iterable[ImportResult] = ()) -> Metadata:
    """What an import did: rows by what happened to them, requests, window, cursor, and a sample of what was set aside."""
    aside = [{"record": record} for record in result.set_aside[:_SAMPLE]]
    return {
        "dagster/row_count": _int(result.total_elements - result.repeated if result.lower is None else result.seen),
        "rows_seen": _int(result.seen),
        "rows_inserted": _int(result.inserted),
        "rows_updated": _int(result.updated),
        "rows_unchanged": _int(result.unchanged),
        "rows_tombstoned": _int(result.tombstoned),
        "rows_set_aside": _int(len(result.set_aside)),
        "rows_of_other_branches": _int(result.foreign),
        "rows_listed_twice": _int(result.repeated),
        "vanished_asked_by_id": _int(result.asked_by_id),
        "vanished_unsettled": _int(result.unsettled),
        "pages_failed": _int(len(result.failed_pages)),
        "requests": _int(result.requests + sum(other.requests for other in others)),
        "window": dg.MetadataValue.text(_window(result.lower, result.upper)),
        "cursor": dg.MetadataValue.text(_instant(result.watermark)),
        "list_shifted": dg.MetadataValue.bool(result.drifted),
        "scope": dg.MetadataValue.text(result.scope or "business"),
        "odd_fields": dg.MetadataValue.json(dict(result.odd_fields)),
        "also_imported": dg.MetadataValue.json({other.entity_type: other.seen for other in others}),
        **({"set_aside": _rows(aside)} if aside else {}),
    }


def sync_metadata(result: RunResult, plan: Plan, *, daily_limit: int) -> Metadata:
    """What a sync of contacts did: as `run_metadata`, and what it means for consent and for people."""
    return {
        **run_metadata(result, daily_limit=daily_limit),
        "consent_changes": dg.MetadataValue.json(plan.consent_changes()),
        **_for_people(plan),
    }


def run_metadata(result: RunResult, *, daily_limit: int) -> Metadata:
    """What a run did: items by outcome and reason, changes by action, requests and their part of the day's budget."""
    reasons = [
        {"outcome": kind, "reason": reason, "items": count}
        for kind, counts in sorted(result.reasons.items())
        for reason, count in sorted(counts.items())
    ]
    return {
        "items": _int(result.total),
        **{f"outcome_{kind}": _int(count) for kind, count in result.outcomes.items()},
        **{f"planned_{action}": _int(count) for action, count in result.changes.items()},
        "requests": _int(result.requests),
        "share_of_daily_budget": dg.MetadataValue.float(round(result.requests / daily_limit, 6)),
        "seconds": dg.MetadataValue.float(round(result.seconds, 3)),
        "batch_id": dg.MetadataValue.text(result.batch_id),
        **({"reasons": _rows(reasons)} if reasons else {}),
    }


def plan_metadata(plan: Plan, *, daily_limit: int) -> Metadata:
    """What a dry run would do. Field names and ids; the values are shown by `phorest-ghl plan --values` alone."""
    changes = [
        {
            "action": change.action.value,
            "client": change.desired.phorest_id,
            "contact": change.ghl_id or "",
            "fields": ", ".join(sorted(diff.name for diff in change.diffs)),
            "reason": change.reason,
        }
        for change in plan.changes[:_SAMPLE]
    ]
    return {
        "items": _int(plan.total),
        **{f"planned_{action}": _int(count) for action, count in plan.counts().items()},
        "planned_requests": _int(plan.requests),
        "planned_share_of_daily_budget": dg.MetadataValue.float(round(plan.requests / daily_limit, 6)),
        "consent_changes": dg.MetadataValue.json(plan.consent_changes()),
        **({"changes": _rows(changes)} if changes else {}),
        **_for_people(plan),
    }


def _for_people(plan: Plan) -> Metadata:
    reviews = [
        {"client": r.desired.phorest_id, "contact": r.ghl_id or "", "cause": r.cause, "reason": r.reason}
        for r in plan.reviews[:_SAMPLE]
    ]
    edited = [{"client": e.phorest_id, "contact": e.ghl_id, "field": e.field} for e in plan.edited[:_SAMPLE]]
    found: Metadata = {
        "reviews": _int(len(plan.reviews)),
        "edited_in_ghl": _int(len(plan.edited)),
    }
    if reviews:
        found["reviews_sample"] = _rows(reviews)
    if edited:
        found["edited_in_ghl_sample"] = _rows(edited)
    return found


def _rows(
    rows: list[Mapping[str, str | int]] | list[dict[str, str]] | list[dict[str, str | int]],
) -> dg.MetadataValue[Any]:
    return dg.MetadataValue.table(records=[dg.TableRecord(dict(row)) for row in rows])


def _int(value: int) -> dg.MetadataValue[Any]:
    return dg.MetadataValue.int(value)


def _window(lower: datetime | None, upper: datetime) -> str:
    return f"everything, at {_instant(upper)}" if lower is None else f"{_instant(lower)} to {_instant(upper)}"


def _instant(moment: datetime | None) -> str:
    return "none" if moment is None else moment.isoformat(timespec="seconds")
