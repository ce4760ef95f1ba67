"""What GHL's refusal of one record means, recognised in one place for every entity, and how people read it.

Belongs here: from an answer to a kind, the words of a tally and those of a record. Does not: what becomes of the record (the
writers), errors that end a whole run (`workers`, `http.errors`).

A kind is expected: it is counted, waits under `phorest-ghl review`, and sets off no alarm. The vendor's words are shown as far
as they are known to hold no personal value.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from phorest_ghl.http.answer import member
from phorest_ghl.http.errors import ApiError, Category, public_words


class Refusal(StrEnum):
    """The kinds, by the words of the tally."""

    IDENTITY_CONFLICT = "another contact of ours holds the address"
    FOREIGN_DUPLICATE = "a contact that we did not make holds the address"
    PERMANENT_DND = "GHL alone may lift a permanent block on the contact"
    MISSING_SCOPE = "the token lacks a scope"
    STALE_MAPPING = "what we had is gone from GHL"
    BAD_ADDRESS = "GHL does not take the email or phone"
    SLOT_TAKEN = "the calendar's slot is taken"
    NO_TEAM_MEMBER = "the calendar has nobody to assign it to"
    CONTENT = "GHL refused the content"
    OTHER = "GHL refused it"


_WORDS: tuple[tuple[Refusal, str], ...] = (
    (Refusal.PERMANENT_DND, "permanent dnd"),  # facts/ghl-api §10
    (Refusal.SLOT_TAKEN, r"slot\b.{0,40}no longer available"),  # facts/ghl-api §11.3
    (Refusal.NO_TEAM_MEMBER, "team member needs to be selected"),  # facts/ghl-api §11.3
    (
        Refusal.BAD_ADDRESS,
        r"\b(?:phone|e-?mail)\w*\b.{0,60}(?:invalid|must be an email|not valid)",
    ),  # facts/ghl-api §3, §6
)


@dataclass(frozen=True)
class Told:
    """How a refusal is read: `reason` counts records of one kind, `detail` is of this one, with the vendor's words."""

    kind: Refusal
    reason: str
    detail: str


def holder_of(error: ApiError) -> str | None:
    """The id of the contact that a refusal as duplicate names (facts/ghl-api §6)."""
    found = member(member(error.body, "meta"), "contactId")
    return found if isinstance(found, str) else None


def kind_of(error: ApiError, *, ours: bool = False) -> Refusal:
    """The kind of a refusal; `ours`: the contact that it names is mapped to a client."""
    if error.category is Category.INVALID:
        found = (kind for kind, words in _WORDS if re.search(words, error.vendor_message, re.IGNORECASE | re.DOTALL))
        return next(found, Refusal.CONTENT)
    if error.category is Category.DUPLICATE:
        return Refusal.IDENTITY_CONFLICT if ours else Refusal.FOREIGN_DUPLICATE
    return {Category.SCOPE: Refusal.MISSING_SCOPE, Category.GONE: Refusal.STALE_MAPPING}.get(
        error.category, Refusal.OTHER
    )


def told(error: ApiError, *, ours: bool = False) -> Told:
    """How people read a refusal."""
    kind = kind_of(error, ours=ours)
    reason = f"{kind.value} ({error.status}, {error.category.value})"
    words = public_words(error.vendor_message)
    named = holder_of(error) if error.category is Category.DUPLICATE else None
    parts = (
        f": {words}" if words else "",
        f", contact {named}" if named else "",
        f" [trace {error.trace_id}]" if error.trace_id else "",
    )
    return Told(kind, reason, reason + "".join(parts))
