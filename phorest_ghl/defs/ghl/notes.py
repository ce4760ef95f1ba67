"""Check-in notes: a note on the contact of each client who came."""

from datetime import UTC, datetime

import dagster as dg

from phorest_ghl.assembly import Runtime
from phorest_ghl.db import tables
from phorest_ghl.defs.failures import failure, failures_as_sentences
from phorest_ghl.defs.ghl.assets import CONTACTS
from phorest_ghl.defs.ghl.road import SyncConfig, add_up, settings_of
from phorest_ghl.defs.metadata import run_metadata
from phorest_ghl.defs.phorest.importing import key_of
from phorest_ghl.sync.clients import new_batch_id

CHECK_IN_NOTES = dg.AssetKey(["ghl", "check_in_notes"])
APPOINTMENTS = key_of("appointments")


@dg.asset(**settings_of(CHECK_IN_NOTES, [APPOINTMENTS, CONTACTS], table=tables.ghl_notes, item="visit"))
def check_in_notes(
    context: dg.AssetExecutionContext, config: SyncConfig, salon: dg.ResourceParam[Runtime]
) -> dg.MaterializeResult:
    """One row per note that GHL holds for a checked-in or paid appointment of the last days, once its start has passed."""
    started = datetime.now(UTC)
    with failures_as_sentences():
        sync = salon.check_ins_sync(batch_id=new_batch_id(started, context.run.run_id), writing=not config.dry_run)
        prepared = sync.prepare()
        plan = sync.plan(prepared)
        if config.limit is not None:
            plan = plan.limited(config.limit)
        context.log.info("check-ins: plan %s, %d requests", plan.counts(), plan.requests)
        if config.dry_run:
            planned = {f"planned_{name}": dg.MetadataValue.int(count) for name, count in plan.counts().items()}
            return dg.MaterializeResult(
                metadata={**planned, "planned_requests": dg.MetadataValue.int(plan.requests)},
                check_results=[add_up(plan.total, plan.total)],
            )
        result = sync.apply(plan, prepared, started_at=started, job_id=context.run.run_id)
    metadata = run_metadata(result, daily_limit=salon.settings.ghl_daily_limit)
    if result.stopped is not None:
        context.add_output_metadata(metadata)
        raise failure(result.stopped)
    return dg.MaterializeResult(metadata=metadata, check_results=[add_up(result.total, sum(result.outcomes.values()))])
