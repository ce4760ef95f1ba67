"""What a plan would mean: what it overwrites, whom it silences, how many requests and how long. Pure figures of a plan.

Belongs here: counting and listing. Does not: making a plan (`plan`), its JSON and tables (`plan_document`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from phorest_ghl.ghl.fields import EMAIL, PHONE, VALUE_FACETS, Facet, Rule
from phorest_ghl.http.budget import Limits
from phorest_ghl.sync.consent import Channel
from phorest_ghl.sync.plan import BLOCKED, PRESENT, Action, FieldDiff, Plan, PlannedChange

_REMINDED_BY: Mapping[Channel, str] = {Channel.SMS: PHONE.name, Channel.EMAIL: EMAIL.name}
"""Channels by which GHL reminds of appointments, and the address that each needs."""


@dataclass(frozen=True, kw_only=True)
class Overwrite:
    """A field of which GHL holds another value that Phorest's replaces; a person may have written it (S16)."""

    phorest_id: str
    ghl_id: str
    diff: FieldDiff


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Calls that applying takes if nothing goes wrong; only `writes` are the one call a contact (S22)."""

    writes: int
    reads: int
    tag_calls: int
    read_backs: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.writes + self.reads + self.tag_calls + self.read_backs


@dataclass(frozen=True, kw_only=True)
class Silenced:
    """Contacts that no longer get reminders from GHL, since DND blocks marketing and reminders alike (S8).

    `new` are made with a channel closed whose address they have, `present` have one closed on them; `adopted` are those
    of the present ones that this very plan adopts. `by_channel` counts new and present ones together.
    """

    new: int
    present: int
    adopted: int
    by_channel: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long requests take: `minutes` at the location's share of the burst, `days` by the daily quota."""

    minutes: float
    days: int


def overwrites(plan: Plan) -> list[Overwrite]:
    """Fields of present contacts whose value Phorest's replaces; fields of ours alone are none."""
    return [
        Overwrite(phorest_id=change.desired.phorest_id, ghl_id=change.ghl_id, diff=diff)
        for change in plan.changes
        if change.ghl_id is not None
        for diff in change.diffs
        if diff.rule is Rule.PHOREST and diff.before is not None and diff.facet is not Facet.CONSENT
    ]


def requests(plan: Plan) -> Requests:
    """Calls by what they are for."""
    sent = [change for change in plan.changes if change.requests]
    writes = sum(change.action is not Action.REMAP for change in sent)  # a contact that carries our id is only read
    read_backs = sum(change.read_backs for change in sent)
    return Requests(
        writes=writes,
        reads=sum(change.requests for change in sent) - writes - read_backs,
        tag_calls=plan.bulk_calls,
        read_backs=read_backs + plan.first_write,
    )


def silenced(plan: Plan) -> Silenced:
    """Who loses reminders."""
    by_channel = dict.fromkeys((channel.value for channel in _REMINDED_BY), 0)
    counts = {"new": 0, "present": 0, "adopted": 0}
    for change in plan.changes:
        closed = _closed_reminders(change)
        for channel in closed:
            by_channel[channel.value] += 1
        if closed:
            counts["new" if change.action is Action.CREATE else "present"] += 1
            counts["adopted"] += change.action is Action.ADOPT
    return Silenced(**counts, by_channel=by_channel)


def adopted_newly_blocked(plan: Plan) -> int:
    """Contacts of somebody else's that the plan takes over and closes a channel on, whichever channel (S8)."""
    return sum(change.action is Action.ADOPT and any(_closes(diff) for diff in change.diffs) for change in plan.changes)


def automations(plan: Plan) -> dict[str, int]:
    """What GHL's workflows could react to; the guard tag holds back those that exclude it (safety S1)."""
    creates = [change for change in plan.changes if change.action is Action.CREATE]
    present = [change for change in plan.changes if change.action is not Action.CREATE]
    return {
        "contact created": len(creates),
        "tag added": len(creates) + _having(present, lambda diff: diff.facet is Facet.TAGS and diff.after == PRESENT),
        "guard tag added": len(plan.to_guard),
        "field changed": _having(present, lambda diff: diff.facet in VALUE_FACETS),
        "DND": _having(present, lambda diff: diff.facet is Facet.CONSENT),
    }


def fields(plan: Plan) -> dict[str, int]:
    """Changes by field, the most frequent first."""
    found: dict[str, int] = {}
    for change in plan.changes:
        for diff in change.diffs:
            found[diff.name] = found.get(diff.name, 0) + 1
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def pace(calls: int, limits: Limits) -> Pace:
    """How long so many requests take. Bulk work stops when the day's quota runs low, and goes on the next day (S22)."""
    per_second = limits.share * limits.requests / limits.window_s
    a_day = calls if limits.daily is None else max(1, int(limits.daily * (1 - limits.bulk_daily_floor)))
    return Pace(minutes=round(calls / per_second / 60, 2), days=ceil(calls / a_day) if calls else 0)


def _closes(diff: FieldDiff) -> bool:
    return diff.facet is Facet.CONSENT and diff.after == BLOCKED


def _closed_reminders(change: PlannedChange) -> list[Channel]:
    closed = {diff.name for diff in change.diffs if _closes(diff)}
    return [
        channel
        for channel, address in _REMINDED_BY.items()
        if channel.value in closed and address in change.desired.identity
    ]


def _having(changes: Iterable[PlannedChange], wanted: Callable[[FieldDiff], bool]) -> int:
    return sum(any(wanted(diff) for diff in change.diffs) for change in changes)
