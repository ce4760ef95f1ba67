"""What GHL holds, as last seen: the mirror tables, and the read-back that fills them.

Belongs here: storing contacts as they were answered or read, loading them, the location's settings. Does not: deciding
anything from them (`plan`), writing to GHL (`apply`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.ghl.client import GhlReader
from phorest_ghl.ghl.models import Contact, DndSetting, Location
from phorest_ghl.sync import consent
from phorest_ghl.sync.consent import BY_EMAIL

SeenBy = Literal["search", "read", "answer"]


@dataclass(frozen=True)
class MirrorContact:
    """A contact in GHL as last seen. `dnd_settings` None means that GHL did not say."""

    ghl_id: str
    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None
    dnd_settings: dict[str, DndSetting] | None
    custom_fields: dict[str, Any]
    seen_at: datetime
    seen_by: SeenBy
    gone_at: datetime | None


@dataclass(frozen=True)
class LocationState:
    """A location as we know it: its going-live state and the settings that its last read showed."""

    location_id: str
    mode: Literal["quiet", "live"]
    allows_duplicates: bool | None
    unique_identifiers: tuple[str, ...] | None
    mirrored_at: datetime | None
    workflows_confirmed_at: datetime | None

    @property
    def refuses_duplicates_by(self) -> frozenset[str]:
        """Addresses ("email", "phone") that GHL itself refuses to hold twice; empty where it does not say (S15)."""
        if self.allows_duplicates is not False or not self.unique_identifiers:
            return frozenset()
        return frozenset(self.unique_identifiers)


_STORE = text("""
    insert into ghl_contacts (location_id, ghl_id, first_name, last_name, email, phone, dnd, dnd_settings, custom_fields,
                              tags, date_added, date_updated, seen_at, seen_by)
    select :location_id, ghl_id, first_name, last_name, email, phone, dnd, dnd_settings, custom_fields, tags, date_added,
           date_updated, now(), :seen_by
    from jsonb_to_recordset(cast(:contacts as jsonb)) as c (
        ghl_id text, first_name text, last_name text, email text, phone text, dnd boolean, dnd_settings jsonb,
        custom_fields jsonb, tags jsonb, date_added timestamptz, date_updated timestamptz)
    on conflict (location_id, ghl_id) do update set
        first_name = excluded.first_name, last_name = excluded.last_name, email = excluded.email, phone = excluded.phone,
        dnd = coalesce(excluded.dnd, ghl_contacts.dnd), dnd_settings = excluded.dnd_settings,
        custom_fields = excluded.custom_fields, tags = excluded.tags,
        date_added = coalesce(excluded.date_added, ghl_contacts.date_added), date_updated = excluded.date_updated,
        seen_at = excluded.seen_at, seen_by = excluded.seen_by, gone_at = null
    -- Search lags and leaves consent out: it never replaces what a read or an answer showed, unless it is newer (S10).
    where excluded.seen_by <> 'search' or ghl_contacts.seen_by = 'search'
          or excluded.date_updated > ghl_contacts.date_updated
""")


def store(
    connection: Connection,
    location_id: str,
    contacts: Iterable[Contact],
    *,
    seen_by: SeenBy,
    keyring: Keyring,
    batch_id: str,
) -> None:
    """Keep contacts as seen. Blocks that are not ours go to the suppression ledger, unless only a search showed them (S10)."""
    found = list(contacts)
    rows = [_row(contact) for contact in found]
    connection.execute(
        _STORE, {"location_id": location_id, "seen_by": seen_by, "contacts": orjson.dumps(rows).decode()}
    )
    if seen_by != "search":
        _suppress(connection, location_id, found, keyring, batch_id)


def mark_gone(connection: Connection, location_id: str, ghl_id: str) -> None:
    """GHL said that this contact no longer exists."""
    connection.execute(
        text("update ghl_contacts set gone_at = now() where location_id = :location_id and ghl_id = :ghl_id"),
        {"location_id": location_id, "ghl_id": ghl_id},
    )


def load(connection: Connection, location_id: str) -> dict[str, MirrorContact]:
    """All contacts of the mirror, by id, gone ones included."""
    rows = connection.execute(
        text("""select ghl_id, first_name, last_name, email, phone, dnd_settings, custom_fields, seen_at, seen_by, gone_at
                from ghl_contacts where location_id = :location_id order by ghl_id"""),
        {"location_id": location_id},
    )
    return {
        row.ghl_id: MirrorContact(
            *row[:5],
            dnd_settings=None
            if row.dnd_settings is None
            else {name: DndSetting.model_validate(setting) for name, setting in row.dnd_settings.items()},
            custom_fields=row.custom_fields,
            seen_at=row.seen_at,
            seen_by=row.seen_by,
            gone_at=row.gone_at,
        )
        for row in rows
    }


def read_back(engine: Engine, reader: GhlReader, *, keyring: Keyring, batch_id: str) -> int:
    """Read every contact of the location into the mirror, 500 a request; how many there were (design §7).

    Contacts that the mirror has and the complete read-back does not are left as they are: search lags, so absence in it
    proves nothing. The audit asks for them by id.
    """
    count = 0
    for page in reader.all_contacts():
        with engine.begin() as connection:
            store(connection, reader.location_id, page, seen_by="search", keyring=keyring, batch_id=batch_id)
        count += len(page)
    with engine.begin() as connection:
        connection.execute(
            text("update ghl_locations set mirrored_at = now() where location_id = :location_id"),
            {"location_id": reader.location_id},
        )
    return count


def store_location(connection: Connection, location: Location) -> None:
    """Keep what a location's read showed; a new location starts quiet (safety S1)."""
    connection.execute(
        text("""
            insert into ghl_locations (location_id, timezone, allows_duplicates, unique_identifiers, read_at)
            values (:id, :timezone, :allows_duplicates, cast(:identifiers as jsonb), now())
            on conflict (location_id) do update set timezone = excluded.timezone,
                allows_duplicates = excluded.allows_duplicates, unique_identifiers = excluded.unique_identifiers,
                read_at = excluded.read_at
        """),
        {
            "id": location.id,
            "timezone": location.timezone,
            "allows_duplicates": location.allows_duplicates,
            "identifiers": orjson.dumps(location.unique_identifiers).decode(),
        },
    )


