"""The one bulk call that GHL has for contacts: a tag added to, or removed from, up to 500 of them (facts/ghl-api §8.2).

Belongs here: its body, and what its answer proves contact by contact. Does not: which contacts, in which order (`sync.tags`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from phorest_ghl.ghl.models import canonical_tag
from phorest_ghl.http.redaction import redact

BULK_LIMIT = 500
"""Contacts of one call. The vendor documents no limit; 500 has been seen to work (§8.2)."""

_LONGEST_MESSAGE = 200
NOT_ANSWERED = "GHL's answer does not name this contact"
NOT_SHOWN = "GHL's answer says success and shows the contact's tags as they should not be"


@dataclass(frozen=True)
class BulkTags:
    """What a call did, by contact id: None where GHL confirmed it for this contact, else its message, redacted."""

    answers: Mapping[str, str | None]

    @property
    def confirmed(self) -> frozenset[str]:
        """Contacts for which GHL confirmed it."""
        return frozenset(key for key, message in self.answers.items() if message is None)

    @property
    def refused(self) -> Mapping[str, str]:
        """Contacts for which it did not, and its message."""
        return {key: message for key, message in self.answers.items() if message is not None}


def bulk_body(contact_ids: Sequence[str], tags: Iterable[str], location_id: str) -> dict[str, Any]:
    """The body of a call. Raises ValueError for more contacts than one call takes, or without any tag."""
    if len(contact_ids) > BULK_LIMIT:
        raise ValueError(f"One bulk call takes {BULK_LIMIT} contacts and was given {len(contact_ids)}.")
    named = sorted({canonical_tag(tag) for tag in tags} - {""})
    if not named:
        raise ValueError("A bulk call needs at least one tag.")
    return {"contacts": list(contact_ids), "tags": named, "locationId": location_id}


def read_bulk(answer: object, contact_ids: Sequence[str], tags: Iterable[str], *, remove: bool) -> BulkTags:
    """What an answer proves. A partial failure answers 201 too, so only a contact that it names as done is done.

    A contact that is named twice is confirmed if no part of the answer says otherwise.
    """
    wanted = {canonical_tag(tag) for tag in tags} - {""}
    members = cast("dict[str, object]", answer) if isinstance(answer, dict) else {}
    rows = members.get("responses")
    said: dict[str, str | None] = {}
    for row in cast("list[object]", rows) if isinstance(rows, list) else []:
        if isinstance(row, dict):
            part = cast("dict[str, object]", row)
            key, complaint = str(part.get("contactId")), _complaint(part, wanted, remove=remove)
            said[key] = said.get(key) or complaint
    return BulkTags({key: said.get(key, NOT_ANSWERED) for key in contact_ids})


def _complaint(row: Mapping[str, object], wanted: set[str], *, remove: bool) -> str | None:
    if row.get("type") != "success":
        message = row.get("message")
        words = redact(message)[:_LONGEST_MESSAGE] if isinstance(message, str) else ""
        return words or "GHL gave no reason"
    old, added, gone = (_tags(row.get(name)) for name in ("oldTags", "tagsAdded", "tagsRemoved"))
    if old is None or added is None or gone is None:
        return None  # the vendor's word is all there is
    now = (old | added) - gone
    wrong = wanted & now if remove else wanted - now
    return NOT_SHOWN if wrong else None


def _tags(value: object) -> set[str] | None:
    return {canonical_tag(str(tag)) for tag in cast("list[object]", value)} if isinstance(value, list) else None
