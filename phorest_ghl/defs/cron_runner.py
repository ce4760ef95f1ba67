"""Runs jobs, and the cron table over a stretch of time that somebody else lets pass, for a simulated salon.

Belongs here: which lines of the table are due, running their jobs one after the other in this process. Does not: the table
(`schedules`), real time, which is the daemon's.

It is a program of its own. Each line of standard input is a JSON object, `{"job": name}` or `{"after": instant, "until":
instant}`, and is answered with one line of JSON: the runs. A line of the table that is due several times in between runs once,
as it would where the daemon was away; its first tick counts.
"""

import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime

import dagster as dg
import orjson
import structlog
from dagster._utils.schedules import (
    cron_string_iterator,
)  # the daemon's own reading of a cron line; there is no public one

from phorest_ghl.definitions import build_defs
from phorest_ghl.defs.schedules import CRON_TABLE
from phorest_ghl.settings import load_settings


@dataclass(frozen=True)
class CronRun:
    """What became of a job: the tick's instant in the salon's zone if one asked for it, and the run, or why there was none."""

    job: str
    at: str | None
    run_id: str | None
    success: bool
    skipped: str | None = None


def due(after: datetime, until: datetime, zone: str) -> list[tuple[datetime, str]]:
    """The lines of the table that are due after one instant and up to another, each once, at its first tick, in their order."""
    found: list[tuple[datetime, str]] = []
    for entry in CRON_TABLE:
        # The iterator begins with its start where that is a tick.
        tick = next(tick for tick in cron_string_iterator(after.timestamp(), entry.cron, zone) if tick > after)
        if tick <= until:
            found.append((tick, entry.name))
    return sorted(found)


class CronRunner:
    """Evaluates the schedules of one code location and runs their jobs."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance, zone: str) -> None:
        self._definitions = definitions
        self._instance = instance
        self._zone = zone

    def job(self, name: str) -> list[CronRun]:
        """Run a job."""
        return [self._run(name, None, dg.RunRequest())]

    def ticks(self, after: datetime, until: datetime) -> list[CronRun]:
        """Run what is due after one instant and up to another, in the order of the ticks."""
        return [run for tick, name in due(after, until, self._zone) for run in self._tick(name, tick)]

    def _tick(self, name: str, tick: datetime) -> Iterator[CronRun]:
        schedule = self._definitions.resolve_schedule_def(f"{name}_schedule")
        context = dg.build_schedule_context(instance=self._instance, scheduled_execution_time=tick)
        found = schedule.evaluate_tick(context)
        for request in found.run_requests or ():
            yield self._run(name, tick, request)
        if not found.run_requests:
            yield CronRun(name, tick.isoformat(), None, success=True, skipped=found.skip_message)

    def _run(self, name: str, tick: datetime | None, request: dg.RunRequest) -> CronRun:
        result = self._definitions.resolve_job_def(name).execute_in_process(
            run_config=dict(request.run_config),
            instance=self._instance,
            tags=dict(request.tags),
            asset_selection=list(request.asset_selection) if request.asset_selection else None,
            raise_on_error=False,
        )
        return CronRun(name, None if tick is None else tick.isoformat(), result.run_id, result.success)


def main() -> None:
    """Answer each line of standard input until it ends."""
    # Standard output carries answers and nothing else.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    settings = load_settings()
    with dg.DagsterInstance.get() as instance:
        # Like the webserver it lives long and asks often: connections are kept, where a run of its own makes one an event.
        instance.optimize_for_webserver(statement_timeout=60_000, pool_recycle=3600, max_overflow=20)
        runner = CronRunner(build_defs(settings), instance, settings.zone.key)
        for line in sys.stdin:
            asked = orjson.loads(line)
            if "job" in asked:
                runs = runner.job(asked["job"])
            else:
                runs = runner.ticks(datetime.fromisoformat(asked["after"]), datetime.fromisoformat(asked["until"]))
            sys.stdout.write(orjson.dumps([asdict(run) for run in runs]).decode() + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
