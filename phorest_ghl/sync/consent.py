"""What may be sent to a contact: the strictest over everyone who holds its addresses, and what is on record (S6–S10).

Belongs here: the policy, from Phorest's flags and the causes on record to blocked channels; comparing an answer with what
was sent. Pure. Does not: keeping causes and reversing them (`consent_ledger`), reading or writing GHL.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Literal

from phorest_ghl.ghl.models import DndSetting
from phorest_ghl.sync.identity import Household, Person, winners
from phorest_ghl.sync.source import ClientRow

Policy = Literal["strict", "separate"]
"""`strict`: open only with marketing consent. `separate`: closed when marketing and reminder are both refused (S8)."""


class Channel(StrEnum):
    """GHL's channels that we set, as the dated API spells them. Others are echoed as read, never set (S8)."""

    EMAIL = "Email"
    SMS = "SMS"
    CALL = "Call"
    WHATSAPP = "WhatsApp"


class ConsentNotHonoured(Exception):
    """GHL confirmed that a channel is open which we closed. The run stops: nothing it says of consent can be trusted."""


MARKER = "phorest_ghl"
"""`code` of every block of ours; only a block that still carries it may ever be lifted by us (S7)."""
STAFF_MARKER = "phorest_ghl_staff"
"""`code` of the blocks on a contact that was made for a member of the staff (S17). It says nothing of any client's consent:
it is no cause at the address, and nothing but a person in GHL ever lifts it."""

BY_EMAIL = (Channel.EMAIL,)
BY_PHONE = (Channel.SMS, Channel.CALL, Channel.WHATSAPP)
OPEN = DndSetting(status="inactive")
NO_CONSENT, BANNED, DELETED, MERGED = "no consent", "banned", "deleted in Phorest", "merged into another client"
GHL, GHL_ALL = "GHL", "GHL, all channels"
"""Causes. `GHL` is a block that a person or a carrier set in GHL on one channel, `GHL_ALL` the switch that closes a whole
contact (`dnd`); the others are states of a Phorest client."""

Blocks = Mapping[Channel, tuple[str, ...]]
"""The causes that close each channel; a channel without causes is not in it."""
OnRecord = Mapping[tuple[str, Channel], frozenset[str]]
"""The causes on record by (address, channel): they hold although nobody at the address shows them any more (S7, S9)."""


def refuses(client: ClientRow, *, by_email: bool, policy: Policy) -> bool:
    """Whether the client's own flags close the channel. A flag that is null is unknown, and unknown is no (S10)."""
    marketing, reminder = (
        (client.email_marketing, client.email_reminder) if by_email else (client.sms_marketing, client.sms_reminder)
    )
    return marketing is not True and (policy == "strict" or reminder is not True)


def causes(client: ClientRow, *, by_email: bool, policy: Policy) -> tuple[str, ...]:
    """What in the client's present state closes the channel, in a stable order."""
    # A merged-away record is always marked deleted; that alone says nothing about the person, its flags do.
    deleted = client.deleted and client.merged_to is None
    found = (
        (refuses(client, by_email=by_email, policy=policy), NO_CONSENT),
        (client.banned, BANNED),
        (deleted, DELETED),
    )
    return tuple(cause for holds, cause in found if holds)


def blocks(household: Household, on_record: OnRecord, policy: Policy) -> dict[Channel, tuple[str, ...]]:
    """The blocked channels of a household's contact, with their causes. Call and WhatsApp follow SMS (S8)."""
    found: dict[Channel, tuple[str, ...]] = {}
    primary = household.primary
    # One who shares nothing with anybody is their own kin.
    everyone = household.members if household.kin == household.members else (*household.members, *household.kin)
    merged = winners(p.client for p in everyone) if any(p.client.merged_to for p in everyone) else dict[str, str]()
    for channels, address, attribute in ((BY_EMAIL, primary.email, "email"), (BY_PHONE, primary.phone, "phone")):
        holders: Iterable[Person] = household.members
        if address is not None:
            holders = [p for p in everyone if address in (getattr(p, attribute), getattr(p, f"dropped_{attribute}"))]
        present = {
            cause
            for p in holders
            for cause in causes(p.client, by_email=channels is BY_EMAIL, policy=policy)
            # A record that was merged away is edited no more: what it refused is on record until its winner opts in.
            if cause != NO_CONSENT or p.phorest_id not in merged
        }
        for channel in channels:
            known = on_record.get((address, channel), frozenset()) if address is not None else frozenset[str]()
            if present | known:
                found[channel] = tuple(sorted(present | known))
    return found


def on_record_at(email: str | None, phone: str | None, on_record: OnRecord) -> dict[Channel, tuple[str, ...]]:
    """What the record closes at the addresses that a contact holds, whoever's they are."""
    found: dict[Channel, tuple[str, ...]] = {}
    for channels, address in ((BY_EMAIL, email), (BY_PHONE, phone)):
        for channel in channels:
            if address is not None and (causes := on_record.get((address, channel))):
                found[channel] = tuple(sorted(causes))
    return found


