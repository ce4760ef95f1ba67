"""Which scope each operation of GHL needs (facts/ghl-api §2.3), and which the product asks for.

Belongs here: the one table. Does not: what becomes of a refusal (`phorest_ghl.http`).
"""

import re

_READ = frozenset({"GET"})

# The first row whose route matches decides. Second: what reading needs; third: what writing needs.
_TABLE = tuple(
    (re.compile(route), read, write)
    for route, read, write in (
        (r"/contacts/search", "contacts.readonly", "contacts.readonly"),  # a POST that only reads
        (r"/contacts/", "contacts.readonly", "contacts.write"),
        (r"/calendars/groups", "calendars/groups.readonly", "calendars/groups.write"),
        (
            r"/calendars/(?:events|appointments|blocked-slots)",
            "calendars/events.readonly",
            "calendars/events.write",
        ),
        (r"/calendars/", "calendars.readonly", "calendars.write"),
        (r"/users/", "users.readonly", "users.write"),
        (r"/workflows/", "workflows.readonly", "workflows.readonly"),
        (r"/locations/\{\w+\}/customFields", "locations/customFields.readonly", "locations/customFields.write"),
        (r"/locations/\{\w+\}/tags", "locations/tags.readonly", "locations/tags.write"),
        (r"/locations/", "locations.readonly", "locations.write"),
        (r"/oauth/location", "oauth.write", "oauth.write"),
        (r"/oauth/installed", "oauth.readonly", "oauth.readonly"),
    )
)

WANTED = (
    "contacts.readonly",
    "contacts.write",
    "calendars.readonly",
    "calendars/events.readonly",
    "calendars/events.write",
    "users.readonly",
    "locations.readonly",
    "locations/customFields.readonly",
    "locations/customFields.write",
    "workflows.readonly",
    "oauth.readonly",
    "oauth.write",
)
"""What `phorest-ghl auth` asks for: all that the client calls, and the exchange of an agency's token for a location's."""


def scope_of(operation: str) -> str | None:
    """The scope of an operation, for instance of "GET /contacts/{contactId}"; None where the table has no row."""
    method, _, route = operation.partition(" ")
    for pattern, read, write in _TABLE:
        if pattern.match(route):
            return read if method in _READ else write
    return None
