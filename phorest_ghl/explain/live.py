"""What GHL holds of one record right now, read by id and kept in the mirror as every read is.

Belongs here: the one read. Does not: what is made of it (`client`, `appointment`).
"""

from sqlalchemy import Engine

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.ghl.calendars import CalendarReader
from phorest_ghl.ghl.client import GhlReader
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.sync import mirror
from phorest_ghl.sync.events import mirror as event_mirror


def look_at_contact(engine: Engine, reader: GhlReader, keyring: Keyring, ghl_id: str, *, batch_id: str) -> None:
    """Read a contact; one that is gone is marked so. What it shows of consent goes on record (S7). Raises ApiError."""
    try:
        contact = reader.contact(ghl_id)
    except ApiError as error:
        if error.category is not Category.GONE:
            raise
        in_transaction(engine, lambda c: mirror.mark_gone(c, reader.location_id, ghl_id))
        return
    in_transaction(
        engine,
        lambda c: mirror.store(c, reader.location_id, [contact], seen_by="read", keyring=keyring, batch_id=batch_id),
    )


def look_at_event(engine: Engine, reader: CalendarReader, ghl_id: str) -> None:
    """Read an event; one that is gone is marked so. Raises ApiError."""
    try:
        event = reader.event(ghl_id)
    except ApiError as error:
        if error.category is not Category.GONE:
            raise
        in_transaction(engine, lambda c: event_mirror.mark_gone(c, reader.location_id, ghl_id))
        return
    in_transaction(engine, lambda c: event_mirror.store(c, reader.location_id, [event]))
