"""Contacts: what is synced to GHL for the salon's clients. Belongs here: this asset. Does not: its run (`road`)."""

import dagster as dg

from phorest_ghl.assembly import Runtime
from phorest_ghl.defs.ghl.road import ADD_UP, SyncConfig, materialize, settings_of
from phorest_ghl.defs.phorest.assets import CLIENTS
from phorest_ghl.defs.phorest.importing import key_of
from phorest_ghl.defs.phorest.purchases import PURCHASES

__all__ = ["ADD_UP", "CONTACTS", "SyncConfig", "contacts"]

CONTACTS = dg.AssetKey(["ghl", "contacts"])


@dg.asset(**settings_of(CONTACTS, [CLIENTS, key_of("appointments"), PURCHASES]))
def contacts(
    context: dg.AssetExecutionContext, config: SyncConfig, salon: dg.ResourceParam[Runtime]
) -> dg.MaterializeResult:
    """One row per contact that GHL holds for the salon's clients: planned against the mirror, then applied.

    A contact carries what follows from its client's visits, sales and points, as they were last imported. Refuses to write
    until an operator has confirmed, by `phorest-ghl sync clients --workflows-paused`, that the location's workflows leave
    new contacts alone.
    """
    return materialize(context, config, salon)
