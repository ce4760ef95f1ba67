"""What GHL should hold for a human of the staff: name, usable addresses, tags. Pure.

Belongs here: from rows of the staff to members. Does not: what is there already and what is to change (`planner`).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import orjson

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.ghl.models import canonical_tag
from phorest_ghl.sync import normalise
from phorest_ghl.sync.identity import JUNK_THRESHOLD, Person
from phorest_ghl.sync.staff.humans import PSEUDO, Human, StaffRow, humans, is_pseudo

PROJECTION_VERSION = 1
ROLE_TAG, STAFF_TAG, ID_PREFIX = "role:staff", "phorest-staff:true", "phorest-staff-id:"
"""The predecessor's tags: the first two say that somebody works here, the third which row of Phorest's it is."""
WORKING_TAGS = frozenset({ROLE_TAG, STAFF_TAG})
NOBODY, LEFT, NO_NAME = "a column of the diary that is nobody", "works here no longer", "no name"


def id_tag(staff_id: str) -> str:
    """The tag of one row, as contacts keep tags: in lower case."""
    return canonical_tag(ID_PREFIX + staff_id)


@dataclass(frozen=True)
class Member:
    """A human, or a column of the diary that is none: `left_out` is why it has no contact of the staff's, None if it has.

    `first_name`, `last_name`, `email` and `phone` are what its contact holds; an address that others have too is none.
    `addresses` are all of its own, those of its other branches included.
    """

    human: Human
    left_out: str | None
    first_name: str
    last_name: str
    email: str | None
    phone: str | None
    addresses: frozenset[str]

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Its rows: the items of a run."""
        return tuple(row.staff_id for row in self.human.rows)

    @cached_property
    def name(self) -> str:
        """The full name as names are compared."""
        return normalise.folded_name(self.first_name, self.last_name)

    @property
    def identity(self) -> dict[str, str]:
        """Standard fields by the names of `Contact`; none that is empty."""
        values = {
            "first_name": self.first_name,
            "last_name": self.last_name,
            "email": self.email,
            "phone": self.phone,
        }
        return {name: value for name, value in values.items() if value}

    @property
    def id_tags(self) -> frozenset[str]:
        """The tags by which a contact is known to be its own."""
        return frozenset(map(id_tag, self.item_ids))

    @property
    def tags(self) -> frozenset[str]:
        """All tags of who works here."""
        return WORKING_TAGS | self.id_tags

    def source_hash(self, keyring: Keyring) -> str:
        """A keyed hash of what its contact should hold."""
        return keyring.digest("staff", orjson.dumps([self.identity, sorted(self.tags)]).decode())


def members(
    rows: Iterable[StaffRow],
    clients: Iterable[Person] = (),
    *,
    patterns: Sequence[str] = PSEUDO,
    junk_above: int = JUNK_THRESHOLD,
) -> list[Member]:
    """Everybody of the staff, each row in exactly one member, by key.

    An address is nobody's that two who work here have, as the salon's own mailbox is, or more clients than `junk_above`
    (S12). Each column that is nobody is a member of its own, without an address.
    """
    columns, people = list[StaffRow](), list[StaffRow]()
    for row in rows:
        (columns if is_pseudo(row, patterns) else people).append(row)
    found = humans(people)
    uses = Counter(
        address for human in found if not human.archived for address in {a for r in human.rows for a in _addresses(r)}
    )
    by_clients = Counter(
        value
        for person in clients
        if person.client.merged_to is None
        for value in (person.email or person.dropped_email, person.phone or person.dropped_phone)
        if value
    )
    junk = {value for value, count in uses.items() if count > 1}
    junk |= {value for value, count in by_clients.items() if count > junk_above}
    made = [_member(human, junk) for human in found]
    made += [Member(Human((row,)), NOBODY, "", "", None, None, frozenset()) for row in columns]
    return sorted(made, key=lambda member: member.human.key)


def _member(human: Human, junk: Collection[str]) -> Member:
    """By the rows of branches where it works, in their order, then by the others."""
    ordered = sorted(human.rows, key=lambda row: row.archived)
    named = next((row for row in ordered if row.name), ordered[0])
    emails = [row.email for row in ordered if row.email and row.email not in junk]
    phones = [row.phone for row in ordered if row.phone and row.phone not in junk]
    return Member(
        human,
        LEFT if human.archived else None if named.name else NO_NAME,
        named.first_name,
        named.last_name,
        next(iter(emails), None),
        next(iter(phones), None),
        frozenset((*emails, *phones)),
    )


def _addresses(row: StaffRow) -> tuple[str, ...]:
    return tuple(address for address in (row.email, row.phone) if address)
