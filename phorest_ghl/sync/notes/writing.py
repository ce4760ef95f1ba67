"""Put one note on its contact: journalled before it is sent, kept with its id in one transaction afterwards.

Belongs here: the order of journal, request and record for a note. Does not: which notes are missing (`planning`).
"""

import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import structlog
from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.transactions import in_transaction, under_lock
from phorest_ghl.db.work_items import WorkItem, open_items, resolve_items
from phorest_ghl.ghl.notes import Note, NotesClient
from phorest_ghl.http.budget import Lane
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.sync import mirror
from phorest_ghl.sync.contact_updater import UNGUARDED
from phorest_ghl.sync.journal import Intent, IntentState, Ledger
from phorest_ghl.sync.keeper import REJECTED, UNKNOWN
from phorest_ghl.sync.lookup import SEARCH_LAG_S, read_contact
from phorest_ghl.sync.notes.planning import NoteAction, NoteChange
from phorest_ghl.sync.notes.visits import body, content_hash, mark
from phorest_ghl.sync.outcomes import Applied, Outcome, Rejected, Skipped, Unchanged
from phorest_ghl.sync.plan import GONE
from phorest_ghl.sync.refusals import told

_log = structlog.get_logger(__name__)

CHECK_IN_NOTE = "note"
PROJECTION_VERSION = 1
_NOT_DONE = frozenset(
    {
        Category.AUTH,
        Category.SCOPE,
        Category.FORBIDDEN,
        Category.WRONG_REGION,
        Category.RATE_LIMITED,
        Category.QUOTA_EXHAUSTED,
    }
)
"""Refusals at GHL's door, or at ours: nothing was made. After any other one the note is looked up before it is sent again."""


