"""The job of everything: one run reads all of Phorest and brings every entity to GHL."""

import dagster as dg
import pytest

from phorest_ghl.definitions import build_defs
from phorest_ghl_tests.first_loads import unloaded
from phorest_ghl_tests.support.databases import Database

pytestmark = pytest.mark.road


def test_a_run_of_everything_brings_every_entity_and_a_second_one_writes_nothing(database: Database) -> None:
    with unloaded(database.url) as loads, dg.DagsterInstance.ephemeral() as instance:
        loads.rig.confirm()
        visits = loads.visit_yesterday()
        job = build_defs(resources={"salon": loads.rig.runtime}).resolve_job_def("full")
        first = job.execute_in_process(instance=instance, raise_on_error=False)
        assert first.success
        made = {event.asset_key for event in first.get_asset_materialization_events()}
        assert made == set(job.asset_layer.executable_asset_keys)
        held = loads.rig.contacts(), loads.events(), loads.noted()
        assert all(held[:2])
        assert visits <= set(held[2])
        loads.rig.forget_requests()
        assert job.execute_in_process(instance=instance, raise_on_error=False).success
        assert (loads.rig.contacts(), loads.events(), loads.noted()) == held
        assert loads.writes() == 0
