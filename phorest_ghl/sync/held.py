"""What we know of GHL's side of a location, as a plan looks at it. Data and look-ups; nothing here decides.

Belongs here: the mirror, the mappings and what follows from them. Does not: comparing (`differences`), deciding (`planner`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from phorest_ghl.ghl import fields
from phorest_ghl.ghl.fields import EMAIL, PHONE, PHOREST_ID, Facet
from phorest_ghl.sync.identity import Person
from phorest_ghl.sync.journal import MappingRow
from phorest_ghl.sync.mirror import MirrorContact


@dataclass(frozen=True, kw_only=True)
class Held:
    """What we know of GHL's side of a location.

    Attributes:
        mirror: contacts by id, as last seen.
        mappings: by Phorest id.
        field_ids: our custom fields' ids by their names.
        refused: by Phorest id, the source hash of content that GHL has refused and that waits for a change.
        guarded: contacts that carry the guard tag because of us.
        former: contacts that merges have left behind, closed and nobody's any more, each with the client who left it.
        duplicates: the location allows them: the contact of another client of ours stands in nobody's way.
        quiet: until go-live nothing is written to a contact without the guard tag (S1).
    """

    mirror: Mapping[str, MirrorContact]
    mappings: Mapping[str, MappingRow]
    field_ids: Mapping[str, str]
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    guarded: Collection[str] = frozenset()
    former: Mapping[str, str] = field(default_factory=dict[str, str])
    duplicates: bool = False
    quiet: bool = False

    def anchors(self, found: Iterable[Person]) -> dict[str, str]:
        """The contact of each client that has one of its own: it speaks for it, or has it back since its merge is undone."""
        separate = {person.phorest_id for person in found if person.client.merged_to is None}
        back = {
            phorest_id: ghl_id
            for ghl_id, phorest_id in sorted(self.former.items())
            if phorest_id in separate and ((now := self.mirror.get(ghl_id)) is None or now.gone_at is None)
        }
        return back | {key: row.ghl_id for key, row in self.mappings.items() if row.role == "primary"}

    @property
    def gone(self) -> frozenset[str]:
        """Contacts that GHL no longer has."""
        return frozenset(ghl_id for ghl_id, contact in self.mirror.items() if contact.gone_at is not None)

    @cached_property
    def speaking(self) -> Mapping[str, MappingRow]:
        """Who is mapped as a contact's primary, by the contact."""
        return {row.ghl_id: row for row in self.mappings.values() if row.role == "primary"}

    @cached_property
    def by_address(self) -> Mapping[str, list[MirrorContact]]:
        """The contacts that hold an address; those that are gone hold none."""
        found: dict[str, list[MirrorContact]] = {}
        for contact in self.mirror.values():
            if contact.gone_at is None:
                for address in (contact.email, contact.phone):
                    if address:
                        found.setdefault(address, []).append(contact)
        return found

    @cached_property
    def carrying(self) -> Mapping[str, list[MirrorContact]]:
        """The contacts that carry a client's Phorest id."""
        field_id = self.field_ids.get(PHOREST_ID.name)
        found: dict[str, list[MirrorContact]] = {}
        for contact in self.mirror.values():
            value = contact.custom_fields.get(field_id) if field_id and contact.gone_at is None else None
            if value:
                found.setdefault(str(value), []).append(contact)
        return found

    def primary(self, ghl_id: str) -> MappingRow | None:
        """Who is mapped as a contact's primary; of one that a client gets back, who left it, with the tag of its leaving."""
        left_by = self.former.get(ghl_id)
        if ghl_id in self.speaking or left_by is None:
            return self.speaking.get(ghl_id)
        return MappingRow(left_by, ghl_id, "primary", {Facet.TAGS.value: {fields.MERGED_TAG: ""}}, None, None)

    def is_free(self, contact: MirrorContact) -> bool:
        """Whether no client has the contact, nor ever had it before a merge."""
        return contact.ghl_id not in self.speaking and contact.ghl_id not in self.former

    def elsewhere(self, identity: Mapping[str, str], ghl_id: str) -> dict[str, MirrorContact]:
        """Addresses of `identity` that a contact of nobody's holds, so that GHL would refuse them to the one of this id."""
        if self.duplicates:
            return {}
        return {
            name: contact
            for name in (EMAIL.name, PHONE.name)
            for contact in self.by_address.get(identity.get(name, ""), ())
            if contact.ghl_id != ghl_id and contact.ghl_id not in self.speaking
        }
