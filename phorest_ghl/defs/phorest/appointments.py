"""Appointments: months as partitions, the frequent run without one.

Belongs here: this asset and its partitions. Does not: windows, deltas, what vanished (`phorest_ghl.phorest`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from phorest_ghl.assembly import Runtime
from phorest_ghl.defs.failures import failures_as_sentences
from phorest_ghl.defs.metadata import import_metadata
from phorest_ghl.defs.phorest.assets import BRANCHES, CLIENTS, SERVICES, STAFF
from phorest_ghl.defs.phorest.importing import (
    EVERY_TEN_MINUTES,
    ImportConfig,
    importer_of,
    reads_all,
    report,
    settings_of,
)
from phorest_ghl.phorest.importer import ImportResult
from phorest_ghl.phorest.results import combined, nothing
from phorest_ghl.phorest.scopes import Month
from phorest_ghl.phorest.specs import APPOINTMENTS

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2015-01", fmt="%Y-%m", end_offset=6)
"""The running month and the five after it are there too: bookings are made that far ahead."""


@dg.asset(
    **settings_of("appointments", APPOINTMENTS, EVERY_TEN_MINUTES, [BRANCHES, CLIENTS, STAFF, SERVICES]),
    partitions_def=MONTHS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def appointments(
    context: dg.AssetExecutionContext, config: ImportConfig, salon: dg.ResourceParam[Runtime]
) -> dg.MaterializeResult:
    """One row per service that a client is booked for, cancelled, deleted and archived ones included.

    A run with months reads those months whole: that is a backfill. A run without reads what changed in the months from 35
    days back to 120 days ahead, in one go.
    """
    keys = _months(context)
    with failures_as_sentences():
        results = importer_of(salon).appointments(
            [Month.parse(key) for key in keys] or None, full=reads_all(context, config) or bool(keys)
        )
        for key in keys:
            mine = [result for result in results if result.scope.endswith(f"/{key}")]
            context.add_asset_metadata(_of_month(mine), partition_key=key)
        return report(context, salon, APPOINTMENTS, _all(results))


def _all(results: Sequence[ImportResult]) -> ImportResult:
    return combined(results) if results else nothing(APPOINTMENTS.entity_type, datetime.now(UTC))


def _months(context: dg.AssetExecutionContext) -> Sequence[str]:
    return context.partition_keys if context.has_partition_key or context.has_partition_key_range else []


def _of_month(results: Sequence[ImportResult]) -> dict[str, dg.MetadataValue]:
    metadata = import_metadata(_all(results))
    return {"dagster/partition_row_count": metadata["dagster/row_count"], "month": metadata["window"]}
