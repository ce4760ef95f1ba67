"""Changes of plans for tests of the guards, with no more in them than a guard looks at. Does not: assertions."""

from types import SimpleNamespace
from typing import Any, cast

from phorest_ghl.ghl.fields import BANNED_TAG, DELETED_TAG, Facet, Rule
from phorest_ghl.sync.events.plan import EventAction, EventChange, EventPlan
from phorest_ghl.sync.plan import ABSENT, BLOCKED, PRESENT, Action, FieldDiff, Plan, PlannedChange
from phorest_ghl.sync.staff.plan import StaffAction, StaffChange


def contact(number: int, action: Action, *diffs: FieldDiff) -> PlannedChange:
    key = f"C{number}"
    member = SimpleNamespace(phorest_id=key, live=True)
    desired = cast(
        "Any", SimpleNamespace(phorest_id=key, member_ids=(key,), household=SimpleNamespace(members=[member]))
    )
    return PlannedChange(action, desired, f"G{number}", diffs, "a test")


def event(number: int, action: EventAction, *, vanished: bool = False) -> EventChange:
    desired = cast("Any", SimpleNamespace(phorest_id=f"A{number}", row=SimpleNamespace(vanished=vanished)))
    return EventChange(action=action, desired=desired, ghl_id=f"E{number}", diffs=(), reason="a test")


def staff(number: int, *diffs: FieldDiff) -> StaffChange:
    member = cast("Any", SimpleNamespace(item_ids=(f"S{number}",)))
    return StaffChange(action=StaffAction.UPDATE, member=member, ghl_id=f"G{number}", diffs=diffs, reason="a test")


def tag(name: str, after: str) -> FieldDiff:
    return FieldDiff(name, Facet.TAGS, PRESENT if after == ABSENT else None, after, Rule.ADDITIVE)


CLOSE = FieldDiff("SMS", Facet.CONSENT, "open", BLOCKED, Rule.STRICTEST)
OPEN = FieldDiff("SMS", Facet.CONSENT, BLOCKED, "open", Rule.REVERSED)
REPLACE = FieldDiff("last_name", Facet.IDENTITY, "Byrne", "Burke", Rule.PHOREST)
FILL = FieldDiff("last_name", Facet.IDENTITY, None, "Burke", Rule.PHOREST)

TRIPPING = {
    "adoptions": lambda n: contact(n, Action.ADOPT, CLOSE, FILL),
    "overwrites": lambda n: contact(n, Action.UPDATE, REPLACE),
    "tag-removals": lambda n: contact(n, Action.UPDATE, tag("product:wax", ABSENT)),
    "cancellations": lambda n: event(n, EventAction.CANCEL),
    "moves": lambda n: event(n, EventAction.MOVE),
}
"""For each size guard, a change that it counts and no other one does."""
HARMLESS = (
    (
        contact(1, Action.CREATE, CLOSE, FILL),
        contact(2, Action.UPDATE, OPEN),
        contact(3, Action.UPDATE, FILL),
        contact(4, Action.UPDATE, tag("product:wax", PRESENT)),
        contact(5, Action.LINK),
    ),
    (event(6, EventAction.CREATE), event(7, EventAction.UPDATE), event(8, EventAction.CANCEL, vanished=True)),
    (staff(9, tag("role:staff", PRESENT)),),
)
"""Changes of contacts, events and staff that no guard counts: some have their own bounds (S4, S7), others harm nobody."""
CLOSING = (
    contact(1, Action.RETIRE, CLOSE),
    contact(2, Action.UPDATE, tag(BANNED_TAG, PRESENT)),
    contact(3, Action.UPDATE, CLOSE, REPLACE),
    contact(4, Action.UPDATE, CLOSE, tag("product:wax", ABSENT)),
    contact(5, Action.UPDATE, CLOSE, REPLACE, tag(DELETED_TAG, PRESENT)),
)
"""Changes that close a channel, some with what a guard would count in another one."""


def plan_of(guard: str, count: int) -> Plan | EventPlan:
    """A plan of so many changes that a guard counts."""
    changes: Any = tuple(TRIPPING[guard](n) for n in range(count))
    if guard in ("cancellations", "moves"):
        return EventPlan(changes, {})
    return Plan(changes, {}, total=count, to_guard=tuple(change.ghl_id for change in changes))
