"""Tags on many contacts: changes grouped into as few bulk calls as there can be, and what each call proved.

Belongs here: grouping, sending, the answer of each change. Does not: which tag a contact should have (the projections),
keeping what was proved (the caller, call by call).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from phorest_ghl.ghl.bulk_tags import BULK_LIMIT
from phorest_ghl.ghl.client import GhlClient
from phorest_ghl.ghl.models import canonical_tag
from phorest_ghl.http.budget import Lane
from phorest_ghl.http.errors import MEETS_EVERY_CALL, ApiError


@dataclass(frozen=True, order=True)
class TagChange:
    """One tag that a contact is to gain (`add`) or to lose, for the sake of one Phorest record."""

    phorest_id: str
    ghl_id: str
    tag: str
    add: bool


Answers = Mapping[TagChange, str | None]
"""Each change, with None where GHL confirmed it for its contact, else why not: the vendor's message, or a sentence."""


@dataclass(frozen=True)
class TagCall:
    """One bulk call: a tag, what to do with it, and up to 500 contacts with the changes that each stands for."""

    tag: str
    add: bool
    contacts: Mapping[str, Sequence[TagChange]]


def tag_calls(changes: Iterable[TagChange]) -> list[TagCall]:
    """The calls that carry changes out: for each tag and direction ⌈contacts / 500⌉, in an order that never varies.

    Removals come first. Raises ValueError where one contact is to gain and to lose the same tag.
    """
    groups: dict[tuple[bool, str], dict[str, list[TagChange]]] = defaultdict(lambda: defaultdict(list))
    for change in sorted(set(changes)):
        groups[change.add, canonical_tag(change.tag)][change.ghl_id].append(change)
    for (add, tag), contacts in groups.items():
        both = contacts.keys() & groups.get((not add, tag), {}).keys()
        if both:
            raise ValueError(f"Contact {min(both)} is to gain and to lose the tag {tag!r} in one run.")
    return [
        TagCall(tag, add, {ghl_id: contacts[ghl_id] for ghl_id in part})
        for (add, tag), contacts in sorted(groups.items(), key=lambda group: group[0])
        for part in in_calls(contacts)
    ]


def in_calls(ghl_ids: Iterable[str]) -> list[list[str]]:
    """Contacts, each once and in order, cut to what one bulk call takes."""
    ordered = sorted(set(ghl_ids))
    return [ordered[start : start + BULK_LIMIT] for start in range(0, len(ordered), BULK_LIMIT)]


def send_tags(
    client: GhlClient,
    changes: Iterable[TagChange],
    *,
    lane: Lane = Lane.CONTACTS,
    bulk: bool = False,
    answered: Callable[[Answers], object] = lambda _: None,
) -> Answers:
    """Carry changes out; the answer of each, in the order of the calls.

    Args:
        client: of the location.
        changes: what to do; the same one twice counts once.
        lane: whose turn in the budget the calls take.
        bulk: whether they stop when the day's quota runs low (S22).
        answered: told after each call what it proved, so that it is kept before the next one leaves.

    Raises:
        ApiError: where it would meet every further call too; another one fails the changes of its call alone.
        ValueError: one contact is to gain and to lose the same tag.
    """
    answers: dict[TagChange, str | None] = {}
    for call in tag_calls(changes):
        proved = _send(client, call, lane=lane, bulk=bulk)
        answered(proved)
        answers |= proved
    return answers


def _send(client: GhlClient, call: TagCall, *, lane: Lane, bulk: bool) -> dict[TagChange, str | None]:
    try:
        said = client.bulk_tags([*call.contacts], [call.tag], remove=not call.add, lane=lane, bulk=bulk).answers
    except ApiError as error:
        if error.category in MEETS_EVERY_CALL:
            raise
        said = dict.fromkeys(call.contacts, str(error))
    return {change: said[ghl_id] for ghl_id, behind in call.contacts.items() for change in behind}
