"""Was the demo right? Judged by the sandbox's own truth, with nothing of our identity code.

Belongs here: comparing both sides' truth, before and after. Does not: running anything.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

Row = Mapping[str, Any]
"""A record of the sandbox's truth."""

_THEIRS = (
    "firstName", "lastName", "email", "phone", "address1", "city", "state", "postalCode", "country", "dateOfBirth",
    "website", "companyName", "source", "assignedTo", "timezone",
)  # fmt: skip
_OPEN = "inactive"


@dataclass(frozen=True, kw_only=True)
class Truth:
    """How the contacts came out, judged client by client and contact by contact.

    Attributes:
        syncable: clients that should be on a contact by now.
        on_one_contact: those of them whose household is on exactly one.
        twice: those on more.
        missing: those on none.
        unasked: contacts of ours for which no client asks: an archived or banned client's, a stylist's number.
        adopted: contacts of the agency's that have a client now, as they should.
        for_review: clients whose address is on a contact that may be somebody else's: a person decides, nothing is made.
        wrongly_adopted: contacts of the agency's that have a client although a person should have decided.
        overwritten: values and tags of the agency's that are not as they were.
        loosened: channels that somebody had closed and that are open now.
        families: households of several clients on one contact.
        reachable: addresses that can be written to although somebody at them did not agree.
    """

    syncable: int = 0
    on_one_contact: int = 0
    twice: int = 0
    missing: int = 0
    unasked: int = 0
    adopted: int = 0
    for_review: int = 0
    wrongly_adopted: int = 0
    overwritten: int = 0
    loosened: int = 0
    families: int = 0
    reachable: int = 0

    @property
    def holds(self) -> bool:
        """Whether every syncable client is on exactly one contact, and nothing happened that must not."""
        wrong = (self.twice, self.missing, self.unasked, self.wrongly_adopted, self.overwritten, self.loosened)
        return self.on_one_contact == self.syncable and not any((*wrong, self.reachable))

    def document(self) -> dict[str, int]:
        """As the demo reports it."""
        return asdict(self)


def judge(clients: Iterable[Row], contacts: Iterable[Row], before: Iterable[Row] = ()) -> Truth:
    """Compare the clients of the simulated Phorest with the contacts of the simulated GHL.

    Each client carries what the sandbox knows of it: whether it is to be synced, its canonical addresses, its household.
    `before` are the contacts that were there before the first run; each says whose addresses it has and who it is.
    """
    rows = list(clients)
    found = {contact["id"]: contact for contact in contacts}
    there = {contact["id"]: contact for contact in before}
    households = {row["clientId"]: row["truth"]["household"] for row in rows}
    at = holders(found.values(), households)
    review, theirs = _expected(there.values(), rows)
    syncable = [row["truth"]["household"] for row in rows if row["truth"]["syncable"]]
    wanted = [household for household in syncable if household not in review]
    counts = Counter(min(2, len(at.get(household, ()))) for household in wanted)
    made = found.keys() - there.keys()
    asked = {contact_id for household in wanted for contact_id in at.get(household, ())}
    held = {contact_id for ids in at.values() for contact_id in ids}
    sizes = Counter(wanted)
    return Truth(
        syncable=len(wanted),
        on_one_contact=counts[1],
        twice=counts[2],
        missing=counts[0],
        unasked=len(made - asked),
        adopted=len(there.keys() & held & theirs),
        for_review=len(syncable) - len(wanted),
        wrongly_adopted=len((there.keys() & held) - theirs),
        overwritten=sum(_overwritten(old, found.get(key, {})) for key, old in there.items()),
        loosened=sum(_loosened(old, found.get(key, {})) for key, old in there.items()),
        families=sum(size > 1 for size in sizes.values()),
        reachable=sum(_reachable(contact, rows) for contact in _ours(found, held)),
    )


def _ours(found: Mapping[str, Row], held: Iterable[str]) -> list[Row]:
    return [found[key] for key in held]


def holders(contacts: Iterable[Row], households: Mapping[str, str]) -> dict[str, set[str]]:
    """By household, the contacts that carry an id of its clients. `households` is each client's."""
    found: dict[str, set[str]] = {}
    for contact in contacts:
        for value in contact.get("customFields", {}).values():
            household = households.get(value) if isinstance(value, str) else None
            if household is not None:
                found.setdefault(household, set()).add(contact["id"])
    return found


def _expected(before: Iterable[Row], rows: Iterable[Row]) -> tuple[set[str], set[str]]:
    """Households that wait for a person, and the contacts that a client should have taken over.

    A contact is taken over if it is the only one at the household's addresses that is one of its clients.
    """
    at: dict[str, set[str]] = {}
    members: dict[str, set[str]] = {}
    for row in rows:
        truth = row["truth"]
        if truth["syncable"]:
            members.setdefault(truth["household"], set()).add(row["clientId"])
            for address in (truth["email"], truth["phone"]):
                if address:
                    at.setdefault(address, set()).add(truth["household"])
    present: dict[str, list[Row]] = {}
    for contact in before:
        addresses = {(contact.get("email") or "").lower(), contact.get("phone")}
        for household in {household for address in addresses for household in at.get(address or "", ())}:
            present.setdefault(household, []).append(contact)
    review: set[str] = set()
    theirs: set[str] = set()
    for household, standing in present.items():
        same = [contact["id"] for contact in standing if _is(contact) in members[household]]
        if len(same) == 1:
            theirs.add(same[0])
        else:
            review.add(household)
    return review, theirs


def _is(contact: Row) -> str | None:
    """The client that a contact of the agency's is, if any."""
    known: Row = contact.get("agency") or {}
    return known.get("is")


def _overwritten(old: Row, new: Row) -> int:
    values = sum(bool(old.get(name)) and new.get(name) != old[name] for name in _THEIRS)
    fields = sum(new.get("customFields", {}).get(key) != value for key, value in old["customFields"].items())
    return values + fields + len(set(old["tags"]) - set(new.get("tags", ())))


def _loosened(old: Row, new: Row) -> int:
    """Channels that were closed before and are open, or not mentioned, now."""
    held = new.get("dndSettings", {})
    channels = [
        name
        for name, setting in old["dndSettings"].items()
        if setting["status"] != _OPEN and held.get(name, {}).get("status", _OPEN) == _OPEN
    ]
    return len(channels) + bool(old.get("dnd") and not new.get("dnd"))


def _reachable(contact: Row, rows: Iterable[Row]) -> int:
    """Addresses of a contact that a message could reach although somebody who holds them has not agreed."""
    found = 0
    for name, channel, flag in (("email", "Email", "emailMarketingConsent"), ("phone", "SMS", "smsMarketingConsent")):
        address = (contact.get(name) or "").lower()
        refused = address and any(
            row["truth"][name] == address and (row.get(flag) is not True or row.get("banned") or row.get("deleted"))
            for row in rows
            if not row.get("mergedToClientId")
        )
        is_open = contact["dndSettings"].get(channel, {}).get("status", _OPEN) == _OPEN and not contact.get("dnd")
        found += bool(refused and is_open)
    return found
