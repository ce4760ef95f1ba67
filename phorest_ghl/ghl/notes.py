"""Notes of contacts: list, read and create (facts/ghl-api §8.3).

Belongs here: these calls and what they answer. Does not: notes of calendar events, what a note says, when one is made.
"""

from typing import Any, cast

from pydantic import Field, ValidationError

from phorest_ghl.ghl import answers
from phorest_ghl.ghl.client import GhlClient, GhlReader
from phorest_ghl.ghl.models import Answered
from phorest_ghl.http.answer import Answer
from phorest_ghl.http.budget import Lane

_NOTES = "/contacts/{contactId}/notes"


class Note(Answered):
    """A note. `body` may come back as HTML, and then `body_text` holds it plain (§8.3, assumed)."""

    id: str
    contact_id: str | None = Field(default=None, alias="contactId")
    body: str | None = None
    body_text: str | None = Field(default=None, alias="bodyText")

    @property
    def words(self) -> str:
        """All that it says, in whichever form."""
        return f"{self.body or ''}\n{self.body_text or ''}"


class NotesReader(GhlReader):
    """Reads of a location's notes."""

    def notes(self, contact_id: str, *, lane: Lane = Lane.REST) -> list[Note]:
        """All notes of a contact; not paged (`get-all-notes`).

        Raises ApiError: PROTOCOL where an entry is odd, for a note that is left out would be made a second time.
        """
        answer = self._send("GET", _NOTES, "contacts", lane=lane, contactId=contact_id)
        listed = answers.member(answer, "notes")
        if not isinstance(listed, list):
            raise answers.odd(answer, "but its notes are no list", wrote=False)
        return [_note(answer, value, wrote=False) for value in cast("list[object]", listed)]

    def note(self, contact_id: str, note_id: str, *, lane: Lane = Lane.REST) -> Note:
        """A note by id (`get-note`). Raises ApiError."""
        answer = self._send("GET", f"{_NOTES}/{{id}}", "contacts", lane=lane, contactId=contact_id, id=note_id)
        return _note(answer, answers.member(answer, "note"), wrote=False)


class NotesClient(NotesReader, GhlClient):
    """Reads and writes of a location, its notes included. Only apply holds one."""

    def create_note(self, contact_id: str, body: str, *, lane: Lane = Lane.REST, bulk: bool = False) -> Note:
        """Put a note on a contact (`create-note`). Never repeated blindly, for GHL makes the same note twice.

        Raises ApiError: UNKNOWN_OUTCOME where no answer came, or one without an id.
        """
        sent: dict[str, Any] = {"body": body}
        answer = self._send("POST", _NOTES, "contacts", json=sent, lane=lane, bulk=bulk, contactId=contact_id)
        return _note(answer, answers.member(answer, "note", wrote=True), wrote=True)


def _note(answer: Answer, value: object, *, wrote: bool) -> Note:
    try:
        return Note.model_validate(value)
    except ValidationError:
        raise answers.odd(answer, "but a note of it is odd", wrote=wrote) from None
