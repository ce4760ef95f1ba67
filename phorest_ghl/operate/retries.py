"""Trying again what was given up or refused: the next run treats it as if it had not been tried.

Belongs here: which work items can be tried again, and letting them. Does not: trying (the entity's own run).
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, text

from phorest_ghl.sync.client_repair import CAUSE as NOT_BROUGHT
from phorest_ghl.sync.keeper import REJECTED, UNKNOWN

CAUSES = (REJECTED, NOT_BROUGHT, UNKNOWN)
"""Causes that another try may cure. The others wait for a person (`review`) or for an hour."""


@dataclass(frozen=True)
class Retried:
    """A work item that the next run tries again."""

    entity_type: str
    phorest_id: str
    cause: str


_AGAIN = text("""
    update work_items set state = 'open', resolved_at = null, attempts = 0, source_hash = null, next_try_at = now(),
                          updated_at = now()
    where id in (
        select distinct on (location_id, entity_type, phorest_id, cause) id from work_items item
        where location_id = :location_id and cause = any(:causes) and state in ('open', 'given_up')
              and (:all or phorest_id = any(:ids)) and (cast(:entity_type as text) is null or entity_type = :entity_type)
              -- What was given up and is open again has one row of each: the open one is the one.
              and (state = 'open' or not exists (
                  select from work_items other
                  where other.location_id = item.location_id and other.entity_type = item.entity_type
                        and other.phorest_id = item.phorest_id and other.cause = item.cause and other.state = 'open'))
        order by location_id, entity_type, phorest_id, cause, id desc)
    returning entity_type, phorest_id, cause
""")


def retry(
    connection: Connection, location_id: str, *, phorest_ids: Collection[str] = (), entity_type: str | None = None
) -> list[Retried]:
    """Let the next run try again what was refused, given up or left without an answer; of these records, or of all.

    Content that GHL refused is sent again though it has not changed: for who has put something right in GHL.
    """
    rows = connection.execute(
        _AGAIN,
        {
            "location_id": location_id,
            "causes": list(CAUSES),
            "all": not phorest_ids,
            "ids": list(phorest_ids),
            "entity_type": entity_type,
        },
    )
    return sorted((Retried(*row) for row in rows), key=lambda one: (one.entity_type, one.phorest_id, one.cause))
