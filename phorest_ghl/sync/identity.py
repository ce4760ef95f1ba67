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
        client = self.client
        return not (client.walk_in or client.deleted or client.banned or client.archived) and client.merged_to is None


@dataclass(frozen=True)
class Former:
    """A contact that a merged-away client had of its own: its client is on another contact now (design §6)."""

    person: Person
    ghl_id: str


@dataclass(frozen=True)
class Household:
    """Clients that share one contact. `primary` owns its fields; `members` holds all, the primary first.

    `anchor` is the id of the contact that the household has, if any; `speaker` is who is mapped as its primary now, which
    is another than `primary` only after a merge. `kin` is everyone whose addresses reach the contact's, members or not:
    consent is strictest across contacts (S13).
    """

    primary: Person
    members: tuple[Person, ...]
    anchor: str | None
    kin: tuple[Person, ...] = ()
    former: tuple[Former, ...] = ()
    speaker: str | None = None

    @property
    def live(self) -> bool:
        """Whether anyone in it may have a contact."""
        return any(member.live for member in self.members)

    @property
    def wants_a_contact(self) -> bool:
        """Whether one is made for it: who speaks for it may have one, and there is an address to reach it at."""
        return self.primary.live and bool(self.primary.email or self.primary.phone)

    def with_clients(self, now: Mapping[str, ClientRow]) -> "Household":
        """The same people with their clients' rows as they are now; their addresses stay as they were."""

        def fresh(person: Person) -> Person:
            return replace(person, client=now.get(person.phorest_id, person.client))

        return replace(
            self,
            primary=fresh(self.primary),
            members=tuple(map(fresh, self.members)),
            kin=tuple(map(fresh, self.kin)),
        )

    def spoken_for_by(self, member: Person) -> "Household":
        """The same household with another member as its primary."""
        others = tuple(other for other in self.members if other is not member)
        return replace(self, primary=member, members=(member, *others))


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
    clients: Iterable[ClientRow],
    countries: Mapping[str, str],
    staff: Mapping[str, frozenset[str]] | None = None,
    *,
    junk_above: int = JUNK_THRESHOLD,
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
    junk = {value for value, count in uses.items() if count > junk_above}
    return [_usable(person, junk, staff or {}) for person in found]


def _usable(person: Person, junk: Collection[str], staff: Mapping[str, frozenset[str]]) -> Person:
    if not any(value in junk or value in staff for value in (person.email, person.phone)):
        return person
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


def winners(clients: Iterable[ClientRow]) -> dict[str, str]:
    """Who each merged-away client is now: the end of its merge chain (facts/phorest-api §1.5). Others are not in it.

    A chain that runs in a circle, or to a client we do not hold, ends nowhere: its members stay who they are, and none of
    them is live.
    """
    merged = {client.phorest_id: client.merged_to for client in clients}
    found: dict[str, str] = {}
    for loser, into in merged.items():
        target, seen = into, {loser}
        while target is not None and target not in seen:
            seen.add(target)
            if target not in merged:
                break
            if merged[target] is None:
                found[loser] = target
                break
            target = merged[target]
    return found


def households(
    found: Sequence[Person], anchors: Mapping[str, str], *, group: bool = True, gone: Collection[str] = frozenset()
) -> list[Household]:
    """Everyone's household, in a stable order.

    `anchors` maps clients to the contact that they are primary of. Where one component holds several, each contact keeps
    its own household, for contacts cannot be merged by API; the others join the best-ranked one. A merged-away client
    belongs to its winner's household, whatever its addresses. `group` is off where the location allows duplicates: then
    every person has a contact of their own (design §6). `gone` are contacts that GHL no longer has: the winner of a merge
    whose contact is one of them takes the loser's over.
    """
    into = winners(person.client for person in found)
    dropped: dict[str, list[Person]] = {}
    for person in found:
        for value in (person.dropped_email, person.dropped_phone):
            if value is not None:
                dropped.setdefault(value, []).append(person)

    def with_kin(kin: Sequence[Person]) -> tuple[Person, ...]:
        held = {value for person in kin for value in (person.email, person.phone) if value} if dropped else set[str]()
        return (*kin, *(person for value in sorted(held & dropped.keys()) for person in dropped[value]))

    return [
        household
        for kin in _components(found, into)
        for component in ([kin] if group else _components(kin, into, by_address=False))
        for household in _split_by_anchor(component, with_kin(kin), anchors, into, gone)
    ]


