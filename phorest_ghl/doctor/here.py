"""What this installation says of itself: settings, database, hash key, request budget, the location's mode.

Belongs here: checks that ask nobody outside. Does not: asking the vendors (`phorest_side`, `ghl_side`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values
from sqlalchemy import Engine, text

from phorest_ghl.assembly import PHOREST_NAMES, ghl_names, keyring
from phorest_ghl.db.migrate import current_revision
from phorest_ghl.doctor.checkup import Checkup, Finding, green, red, yellow
from phorest_ghl.http.budget_state import load_state
from phorest_ghl.settings import Settings, SettingsError, load_settings

SETTINGS, DATABASE, HASH_KEY, MODE, SHARE, OTHERS = (
    "Settings",
    "Database",
    "Hash key",
    "Location mode",
    "Budget share",
    "Others on the budget",
)
HASH, SECRET = "PHOREST_GHL_HASH_KEY", "PHOREST_GHL_SECRET_KEY"
_CAUTIOUS_SHARE = 0.8
_QUIET = (
    "nothing was ever written to this location. The first run waits until you confirm that its workflows are paused: "
    "`phorest-ghl sync clients --workflows-paused`"
)


@dataclass(frozen=True)
class LocationMode:
    """A location's state of going live, as this database knows it."""

    mode: str
    confirmed: bool


def settings(checkup: Checkup, env_file: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Check the settings, and return those that can be used: a wrong one counts as not set, so that the rest is checked."""
    written = {
        **{name: value for name, value in dotenv_values(env_file).items() if value is not None},
        **(os.environ if environ is None else environ),
    }
    problems: list[str] = []
    found = Settings()
    try:
        found = load_settings(written, None)
    except SettingsError as error:
        problems = str(error).splitlines()
        wrong = {problem.partition(" ")[0] for problem in problems}
        found = load_settings({name: value for name, value in written.items() if name not in wrong}, None)
    try:
        found.require(*dict.fromkeys((*PHOREST_NAMES, *ghl_names(found), HASH, SECRET)))
    except SettingsError as error:
        told = {problem.partition(" ")[0] for problem in problems}
        problems += [line for line in str(error).splitlines() if line.partition(" ")[0] not in told]
    checkup.look(SETTINGS, lambda: _settings(problems))
    return found


def _settings(problems: list[str]) -> Finding:
    if not problems:
        return green("all that is needed is set")
    names = [problem.partition(" ")[0] for problem in problems]
    return red(f"{len(problems)} to mend: {', '.join(names)}", " ".join(problems))


def database(engine: Engine) -> Finding:
    """Whether the database is reached and at the present schema; migrated is it when it was opened."""
    with engine.connect() as connection:
        version = connection.execute(text("show server_version")).scalar_one()
        return green(f"PostgreSQL {version}, tables at revision {current_revision(connection)}")


def hash_key(settings: Settings, engine: Engine | None) -> Finding:
    """Whether the key is the one that wrote the database. Raises SettingsError, KeyMismatch."""
    ring = keyring(settings)
    if engine is None:
        return yellow("well-formed; whether it is the database's could not be checked")
    with engine.begin() as connection:
        ring.require_same(connection)
    return green("the one that this database is written with")


def location_mode(engine: Engine, location_id: str) -> LocationMode | None:
    """The location's state, or None where it was never read."""
    with engine.connect() as connection:
        row = connection.execute(
            text("select mode, workflows_confirmed_at is not null from ghl_locations where location_id = :id"),
            {"id": location_id},
        ).one_or_none()
    return None if row is None else LocationMode(*row)


def mode(found: LocationMode | None) -> Finding:
    """What the location's mode means."""
    if found is None or not found.confirmed:
        return green(f"quiet: {_QUIET}")
    if found.mode == "quiet":
        return green("quiet: every contact that is written carries the guard tag until `phorest-ghl go-live`")
    return green("live: changes reach the salon's workflows")


def share(settings: Settings) -> Finding:
    """Our part of GHL's limit (S22)."""
    part = settings.ghl_budget_share
    if part <= _CAUTIOUS_SHARE:
        return green(f"{part:.0%} of {settings.ghl_rate_limit} requests per {settings.ghl_rate_window_s:g} s")
    return yellow(
        f"{part:.0%} of GHL's limit is more than {_CAUTIOUS_SHARE:.0%}",
        "Other integrations of the agency share that limit. Set GHL_BUDGET_SHARE to 0.8 unless there are none.",
    )


def others(engine: Engine, settings: Settings) -> Finding:
    """Whether somebody else uses the location's limit, as the rate headers of the last answers showed it."""
    with engine.connect() as connection:
        row = connection.execute(
            text("""select cast(state as text) as state, extract(epoch from clock_timestamp()) as now
                    from api_budget where key = :key"""),
            {"key": f"ghl:{settings.ghl_location_id}"},
        ).one_or_none()
    state = load_state(row.state) if row is not None else None
    if row is None or state is None or state.foreign_until < float(row.now) or round(state.foreign) < 1:
        return green("nobody else was seen using the location's limit")
    return yellow(
        f"others use about {round(state.foreign)} of the location's {settings.ghl_rate_limit} requests per window",
        "Nothing to do: ours make room for them. If runs take too long, look at the agency's other integrations.",
    )