def location_state(connection: Connection, location_id: str) -> LocationState | None:
    """The location as we know it, or None before its first read."""
    row = connection.execute(
        text("""select location_id, mode, allows_duplicates, unique_identifiers, mirrored_at, workflows_confirmed_at
                from ghl_locations where location_id = :location_id"""),
        {"location_id": location_id},
    ).one_or_none()
    if row is None:
        return None
    identifiers = row.unique_identifiers
    return LocationState(
        row.location_id,
        row.mode,
        row.allows_duplicates,
        None if identifiers is None else tuple(identifiers),
        row.mirrored_at,
        row.workflows_confirmed_at,
    )


def confirm_workflows(connection: Connection, location_id: str, operator: str) -> None:
    """An operator says that published workflows are paused or exclude the guard tag; kept from the first time on."""
    connection.execute(
        text("""update ghl_locations set workflows_confirmed_at = now(), workflows_confirmed_by = :operator
                where location_id = :location_id and workflows_confirmed_at is null"""),
        {"location_id": location_id, "operator": operator},
    )


def suppressed_keys(connection: Connection, location_id: str) -> set[tuple[str, str]]:
    """(keyed address, channel) pairs that may not be used, whatever a flag says (safety S9)."""
    rows = connection.execute(
        text("select address_key, channel from suppressions where location_id = :location_id and lifted_at is null"),
        {"location_id": location_id},
    )
    return {(row.address_key, row.channel) for row in rows}


def address_key(keyring: Keyring, address: str) -> str:
    """The keyed hash under which an email or phone is known to the ledgers."""
    return keyring.digest("address", address)


def _suppress(
    connection: Connection, location_id: str, contacts: Sequence[Contact], keyring: Keyring, batch_id: str
) -> None:
    rows = [
        {
            "location_id": location_id,
            "address_key": address_key(keyring, address),
            "channel": channel.value,
            "source_id": contact.id,
            "batch_id": batch_id,
        }
        for contact in contacts
        for channel in consent.foreign_blocks(contact.dnd_settings)
        if (address := _email(contact) if channel in BY_EMAIL else contact.phone)
    ]
    if rows:
        connection.execute(
            text("""
                insert into suppressions (location_id, address_key, channel, cause, source_id, batch_id)
                values (:location_id, :address_key, :channel, 'GHL', :source_id, :batch_id) on conflict do nothing
            """),
            rows,
        )


def _email(contact: Contact) -> str | None:
    return contact.email.lower() if contact.email else None


def _row(contact: Contact) -> dict[str, Any]:
    settings = contact.dnd_settings
    return {
        "ghl_id": contact.id,
        "first_name": contact.given_name,
        "last_name": contact.family_name,
        "email": _email(contact),
        "phone": contact.phone,
        "dnd": contact.dnd,
        "dnd_settings": None if settings is None else {name: setting.wire() for name, setting in settings.items()},
        "custom_fields": contact.custom_fields,
        "tags": contact.tags,
        "date_added": contact.date_added,
        "date_updated": contact.date_updated,
    }
