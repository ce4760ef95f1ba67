"""Parts of contacts with runs of their own: loyalty, online bookings, product tags.

Belongs here: these assets. Does not: their run (`road`), what a part is (`phorest_ghl.sync.parts`). Contacts that are not
there yet are left to `ghl/contacts`, which makes them with all their parts.
"""

import dagster as dg

from phorest_ghl.assembly import Runtime
from phorest_ghl.defs.ghl.assets import CONTACTS
from phorest_ghl.defs.ghl.road import SyncConfig, materialize, settings_of
from phorest_ghl.defs.phorest.assets import CLIENTS, PRODUCTS
from phorest_ghl.defs.phorest.importing import key_of
from phorest_ghl.defs.phorest.purchases import PURCHASES
from phorest_ghl.sync.parts import PARTS

LOYALTY = dg.AssetKey(["ghl", "loyalty"])
BOOKINGS = dg.AssetKey(["ghl", "bookings"])
PRODUCT_TAGS = dg.AssetKey(["ghl", "product_tags"])


@dg.asset(**settings_of(LOYALTY, [CLIENTS, CONTACTS]))
def loyalty(
    context: dg.AssetExecutionContext, config: SyncConfig, salon: dg.ResourceParam[Runtime]
) -> dg.MaterializeResult:
    """One row per contact that is there: its points, card and tier, and the tag of the tier."""
    return materialize(context, config, salon, PARTS["loyalty"])


@dg.asset(**settings_of(BOOKINGS, [key_of("appointments"), CONTACTS]))
def bookings(
    context: dg.AssetExecutionContext, config: SyncConfig, salon: dg.ResourceParam[Runtime]
) -> dg.MaterializeResult:
    """One row per contact that is there: how often and when last its client booked online, and the tag of who did."""
    return materialize(context, config, salon, PARTS["bookings"])


@dg.asset(**settings_of(PRODUCT_TAGS, [PRODUCTS, PURCHASES, CONTACTS]))
def product_tags(
    context: dg.AssetExecutionContext, config: SyncConfig, salon: dg.ResourceParam[Runtime]
) -> dg.MaterializeResult:
    """One row per contact that is there: a tag for each product that its client has bought since go-live."""
    return materialize(context, config, salon, PARTS["products"])
