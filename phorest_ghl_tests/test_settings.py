"""Settings: every mistake that a person can make is answered with the sentence that mends it."""

from pathlib import Path

import pytest

from phorest_ghl.phorest.local_time import TimeMode
from phorest_ghl.phorest.retention import TABLES
from phorest_ghl.settings import (
    IMPORT_TABLES,
    Settings,
    SettingsError,
    business_url,
    env_example,
    kept_days,
    load_settings,
    names,
)

ROOT = Path(__file__).resolve().parents[1]
URL = "https://api-gateway-eu.phorest.com/third-party-api-server/api/business"


def problem(**environ: str) -> str:
    with pytest.raises(SettingsError) as raised:
        load_settings(environ, None)
    return str(raised.value)


def test_everything_loads_with_nothing_set() -> None:
    settings = load_settings({}, None)
    assert settings.salon_timezone == "UTC"
    assert settings.phorest_client_id is None
    assert settings.ghl_budget_share == 0.8


@pytest.mark.parametrize("name", sorted(names()))
def test_a_setting_without_a_value_is_not_set(name: str) -> None:
    assert load_settings({name: "  "}, None) == load_settings({}, None)


@pytest.mark.parametrize(
    "form",
    [
        "https://api-gateway-eu.phorest.com",
        "https://api-gateway-eu.phorest.com/",
        "https://api-gateway-eu.phorest.com/third-party-api-server",
        "https://api-gateway-eu.phorest.com/third-party-api-server/api",
        "https://api-gateway-eu.phorest.com/third-party-api-server/api/business",
        "https://api-gateway-eu.phorest.com/third-party-api-server/api/business/",
        "  https://api-gateway-eu.phorest.com/third-party-api-server/api/  ",
    ],
)
def test_every_form_of_the_base_url_that_is_about_means_the_same(form: str) -> None:
    assert business_url(form) == URL
    assert load_settings({"PHOREST_API_BASE_URL": form}, None).phorest_api_base_url == URL


