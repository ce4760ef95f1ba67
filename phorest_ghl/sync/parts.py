"""Runs of one part of contacts: loyalty, online bookings, product tags. The same projection and planner, and less of its plan.

Belongs here: which part is what, and what of a plan it is. Does not: another way to compare or to write.

Such a run makes, adopts, closes and maps nothing, and knows nothing of consent: that is the clients' run alone, so that the
two never want different things.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from phorest_ghl.ghl.fields import Facet, tag_facet
from phorest_ghl.sync.outcomes import Outcome, Rejected, Skipped, Unchanged
from phorest_ghl.sync.plan import Action, FieldDiff, Plan, PlannedChange

LEFT = "waits for the clients' run"
NO_CONTACT = "no contact yet; the clients' run makes it"
"""Reasons why a part of contacts leaves a client out."""


@dataclass(frozen=True)
class Part:
    """A part of contacts with a run of its own: its entity, as summaries name it, and its facet."""

    entity: str
    facet: Facet

    def has(self, diff: FieldDiff) -> bool:
        """Whether a difference is the part's."""
        return (tag_facet(diff.name) if diff.facet is Facet.TAGS else diff.facet) is self.facet


PARTS: Mapping[str, Part] = {
    "loyalty": Part("loyalty", Facet.LOYALTY),
    "bookings": Part("booking", Facet.BOOKINGS),
    "products": Part("product", Facet.PRODUCTS),
}
"""By the name that commands have for them."""


def only(plan: Plan, part: Part) -> Plan:
    """What of a plan of all contacts is this part's; every item keeps its place in the counts."""
    settled = {item: _settled(outcome) for item, outcome in plan.settled.items()}
    changes: list[PlannedChange] = []
    for change in plan.changes:
        diffs = tuple(diff for diff in change.diffs if part.has(diff))
        if change.action is Action.UPDATE and diffs:
            kept = replace(
                change, diffs=diffs, reason=", ".join(sorted({diff.rule.value for diff in diffs})), partial=True
            )
            changes.append(replace(kept, read_first=kept.writes and change.read_first))
        else:
            settled |= dict.fromkeys(change.item_ids, _left(change))
    written = {change.ghl_id for change in changes}
    return Plan(
        tuple(changes),
        settled,
        total=plan.total,
        unread=plan.unread & {part.facet},
        to_guard=tuple(ghl_id for ghl_id in plan.to_guard if ghl_id in written),
    )


def _settled(outcome: Outcome) -> Outcome:
    """A refusal is shown, and counted, by the clients' run."""
    return Skipped(LEFT) if isinstance(outcome, Rejected) else outcome


def _left(change: PlannedChange) -> Outcome:
    if change.action in (Action.UPDATE, Action.LINK):
        return Unchanged()
    return Skipped(NO_CONTACT if change.action in (Action.CREATE, Action.ADOPT, Action.REMAP) else LEFT)
