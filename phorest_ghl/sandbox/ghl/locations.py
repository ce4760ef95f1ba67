"""The location itself (facts/ghl-api §13).

Belongs here: reading the location. Does not belong here: its custom fields and tags.
"""

from phorest_ghl.sandbox.ghl.common import Call, get
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply
from phorest_ghl.sandbox.world import World


def read_location(call: Call) -> Reply:
    """The location with its settings; `contactUniqueIdentifiers` is observed, not specified, so a switch hides it."""
    return Reply(200, {"location": {**call.world.location, "settings": settings(call.world)}})


def settings(world: World) -> Row:
    """Deduplication preferences and the rest of `location.settings`."""
    switches = world.switches
    shown: Row = {
        "allowDuplicateOpportunity": False,
        "allowFacebookNameMerge": False,
        "disableContactTimezone": False,
    }
    if switches.ghl_allow_duplicate_shown:
        shown = {"allowDuplicateContact": switches.ghl_allow_duplicate_contact} | shown
    if switches.ghl_identifiers_shown:
        shown["contactUniqueIdentifiers"] = switches.ghl_unique_identifiers
    return shown


def read_timezones(call: Call) -> Reply:
    """Zone names."""
    return Reply(
        200, {"timeZones": sorted({call.world.location["timezone"], "Europe/Dublin", "America/Toronto", "UTC"})}
    )


ROUTES = (
    get("/locations/{locationId}", read_location, "locations.readonly"),
    get("/locations/{locationId}/timezones", read_timezones, "locations.readonly"),
)
