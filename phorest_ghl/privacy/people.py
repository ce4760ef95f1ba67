"""Which ids are a person's: in Phorest, and in GHL, where a contact may be somebody else's too.

Belongs here: finding them. Does not: what becomes of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, text

from phorest_ghl.sync import consent_step
from phorest_ghl.sync.identity import people
from phorest_ghl.sync.source import load_clients, load_names


class NobodyFound(Exception):
    """There is nobody of this id here, and nobody of it was forgotten: a sentence says so."""


@dataclass(frozen=True, kw_only=True)
class SharedContact:
    """A contact that somebody else is on, too: `others` are those clients, whoever speaks for it first.

    `spoken_for`: its fields are the person's own until now. `kept` are addresses of the others, which stay on it.
    """

    ghl_id: str
    others: tuple[str, ...]
    spoken_for: bool
    kept: frozenset[str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Person:
    """One human's ids. `clients` are the one that was named and all records that were merged into it.

    `contacts` are nobody else's; of them, `adopted` were made by somebody else. `upcoming` are events that lie ahead.
    """

    clients: tuple[str, ...]
    appointments: tuple[str, ...]
    purchases: tuple[str, ...]
    contacts: tuple[str, ...]
    adopted: frozenset[str]
    shared: tuple[SharedContact, ...]
    events: tuple[str, ...]
    upcoming: tuple[str, ...]
    addresses: frozenset[str] = field(repr=False)
    """Emails in lower case and phones as E.164."""

    @property
    def records(self) -> list[str]:
        """All their ids in Phorest."""
        return [*self.clients, *self.appointments, *self.purchases]

    @property
    def objects(self) -> list[str]:
        """All their ids in GHL."""
        return [*self.contacts, *self.events]

    @property
    def mask(self) -> str:
        """A pattern that finds any of their ids."""
        return pattern([*self.records, *self.objects])

    @property
    def parameters(self) -> Mapping[str, object]:
        """The parameters of the registry's conditions."""
        return {
            "clients": list(self.clients),
            "records": self.records,
            "contacts": list(self.contacts),
            "objects": self.objects,
            "mask": self.mask,
        }


def pattern(ids: Sequence[str]) -> str:
    """A regular expression, of PostgreSQL and of Python alike, that finds any of the ids and no longer one that holds it."""
    return rf"(?<![A-Za-z0-9_-])({'|'.join(map(re.escape, sorted(ids)))})(?![A-Za-z0-9_-])"


def find(connection: Connection, location_id: str, client_id: str, now: datetime) -> Person:
    """Whose ids `client_id` stands for; `now` (aware) is GHL's. Raises NobodyFound."""
    clients = _merged(connection, client_id)
    values = {"location_id": location_id, "clients": clients, "now": now}
    appointments = _column(
        connection, "select phorest_id from phorest_appointments where client_id = any(:clients)", values
    )
    purchases = _column(connection, "select phorest_id from phorest_purchases where client_id = any(:clients)", values)
    held = connection.execute(
        text("""
            select m.ghl_id, bool_or(coalesce((m.metadata ->> 'adopted')::boolean, false)) as adopted,
                   bool_or(m.role = 'primary') as spoken_for
            from entity_mappings m
            where m.location_id = :location_id and m.entity_type = 'client' and m.phorest_id = any(:clients)
                  and m.removed_at is null
            group by m.ghl_id
            union
            select ghl_id, false, false from former_contacts where location_id = :location_id and phorest_id = any(:clients)
            order by 1
        """),
        values,
    ).all()
    others = connection.execute(
        text("""select ghl_id,
                       coalesce(array_agg(phorest_id order by role, phorest_id) filter (where entity_type = 'client'), '{}')
                           as ids
                from entity_mappings
                where location_id = :location_id and entity_type in ('client', 'staff') and removed_at is null
                      and ghl_id = any(:contacts) and not (entity_type = 'client' and phorest_id = any(:clients))
                group by ghl_id order by ghl_id"""),
        {**values, "contacts": [row.ghl_id for row in held]},
    ).all()
    spoken_for = {row.ghl_id for row in held if row.spoken_for}
    shared = tuple(
        SharedContact(
            ghl_id=row.ghl_id,
            others=tuple(row.ids),
            spoken_for=row.ghl_id in spoken_for,
            kept=_addresses(connection, row.ids),
        )
        for row in others
    )
    own = {row.ghl_id for row in held} - {one.ghl_id for one in shared}
    of_events = {"location_id": location_id, "ids": appointments, "contacts": sorted(own), "now": now}
    events = _column(
        connection,
        """select ghl_id from entity_mappings where location_id = :location_id and phorest_id = any(:ids)
           union select ghl_id from ghl_events where location_id = :location_id and contact_id = any(:contacts)
           union select ghl_id from ghl_notes where location_id = :location_id
                        and (contact_id = any(:contacts) or phorest_id = any(:ids))""",
        of_events,
    )
    upcoming = _column(
        connection,
        """select e.ghl_id from ghl_events e join entity_mappings m on m.location_id = e.location_id and m.ghl_id = e.ghl_id
           where e.location_id = :location_id and m.entity_type = 'appointment' and m.removed_at is null
                 and m.phorest_id = any(:ids) and e.gone_at is null and e.starts_at > :now
                 and e.status is distinct from 'cancelled'""",
        of_events,
    )
    return Person(
        clients=tuple(clients),
        appointments=tuple(appointments),
        purchases=tuple(purchases),
        contacts=tuple(sorted(own)),
        adopted=frozenset(row.ghl_id for row in held if row.adopted),
        shared=shared,
        events=tuple(events),
        upcoming=tuple(upcoming),
        addresses=_addresses(connection, clients),
    )


def _addresses(connection: Connection, clients: Sequence[str]) -> frozenset[str]:
    """Every address that stands in these clients' records."""
    found = people(load_clients(connection, clients), load_names(connection).countries)
    return frozenset(consent_step.addresses_of(found))


def _merged(connection: Connection, client_id: str) -> list[str]:
    """The end of the client's merge chain, and every record that was merged into it."""
    found = connection.execute(
        text("""
            with recursive up as (
                select phorest_id, merged_to_client_id from phorest_clients where phorest_id = :client_id
                union
                select c.phorest_id, c.merged_to_client_id from phorest_clients c
                join up on c.phorest_id = up.merged_to_client_id
            ), everyone as (
                select phorest_id from up
                union
                select c.phorest_id from phorest_clients c join everyone e on c.merged_to_client_id = e.phorest_id
            )
            select phorest_id from everyone order by phorest_id
        """),
        {"client_id": client_id},
    ).scalars()
    ids = list(found)
    if not ids:
        raise NobodyFound(f"There is no client {client_id} here. The id is shown as `Phorest id` on contacts in GHL.")
    return ids


def _column(connection: Connection, statement: str, values: Mapping[str, object]) -> list[str]:
    return sorted(set(connection.execute(text(statement), values).scalars()))
