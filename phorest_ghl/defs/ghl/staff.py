"""The staff's contacts: the asset, and what a run of it reports."""

from datetime import UTC, datetime

import dagster as dg

from phorest_ghl.assembly import Runtime
from phorest_ghl.defs.failures import failure, failures_as_sentences
from phorest_ghl.defs.ghl.assets import CONTACTS
from phorest_ghl.defs.ghl.road import SyncConfig, add_up, settings_of
from phorest_ghl.defs.metadata import run_metadata
from phorest_ghl.defs.phorest.assets import STAFF
from phorest_ghl.sync.clients import new_batch_id

STAFF_CONTACTS = dg.AssetKey(["ghl", "staff_contacts"])


@dg.asset(**settings_of(STAFF_CONTACTS, [STAFF, CONTACTS], item="row of the staff"))
def staff_contacts(
    context: dg.AssetExecutionContext, config: SyncConfig, salon: dg.ResourceParam[Runtime]
) -> dg.MaterializeResult:
    """One row per contact of a human of the staff, closed on every channel; a client among them has the tags alone."""
    started = datetime.now(UTC)
    with failures_as_sentences():
        sync = salon.staff_sync(batch_id=new_batch_id(started, context.run.run_id), writing=not config.dry_run)
        prepared = sync.prepare()
        plan = sync.plan(prepared)
        if config.limit is not None:
            plan = plan.limited(config.limit)
        found = len(plan.findings)
        context.log.info("staff: plan %s, %d requests, %d findings", plan.counts(), plan.requests, found)
        if config.dry_run:
            planned = {f"planned_{name}": dg.MetadataValue.int(count) for name, count in plan.counts().items()}
            return dg.MaterializeResult(
                metadata={
                    **planned,
                    "planned_requests": dg.MetadataValue.int(plan.requests),
                    "findings": dg.MetadataValue.int(found),
                },
                check_results=[add_up(plan.total, plan.total)],
            )
        result = sync.apply(plan, prepared, started_at=started, job_id=context.run.run_id)
    metadata = {
        **run_metadata(result, daily_limit=salon.settings.ghl_daily_limit),
        "findings": dg.MetadataValue.int(found),
    }
    if result.stopped is not None:
        context.add_output_metadata(metadata)
        raise failure(result.stopped)
    return dg.MaterializeResult(metadata=metadata, check_results=[add_up(result.total, sum(result.outcomes.values()))])
