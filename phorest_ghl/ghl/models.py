"""What GHL answers, typed at the edge, and what we send it. Answers differ by call (facts/ghl-api §5.3): read leniently.

Belongs here: wire shapes and their one canonical form. Does not: tables, plans.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from phorest_ghl.ghl.versions import ApiVersion, canonical_channel

_DAY = re.compile(r"\d{4}-\d\d-\d\d(?=$|T)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def canonical_tag(tag: str) -> str:
    """A tag as contacts keep it: trimmed and lower-case (§8.1)."""
    return tag.strip().lower()


class Answered(BaseModel):
    """Part of an answer: every member but the id is optional, unknown ones are ignored."""

    model_config = ConfigDict(
        extra="ignore", populate_by_name=True, hide_input_in_errors=True, coerce_numbers_to_str=True
    )


class DndSetting(Answered):
    """One channel. `active` means blocked; `permanent` is a block that only the carrier or the contact may lift (§10).

    Members that the schema of a write does not have are dropped: one of them would have the whole write refused (§3).
    """

    model_config = ConfigDict(frozen=True)

    status: str
    message: str | None = None
    code: str | None = None

    @property
    def blocked(self) -> bool:
        """Whether nothing may be sent on the channel. A status we do not know is a block: unknown is not open (S10)."""
        return self.status != "inactive"

    def wire(self) -> dict[str, Any]:
        """As it is sent: as it was read, without null members."""
        return self.model_dump(exclude_none=True)


def _known(setting: object) -> object:
    """A channel's setting; one of a shape that nobody documents is unknown, and unknown is not open (S10)."""
    if isinstance(setting, DndSetting):
        return setting
    known = isinstance(setting, dict) and isinstance(cast("dict[str, object]", setting).get("status"), str)
    return cast("object", setting) if known else {"status": "unknown"}


class _CustomValue(Answered):
    id: str
    value: Any = None
    field_value: Any = None
    fieldValue: Any = None

    @property
    def held(self) -> object:
        """The value, whichever name the answer gave it (§9.2)."""
        return next((v for v in (self.value, self.field_value, self.fieldValue) if v is not None), None)


class Contact(Answered):
    """A contact, from any of the calls that answer one.

    `dnd_settings` is None where the answer did not say: that is unknown, never open (S10). `date_of_birth` is
    `YYYY-MM-DD`, whichever way the call writes it (§5.3); one that we cannot read stays as it came.
    """

    id: str
    location_id: str | None = Field(default=None, alias="locationId")
    first_name: str | None = Field(default=None, alias="firstName")
    last_name: str | None = Field(default=None, alias="lastName")
    first_name_lower: str | None = Field(default=None, alias="firstNameLowerCase")
    last_name_lower: str | None = Field(default=None, alias="lastNameLowerCase")
    email: str | None = None
    phone: str | None = None
    street_address: str | None = Field(default=None, validation_alias=AliasChoices("address1", "address"))
    city: str | None = None
    state: str | None = None
    postal_code: str | None = Field(default=None, alias="postalCode")
    country: str | None = None
    date_of_birth: str | None = Field(default=None, alias="dateOfBirth")
    dnd: bool | None = None
    dnd_settings: dict[str, DndSetting] | None = Field(default=None, alias="dndSettings")
    custom_fields: dict[str, Any] = Field(default_factory=dict, alias="customFields")
    tags: list[str] = Field(default_factory=list)
    date_added: datetime | None = Field(default=None, alias="dateAdded")
    date_updated: datetime | None = Field(default=None, alias="dateUpdated")
    search_after: list[Any] | None = Field(default=None, alias="searchAfter")
    asked_at: float | None = None
    """When the request for it left, by this process's monotonic clock, seconds; of a read by id alone."""

    @field_validator("dnd_settings", mode="before")
    @classmethod
    def _channels(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        settings = cast("dict[str, object]", value)
        return {canonical_channel(name): _known(setting) for name, setting in settings.items()}

    @field_validator("custom_fields", mode="before")
    @classmethod
    def _values(cls, value: object) -> object:
        if not isinstance(value, list):
            return value or {}
        items = (cast("dict[str, object]", item) for item in cast("list[object]", value) if isinstance(item, dict))
        read = [_CustomValue.model_validate(item) for item in items if item.get("id")]
        return {item.id: item.held for item in read}

    @field_validator("tags", mode="before")
    @classmethod
    def _tags(cls, value: object) -> object:
        return [canonical_tag(str(tag)) for tag in cast("list[object]", value)] if isinstance(value, list) else []

    @field_validator("date_of_birth", mode="before")
    @classmethod
    def _birth(cls, value: object) -> object:
        """A create answers midnight UTC of the day, the other calls the day; live ones were seen with epoch milliseconds."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return (_EPOCH + timedelta(milliseconds=value)).date().isoformat()
            except (ArithmeticError, ValueError):
                return None
        if not isinstance(value, str):
            return None
        day = _DAY.match(value)
        return day.group() if day else value or None

    @property
    def given_name(self) -> str | None:
        """First name; search answers may carry only a lower-cased copy (§5.3), so compare without case."""
        return self.first_name if self.first_name is not None else self.first_name_lower

    @property
    def family_name(self) -> str | None:
        """Last name, as `given_name`."""
        return self.last_name if self.last_name is not None else self.last_name_lower


class Location(Answered):
    """A location: the zone and the duplicate settings that decide how contacts are matched (§6, §13)."""

    id: str
    timezone: str | None = None
    allows_duplicates: bool | None = None
    unique_identifiers: tuple[str, ...] | None = None
    company_id: str | None = None
    date: datetime | None = None
    """GHL's clock when it answered."""

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any], *, date: datetime | None = None) -> Self:
        """From the `location` member; the settings are absent from the official schema and may be missing."""
        settings: Mapping[str, Any] = answer.get("settings") or {}
        identifiers = settings.get("contactUniqueIdentifiers")
        return cls(
            id=answer["id"],
            timezone=answer.get("timezone"),
            allows_duplicates=settings.get("allowDuplicateContact"),
            unique_identifiers=tuple(cast("list[str]", identifiers)) if isinstance(identifiers, list) else None,
            company_id=company if isinstance(company := answer.get("companyId"), str) else None,
            date=date,
        )


