"""From local rows to the contact that GHL should hold. Pure: the same rows always give the same record.

Belongs here: what a contact of ours looks like. Does not: what GHL holds now (`plan`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property, partial
from types import MappingProxyType
from zoneinfo import ZoneInfo

import orjson

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.ghl import fields
from phorest_ghl.sync import consent, normalise
from phorest_ghl.sync.consent import Channel, OnRecord
from phorest_ghl.sync.facts.loading import NOTHING, WITHOUT, Facts
from phorest_ghl.sync.identity import Former, Household
from phorest_ghl.sync.rules import Rules, folded
from phorest_ghl.sync.source import ClientRow, Names

PROJECTION_VERSION = 3
"""Raised whenever the same rows would give another record: it makes every record dirty."""

CLEARED = ""
"""The value that empties a custom field (facts/ghl-api §9.2)."""
_GENDERS = {"MALE": "male", "FEMALE": "female"}  # GHL's words for the others are not known
_FIRST_BIRTHDAY = date(1900, 1, 1)  # below it stands what a till puts for "unknown"


@dataclass(frozen=True)
class DesiredContact:
    """What GHL should hold for a household.

    `identity` leaves out what the primary does not have: GHL keeps its own. `custom` holds `CLEARED` for a field of ours
    that should be empty. `tags` are those of ours that should be there; `keeps_tags` leaves others of ours alone.
    `once` are fields that only a create may carry, and that nobody compares afterwards.
    """

    household: Household
    identity: Mapping[str, str]
    blocked: Mapping[Channel, tuple[str, ...]]
    custom: Mapping[str, str]
    hashed: Callable[[], str] = field(repr=False, compare=False)
    tags: frozenset[str] = frozenset()
    keeps_tags: bool = False
    once: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def phorest_id(self) -> str:
        """The id of the client that speaks for the contact."""
        return self.household.primary.phorest_id

    @property
    def source_hash(self) -> str:
        """The keyed hash of what was projected. Made when asked for: most contacts are looked at and left as they are."""
        return self.hashed()

    @property
    def member_ids(self) -> tuple[str, ...]:
        """All clients of the contact, the primary first."""
        return tuple(member.phorest_id for member in self.household.members)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Email and phone, those that there are."""
        names = (fields.EMAIL.name, fields.PHONE.name)
        return tuple(self.identity[name] for name in names if name in self.identity)

    @property
    def sent_custom(self) -> Mapping[str, str]:
        """The custom fields that a create carries: those with a value."""
        return {name: value for name, value in self.custom.items() if value != CLEARED}


