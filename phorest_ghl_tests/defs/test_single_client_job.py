"""The job of one client: that one is read and written, and nobody else."""

from typing import Any

import dagster as dg
import pytest

from phorest_ghl.definitions import build_defs
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import Rig, installation

pytestmark = pytest.mark.road


def launch(rig: Rig, client_id: str, **config: Any) -> dg.ExecuteInProcessResult:
    job = build_defs(resources={"salon": rig.runtime}).resolve_job_def("single_client")
    with dg.DagsterInstance.ephemeral() as instance:
        wanted = {"ops": {"sync_one_client": {"config": {"client_id": client_id, **config}}}}
        return job.execute_in_process(instance=instance, raise_on_error=False, run_config=wanted)


def observed(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = [e for e in result.all_events if e.event_type_value == "ASSET_OBSERVATION"]
    found = event.asset_observation_data.asset_observation
    return {name: value.value for name, value in found.metadata.items()}


def test_one_client_is_read_and_written_and_nobody_else(database: Database) -> None:
    with installation(database.url, clients=30) as rig:
        rig.load()
        rig.confirm()
        alone = [row for row in rig.clients(syncable=True) if row["truth"]["household"] == row["clientId"]]
        one, other = alone[0]["clientId"], alone[1]["clientId"]
        planned = launch(rig, one, dry_run=True)
        assert planned.success
        assert observed(planned)["planned_create"] == 1
        assert rig.contacts() == []

        assert launch(rig, one).success
        assert [one in contact["customFields"].values() for contact in rig.contacts()] == [True]
        for key in (one, other):
            rig.edit_client(key, firstName="Newname")
        again = launch(rig, one)
        assert again.success
        assert observed(again)["outcome_applied"] == 1
        assert rig.contact_of(one)["firstName"] == "Newname"
        assert len(rig.contacts()) == 1
        held = rig.rows("select first_name from phorest_clients where phorest_id = :id", id=other)
        assert held != [{"first_name": "Newname"}]

        nobody = launch(rig, "nobody-of-that-id")
        assert not nobody.success
        data = nobody.get_step_failure_events()[0].step_failure_data.user_failure_data
        assert data is not None
        assert "has no client nobody-of-that-id" in (data.description or "")
