"""From local rows to the contact that GHL should hold. Pure: the same rows always give the same record.

Belongs here: what a contact of ours looks like. Does not: what GHL holds now (`plan`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import orjson

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.ghl.fields import EMAIL, FIRST_NAME, LAST_NAME, PHONE, PHOREST_ID
from phorest_ghl.sync import consent, normalise
from phorest_ghl.sync.consent import Channel
from phorest_ghl.sync.identity import Household

PROJECTION_VERSION = 1
"""Raised whenever the same rows would give another record: it makes every record dirty."""


@dataclass(frozen=True)
class DesiredContact:
    """What GHL should hold for a household. `identity` leaves out what the primary does not have: GHL keeps its own."""

    household: Household
    identity: Mapping[str, str]
    blocked: Mapping[Channel, tuple[str, ...]]
    custom: Mapping[str, str]
    source_hash: str

    @property
    def phorest_id(self) -> str:
        """The id of the client that speaks for the contact."""
        return self.household.primary.phorest_id

    @property
    def member_ids(self) -> tuple[str, ...]:
        """All clients of the contact, the primary first."""
        return tuple(member.phorest_id for member in self.household.members)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Email and phone, those that there are."""
        return tuple(self.identity[name] for name in (EMAIL.name, PHONE.name) if name in self.identity)


def project(household: Household, keyring: Keyring, suppressed: Collection[tuple[str, Channel]] = ()) -> DesiredContact:
    """The contact of a household. A primary that is archived, banned or deleted keeps its identity as it stands."""
    primary = household.primary
    identity: dict[str, str] = {}
    if primary.live:
        identity = {
            FIRST_NAME.name: normalise.name(primary.client.first_name),
            LAST_NAME.name: normalise.name(primary.client.last_name),
            EMAIL.name: primary.email or "",
            PHONE.name: primary.phone or "",
        }
        identity = {name: value for name, value in identity.items() if value}
    blocked = consent.blocks(household, suppressed)
    custom = {PHOREST_ID.name: primary.phorest_id}
    source = [
        PROJECTION_VERSION,
        sorted(identity.items()),
        sorted((channel, causes) for channel, causes in blocked.items()),
        sorted(custom.items()),
        sorted(member.phorest_id for member in household.members),
    ]
    return DesiredContact(household, identity, blocked, custom, keyring.digest(orjson.dumps(source).decode()))