def _components(found: Sequence[Person], into: Mapping[str, str], *, by_address: bool = True) -> list[list[Person]]:
    parent = list(range(len(found)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    holder: dict[str, int] = {}
    for index, person in enumerate(found):
        # An id is no address, so that the two never meet in `holder`.
        same = (f"id {into.get(person.phorest_id, person.phorest_id)}",)
        for value in (person.email, person.phone, *same) if by_address else same:
            if value is not None:
                other = holder.setdefault(value, index)
                parent[root(index)] = root(other)
    grouped: dict[int, list[Person]] = {}
    for index, person in enumerate(found):
        grouped.setdefault(root(index), []).append(person)
    return list(grouped.values())


def _split_by_anchor(
    component: Sequence[Person],
    kin: tuple[Person, ...],
    anchors: Mapping[str, str],
    into: Mapping[str, str],
    gone: Collection[str],
) -> list[Household]:
    if len(component) == 1 and component[0].phorest_id not in into:  # as nearly all are
        anchor = anchors.get(component[0].phorest_id)
        speaker = None if anchor is None else component[0].phorest_id
        return [Household(component[0], tuple(component), anchor, kin=kin, speaker=speaker)]
    ranked = sorted(component, key=_rank)
    by_id = {person.phorest_id: person for person in ranked}
    holding, former = _holders(ranked, by_id, anchors, into, gone)
    holders = [person for person in ranked if person.phorest_id in holding]
    if not holders:
        return [Household(ranked[0], tuple(ranked), None, kin=kin)]
    homes: dict[str, list[Person]] = {person.phorest_id: [person] for person in holders}
    for person in ranked:
        if person.phorest_id not in homes:
            winner = into.get(person.phorest_id)
            homes[winner if winner in homes else holders[0].phorest_id].append(person)
    return [
        Household(
            person,
            tuple(homes[person.phorest_id]),
            holding[person.phorest_id][0],
            kin=kin,
            former=tuple(former.get(person.phorest_id, ())),
            speaker=holding[person.phorest_id][1],
        )
        for person in holders
    ]


def _holders(
    ranked: Sequence[Person],
    by_id: Mapping[str, Person],
    anchors: Mapping[str, str],
    into: Mapping[str, str],
    gone: Collection[str],
) -> tuple[dict[str, tuple[str, str]], dict[str, list[Former]]]:
    """Who holds which contact, and through whose mapping; and the contacts that merges have left behind, by winner.

    The winner of a merge takes the loser's contact over if it has none in GHL; otherwise that contact is a former one.
    """
    holding = {
        person.phorest_id: (anchors[person.phorest_id], person.phorest_id)
        for person in ranked
        if person.phorest_id in anchors and person.phorest_id not in into
    }
    former: dict[str, list[Former]] = {}
    for person in ranked:
        winner = into.get(person.phorest_id)
        if winner is None or person.phorest_id not in anchors:
            continue
        if winner not in by_id:  # the walk-in client, who is nobody
            holding[person.phorest_id] = (anchors[person.phorest_id], person.phorest_id)
        elif winner in holding and not (holding[winner][0] in gone and anchors[person.phorest_id] not in gone):
            former.setdefault(winner, []).append(Former(person, anchors[person.phorest_id]))
        else:
            holding[winner] = (anchors[person.phorest_id], person.phorest_id)
    return holding, former


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
