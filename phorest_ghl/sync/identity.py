"""Many clients, one contact: households are the connected components of clients over normalised email and phone.

Belongs here: who belongs together and who speaks for them. Pure. Does not: what the contact should hold (`projection`).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from phorest_ghl.sync import normalise
from phorest_ghl.sync.source import ClientRow

JUNK_THRESHOLD = 5
"""A value that more clients than this share is no contact point of any of them (safety S12)."""


@dataclass(frozen=True, slots=True)
class Person:
    """A client with its usable addresses: email in lower case, phone as E.164, None where there is none."""

    client: ClientRow
    email: str | None
    phone: str | None
    dropped_email: str | None = None
    """Stands in the record but does not reach this client (S12). An opt-out there counts all the same (S6)."""
    dropped_phone: str | None = None

    @property
    def phorest_id(self) -> str:
        """The client's id."""
        return self.client.phorest_id

    @property
    def live(self) -> bool:
        """Whether the client may have a contact made: not archived, banned, deleted, merged away or the walk-in."""
        return why_not_live(self.client) is None


@dataclass(frozen=True)
class Household:
    """Clients that share one contact. `primary` owns its fields; `members` holds all, the primary first.

    `kin` is everyone whose addresses reach the contact's, members or not: consent is strictest across contacts (S13).
    """

    primary: Person
    members: tuple[Person, ...]
    anchor: str | None
    """The id of the contact that a member is mapped to as primary, if any."""
    kin: tuple[Person, ...] = ()

    @property
    def live(self) -> bool:
        """Whether anyone in it may have a contact."""
        return any(member.live for member in self.members)

    @property
    def wants_a_contact(self) -> bool:
        """Whether one is made for it: somebody in it may have one, and there is an address to reach it at."""
        return self.live and bool(self.primary.email or self.primary.phone)


def why_not_live(client: ClientRow) -> str | None:
    """The reason why a client gets no contact of its own, or None (design §6)."""
    reasons = (
        (client.walk_in, "walk-in client"),
        (client.merged_to is not None, "merged into another client"),
        (client.deleted, "deleted in Phorest"),
        (client.banned, "banned"),
        (client.archived, "archived"),
    )
    return next((reason for holds, reason in reasons if holds), None)


def people(
    clients: Iterable[ClientRow], countries: Mapping[str, str], staff: Mapping[str, frozenset[str]] | None = None
) -> list[Person]:
    """Clients with their usable addresses. The walk-in client is nobody.

    Dropped are values that too many share, and values of the `staff` (folded names by address) whose name is another:
    a client under a stylist's number would have the stylist texted (safety S12).
    """
    fallback = next(iter(countries.values()), None)
    found = [
        Person(
            client,
            normalise.email(client.email),
            normalise.phone(client.mobile, countries.get(client.branch_id or "", fallback)),
        )
        for client in clients
        if not client.walk_in
    ]
    # A merged-away record is the same person as its winner, not one more who shares the address.
    counted = (person for person in found if person.client.merged_to is None)
    uses = Counter(value for person in counted for value in (person.email, person.phone) if value)
    junk = {value for value, count in uses.items() if count > JUNK_THRESHOLD}
    return [_usable(person, junk, staff or {}) for person in found]


def _usable(person: Person, junk: Collection[str], staff: Mapping[str, frozenset[str]]) -> Person:
    mine = normalise.folded_name(person.client.first_name, person.client.last_name)
    email, phone = (
        None if value is None or value in junk or mine not in staff.get(value, {mine}) else value
        for value in (person.email, person.phone)
    )
    if (email, phone) == (person.email, person.phone):
        return person
    return Person(
        person.client,
        email,
        phone,
        dropped_email=None if email else person.email,
        dropped_phone=None if phone else person.phone,
    )


def households(found: Sequence[Person], anchors: Mapping[str, str], *, group: bool = True) -> list[Household]:
    """Everyone's household, in a stable order.

    `anchors` maps clients to the contact that they are primary of. Where one component holds several, each contact keeps
    its own household, for contacts cannot be merged by API; the others join the best-ranked one. `group` is off where the
    location allows duplicates: then everyone has a contact of their own (design §6).
    """
    dropped: dict[str, list[Person]] = {}
    for person in found:
        for value in (person.dropped_email, person.dropped_phone):
            if value is not None:
                dropped.setdefault(value, []).append(person)

    def with_kin(kin: Sequence[Person]) -> tuple[Person, ...]:
        held = {value for person in kin for value in (person.email, person.phone) if value} if dropped else set[str]()
        return (*kin, *(person for value in sorted(held & dropped.keys()) for person in dropped[value]))

    return [
        replace(household, kin=with_kin(kin))
        for kin in _components(found)
        for component in ([kin] if group else [[person] for person in kin])
        for household in _split_by_anchor(component, anchors)
    ]


def _components(found: Sequence[Person]) -> list[list[Person]]:
    parent = list(range(len(found)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    holder: dict[str, int] = {}
    for index, person in enumerate(found):
        for value in (person.email, person.phone):
            if value is not None:
                other = holder.setdefault(value, index)
                parent[root(index)] = root(other)
    grouped: dict[int, list[Person]] = {}
    for index, person in enumerate(found):
        grouped.setdefault(root(index), []).append(person)
    return list(grouped.values())


def _split_by_anchor(component: Sequence[Person], anchors: Mapping[str, str]) -> list[Household]:
    ranked = sorted(component, key=_rank)
    anchored = [person for person in ranked if person.phorest_id in anchors]
    if not anchored:
        return [Household(ranked[0], tuple(ranked), None)]
    rest = [person for person in ranked if person.phorest_id not in anchors]
    first, *others = anchored
    return [
        Household(first, (first, *rest), anchors[first.phorest_id]),
        *(Household(person, (person,), anchors[person.phorest_id]) for person in others),
    ]


def _rank(person: Person) -> tuple[bool, bool, int, datetime, str]:
    """Who speaks for a household: the living first, then no linked child, the latest visit, the oldest client (S13)."""
    client = person.client
    return (
        not person.live,
        client.linked_to is not None,
        -(client.last_visit or date.min).toordinal(),
        client.created_at or datetime.max.replace(tzinfo=UTC),
        client.phorest_id,
    )
