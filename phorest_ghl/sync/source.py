"""The local rows that the clients projection reads, as typed records.

Belongs here: the queries of what was imported. Does not: what follows from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

from phorest_ghl.sync import normalise


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A client as imported; exactly the columns that a projection may depend on."""

    phorest_id: str
    first_name: str | None
    last_name: str | None
    email: str | None
    mobile: str | None
    archived: bool
    banned: bool
    deleted: bool
    walk_in: bool
    merged_to: str | None
    linked_to: str | None
    sms_marketing: bool | None
    email_marketing: bool | None
    last_visit: date | None
    created_at: datetime | None
    branch_id: str | None


# A client that Phorest no longer has, asked for by id, is deleted too, though no flag says so.
_CLIENTS = text("""
    select phorest_id, first_name, last_name, email, mobile, archived, banned, deleted or deleted_at is not null, walk_in,
           merged_to_client_id, linked_client_id, sms_marketing_consent, email_marketing_consent, last_visit,
           phorest_created_at, creating_branch_id
    from phorest_clients order by phorest_id
""")


def load_clients(connection: Connection) -> list[ClientRow]:
    """All clients, tombstones included, by id."""
    return [ClientRow(*row) for row in connection.execute(_CLIENTS)]


def load_countries(connection: Connection) -> dict[str, str]:
    """The ISO country code of each branch that has one: it says how a national phone number is read."""
    rows = connection.execute(text("select phorest_id, country, time_zone from phorest_branches order by phorest_id"))
    found = {row.phorest_id: normalise.country(row.country, row.time_zone) for row in rows}
    return {branch: code for branch, code in found.items() if code}


def load_staff_names(connection: Connection, countries: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Who among the staff uses which address: folded full names by email and phone, archived staff included (S12)."""
    rows = connection.execute(
        text("select first_name, last_name, email, mobile, branch_id from phorest_staff where deleted_at is null")
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        country = countries.get(row.branch_id or "", next(iter(countries.values()), None))
        for address in (normalise.email(row.email), normalise.phone(row.mobile, country)):
            if address:
                found.setdefault(address, set()).add(normalise.folded_name(row.first_name, row.last_name))
    return {address: frozenset(names) for address, names in found.items()}


def was_imported(connection: Connection, entity_type: str) -> bool:
    """Whether a complete read of this entity ever finished here: a plan on less would cancel what it cannot see."""
    return connection.execute(
        text("select exists (select from import_cursors where entity_type = :type and full_read_at is not null)"),
        {"type": entity_type},
    ).scalar_one()
