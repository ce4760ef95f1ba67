"""How much of one kind a run may do at once: pure rules over a plan's changes.

Belongs here: what is counted, its bound, its sentence. Does not: whether a person let it pass (`record`), what of a plan is
held back then (`gate`), stops of a whole run (`place`).

Bounds are the larger of a number and a share of what we have in GHL of that kind. They are experience, not the vendors'
facts, so GUARD_BOUNDS changes them.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from phorest_ghl.ghl.fields import BANNED_TAG, DELETED_TAG, VALUE_FACETS, Facet
from phorest_ghl.sync.events.plan import EventAction, EventChange
from phorest_ghl.sync.plan import ABSENT, BLOCKED, PRESENT, Action, PlannedChange
from phorest_ghl.sync.staff.plan import StaffChange


@dataclass(frozen=True)
class Bound:
    """The most of one kind that a run does by itself: so many, or that share of what there is, whichever is more."""

    number: int
    share: float

    def of(self, base: int) -> int:
        """The bound where there are `base` objects."""
        return max(self.number, ceil(self.share * base))


@dataclass(frozen=True)
class SizeGuard:
    """One kind of change that a run does not do in bulk. `what` completes "N …"; `why` is what it most often means."""

    name: str
    bound: Bound
    what: str
    why: str
    counts: Callable[[Any], bool]

    def sentence(self, figure: int, bound: int, entity_type: str) -> str:
        """What happened, and the one way on."""
        return (
            f"{figure} {self.what}; more than {bound} in one run wait for a person, and none of them is done. {self.why} "
            f"Everything else of the run goes on. Look at them (`phorest-ghl plan`), then let these pass once with "
            f"`phorest-ghl allow {entity_type} {self.name} {figure}`."
        )


def _adopts(change: PlannedChange) -> bool:
    return change.action is Action.ADOPT


def _closes(change: PlannedChange) -> bool:
    """Whether it closes a channel of a contact of ours: never held back, however many there are (S5)."""
    ended = (DELETED_TAG, BANNED_TAG)
    return change.action is Action.RETIRE or (
        change.action is Action.UPDATE
        and any(
            (diff.facet is Facet.CONSENT and diff.after == BLOCKED)
            or (diff.facet is Facet.TAGS and diff.after == PRESENT and diff.name in ended)
            for diff in change.diffs
        )
    )


def _overwrites(change: PlannedChange) -> bool:
    replaced = any(diff.facet in VALUE_FACETS and bool(diff.before) for diff in change.diffs)
    return change.action is Action.UPDATE and replaced and not _closes(change)


def _untags(change: PlannedChange | StaffChange) -> bool:
    removed = any(diff.after == ABSENT for diff in change.tag_diffs)
    return removed and not (isinstance(change, PlannedChange) and _closes(change))


def _cancels(change: EventChange) -> bool:
    return change.action is EventAction.CANCEL and not change.desired.row.vanished  # those have S4's own bound


def _moves(change: EventChange) -> bool:
    return change.action is EventAction.MOVE


_TAG_REMOVALS = SizeGuard(
    "tag-removals",
    Bound(100, 0.10),
    "contacts would lose tags of ours",
    "A category, a product or a tier was renamed, or an import is incomplete; workflows may start on a removed tag.",
    _untags,
)
CONTACTS = (
    SizeGuard(
        "adoptions",
        Bound(100, 0.0),
        "contacts that somebody else made would be taken over",
        "This is the first load of a location that is not empty, or somebody imported contacts there.",
        _adopts,
    ),
    SizeGuard(
        "overwrites",
        Bound(500, 0.50),
        "contacts would have values replaced",
        "A setting, a new version's fields, or an import of another business.",
        _overwrites,
    ),
    _TAG_REMOVALS,
)
EVENTS = (
    SizeGuard(
        "cancellations",
        Bound(50, 0.10),
        "events would be cancelled, since Phorest says so",
        "A closed day, or a bulk action in Phorest.",
        _cancels,
    ),
    SizeGuard(
        "moves",
        Bound(50, 0.10),
        "events would be moved to another contact",
        "Many clients changed households at once: an address rule or the location's own setting was changed.",
        _moves,
    ),
)
STAFF = (_TAG_REMOVALS,)
NAMES = tuple(guard.name for guard in (*CONTACTS, *EVENTS))


@dataclass(frozen=True)
class Tripped:
    """A guard that a plan's changes exceed."""

    guard: SizeGuard
    figure: int
    bound: int


def tripped(
    changes: Collection[Any], guards: Collection[SizeGuard], base: int, bounds: Mapping[str, Bound]
) -> tuple[Tripped, ...]:
    """The guards that these changes exceed, where we have `base` objects in GHL; `bounds` replaces the guards' own."""
    found: list[Tripped] = []
    for guard in guards:
        figure = sum(guard.counts(change) for change in changes)
        bound = bounds.get(guard.name, guard.bound).of(base)
        if figure > bound:
            found.append(Tripped(guard, figure, bound))
    return tuple(found)
