"""The two assets, run by Dagster in this process against a sandbox and a real PostgreSQL."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.definitions import build_defs
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.support.salons import IMPATIENT, WINDOW_S, salon_settings

pytestmark = pytest.mark.road

CONTACTS = dg.AssetKey(["ghl", "contacts"])
CLIENTS = dg.AssetKey(["phorest", "clients"])


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxOptions(clients=60, seed=3, rate_window_s=WINDOW_S)) as server:
        yield server


@pytest.fixture
def salon(sandbox: SandboxServer, database: Database) -> Iterator[Runtime]:
    with open_runtime(salon_settings(sandbox.settings, database.url), retry=IMPATIENT) as runtime:
        yield runtime


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def run(salon: Runtime, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    job = build_defs(resources={"salon": salon}).resolve_job_def("clients")
    return job.execute_in_process(instance=instance, raise_on_error=False, run_config={"ops": config})


def confirm(salon: Runtime) -> None:
    salon.clients_sync(batch_id=new_batch_id(), writing=True).confirm_workflows("a test")


def metadata(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, Any]:
    found = [e for e in result.get_asset_materialization_events() if e.asset_key == key]
    assert len(found) == 1
    return {name: value.value for name, value in found[0].materialization.metadata.items()}


def failure_of(result: dg.ExecuteInProcessResult, step: str) -> str:
    event = next(e for e in result.get_step_failure_events() if e.step_key == step)
    error = event.step_failure_data.error
    texts = []
    while error is not None:
        texts.append(error.message)
        error = error.cause
    data = event.step_failure_data.user_failure_data
    return " ".join([*texts, (data.description or "") if data else ""])


def test_a_run_imports_and_syncs_and_reports_the_same_numbers_as_the_truth(
    sandbox: SandboxServer, salon: Runtime, instance: dg.DagsterInstance
) -> None:
    confirm(salon)
    result = run(salon, instance)
    assert result.success
    imported, synced = metadata(result, CLIENTS), metadata(result, CONTACTS)
    assert imported["rows_seen"] == imported["rows_inserted"] == imported["dagster/row_count"] == 61
    assert synced["items"] == 61
    kinds = ("applied", "unchanged", "skipped", "deferred", "rejected", "failed")
    assert sum(synced[f"outcome_{kind}"] for kind in kinds) == 61
    made = len(sandbox.truth("ghl/contacts"))
    assert (synced["planned_create"], synced["requests"]) == (made, made + 1)  # the first write is read back
    assert synced["reviews"] == 0


def test_the_check_ins_job_imports_appointments_and_writes_notes_once_the_clients_are_there(
    database: Database, instance: dg.DagsterInstance
) -> None:
    options = SandboxOptions(clients=40, seed=3, months=1, rate_window_s=WINDOW_S)
    with (
        SandboxServer(options) as sandbox,
        open_runtime(salon_settings(sandbox.settings, database.url), retry=IMPATIENT) as salon,
    ):
        confirm(salon)
        assert run(salon, instance).success
        job = build_defs(resources={"salon": salon}).resolve_job_def("check_ins")
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        assert result.success
        done = metadata(result, dg.AssetKey(["ghl", "check_in_notes"]))
        notes = sandbox.truth("ghl/notes")
        assert notes
        assert (done["outcome_applied"], done["planned_create"]) == (len(notes), len(notes))
        assert done["requests"] == len(notes) + 1, "the guard tag is one call"


def test_the_staff_job_imports_the_staff_and_makes_their_contacts(
    sandbox: SandboxServer, salon: Runtime, instance: dg.DagsterInstance
) -> None:
    confirm(salon)
    assert run(salon, instance).success
    job = build_defs(resources={"salon": salon}).resolve_job_def("staff")
    key = dg.AssetKey(["ghl", "staff_contacts"])
    dry = {"ops": {"ghl__staff_contacts": {"config": {"dry_run": True}}}}
    planned = job.execute_in_process(run_config=dry, instance=instance, raise_on_error=False)
    assert planned.success
    wanted = metadata(planned, key)
    assert wanted["planned_create"] > 0
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert result.success
    done = metadata(result, key)
    assert done["planned_create"] == wanted["planned_create"]
    assert done["items"] == len(sandbox.truth("phorest/staff"))
    tagged = [contact for contact in sandbox.truth("ghl/contacts") if "role:staff" in contact["tags"]]
    assert done["outcome_applied"] == len(tagged)
    assert {e.check_name: e.passed for e in result.get_asset_check_evaluations()}["outcomes_add_up"]


def test_a_second_run_changes_nothing_and_says_so(salon: Runtime, instance: dg.DagsterInstance) -> None:
    confirm(salon)
    run(salon, instance)
    again = run(salon, instance)
    assert again.success
    synced = metadata(again, CONTACTS)
    assert synced["outcome_applied"] == synced["requests"] == 0
    assert synced["outcome_unchanged"] > 0


def test_all_checks_are_evaluated_and_pass(salon: Runtime, instance: dg.DagsterInstance) -> None:
    confirm(salon)
    result = run(salon, instance)
    checks = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    assert checks == dict.fromkeys(("read_completely", "key_unique", "references_known", "outcomes_add_up"), True)


def test_a_dry_run_shows_the_plan_and_writes_nothing(
    sandbox: SandboxServer, salon: Runtime, instance: dg.DagsterInstance
) -> None:
    result = run(salon, instance, ghl__contacts={"config": {"dry_run": True}})
    assert result.success
    planned = metadata(result, CONTACTS)
    assert planned["planned_create"] > 0
    assert planned["planned_requests"] == planned["planned_create"] + 1
    assert sandbox.truth("ghl/contacts") == []
    writes = [r for r in sandbox.control("GET", "/requests")["requests"] if r["api"] == "ghl" and r["method"] != "GET"]
    assert {row["route"] for row in writes} <= {"/contacts/search"}


def test_a_limited_run_makes_so_many_changes_and_leaves_the_rest_to_the_next(
    salon: Runtime, instance: dg.DagsterInstance
) -> None:
    confirm(salon)
    done = metadata(run(salon, instance, ghl__contacts={"config": {"limit": 3}}), CONTACTS)
    assert (done["outcome_applied"] >= 3, done["planned_create"]) == (True, 3)
    assert done["outcome_deferred"] > 0
    rest = metadata(run(salon, instance), CONTACTS)
    assert (rest["outcome_deferred"], rest["outcome_failed"]) == (0, 0)


def test_the_first_sync_refuses_until_the_workflows_are_confirmed(
    sandbox: SandboxServer, salon: Runtime, instance: dg.DagsterInstance
) -> None:
    result = run(salon, instance)
    assert not result.success
    assert "--workflows-paused" in failure_of(result, "ghl__contacts")
    assert sandbox.truth("ghl/contacts") == []


def test_pruning_keeps_what_the_settings_keep_and_reports_the_rest(
    salon: Runtime, instance: dg.DagsterInstance
) -> None:
    with salon.engine.begin() as connection:
        connection.exec_driver_sql("""
            insert into phorest_client_categories (phorest_id, name, raw, content_hash, deleted_at)
            select 'gone for ' || days || ' days', 'Colour', '{}', '', now() - days * interval '1 day'
            from unnest(array[729, 731]) as days""")
    result = build_defs(resources={"salon": salon}).resolve_job_def("prune").execute_in_process(instance=instance)
    (output,) = [e for e in result.all_events if e.event_type_value == "STEP_OUTPUT"]
    rows = {name: value.value for name, value in output.step_output_data.metadata.items()}
    assert len(rows) == 10, "nine tables and the versions"
    assert {name: count for name, count in rows.items() if count} == {"phorest_client_categories": 1}


def test_a_wrong_password_fails_the_import_with_a_sentence_and_without_a_retry(
    sandbox: SandboxServer, database: Database, instance: dg.DagsterInstance
) -> None:
    settings = salon_settings({**sandbox.settings, "PHOREST_CLIENT_SECRET": "wrong"}, database.url)
    with open_runtime(settings, retry=IMPATIENT) as salon:
        result = run(salon, instance)
    assert not result.success
    said = failure_of(result, "phorest__clients")
    assert "check the credentials" in said
    assert "wrong" not in said.replace("wrong_region", "")


def test_no_personal_value_of_a_client_reaches_the_event_log(
    sandbox: SandboxServer, salon: Runtime, instance: dg.DagsterInstance
) -> None:
    confirm(salon)
    result = run(salon, instance)
    everything = " ".join(str(event) for event in result.all_events)
    for client in sandbox.truth("phorest/clients"):
        for value in (client["truth"]["email"], client["truth"]["phone"]):
            assert value is None or value not in everything
