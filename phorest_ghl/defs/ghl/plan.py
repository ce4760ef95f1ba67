"""The plan of the clients as a job: what a sync would write now. It holds no client that can write."""

from typing import Any

import dagster as dg

from phorest_ghl.assembly import Runtime, ghl_limits
from phorest_ghl.defs.failures import failures_as_sentences
from phorest_ghl.defs.ghl.assets import CONTACTS
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.plan import Plan
from phorest_ghl.sync.plan_document import changes_markdown, document, guards

_SHOWN = 50
"""Changes, overwrites and reviews that a report lists; its counts are of all of them."""


@dg.op
def plan_contacts(context: dg.OpExecutionContext, salon: dg.ResourceParam[Runtime]) -> None:
    """Compare what was last imported with what GHL holds, and report it as an observation of ghl/contacts, masked."""
    with failures_as_sentences():
        sync = salon.clients_sync(batch_id=new_batch_id(), writing=False)
        prepared = sync.prepare()
        plan = sync.plan(prepared)
    context.log.info("contacts: plan %s, %d requests, %d to review", plan.counts(), plan.requests, len(plan.reviews))
    report = document(plan, ghl_limits(salon.settings), guards(prepared.location))
    context.log_event(dg.AssetObservation(asset_key=CONTACTS, metadata=_metadata(plan, report)))


@dg.job(description="What a sync of the clients would write to GHL now, field by field. Writes nothing.")
def plan_clients() -> None:
    """Read-only by construction."""
    plan_contacts()


def _metadata(plan: Plan, report: dict[str, Any]) -> dict[str, dg.MetadataValue[Any]]:
    """The plan's document as metadata: counts to plot, the rest to read."""
    clients = report["entities"]["clients"]
    listed = {
        f"{name}_sample": dg.MetadataValue.json(report[name][:_SHOWN])
        for name in ("overwrites", "reviews")
        if report[name]
    }
    return {
        "items": dg.MetadataValue.int(clients["items"]),
        **{f"planned_{action}": dg.MetadataValue.int(count) for action, count in plan.counts().items()},
        "requests": dg.MetadataValue.int(report["requests"]),
        "minutes": dg.MetadataValue.float(report["minutes"]),
        "days": dg.MetadataValue.int(report["days"]),
        "overwrites": dg.MetadataValue.int(len(report["overwrites"])),
        "reviews": dg.MetadataValue.int(len(report["reviews"])),
        "edited_in_ghl": dg.MetadataValue.int(report["edited_in_ghl"]),
        "entities": dg.MetadataValue.json(report["entities"]),
        **{
            name: dg.MetadataValue.json(report[name])
            for name in ("requests_by_kind", "automations", "consent_changes", "guards", "fields")
        },
        **listed,
        "changes": dg.MetadataValue.md(changes_markdown(plan, most=_SHOWN)),
    }