class CustomField(Answered):
    """A custom field's definition (§9.1)."""

    id: str
    name: str
    field_key: str = Field(alias="fieldKey")
    data_type: str = Field(alias="dataType")
    model: str | None = None


class Workflow(Answered):
    """A workflow of the location; GHL says neither what starts it nor whom it leaves out."""

    id: str
    name: str | None = None
    status: str | None = None

    @property
    def published(self) -> bool:
        """Whether it may run. A status that GHL leaves out counts as published: unknown is not paused (S1)."""
        return (self.status or "published").lower() == "published"


_WIRE_NAMES = {
    "first_name": "firstName",
    "last_name": "lastName",
    "email": "email",
    "phone": "phone",
    "street_address": "address1",
    "city": "city",
    "state": "state",
    "postal_code": "postalCode",
    "country": "country",
    "date_of_birth": "dateOfBirth",
    "gender": "gender",
}


@dataclass(frozen=True, kw_only=True)
class ContactWrite:
    """What one create or update sends. A member that is None is not sent: GHL keeps what it has (§5.2).

    `identity` holds standard fields by the names of `Contact`; the country is ISO 3166-1 alpha-2, the date of birth
    `YYYY-MM-DD`. An empty text clears a standard or custom field (§9.2, assumed). `dnd_settings` replaces the whole object,
    so it always holds every channel that was read (§10); `dnd` closes or opens all channels at once. `tags` is for creates
    alone: on an existing contact it would overwrite all tags.
    """

    identity: Mapping[str, str] = field(default_factory=dict[str, str])
    source: str | None = None
    dnd: bool | None = None
    dnd_settings: Mapping[str, DndSetting] | None = None
    custom_fields: Mapping[str, object] = field(default_factory=dict[str, object])
    tags: tuple[str, ...] = ()

    def body(self, version: ApiVersion, *, location_id: str | None = None) -> dict[str, Any]:
        """The request body; `location_id` for a create, where it is required, and never for an update (422)."""
        body: dict[str, Any] = {
            "locationId": location_id,
            **{_WIRE_NAMES[name]: value for name, value in self.identity.items()},
            "source": self.source,
            "dnd": self.dnd,
            "dndSettings": version.dnd_settings({c: s.wire() for c, s in self.dnd_settings.items()})
            if self.dnd_settings is not None
            else None,
            "customFields": version.custom_fields(self.custom_fields) or None,
            "tags": list(self.tags) or None,
        }
        return {name: value for name, value in body.items() if value is not None}


@dataclass(frozen=True)
class Acknowledged:
    """A write that GHL answered: the contact as it now stands there, and GHL's clock (None if it did not say)."""

    contact: Contact
    date: datetime | None


def utc_now() -> datetime:
    """Our clock, for what is seen when; never compared with the vendor's."""
    return datetime.now(UTC)
