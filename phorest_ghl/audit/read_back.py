"""What GHL holds, read into the mirror: all contacts, the events of a window, the notes of recent visits, our fields.

Belongs here: what is read, in which order, within the audit's share of the day, and what was not looked at. Does not:
comparing (`compare`). What a list does not show, or shows otherwise than the mirror, is doubtful until it is read by id.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Row, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.ghl.calendars import CalendarReader
from phorest_ghl.ghl.models import Contact
from phorest_ghl.ghl.notes import NotesReader
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.sync import consent, mirror
from phorest_ghl.sync.events import mirror as event_mirror
from phorest_ghl.sync.lookup import read_contact
from phorest_ghl.sync.notes.visits import mark

T = TypeVar("T")


@dataclass
class Seen:
    """What a read-back saw. `unread` counts what was doubtful and not read by id, by what it is."""

    contacts: int = 0
    total: int | None = None
    events: int = 0
    notes: int = 0
    doubtful: set[str] = field(default_factory=set[str])
    without_consent: int = 0
    twice_noted: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    fields_changed: list[str] = field(default_factory=list[str])
    unread: dict[str, int] = field(default_factory=dict[str, int])


class ReadBack:
    """Reads one location. `allowance` is how many requests by id it may send, besides the lists."""

    def __init__(
        self,
        engine: Engine,
        calendars: CalendarReader,
        notes: NotesReader,
        keyring: Keyring,
        *,
        batch_id: str,
        allowance: int,
    ) -> None:
        self._engine = engine
        self._calendars = calendars
        self._notes = notes
        self._keyring = keyring
        self._batch_id = batch_id
        self._location_id = calendars.location_id
        self._left = allowance
        self.seen = Seen()
        self.confirmed: set[str] = set()
        """Contacts and events that were read by id, or are known to be gone."""

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return self._calendars.requests + self._notes.requests

    def fields(self) -> None:
        """Which fields of ours have another type or name than they were made with, or are not there. Raises ApiError."""
        listed = {one.id: one for one in self._calendars.custom_fields()}
        rows = self._ask("select field_key, field_id, data_type from ghl_fields where location_id = :location_id")
        self.seen.fields_changed = sorted(
            row.field_key
            for row in rows
            if (one := listed.get(row.field_id)) is None
            or (one.data_type, one.field_key) != (row.data_type, row.field_key)
        )

    def contacts(self) -> None:
        """Every contact by search; those of the mirror that it does not list, by id. Raises ApiError."""
        listed: set[str] = set()

        def counted(total: int) -> None:
            self.seen.total = total

        for page in self._calendars.all_contacts(counted=counted):
            in_transaction(self._engine, lambda connection, page=page: self._page(connection, page))
            listed.update(contact.id for contact in page)
        self.seen.contacts = len(listed)
        rows = self._ask("select ghl_id from ghl_contacts where location_id = :location_id and gone_at is null")
        self.by_id([row.ghl_id for row in rows if row.ghl_id not in listed], "contacts that search does not list")

    def _page(self, connection: Connection, page: Sequence[Contact]) -> None:
        """Keep a page; what it shows of consent otherwise than the mirror, at the same state, is doubtful."""
        before = mirror.load_some(connection, self._location_id, ghl_ids=[contact.id for contact in page])
        for contact in page:
            if contact.dnd_settings is None:
                self.seen.without_consent += 1
                continue
            held = before.get(contact.id)
            if held is None or held.seen_by == "search" or held.date_updated != contact.date_updated:
                continue
            if consent.shown_open(contact.dnd_settings) != consent.shown_open(held.dnd_settings):
                self.seen.doubtful.add(contact.id)
        mirror.store(
            connection, self._location_id, page, seen_by="search", keyring=self._keyring, batch_id=self._batch_id
        )

    def consent_in_rotation(self) -> None:
        """Where search leaves consent out: read by id, those who may be written to first, then the longest unread."""
        if not self.seen.without_consent:
            return
        rows = self._ask("""
            select c.ghl_id from ghl_contacts c
            where location_id = :location_id and gone_at is null and exists (
                select from entity_mappings m where m.location_id = c.location_id and m.ghl_id = c.ghl_id
                       and m.entity_type = 'client' and m.removed_at is null)
            order by coalesce(dnd, false), seen_by <> 'search', seen_at, ghl_id""")
        self.by_id([row.ghl_id for row in rows], "contacts whose consent search leaves out")

    def by_id(self, ghl_ids: Iterable[str], what: str) -> int:
        """Read contacts by id, once an audit; how many were read. What is left for want of requests is counted."""

        def one(ghl_id: str) -> None:
            found = read_contact(self._calendars, ghl_id)

            def keep(connection: Connection) -> None:
                if found is None:
                    mirror.mark_gone(connection, self._location_id, ghl_id)
                    return
                mirror.store(
                    connection,
                    self._location_id,
                    [found],
                    seen_by="read",
                    keyring=self._keyring,
                    batch_id=self._batch_id,
                )

            in_transaction(self._engine, keep)

        return self._each(ghl_ids, one, what)

    def events(self, calendars: Iterable[str], first: datetime, last: datetime) -> None:
        """The events of a window (aware); ours of these days that no calendar lists, by id. Raises ApiError."""
        started = in_transaction(self._engine, lambda c: c.execute(text("select now()")).scalar_one())
        self.seen.events = event_mirror.read_back(self._engine, self._calendars, calendars, first, last)
        rows = self._ask(
            """select e.ghl_id from ghl_events e join entity_mappings m on m.location_id = e.location_id
                   and m.ghl_id = e.ghl_id and m.entity_type = 'appointment' and m.removed_at is null
               where e.location_id = :location_id and gone_at is null and seen_at < :started
                     and starts_at between :first and :last""",
            started=started,
            first=first,
            last=last,
        )
        self.events_by_id([row.ghl_id for row in rows], "events that their calendar does not list")

    def events_by_id(self, ghl_ids: Iterable[str], what: str) -> int:
        """Read events by id, once an audit; how many were read."""

        def one(ghl_id: str) -> None:
            found = _or_gone(lambda: self._calendars.event(ghl_id))

            def keep(connection: Connection) -> None:
                if found is None or found.deleted:
                    event_mirror.mark_gone(connection, self._location_id, ghl_id)
                else:
                    event_mirror.store(connection, self._location_id, [found])

            in_transaction(self._engine, keep)

        return self._each(ghl_ids, one, what)

    def notes(self, since: datetime) -> None:
        """The notes of contacts with a visit of ours since then (aware): which of ours are gone, or there twice."""
        rows = self._ask(
            """select n.contact_id, n.ghl_id, n.phorest_id from ghl_notes n
                   join phorest_appointments a on a.phorest_id = n.phorest_id
               where n.location_id = :location_id and n.gone_at is null and a.starts_at >= :since
               order by n.contact_id""",
            since=since,
        )
        ours: dict[str, list[tuple[str, str]]] = {}
        for row in rows:
            ours.setdefault(row.contact_id, []).append((row.ghl_id, row.phorest_id))

        def one(contact_id: str) -> None:
            found = _or_gone(lambda: self._notes.notes(contact_id))
            there = {note.id: note.words for note in found or ()}
            self.seen.notes += len(there)
            for note_id, phorest_id in ours[contact_id]:
                if note_id not in there and self._note_is_gone(contact_id, note_id):
                    in_transaction(self._engine, lambda c, note_id=note_id: self._mark_note_gone(c, note_id))
                if sum(mark(phorest_id) in words for words in there.values()) > 1:
                    self.seen.twice_noted.append((phorest_id, note_id))

        self._each(ours, one, "contacts whose notes were not read", among=set())

    def _note_is_gone(self, contact_id: str, note_id: str) -> bool:
        return _or_gone(lambda: self._notes.note(contact_id, note_id)) is None

    def _mark_note_gone(self, connection: Connection, note_id: str) -> None:
        connection.execute(
            text("update ghl_notes set gone_at = now() where location_id = :location_id and ghl_id = :ghl_id"),
            {"location_id": self._location_id, "ghl_id": note_id},
        )

    def forget_reads(self) -> None:
        """Whatever is doubtful from here on is read again: something was written meanwhile."""
        self.confirmed.clear()

    def _each(
        self, ids: Iterable[str], one: Callable[[str], object], what: str, *, among: set[str] | None = None
    ) -> int:
        read = self.confirmed if among is None else among
        wanted = [key for key in dict.fromkeys(ids) if key not in read]
        able = wanted[: self._left]
        for key in able:
            one(key)
            self._left -= 1
            read.add(key)
        if len(able) < len(wanted):
            self.seen.unread[what] = len(wanted) - len(able)
        return len(able)

    def _ask(self, sql: str, **values: object) -> Sequence[Row[Any]]:
        with self._engine.connect() as connection:
            return connection.execute(text(sql), {"location_id": self._location_id, **values}).all()


def _or_gone(ask: Callable[[], T]) -> T | None:
    """What GHL answers, or None where it says that there is no such thing."""
    try:
        return ask()
    except ApiError as error:
        if error.category is Category.GONE:
            return None
        raise
