"""The local rows that the clients projection reads, as typed records.

Belongs here: the queries of what was imported. Does not: what follows from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from phorest_ghl.sync import normalise


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRow:
    """A client as imported; exactly the columns that a projection may depend on.

    `credit_balance` is in the branch's currency; `client_since` and `created_at` are aware.
    """

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
    sms_reminder: bool | None
    email_reminder: bool | None
    last_visit: date | None
    created_at: datetime | None
    branch_id: str | None
    birth_date: date | None = None
    street: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    category_ids: tuple[str, ...] = ()
    preferred_staff_id: str | None = None
    external_id: str | None = None
    credit_balance: Decimal | None = None
    client_since: datetime | None = None
    notes: str | None = None
    loyalty_points: Decimal | None = None
    loyalty_card: str | None = None
    gender: str | None = None


# A client that Phorest no longer has, asked for by id, is deleted too, though no flag says so.
_CLIENTS = """
    select phorest_id, first_name, last_name, email, mobile, archived, banned, walk_in,
           deleted or deleted_at is not null as deleted, merged_to_client_id as merged_to, linked_client_id as linked_to,
           sms_marketing_consent as sms_marketing, email_marketing_consent as email_marketing,
           sms_reminder_consent as sms_reminder, email_reminder_consent as email_reminder, last_visit,
           phorest_created_at as created_at, creating_branch_id as branch_id, birth_date, street_address_1 as street,
           city, state, postal_code, country, client_category_ids as category_ids, preferred_staff_id, external_id,
           credit_balance, client_since, notes, loyalty_points, loyalty_card_serial as loyalty_card,
           raw ->> 'gender' as gender
    from phorest_clients
"""


def load_clients(connection: Connection, phorest_ids: Sequence[str] | None = None) -> list[ClientRow]:
    """All clients, or those of these ids, tombstones included, by id."""
    only = "" if phorest_ids is None else " where phorest_id = any(:phorest_ids)"
    statement = text(f"{_CLIENTS}{only} order by phorest_id")
    rows = connection.execute(statement, {"phorest_ids": list(phorest_ids or ())} if only else {})
    names = list(rows.keys())
    return [_client(dict(zip(names, row, strict=True))) for row in rows.all()]


def _client(values: dict[str, Any]) -> ClientRow:
    values["category_ids"] = tuple(values["category_ids"] or ())
    return ClientRow(**values)


@dataclass(frozen=True)
class Names:
    """What ids that a client holds are called, and how its branch's addresses are read.

    `countries` is the ISO code of each branch that has one; `staff_at` who among the staff uses which address (S12);
    `nobody` are those of the staff that are columns of the diary and no people: rooms, machines, a "No show".
    """

    countries: Mapping[str, str] = field(default_factory=dict[str, str])
    branches: Mapping[str, str] = field(default_factory=dict[str, str])
    zones: Mapping[str, str] = field(default_factory=dict[str, str])
    categories: Mapping[str, str] = field(default_factory=dict[str, str])
    staff: Mapping[str, str] = field(default_factory=dict[str, str])
    staff_at: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    nobody: frozenset[str] = frozenset()


def load_names(connection: Connection) -> Names:
    """The names of branches, client categories and staff, archived ones included."""
    branches = connection.execute(
        text("select phorest_id, name, country, time_zone from phorest_branches order by phorest_id")
    ).all()
    coded = {row.phorest_id: normalise.country(row.country, row.time_zone) for row in branches}
    countries = {branch: code for branch, code in coded.items() if code}
    categories = connection.execute(
        text("select phorest_id, name from phorest_client_categories where name is not null")
    )
    staff = connection.execute(
        text("""select phorest_id, first_name, last_name, email, mobile, branch_id,
                       user_id is null and email is null and mobile is null
                           and coalesce(hide_from_online_bookings, true) as nobody
                from phorest_staff
                where deleted_at is null order by branch_id, phorest_id""")
    ).all()
    at: dict[str, set[str]] = {}
    for row in staff:
        country = countries.get(row.branch_id or "", next(iter(countries.values()), None))
        for address in (normalise.email(row.email), normalise.phone(row.mobile, country)):
            if address:
                at.setdefault(address, set()).add(normalise.folded_name(row.first_name, row.last_name))
    called = {
        row.phorest_id: f"{normalise.name(row.first_name)} {normalise.name(row.last_name)}".strip() for row in staff
    }
    return Names(
        countries=countries,
        branches={row.phorest_id: row.name for row in branches if row.name},
        zones={row.phorest_id: row.time_zone for row in branches if row.time_zone},
        categories={row.phorest_id: row.name for row in categories},
        staff={staff_id: name for staff_id, name in called.items() if name},
        staff_at={address: frozenset(names) for address, names in at.items()},
        nobody=frozenset(row.phorest_id for row in staff if row.nobody),
    )


def was_imported(connection: Connection, entity_type: str) -> bool:
    """Whether a complete read of this entity ever finished here: a plan on less would cancel what it cannot see."""
    return connection.execute(
        text("select exists (select from import_cursors where entity_type = :type and full_read_at is not null)"),
        {"type": entity_type},
    ).scalar_one()
