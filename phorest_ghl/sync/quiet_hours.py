"""When people may be written to: outside of it a live location gets no new contacts and no new tags (safety S5). Pure.

Belongs here: which of a plan's changes wait for the morning. Does not: who is told of an appointment (`events.announce`).

Workflows start on both, at whatever hour they are written. What waits is planned anew by the next run; the first run of
appointments in the morning goes on with it (`mornings`). Nothing else waits: closing a channel, taking a tag off, values of
fields, and the tags that say that a contact was closed.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from phorest_ghl.ghl.fields import BANNED_TAG, DELETED_TAG, MERGED_TAG, Facet
from phorest_ghl.sync.contact_hours import ContactHours
from phorest_ghl.sync.outcomes import Deferred, Outcome
from phorest_ghl.sync.plan import PRESENT, Action, FieldDiff, Plan, PlannedChange

QUIET_HOURS = "quiet hours"
_CLOSED = frozenset({BANNED_TAG, DELETED_TAG, MERGED_TAG})
"""Tags of contacts whose channels are closed with them: nobody can be reached by what they start."""


def until_morning(
    plan: Plan,
    hours: ContactHours,
    now: datetime,
    zone_of: Callable[[str | None], ZoneInfo],
    *,
    unsettled: Collection[str] = (),
) -> Plan:
    """A live location's plan without what may start a workflow in quiet hours; each client by its branch's clock.

    A create of one of the `unsettled`, which may have been made already, does not wait: it has to be found to be closed.
    """
    kept: list[PlannedChange] = []
    waiting: dict[str, Outcome] = {}
    mornings: dict[str, datetime] = {}
    for change in plan.changes:
        zone = zone_of(change.desired.household.primary.client.branch_id)
        permitted = hours.permit(now, zone) or not set(change.desired.member_ids).isdisjoint(unsettled)
        left = change if permitted else _calm(change)
        if left is not change:
            mornings |= dict.fromkeys(change.item_ids, hours.next_opening(now, zone))
        if left is None:
            waiting |= {item: Deferred(QUIET_HOURS, mornings[item]) for item in change.item_ids}
        else:
            kept.append(left)
    return replace(plan, changes=tuple(kept), settled={**plan.settled, **waiting}, mornings=mornings)


def _calm(change: PlannedChange) -> PlannedChange | None:
    """What of a change may be written at night, or None for nothing of it."""
    if change.action is Action.CREATE:
        return None
    diffs = tuple(diff for diff in change.diffs if not _new_tag(diff))
    if change.action is Action.UPDATE and not diffs:
        return None
    return change if len(diffs) == len(change.diffs) else replace(change, diffs=diffs)


def _new_tag(diff: FieldDiff) -> bool:
    return diff.facet is Facet.TAGS and diff.after == PRESENT and diff.name not in _CLOSED
