"""The first load as a job, planned unless told to write, and as months that are backfilled, with how far it is."""

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


def backfilled(loads: Loads, first: str, last: str) -> dg.ExecuteInProcessResult:
    """A run as the backfill page launches it: one, with a range of months."""
    definitions = build_defs(resources={"salon": loads.rig.runtime})
    asset = definitions.resolve_assets_def(dg.AssetKey(["ghl", "first_load"]))
    months = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize([asset], instance=instance, tags=months, raise_on_error=False)


def test_a_backfill_of_months_is_the_first_load_of_these_months_and_again_writes_nothing(database: Database) -> None:
    first, last = "2025-12", "2026-03"
    with unloaded(database.url) as loads:
        assert "phorest-ghl sync clients --workflows-paused" in failure_of(backfilled(loads, first, last))
        assert loads.rig.contacts() == []

        loads.rig.confirm()
        done = backfilled(loads, first, last)
        assert done.success
        held = {"clients": loads.contacts(), "staff": loads.staff(), "check-ins": loads.noted()}
        days = loads.event_days().values()
        assert min(days)[:7] == first
        assert max(days)[:7] == last
        made = {
            event.asset_key.path[-1]: event.materialization
            for event in done.get_asset_materialization_events()
            if event.asset_key is not None
        }
        assert set(made) == {"first_load", *NAMES}
        written = {
            name: value.value for name, value in made["first_load"].metadata.items() if name.endswith("_written")
        }
        assert written == {f"{name}_written": len(rows) for name, rows in held.items()} | {
            "appointments_written": len(days)
        }
        assert [check.passed for check in done.get_asset_check_evaluations()] == [True]
        loads.rig.forget_requests()
        assert backfilled(loads, first, last).success
        assert loads.writes() == 0
