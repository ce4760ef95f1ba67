"""Forgetting one person, from the tombstone to the proof (safety S21).

Belongs here: the order, which is what makes it safe to kill anywhere and to repeat. Does not: any of the steps.

1. The tombstone, and here the person counts as deleted in Phorest: whatever dies from now on, nothing brings anybody back.
2. GHL: future events are cancelled without a word, the contact ends.
3. Ids in logs and in Dagster's storage.
4. All rows and columns of the registry in one transaction, which also writes the proof. Until then the ids are still known,
   so that a repeat finds its way; after it there is nothing to repeat.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.run_lock import alone
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.ghl.calendars import CalendarClient
from phorest_ghl.ghl.models import Contact
from phorest_ghl.privacy import contacts, erase
from phorest_ghl.privacy.contacts import Done
from phorest_ghl.privacy.people import Person, find
from phorest_ghl.sync import mirror
from phorest_ghl.sync.consent import Policy


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What forgetting would do: whose ids they are, and rows by table. `done_at` is set where it is done already."""

    client_id: str
    person: Person | None = field(repr=False)
    rows: dict[str, int]
    done_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What was done: in GHL, and rows by table; `places` are files and rows of Dagster's with ids in them."""

    in_ghl: Done
    rows: dict[str, int]
    files: int
    dagster_rows: int


@dataclass(frozen=True)
class Forgetting:
    """Forgets people of one location.

    `scrub` replaces ids where they were written down in passing, given the pattern that finds them; it answers in how many
    files and in how many rows of Dagster's there were any.
    """

    engine: Engine
    client: CalendarClient
    keyring: Keyring
    policy: Policy
    scrub: Callable[[str], tuple[int, int]]

    def preview(self, client_id: str) -> Preview:
        """What would be done. Raises NobodyFound, KeyMismatch, ApiError."""
        now = self.client.now() or datetime.now(UTC)

        def ask(connection: Connection) -> Preview:
            self.keyring.require_same(connection)
            done_at = erase.completed(connection, self.keyring, client_id)
            if done_at is not None:
                return Preview(client_id=client_id, person=None, rows={}, done_at=done_at)
            person = find(connection, self.client.location_id, client_id, now)
            return Preview(client_id=client_id, person=person, rows=erase.count(connection, person))

        return in_transaction(self.engine, ask)

    def forget(self, client_id: str, *, operator: str, keep_contacts: bool) -> Forgotten:
        """Forget the person. Safe to kill and to repeat. Raises NobodyFound, LocationBusy, ApiError."""
        with alone(self.engine, self.client.location_id):
            person = self.preview(client_id).person
            assert person is not None
            in_transaction(
                self.engine,
                lambda c: erase.begin(
                    c,
                    self.keyring,
                    person,
                    named=client_id,
                    operator=operator,
                    location_id=self.client.location_id,
                    policy=self.policy,
                ),
            )
            in_ghl = contacts.carry_out(
                self.client, person, self._fields(), keep_contacts=keep_contacts, seen=self._seen
            )
            files, dagster_rows = self.scrub(person.mask)
            rows = in_transaction(self.engine, lambda c: erase.finish(c, self.keyring, person, named=client_id))
        return Forgotten(in_ghl=in_ghl, rows=rows, files=files, dagster_rows=dagster_rows)

    def still_carrying(self, person: Person) -> list[str]:
        """Contacts of others that still carry an address which was the person's alone. Raises ApiError."""
        return contacts.still_carrying(self.client, person)

    def _seen(self, contact: Contact) -> None:
        in_transaction(
            self.engine,
            lambda c: mirror.store(
                c, self.client.location_id, [contact], seen_by="answer", keyring=self.keyring, batch_id="forget"
            ),
        )

    def _fields(self) -> list[str]:
        with self.engine.connect() as connection:
            found = connection.execute(
                text("select field_id from ghl_fields where location_id = :location_id"),
                {"location_id": self.client.location_id},
            )
            return list(found.scalars())
