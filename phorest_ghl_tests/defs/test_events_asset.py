"""The asset of calendar events, run by Dagster in this process against a sandbox and a real PostgreSQL."""

import dagster as dg
import pytest

from phorest_ghl.definitions import build_defs
from phorest_ghl.defs.ghl.events import EVENTS
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.events.diary import salon

pytestmark = pytest.mark.road


def test_a_tick_imports_and_writes_the_events_and_a_dry_run_writes_none(database: Database) -> None:
    with salon(database.url) as diary, dg.DagsterInstance.ephemeral() as instance:
        diary.book(diary.reachable(), services=2)
        diary.pass_time(seconds=2)
        job = build_defs(resources={"salon": diary.rig.runtime}).resolve_job_def("appointments")
        dry = {"ops": {"ghl__appointments": {"config": {"dry_run": True}}}}
        found: list[dict[str, object]] = []
        for config in (dry, {}):
            result = job.execute_in_process(instance=instance, run_config=config)
            (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == EVENTS]
            found.append({name: value.value for name, value in event.materialization.metadata.items()})
            made = len(diary.events())
            assert made == (0 if config else 2)
        planned, done = found
        assert (planned["planned_create"], planned["planned_requests"]) == (2, 2)
        assert (done["outcome_applied"], done["requests"]) == (2, 3), "two creates, and the first one read back"
