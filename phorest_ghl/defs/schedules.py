"""The cron table, as data, and the jobs and schedules that follow from it.

Belongs here: what runs when. Does not: what it does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import dagster as dg

from phorest_ghl.defs.ghl.assets import CONTACTS
from phorest_ghl.defs.phorest.assets import CLIENTS


@dataclass(frozen=True)
class CronEntry:
    """One line of the cron table. `cron` is in the salon's zone; `assets` is what the job materializes."""

    name: str
    cron: str
    assets: Sequence[dg.AssetKey]
    description: str


CRON_TABLE = (CronEntry("clients", "2 */2 * * *", (CLIENTS, CONTACTS), "Clients of Phorest to contacts of GHL."),)


def jobs():  # the type has no public name
    """A job for each line of the cron table, by its name."""
    return [
        dg.define_asset_job(entry.name, dg.AssetSelection.assets(*entry.assets), description=entry.description)
        for entry in CRON_TABLE
    ]


def schedules(zone: ZoneInfo) -> list[dg.ScheduleDefinition]:
    """A schedule for each line, in the salon's zone; stopped until an operator starts it, for it writes to real people."""
    return [
        dg.ScheduleDefinition(
            name=f"{entry.name}_schedule",
            job_name=entry.name,
            cron_schedule=entry.cron,
            execution_timezone=zone.key,
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description=entry.description,
        )
        for entry in CRON_TABLE
    ]
