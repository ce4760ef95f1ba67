"""What is synced to GHL, one asset an entity."""

from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from phorest_ghl.assembly import Runtime
from phorest_ghl.db import tables
from phorest_ghl.defs.failures import failure, failures_as_sentences
from phorest_ghl.defs.metadata import plan_metadata, sync_metadata, table_metadata
from phorest_ghl.defs.phorest.assets import CLIENTS
from phorest_ghl.sync.clients import new_batch_id

CONTACTS = dg.AssetKey(["ghl", "contacts"])
ADD_UP = "outcomes_add_up"


class SyncConfig(dg.Config):
    """How a sync runs."""

    dry_run: bool = Field(default=False, description="Plan and stop: show what would be written, write nothing.")
    limit: int | None = Field(
        default=None, ge=1, description="Make at most so many changes; the rest waits for a later run."
    )


@dg.asset(
    key=CONTACTS,
    deps=[CLIENTS],
    group_name="ghl",
    kinds={"gohighlevel", "postgres"},
    owners=["team:salon-sync"],
    pool="ghl_contacts",
    metadata=table_metadata(tables.ghl_contacts),
    check_specs=[
        dg.AssetCheckSpec(
            ADD_UP,
            asset=CONTACTS,
            description="Every client that entered the run left it with exactly one outcome.",
        )
    ],
)
def contacts(
    context: dg.AssetExecutionContext, config: SyncConfig, salon: dg.ResourceParam[Runtime]
) -> dg.MaterializeResult:
    """One row per contact that GHL holds for the salon's clients: planned against the mirror, then applied.

    Refuses to write until an operator has confirmed, by `phorest-ghl sync clients --workflows-paused`, that the
    location's workflows leave new contacts alone.
    """
    started = datetime.now(UTC)
    daily = salon.settings.ghl_daily_limit
    with failures_as_sentences():
        sync = salon.clients_sync(batch_id=new_batch_id(started), writing=not config.dry_run)
        prepared = sync.prepare()
        plan = sync.plan(prepared)
        if config.limit is not None:
            plan = plan.limited(config.limit)
        context.log.info(
            "contacts: plan %s, %d requests, %d to review", plan.counts(), plan.requests, len(plan.reviews)
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
