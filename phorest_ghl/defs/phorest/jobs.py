"""Jobs that write nothing to GHL: one an entity, one for all, the full reads that deltas cannot replace, and pruning.

Belongs here: what is run together. Does not: when (`phorest_ghl.defs.schedules`).

A full read finds what no delta shows: points that change without a new `updatedAt`, rows that vanish, appointments that
move out of the window (facts/phorest-api §7.4, §9).
"""

from datetime import UTC, datetime

import dagster as dg

from phorest_ghl.assembly import Runtime
from phorest_ghl.defs.failures import failures_as_sentences
from phorest_ghl.defs.phorest.importing import FULL_TAG, key_of
from phorest_ghl.phorest.retention import prune as prune_tables

ENTITIES = (
    "branches", "client_categories", "clients", "staff", "service_categories", "services", "products", "appointments",
    "purchases",
)  # fmt: skip


def whole(*entities: str) -> dict[str, object]:
    """The config of a run that reads these entities whole, not only what changed."""
    return {"ops": {f"phorest__{entity}": {"config": {"full": True}} for entity in entities}}


def _job(name: str, description: str, *entities: str, full: bool = False):
    tags = {FULL_TAG: "yes"} if full else None
    selection = dg.AssetSelection.assets(*(key_of(entity) for entity in entities))
    return dg.define_asset_job(name, selection, tags=tags, description=description)


import_branches = _job("import_branches", "Branches of the business.", "branches")
import_client_categories = _job("import_client_categories", "Categories of clients.", "client_categories")
import_clients = _job("import_clients", "Clients that changed, branches and categories.", "clients")
import_staff = _job("import_staff", "Branches and staff.", "branches", "staff")
import_services = _job("import_services", "Services and their categories.", "service_categories", "services")
import_products = _job(
    "import_products", "Products with their stock, services, and sales that changed.",
    "service_categories", "services", "products", "purchases",
)  # fmt: skip
import_appointments = _job("import_appointments", "Appointments that changed, or whole months.", "appointments")
import_purchases = _job("import_purchases", "Sales that changed.", "purchases")
import_everything = _job("import_everything", "All that Phorest has, in order.", *ENTITIES)
full_clients = _job("full_clients", "Every client: points change unseen by any delta.", "clients", full=True)
full_appointments = _job(
    "full_appointments", "Complete windows: what vanished, what moved away.", "appointments", full=True
)
full_purchases = _job("full_purchases", "The whole history of sales.", "purchases", full=True)


@dg.op(pool="phorest_prune")
def prune_what_is_over(context: dg.OpExecutionContext, salon: dg.ResourceParam[Runtime]) -> None:
    """Delete old versions and tombstones after the days that the settings keep them; how many rows, by table."""
    with failures_as_sentences():
        found = prune_tables(salon.engine, salon.retention(), datetime.now(UTC))
    context.log.info("prune: %d rows", sum(found.values()))
    context.add_output_metadata({name: dg.MetadataValue.int(rows) for name, rows in found.items()})


@dg.job(description="Old versions of rows and rows long gone from Phorest, after the days that the settings keep them.")
def prune() -> None:
    """One step."""
    prune_what_is_over()
