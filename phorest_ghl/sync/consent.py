"""What may be sent to a contact: policy `strict`, the strictest over everyone who holds the address (safety S6–S10).

Belongs here: from Phorest's flags and the suppression ledger to blocked channels; comparing an answer with what was
sent. Pure. Does not: reading or writing GHL.

This release only ever tightens: a channel that is blocked in GHL is never opened by a run.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum

from phorest_ghl.ghl.models import DndSetting
from phorest_ghl.sync.identity import Household, Person


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

BY_EMAIL = (Channel.EMAIL,)
BY_PHONE = (Channel.SMS, Channel.CALL, Channel.WHATSAPP)
OPEN = DndSetting(status="inactive")

Blocks = Mapping[Channel, tuple[str, ...]]
"""The causes that close each channel; a channel without causes is not in it."""


def blocks(household: Household, suppressed: Collection[tuple[str, Channel]] = ()) -> dict[Channel, tuple[str, ...]]:
    """The blocked channels of a household's contact, with their causes, in a stable order.

    `suppressed` holds (address, channel) pairs of the suppression ledger. Call and WhatsApp follow SMS (S8).
    """
    found: dict[Channel, tuple[str, ...]] = {}
    primary = household.primary
    for channels, address, attribute in ((BY_EMAIL, primary.email, "email"), (BY_PHONE, primary.phone, "phone")):
        holders = household.members
        if address is not None:
            holders = tuple(
                p
                for p in (*household.members, *household.kin)
                if address in (getattr(p, attribute), getattr(p, f"dropped_{attribute}"))
            )
        causes = sorted({cause for holder in holders for cause in _causes(holder, by_email=channels is BY_EMAIL)})
        for channel in channels:
            ledger = ["suppressed"] if address is not None and (address, channel) in suppressed else []
            if causes or ledger:
                found[channel] = (*causes, *ledger)
    return found


def settings(blocked: Blocks) -> dict[str, DndSetting]:
    """The `dndSettings` of a create: every channel that we set, open or closed, ours marked."""
    return {channel.value: _closed(blocked[channel]) if channel in blocked else OPEN for channel in Channel}


def tightened(blocked: Blocks, held: Mapping[str, DndSetting]) -> dict[str, DndSetting]:
    """The `dndSettings` of an update: what GHL holds, with our blocks added. Never opens, never touches a block there is.

    The object is replaced as a whole (facts/ghl-api §10), so all that was read is echoed, `permanent` included.
    """
    merged = dict(held)
    for channel, causes in blocked.items():
        present = held.get(channel.value)
        if present is None or not present.blocked:
            merged[channel.value] = _closed(causes)
    return merged


def to_tighten(blocked: Blocks, held: Mapping[str, DndSetting] | None) -> tuple[Channel, ...]:
    """Channels that must be closed. Where GHL did not say what it holds, that is unknown: all that we block (S10)."""
    return tuple(c for c in blocked if held is None or c.value not in held or not held[c.value].blocked)


def looser_than_sent(sent: Mapping[str, DndSetting], answered: Mapping[str, DndSetting]) -> tuple[str, ...]:
    """Channels that we sent closed and that the answer shows open or leaves out. Tighter is kept, unsent is ignored (S6)."""
    return tuple(
        channel
        for channel, setting in sent.items()
        if setting.blocked and (channel not in answered or not answered[channel].blocked)
    )


def foreign_blocks(held: Mapping[str, DndSetting] | None) -> tuple[Channel, ...]:
    """Channels that somebody other than us has closed: they go into the suppression ledger (S9)."""
    ours = {channel.value: channel for channel in Channel}
    return tuple(
        ours[name]
        for name, setting in (held or {}).items()
        if name in ours and setting.blocked and setting.code != MARKER
    )


def _causes(person: Person, *, by_email: bool) -> list[str]:
    client = person.client
    consent = client.email_marketing if by_email else client.sms_marketing
    # A merged-away record is always marked deleted; that alone says nothing about the person, its flags do.
    deleted = client.deleted and client.merged_to is None
    causes = ((consent is not True, "no marketing consent"), (client.banned, "banned"), (deleted, "deleted in Phorest"))
    return [cause for holds, cause in causes if holds]


def _closed(causes: tuple[str, ...]) -> DndSetting:
    return DndSetting(status="active", message=f"Phorest: {', '.join(causes)}", code=MARKER)
