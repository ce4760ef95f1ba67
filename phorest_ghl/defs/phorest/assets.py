"""What is imported from Phorest, one asset a table."""

import dagster as dg
from pydantic import Field

from phorest_ghl.assembly import Runtime
from phorest_ghl.db import tables
from phorest_ghl.defs.failures import failures_as_sentences
from phorest_ghl.defs.metadata import import_metadata, table_metadata
from phorest_ghl.phorest.importer import Importer
from phorest_ghl.sync.clients import new_batch_id

CLIENTS = dg.AssetKey(["phorest", "clients"])
COMPLETE = "read_completely"


class ImportConfig(dg.Config):
    """How an import runs."""

    full: bool = Field(default=False, description="Read every record, not only those that changed since the last run.")


@dg.asset(
    key=CLIENTS,
    group_name="phorest",
    kinds={"phorest", "postgres"},
    owners=["team:salon-sync"],
    pool="phorest_clients",
    metadata=table_metadata(tables.phorest_clients),
    check_specs=[
        dg.AssetCheckSpec(
            COMPLETE,
            asset=CLIENTS,
            description="Everything that Phorest was to list was read, so that nothing is missing by accident.",
        )
    ],
)
def clients(
    context: dg.AssetExecutionContext, config: ImportConfig, salon: dg.ResourceParam[Runtime]
) -> dg.MaterializeResult:
    """One row per client of the business, archived, deleted and merged ones included, as Phorest sends them.

    Brings the branches and client categories along, since both are small and a client refers to them.
    """
    with failures_as_sentences():
        importer = Importer(salon.engine, salon.phorest(), salon.keyring(), batch_id=new_batch_id())
        results = importer.clients(full=config.full)
    result = results["client"]
    others = [other for name, other in results.items() if name != "client"]
    context.log.info(
        "clients: %d seen, %d new, %d changed, %d set aside",
        result.seen,
        result.inserted,
        result.updated,
        len(result.set_aside),
    )
    complete = all(one.complete for one in results.values())
    return dg.MaterializeResult(
        metadata=import_metadata(result, others),
        check_results=[
            dg.AssetCheckResult(
                check_name=COMPLETE,
                passed=complete,
                metadata={
                    "failed_pages": dg.MetadataValue.json(
                        {str(n): reason for n, reason in result.failed_pages.items()}
                    ),
                    "listed": result.total_elements,
                    "seen": result.seen,
                    "suspiciously_empty": result.suspiciously_empty,
                },
            )
        ],
    )
