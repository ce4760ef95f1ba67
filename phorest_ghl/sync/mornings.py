"""Clients of whom something waits for the morning, as work items, so that the first run after it goes on with them (S5).

Belongs here: noting them, closing them, finding who is due. Does not: what waits (`quiet_hours`), carrying it out.
"""

from collections.abc import Collection
from datetime import datetime

import orjson
from sqlalchemy import Connection, text

from phorest_ghl.sync.plan import Plan
from phorest_ghl.sync.quiet_hours import QUIET_HOURS

_NOTE = text("""
    insert into work_items (location_id, entity_type, phorest_id, cause, reason, detail, next_try_at)
    select :location_id, :entity_type, key, :cause, 'what may start a workflow waits for the morning', '{}',
           value::timestamptz
    from jsonb_each_text(cast(:mornings as jsonb))
    on conflict (location_id, entity_type, phorest_id, cause) where state = 'open'
    do update set next_try_at = excluded.next_try_at, updated_at = now()
""")

# In a live location the tag is on contacts alone that were made at night; a contact found later has it without an item.
_GUARDED = """
    select m.phorest_id from guarded_contacts g join entity_mappings m using (location_id, ghl_id)
    where location_id = :location_id and m.entity_type = :entity_type and m.removed_at is null and g.released_at is null
"""

_CLOSE = text(f"""
    update work_items set state = 'resolved', resolved_at = now(), updated_at = now()
    where state = 'open' and location_id = :location_id and entity_type = :entity_type and cause = :cause
          and (cast(:looked_at as text[]) is null or phorest_id = any(:looked_at)) and phorest_id <> all(:waiting)
          and phorest_id not in ({_GUARDED})
""")  # noqa: S608 - a text of ours

_DUE = text(f"""
    select phorest_id from work_items
    where state = 'open' and location_id = :location_id and entity_type = :entity_type and cause = :cause
          and next_try_at <= :now
    union
    {_GUARDED} and not exists (
        select from work_items w
        where w.state = 'open' and w.location_id = :location_id and w.entity_type = :entity_type and w.cause = :cause
              and w.phorest_id = m.phorest_id and w.next_try_at > :now)
    order by phorest_id
""")  # noqa: S608 - a text of ours


def note(connection: Connection, location_id: str, entity_type: str, plan: Plan, *, whole: bool) -> None:
    """Keep who waits by this plan, each until its moment. A plan of whole contacts also ends the waiting of the others.

    Whose contact carries the guard tag waits until it is off.
    """
    values = {"location_id": location_id, "entity_type": entity_type, "cause": QUIET_HOURS}
    if plan.mornings:
        mornings = {key: until.isoformat() for key, until in plan.mornings.items()}
        connection.execute(_NOTE, {**values, "mornings": orjson.dumps(mornings).decode()})
    if whole:
        looked_at = None if plan.looked_at is None else sorted(plan.looked_at)
        connection.execute(_CLOSE, {**values, "looked_at": looked_at, "waiting": sorted(plan.mornings)})


def guarded_still(
    connection: Connection, location_id: str, entity_type: str, ghl_ids: Collection[str], until: datetime
) -> None:
    """Keep the clients of contacts that carry the guard tag still waiting until then."""
    if not ghl_ids:
        return
    values = {"location_id": location_id, "entity_type": entity_type, "cause": QUIET_HOURS}
    rows = connection.execute(
        text("""select phorest_id from entity_mappings where location_id = :location_id and entity_type = :entity_type
                and removed_at is null and role = 'primary' and ghl_id = any(:ghl_ids)"""),
        {**values, "ghl_ids": list(ghl_ids)},
    )
    mornings = {row.phorest_id: until.isoformat() for row in rows}
    connection.execute(_NOTE, {**values, "mornings": orjson.dumps(mornings).decode()})


def due(connection: Connection, location_id: str, entity_type: str, now: datetime) -> list[str]:
    """The clients of a live location whose moment has come, sorted; who carries the guard tag for nothing is among them."""
    rows = connection.execute(
        _DUE,
        {"location_id": location_id, "entity_type": entity_type, "cause": QUIET_HOURS, "now": now},
    )
    return [row.phorest_id for row in rows]
