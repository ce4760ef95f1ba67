"""The first load as a job: planned unless told to write, with how far it is while it runs."""

from typing import Any

import dagster as dg
import pytest

from phorest_ghl.definitions import build_defs
from phorest_ghl_tests.first_loads import FIRST, Loads, unloaded
from phorest_ghl_tests.support.databases import Database

pytestmark = pytest.mark.road

NAMES = ("contacts", "staff_contacts", "appointments", "check_in_notes")


def launch(loads: Loads, **config: Any) -> dg.ExecuteInProcessResult:
    job = build_defs(resources={"salon": loads.rig.runtime}).resolve_job_def("backfill")
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(
            instance=instance, raise_on_error=False, run_config={"ops": {"load_everything": {"config": config}}}
        )


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    data = result.get_step_failure_events()[0].step_failure_data.user_failure_data
    return (data.description or "") if data else ""


def observed(result: dg.ExecuteInProcessResult) -> dict[str, list[dict[str, Any]]]:
    """The observations of each asset of GHL's side, in order."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    for event in result.all_events:
        if event.event_type_value == "ASSET_OBSERVATION":
            one = event.asset_observation_data.asset_observation
            found[one.asset_key.path[-1]].append({name: value.value for name, value in one.metadata.items()})
    return found


def test_the_job_plans_unless_it_is_told_to_write_and_then_says_how_far_it_is_and_what_it_did(
    database: Database,
) -> None:
    with unloaded(database.url) as loads:
        assert "phorest-ghl sync clients --workflows-paused" in failure_of(launch(loads, dry_run=False))
        assert "no month" in failure_of(launch(loads, from_month="2025"))
        assert "no from_month" in failure_of(launch(loads, to_month="2025-03"))

        loads.rig.confirm()
        planned = launch(loads, from_month=FIRST)
        assert planned.success
        most = {name: rows[0]["to_write_at_most"] for name, rows in observed(planned).items()}
        assert loads.rig.contacts() == []

        done = launch(loads, from_month=FIRST, dry_run=False)
        assert done.success
        loads.check_all_arrived(set())
        held = {
            "contacts": loads.contacts(),
            "staff_contacts": loads.staff(),
            "appointments": loads.events(),
            "check_in_notes": loads.noted(),
        }
        for name, rows in observed(done).items():
            assert rows[0]["done"] == 0
            assert rows[-1]["done"] == rows[-1]["known"] == len(held[name]) <= most[name]
        last = observed(done)["check_in_notes"][-1]
        assert last["written_in_all"] == last["to_write_in_all"] == sum(len(rows) for rows in held.values())
        assert last["minutes_left"] == 0
        made = {
            event.asset_key.path[-1]: event.materialization.metadata
            for event in done.get_asset_materialization_events()
            if event.asset_key is not None
        }
        assert {name: metadata["outcome_applied"].value for name, metadata in made.items()} == {
            name: len(rows) for name, rows in held.items()
        }
