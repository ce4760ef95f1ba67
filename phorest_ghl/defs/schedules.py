"""The cron table, as data, and the schedules that follow from it.

Belongs here: what runs when. Does not: what it does (`defs.phorest.jobs`, the assets).

Each row is a job of the same name. A row named import_… is the half of its cron that reads from Phorest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import dagster as dg

from phorest_ghl.defs.audit.invariants import AUDIT_CHECKS
from phorest_ghl.defs.ghl.assets import CONTACTS
from phorest_ghl.defs.ghl.events import EVENTS
from phorest_ghl.defs.ghl.notes import APPOINTMENTS, CHECK_IN_NOTES
from phorest_ghl.defs.ghl.parts import BOOKINGS, LOYALTY, PRODUCT_TAGS
from phorest_ghl.defs.ghl.staff import STAFF_CONTACTS
from phorest_ghl.defs.phorest.assets import (
    BRANCHES,
    CLIENT_CATEGORIES,
    CLIENTS,
    PRODUCTS,
    SERVICE_CATEGORIES,
    SERVICES,
    STAFF,
)
from phorest_ghl.defs.phorest.importing import FULL_TAG, key_of
from phorest_ghl.defs.phorest.jobs import whole
from phorest_ghl.defs.phorest.purchases import PURCHASES

WHOLE_TAG = "phorest_ghl/whole"
"""On a run that reads everything once a day: the salon's date."""
_GOING = [
    # Not NOT_STARTED: a tick that was cut off while it made a run finds that run when it is evaluated again.
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_DONE_OR_GOING = [*_GOING, dg.DagsterRunStatus.SUCCESS]


@dataclass(frozen=True)
class CronEntry:
    """One line of the cron table. `cron` is in the salon's zone.

    Attributes:
        assets: what the job materializes, where it is made from this line.
        whole_daily: imports that the first run of the day reads whole, not only what changed.
        full: every run reads all of what it imports.
        imported_by: jobs that import the first of `assets`; while one of them is going, this line leaves that to it.
    """

    name: str
    cron: str
    description: str
    assets: Sequence[dg.AssetKey] = ()
    whole_daily: tuple[str, ...] = ()
    full: bool = False
    imported_by: tuple[str, ...] = ()


CRON_TABLE = (
    CronEntry("clients", "2 */2 * * *", "Clients of Phorest to contacts of GHL.", assets=(CLIENTS, CONTACTS)),
    CronEntry(
        "appointments",
        "5,15,25,35,45,55 * * * *",
        "Appointments of Phorest to calendar events of GHL: what changed; at 00:05 complete windows.",
        assets=(key_of("appointments"), EVENTS),
        whole_daily=("appointments",),
    ),
    CronEntry(
        "bookings",
        "35 */2 * * *",
        "Online bookings to the contacts of who made them, from the appointments as last imported.",
        assets=(BOOKINGS,),
    ),
    CronEntry(
        "check_ins",
        "8,38 * * * *",
        "A note on the contact for each visit of the last days that has begun.",
        assets=(APPOINTMENTS, CHECK_IN_NOTES),
        imported_by=("appointments", "import_appointments", "full_appointments"),
    ),
    CronEntry(
        "loyalty",
        "45 */12 * * *",
        "All clients of Phorest, since points change without a trace; points, card and tier to their contacts.",
        assets=(CLIENT_CATEGORIES, CLIENTS, LOYALTY),
        full=True,
    ),
    CronEntry(
        "products",
        "15 5 * * *",
        "Products, services and sales of Phorest; tags to the contacts of who bought.",
        assets=(SERVICE_CATEGORIES, SERVICES, PRODUCTS, PURCHASES, PRODUCT_TAGS),
    ),
    CronEntry(
        "staff",
        "30 6 * * *",
        "Branches and staff of Phorest; a contact for each member of the staff, to which nothing is ever sent.",
        assets=(BRANCHES, STAFF, STAFF_CONTACTS),
    ),
    CronEntry(
        "audit",
        "0 1 * * *",
        "GHL held against Phorest record by record; what is ours to mend is mended, the rest is for a person.",
    ),
    CronEntry(
        "prune", "40 3 * * *", "Deletes old versions and rows long gone, after the days that the settings keep them."
    ),
)


def jobs():  # the type has no public name
    """A job for each line of the cron table that names its assets."""
    return [
        dg.define_asset_job(
            entry.name,
            dg.AssetSelection.assets(*entry.assets) - AUDIT_CHECKS,
            description=entry.description,
            tags={FULL_TAG: "yes"} if entry.full else None,
        )
        for entry in CRON_TABLE
        if entry.assets
    ]


def schedules(zone: ZoneInfo) -> list[dg.ScheduleDefinition]:
    """A schedule for each line, in the salon's zone; stopped until an operator starts it, for it works on real accounts."""
    return [
        dg.ScheduleDefinition(
            name=f"{entry.name}_schedule",
            job_name=entry.name,
            cron_schedule=entry.cron,
            execution_timezone=zone.key,
            execution_fn=_tick(entry),
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description=entry.description,
        )
        for entry in CRON_TABLE
    ]


def _tick(entry: CronEntry) -> Callable[[dg.ScheduleEvaluationContext], dg.RunRequest | dg.SkipReason]:
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """One run, unless the last one is still going. The first of the day that does not fail reads all of `whole_daily`."""
        going = context.instance.get_runs(dg.RunsFilter(job_name=entry.name, statuses=_GOING), limit=1)
        if going:
            return dg.SkipReason(
                f"Run {going[0].run_id} of {entry.name} is still going, so this tick is left out; what it would have read "
                "is read by the next one. If the run hangs, terminate it under Runs."
            )
        if any(
            context.instance.get_runs(dg.RunsFilter(job_name=name, statuses=_GOING), limit=1)
            for name in entry.imported_by
        ):
            return dg.RunRequest(asset_selection=list(entry.assets[1:]))
        if not entry.whole_daily:
            return dg.RunRequest()
        tags = {WHOLE_TAG: context.scheduled_execution_time.date().isoformat()}
        if context.instance.get_runs(dg.RunsFilter(job_name=entry.name, statuses=_DONE_OR_GOING, tags=tags), limit=1):
            return dg.RunRequest()
        return dg.RunRequest(run_config=whole(*entry.whole_daily), tags=tags)

    return tick
