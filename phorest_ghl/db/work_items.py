"""The one queue: a row for each record and cause that waits for a retry, a repair or a person.

Belongs here: opening, touching and closing rows. Does not: deciding what is one (import, apply, audit do).
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, text

NO_LOCATION = ""
"""The location of items that have none: what went wrong on the Phorest side alone."""


@dataclass(frozen=True, kw_only=True)
class WorkItem:
    """One record and cause. `reason` is a sentence without personal values; `detail` holds ids and field names.

    `source_hash` is the content that was refused: the item is worth another try only when it changes.
    """

    entity_type: str
    phorest_id: str
    cause: str
    reason: str
    location_id: str = NO_LOCATION
    source_hash: str | None = None
    detail: dict[str, Any] = field(default_factory=dict[str, Any])


_OPEN = text("""
    insert into work_items (location_id, entity_type, phorest_id, cause, reason, detail, source_hash, attempts)
    select location_id, entity_type, phorest_id, cause, reason, detail, source_hash, 1
    from jsonb_to_recordset(cast(:items as jsonb)) as item (
        location_id text, entity_type text, phorest_id text, cause text, reason text, detail jsonb, source_hash text)
    on conflict (location_id, entity_type, phorest_id, cause) where state = 'open'
    do update set reason = excluded.reason, detail = excluded.detail, source_hash = excluded.source_hash,
                  attempts = work_items.attempts + 1, updated_at = now()
""")

_RESOLVE = text("""
    update work_items set state = 'resolved', resolved_at = now(), updated_at = now()
    where state = 'open' and location_id = :location_id and entity_type = :entity_type and cause = any(:causes)
          and phorest_id = any(:phorest_ids)
""")


def open_items(connection: Connection, items: Sequence[WorkItem]) -> None:
    """Open an item for each, or count one more attempt on the one that is open. The last of equal keys wins."""
    if items:
        unique = {(i.location_id, i.entity_type, i.phorest_id, i.cause): i for i in items}
        connection.execute(_OPEN, {"items": orjson.dumps([asdict(item) for item in unique.values()]).decode()})


def resolve_items(
    connection: Connection,
    *,
    entity_type: str,
    phorest_ids: Collection[str],
    causes: Collection[str],
    location_id: str = NO_LOCATION,
) -> int:
    """Close the open items of these records and causes, since the same thing now succeeded; how many there were."""
    if not phorest_ids:
        return 0
    return connection.execute(
        _RESOLVE,
        {
            "location_id": location_id,
            "entity_type": entity_type,
            "causes": list(causes),
            "phorest_ids": list(phorest_ids),
        },
    ).rowcount
