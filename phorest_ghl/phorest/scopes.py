"""What one read covers: the business, a branch, or a month of a branch; and the months that windows are made of.

Belongs here: naming a scope, its rows in SQL, its query parameters. Does not: reading.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

LOOK_BACK = timedelta(days=35)
LOOK_AHEAD = timedelta(days=120)
"""How far the ten-minute import of appointments looks at least (facts/phorest-api §9): whole months are read."""


class UnknownMonth(ValueError):
    """A person named a month that is none, or none that can be read."""


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month: never longer than the 31 days that Phorest allows a window to have (facts/phorest-api §7.5.1)."""

    year: int
    number: int

    @classmethod
    def of(cls, day: date) -> Self:
        """The month that a day is in."""
        return cls(day.year, day.month)

    @classmethod
    def parse(cls, key: str) -> Self:
        """From `2025-03`. Raises ValueError."""
        return cls.of(date.fromisoformat(f"{key}-01"))

    @property
    def first(self) -> date:
        """Its first day."""
        return date(self.year, self.number, 1)

    @property
    def last(self) -> date:
        """Its last day."""
        return self.next().first - timedelta(days=1)

    def next(self) -> "Month":
        """The month after it."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"


def named_month(key: str) -> Month:
    """The month that a person wrote, as `2025-03`. Raises UnknownMonth."""
    try:
        month = Month.parse(key)
    except ValueError:
        month = None
    if month is None or len(key) != len("2025-03") or month < EARLIEST:
        raise UnknownMonth(f"{key!r} is no month to begin or end with: write it as 2025-01, {EARLIEST} or later.")
    return month


def months(first: date, last: date) -> Iterator[Month]:
    """The months from the one that `first` is in to the one that `last` is in, without gap or overlap."""
    month = Month.of(first)
    while month <= Month.of(last):
        yield month
        month = month.next()


def months_around(today: date, back: timedelta = LOOK_BACK, ahead: timedelta = LOOK_AHEAD) -> tuple[Month, ...]:
    """The months that the frequent import reads: so far back and ahead, and never less than what is always looked at."""
    return tuple(months(today - max(back, LOOK_BACK), today + max(ahead, LOOK_AHEAD)))


EARLIEST = Month(2000, 1)
"""Nobody has a diary in Phorest from before."""


@dataclass(frozen=True)
class Scope:
    """The part of an entity's rows that one list holds; everything where neither branch nor month is given."""

    branch_id: str | None = None
    month: Month | None = None

    @property
    def key(self) -> str:
        """As `import_cursors.scope` holds it: empty, the branch, or the branch and the month."""
        return "/".join(str(part) for part in (self.branch_id, self.month) if part is not None)

    @property
    def where(self) -> str:
        """The SQL condition of its rows, over `parameters`."""
        if self.month is not None:
            return "branch_id = :branch_id and appointment_date between :first and :last"
        return "true" if self.branch_id is None else "branch_id = :branch_id"

    @property
    def parameters(self) -> dict[str, object]:
        """What `where` is bound to."""
        found: dict[str, object] = {} if self.branch_id is None else {"branch_id": self.branch_id}
        return found if self.month is None else {**found, "first": self.month.first, "last": self.month.last}

    @property
    def window(self) -> Mapping[str, str]:
        """Query parameters of the window, inclusive at both ends (facts/phorest-api §7.5.1)."""
        if self.month is None:
            return {}
        return {"from_date": self.month.first.isoformat(), "to_date": self.month.last.isoformat()}


BUSINESS = Scope()
