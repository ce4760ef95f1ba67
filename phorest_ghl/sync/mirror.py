"""What GHL holds, as last seen: the mirror tables, and the read-back that fills them.

Belongs here: storing contacts as they were answered or read, loading them, the location's settings. Does not: deciding
anything from them (`plan`), writing to GHL (`apply`).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Engine, or_, select, text

from phorest_ghl.db.forgotten import is_forgotten_sql, pads
from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.tables import ghl_contacts
from phorest_ghl.ghl.client import GhlReader
from phorest_ghl.ghl.models import Contact, DndSetting, Location
from phorest_ghl.sync import consent
from phorest_ghl.sync.consent import BY_EMAIL, Channel

SeenBy = Literal["search", "read", "answer"]

_STANDARD = ("street_address", "city", "state", "postal_code", "country", "date_of_birth")


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
    tags: frozenset[str] = frozenset()
    date_updated: datetime | None = None
    street_address: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    date_of_birth: str | None = None


@dataclass(frozen=True)
class LocationState:
    """A location as we know it: its going-live state and the settings that its last read showed."""

    location_id: str
    mode: Literal["quiet", "live"]
    allows_duplicates: bool | None
    unique_identifiers: tuple[str, ...] | None
    mirrored_at: datetime | None
    workflows_confirmed_at: datetime | None
    polled_at: datetime | None = None
    fields_read_at: datetime | None = None
    live_at: datetime | None = None

    @property
    def quiet(self) -> bool:
        """Whether everything that is written must carry the guard tag (S1)."""
        return self.mode == "quiet"

    @property
    def refuses_duplicates_by(self) -> frozenset[str]:
        """Addresses ("email", "phone") that GHL itself refuses to hold twice; empty where it does not say (S15)."""
        if self.allows_duplicates is not False or not self.unique_identifiers:
            return frozenset()
        return frozenset(self.unique_identifiers)


_STORE = text(f"""
    insert into ghl_contacts (location_id, ghl_id, first_name, last_name, email, phone, street_address, city, state,
                              postal_code, country, date_of_birth, dnd, dnd_settings, custom_fields, tags, date_added,
                              date_updated, seen_at, seen_by)
    select :location_id, ghl_id, first_name, last_name, email, phone, street_address, city, state, postal_code, country,
           date_of_birth, dnd, dnd_settings, custom_fields, tags, date_added, date_updated, now(), :seen_by
    from jsonb_to_recordset(cast(:contacts as jsonb)) as c (
        ghl_id text, first_name text, last_name text, email text, phone text, street_address text, city text, state text,
        postal_code text, country text, date_of_birth text, dnd boolean, dnd_settings jsonb, custom_fields jsonb,
        tags jsonb, date_added timestamptz, date_updated timestamptz)
    where not {is_forgotten_sql("contact", "ghl_id")}
    on conflict (location_id, ghl_id) do update set
        first_name = excluded.first_name, last_name = excluded.last_name, email = excluded.email, phone = excluded.phone,
        street_address = excluded.street_address, city = excluded.city, state = excluded.state,
        postal_code = excluded.postal_code, country = excluded.country, date_of_birth = excluded.date_of_birth,
        dnd = coalesce(excluded.dnd, ghl_contacts.dnd), dnd_settings = excluded.dnd_settings,
        custom_fields = excluded.custom_fields, tags = excluded.tags,
        date_added = coalesce(excluded.date_added, ghl_contacts.date_added), date_updated = excluded.date_updated,
        seen_at = excluded.seen_at, seen_by = excluded.seen_by, gone_at = null
    -- Search lags and leaves consent out: it never replaces what a read or an answer showed, unless it is newer (S10).
    -- Nor does a read that was under way while somebody saw a newer state.
    where case when excluded.seen_by <> 'search' or ghl_contacts.seen_by = 'search'
               then coalesce(excluded.date_updated >= ghl_contacts.date_updated, true)
               else excluded.date_updated > ghl_contacts.date_updated end
