"""Which `Version` header goes where, and how bodies differ between the dated generation and v3 (facts/ghl-api §1).

Belongs here: the one table of versions and the request-key mapper. Does not: what is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Generation = Literal["2021", "v3"]
Module = Literal["contacts", "locations", "calendars", "users", "oauth", "workflows"]

_DATED: Mapping[Module, str] = {
    "contacts": "2021-07-28",
    "locations": "2021-07-28",
    "users": "2021-07-28",
    "oauth": "2021-07-28",
    "workflows": "2021-07-28",
    "calendars": "2021-04-15",
}

_V3_CHANNELS = {
    "Call": "call",
    "Email": "email",
    "SMS": "sms",
    "WhatsApp": "whatsApp",
    "GMB": "gmb",
    "FB": "fb",
    "RCS": "rcs",  # in live answers only; its v3 name is assumed by analogy (facts/ghl-api §10)
}
_CHANNELS = {v3: dated for dated, v3 in _V3_CHANNELS.items()}


@dataclass(frozen=True)
class ApiVersion:
    """One generation of the API, for every module."""

    generation: Generation = "2021"

    def header(self, module: Module) -> dict[str, str]:
        """The `Version` header of a module's calls."""
        return {"Version": "v3" if self.generation == "v3" else _DATED[module]}

    def dnd_settings(self, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """`dndSettings` with this generation's channel names; one that we do not know is sent as it was read."""
        names = _V3_CHANNELS if self.generation == "v3" else {}
        return {names.get(channel, channel): dict(setting) for channel, setting in settings.items()}

    def custom_fields(self, values: Mapping[str, object]) -> list[dict[str, object]]:
        """`customFields` items from {field id: value}: `field_value` under dates, `fieldValue` under v3 (§9.2)."""
        key = "fieldValue" if self.generation == "v3" else "field_value"
        return [{"id": field_id, key: value} for field_id, value in values.items()]


def canonical_channel(name: str) -> str:
    """A channel's name as the dated generation spells it, whichever generation answered."""
    return _CHANNELS.get(name, name)
