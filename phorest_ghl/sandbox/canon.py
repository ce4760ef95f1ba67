"""The sandbox's own idea of what an address is, so that a judge needs none of the product's code.

Belongs here: canonical email and phone, which of them are junk, who shares them. Does not belong here: how a client is
generated, or anything about GHL's contacts.

Rules (safety S12): a value used by more than five clients, or belonging to a staff member of another name, is no
contact point; the landline and `linkedClientMobile` never are.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache

import phonenumbers

from phorest_ghl.sandbox.store import Row

MAX_SHARERS = 5
_EMAIL = re.compile(r"[^@\s,;<>()\"]+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}")


def canonical_email(text: object) -> str | None:
    """Trimmed and lower-case, or None when it is no address."""
    if not isinstance(text, str):
        return None
    trimmed = text.strip().lower()
    bad = ".." in trimmed or trimmed.startswith(".") or ".@" in trimmed
    return trimmed if _EMAIL.fullmatch(trimmed) and not bad else None


@lru_cache(maxsize=200_000)
def canonical_phone(text: str | None, country: str) -> str | None:
    """E.164, read with the branch's country (ISO 3166 alpha-2), or None when it is no valid number."""
    try:
        number = phonenumbers.parse(text or "", country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


class Truths:
    """What is true of every client: whether it should be on a contact, by which addresses, and in which household."""

    def __init__(
        self, clients: Mapping[str, Row], staff: Iterable[Row], countries: Mapping[str, str], walk_in: str
    ) -> None:
        self._walk_in = walk_in
        self._countries = countries
        self._home = next(iter(countries.values()))
        self._staff = self._staff_names(staff)
        self._addresses = {key: self._written(row) for key, row in clients.items() if key != walk_in}
        living = [pair for key, pair in self._addresses.items() if not clients[key].get("mergedToClientId")]
        uses = Counter(value for pair in living for value in pair if value)
        self._junk = {value for value, number in uses.items() if number > MAX_SHARERS}
        self._usable = {key: self._clean(clients[key], pair) for key, pair in self._addresses.items()}
        self._household = _components(self._usable)
        self._clients = clients

    def of(self, key: str) -> Row:
        """The `truth` of one client, as the control surface shows it."""
        row = self._clients[key]
        email, phone = self._usable.get(key, (None, None))
        why = self._why_not(key, row, reachable=bool(email or phone))
        household = self._household.get(key)
        return {"syncable": why is None, "why_not": why, "email": email, "phone": phone, "household": household}

    def _why_not(self, key: str, row: Row, *, reachable: bool) -> str | None:
        if key == self._walk_in:
            return "walk-in"
        if row.get("mergedToClientId"):
            return "merged"
        for flag in ("deleted", "archived", "banned"):
            if row.get(flag):
                return flag
        return None if reachable else "no contact point"

    def _country(self, row: Row) -> str:
        return self._countries.get(row.get("creatingBranchId") or "", self._home)

    def _written(self, row: Row) -> tuple[str | None, str | None]:
        mobile = row.get("mobile")
        phone = canonical_phone(mobile, self._country(row)) if isinstance(mobile, str) else None
        return canonical_email(row.get("email")), phone

    def _staff_names(self, staff: Iterable[Row]) -> dict[str, set[str]]:
        names: dict[str, set[str]] = {}
        for row in staff:
            country = self._countries.get(row.get("branchId") or "", self._home)
            for value in (canonical_email(row.get("email")), canonical_phone(row.get("mobile"), country)):
                if value:
                    names.setdefault(value, set()).add(name_of(row))
        return names

    def _clean(self, row: Row, pair: tuple[str | None, str | None]) -> tuple[str | None, str | None]:
        name = name_of(row)
        email, phone = (
            value if value and value not in self._junk and name in self._staff.get(value, {name}) else None
            for value in pair
        )
        return email, phone


def name_of(row: Row) -> str:
    """First and last name folded for comparison."""
    return " ".join(f"{row.get('firstName') or ''} {row.get('lastName') or ''}".casefold().split())


def _components(addresses: Mapping[str, tuple[str | None, str | None]]) -> dict[str, str]:
    """Household per client: the smallest client id of everybody reachable over shared addresses."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            parent[node] = node = parent[parent[node]]
        return node

    for key, pair in addresses.items():
        own = root("client " + key)
        for value in pair:
            if value:
                parent[root(value)] = own = root(own)
    smallest: dict[str, str] = {}
    for key in addresses:
        top = root("client " + key)
        smallest[top] = min(smallest.get(top, key), key)
    return {key: smallest[root("client " + key)] for key in addresses}
