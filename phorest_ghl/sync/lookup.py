"""Find a contact that we may have made: by its address, and by the Phorest id that it would carry.

Belongs here: the look-up that S15 asks for before a create is repeated. Does not: adopting somebody else's contact.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime

from phorest_ghl.ghl.client import GhlReader
from phorest_ghl.ghl.fields import PHOREST_ID
from phorest_ghl.ghl.models import Contact
from phorest_ghl.http.errors import ApiError, Category

SEARCH_LAG_S = 10.0
"""How long a write may take to show in search, seconds. The vendor says "a few" (facts/ghl-api §7.1)."""


def carries_our_id(contact: Contact, field_ids: Mapping[str, str], phorest_ids: Collection[str]) -> bool:
    """Whether the contact's `Phorest id` field names one of these clients."""
    return contact.custom_fields.get(field_ids[PHOREST_ID.name]) in phorest_ids


def read_contact(client: GhlReader, ghl_id: str) -> Contact | None:
    """A contact by id, or None where GHL says that it is gone."""
    try:
        return client.contact(ghl_id)
    except ApiError as error:
        if error.category is Category.GONE:
            return None
        raise


def find_ours(
    client: GhlReader,
    *,
    email: str | None,
    phone: str | None,
    phorest_ids: Collection[str],
    field_ids: Mapping[str, str],
    sent_at: datetime | None = None,
    lag_s: float = SEARCH_LAG_S,
    sleep: Callable[[float], object] = time.sleep,
) -> Contact | None:
    """The contact that carries one of these Phorest ids, read by id; None if it is not found.

    With `sent_at`, the time of a create whose answer was lost, the search's lag is waited out first, twice over.
    """
    if sent_at is not None:
        sleep(max(0.0, 2 * lag_s - (datetime.now(UTC) - sent_at).total_seconds()))
    asked: set[str] = set()
    for candidate in _candidates(client, email, phone, phorest_ids, field_ids):
        if candidate in asked:
            continue
        asked.add(candidate)
        found = read_contact(client, candidate)
        if found is not None and carries_our_id(found, field_ids, phorest_ids):
            return found
    return None


def _candidates(
    client: GhlReader,
    email: str | None,
    phone: str | None,
    phorest_ids: Collection[str],
    field_ids: Mapping[str, str],
) -> Iterator[str]:
    for address in ({"email": email}, {"phone": phone}):
        if any(address.values()):
            found = client.duplicate(**address)
            if found is not None:
                yield found.id
    for phorest_id in phorest_ids:
        field = f"customFields.{field_ids[PHOREST_ID.name]}"
        for page in client.search([{"field": field, "operator": "eq", "value": phorest_id}]):
            yield from (contact.id for contact in page)
