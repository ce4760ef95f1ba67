"""One client explained: who shares its contact and why, what every field should hold, what GHL holds, what closes its channels.

Belongs here: asking the planning of clients about one of them, without asking GHL. Does not: the queries of the record
(`record`), a field's line (`lines`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.explain import record
from phorest_ghl.explain.clock import vendors_now
from phorest_ghl.explain.lines import Compared, Line, lines
from phorest_ghl.explain.record import Record
from phorest_ghl.ghl import fields
from phorest_ghl.sync import consent, mirror
from phorest_ghl.sync.clients_planning import ClientsPlanning, Material, Prepared
from phorest_ghl.sync.decisions import Kind
from phorest_ghl.sync.identity import Household, Person, why_not_live
from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.mirror import LocationState, MirrorContact
from phorest_ghl.sync.outcomes import Outcome
from phorest_ghl.sync.plan import Plan, PlannedChange
from phorest_ghl.sync.registry import known_fields
from phorest_ghl.sync.rules import Rules

ENTITY = "client"


class NotKnown(Exception):
    """There is no record of this id here: a sentence says what may have happened to it."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One of those who share a contact, or an address with it. `by` says what ties them together, no address itself."""

    phorest_id: str
    role: str
    by: Sequence[str]
    contact: str | None
    not_live: str | None


@dataclass(frozen=True, kw_only=True)
class Cause:
    """What closes, or closed, a channel at an address of the client's or its contact's (safety S7, S9)."""

    channel: str
    cause: str
    source_id: str
    since: datetime
    lifted_at: datetime | None
    batch_id: str


@dataclass(frozen=True, kw_only=True)
class ExplainedClient:
    """A client. `outcome` is what a run would say of it now, `change` what it would do; `as_of` is the time that it is of."""

    phorest_id: str
    as_of: datetime
    location: LocationState
    primary: str
    why_primary: str
    members: Sequence[Member]
    contact: str | None
    adopted: bool
    mirror: MirrorContact | None
    change: PlannedChange | None
    outcome: Outcome | None
    lines: Sequence[Line]
    causes: Sequence[Cause]
    consent_events: Sequence[Mapping[str, Any]]
    appointments: Mapping[str, int]
    record: Record


@dataclass(frozen=True)
class ClientExplainer:
    """Explains clients of one location; reads the database alone."""

    location_id: str
    keyring: Keyring
    rules: Rules

    def explain(self, connection: Connection, phorest_id: str) -> ExplainedClient:
        """Explain one. Raises NotKnown, KeyMismatch."""
        self.keyring.require_same(connection)
        ledger = Ledger(self.location_id, ENTITY, batch_id="")
        planning = ClientsPlanning(ledger, self.keyring, self.rules)
        prepared = self._prepared(connection)
        made_of = planning.material(connection, prepared, [phorest_id])
        household = _household(made_of, phorest_id)
        plan = planning.plan(connection, prepared, [phorest_id])
        contact = _contact(made_of, household, phorest_id)
        held = made_of.held.mirror.get(contact or "")
        change = _change(plan, phorest_id)
        ids = dict.fromkeys([phorest_id, *(member.phorest_id for member in household.members)])
        known = record.load(connection, self.location_id, ENTITY, ids, [contact] if contact else [])
        compared = self._compared(made_of, household, plan, phorest_id, contact, held, change)
        return ExplainedClient(
            phorest_id=phorest_id,
            as_of=prepared.now,
            location=prepared.location,
            primary=household.primary.phorest_id,
            why_primary=_why_primary(household),
            members=_members(made_of, household),
            contact=contact,
            adopted=compared.mapping is not None and compared.mapping.adopted,
            mirror=held,
            change=change,
            outcome=plan.settled.get(phorest_id),
            lines=lines(
                replace(compared, field_ids=prepared.field_ids, sent=known.last_sent, switches=self.rules.switches),
                self.keyring,
            ),
            causes=self._causes(connection, household, held),
            consent_events=_consent_events(connection, list(ids), contact),
            appointments=_appointments(connection, self.location_id, phorest_id),
            record=known,
        )

    def contact_of(self, connection: Connection, phorest_id: str) -> str | None:
        """The contact that a client is on, if any."""
        mapping = Ledger(self.location_id, ENTITY, batch_id="").mappings(connection, [phorest_id]).get(phorest_id)
        return None if mapping is None else mapping.ghl_id

    def _prepared(self, connection: Connection) -> Prepared:
        """What a run would know of the location before it asks GHL anything."""
        state = mirror.location_state(connection, self.location_id)
        known = known_fields(connection, self.location_id, fields.enabled(self.rules.switches))
        if state is None:
            state = LocationState(self.location_id, "quiet", None, None, None, None)
        return Prepared(state, known, vendors_now(connection, self.location_id))

    def _compared(
        self,
        made_of: Material,
        household: Household,
        plan: Plan,
        phorest_id: str,
        contact: str | None,
        held: MirrorContact | None,
        change: PlannedChange | None,
    ) -> Compared:
        desired = made_of.projector.contact(household) if change is None else change.desired
        if held is not None:
            at_held = consent.on_record_at(held.email, held.phone, made_of.projector.on_record)
            desired = replace(desired, blocked=consent.together(desired.blocked, at_held))
        mapping = made_of.held.primary(contact) if contact else None
        reviewed = made_of.decided.of(Kind.IDENTITY, desired.member_ids) is not None
        outcome = plan.settled.get(phorest_id)
        return Compared(
            desired=desired,
            held=held,
            mapping=mapping,
            change=change,
            field_ids={},
            switches=frozenset(),
            fills_only=mapping is not None and mapping.adopted and not reviewed,
            edited=frozenset(edit.field for edit in plan.edited if edit.ghl_id == contact),
            why_left=None if outcome is None else outcome.reason,
        )

    def _causes(self, connection: Connection, household: Household, held: MirrorContact | None) -> list[Cause]:
        everyone = {person.phorest_id: person for person in (*household.members, *household.kin)}
        addresses = {
            value
            for person in everyone.values()
            for value in (person.email, person.phone, person.dropped_email, person.dropped_phone)
            if value
        } | {value for value in ((held.email, held.phone) if held else ()) if value}
        rows = connection.execute(
            text("""select channel, cause, source_id, created_at, lifted_at, batch_id from suppressions
                    where location_id = :location_id and address_key = any(:keys) order by created_at, id"""),
            {
                "location_id": self.location_id,
                "keys": sorted(mirror.address_key(self.keyring, address) for address in addresses),
            },
        )
        return [
            Cause(
                channel=row.channel,
                cause=row.cause,
                source_id=row.source_id,
                since=row.created_at,
                lifted_at=row.lifted_at,
                batch_id=row.batch_id,
            )
            for row in rows
        ]


