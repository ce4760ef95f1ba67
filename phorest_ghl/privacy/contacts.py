"""GHL's side of forgetting: future events cancelled in silence, then the contact deleted, or closed and emptied of ours.

Belongs here: the calls, each safe to repeat. Does not: whose contact it is (`people`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from phorest_ghl.ghl.calendars import CalendarClient, EventWrite
from phorest_ghl.ghl.models import Contact, ContactWrite
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.privacy.people import Person, SharedContact
from phorest_ghl.sync import consent
from phorest_ghl.sync.lookup import read_contact

Fate = Literal["deleted", "closed and emptied of our fields", "already gone"]
_CANCELLED = "cancelled"
_WHY = "forgotten"
_OF_ONE_PERSON: tuple[str, ...] = ("street_address", "city", "state", "postal_code", "date_of_birth")


@dataclass
class Done:
    """What GHL acknowledged: events cancelled, and what became of each contact."""

    cancelled: int = 0
    contacts: dict[str, Fate] = field(default_factory=dict[str, Fate])


def carry_out(
    client: CalendarClient,
    person: Person,
    field_ids: list[str],
    *,
    keep_contacts: bool,
    seen: Callable[[Contact], None],
) -> Done:
    """Cancel what lies ahead, end the contacts that are the person's alone, empty others of the person's share.

    `seen` is told of contacts that stay and of what they hold now. Raises ApiError.

    A contact that somebody else made is never deleted (safety S20): it is closed, and our fields are emptied.
    """
    done = Done()
    for event_id in person.upcoming:
        try:
            client.update_event(event_id, EventWrite(notify=False, status=_CANCELLED))
        except ApiError as error:
            if error.category is not Category.GONE:
                raise
        done.cancelled += 1
    for contact_id in person.contacts:
        if keep_contacts or contact_id in person.adopted:
            done.contacts[contact_id] = _close(client, contact_id, field_ids)
        else:
            done.contacts[contact_id] = _delete(client, contact_id)
    for shared in person.shared:
        if shared.spoken_for and (left := _leave(client, shared, field_ids)) is not None:
            seen(left)
    return done


def still_carrying(client: CalendarClient, person: Person) -> list[str]:
    """Contacts of others that still carry an address which was the person's alone. Raises ApiError."""
    found: list[str] = []
    for shared in person.shared:
        held = read_contact(client, shared.ghl_id) if shared.spoken_for else None
        if held is not None and {(held.email or "").lower(), held.phone} & (person.addresses - shared.kept):
            found.append(shared.ghl_id)
    return found


def _leave(client: CalendarClient, shared: SharedContact, field_ids: list[str]) -> Contact | None:
    """Empty a contact of what the person put on it. Names and addresses stay until the next speaker's take their place.

    GHL refuses an empty email; `still_carrying` says where one is left when the next speaker has been written.
    """
    held = read_contact(client, shared.ghl_id)
    if held is None:
        return None
    write = ContactWrite(identity=dict.fromkeys(_OF_ONE_PERSON, ""), custom_fields=dict.fromkeys(sorted(field_ids), ""))
    return client.update_contact(shared.ghl_id, write).contact


def _delete(client: CalendarClient, contact_id: str) -> Fate:
    try:
        client.delete_contact(contact_id)
    except ApiError as error:
        # GHL says of a contact that is gone that the request is invalid, too (facts/ghl-api §3): only a read tells.
        if error.category not in (Category.GONE, Category.INVALID) or read_contact(client, contact_id) is not None:
            raise
        return "already gone"
    return "deleted"


def _close(client: CalendarClient, contact_id: str, field_ids: list[str]) -> Fate:
    held = read_contact(client, contact_id)
    if held is None:
        return "already gone"
    closed = consent.tightened(consent.closed(_WHY), held.dnd_settings or {})
    client.update_contact(
        contact_id, ContactWrite(dnd_settings=closed, custom_fields=dict.fromkeys(sorted(field_ids), ""))
    )
    return "closed and emptied of our fields"
