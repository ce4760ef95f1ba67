"""`allow`: what guards hold back, and letting exactly that pass once.

Belongs here: the command's flow. Does not: the guards (`phorest_ghl.sync.stops`).
"""

import getpass
import sys
from typing import Any

from rich.table import Table
from sqlalchemy import Connection

from phorest_ghl.assembly import open_runtime
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.settings import Settings
from phorest_ghl.sync.stops.record import NothingToAllow, Stop, allow, open_stops


def show(settings: Settings, out: Out) -> Exit:
    """List what is held back; 1 if anything waits for a person."""
    location_id = _location(settings)
    with open_runtime(settings) as runtime, runtime.engine.connect() as connection:
        stops = open_stops(connection, location_id)
    table = Table(
        "entity", "guard", "held", "bound", "since", "allowed by", title="Held by guards", title_justify="left"
    )
    for stop in stops:
        table.add_row(
            stop.entity_type,
            stop.guard,
            str(stop.figure),
            str(stop.bound),
            f"{stop.stopped_at:%Y-%m-%d %H:%M}",
            stop.allowed_by or "",
        )
    if stops:
        out.text.print(table)
    for stop in stops:
        out.say(stop.sentence)
    if not stops:
        out.say("No guard holds anything back.")
    out.result({"held": [document(stop) for stop in stops]})
    return Exit.NEEDS_A_PERSON if any(stop.allowed_by is None for stop in stops) else Exit.WELL


def let_pass(settings: Settings, out: Out, *, entity: str, guard: str, figure: int) -> Exit:
    """Record that a person lets what was shown pass in the next run of the entity, once."""
    location_id, operator = _location(settings), getpass.getuser()
    try:
        with open_runtime(settings) as runtime, runtime.engine.begin() as connection:
            stop = allow(connection, location_id, entity, guard, figure, operator=operator)
    except NothingToAllow as nothing:
        sys.stderr.write(f"{nothing}\n")
        return Exit.WRONG_USE
    out.say(
        f"The next run of {entity} may do the {stop.figure} that the guard on {guard} held back. Recorded for {operator}; over "
        "when a run has used it, or after a day."
    )
    out.result({"allowed": document(stop), "operator": operator})
    return Exit.WELL


def say_what_is_held(connection: Connection, location_id: str, batch_id: str, out: Out) -> bool:
    """The sentences of what guards held back of one run; whether there are any."""
    stops = open_stops(connection, location_id, batch_id=batch_id)
    for stop in stops:
        out.say(stop.sentence)
    return bool(stops)


def document(stop: Stop) -> dict[str, Any]:
    """A stop as JSON."""
    return {
        "entity": stop.entity_type,
        "guard": stop.guard,
        "figure": stop.figure,
        "bound": stop.bound,
        "sentence": stop.sentence,
        "batch_id": stop.batch_id,
        "since": stop.stopped_at.isoformat(),
        "allowed_by": stop.allowed_by,
    }


def _location(settings: Settings) -> str:
    settings.require("GHL_LOCATION_ID")
    return str(settings.ghl_location_id)
