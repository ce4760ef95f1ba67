"""Plans as files: written for a person to read, read back for `sync --plan`.

Belongs here: files and their names. Does not: hashes and staleness (`sync.plan_file`), the page (`sync.plan_page`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from phorest_ghl.assembly import Runtime, keyring
from phorest_ghl.commands.console import Out, require_folder
from phorest_ghl.settings import Settings, SettingsError
from phorest_ghl.sync import plan_file
from phorest_ghl.sync.plan_file import AnyPlan, PlanFile
from phorest_ghl.sync.plan_page import plan_page


def _json(document: Mapping[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)


def _html(document: Mapping[str, Any]) -> bytes:
    return plan_page(document).encode()


_MAKERS = {".json": _json, ".html": _html}


def require_writable(file: Path | None) -> None:
    """Raises SettingsError where a plan cannot be written to this file: before anything is read, which takes minutes."""
    if file is None:
        return
    if file.suffix not in _MAKERS:
        raise SettingsError(
            f"A plan is written as JSON, which `sync --plan` takes, or as a page: {file.name} ends in neither .json nor .html."
        )
    require_folder(file)


def sealed(document: Mapping[str, Any], plan: AnyPlan, settings: Settings, entity: str) -> dict[str, Any]:
    """A plan's document with the hashes that `sync --plan` holds it to."""
    location_id = str(settings.ghl_location_id)
    return plan_file.sealed(document, plan, keyring(settings), entity=entity, location_id=location_id)


def write(document: Mapping[str, Any], file: Path, out: Out) -> None:
    """Write a sealed document that was made without values."""
    file.write_bytes(_MAKERS[file.suffix](document))
    out.say(f"The plan is in {file}; values in it are masked.")
    if file.suffix == ".json":
        out.say(f"`phorest-ghl sync --plan {file}` carries out exactly this, or refuses where something has changed.")


def read(file: Path, settings: Settings) -> PlanFile:
    """The plan that a run is held to. Raises PlanNotUsable, SettingsError."""
    settings.require("GHL_LOCATION_ID")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SettingsError(f"The plan {file} cannot be read: {error.strerror}.") from None
    return plan_file.read(content, keyring(settings), location_id=str(settings.ghl_location_id))


def held_to(file: PlanFile | None, plan: AnyPlan, runtime: Runtime, out: Out) -> AnyPlan:
    """The plan itself, or what the file names of it. Raises StalePlan."""
    if file is None:
        return plan
    narrowed = plan_file.held_to(file, plan, runtime.keyring())
    later = len(plan.changes) - len(narrowed.changes)
    if later:
        out.say(f"{later} changes came up since the plan was made; they wait for the next run.")
    return narrowed
