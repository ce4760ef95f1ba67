"""The opt-outs that people and carriers set in GHL, asked for in every run (safety S11).

Belongs here: whom to ask about, and up to when we have asked. Does not: what a block means (`consent`), sending it home to
Phorest. A hit of a search only nominates a contact; the read by id decides.

Where GHL does not know the filters (they came in June 2026), that is a finding and the run goes on. Channels are opened all
the same: no opening rests on the poll, for the contact is read by id right before it and right after (S10). What stays
unseen until its contact is read is a block on another contact at the same address, and the finding says so.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.ghl.client import GhlReader
from phorest_ghl.ghl.models import Contact
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.sync import mirror
from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.lookup import read_contact

_log = structlog.get_logger(__name__)

NOT_POLLED = "opt-outs cannot be polled"
"""The kind of the finding; open for as long as it is so."""
_MARGIN = timedelta(seconds=2)  # dates are compared that GHL prints, of which one may be cut to whole seconds


@dataclass(frozen=True)
class Polled:
    """How many contacts a poll named, and how many of them had to be read."""

    hits: int
    read: int


def poll(
    engine: Engine,
    reader: GhlReader,
    keyring: Keyring,
    *,
    since: datetime | None,
    now: datetime,
    lag_s: float,
    addresses: Callable[[], Collection[str]],
    ledger: Ledger,
) -> Polled:
    """Ask which blocked contacts changed since the last poll, and read those that we have not seen as they are now.

    Of contacts that are not ours, those count that hold an address of our clients: who is reached there next must not be
    written to either.

    Args:
        engine: the database.
        reader: the location.
        keyring: keys addresses.
        since: up to when the last poll asked, by GHL's clock; None to ask about every blocked contact.
        now: GHL's clock now.
        lag_s: how long a write may take to show in search, seconds.
        addresses: every usable address of our clients; asked for only if a contact that is not ours turns up.
        ledger: of the run; findings go there.

    Raises ApiError, but not where GHL does not know the filters. What was seen until then is kept, and the next poll asks
    again from `since`.
    """
    hits = read = 0
    ours: Collection[str] | None = None
    try:
        for page in _pages(reader, None if since is None else since - timedelta(seconds=2 * lag_s) - _MARGIN):
            hits += len(page)
            news = in_transaction(engine, lambda connection, page=page: _news(connection, reader.location_id, page))
            for contact, mapped in news:
                if not mapped:
                    ours = addresses() if ours is None else ours
                    if not {(contact.email or "").lower(), contact.phone} & set(ours):
                        continue
                found = read_contact(reader, contact.id)
                read += 1
                if found is not None:
                    in_transaction(engine, lambda connection, found=found: _keep(connection, ledger, found, keyring))
    except _FiltersUnknown:
        _log.warning("opt_outs_not_polled")
        in_transaction(engine, lambda connection: _note(connection, ledger))
        return Polled(hits, read)
    in_transaction(engine, lambda connection: _asked(connection, ledger, now))
    if read:
        _log.info("opt_outs_polled", hits=hits, read=read)
    return Polled(hits, read)


class _FiltersUnknown(Exception):
    """GHL refused the search for its filters."""


def _pages(reader: GhlReader, since: datetime | None) -> Iterator[list[Contact]]:
    try:
        yield from reader.opted_out(since)
    except ApiError as error:
        if error.category is Category.INVALID:
            raise _FiltersUnknown from error
        raise


def _note(connection: Connection, ledger: Ledger) -> None:
    detail = {"refused": "the filters of dndSettings", "unseen": "blocks on contacts that no run reads"}
    ledger.note_finding(connection, NOT_POLLED, phorest_id=None, ghl_id=None, detail=detail)


def _asked(connection: Connection, ledger: Ledger, until: datetime) -> None:
    """Everything up to here has been asked for; if that was not possible before, it is again."""
    mirror.note_poll(connection, ledger.location_id, until)
    ledger.resolve_everywhere(connection, NOT_POLLED)


def _news(connection: Connection, location_id: str, page: list[Contact]) -> list[tuple[Contact, bool]]:
    """The contacts of a page that changed since we saw them by a read or an answer, and whether each is mapped."""
    rows = connection.execute(
        text("""
            select m.ghl_id, m.date_updated, m.seen_by,
                   exists (select from entity_mappings e where e.location_id = m.location_id and e.ghl_id = m.ghl_id
                                  and e.removed_at is null) as mapped
            from ghl_contacts m where m.location_id = :location_id and m.ghl_id = any(:ghl_ids)
        """),
        {"location_id": location_id, "ghl_ids": [contact.id for contact in page]},
    )
    known = {row.ghl_id: row for row in rows}
    return [
        (contact, row is not None and row.mapped)
        for contact in page
        if (row := known.get(contact.id)) is None or _is_news(contact, row)
    ]


def _is_news(contact: Contact, row: Row[Any]) -> bool:
    """Whether it changed since we read it, whatever the search shows of its consent: that decides nothing (S10).

    A tag of ours by a bulk call, which answers no date, is such a change too: its contact is read once more, and then known.
    """
    if row.date_updated is None or contact.date_updated is None or row.seen_by == "search":
        return True
    return contact.date_updated > row.date_updated


def _keep(connection: Connection, ledger: Ledger, found: Contact, keyring: Keyring) -> None:
    mirror.store(connection, ledger.location_id, [found], seen_by="read", keyring=keyring, batch_id=ledger.batch_id)
