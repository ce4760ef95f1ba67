"""The first load, as a job that is started from the Launchpad and as an asset whose months are backfilled.

Belongs here: its config, and from the load's progress and results to what Dagster shows. Does not: the load
(`phorest_ghl.first_load`). Killed, either is started again and goes on.
"""

import dagster as dg
from pydantic import Field

from phorest_ghl.assembly import Runtime, ghl_limits
from phorest_ghl.db import tables
from phorest_ghl.defs.failures import failure, failures_as_sentences
from phorest_ghl.defs.ghl.assets import CONTACTS
from phorest_ghl.defs.ghl.events import EVENTS
from phorest_ghl.defs.ghl.notes import CHECK_IN_NOTES
from phorest_ghl.defs.ghl.road import add_up, settings_of
from phorest_ghl.defs.ghl.staff import STAFF_CONTACTS
from phorest_ghl.defs.metadata import Metadata, run_metadata
from phorest_ghl.defs.phorest.appointments import MONTHS
from phorest_ghl.first_load import FirstLoad, LoadResult, NamedMonths
from phorest_ghl.load_progress import EntityPlan, Progress, Spaced, at_most
from phorest_ghl.phorest.scopes import Month, UnknownMonth
from phorest_ghl.sync import plan_summary

ASSETS = {"clients": CONTACTS, "staff": STAFF_CONTACTS, "appointments": EVENTS, "check-ins": CHECK_IN_NOTES}
"""The asset that each step of a load writes."""


class BackfillConfig(dg.Config):
    """Which months a load brings, and whether it writes."""

    from_month: str | None = Field(
        default=None,
        description="First month whose appointments become events, as 2025-01. Without it, the month in which the window of "
        "scheduled runs begins (APPOINTMENT_DAYS_BACK).",
    )
    to_month: str | None = Field(
        default=None, description="Last such month. Without it, as far ahead as scheduled runs look."
    )
    dry_run: bool = Field(
        default=True,
        description="Import, and report how much would be written; write nothing to GHL. Set it to false to load.",
    )


POOL = "backfill"
"""One load at a time, whichever way it was started."""
FIRST_LOAD = dg.AssetKey(["ghl", "first_load"])


@dg.op(pool=POOL)
def load_everything(context: dg.OpExecutionContext, config: BackfillConfig, salon: dg.ResourceParam[Runtime]) -> None:
    """Import everything, then write contacts, the events of the months, and notes, telling how far it is as it goes."""
    with failures_as_sentences():
        named = _named(config)
    if (loaded := _load(context, salon, named, dry_run=config.dry_run)) is not None:
        context.add_output_metadata(_summed_up(*loaded))


@dg.asset(
    **settings_of(FIRST_LOAD, [], table=tables.entity_mappings, item="record", pool=POOL),
    partitions_def=MONTHS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def first_load(context: dg.AssetExecutionContext, salon: dg.ResourceParam[Runtime]) -> dg.MaterializeResult:
    """One row per object of GHL that is known to be one of Phorest's, made by a load or by the runs after it.

    Its months are the first load: pick those whose appointments shall become events, and Materialize. One run imports
    everything, then writes contacts with all their parts, the staff's, the events of these months, and check-in notes. It
    refuses until an operator has confirmed that the location's workflows leave new contacts alone. How much it would write
    says the job `backfill`. Not a part of `full`.
    """
    keys = context.partition_keys
    loaded = _load(context, salon, NamedMonths(Month.parse(keys[0]), Month.parse(keys[-1])), dry_run=False)
    assert loaded is not None
    entered = sum(one.total for one in loaded[0].entities.values())
    left = sum(sum(one.outcomes.values()) for one in loaded[0].entities.values())
    return dg.MaterializeResult(metadata=_summed_up(*loaded), check_results=[add_up(entered, left)])


def _load(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    salon: Runtime,
    named: NamedMonths | None,
    *,
    dry_run: bool,
) -> tuple[LoadResult, list[str]] | None:
    """What a load did, and what it could not read; None where it only planned. What ends it early fails the step."""

    def tell(progress: Progress) -> None:
        context.log.info("backfill: %s", progress)
        if progress.entity is not None:
            observation = dg.AssetObservation(ASSETS[progress.entity], metadata=_progress(progress))
            context.log_event(observation)

    with failures_as_sentences():
        load = FirstLoad(salon, named, tell=Spaced(tell).tell, job_id=context.run.run_id)
        if not dry_run:
            load.require_confirmed()
        problems = load.bring()
        for problem in problems:
            context.log.warning("backfill: %s", problem)
        if dry_run:
            _planned(context, salon, load.plan())
            return None
        result = load.carry_out()
    for name, one in result.entities.items():
        metadata = run_metadata(one, daily_limit=salon.settings.ghl_daily_limit)
        context.log_event(dg.AssetMaterialization(ASSETS[name], metadata=metadata))
    if result.stopped is not None:
        raise failure(result.stopped)
    return result, problems


def _summed_up(result: LoadResult, problems: list[str]) -> Metadata:
    return {
        **{f"{name}_written": dg.MetadataValue.int(one.outcomes["applied"]) for name, one in result.entities.items()},
        "findings": dg.MetadataValue.int(result.findings),
        "problems": dg.MetadataValue.json(problems),
    }


@dg.job(
    description="The first load: imports everything, then writes contacts with all their parts, the staff's, the events of the "
    "months that are named, and check-in notes. Killed, it goes on when it is launched again. Plans only, unless told to write."
)
def backfill() -> None:
    """One step, which says how far it is."""
    load_everything()


def _named(config: BackfillConfig) -> NamedMonths | None:
    if config.from_month is not None:
        return NamedMonths.parse(config.from_month, config.to_month)
    if config.to_month is not None:
        raise UnknownMonth("There is a to_month and no from_month to begin with: set both, or neither.")
    return None


def _progress(progress: Progress) -> Metadata:
    return {
        "done": dg.MetadataValue.int(progress.done),
        "known": dg.MetadataValue.int(progress.known),
        "written_in_all": dg.MetadataValue.int(progress.written),
        "to_write_in_all": dg.MetadataValue.int(progress.to_write),
        **(
            {}
            if progress.minutes_left is None
            else {"minutes_left": dg.MetadataValue.float(round(progress.minutes_left, 2))}
        ),
    }


def _planned(
    context: dg.OpExecutionContext | dg.AssetExecutionContext, salon: Runtime, plans: dict[str, EntityPlan]
) -> None:
    for name, plan in plans.items():
        pace = plan_summary.pace(plan.requests + at_most(plan) - len(plan.changes), ghl_limits(salon.settings))
        metadata: Metadata = {
            "items": dg.MetadataValue.int(plan.total),
            "to_write_at_most": dg.MetadataValue.int(at_most(plan)),
            "minutes": dg.MetadataValue.float(pace.minutes),
            **{f"planned_{action}": dg.MetadataValue.int(count) for action, count in plan.counts().items()},
        }
        context.log_event(dg.AssetObservation(ASSETS[name], metadata=metadata))
        context.log.info("backfill: %s, at most %d to write, %g minutes", name, at_most(plan), pace.minutes)
