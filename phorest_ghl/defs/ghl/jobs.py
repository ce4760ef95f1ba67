"""Jobs that are started by hand and write to GHL: everything at once, and one client.

Belongs here: what is run together, and the config of it. Does not: the crons' jobs (`defs.schedules`), the first load
(`backfill`), jobs that write nothing to GHL (`defs.phorest.jobs`, `plan`).
"""

from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from phorest_ghl.assembly import Runtime
from phorest_ghl.defs.audit.invariants import AUDIT_CHECKS
from phorest_ghl.defs.failures import failure, failures_as_sentences
from phorest_ghl.defs.ghl.assets import CONTACTS
from phorest_ghl.defs.ghl.backfill import FIRST_LOAD
from phorest_ghl.defs.ghl.road import PlanConfig
from phorest_ghl.defs.metadata import plan_metadata, sync_metadata
from phorest_ghl.defs.phorest.importing import FULL_TAG
from phorest_ghl.sync.clients import new_batch_id

full = dg.define_asset_job(
    "full",
    dg.AssetSelection.all() - dg.AssetSelection.assets(FIRST_LOAD) - AUDIT_CHECKS,
    tags={FULL_TAG: "yes"},
    description="Everything: reads all of Phorest again, then syncs contacts, events and notes.",
)


class ClientConfig(PlanConfig):
    """Which client, and whether it is written."""

    client_id: str = Field(description="The client's id in Phorest.")


@dg.op(pool="single_client")
def sync_one_client(context: dg.OpExecutionContext, config: ClientConfig, salon: dg.ResourceParam[Runtime]) -> None:
    """Read one client from Phorest as it is now, and bring the contact that it is on up to date, or make it."""
    started = datetime.now(UTC)
    daily = salon.settings.ghl_daily_limit
    with failures_as_sentences():
        if not salon.importer(new_batch_id()).one_client(config.client_id):
            raise dg.Failure(
                f"Phorest has no client {config.client_id}, or none that can be kept; work_items says which.",
                allow_retries=False,
            )
        sync = salon.clients_sync(batch_id=new_batch_id(started, context.run.run_id), writing=not config.dry_run)
        prepared = sync.prepare()
        plan = sync.plan(prepared, of=[config.client_id])
        if config.dry_run:
            context.log_event(dg.AssetObservation(CONTACTS, metadata=plan_metadata(plan, daily_limit=daily)))
            return
        result = sync.apply(plan, prepared, started_at=started, job_id=context.run.run_id)
    context.log_event(dg.AssetObservation(CONTACTS, metadata=sync_metadata(result, plan, daily_limit=daily)))
    if result.stopped is not None:
        raise failure(result.stopped)


@dg.job(description="One client, by its Phorest id: read again, its contact made or brought up to date.")
def single_client() -> None:
    """One step."""
    sync_one_client()