""")  # noqa: S608 - text of ours


def store(
    connection: Connection,
    location_id: str,
    contacts: Iterable[Contact],
    *,
    seen_by: SeenBy,
    keyring: Keyring,
    batch_id: str,
) -> None:
    """Keep contacts as seen; not those of people who were forgotten, which may still be in GHL (S21).

    Blocks that are not ours, and `dnd`, which closes a whole contact and is never ours, go on record as causes of GHL's,
    unless only a search showed them. A read by id that shows the channel open again, or `dnd` off, takes them off at the
    addresses that the contact has then: who is reached at another one has not agreed by that (S7, S10).
    """
    found = list(contacts)
    rows = [_row(contact) for contact in found]
    connection.execute(
        _STORE,
        {"location_id": location_id, "seen_by": seen_by, "contacts": orjson.dumps(rows).decode(), **pads(keyring)},
    )
    if seen_by != "search":
        _suppress(connection, location_id, found, keyring, batch_id)
    if seen_by == "read":
        _reverse(connection, location_id, found, keyring)


def mark_gone(connection: Connection, location_id: str, ghl_id: str) -> None:
    """GHL said that this contact no longer exists."""
    connection.execute(
        text("update ghl_contacts set gone_at = now() where location_id = :location_id and ghl_id = :ghl_id"),
        {"location_id": location_id, "ghl_id": ghl_id},
    )


def load(connection: Connection, location_id: str) -> dict[str, MirrorContact]:
    """All contacts of the mirror, by id, gone ones included."""
    rows = connection.execute(
        select(*(ghl_contacts.c[name] for name in _COLUMNS))
        .where(ghl_contacts.c.location_id == location_id)
        .order_by(ghl_contacts.c.ghl_id)
    ).all()
    return {row[0]: _held(row) for row in rows}


def load_some(
    connection: Connection,
    location_id: str,
    *,
    ghl_ids: Collection[str] = (),
    addresses: Collection[str] = (),
    carrying: tuple[str, Collection[str]] | None = None,
) -> dict[str, MirrorContact]:
    """The contacts of these ids, at these addresses, or with one of these values in a custom field; gone ones included."""
    held = ghl_contacts.c
    wanted = [held.ghl_id.in_(ghl_ids), held.email.in_(addresses), held.phone.in_(addresses)]
    if carrying is not None:
        wanted.append(held.custom_fields[carrying[0]].astext.in_(carrying[1]))
    rows = connection.execute(
        select(*(held[name] for name in _COLUMNS))
        .where(held.location_id == location_id, or_(*wanted))
        .order_by(held.ghl_id)
    ).all()
    return {row[0]: _held(row) for row in rows}


_COLUMNS = tuple(column.name for column in fields(MirrorContact))
_SETTINGS, _TAGS = _COLUMNS.index("dnd_settings"), _COLUMNS.index("tags")


def _held(row: Sequence[Any]) -> MirrorContact:
    """A contact of the mirror from its columns, in the order of `MirrorContact`."""
    values = list(row)
    settings: dict[str, dict[str, Any]] | None = values[_SETTINGS]
    values[_SETTINGS] = None if settings is None else {name: _setting(**held) for name, held in settings.items()}
    values[_TAGS] = frozenset(values[_TAGS])
    return MirrorContact(*values)


@lru_cache(maxsize=10_000)  # thousands of contacts, and few ways to be blocked or open
def _setting(**held: Any) -> DndSetting:
    return DndSetting.model_validate(held)


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
        text("""select location_id, mode, allows_duplicates, unique_identifiers, mirrored_at, workflows_confirmed_at,
                       polled_at, fields_read_at, live_at
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
        row.polled_at,
        row.fields_read_at,
        row.live_at,
    )


def confirm_workflows(connection: Connection, location_id: str, operator: str) -> None:
    """An operator says that published workflows are paused or exclude the guard tag; kept from the first time on."""
    connection.execute(
        text("""update ghl_locations set workflows_confirmed_at = now(), workflows_confirmed_by = :operator
                where location_id = :location_id and workflows_confirmed_at is null"""),
        {"location_id": location_id, "operator": operator},
    )


