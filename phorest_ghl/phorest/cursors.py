"""How far each import has read, by Phorest's clock: one row an entity and scope.

Belongs here: reading and moving cursors. Does not: what makes a read complete (`importer`).
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from phorest_ghl.phorest.scopes import Scope
from phorest_ghl.phorest.specs import ImportSpec


@dataclass(frozen=True)
class Cursor:
    """Where the last complete read ended; nothing of it is known before the first."""

    watermark: datetime | None = None
    full_read_at: datetime | None = None
    probed_at: datetime | None = None


def load(connection: Connection, entity_type: str, scope: str) -> Cursor:
    """The cursor of one entity and scope."""
    row = connection.execute(
        text("""select watermark, full_read_at, probed_at from import_cursors
                where entity_type = :entity_type and scope = :scope"""),
        {"entity_type": entity_type, "scope": scope},
    ).one_or_none()
    return Cursor() if row is None else Cursor(*row)


def advance(
    connection: Connection, spec: ImportSpec, scope: Scope, upper: datetime, *, full: bool, batch_id: str
) -> datetime | None:
    """Move the cursor to the newest change we hold, at most to the frozen bound, never backwards."""
    newest = (
        f"(select max(phorest_updated_at) from {spec.table.name} where {scope.where})"  # noqa: S608 - names of ours
        if spec.delta
        else "null::timestamptz"
    )
    return connection.execute(
        text(f"""
            insert into import_cursors (entity_type, scope, watermark, full_read_at, batch_id)
            values (:entity_type, :scope, least(cast(:upper as timestamptz), {newest}),
                    case when :full then cast(:upper as timestamptz) end, :batch_id)
            on conflict (entity_type, scope) do update
            set watermark = greatest(import_cursors.watermark, excluded.watermark),
                full_read_at = greatest(import_cursors.full_read_at, excluded.full_read_at),
                batch_id = excluded.batch_id, updated_at = now()
            returning watermark
        """),  # noqa: S608 - names of ours
        {
            **scope.parameters,
            "entity_type": spec.entity_type,
            "scope": scope.key,
            "upper": upper,
            "full": full,
            "batch_id": batch_id,
        },
    ).scalar_one()


def note_probe(connection: Connection, entity_type: str, scope: str, probed_at: datetime) -> None:
    """Remember that the delta's filter was seen to filter."""
    connection.execute(
        text("""
            insert into import_cursors (entity_type, scope, probed_at) values (:entity_type, :scope, :probed_at)
            on conflict (entity_type, scope) do update set probed_at = excluded.probed_at
        """),
        {"entity_type": entity_type, "scope": scope, "probed_at": probed_at},
    )
