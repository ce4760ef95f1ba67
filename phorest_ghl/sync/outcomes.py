"""How every item leaves a run: with exactly one outcome, and the counts add up (design §2).

Belongs here: the outcome types and the tally. Does not: deciding which one (plan and apply do).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Applied:
    """GHL acknowledged a change for this item."""

    kind = "applied"
    reason = None


@dataclass(frozen=True)
class Unchanged:
    """GHL already holds what it should."""

    kind = "unchanged"
    reason = None


@dataclass(frozen=True)
class Skipped:
    """Nothing is wrong and nothing is to be done."""

    reason: str
    kind = "skipped"


@dataclass(frozen=True)
class Deferred:
    """To be done later; `until` is None where the next run may try."""

    reason: str
    until: datetime | None = None
    kind = "deferred"


@dataclass(frozen=True)
class Rejected:
    """GHL, or a rule of ours, refused the content; a person or a change of the record is needed.

    `detail` is of this record alone, such as the vendor's words; never a personal value.
    """

    reason: str
    detail: str | None = None
    kind = "rejected"


@dataclass(frozen=True)
class Failed:
    """It should have worked; the next run tries again. `failure` is the category of the error."""

    failure: str
    attempt: int = 1
    kind = "failed"

    @property
    def reason(self) -> str:
        """The category, for the tally."""
        return self.failure


Outcome = Applied | Unchanged | Skipped | Deferred | Rejected | Failed
KINDS = ("applied", "unchanged", "skipped", "deferred", "rejected", "failed")


class CountsDisagree(Exception):
    """Items got lost between the input of a run and its outcomes: a defect of ours, never of the data."""


class Tally:
    """The outcomes of a run, one for each item of its input."""

    def __init__(self, items: Iterable[str]) -> None:
        self._pending = set(items)
        self.total = len(self._pending)
        self.outcomes: dict[str, Outcome] = {}

    def settle(self, item: str, outcome: Outcome) -> None:
        """Give an item its outcome. Raises CountsDisagree for an item that has one, or is none of the input."""
        if item not in self._pending:
            raise CountsDisagree(f"item {item} is not of this run's input, or has its outcome already")
        self._pending.discard(item)
        self.outcomes[item] = outcome

    def pending(self) -> frozenset[str]:
        """Items without an outcome so far."""
        return frozenset(self._pending)

    def counts(self) -> dict[str, int]:
        """Items by kind of outcome; every kind is there. Raises CountsDisagree while items are pending."""
        if self._pending:
            raise CountsDisagree(f"{len(self._pending)} of {self.total} items have no outcome")
        found = Counter(outcome.kind for outcome in self.outcomes.values())
        return {kind: found[kind] for kind in KINDS}

    def reasons(self) -> Mapping[str, Mapping[str, int]]:
        """Items by kind and reason, for the kinds that have reasons."""
        found: dict[str, Counter[str]] = {}
        for outcome in self.outcomes.values():
            if outcome.reason is not None:
                found.setdefault(outcome.kind, Counter())[outcome.reason] += 1
        return found
