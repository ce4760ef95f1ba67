"""What Dagster loads: that it loads with nothing set, that every name it mentions exists, and what runs when."""

import dagster as dg
import pytest

from phorest_ghl.definitions import build_defs
from phorest_ghl.settings import Settings


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_defs()


def test_the_code_location_loads_with_no_setting_at_all(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_every_dependency_is_an_asset_that_exists(definitions: dg.Definitions) -> None:
    """Dagster takes a misspelt dependency for an external asset and loads all the same."""
    specs = list(definitions.resolve_all_asset_specs())
    known = {spec.key for spec in specs}
    wanted = {dep.asset_key for spec in specs for dep in spec.deps}
    assert wanted
    assert wanted <= known


def test_every_check_is_on_an_asset_that_exists(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    checked = {key.asset_key for key in graph.asset_check_keys}
    assert checked
    assert checked <= {spec.key for spec in definitions.resolve_all_asset_specs()}


def test_a_misspelt_dependency_would_be_noticed() -> None:
    """The two tests above can fail: this is what they would see."""

    @dg.asset(deps=["clinets"])
    def downstream() -> None: ...

    loaded = dg.Definitions(assets=[downstream])
    dg.Definitions.validate_loadable(loaded)
    specs = list(loaded.resolve_all_asset_specs())
    real = {spec.key for spec in specs if "dagster/asset_execution_type" not in spec.metadata}
    wanted = {dep.asset_key for spec in specs for dep in spec.deps}
    assert not wanted <= real & {dg.AssetKey("downstream")}


def test_every_asset_says_what_it_is_who_owns_it_and_where_it_belongs(definitions: dg.Definitions) -> None:
    for spec in definitions.resolve_all_asset_specs():
        assert spec.owners, spec.key
        assert spec.group_name in {"phorest", "ghl"}, spec.key
        assert spec.kinds, spec.key
        assert (spec.description or "").startswith("One row per"), spec.key
        assert spec.metadata["dagster/table_name"], spec.key
        assert spec.metadata["dagster/column_schema"].columns, spec.key


def test_every_asset_has_a_pool_of_its_own(definitions: dg.Definitions) -> None:
    pools = [assets.op.pool for assets in definitions.assets or () if isinstance(assets, dg.AssetsDefinition)]
    assert None not in pools
    assert len(set(pools)) == len(pools) == 2


def test_the_cron_table_is_this(definitions: dg.Definitions) -> None:
    found = [
        (
            schedule.name,
            schedule.cron_schedule,
            schedule.execution_timezone,
            schedule.job_name,
            schedule.default_status.value,
        )
        for schedule in definitions.schedules or ()
        if isinstance(schedule, dg.ScheduleDefinition)
    ]
    assert found == [("clients_schedule", "2 */2 * * *", "UTC", "clients", "STOPPED")]


def test_schedules_run_in_the_salons_zone() -> None:
    definitions = build_defs(Settings(salon_timezone="America/Toronto"))
    zones = {s.execution_timezone for s in definitions.schedules or () if isinstance(s, dg.ScheduleDefinition)}
    assert zones == {"America/Toronto"}


def test_the_clients_job_imports_before_it_syncs(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("clients")
    assert [node.name for node in job.nodes_in_topological_order] == ["phorest__clients", "ghl__contacts"]
