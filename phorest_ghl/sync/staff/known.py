"""What is on record when a plan of the staff is made, and look-ups in it. Data; nothing here decides.

Belongs here: both sides as they are known. Does not: reading them (`road`), deciding (`planner`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from phorest_ghl.sync import normalise
from phorest_ghl.sync.identity import Person
from phorest_ghl.sync.journal import Intent, MappingRow
from phorest_ghl.sync.mirror import MirrorContact
from phorest_ghl.sync.staff.members import Member


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is on record when a plan is made.

    Attributes:
        mirror: contacts by id, as last seen.
        mappings: contacts of the staff, by the id of a row.
        clients: contacts of clients, by the client's id.
        former: contacts that merges of clients have left behind: nobody's.
        people: clients with their usable addresses.
        intents: creates that are not settled, by the id of a row.
        refused: the hash of what GHL refused to take, by human.
        quiet: whether the location is.
        without_contact_point: whether who has no address gets a contact too.
    """

    mirror: Mapping[str, MirrorContact] = field(default_factory=dict[str, MirrorContact])
    mappings: Mapping[str, MappingRow] = field(default_factory=dict[str, MappingRow])
    clients: Mapping[str, MappingRow] = field(default_factory=dict[str, MappingRow])
    former: frozenset[str] = frozenset()
    people: Sequence[Person] = ()
    intents: Mapping[str, Intent] = field(default_factory=dict[str, Intent])
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    quiet: bool = True
    without_contact_point: bool = False

    @cached_property
    def of_clients(self) -> frozenset[str]:
        """Contacts that a client has, or has left behind."""
        return frozenset(row.ghl_id for row in self.clients.values()) | self.former

    @cached_property
    def mapped(self) -> Mapping[str, str]:
        """Contacts of the staff's, each with the row that it is primary of."""
        return {row.ghl_id: row.phorest_id for row in self.mappings.values() if row.role == "primary"}

    @cached_property
    def by_address(self) -> Mapping[str, list[MirrorContact]]:
        """The contacts that hold an address; those that are gone hold none."""
        return _indexed((address, c) for c in self._there for address in (c.email, c.phone) if address)

    @cached_property
    def by_tag(self) -> Mapping[str, list[MirrorContact]]:
        """The contacts that carry a tag."""
        return _indexed((tag, contact) for contact in self._there for tag in contact.tags)

    @cached_property
    def clients_by_name(self) -> Mapping[str, list[Person]]:
        """Clients by their full name, as names are compared."""
        found: dict[str, list[Person]] = {}
        for person in self.people:
            client = person.client
            found.setdefault(normalise.folded_name(client.first_name, client.last_name), []).append(person)
        return found

    @property
    def _there(self) -> Iterable[MirrorContact]:
        return (contact for contact in self.mirror.values() if contact.gone_at is None)

    def clients_like(self, member: Member) -> list[Person]:
        """The clients who are the same person: of the same full name at one of its addresses (S14)."""
        return [p for p in self.clients_by_name.get(member.name, ()) if {p.email, p.phone} & member.addresses]

    def contacts_of(self, clients: Iterable[Person]) -> list[str]:
        """The contacts of these clients that GHL has still."""
        found = {row.ghl_id for c in clients if (row := self.clients.get(c.phorest_id)) is not None}
        return sorted(key for key in found if (held := self.mirror.get(key)) is None or held.gone_at is None)

    def holding(self, member: Member) -> dict[str, MirrorContact]:
        """The contacts that hold an address of a member."""
        return {c.ghl_id: c for address in sorted(member.addresses) for c in self.by_address.get(address, ())}

    def carrying(self, member: Member) -> list[MirrorContact]:
        """Contacts that carry the tag of one of its rows and are no other member's."""
        found = {c.ghl_id: c for tag in sorted(member.id_tags) for c in self.by_tag.get(tag, ())}
        return [contact for ghl_id, contact in found.items() if ghl_id not in self.mapped]

    def is_free(self, ghl_id: str) -> bool:
        """Whether neither a client nor anybody of the staff has the contact."""
        return ghl_id not in self.of_clients and ghl_id not in self.mapped

    def unsettled(self, member: Member) -> bool:
        """Whether a create may have made a contact of which nobody heard."""
        intents = [self.intents.get(item) for item in member.item_ids]
        return any(intent is not None and intent.state != "planned" for intent in intents)


def _indexed(pairs: Iterable[tuple[str, MirrorContact]]) -> dict[str, list[MirrorContact]]:
    found: dict[str, list[MirrorContact]] = {}
    for key, contact in pairs:
        found.setdefault(key, []).append(contact)
    return found
