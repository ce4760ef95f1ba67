"""When people may be written to: outside of it a live location gets no new contacts and no new tags (safety S5). Pure.

Belongs here: which of a plan's changes wait for the morning. Does not: who is told of an appointment (`events.announce`).

Workflows start on both, at whatever hour they are written. What waits is planned anew by the next run; the first run of
appointments in the morning goes on with it (`mornings`). Nothing else waits: closing a channel, taking a tag off, values of
fields, and the tags that say that a contact was closed.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from phorest_ghl.ghl.fields import BANNED_TAG, DELETED_TAG, MERGED_TAG, Facet
from phorest_ghl.sync.contact_hours import ContactHours
from phorest_ghl.sync.outcomes import Deferred, Outcome
from phorest_ghl.sync.plan import PRESENT, Action, FieldDiff, Plan, PlannedChange

QUIET_HOURS = "quiet hours"
EARLY = timedelta(hours=2)
"""A visit that starts less than so long after the opening needs its client's contact in the night before."""
_CLOSED = frozenset({BANNED_TAG, DELETED_TAG, MERGED_TAG})
"""Tags of contacts whose channels are closed with them: nobody can be reached by what they start."""


def until_morning(
    plan: Plan,
    hours: ContactHours,
    now: datetime,
    zone_of: Callable[[str | None], ZoneInfo],
    *,
    unsettled: Collection[str] = (),
    early: Collection[str] = (),
) -> Plan:
    """A live location's plan without what may start a workflow in quiet hours; each client by its branch's clock.

    Two kinds of creates do not wait: of the `unsettled`, which may have been made already and have to be found to be
    closed, and of those who come `early`. They carry the guard tag, which goes in the morning.
    """
    kept: list[PlannedChange] = []
    waiting: dict[str, Outcome] = {}
    mornings: dict[str, datetime] = {}
    for change in plan.changes:
        zone = zone_of(change.desired.household.primary.client.branch_id)
        left = change if hours.permit(now, zone) else _calm(change, {*unsettled, *early})
        if left is not change:
            mornings |= dict.fromkeys(change.item_ids, hours.next_opening(now, zone))
        if left is None:
            waiting |= {item: Deferred(QUIET_HOURS, mornings[item]) for item in change.item_ids}
        else:
            kept.append(left)
    return replace(plan, changes=tuple(kept), settled={**plan.settled, **waiting}, mornings=mornings)


def needed_early(starts_at: datetime, hours: ContactHours, now: datetime, zone: ZoneInfo) -> bool:
    """Whether a visit starts so early after these quiet hours that its client's contact cannot wait for their end."""
    return not hours.permit(now, zone) and now < starts_at < hours.next_opening(now, zone) + EARLY


def _calm(change: PlannedChange, at_once: Collection[str]) -> PlannedChange | None:
    """What of a change may be written at night, or None for nothing of it."""
    if change.action is Action.CREATE:
        return None if set(change.desired.member_ids).isdisjoint(at_once) else replace(change, guarded=True)
    diffs = tuple(diff for diff in change.diffs if not _new_tag(diff))
    if change.action is Action.UPDATE and not diffs:
        return None
    return change if len(diffs) == len(change.diffs) else replace(change, diffs=diffs)


def _new_tag(diff: FieldDiff) -> bool:
    return diff.facet is Facet.TAGS and diff.after == PRESENT and diff.name not in _CLOSED


def branch_clock(zones: Mapping[str, str], branch_id: str | None) -> ZoneInfo:
    """The zone of a branch; of one that is not known, the salon's first."""
    return ZoneInfo(zones.get(branch_id or "") or next(iter(zones.values()), "UTC"))