class NoteWriter:
    """Writes the notes of one location, from several threads. `unguarded` are contacts that must not be written to (S1)."""

    def __init__(
        self,
        engine: Engine,
        client: NotesClient,
        ledger: Ledger,
        keyring: Keyring,
        *,
        unguarded: Mapping[str, str],
        lag_s: float = SEARCH_LAG_S,
    ) -> None:
        self._engine = engine
        self._client = client
        self._ledger = ledger
        self._keyring = keyring
        self._unguarded = unguarded
        self._lag_s = lag_s

    def write(self, change: NoteChange) -> Outcome:
        """Make a note, or find the one that an earlier run made.

        Raises ApiError for what the run has to judge, RecordBusy while another run has the appointment.
        """
        key = f"{self._ledger.location_id} {self._ledger.entity_type} {change.phorest_id}"
        return under_lock(self._engine, [key], lambda: self._write(change))

    def _write(self, change: NoteChange) -> Outcome:
        mapped, intent = in_transaction(self._engine, lambda c: self._on_record(c, change.phorest_id))
        if mapped:
            return Unchanged()  # another run made it between this plan and now
        contacts = dict.fromkeys(
            [*(intent.address_keys if intent else ()), *([change.ghl_id] if change.ghl_id else ())]
        )
        if intent is not None and intent.state != "planned":
            found = self._look_up(change.phorest_id, intent, contacts)
            if found is not None:
                in_transaction(self._engine, lambda c: self._keep(c, change, *found))
                return Applied()
        if change.action is NoteAction.LOOK_UP:
            self._settle(change, "withdrawn", "never arrived")
            return Skipped("no longer a visit of these days")
        if change.ghl_id is None or change.ghl_id in self._unguarded:
            return Rejected(UNGUARDED)
        return self._create(change, change.ghl_id, list(contacts))

    def _on_record(self, connection: Connection, phorest_id: str) -> tuple[bool, Intent | None]:
        mapped = phorest_id in self._ledger.mappings(connection, [phorest_id])
        return mapped, self._ledger.open_intent(connection, [phorest_id])

    def _look_up(self, phorest_id: str, intent: Intent, contacts: Iterable[str]) -> tuple[str, Note] | None:
        """The note of an unsettled create, on whichever contact it was sent to, once it can be there."""
        _log.info("create_unsettled", phorest_id=phorest_id, state=intent.state, attempts=intent.attempts)
        if intent.sent_at is not None:
            time.sleep(max(0.0, 2 * self._lag_s - (datetime.now(UTC) - intent.sent_at).total_seconds()))
        ours = re.compile(re.escape(mark(phorest_id)) + r"(?![\w-])")
        for contact_id in contacts:
            try:
                listed = self._client.notes(contact_id)
            except ApiError as error:
                if error.category is Category.GONE:
                    continue  # and its notes with it
                raise
            for note in listed:
                if ours.search(note.words):
                    return contact_id, note
        return None

    def _create(self, change: NoteChange, contact_id: str, sent_to: list[str]) -> Outcome:
        in_transaction(self._engine, lambda c: self._plan_intent(c, change, sent_to))
        self._settle(change, "sent")
        try:
            note = self._client.create_note(contact_id, body(change.visit), lane=Lane.REST, bulk=True)
        except ApiError as error:
            return self._refused(change, contact_id, error, unsure=change.unsettled)
        in_transaction(self._engine, lambda c: self._keep(c, change, contact_id, note))
        return Applied()

    def _refused(self, change: NoteChange, contact_id: str, error: ApiError, *, unsure: bool) -> Outcome:
        if error.category is Category.GONE and read_contact(self._client, contact_id) is None:
            in_transaction(self._engine, lambda c: self._gone(c, change, contact_id))
            return Skipped(GONE)
        if error.category in _NOT_DONE:
            # An attempt before this one may have made it all the same.
            self._settle(change, "unknown" if unsure else "withdrawn", error.category.value)
            raise error
        self._settle(change, "unknown", error.category.value)
        if error.category is Category.INVALID:
            read = told(error)
            self._wait(change, REJECTED, read.detail)
            return Rejected(read.reason, read.detail)
        self._wait(change, UNKNOWN, "the answer to a create was lost or odd; the next run looks the note up")
        raise error

    def _plan_intent(self, connection: Connection, change: NoteChange, sent_to: list[str]) -> None:
        self._ledger.plan_intent(
            connection,
            change.phorest_id,
            target_kind=CHECK_IN_NOTE,
            address_keys=sent_to,
            request_hash=content_hash(change.visit, self._keyring),
        )

    def _settle(self, change: NoteChange, state: IntentState, detail: str | None = None) -> None:
        in_transaction(self._engine, lambda c: self._ledger.settle_intent(c, [change.phorest_id], state, detail=detail))

    def _keep(self, connection: Connection, change: NoteChange, contact_id: str, note: Note) -> None:
        """The note is there: its id, where it hangs, and that its create is done, in one transaction."""
        self._ledger.map(
            connection,
            ghl_id=note.id,
            primary=change.phorest_id,
            secondaries=(),
            acked={},
            source_hash=content_hash(change.visit, self._keyring),
            projection_version=PROJECTION_VERSION,
        )
        connection.execute(
            text("""insert into ghl_notes (location_id, ghl_id, contact_id, phorest_id)
                    values (:location_id, :ghl_id, :contact_id, :phorest_id)
                    on conflict (location_id, ghl_id) do update set seen_at = now(), gone_at = null"""),
            {
                "location_id": self._ledger.location_id,
                "ghl_id": note.id,
                "contact_id": contact_id,
                "phorest_id": change.phorest_id,
            },
        )
        self._ledger.settle_intent(connection, [change.phorest_id], "confirmed", ghl_id=note.id)
        resolve_items(
            connection,
            entity_type=self._ledger.entity_type,
            phorest_ids=[change.phorest_id],
            causes=[REJECTED, UNKNOWN],
            location_id=self._ledger.location_id,
        )

    def _gone(self, connection: Connection, change: NoteChange, contact_id: str) -> None:
        """The contact is gone: the clients' road finds it so in the mirror, and says what is to be done."""
        mirror.mark_gone(connection, self._ledger.location_id, contact_id)
        self._ledger.settle_intent(connection, [change.phorest_id], "refused", detail=GONE)

    def _wait(self, change: NoteChange, cause: str, reason: str) -> None:
        item = WorkItem(
            entity_type=self._ledger.entity_type,
            phorest_id=change.phorest_id,
            cause=cause,
            reason=reason,
            location_id=self._ledger.location_id,
            source_hash=content_hash(change.visit, self._keyring),
            detail={"contact_id": change.ghl_id},
        )
        in_transaction(self._engine, lambda c: open_items(c, [item]))