def _household(made_of: Material, phorest_id: str) -> Household:
    for household in made_of.households:
        if any(member.phorest_id == phorest_id for member in household.members):
            return household
    if any(client.phorest_id == phorest_id for client in made_of.clients):
        raise NotKnown(f"Client {phorest_id} is the salon's walk-in client, who is nobody and never gets a contact.")
    raise NotKnown(
        f"There is no client {phorest_id} here. If Phorest has it, `phorest-ghl repair {phorest_id}` reads it now; the id is "
        "shown in Phorest's reports and as `Phorest id` on contacts in GHL."
    )


def _contact(made_of: Material, household: Household, phorest_id: str) -> str | None:
    mapping = made_of.held.mappings.get(phorest_id)
    return mapping.ghl_id if mapping is not None else household.anchor


def _change(plan: Plan, phorest_id: str) -> PlannedChange | None:
    return next((change for change in plan.changes if phorest_id in change.item_ids), None)


def _why_primary(household: Household) -> str:
    primary = household.primary
    if len(household.members) == 1:
        return "the only client of its contact"
    if household.anchor is not None and household.speaker == primary.phorest_id:
        return "the contact is its own already, and it keeps it while it is in the group (safety S13)"
    if household.anchor is not None:
        return f"it takes the contact over from client {household.speaker}, which was merged into it"
    return (
        "first by rank: the living, then who is nobody's linked child, the latest visit, the oldest client (safety S13)"
    )


def _members(made_of: Material, household: Household) -> list[Member]:
    primary = household.primary
    inside = {member.phorest_id for member in household.members}
    outside = [person for person in household.kin if person.phorest_id not in inside]
    return [
        *(
            _member(made_of, person, "primary" if person is primary else "secondary", household)
            for person in household.members
        ),
        *(_member(made_of, person, "shares an address, has a contact of its own", household) for person in outside),
    ]


def _member(made_of: Material, person: Person, role: str, household: Household) -> Member:
    mapping = made_of.held.mappings.get(person.phorest_id)
    return Member(
        phorest_id=person.phorest_id,
        role=role,
        by=_ties(person, household),
        contact=None if mapping is None else mapping.ghl_id,
        not_live=why_not_live(person.client),
    )


def _ties(person: Person, household: Household) -> list[str]:
    """What ties somebody to the others: an address that they share, or a merge."""
    found: list[str] = []
    others = [other for other in (*household.members, *household.kin) if other.phorest_id != person.phorest_id]
    for name in ("email", "phone"):
        value = getattr(person, name)
        sharing = sorted({other.phorest_id for other in others if value and getattr(other, name) == value})
        if sharing:
            found.append(f"{name} shared with {', '.join(sharing)}")
        if getattr(person, f"dropped_{name}"):
            found.append(f"its {name} is no contact point: too many share it, or it is the staff's (safety S12)")
    if person.client.merged_to is not None:
        found.append(f"merged into {person.client.merged_to}")
    if person.client.linked_to is not None:
        found.append(f"linked to {person.client.linked_to}")
    return found


def _consent_events(connection: Connection, phorest_ids: list[str], contact: str | None) -> list[dict[str, Any]]:
    rows = connection.execute(
        text("""select source, phorest_id, ghl_id, channel, purpose, before, after, batch_id, observed_at
                from consent_events where phorest_id = any(:ids) or ghl_id = :contact order by observed_at desc, id desc
                limit 50"""),
        {"ids": phorest_ids, "contact": contact},
    )
    return [dict(row) for row in rows.mappings()]


def _appointments(connection: Connection, location_id: str, phorest_id: str) -> dict[str, int]:
    row = connection.execute(
        text("""select count(*) as imported, count(m.ghl_id) as with_event
                from phorest_appointments a
                left join entity_mappings m on m.location_id = :location_id and m.entity_type = 'appointment'
                                               and m.phorest_id = a.phorest_id and m.removed_at is null
                where a.client_id = :id"""),
        {"location_id": location_id, "id": phorest_id},
    ).one()
    return {"imported": row.imported, "with_event": row.with_event}
