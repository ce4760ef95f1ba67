"""What all imports have in common in Dagster: keys, config, checks, freshness, and the report of a run.

Belongs here: from a result of the domain to a materialization with its checks. Does not: importing.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from phorest_ghl.assembly import Runtime
from phorest_ghl.defs.metadata import import_metadata, table_metadata
from phorest_ghl.phorest.gaps import REFERENCES, Gap, gaps, repeated_keys
from phorest_ghl.phorest.importer import Importer, ImportResult
from phorest_ghl.phorest.specs import ImportSpec
from phorest_ghl.sync.clients import new_batch_id

COMPLETE = "read_completely"
KEY_UNIQUE = "key_unique"
KNOWN = "references_known"
_MANY_GAPS = 0.1
"""Some appointments name clients that are nowhere, which is normal; a tenth of them means that an import is behind."""

EVERY_TEN_MINUTES = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=2), warn_window=timedelta(minutes=30))
EVERY_TWO_HOURS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=6), warn_window=timedelta(hours=3))
DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))


FULL_TAG = "phorest_ghl/full"
"""On the runs of a job that reads everything, however it was launched: a launch without config leaves a job's own one out."""


class ImportConfig(dg.Config):
    """How an import runs."""

    full: bool = Field(default=False, description="Read every record, not only those that changed since the last run.")


def reads_all(context: dg.AssetExecutionContext, config: ImportConfig) -> bool:
    """Whether a run reads every record: its config says so, or its job."""
    return config.full or FULL_TAG in context.run.tags


def key_of(name: str) -> dg.AssetKey:
    """The key of an imported table."""
    return dg.AssetKey(["phorest", name])


def settings_of(name: str, spec: ImportSpec, freshness: dg.FreshnessPolicy, deps: Sequence[dg.AssetKey] = ()) -> Any:
    """What an import asset is declared with: its table, its pool, its checks, how fresh it should be."""
    return {
        "key": key_of(name),
        "deps": list(deps),
        "group_name": "phorest",
        "kinds": {"phorest", "postgres"},
        "owners": ["team:salon-sync"],
        "pool": f"phorest_{name}",
        "metadata": table_metadata(spec.table),
        "freshness_policy": freshness,
        "check_specs": _checks(key_of(name), spec),
    }


def _checks(key: dg.AssetKey, spec: ImportSpec) -> list[dg.AssetCheckSpec]:
    found = [
        dg.AssetCheckSpec(
            COMPLETE,
            asset=key,
            blocking=True,
            description="Everything that Phorest counted was read, so that nothing is missing by accident.",
        ),
        dg.AssetCheckSpec(
            KEY_UNIQUE, asset=key, blocking=True, description="No two rows are the same record of Phorest."
        ),
    ]
    if spec in REFERENCES:
        found.append(
            dg.AssetCheckSpec(
                KNOWN,
                asset=key,
                description="Records that rows name are held too. A few that are not are normal, and listed.",
            )
        )
    return found


def importer_of(salon: Runtime) -> Importer:
    """An importer for one run."""
    return salon.importer(new_batch_id())


def report(
    context: dg.AssetExecutionContext,
    salon: Runtime,
    spec: ImportSpec,
    result: ImportResult,
    others: Iterable[ImportResult] = (),
) -> dg.MaterializeResult:
    """The materialization of a run: what it did, and its checks. `others` were brought along."""
    others = list(others)
    context.log.info(
        "%s: %d seen, %d new, %d changed, %d over, %d set aside",
        result.entity_type,
        result.seen,
        result.inserted,
        result.updated,
        result.tombstoned,
        len(result.set_aside),
    )
    checks = [_complete([result, *others]), _unique(repeated_keys(salon.engine, spec))]
    if spec in REFERENCES:
        checks.append(_known(gaps(salon.engine, spec)))
    return dg.MaterializeResult(metadata=import_metadata(result, others), check_results=checks)


def _complete(results: Sequence[ImportResult]) -> dg.AssetCheckResult:
    result = results[0]
    problems = [problem for one in results if (problem := one.problem)]
    return dg.AssetCheckResult(
        check_name=COMPLETE,
        passed=not problems,
        description=problems[0] if problems else None,
        metadata={
            "failed_pages": dg.MetadataValue.json({str(n): reason for n, reason in result.failed_pages.items()}),
            "listed": result.total_elements,
            "seen": result.seen,
            "suspiciously_empty": result.suspiciously_empty,
            "filter_ignored": result.filter_ignored,
            "problems": len(problems),
        },
    )


def _unique(repeated: int) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(check_name=KEY_UNIQUE, passed=repeated == 0, metadata={"repeated": repeated})


def _known(found: Sequence[Gap]) -> dg.AssetCheckResult:
    listed = [
        dg.TableRecord({"column": gap.column, "rows": gap.rows, "of": gap.named, "some": ", ".join(gap.missing)})
        for gap in found
    ]
    return dg.AssetCheckResult(
        check_name=KNOWN,
        passed=all(gap.rows <= _MANY_GAPS * gap.named for gap in found),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"rows": sum(gap.rows for gap in found), "gaps": dg.MetadataValue.table(listed)},
    )
