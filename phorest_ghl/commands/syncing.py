"""Which command syncs which entity, and the plan that a run is held to. Does not belong here: the commands themselves."""

from dataclasses import dataclass
from pathlib import Path

from phorest_ghl.commands import appointments, check_ins, plan_files, staff
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.commands.sync import sync
from phorest_ghl.settings import Settings, SettingsError


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was asked for. Without an `entity` it is the plan's, or clients."""

    entity: str | None
    workflows_paused: bool
    adopt_fields: bool
    full: bool
    limit: int | None
    plan_file: Path | None
    do_import: bool


def sync_entity(settings: Settings, out: Out, wanted: Wanted) -> Exit:
    """Sync an entity. Raises SettingsError for an option that belongs to another one: none is ignored in silence."""
    held_to = None if wanted.plan_file is None else plan_files.read(wanted.plan_file, settings)
    entity = wanted.entity or ("clients" if held_to is None else held_to.entity)
    if held_to is not None and held_to.entity != entity:
        raise SettingsError(f"The plan {wanted.plan_file} is one of {held_to.entity}, not of {entity}.")
    if held_to is not None and wanted.limit is not None:
        raise SettingsError("A run that is held to a plan carries it out whole: --limit and --plan do not go together.")
    full, limit, do_import = wanted.full, wanted.limit, wanted.do_import
    of_clients = {"--workflows-paused": wanted.workflows_paused, "--adopt-fields": wanted.adopt_fields}
    if entity == check_ins.NAME:
        return check_ins.sync(settings, out, full=full, limit=limit, held_to=held_to, do_import=do_import)
    if entity == staff.NAME:
        _only_clients(of_clients)
        return staff.sync(settings, out, limit=limit, held_to=held_to, do_import=do_import)
    if entity == appointments.NAME:
        _only_clients({**of_clients, "--limit": limit is not None})
        return appointments.sync(settings, out, full=full, held_to=held_to, do_import=do_import)
    return sync(
        settings,
        out,
        entity=entity,
        workflows_paused=wanted.workflows_paused,
        adopt_fields=wanted.adopt_fields,
        full=full,
        limit=limit,
        held_to=held_to,
        do_import=do_import,
    )


def _only_clients(options: dict[str, bool]) -> None:
    given = [name for name, is_given in options.items() if is_given]
    if given:
        raise SettingsError(f"{', '.join(given)} is for `phorest-ghl sync clients`.")
