"""`pause` and `resume`: the switch that every run looks at, and with it Dagster's schedules, so that none begins in vain.

Belongs here: throwing both, and saying what became of each. Does not: the switch (`db.pauses`), schedules (`schedules`).
"""

import getpass
from collections.abc import Sequence

from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.commands import schedules
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.commands.schedules import Turn
from phorest_ghl.db import pauses
from phorest_ghl.db.pauses import EVERYTHING, Pause
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.operate.entities import BY_NAME, BY_TYPE, ENTITIES, EVERYTHING_ELSE
from phorest_ghl.settings import Settings, SettingsError

ALL = "all"


def pause(settings: Settings, out: Out, *, entity: str, reason: str | None) -> Exit:
    """Hold an entity's runs, or all. The switch holds even where Dagster cannot be asked. Raises SettingsError."""
    entity_type = _type_of(entity)
    location_id = _location(settings)
    with open_runtime(settings) as runtime:
        new = in_transaction(
            runtime.engine,
            lambda c: pauses.pause(c, location_id, entity_type, operator=getpass.getuser(), reason=reason),
        )
        turned, problem = _turn(runtime, _lines_of(entity_type), "off")
        in_transaction(runtime.engine, lambda c: pauses.note_schedules(c, location_id, entity_type, turned))
    how = "is paused" if new else "was paused already"
    out.say(f"{_called(entity_type)} {how}: no run writes to GHL. A run that is going ends by itself.")
    out.say("Opt-outs and bans are not written to GHL either until you resume.")
    _say(turned, "off", problem, out)
    out.result({"paused": entity, "new": new, "schedules": turned, "schedules_unknown": problem})
    return Exit.WELL


def resume(settings: Settings, out: Out, *, entity: str) -> Exit:
    """Lift a pause, or all, and turn on again the schedules that were turned off with it. Raises SettingsError."""
    entity_type = _type_of(entity)
    location_id = _location(settings)
    operator = getpass.getuser()
    with open_runtime(settings) as runtime:
        with runtime.engine.connect() as connection:
            held = pauses.pauses(connection, location_id)
        _require_liftable(entity_type, held)
        lifted = in_transaction(runtime.engine, lambda c: pauses.resume(c, location_id, entity_type, operator=operator))
        names = sorted({name for one in lifted for name in one.schedules})
        turned, problem = _turn(runtime, names, "on") if names else (list[str](), None)
    for one in lifted:
        out.say(f"{_called(one.entity_type)} runs again; it was paused since {one.paused_at:%Y-%m-%d %H:%M} UTC.")
    if not lifted:
        out.say("Nothing was paused.")
    _say(turned, "on", problem, out)
    out.result(
        {
            "resumed": [_named(one.entity_type) for one in lifted],
            "schedules": turned,
            "schedules_unknown": problem,
        }
    )
    return Exit.WELL


def _require_liftable(entity_type: str, held: Sequence[Pause]) -> None:
    kinds = {one.entity_type for one in held}
    if entity_type != EVERYTHING and EVERYTHING in kinds:
        raise SettingsError(
            "Everything is paused, so that lifting one pause would let nothing run. `phorest-ghl resume` lifts them all."
        )


def _turn(runtime: Runtime, names: Sequence[str], turn: Turn) -> tuple[list[str], str | None]:
    """Turn these lines on or off where they are not; which were turned, and why Dagster could not be asked, if so."""
    try:
        env = schedules.environment(runtime)
        lines = [line for line in schedules.listed(env) if line.name in names and line.running != (turn == "on")]
        if lines:
            schedules.turn_lines(env, lines, turn)
    except SettingsError as error:
        return [], str(error)
    return [line.name for line in lines], None


def _say(turned: Sequence[str], turn: Turn, problem: str | None, out: Out) -> None:
    if turned:
        out.say(f"Schedules turned {turn}: {', '.join(turned)}.")
    if problem is not None:
        out.say(f"Dagster's schedules are as they were: {problem}")


def _lines_of(entity_type: str) -> list[str]:
    if entity_type == EVERYTHING:
        return [*(entity.schedule for entity in ENTITIES), *EVERYTHING_ELSE]
    return [BY_TYPE[entity_type].schedule]


def _type_of(entity: str) -> str:
    if entity == ALL:
        return EVERYTHING
    if entity not in BY_NAME:
        raise SettingsError(f"There is no entity {entity} to pause; there is {', '.join([ALL, *BY_NAME])}.")
    return BY_NAME[entity].entity_type


def _named(entity_type: str) -> str:
    return ALL if entity_type == EVERYTHING else BY_TYPE[entity_type].name


def _called(entity_type: str) -> str:
    return "Everything" if entity_type == EVERYTHING else BY_TYPE[entity_type].name


def _location(settings: Settings) -> str:
    settings.require("GHL_LOCATION_ID")
    return str(settings.ghl_location_id)