@dataclass(frozen=True)
class Projector:
    """Projects households of one salon.

    Args:
        keyring: keys the hash of what was projected.
        names: what the ids in a client's row are called.
        rules: the salon's choices.
        on_record: the causes on record by address and channel.
        facts: what follows from visits, sales and points.
    """

    keyring: Keyring
    names: Names = field(default_factory=Names)
    rules: Rules = field(default_factory=Rules)
    on_record: OnRecord = field(default_factory=dict[tuple[str, Channel], frozenset[str]])
    facts: Facts = NOTHING

    def contact(self, household: Household) -> DesiredContact:
        """The contact of a household. A primary that is archived, banned or deleted keeps its identity as it stands."""
        client = household.primary.client
        return self._made(
            household,
            identity=self._identity(household) if household.primary.live else {},
            blocked=consent.blocks(household, self.on_record, self.rules.policy),
            custom=self._custom(household),
            tags=self._tags(client),
            # Archived or banned, the contact is left as it is but for the one tag (design §6).
            keeps_tags=not household.primary.live and not client.deleted,
            once={fields.GENDER.name: _GENDERS[client.gender]} if client.gender in _GENDERS else {},
        )

    def former(self, former: Former) -> DesiredContact:
        """What becomes of the contact that a merged-away client had: closed and tagged, otherwise as it stands."""
        household = Household(former.person, (former.person,), former.ghl_id, speaker=former.person.phorest_id)
        closed = consent.closed(consent.MERGED)
        tags = frozenset({fields.MERGED_TAG})
        return self._made(household, identity={}, blocked=closed, custom={}, tags=tags, keeps_tags=True)

    def _made(
        self,
        household: Household,
        *,
        identity: Mapping[str, str],
        blocked: Mapping[Channel, tuple[str, ...]],
        custom: Mapping[str, str],
        tags: frozenset[str],
        keeps_tags: bool,
        once: Mapping[str, str] = MappingProxyType({}),
    ) -> DesiredContact:
        hashed = partial(self._hashed, household, identity, blocked, custom, tags)
        return DesiredContact(household, identity, blocked, custom, hashed, tags, keeps_tags, once)

    def _hashed(
        self,
        household: Household,
        identity: Mapping[str, str],
        blocked: Mapping[Channel, tuple[str, ...]],
        custom: Mapping[str, str],
        tags: frozenset[str],
    ) -> str:
        source = [
            PROJECTION_VERSION,
            sorted(identity.items()),
            sorted((channel, causes) for channel, causes in blocked.items()),
            sorted(custom.items()),
            sorted(tags),
            sorted(member.phorest_id for member in household.members),
        ]
        return self.keyring.digest(orjson.dumps(source).decode())

    def _identity(self, household: Household) -> dict[str, str]:
        primary, client = household.primary, household.primary.client
        birthday = client.birth_date
        country = normalise.country(client.country, None)
        values = {
            fields.FIRST_NAME.name: normalise.name(client.first_name),
            fields.LAST_NAME.name: normalise.name(client.last_name),
            fields.EMAIL.name: primary.email,
            fields.PHONE.name: primary.phone,
            fields.STREET.name: normalise.line(client.street),
            fields.CITY.name: normalise.line(client.city),
            fields.STATE.name: normalise.line(client.state),
            fields.POSTAL_CODE.name: normalise.line(client.postal_code),
            fields.COUNTRY.name: country,
            fields.DATE_OF_BIRTH.name: birthday.isoformat() if birthday and birthday >= _FIRST_BIRTHDAY else None,
        }
        return {name: value for name, value in values.items() if value}

    @cached_property
    def _enabled(self) -> tuple[str, ...]:
        """All fields of ours but the client's id, known or not."""
        return tuple(spec.name for spec in fields.enabled(self.rules.switches) if spec is not fields.PHOREST_ID)

    @cached_property
    def _own(self) -> tuple[tuple[str, Callable[[ClientRow, Names], str | None]], ...]:
        """The fields that come from the client's own row, and how."""
        return tuple((name, _VALUES[name]) for name in self._enabled if name in _VALUES)

    @cached_property
    def _without(self) -> Mapping[str, str]:
        """The fields of facts that are known, as they stand for a client who has none."""
        specs = (spec for spec in fields.enabled(self.rules.switches) if spec.name not in _VALUES)
        return {spec.name: WITHOUT.get(spec.name, CLEARED) for spec in specs if self.facts.says(spec)}

    def _custom(self, household: Household) -> dict[str, str]:
        client = household.primary.client
        values: dict[str, str] = {fields.PHOREST_ID.name: client.phorest_id}
        if client.deleted and client.merged_to is None:
            # The id stays: it names no person, and lets a restored client find its contact again.
            return values | dict.fromkeys(self._enabled, CLEARED)
        if client.archived or client.banned or client.merged_to is not None:
            return values
        for name, value in self._own:
            values[name] = value(client, self.names) or CLEARED
        values.update(self._without)
        values.update(self.facts.values.get(client.phorest_id, {}))
        if any(member.phorest_id in self.facts.ahead for member in household.members):
            values.update(_NOT_DUE)  # nobody is asked to book while somebody of the household comes anyway (S13)
        return values

    def _tags(self, client: ClientRow) -> frozenset[str]:
        states = (
            (client.archived, fields.ARCHIVED_TAG),
            (client.banned, fields.BANNED_TAG),
            (client.deleted and client.merged_to is None, fields.DELETED_TAG),
        )
        state = frozenset(tag for holds, tag in states if holds)
        if state:
            return state
        named = (self.names.categories.get(category) for category in client.category_ids)
        hidden = self.rules.facets.hidden_categories
        categories = frozenset(
            fields.category_tag(name)
            for name in named
            if name and name.strip() and not (hidden and folded((name,))[0] in hidden)
        )
        return categories | self.facts.tags.get(client.phorest_id, frozenset())


def _since(client: ClientRow, names: Names) -> str | None:
    """The day in the branch's zone; in UTC where the branch is not known."""
    moment = client.client_since
    return None if moment is None else _local_day(moment, names.zones.get(client.branch_id or ""))


def _local_day(moment: datetime, zone: str | None) -> str:
    return moment.astimezone(ZoneInfo(zone) if zone else UTC).date().isoformat()


def _number(value: Decimal | None) -> str | None:
    return None if value is None else fields.canonical(fields.CREDIT_BALANCE, value)


def _yes_or_no(value: bool | None) -> str:  # noqa: FBT001 - a flag of Phorest's, or unknown, which is no
    return "yes" if value is True else "no"


_NOT_DUE: Mapping[str, str] = {fields.REBOOK_DUE.name: CLEARED, fields.REBOOK_AT_RISK.name: "no"}

_VALUES: Mapping[str, Callable[[ClientRow, Names], str | None]] = {
    fields.BRANCH.name: lambda client, names: names.branches.get(client.branch_id or ""),
    fields.CLIENT_SINCE.name: _since,
    fields.PREFERRED_STYLIST.name: lambda client, names: names.staff.get(client.preferred_staff_id or ""),
    fields.EXTERNAL_ID.name: lambda client, _: normalise.line(client.external_id),
    fields.CREDIT_BALANCE.name: lambda client, _: _number(client.credit_balance),
    fields.NOTES.name: lambda client, _: (client.notes or "").strip(),
    fields.SMS_MARKETING.name: lambda client, _: _yes_or_no(client.sms_marketing),
    fields.EMAIL_MARKETING.name: lambda client, _: _yes_or_no(client.email_marketing),
}
"""Where each custom field that comes from the client's own row gets its value."""
