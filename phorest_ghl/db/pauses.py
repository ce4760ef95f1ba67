"""The switch by which a person holds runs: one row an entity, or one for everything, until a person lifts it.

Belongs here: the row, and the question that every run asks before it writes. Does not: Dagster's schedules, which are turned
off and on with it (`phorest_ghl.commands.pausing`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection, Engine, text

EVERYTHING = ""
"""The entity of a pause that holds all runs of a location."""


class Paused(Exception):
    """A person has paused what a run was about to do; nothing was written. The text is a sentence."""


@dataclass(frozen=True)
class Pause:
    """A pause that holds. `schedules` are those that were turned off with it."""

    entity_type: str
    operator: str
    reason: str | None
    paused_at: datetime
    schedules: Sequence[str]


def pauses(connection: Connection, location_id: str) -> list[Pause]:
    """What is paused, the oldest first."""
    rows = connection.execute(
        text("""select entity_type, operator, reason, paused_at, schedules from pauses
                where location_id = :location_id and resumed_at is null order by id"""),
        {"location_id": location_id},
    )
    return [Pause(*row) for row in rows]


def holding(connection: Connection, location_id: str, entity_type: str) -> Pause | None:
    """The pause that holds runs of an entity, if there is one."""
    found = pauses(connection, location_id)
    return next((pause for pause in found if pause.entity_type in (EVERYTHING, entity_type)), None)


def require_running(engine: Engine, location_id: str, entity_type: str) -> None:
    """Raises Paused where a person holds runs of the entity."""
    with engine.connect() as connection:
        pause = holding(connection, location_id, entity_type)
    if pause is not None:
        what = "Everything" if pause.entity_type == EVERYTHING else f"The entity {entity_type}"
        why = f" ({pause.reason})" if pause.reason else ""
        raise Paused(
            f"{what} is paused since {pause.paused_at:%Y-%m-%d %H:%M} UTC by {pause.operator}{why}, so nothing was "
            "written. `phorest-ghl resume` lifts the pause."
        )


def pause(connection: Connection, location_id: str, entity_type: str, *, operator: str, reason: str | None) -> bool:
    """Hold runs of an entity from now on; whether it was not paused already. A run that is going ends by itself."""
    return (
        connection.execute(
            text("""insert into pauses (location_id, entity_type, operator, reason)
                    values (:location_id, :entity_type, :operator, :reason)
                    on conflict (location_id, entity_type) where resumed_at is null do nothing"""),
            {"location_id": location_id, "entity_type": entity_type, "operator": operator, "reason": reason},
        ).rowcount
        == 1
    )


def note_schedules(connection: Connection, location_id: str, entity_type: str, schedules: Sequence[str]) -> None:
    """These schedules were turned off because of the pause that is open, besides those that it knows already."""
    connection.execute(
        text("""update pauses set schedules = schedules || cast(:schedules as jsonb)
                where location_id = :location_id and entity_type = :entity_type and resumed_at is null"""),
        {
            "location_id": location_id,
            "entity_type": entity_type,
            "schedules": orjson.dumps(list(schedules)).decode(),
        },
    )


def resume(connection: Connection, location_id: str, entity_type: str, *, operator: str) -> list[Pause]:
    """Lift the pause of an entity, or with `EVERYTHING` all there are; those that were lifted."""
    rows = connection.execute(
        text("""update pauses set resumed_at = now(), resumed_by = :operator
                where location_id = :location_id and resumed_at is null
                      and (:entity_type = '' or entity_type = :entity_type)
                returning entity_type, operator, reason, paused_at, schedules"""),
        {"location_id": location_id, "entity_type": entity_type, "operator": operator},
    )
    return [Pause(*row) for row in rows]
