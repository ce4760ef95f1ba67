"""Are the demo's staff in GHL as they should be? Judged by the sandbox's own truth, with nothing of our staff's code.

Belongs here: comparing both sides' truth. Does not: running anything, the clients (`demo_truth`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from phorest_ghl.commands.demo_truth import Row

_TAG = "role:staff"


@dataclass(frozen=True, kw_only=True)
class StaffTruth:
    """How the staff came out.

    Attributes:
        people: logins of those who work in the salon and can be reached.
        on_one_contact: those of them at whose addresses exactly one contact is tagged as the staff's.
        made: contacts that are the staff's alone: none of them was there before, and no client's id is on them.
        reachable: those of `made` that something could be sent to.
    """

    people: int
    on_one_contact: int
    made: frozenset[str]
    reachable: int

    @property
    def holds(self) -> bool:
        """Whether everybody is on one contact, and nothing can be sent to any that was made for them."""
        return self.people == self.on_one_contact and not self.reachable

    def document(self) -> dict[str, int]:
        """As the demo reports it."""
        return {**vars(self), "made": len(self.made)}


def judge_staff(staff: Iterable[Row], contacts: Iterable[Row], before: Iterable[Row] = ()) -> StaffTruth:
    """Compare the staff of the simulated Phorest with the contacts of the simulated GHL."""
    addresses: dict[str, set[str]] = {}
    for row in staff:
        if row["userId"] and not row["archived"]:
            usable = {value for value in (_email(row), _phone(row)) if value}
            addresses.setdefault(row["userId"], set()).update(usable)
    people = {login: held for login, held in addresses.items() if held}
    tagged = [contact for contact in contacts if _TAG in contact["tags"]]
    there = {contact["id"] for contact in before}
    made = [c for c in tagged if c["id"] not in there and not c["customFields"]]
    return StaffTruth(
        people=len(people),
        on_one_contact=sum(sum(_is_at(contact, held) for contact in tagged) == 1 for held in people.values()),
        made=frozenset(contact["id"] for contact in made),
        reachable=sum(not _is_closed(contact) for contact in made),
    )


def _is_at(contact: Row, addresses: set[str]) -> bool:
    return bool({(contact.get("email") or "").lower(), contact.get("phone")} & addresses)


def _is_closed(contact: Row) -> bool:
    settings: Mapping[str, Row] = contact["dndSettings"]
    return bool(contact.get("dnd")) and bool(settings) and all(s["status"] == "active" for s in settings.values())


def _email(row: Row) -> str | None:
    value = (row.get("email") or "").lower()
    return value if value.partition("@")[2] else None


def _phone(row: Row) -> str | None:
    value = row.get("mobile") or ""
    return value if value.startswith("+") else None
