"""Purchases: read from Phorest's export of sales. Belongs here: this asset. Does not: jobs, files, lines."""

import dagster as dg

from phorest_ghl.assembly import Runtime
from phorest_ghl.defs.failures import failures_as_sentences
from phorest_ghl.defs.phorest.assets import BRANCHES, CLIENTS, PRODUCTS
from phorest_ghl.defs.phorest.importing import (
    DAILY,
    ImportConfig,
    importer_of,
    key_of,
    reads_all,
    report,
    settings_of,
)
from phorest_ghl.phorest.specs import PURCHASES as PURCHASES_SPEC
from phorest_ghl.sync.clients import new_batch_id

PURCHASES = key_of("purchases")


@dg.asset(**settings_of("purchases", PURCHASES_SPEC, DAILY, [BRANCHES, CLIENTS, PRODUCTS]))
def purchases(
    context: dg.AssetExecutionContext, config: ImportConfig, salon: dg.ResourceParam[Runtime]
) -> dg.MaterializeResult:
    """One row per item that was sold, voided ones included."""
    # Its pandas costs half a second, which every start of the code location would pay.
    from phorest_ghl.phorest.purchases import PurchaseImporter  # noqa: PLC0415

    with failures_as_sentences():
        runner = PurchaseImporter(salon.engine, salon.phorest(), salon.keyring(), batch_id=new_batch_id())
        result = runner.run(importer_of(salon).branches(), full=reads_all(context, config))
        return report(context, salon, PURCHASES_SPEC, result)
