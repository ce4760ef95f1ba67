"""Appointments as calendar events of GHL: the asset, and what a run of it reports."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from phorest_ghl.assembly import Runtime
from phorest_ghl.db import tables
from phorest_ghl.defs.failures import failure, failures_as_sentences
from phorest_ghl.defs.ghl.assets import CONTACTS
from phorest_ghl.defs.ghl.road import PlanConfig, add_up, settings_of
from phorest_ghl.defs.metadata import run_metadata
from phorest_ghl.defs.phorest.importing import key_of
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.events.plan import EventPlan

EVENTS = dg.AssetKey(["ghl", "appointments"])
_SAMPLE = 20


@dg.asset(**settings_of(EVENTS, [key_of("appointments"), CONTACTS], table=tables.ghl_events, item="appointment"))
def events(
    context: dg.AssetExecutionContext, config: PlanConfig, salon: dg.ResourceParam[Runtime]
) -> dg.MaterializeResult:
    """One row per event that GHL's calendars hold: one for each appointment whose client has a contact.

    A client is told of an event only where the salon chose GHL to write to that calendar's clients.
    """
    started = datetime.now(UTC)
    with failures_as_sentences():
        sync = salon.appointments_sync(batch_id=new_batch_id(started, context.run.run_id), writing=not config.dry_run)
        prepared = sync.prepare()
        plan = sync.plan(prepared)
        context.log.info("appointments: plan %s, %d requests", plan.counts(), plan.requests)
        if config.dry_run:
            return dg.MaterializeResult(
                metadata=_planned(plan), check_results=[add_up(plan.total, len(plan.changes) + len(plan.settled))]
            )
        result = sync.apply(plan, prepared, started_at=started, job_id=context.run.run_id)
    metadata = {
        **run_metadata(result, daily_limit=salon.settings.ghl_daily_limit),
        "announcements": dg.MetadataValue.json(plan.announcements()),
    }
    if result.stopped is not None:
        context.add_output_metadata(metadata)
        raise failure(result.stopped)
    return dg.MaterializeResult(metadata=metadata, check_results=[add_up(result.total, sum(result.outcomes.values()))])


def _planned(plan: EventPlan) -> Mapping[str, dg.MetadataValue[Any]]:
    """What a dry run would do: ids and field names."""
    changes = [
        dg.TableRecord(
            {
                "action": change.action.value,
                "appointment": change.phorest_id,
                "event": change.ghl_id or "",
                "fields": ", ".join(change.field_names),
                "tells": str(change.decision.notify),
                "why": change.decision.reason,
            }
        )
        for change in plan.changes[:_SAMPLE]
    ]
    return {
        "items": dg.MetadataValue.int(plan.total),
        **{f"planned_{action}": dg.MetadataValue.int(count) for action, count in plan.counts().items()},
        "planned_requests": dg.MetadataValue.int(plan.requests),
        "announcements": dg.MetadataValue.json(plan.announcements()),
        "future_without_reminder": dg.MetadataValue.int(plan.future),
        **({"changes": dg.MetadataValue.table(records=changes)} if changes else {}),
    }