def together(*blocks: Blocks) -> dict[Channel, tuple[str, ...]]:
    """Blocked for any of these reasons; every cause is named once."""
    found: dict[Channel, set[str]] = {}
    for each in blocks:
        for channel, causes in each.items():
            found.setdefault(channel, set()).update(causes)
    return {channel: tuple(sorted(causes)) for channel, causes in found.items()}


def closed(*why: str) -> Blocks:
    """All channels, for one and the same cause."""
    return dict.fromkeys(Channel, why)


def settings(blocked: Blocks) -> dict[str, DndSetting]:
    """The `dndSettings` of a create: every channel that we set, open or closed, ours marked."""
    return {channel.value: _block(blocked[channel]) if channel in blocked else OPEN for channel in Channel}


def tightened(blocked: Blocks, held: Mapping[str, DndSetting]) -> dict[str, DndSetting]:
    """The `dndSettings` of an update: what GHL holds, with our blocks added. Never opens, never touches a block there is.

    The object is replaced as a whole (facts/ghl-api §10), so all that was read is echoed, `permanent` included.
    """
    merged = dict(held)
    for channel, why in blocked.items():
        present = held.get(channel.value)
        if present is None or not present.blocked:
            merged[channel.value] = _block(why)
    return merged


def to_tighten(blocked: Blocks, held: Mapping[str, DndSetting] | None) -> tuple[Channel, ...]:
    """Channels that must be closed. Where GHL did not say what it holds, that is unknown: all that we block (S10)."""
    return tuple(c for c in blocked if held is None or c.value not in held or not held[c.value].blocked)


def is_ours(setting: DndSetting) -> bool:
    """Whether a block is one that we set and nobody touched since: only such a one may be lifted (S7)."""
    return setting.status == "active" and setting.code == MARKER


def to_open(blocked: Blocks, held: Mapping[str, DndSetting] | None) -> tuple[Channel, ...]:
    """Channels that our own block still closes although no cause is left. Where GHL did not say, none (S10)."""
    return tuple(
        channel
        for channel in Channel
        if channel not in blocked and (setting := (held or {}).get(channel.value)) is not None and is_ours(setting)
    )


def opened(channels: Iterable[Channel], held: Mapping[str, DndSetting]) -> dict[str, DndSetting]:
    """`held` with these channels open, if each still carries our own block; what is not ours stays closed (S7)."""
    ours = {c.value for c in channels if (setting := held.get(c.value)) is not None and is_ours(setting)}
    return {name: OPEN if name in ours else setting for name, setting in held.items()}


def looser_than_sent(sent: Mapping[str, DndSetting], answered: Mapping[str, DndSetting]) -> tuple[str, ...]:
    """Channels that we sent closed and that the answer shows open or leaves out. Tighter is kept, unsent is ignored (S6)."""
    return tuple(
        channel
        for channel, setting in sent.items()
        if setting.blocked and (channel not in answered or not answered[channel].blocked)
    )


def keeps_our_mark(sent: Mapping[str, DndSetting], shown: Mapping[str, DndSetting] | None) -> bool | None:
    """Whether a block that we sent shows our mark again (S7); None where none was sent, or somebody else's stands there.

    Without the mark a block of ours counts as a person's, which only a person opens again.
    """
    ours = [(shown or {}).get(name) for name, setting in sent.items() if is_ours(setting)]
    if any(setting is not None and is_ours(setting) for setting in ours):
        return True
    return False if any(s is not None and s.blocked and not s.code and not s.message for s in ours) else None


def foreign_blocks(held: Mapping[str, DndSetting] | None) -> tuple[Channel, ...]:
    """Channels that somebody other than us has closed: they are causes of their own (S7, S9)."""
    return tuple(
        c
        for c in Channel
        if (s := (held or {}).get(c.value)) is not None and s.blocked and not is_ours(s) and not is_for_staff(s)
    )


def is_for_staff(setting: DndSetting) -> bool:
    """Whether a block was made with a contact of the staff's and nobody touched it since."""
    return setting.status == "active" and setting.code == STAFF_MARKER


def closed_for_staff(held: Mapping[str, DndSetting] | None) -> bool:
    """Whether all channels are closed because the contact was made for the staff: then its `dnd` was set with them."""
    return all((s := (held or {}).get(c.value)) is not None and is_for_staff(s) for c in Channel)


def staff_settings(held: Mapping[str, DndSetting] | None = None) -> dict[str, DndSetting]:
    """The `dndSettings` of a contact of the staff's: what GHL holds, every channel that is open there closed (S17)."""
    merged = dict(held or {})
    for channel in Channel:
        if channel.value not in merged or not merged[channel.value].blocked:
            merged[channel.value] = DndSetting(status="active", message="Phorest: staff", code=STAFF_MARKER)
    return merged


def shown_open(held: Mapping[str, DndSetting] | None) -> tuple[Channel, ...]:
    """Channels that GHL says are open. One that it does not mention is unknown, and not among them (S10)."""
    return tuple(c for c in Channel if (setting := (held or {}).get(c.value)) is not None and not setting.blocked)


def _block(why: tuple[str, ...]) -> DndSetting:
    return DndSetting(status="active", message=f"Phorest: {', '.join(why)}", code=MARKER)
