"""How contacts read: differently after a create, a get, a search and a list (facts/ghl-api §5.3, §7).

Belongs here: shapes of answers. Does not belong here: what is stored.
"""

from phorest_ghl.sandbox.ghl.contact_writes import shown_dnd
from phorest_ghl.sandbox.ghl.dedupe import full_name
from phorest_ghl.sandbox.ghl.values import shown_value
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.world import World

_GET = (
    "email", "timezone", "companyName", "phone", "source", "assignedTo", "address1", "city", "state", "country",
    "postalCode", "website", "dateOfBirth", "businessId", "additionalEmails", "additionalPhones", "followers",
)  # fmt: skip
_CREATE = (
    "email",
    "phone",
    "address1",
    "city",
    "state",
    "country",
    "postalCode",
    "website",
    "source",
    "companyName",
    "businessId",
    "assignedTo",
)
_SEARCH = (
    "email", "phone", "city", "state", "country", "postalCode", "companyName", "website", "source", "assignedTo",
    "businessId", "dateOfBirth", "timezone",
)  # fmt: skip


def fields_of(world: World, row: Row) -> list[Row]:
    """Custom field values as `{id, value}`, never with a key."""
    definitions, form = world.ghl["fields"], world.switches.ghl_date_field_format
    return [
        {"id": key, "value": shown_value(definitions.get(key), value, form)}
        for key, value in row["customFields"].items()
    ]


def _names(row: Row) -> Row:
    first, last = row.get("firstName") or "", row.get("lastName") or ""
    lower = {
        "firstNameLowerCase": first.lower(),
        "lastNameLowerCase": last.lower(),
        "fullNameLowerCase": full_name(row).lower(),
    }
    return {"firstName": first, "lastName": last, **lower}


def got(world: World, row: Row, *, v3: bool) -> Row:
    """The shape of get, update and upsert, and under v3 of create."""
    shape: Row = {
        "id": row["id"],
        "name": full_name(row),
        "locationId": row["locationId"],
        **_names(row),
        "type": row["type"],
    }
    shape |= {name: row[name] for name in _GET if row.get(name) is not None}
    if row.get("email"):
        shape["emailLowerCase"] = row["email"].lower()
    shape |= {"dnd": row["dnd"], "dndSettings": shown_dnd(row["dndSettings"], v3=v3), "tags": row["tags"]}
    return shape | {
        "customFields": fields_of(world, row),
        "dateAdded": row["dateAdded"],
        "dateUpdated": row["dateUpdated"],
    }


def created(world: World, row: Row) -> Row:
    """The shape of a v2 create: the date of birth is midnight Z, and there are fields that no other answer has."""
    shape: Row = {
        "id": row["id"],
        "dateAdded": row["dateAdded"],
        "dateUpdated": row["dateUpdated"],
        "deleted": False,
        "tags": row["tags"],
    }
    shape |= {
        "type": row["type"],
        "customFields": fields_of(world, row),
        "locationId": row["locationId"],
        **_names(row),
    }
    shape |= {name: row[name] for name in _CREATE if row.get(name) is not None}
    if row.get("email"):
        shape |= {"emailLowerCase": row["email"].lower(), "bounceEmail": False, "unsubscribeEmail": False}
    shape |= {"dnd": row["dnd"], "dndSettings": row["dndSettings"]}
    if row.get("dateOfBirth"):
        _, month, day = row["dateOfBirth"].split("-")
        shape |= {"dateOfBirth": f"{row['dateOfBirth']}T00:00:00.000Z", "birthMonth": int(month), "birthDay": int(day)}
    return shape | {"lastSessionActivityAt": row["dateUpdated"], "offers": [], "products": []}


def searched(world: World, row: Row, cursor: list[object], *, v3: bool) -> Row:
    """The shape of search: lower-cased names, `address` instead of `address1`, and the contact's own `searchAfter`."""
    shape: Row = {
        "id": row["id"],
        "locationId": row["locationId"],
        "phoneLabel": None,
        **_names(row),
        "address": row.get("address1"),
    }
    shape |= {name: row.get(name) for name in _SEARCH}
    shape |= {"businessName": None, "type": row["type"], "tags": row["tags"], "followers": row.get("followers") or []}
    shape |= {
        "additionalEmails": row.get("additionalEmails") or [],
        "additionalPhones": row.get("additionalPhones") or [],
    }
    shape |= {"dateAdded": row["dateAdded"], "dateUpdated": row["dateUpdated"], "dnd": row["dnd"], "validEmail": None}
    if world.switches.ghl_search_shows_dnd:
        shape["dndSettings"] = shown_dnd(row["dndSettings"], v3=v3)
    return shape | {"customFields": fields_of(world, row), "searchAfter": cursor}


def listed(world: World, row: Row, *, v3: bool) -> Row:
    """The shape of the deprecated list: names lower-cased, the originals in `…Raw`, a cursor in `startAfter`."""
    first, last = row.get("firstName") or "", row.get("lastName") or ""
    shape: Row = {"id": row["id"], "locationId": row["locationId"], "contactName": full_name(row).lower()}
    shape |= {"firstName": first.lower(), "lastName": last.lower(), "firstNameRaw": first, "lastNameRaw": last}
    shape |= {name: row[name] for name in (*_SEARCH, "address1") if row.get(name) is not None} | {"type": row["type"]}
    shape |= {
        "dnd": row["dnd"],
        "dndSettings": shown_dnd(row["dndSettings"], v3=v3),
        "dateAdded": row["dateAdded"],
        "dateUpdated": row["dateUpdated"],
    }
    shape |= {
        "tags": row["tags"],
        "customFields": fields_of(world, row),
        "followers": row.get("followers") or [],
        "attributions": [],
    }
    return shape | {"additionalEmails": row.get("additionalEmails") or [], "startAfter": [row["addedMs"], row["id"]]}


def of_business(world: World, row: Row) -> Row:
    """The shape of a business's contacts: what the spec lists, and nothing that was only seen in the deprecated list."""
    shape = {name: row[name] for name in ("id", "locationId", "dateAdded", "tags", "businessId")}
    shape |= {name: row[name] for name in ("email", "timezone", "country", "source") if row.get(name) is not None}
    return shape | {"customFields": fields_of(world, row), "attributions": [], "followers": row.get("followers") or []}
