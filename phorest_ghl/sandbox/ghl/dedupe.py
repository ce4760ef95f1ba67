"""Which existing contact a pair of addresses means (facts/ghl-api §6).

Belongs here: matching by the location's identifiers, in their order. Does not belong here: what is done about a match.
"""

from phorest_ghl.sandbox.ghl.common import refuse
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.world import World


def match(
    world: World, email: str | None, phone: str | None, *, leaving_out: str | None = None
) -> tuple[str, str] | None:
    """The contact and the field it matches by (`email` or `phone`), first identifier first; None when there is none."""
    values = {"email": email, "phone": phone}
    newest = (world.clock.seconds() - world.switches.ghl_dedupe_lag_s) * 1_000
    for field in world.switches.ghl_unique_identifiers:
        value = values[field]
        if not value:
            continue
        for index in (
            (world.contacts.by_email, world.contacts.by_other_email) if field == "email" else (world.contacts.by_phone,)
        ):
            for key in index.get(value.lower(), ()):
                if key != leaving_out and world.contacts.rows[key]["addedMs"] <= newest:
                    return key, field
    return None


def refuse_duplicate(world: World, found: tuple[str, str]) -> None:
    """Answer 400 (or another status, by switch) and name the existing contact.

    Raises:
        Refusal: always.
    """
    key, field = found
    row = world.contacts.rows[key]
    meta = {"contactId": key, "contactName": full_name(row), "matchingField": field}
    refuse(world.switches.ghl_duplicate_status, "This location does not allow duplicated contacts.", meta=meta)


def full_name(row: Row) -> str:
    """First and last name as one text."""
    return " ".join(part for part in (row.get("firstName"), row.get("lastName")) if part)
