"""The plan of one location's contacts, made of what is here: Phorest's clients, what is on record, what GHL is known to hold.

Belongs here: what is read for a plan of everybody or of a few, and how its parts follow from each other. Does not: any of the
rules (`identity`, `projection`, `planner`, `consent_step`), asking GHL, carrying it out (`clients`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.ghl import fields
from phorest_ghl.sync import consent_ledger, consent_step, decisions, mirror
from phorest_ghl.sync.consent_step import Step
from phorest_ghl.sync.decisions import Decisions, Kind
from phorest_ghl.sync.facts.diary import Moment
from phorest_ghl.sync.facts.loading import load_facts
from phorest_ghl.sync.held import Held
from phorest_ghl.sync.identity import Household, Person, households, people, winners
from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.keeper import REJECTED
from phorest_ghl.sync.mirror import LocationState
from phorest_ghl.sync.neighbours import Neighbours, neighbours
from phorest_ghl.sync.outcomes import Skipped
from phorest_ghl.sync.plan import Plan
from phorest_ghl.sync.planner import Planner
from phorest_ghl.sync.projection import Projector
from phorest_ghl.sync.quiet_hours import branch_clock, until_morning
from phorest_ghl.sync.rules import Rules
from phorest_ghl.sync.source import ClientRow, Names, load_clients, load_names


@dataclass(frozen=True)
class Prepared:
    """What a plan needs to know of the location. `now` is the vendor's time, by which it is decided what today is."""

    location: LocationState
    field_ids: dict[str, str]
    now: datetime

    @property
    def duplicates(self) -> bool:
        """Whether the location allows duplicates: then nobody shares a contact (design §6)."""
        return self.location.allows_duplicates is True


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a plan is made of: who there is, who belongs together, what GHL is known to hold, what is on record.

    `around` is there where it is made for some clients: who has a say in what becomes of them.
    """

    clients: Sequence[ClientRow]
    around: Neighbours | None
    held: Held
    projector: Projector
    households: Sequence[Household]
    step: Step
    decided: Decisions


class ClientsPlanning:
    """Plans in a transaction of its caller's, which is read-only."""

    def __init__(self, ledger: Ledger, keyring: Keyring, rules: Rules) -> None:
        self._ledger = ledger
        self._keyring = keyring
        self._rules = rules

    def plan(self, connection: Connection, prepared: Prepared, of: Collection[str] | None) -> Plan:
        """What would be done with everybody, or `of` some clients, at any hour."""
        made_of = self.material(connection, prepared, of)
        plan = Planner(made_of.held, made_of.projector, self._keyring, decided=made_of.decided).plan(made_of.households)
        plan = plan.with_settled(
            {client.phorest_id: Skipped("walk-in client") for client in made_of.clients if client.walk_in}
        )
        facts = made_of.projector.facts
        plan = replace(plan, step=made_of.step, decisions=made_of.decided, unread=self._rules.facets.on - facts.known)
        return plan if made_of.around is None else self._only_of(connection, plan, made_of.around, of or ())

    def material(self, connection: Connection, prepared: Prepared, of: Collection[str] | None) -> Material:
        """What a plan of everybody, or `of` some clients, is made of."""
        location_id, names, former = self._ledger.location_id, load_names(connection), self._ledger.former(connection)
        around = None if of is None else self._around(connection, prepared, names, former, of)
        clients = load_clients(connection) if around is None else around.rows
        found = people(clients, names.countries, names.staff_at, junk_above=self._rules.junk_above)
        decided = decisions.load(connection, location_id, self._ledger.entity_type)
        contacts = mirror.load(connection, location_id) if around is None else around.contacts
        also = {address for held in contacts.values() for address in (held.email, held.phone) if address}
        record = consent_ledger.load(
            connection, location_id, None if around is None else self._part_of_record(found, also)
        )
        step = consent_step.step(
            found,
            record,
            self._keyring,
            policy=self._rules.policy,
            accepted=decided.clients(Kind.OPT_IN),
            # How many opted in at once is seen by who looks at everybody, and believed then (S7).
            bulk_limit=self._rules.opt_ins_at_once if around is None else 0,
            also=also,
        )
        held = Held(
            mirror=contacts,
            mappings=self._ledger.mappings(connection) if around is None else around.mappings,
            field_ids=prepared.field_ids,
            refused=self._ledger.refused(connection, REJECTED),
            guarded=self._ledger.guarded(connection),
            former=former,
            duplicates=prepared.duplicates,
            quiet=prepared.location.quiet,
        )
        at = Moment(
            now=prepared.now,
            names=names,
            winners=winners(clients),
            rules=self._rules.facets,
            only=None if around is None else tuple(around.clients),
        )
        facts = load_facts(connection, clients, at, live_at=prepared.location.live_at)
        projector = Projector(self._keyring, names, self._rules, step.on_record, facts)
        return Material(
            clients=clients,
            around=around,
            held=held,
            projector=projector,
            households=households(found, held.anchors(found), group=not held.duplicates, gone=held.gone),
            step=step,
            decided=decided,
        )

    def _around(
        self, connection: Connection, prepared: Prepared, names: Names, former: Mapping[str, str], of: Collection[str]
    ) -> Neighbours:
        return neighbours(
            connection,
            self._ledger,
            names,
            of,
            junk_above=self._rules.junk_above,
            former=former,
            id_field=prepared.field_ids.get(fields.PHOREST_ID.name),
        )

    def _part_of_record(self, found: Sequence[Person], also: Collection[str]) -> consent_ledger.Part:
        addresses = consent_step.addresses_of(found) | set(also)
        return consent_ledger.Part(
            phorest_ids={person.phorest_id for person in found},
            address_keys={mirror.address_key(self._keyring, address) for address in addresses},
        )

    def _only_of(self, connection: Connection, plan: Plan, around: Neighbours, of: Collection[str]) -> Plan:
        """What of a plan of these clients and everybody around them is theirs."""
        assert plan.step is not None
        waiting = {key: why for key, why in plan.step.waiting.items() if why != consent_step.TOO_MANY}
        whole = frozenset(around.whole)
        return replace(
            plan.about(of),
            step=replace(plan.step, waiting=waiting),
            reviews=tuple(review for review in plan.reviews if review.desired.phorest_id in whole),
            edited=tuple(edit for edit in plan.edited if edit.phorest_id in whole),
            first_write=plan.first_write and not self._ledger.has_mappings(connection),
            looked_at=whole,
        )

    def until_morning(self, connection: Connection, plan: Plan, now: datetime, early: Collection[str] = ()) -> Plan:
        """What of it may be written at this hour (S5). While a location is quiet the guard tag keeps workflows away."""
        unsettled = [key for key, intent in self._ledger.open_intents(connection).items() if intent.state != "planned"]
        return until_morning(
            plan,
            self._rules.hours,
            now,
            partial(branch_clock, load_names(connection).zones),
            unsettled=unsettled,
            early=early,
        )
