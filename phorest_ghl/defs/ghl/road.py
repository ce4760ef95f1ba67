"""What every asset of contacts has in common: its config, its check, and the run from plan to summary.

Belongs here: from a run of the domain to a materialization. Does not: any asset.
"""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
from pydantic import Field
from sqlalchemy import Table

from phorest_ghl.assembly import Runtime
from phorest_ghl.db import tables
from phorest_ghl.defs.failures import failure, failures_as_sentences
from phorest_ghl.defs.metadata import plan_metadata, sync_metadata, table_metadata
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.parts import Part

ADD_UP = "outcomes_add_up"


class PlanConfig(dg.Config):
    """Whether a sync writes."""

    dry_run: bool = Field(default=False, description="Plan and stop: show what would be written, write nothing.")


class SyncConfig(PlanConfig):
    """How a sync runs."""

    limit: int | None = Field(
        default=None, ge=1, description="Make at most so many changes; the rest waits for a later run."
    )


def settings_of(
    key: dg.AssetKey,
    deps: list[dg.AssetKey],
    *,
    table: Table = tables.ghl_contacts,
    item: str = "client",
    pool: str | None = None,
) -> Any:
    """What an asset of GHL's side is declared with: its table, its pool, its check; `item` is what enters its runs."""
    return {
        "key": key,
        "deps": deps,
        "group_name": "ghl",
        "kinds": {"gohighlevel", "postgres"},
        "owners": ["team:salon-sync"],
        "pool": pool or "_".join(key.path),
        "metadata": table_metadata(table),
        "check_specs": [
            dg.AssetCheckSpec(
                ADD_UP,
                asset=key,
                description=f"Every {item} that entered the run left it with exactly one outcome.",
            )
        ],
    }


def materialize(
    context: dg.AssetExecutionContext, config: SyncConfig, salon: Runtime, part: Part | None = None
) -> dg.MaterializeResult:
    """One run: prepared, planned, applied, summed up; of a part of the contacts, or of all."""
    started = datetime.now(UTC)
    daily = salon.settings.ghl_daily_limit
    with failures_as_sentences():
        sync = salon.clients_sync(
            batch_id=new_batch_id(started, context.run.run_id), writing=not config.dry_run, part=part
        )
        prepared = sync.prepare()
        plan = sync.plan(prepared)
        if config.limit is not None:
            plan = plan.limited(config.limit)
        context.log.info(
            "contacts: plan %s, %d requests, %d to review", plan.counts(), plan.requests, len(plan.reviews)
        )
        if plan.unread:
            context.log.info(
                "contacts: %s left as they are, what they are counted from was not read completely yet",
                ", ".join(sorted(plan.unread)),
            )
        if config.dry_run:
            return dg.MaterializeResult(
                metadata=plan_metadata(plan, daily_limit=daily), check_results=[add_up(plan.total, plan.total)]
            )
        result = sync.apply(plan, prepared, started_at=started, job_id=context.run.run_id)
    metadata = sync_metadata(result, plan, daily_limit=daily)
    if result.stopped is not None:
        context.add_output_metadata(metadata)
        raise failure(result.stopped)
    return dg.MaterializeResult(metadata=metadata, check_results=[add_up(result.total, sum(result.outcomes.values()))])


def add_up(items: int, outcomes: int) -> dg.AssetCheckResult:
    """Whether as many items left a run as entered it."""
    return dg.AssetCheckResult(
        check_name=ADD_UP, passed=items == outcomes, metadata={"items": items, "outcomes": outcomes}
    )
