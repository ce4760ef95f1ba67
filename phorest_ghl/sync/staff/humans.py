"""Who works here: the rows of a diary's columns, without rooms and machines, and one human for the rows of all branches.

Belongs here: reading the rows, telling humans from columns, grouping them (facts/phorest-api §7.7). Does not: what becomes
of a human in GHL.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from phorest_ghl.sync import normalise

PSEUDO = (
    "room", "machine", "chair", "bed", "desk", "device", "laser", "sunbed", "no show", "no-show", "noshow", "waiting list",
    "waitlist", "training", "trainee account", "test", "reception", "walk in", "walk-in", "any", "online",
)  # fmt: skip
"""Words by which a diary's column is known to be nobody; as whole words of its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffRow:
    """A row of the staff as imported; `email` in lower case and `phone` as E.164, None where there is none of use."""

    staff_id: str
    branch_id: str
    user_id: str | None
    first_name: str
    last_name: str
    email: str | None
    phone: str | None
    archived: bool
    hidden: bool
    """Nobody can book this column online."""

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}".strip()


@dataclass(frozen=True)
class Human:
    """One human and the rows that it has, one a branch or more, in order of branch."""

    rows: tuple[StaffRow, ...]

    @property
    def key(self) -> str:
        """What the human is known by: the least of its staff ids."""
        return min(row.staff_id for row in self.rows)

    @property
    def name(self) -> str:
        """The first name and last name that a row has."""
        return next((row.name for row in self.rows if row.name), "")

    @property
    def emails(self) -> frozenset[str]:
        """All of its addresses."""
        return frozenset(row.email for row in self.rows if row.email)

    @property
    def archived(self) -> bool:
        """Whether it works in no branch any more."""
        return all(row.archived for row in self.rows)


def is_pseudo(row: StaffRow, patterns: Sequence[str] = PSEUDO) -> bool:
    """Whether a row is a room, a machine or another column that is nobody.

    Who logs in is a human whatever the name says. Else the name's words decide; a column without name or address that
    cannot be booked online is nobody.
    """
    if row.user_id:
        return False
    if not row.name:
        return row.hidden and not (row.email or row.phone)
    words = "|".join(re.escape(pattern.casefold()) for pattern in patterns)
    return bool(words) and re.search(rf"(?<!\w)(?:{words})(?!\w)", row.name.casefold()) is not None


def humans(rows: Iterable[StaffRow]) -> list[Human]:
    """Humans of rows that are no pseudo-staff, by key.

    Two rows are one human if they share the login, or the full name and an address. A shared address alone is the salon's
    mailbox, and a shared name alone a namesake.
    """
    listed = sorted(rows, key=lambda row: (row.branch_id, row.staff_id))
    group = list(range(len(listed)))

    def root(place: int) -> int:
        while group[place] != place:
            place = group[place]
        return place

    seen: dict[tuple[str, ...], int] = {}
    for place, row in enumerate(listed):
        folded = row.name.casefold()
        marks = [("login", row.user_id)] if row.user_id else []
        marks += [("same", folded, address) for address in (row.email, row.phone) if folded and address]
        for found in marks:
            first = seen.setdefault(found, place)
            group[root(place)] = root(first)
    found_rows: dict[int, list[StaffRow]] = {}
    for place, row in enumerate(listed):
        found_rows.setdefault(root(place), []).append(row)
    return sorted((Human(tuple(held)) for held in found_rows.values()), key=lambda human: human.key)


def load_staff(connection: Connection, countries: Mapping[str, str], also: Collection[str] = ()) -> list[StaffRow]:
    """All rows of the staff that Phorest still has; `countries` is each branch's ISO code.

    Of the rows that it has no longer those of `also` are there too, as archived ones: who left stays who it was.
    """
    rows = connection.execute(
        text("""select phorest_id, branch_id, user_id, first_name, last_name, email, mobile,
                       archived or deleted_at is not null as archived,
                       coalesce(hide_from_online_bookings, false) or coalesce(hide_from_appointment_screen, false) as hidden
                from phorest_staff where deleted_at is null or phorest_id = any(:also) order by branch_id, phorest_id"""),
        {"also": sorted(also)},
    )
    fallback = next(iter(countries.values()), None)
    return [
        StaffRow(
            staff_id=row.phorest_id,
            branch_id=row.branch_id,
            user_id=row.user_id or None,
            first_name=normalise.name(row.first_name),
            last_name=normalise.name(row.last_name),
            email=normalise.email(row.email),
            phone=normalise.phone(row.mobile, countries.get(row.branch_id, fallback)),
            archived=row.archived,
            hidden=row.hidden,
        )
        for row in rows
    ]
