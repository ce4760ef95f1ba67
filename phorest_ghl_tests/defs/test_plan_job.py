"""The job that plans: the same figures as the command, masked, and nothing written."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.commands.reports import plan_document
from phorest_ghl.definitions import build_defs
from phorest_ghl.phorest.importer import Importer
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl.sync.clients import ClientsSync, new_batch_id
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.support.salons import IMPATIENT, WINDOW_S, salon_settings

pytestmark = pytest.mark.road


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxOptions(clients=60, seed=3, months=0, rate_window_s=WINDOW_S)) as server:
        yield server


@pytest.fixture
def salon(sandbox: SandboxServer, database: Database) -> Iterator[Runtime]:
    with open_runtime(salon_settings(sandbox.settings, database.url), retry=IMPATIENT) as runtime:
        yield runtime


def run(salon: Runtime) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_defs(resources={"salon": salon}).resolve_job_def("plan_clients")
        return job.execute_in_process(instance=instance, raise_on_error=False)


def observed(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = [e for e in result.all_events if e.event_type_value == "ASSET_OBSERVATION"]
    found = event.asset_observation_data.asset_observation
    assert found.asset_key == dg.AssetKey(["ghl", "contacts"])
    return {name: value.value for name, value in found.metadata.items()}


def test_the_job_reports_what_the_command_reports_and_writes_nothing(sandbox: SandboxServer, salon: Runtime) -> None:
    Importer(salon.engine, salon.phorest(), salon.keyring(), batch_id=new_batch_id()).clients()
    result = run(salon)
    assert result.success
    shown = observed(result)
    sync = ClientsSync(salon.engine, salon.ghl_reader(), salon.keyring(), batch_id=new_batch_id())
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    document = plan_document(plan, prepared, salon.settings)
    same = ("requests", "minutes", "days", "entities", "automations", "consent_changes", "guards", "fields")
    assert {name: shown[name] for name in same} == {name: document[name] for name in same}
    assert shown["planned_create"] == len(plan.changes) > 0
    assert shown["changes"].count("| create |") == sum(len(change.diffs) for change in plan.changes[:50])
    assert sandbox.truth("ghl/contacts") == []
    seen = sandbox.control("GET", "/requests")["requests"]
    writes = [row["route"] for row in seen if row["api"] == "ghl" and row["method"] != "GET"]
    assert set(writes) <= {"/contacts/search"}
    everything = " ".join(str(event) for event in result.all_events)
    for client in sandbox.truth("phorest/clients"):
        for value in (client["truth"]["email"], client["truth"]["phone"]):
            assert value is None or value not in everything


def test_a_plan_of_clients_that_were_never_imported_fails_with_a_sentence(salon: Runtime) -> None:
    result = run(salon)
    assert not result.success
    data = result.get_step_failure_events()[0].step_failure_data.user_failure_data
    assert data is not None
    assert "never imported completely" in (data.description or "")
