"""The imports as Dagster runs them: what they report, what they block, months as partitions."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.definitions import build_defs
from phorest_ghl.phorest.scopes import Month, months_around
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.support.salons import IMPATIENT, WINDOW_S, salon_settings

pytestmark = pytest.mark.road

APPOINTMENTS = dg.AssetKey(["phorest", "appointments"])
SWITCHES = {"phorest_rate_max": 1_000_000}


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    options = SandboxOptions(clients=300, seed=3, branches=2, months=1, rate_window_s=WINDOW_S, switches=SWITCHES)
    with SandboxServer(options) as server:
        yield server


@pytest.fixture
def salon(sandbox: SandboxServer, database: Database) -> Iterator[Runtime]:
    settings = salon_settings(sandbox.settings, database.url, PHOREST_REQUESTS_PER_SECOND="2000")
    with open_runtime(settings, retry=IMPATIENT) as runtime:
        yield runtime


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def run(salon: Runtime, instance: dg.DagsterInstance, job: str, **more: Any) -> dg.ExecuteInProcessResult:
    found = build_defs(resources={"salon": salon}).resolve_job_def(job)
    return found.execute_in_process(instance=instance, raise_on_error=False, **more)


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    events = result.get_asset_materialization_events()
    return {
        "/".join([*e.asset_key.path, *([e.partition] if e.partition else [])]): {
            name: value.value for name, value in e.materialization.metadata.items()
        }
        for e in events
        if e.asset_key
    }


def test_the_job_for_everything_imports_all_of_it_and_every_check_passes(
    sandbox: SandboxServer, salon: Runtime, instance: dg.DagsterInstance
) -> None:
    result = run(salon, instance, "import_everything")
    assert result.success
    seen = {name: found["rows_seen"] for name, found in metadata(result).items()}
    truth = {kind: len(sandbox.truth(f"phorest/{kind}")) for kind in ("branches", "clients", "staff", "products")}
    assert {kind: seen[f"phorest/{kind}"] for kind in truth} == truth
    assert seen["phorest/purchases"] == sum(len(sale["items"]) for sale in sandbox.truth("phorest/purchases"))
    assert seen["phorest/appointments"] > 50
    checks = {(e.asset_key.path[-1], e.check_name): e.passed for e in result.get_asset_check_evaluations()}
    assert len(checks) == 2 * 9 + 3
    assert all(checks.values())
    again = metadata(run(salon, instance, "import_everything"))
    assert {found["rows_inserted"] + found["rows_updated"] for found in again.values()} == {0}
    assert not again["phorest/clients"]["window"].startswith("everything, at")
    for job in ("full_clients", "full_appointments"):
        read = metadata(run(salon, instance, job))
        (entity,) = set(read) - {"phorest/client_categories"}
        assert read[entity]["window"].startswith("everything, at"), job


def test_references_that_lead_nowhere_are_counted_and_listed(
    sandbox: SandboxServer, salon: Runtime, instance: dg.DagsterInstance
) -> None:
    """The sandbox's diary has an appointment of a client that is nowhere, as real ones do."""
    run(salon, instance, "import_everything")
    result = run(salon, instance, "import_appointments")
    (check,) = [e for e in result.get_asset_check_evaluations() if e.check_name == "references_known"]
    gaps = {record.data["column"]: record.data for record in check.metadata["gaps"].records}
    known = {row["clientId"] for row in sandbox.truth("phorest/clients")}
    window = months_around(
        datetime.now(UTC).date(),
        timedelta(days=salon.settings.appointment_days_back),
        timedelta(days=salon.settings.appointment_days_ahead),
    )
    lost = [
        row["clientId"]
        for row in sandbox.truth("phorest/appointments")
        if row.get("clientId") not in {None, *known}
        and not row["deleted"]
        and str(window[0]) <= row["appointmentDate"][:7] <= str(window[-1])
    ]
    assert lost
    assert gaps["client_id"]["rows"] == len(lost)
    assert set(str(gaps["client_id"]["some"]).split(", ")) == set(lost)


def test_a_range_of_months_is_read_whole_in_one_run_with_a_count_for_each(
    sandbox: SandboxServer, salon: Runtime, instance: dg.DagsterInstance
) -> None:
    first = Month.of(datetime.now(UTC).date())
    last = first.next()
    tags = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
    result = run(salon, instance, "import_appointments", tags=tags)
    assert result.success
    found = metadata(result)
    assert set(found) == {f"phorest/appointments/{first}", f"phorest/appointments/{last}"}
    for month in (first, last):
        rows = [r for r in sandbox.truth("phorest/appointments") if r["appointmentDate"][:7] == str(month)]
        reported = found[f"phorest/appointments/{month}"]
        assert reported["dagster/partition_row_count"] == len(rows)
        assert reported["month"].startswith("everything")


def test_one_month_can_be_materialized_alone(salon: Runtime, instance: dg.DagsterInstance) -> None:
    month = str(Month.of(datetime.now(UTC).date()))
    found = metadata(run(salon, instance, "import_appointments", partition_key=month))
    assert set(found) == {f"phorest/appointments/{month}"}


def test_an_incomplete_import_blocks_the_sync_behind_it(
    sandbox: SandboxServer, salon: Runtime, instance: dg.DagsterInstance
) -> None:
    run(salon, instance, "import_clients")
    sandbox.control("POST", "/faults", {"api": "phorest", "route": "GET /client", "kind": "filter_ignored", "rate": 1})
    result = run(salon, instance, "clients")
    assert not result.success
    assert [e.check_name for e in result.get_asset_check_evaluations() if not e.passed] == ["read_completely"]
    assert "ghl__contacts" not in {e.step_key for e in result.get_step_success_events()}
    assert sandbox.truth("ghl/contacts") == []


def test_a_branch_without_a_zone_fails_with_a_sentence_and_without_a_retry(
    sandbox: SandboxServer, salon: Runtime, instance: dg.DagsterInstance
) -> None:
    branch = sandbox.truth("phorest/branches")[0]["branchId"]
    sandbox.control("PATCH", f"/phorest/branches/{branch}", {"timeZone": "Nowhere/Land"})
    result = run(salon, instance, "import_appointments")
    assert not result.success
    (failure,) = result.get_step_failure_events()
    data = failure.step_failure_data.user_failure_data
    assert data is not None
    assert f"Branch {branch} has the time zone 'Nowhere/Land'" in str(data.description)
