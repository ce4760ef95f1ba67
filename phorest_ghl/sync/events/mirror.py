"""GHL's events as last seen: the table, and the read-back that fills it once.

Belongs here: storing events as they were answered or read, loading them. Does not: deciding anything from them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.ghl.calendars import CalendarReader, Event
from phorest_ghl.sync.events.projection import (
    CALENDAR,
    DESCRIPTION,
    END,
    START,
    STATUS,
    TITLE,
    USER,
    moment_text,
)

_PIECE = timedelta(days=90)
"""Windows of this length are known to work (facts/ghl-api §11.4)."""


@dataclass(frozen=True, slots=True)
class MirrorEvent:
    """An event in GHL as last seen. Times are aware."""

    ghl_id: str
    calendar_id: str | None
    contact_id: str | None
    title: str | None
    description: str | None
    status: str | None
    user_id: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    gone: bool

    @property
    def values(self) -> dict[str, str]:
        """What it holds by field, as `DesiredEvent.values`."""
        return {
            CALENDAR: self.calendar_id or "",
            TITLE: self.title or "",
            DESCRIPTION: self.description or "",
            START: moment_text(self.starts_at),
            END: moment_text(self.ends_at),
            STATUS: self.status or "",
            USER: self.user_id or "",
        }


_STORE = text("""
    insert into ghl_events (location_id, ghl_id, calendar_id, contact_id, title, description, status, user_id, starts_at,
                            ends_at, date_added, created_by, seen_at)
    select :location_id, ghl_id, calendar_id, contact_id, title, description, status, user_id, starts_at, ends_at,
           date_added, created_by, now()
    from jsonb_to_recordset(cast(:events as jsonb)) as e (
        ghl_id text, calendar_id text, contact_id text, title text, description text, status text, user_id text,
        starts_at timestamptz, ends_at timestamptz, date_added timestamptz, created_by jsonb)
    on conflict (location_id, ghl_id) do update set
        calendar_id = coalesce(excluded.calendar_id, ghl_events.calendar_id),
        contact_id = coalesce(excluded.contact_id, ghl_events.contact_id),
        title = coalesce(excluded.title, ghl_events.title),
        description = coalesce(excluded.description, ghl_events.description),
        status = coalesce(excluded.status, ghl_events.status),
        user_id = coalesce(excluded.user_id, ghl_events.user_id),
        starts_at = coalesce(excluded.starts_at, ghl_events.starts_at),
        ends_at = coalesce(excluded.ends_at, ghl_events.ends_at),
        date_added = coalesce(excluded.date_added, ghl_events.date_added),
        created_by = coalesce(excluded.created_by, ghl_events.created_by),
        seen_at = excluded.seen_at, gone_at = null
""")


def store(connection: Connection, location_id: str, events: Iterable[Event]) -> None:
    """Keep events as seen; a member that an answer leaves out stays as it was."""
    rows = [
        {
            "ghl_id": event.id,
            "calendar_id": event.calendar_id,
            "contact_id": event.contact_id,
            "title": event.title,
            "description": event.description,
            "status": event.status,
            "user_id": event.user_id,
            "starts_at": event.starts_at,
            "ends_at": event.ends_at,
            "date_added": event.date_added,
            "created_by": event.created_by,
        }
        for event in events
    ]
    if rows:
        connection.execute(_STORE, {"location_id": location_id, "events": orjson.dumps(rows).decode()})


def load(connection: Connection, location_id: str) -> dict[str, MirrorEvent]:
    """The events of our appointments, by GHL id, those that are gone among them."""
    rows = connection.execute(
        text("""select e.ghl_id, calendar_id, contact_id, title, description, status, user_id, starts_at, ends_at,
                       gone_at is not null
                from ghl_events e join entity_mappings m on m.location_id = e.location_id and m.ghl_id = e.ghl_id
                     and m.entity_type = 'appointment' and m.removed_at is null
                where e.location_id = :location_id"""),
        {"location_id": location_id},
    )
    return {row[0]: MirrorEvent(*row) for row in rows}


def load_one(connection: Connection, location_id: str, ghl_id: str) -> MirrorEvent:
    """An event that was stored."""
    row = connection.execute(
        text("""select ghl_id, calendar_id, contact_id, title, description, status, user_id, starts_at, ends_at,
                       gone_at is not null
                from ghl_events where location_id = :location_id and ghl_id = :ghl_id"""),
        {"location_id": location_id, "ghl_id": ghl_id},
    ).one()
    return MirrorEvent(*row)


def mark_gone(connection: Connection, location_id: str, ghl_id: str) -> None:
    """GHL said that the event no longer exists."""
    connection.execute(
        text("update ghl_events set gone_at = now() where location_id = :location_id and ghl_id = :ghl_id"),
        {"location_id": location_id, "ghl_id": ghl_id},
    )


def was_read_back(connection: Connection, location_id: str) -> bool:
    """Whether the location's calendars were ever read."""
    return connection.execute(
        text("select events_read_at is not null from ghl_locations where location_id = :location_id"),
        {"location_id": location_id},
    ).scalar_one()


def read_back(engine: Engine, reader: CalendarReader, calendars: Iterable[str], first: datetime, last: datetime) -> int:
    """Read what the calendars hold in a window (aware), piece by piece; how many events. Raises ApiError."""
    found = 0
    for calendar_id in calendars:
        start = first
        while start < last:
            end = min(start + _PIECE, last)
            events = reader.events(calendar_id, start, end)
            found += len(events)
            in_transaction(engine, lambda c, events=events: store(c, reader.location_id, events))
            start = end
    in_transaction(
        engine,
        lambda c: c.execute(
            text("update ghl_locations set events_read_at = now() where location_id = :location_id"),
            {"location_id": reader.location_id},
        ),
    )
    return found
