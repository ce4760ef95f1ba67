"""What Dagster loads: that it loads with nothing set, that every name it mentions exists, and what runs when."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
import yaml

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
    assert len(set(pools)) == len(pools) == 17


def test_every_import_says_how_fresh_it_should_be_and_blocks_a_sync_of_what_is_incomplete(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()
    imports = [spec for spec in definitions.resolve_all_asset_specs() if spec.group_name == "phorest"]
    assert len(imports) == 9
    for spec in imports:
        assert spec.freshness_policy is not None, spec.key
        checks = {key.name: graph.get(key).blocking for key in graph.asset_check_keys if key.asset_key == spec.key}
        assert checks.pop("references_known", False) is False, spec.key
        assert checks == {"read_completely": True, "key_unique": True}, spec.key


def test_appointments_are_partitioned_by_month_with_the_coming_ones_and_backfilled_in_one_run(
    definitions: dg.Definitions,
) -> None:
    asset = definitions.resolve_assets_def(dg.AssetKey(["phorest", "appointments"]))
    assert asset.partitions_def is not None
    keys = asset.partitions_def.get_partition_keys(current_time=datetime(2026, 3, 10, tzinfo=UTC))
    assert keys[0] == "2015-01"
    assert keys[-6:] == ["2026-03", "2026-04", "2026-05", "2026-06", "2026-07", "2026-08"]
    assert asset.backfill_policy == dg.BackfillPolicy.single_run()


def test_the_first_load_is_backfilled_by_months_in_one_run_and_never_beside_the_job_of_that_name(
    definitions: dg.Definitions,
) -> None:
    asset = definitions.resolve_assets_def(dg.AssetKey(["ghl", "first_load"]))
    assert (
        asset.partitions_def == definitions.resolve_assets_def(dg.AssetKey(["phorest", "appointments"])).partitions_def
    )
    assert asset.backfill_policy == dg.BackfillPolicy.single_run()
    (step,) = definitions.resolve_job_def("backfill").nodes_in_topological_order
    assert isinstance(step.definition, dg.OpDefinition)
    assert asset.op.pool == step.definition.pool == "backfill"


def test_import_jobs_reach_nothing_of_ghl_and_there_is_one_for_every_entity(definitions: dg.Definitions) -> None:
    jobs = {job.name for job in definitions.jobs or () if job.name.startswith(("import_", "full_"))}
    reached: set[str] = set()
    for name in jobs:
        nodes = [node.name for node in definitions.resolve_job_def(name).nodes_in_topological_order]
        assert all(node.startswith("phorest__") for node in nodes), name
        reached |= set(nodes)
        if name == "import_everything":
            assert nodes.index("phorest__branches") < nodes.index("phorest__appointments")
            assert len(nodes) == 9
    assert len(reached) == 9
    assert {"full_clients", "full_appointments", "full_purchases"} <= jobs


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
    table = [
        ("clients", "2 */2 * * *"),
        ("appointments", "5,15,25,35,45,55 * * * *"),
        ("bookings", "35 */2 * * *"),
        ("check_ins", "8,38 * * * *"),
        ("loyalty", "45 */12 * * *"),
        ("products", "15 5 * * *"),
        ("staff", "30 6 * * *"),
        ("audit", "0 1 * * *"),
        ("prune", "40 3 * * *"),
    ]
    assert found == [(f"{name}_schedule", cron, "UTC", name, "STOPPED") for name, cron in table]


@pytest.mark.parametrize(
    ("job", "reads"),
    [
        ("import_appointments", {"appointments"}),
        ("import_products", {"service_categories", "services", "products", "purchases"}),
        ("import_staff", {"branches", "staff"}),
    ],
)
def test_the_crons_that_import_read_this_and_write_nothing_to_ghl(
    definitions: dg.Definitions, job: str, reads: set[str]
) -> None:
    nodes = {node.name for node in definitions.resolve_job_def(job).nodes_in_topological_order}
    assert nodes == {f"phorest__{entity}" for entity in reads}


@pytest.mark.parametrize(
    ("job", "steps"),
    [
        ("bookings", {"ghl__bookings"}),
        ("loyalty", {"phorest__client_categories", "phorest__clients", "ghl__loyalty"}),
        (
            "products",
            {
                "phorest__service_categories",
                "phorest__services",
                "phorest__products",
                "phorest__purchases",
                "ghl__product_tags",
            },
        ),
    ],
)
def test_the_crons_of_parts_of_contacts_are_of_these_steps(
    definitions: dg.Definitions, job: str, steps: set[str]
) -> None:
    assert {node.name for node in definitions.resolve_job_def(job).nodes_in_topological_order} == steps


def test_every_import_has_a_cron_that_keeps_it_as_fresh_as_it_should_be(definitions: dg.Definitions) -> None:
    jobs = {
        schedule.job_name for schedule in definitions.schedules or () if isinstance(schedule, dg.ScheduleDefinition)
    }
    nodes = {node.name for job in jobs for node in definitions.resolve_job_def(job).nodes_in_topological_order}
    imports = {spec.key for spec in definitions.resolve_all_asset_specs() if spec.group_name == "phorest"}
    assert {f"phorest__{key.path[-1]}" for key in imports} <= nodes


def test_schedules_run_in_the_salons_zone() -> None:
    definitions = build_defs(Settings(salon_timezone="America/Toronto"))
    zones = {s.execution_timezone for s in definitions.schedules or () if isinstance(s, dg.ScheduleDefinition)}
    assert zones == {"America/Toronto"}


def test_the_check_ins_job_imports_appointments_before_it_writes_notes(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("check_ins")
    assert [node.name for node in job.nodes_in_topological_order] == ["phorest__appointments", "ghl__check_in_notes"]


def test_the_clients_job_imports_before_it_syncs(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("clients")
    assert [node.name for node in job.nodes_in_topological_order] == ["phorest__clients", "ghl__contacts"]


def test_the_appointments_job_imports_before_it_syncs(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("appointments")
    assert [node.name for node in job.nodes_in_topological_order] == ["phorest__appointments", "ghl__appointments"]


def test_the_full_job_is_of_every_asset_but_the_first_load_and_imports_before_it_syncs(
    definitions: dg.Definitions,
) -> None:
    nodes = [node.name for node in definitions.resolve_job_def("full").nodes_in_topological_order]
    every = {"__".join(spec.key.path) for spec in definitions.resolve_all_asset_specs()}
    assert set(nodes) == every - {"ghl__first_load"}
    for first, then in (("phorest__appointments", "ghl__contacts"), ("ghl__contacts", "ghl__appointments")):
        assert nodes.index(first) < nodes.index(then)


@pytest.mark.parametrize(
    ("job", "step", "said"),
    [
        ("backfill", "load_everything", {"from_month": None, "to_month": None, "dry_run": True}),
        ("single_client", "sync_one_client", {"client_id": ..., "dry_run": False}),
        ("clients", "ghl__contacts", {"dry_run": False, "limit": None}),
    ],
)
def test_what_is_launched_by_hand_has_a_config_that_is_described_and_has_safe_defaults(
    definitions: dg.Definitions, job: str, step: str, said: dict[str, object]
) -> None:
    schema = definitions.resolve_job_def(job).run_config_schema.config_type.fields["ops"].config_type.fields[step]
    fields = schema.config_type.fields["config"].config_type.fields
    assert all(field.description for field in fields.values())
    found = {name: field.default_value if field.default_provided else None for name, field in fields.items()}
    required = {name for name, field in fields.items() if field.is_required}
    assert {name: ... if name in required else value for name, value in found.items()} == said


def test_a_failure_is_repeated_in_one_place_only_and_a_dead_runs_slots_are_freed(definitions: dg.Definitions) -> None:
    """Requests are repeated by the session, runs that died by Dagster, and what failed otherwise by the next tick."""
    steps = [asset.op for asset in definitions.resolve_asset_graph().assets_defs if asset.is_executable]
    assert [step.name for step in steps if step.retry_policy is not None] == []
    settings = yaml.safe_load((Path(__file__).parents[2] / "dagster.yaml").read_text(encoding="utf-8"))
    assert settings["run_retries"]["enabled"]
    assert settings["run_retries"]["retry_on_asset_or_op_failure"] is False
    assert settings["run_monitoring"]["enabled"]
    assert settings["run_monitoring"]["free_slots_after_run_end_seconds"] <= 60