def test_a_sandbox_on_this_machine_may_speak_plain_http() -> None:
    assert (
        load_settings({"GHL_API_BASE_URL": "http://127.0.0.1:8080/"}, None).ghl_api_base_url == "http://127.0.0.1:8080"
    )


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PHOREST_API_BASE_URL", "api-gateway-eu.phorest.com", "should be a URL that begins with https://"),
        ("PHOREST_API_BASE_URL", "http://api-gateway-eu.phorest.com", "should begin with https://; plain http is for"),
        (
            "PHOREST_API_BASE_URL",
            "https://api-gateway-eu.phorest.com/v2",
            "should end in /third-party-api-server/api/bus",
        ),
        ("GHL_API_BASE_URL", "ftp://services.leadconnectorhq.com", "should be a URL that begins with https://"),
        ("GHL_API_BASE_URL", "http://services.leadconnectorhq.com", "should begin with https://"),
        ("PHOREST_CLIENT_ID", "salon-api@example.com", "should be the word global, a slash and the API user's email"),
        ("PHOREST_CLIENT_ID", "global/someone", "should be the word global, a slash and the API user's email"),
        ("SALON_TIMEZONE", "Europe/Dublinn", "should be a name of the tz database; did you mean Europe/Dublin?"),
        ("SALON_TIMEZONE", "GMT+1 please", "should be a name of the tz database"),
        ("SALON", "Down Town", "should be lower-case letters, digits and underscores, beginning with a letter"),
        ("GHL_API_VERSION", "v2", "Input should be '2021' or 'v3'"),
        ("GHL_RATE_LIMIT", "a hundred", "Input should be a valid integer"),
        ("GHL_RATE_LIMIT", "0", "Input should be greater than or equal to 1"),
        ("GHL_RATE_WINDOW_S", "-1", "Input should be greater than 0"),
        ("GHL_BUDGET_SHARE", "1", "Input should be less than or equal to 0.98"),
        ("GHL_BUDGET_SHARE", "0", "Input should be greater than 0"),
        ("PHOREST_REQUESTS_PER_SECOND", "1000000", "Input should be less than or equal to 10000"),
        ("PHOREST_APPOINTMENT_TIME_MODE", "local", "Input should be 'branch_local' or 'utc'"),
        ("PHOREST_KEEP_VERSIONS_DAYS", "a year", "should be days (1 or more) or forever, then table=days"),
        ("PHOREST_KEEP_VERSIONS_DAYS", "0", "should be days (1 or more) or forever, then table=days"),
        ("PHOREST_KEEP_VERSIONS_DAYS", "phorest_clients=9", "should begin with the days for all tables that have no"),
        ("PHOREST_KEEP_TOMBSTONES_DAYS", "7, phorest_clinets=9", "names a table that is not imported; did you mean ph"),
        ("PHOREST_KEEP_TOMBSTONES_DAYS", "7 8", "says twice how long everything else is kept"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_should_be(name: str, value: str, sentence: str) -> None:
    said = problem(**{name: value})
    assert said.startswith(f"{name} is not usable: {sentence}")
    assert said.endswith(".")


@pytest.mark.parametrize("name", sorted(names()))
def test_a_missing_setting_is_named_with_what_it_is_and_where_to_put_it(name: str) -> None:
    settings = load_settings({}, None)
    if getattr(settings, name.lower()) is not None:
        settings.require(name)
        return
    with pytest.raises(SettingsError) as raised:
        settings.require(name)
    assert str(raised.value).startswith(f"{name} is not set. ")
    assert str(raised.value).endswith("Put it into .env, or run `phorest-ghl init`.")


def test_every_problem_is_told_at_once_one_on_a_line() -> None:
    said = problem(PHOREST_CLIENT_IDD="x", SALON_TIMEZONE="Mars", GHL_RATE_LIMIT="x")
    assert len(said.splitlines()) == 3
    settings = load_settings({}, None)
    with pytest.raises(SettingsError) as raised:
        settings.require("PHOREST_CLIENT_ID", "GHL_LOCATION_ID")
    assert len(str(raised.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PHOREST_BUSINES_ID", "Did you mean PHOREST_BUSINESS_ID?"),
        ("GHL_LOCATIONID", "Did you mean GHL_LOCATION_ID?"),
        ("DATABASE_URLS", "Did you mean DATABASE_URL?"),
        ("SALON_TIME_ZONE", "Did you mean SALON_TIMEZONE?"),
        ("GHL_QQQ", "The settings there are stand in .env.example."),
    ],
)
def test_a_misspelt_name_is_told_and_not_ignored(name: str, meant: str) -> None:
    assert problem(**{name: "x"}) == f"{name} is no setting of phorest_ghl. {meant}"


def test_names_of_other_programs_are_not_ours_to_judge() -> None:
    load_settings({"PATH": "/bin", "HOME": "/", "PGHOST": "x", "DAGSTER_HOME": "/x"}, None)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("SALON=from_file\nGHL_RATE_LIMIT=25\n# SALON_TIMEZONE=Mars\n")
    settings = load_settings({"SALON": "from_environment"}, file)
    assert (settings.salon, settings.ghl_rate_limit) == ("from_environment", 25)
    assert load_settings({}, tmp_path / "absent").salon == ""


@pytest.mark.parametrize("name", ["PHOREST_CLIENT_SECRET", "GHL_PRIVATE_TOKEN", "PHOREST_GHL_HASH_KEY"])
def test_a_secret_is_read_when_asked_for_and_never_shown(name: str) -> None:
    settings = load_settings({name: "do-not-show"}, None)
    assert "do-not-show" not in repr(settings)
    assert "do-not-show" not in str(settings.model_dump())
    assert settings.secret(name) == "do-not-show"
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        load_settings({}, None).secret(name)


def test_a_secret_that_is_in_the_wrong_place_is_not_repeated_in_the_complaint() -> None:
    said = problem(GHL_RATE_LIMIT="pit-11111111-secret", PHOREST_CLIENT_ID="hunter2", PHOREST_API_BASE_URL="hunter2")
    assert "pit-1111" not in said
    assert "hunter2" not in said


def test_how_long_what_is_over_is_kept_is_a_number_for_all_tables_and_one_for_some() -> None:
    days = kept_days("400, phorest_clients=90 phorest_purchases=forever")
    assert (days["phorest_clients"], days["phorest_purchases"], days["phorest_staff"]) == (90, None, 400)
    assert set(days) == set(IMPORT_TABLES) == set(TABLES), "each import table, and the settings know them all"


def test_the_time_modes_are_those_that_the_import_knows() -> None:
    field = Settings.model_fields["phorest_appointment_time_mode"]
    assert field.annotation == TimeMode


def test_branches_are_one_or_several_or_all() -> None:
    assert load_settings({"PHOREST_BRANCH_ID": " one, two ,"}, None).branch_ids == ("one", "two")
    assert load_settings({}, None).branch_ids == ()


def test_env_example_is_in_step_with_the_settings() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example()


def test_env_example_copied_as_it_is_sets_nothing() -> None:
    assert load_settings({}, ROOT / ".env.example") == load_settings({}, None)


@pytest.mark.parametrize("name", sorted(names()))
def test_env_example_explains_every_setting(name: str) -> None:
    lines = env_example().splitlines()
    place = next(n for n, line in enumerate(lines) if line.lstrip("#").startswith(f"{name}="))
    assert lines[place - 1].startswith("# ")
