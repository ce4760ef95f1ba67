"""Was the demo right? Judged by the sandbox's own truth, with nothing of our identity code.

Belongs here: comparing both sides' truth. Does not: running anything.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Truth:
    """Clients that should be on a contact, by how many contacts hold an address of their household.

    `unasked` counts contacts for which no client asks: an archived, banned or deleted client's, a stylist's number.
    """

    syncable: int
    on_one_contact: int
    twice: int
    missing: int
    unasked: int = 0

    @property
    def holds(self) -> bool:
        """Whether every syncable client is on exactly one contact, and nobody else on any."""
        return self.on_one_contact == self.syncable and not (self.twice or self.missing or self.unasked)

    def document(self) -> dict[str, int]:
        """As the demo reports it."""
        return asdict(self)


def judge(clients: Iterable[Row], contacts: Iterable[Row]) -> Truth:
    """Compare the clients of the simulated Phorest with the contacts of the simulated GHL.

    Each client carries what the sandbox knows of it: whether it is to be synced, its canonical addresses, its household.
    """
    rows = [client["truth"] for client in clients]
    addresses: dict[str, set[str]] = {}
    for truth in rows:
        held = {value for value in (truth["email"], truth["phone"]) if value}
        addresses.setdefault(truth["household"], set()).update(held)
    owner = {address: household for household, held in addresses.items() for address in held}
    holders: dict[str, set[str]] = {}
    found = list(contacts)
    for contact in found:
        for address in (contact.get("email"), contact.get("phone")):
            household = owner.get((address or "").lower())
            if household is not None:
                holders.setdefault(household, set()).add(contact["id"])
    counts = Counter(min(2, len(holders.get(truth["household"], ()))) for truth in rows if truth["syncable"])
    asked = {truth["household"] for truth in rows if truth["syncable"]}
    known = {contact_id for household in asked for contact_id in holders.get(household, ())}
    return Truth(
        syncable=sum(counts.values()),
        on_one_contact=counts[1],
        twice=counts[2],
        missing=counts[0],
        unasked=sum(contact["id"] not in known for contact in found),
    )
