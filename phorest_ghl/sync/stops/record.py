"""What guards stopped, and what people let pass: the rows of `apply_stops`.

Belongs here: recording a stop, allowing what it showed, using that once. Does not: what is stopped (`size`, `place`).

An allowance is of one guard, one entity and the figure that was shown; one run uses it, and it is over after a day, or as
soon as a run no longer needs it. So none stays open behind anybody's back.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from phorest_ghl.sync.journal import Ledger


class NothingToAllow(Exception):
    """Nothing was stopped that this would let pass: a sentence says what was."""


@dataclass(frozen=True)
class Stop:
    """What a guard holds back now; `allowed_by` is who let it pass, until a run has used that."""

    entity_type: str
    guard: str
    figure: int
    bound: int
    sentence: str
    batch_id: str
    stopped_at: datetime
    allowed_by: str | None
    allowed_at: datetime | None


def open_stops(connection: Connection, location_id: str, *, batch_id: str | None = None) -> list[Stop]:
    """What is held back in a location, oldest first; by any run, or as one run saw it."""
    rows = connection.execute(
        text("""select entity_type, guard, figure, bound, sentence, batch_id, stopped_at,
                        case when allowed_at > now() - interval '24 hours' then allowed_by end as allowed_by,
                        case when allowed_at > now() - interval '24 hours' then allowed_at end as allowed_at
                 from apply_stops
                 where location_id = :location_id and ended_at is null
                       and (cast(:batch_id as text) is null or batch_id = :batch_id)
                 order by id"""),
        {"location_id": location_id, "batch_id": batch_id},
    )
    return [Stop(*row) for row in rows]


def allow(
    connection: Connection, location_id: str, entity_type: str, guard: str, figure: int, *, operator: str
) -> Stop:
    """Let the next run of the entity do what was shown, once. Raises NothingToAllow where that figure was not shown."""
    shown = {(stop.entity_type, stop.guard): stop for stop in open_stops(connection, location_id)}
    stop = shown.get((entity_type, guard))
    if stop is None:
        held = ", ".join(f"{e} {g} {s.figure}" for (e, g), s in shown.items())
        raise NothingToAllow(
            f"No run of {entity_type} was stopped by the guard on {guard}. "
            + (f"Held are: {held}." if held else "Nothing is held.")
        )
    if stop.figure != figure:
        raise NothingToAllow(
            f"The guard on {guard} of {entity_type} showed {stop.figure}, not {figure}. An allowance is of what was "
            "shown; look at `phorest-ghl allow` and at the plan again."
        )
    connection.execute(
        text("""update apply_stops set allowed_by = :operator, allowed_at = now()
                where location_id = :location_id and entity_type = :entity and guard = :guard and ended_at is null"""),
        {"location_id": location_id, "entity": entity_type, "guard": guard, "operator": operator},
    )
    return stop


def allowed(connection: Connection, ledger: Ledger, guard: str, figure: int) -> bool:
    """Whether a person let so many pass. Locks the row, for one run alone uses it."""
    return (
        connection.execute(
            text("""select 1 from apply_stops
                     where location_id = :location_id and entity_type = :entity and guard = :guard and ended_at is null
                           and allowed_at > now() - interval '24 hours' and figure >= :figure
                     for update"""),
            {**_key(ledger), "guard": guard, "figure": figure},
        ).one_or_none()
        is not None
    )


def use(connection: Connection, ledger: Ledger, guard: str) -> None:
    """This run does what was allowed."""
    _end(connection, ledger, [guard], "used")


def passed(connection: Connection, ledger: Ledger, guards: Collection[str]) -> None:
    """A run of everything exceeds these no longer: what they held is over, and so is what was allowed and never used."""
    _end(connection, ledger, guards, "passed")


def stop(connection: Connection, ledger: Ledger, guard: str, *, figure: int, bound: int, sentence: str) -> None:
    """A run was stopped. What was allowed for a smaller figure, or more than a day ago, is over."""
    key = {**_key(ledger), "guard": guard, "figure": figure, "bound": bound, "sentence": sentence}
    connection.execute(
        text("""update apply_stops set ended_at = now(), ended_by = :batch_id,
                       ending = case when figure < :figure then 'outgrown' else 'lapsed' end
                where location_id = :location_id and entity_type = :entity and guard = :guard and ended_at is null
                      and allowed_at is not null"""),
        key,
    )
    connection.execute(
        text("""insert into apply_stops (location_id, entity_type, guard, figure, bound, sentence, batch_id)
                values (:location_id, :entity, :guard, :figure, :bound, :sentence, :batch_id)
                on conflict (location_id, entity_type, guard) where ended_at is null
                do update set figure = excluded.figure, bound = excluded.bound, sentence = excluded.sentence,
                              batch_id = excluded.batch_id"""),
        key,
    )


def _end(connection: Connection, ledger: Ledger, guards: Collection[str], ending: str) -> None:
    if guards:
        connection.execute(
            text("""update apply_stops set ended_at = now(), ended_by = :batch_id, ending = :ending
                    where location_id = :location_id and entity_type = :entity and guard = any(:guards)
                          and ended_at is null"""),
            {**_key(ledger), "guards": list(guards), "ending": ending},
        )


def _key(ledger: Ledger) -> Mapping[str, str]:
    return {"location_id": ledger.location_id, "entity": ledger.entity_type, "batch_id": ledger.batch_id}