def note_tag(connection: Connection, location_id: str, ghl_ids: Sequence[str], tag: str, *, add: bool) -> None:
    """GHL confirmed that these contacts have a tag now, or have it no longer."""
    connection.execute(
        text("""update ghl_contacts
                set tags = (tags - cast(:tag as text)) || case when :add then to_jsonb(cast(:tag as text)) else '[]' end
                where location_id = :location_id and ghl_id = any(:ghl_ids)"""),
        {"location_id": location_id, "ghl_ids": list(ghl_ids), "tag": tag, "add": add},
    )


def note_poll(connection: Connection, location_id: str, until: datetime) -> None:
    """Opt-outs have been asked for up to here, by GHL's clock."""
    connection.execute(
        text("update ghl_locations set polled_at = greatest(polled_at, :until) where location_id = :location_id"),
        {"location_id": location_id, "until": until},
    )


def address_key(keyring: Keyring, address: str) -> str:
    """The keyed hash under which an email or phone is known to the ledgers."""
    return keyring.digest("address", address)


def _suppress(
    connection: Connection, location_id: str, contacts: Sequence[Contact], keyring: Keyring, batch_id: str
) -> None:
    rows = [
        {**row, "batch_id": batch_id}
        for contact in contacts
        for cause, channels in (
            (consent.GHL, consent.foreign_blocks(contact.dnd_settings)),
            # What closes a contact that was made for the staff says nothing of a client at its address (S17).
            (
                consent.GHL_ALL,
                tuple(Channel) if contact.dnd and not consent.closed_for_staff(contact.dnd_settings) else (),
            ),
        )
        for row in _causes(location_id, contact, cause, channels, keyring)
    ]
    if rows:
        connection.execute(
            text("""
                insert into suppressions (location_id, address_key, channel, cause, source_id, batch_id)
                values (:location_id, :address_key, :channel, :cause, :source_id, :batch_id) on conflict do nothing
            """),
            rows,
        )


def _reverse(connection: Connection, location_id: str, contacts: Sequence[Contact], keyring: Keyring) -> None:
    """Blocks of GHL's that somebody there has lifted: the contact, read by id, shows the channel open, or `dnd` off."""
    rows = [
        {**row, "date_updated": contact.date_updated}
        for contact in contacts
        for cause, channels in (
            (consent.GHL, consent.shown_open(contact.dnd_settings)),
            (consent.GHL_ALL, tuple(Channel) if contact.dnd is False else ()),
        )
        for row in _causes(location_id, contact, cause, channels, keyring)
    ]
    if rows:
        connection.execute(
            text("""
                update suppressions set lifted_at = now()
                where location_id = :location_id and cause = :cause and source_id = :source_id and channel = :channel
                      and address_key = :address_key and lifted_at is null and not exists (
                          -- Somebody else has seen a newer state meanwhile, and put the cause on record by it.
                          select from ghl_contacts as newer
                          where newer.location_id = :location_id and newer.ghl_id = :source_id
                                and newer.date_updated > :date_updated)
            """),
            rows,
        )


def _causes(
    location_id: str, contact: Contact, cause: str, channels: Iterable[Channel], keyring: Keyring
) -> list[dict[str, Any]]:
    """One cause of GHL's on these channels, at the contact's addresses."""
    return [
        {
            "location_id": location_id,
            "address_key": address_key(keyring, address),
            "channel": channel.value,
            "cause": cause,
            "source_id": contact.id,
        }
        for channel in channels
        if (address := _email(contact) if channel in BY_EMAIL else contact.phone)
    ]


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
        **{name: getattr(contact, name) for name in _STANDARD},
        "dnd": contact.dnd,
        "dnd_settings": None if settings is None else {name: setting.wire() for name, setting in settings.items()},
        "custom_fields": contact.custom_fields,
        "tags": contact.tags,
        "date_added": contact.date_added,
        "date_updated": contact.date_updated,
    }
