"""The local rows that the events projection reads: appointments, each with its client's contact, and what ids are called.

Belongs here: the queries of what was imported and mapped. Does not: what follows from it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

RESERVED, CANCELED = "RESERVED", "CANCELED"
ONLINE = "WIDGET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What an event needs to know of a client: its contact, or why it has none."""

    phorest_id: str
    walk_in: bool
    closed: bool
    reachable: bool
    merged_to: str | None
    contact_id: str | None
    secondary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentRow:
    """An appointment as imported. Times are aware; `day` is the date on the salon's calendar.

    `vanished`: Phorest no longer has it, asked by id (safety S4). `changed_at` is Phorest's own time of the last change.
    `fingerprint` changes with whatever Phorest says of the row. Outside the window (`in_window`) nothing is created.
    """

    phorest_id: str
    branch_id: str
    client_id: str | None
    staff_id: str | None
    service: str | None
    day: date
    starts_at: datetime
    ends_at: datetime
    state: str
    activation_state: str
    deleted: bool
    vanished: bool
    source: str | None
    booking_id: str | None
    changed_at: datetime | None
    fingerprint: str
    in_window: bool = True
    category: str | None = None

    @property
    def cancelled(self) -> bool:
        """Whether it is over before it was: ARCHIVED and states that nobody knows never mean that (safety S4)."""
        return self.deleted or self.vanished or self.activation_state == CANCELED

    @property
    def online(self) -> bool:
        """Whether the client booked it itself."""
        return self.source == ONLINE


_FINGERPRINT = "encode(a.content_hash, 'hex') || case when a.deleted_at is null then '' else ' gone' end"
_ROWS = f"""
    select a.phorest_id, a.branch_id, a.client_id, a.staff_id, coalesce(nullif(trim(a.service_name), ''), s.name) as service,
           a.appointment_date as day, a.starts_at, a.ends_at, a.state, a.activation_state, a.deleted,
           a.deleted_at is not null and not a.deleted as vanished, a.source, a.booking_id,
           a.phorest_updated_at as changed_at, {_FINGERPRINT} as fingerprint,
           a.appointment_date between :first and :last as in_window, s.category_name as category
    from phorest_appointments a
    left join phorest_services s on s.phorest_id = a.service_id and s.branch_id = a.branch_id
    left join entity_mappings m on m.location_id = :location_id and m.entity_type = 'appointment'
                                   and m.phorest_id = a.phorest_id and m.removed_at is null
"""  # noqa: S608 - text of ours
_WINDOW = text(f"""{_ROWS}
    where a.appointment_date between :first and :last
          or (m.id is not null and (m.metadata ->> 'fingerprint') is distinct from {_FINGERPRINT})
    order by a.phorest_id
""")
_VISITS = text(f"""{_ROWS}
    where (a.client_id, a.branch_id, a.appointment_date) in (
        select client_id, branch_id, day from jsonb_to_recordset(cast(:visits as jsonb))
            as visit (client_id text, branch_id text, day date))
    order by a.phorest_id
""")  # noqa: S608 - text of ours


def load_appointments(connection: Connection, location_id: str, first: date, last: date) -> list[AppointmentRow]:
    """The window's rows, and mapped ones outside of it that Phorest has changed since, with all rows of their visits."""
    values = {"location_id": location_id, "first": first, "last": last}
    found = {row["phorest_id"]: dict(row) for row in connection.execute(_WINDOW, values).mappings()}
    outside = {
        (row["client_id"], row["branch_id"], row["day"].isoformat())
        for row in found.values()
        if not row["in_window"] and row["client_id"]
    }
    if outside:
        visits = [{"client_id": c, "branch_id": b, "day": d} for c, b, d in sorted(outside)]
        more = connection.execute(_VISITS, {**values, "visits": orjson.dumps(visits).decode()}).mappings()
        found = {**{row["phorest_id"]: dict(row) for row in more}, **found}
    return [_row(found[key]) for key in sorted(found)]


def _row(row: dict[str, Any]) -> AppointmentRow:
    return AppointmentRow(**row)


def load_contacts(connection: Connection, location_id: str) -> dict[str, Client]:
    """Every client, with the contact that it is mapped to."""
    rows = connection.execute(
        text("""
            select c.phorest_id, c.walk_in, c.archived or c.banned or c.deleted or c.deleted_at is not null as closed,
                   coalesce(nullif(trim(c.email), ''), nullif(trim(c.mobile), '')) is not null as reachable,
                   c.merged_to_client_id as merged_to, m.ghl_id as contact_id,
                   coalesce(m.role = 'secondary', false) as secondary
            from phorest_clients c
            left join entity_mappings m on m.location_id = :location_id and m.entity_type = 'client'
                                           and m.phorest_id = c.phorest_id and m.removed_at is null
        """),
        {"location_id": location_id},
    ).mappings()
    return {row["phorest_id"]: Client(**row) for row in rows}


def end_of_chain(clients: Mapping[str, Client], client_id: str) -> str:
    """Who a client is now, be it somebody whom nobody knows here yet; itself where the chain runs in a circle."""
    last, seen = client_id, {client_id}
    while (client := clients.get(last)) is not None and client.merged_to is not None:
        if client.merged_to in seen:
            return client_id
        last = client.merged_to
        seen.add(last)
    return last


def winner(clients: Mapping[str, Client], client_id: str) -> Client | None:
    """The client that a merged one has become part of, or itself; None where nobody is known. Goes round no circle."""
    client = clients.get(client_id)
    seen = {client_id}
    while client is not None and client.merged_to is not None and client.merged_to not in seen:
        seen.add(client.merged_to)
        into = clients.get(client.merged_to)
        if into is None:
            break
        client = into
    return client


def starts(connection: Connection, phorest_ids: Collection[str]) -> dict[str, tuple[str, datetime]]:
    """The branch and the start (aware) of appointments, by id."""
    rows = connection.execute(
        text("""select phorest_id, branch_id, starts_at from phorest_appointments
                where phorest_id = any(:ids) and starts_at is not null"""),
        {"ids": list(phorest_ids)},
    )
    return {row.phorest_id: (row.branch_id, row.starts_at) for row in rows}
