"""What follows a change of a contact: the lagging index, workflow triggers, webhooks.

Belongs here: one place through which every contact change goes, made by the API or by a person. Does not belong here:
rules.
"""

from collections.abc import Iterable

from phorest_ghl.sandbox.clock import exact_instant
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.world import World

WATCHED = (
    "firstName", "lastName", "email", "phone", "address1", "city", "state", "country", "postalCode", "website",
    "timezone", "companyName", "dateOfBirth", "source", "assignedTo",
)  # fmt: skip


def save_new(world: World, row: Row) -> None:
    """A contact was created by whom `createdBy` says."""
    row |= dnd_trail({}, row, by=row["createdBy"], at=row["dateAdded"])
    at = _store(world, row)
    world.automations.fire("contact created", row, at=at)
    if world.switches.ghl_create_fires_tag_added:
        for tag in row["tags"]:
            world.automations.fire("tag added", row, at=at, detail=tag)
    if world.switches.ghl_create_fires_dnd and (row["dnd"] or row["dndSettings"]):
        world.automations.fire("DND", row, at=at)
    define_tags(world, row["tags"])
    world.webhooks.contact("ContactCreate", row)


def save_changed(world: World, before: Row, changed: Row, *, by: str) -> Row:
    """A contact was changed; the row as it is now, with `dateUpdated` set if anything differs.

    `by` is `person`, or the kind of integration as in `createdBy`.
    """
    row = {**before, **changed}
    if row == before:
        return before
    row["dateUpdated"] = exact_instant(world.clock.now())
    row |= dnd_trail(before, row, by=by, at=row["dateUpdated"])
    at = _store(world, row)
    fields = changed_fields(before, row)
    for tag in row["tags"]:
        if tag not in before["tags"]:
            world.automations.fire("tag added", row, at=at, detail=tag)
    for name in fields:
        world.automations.fire("field changed", row, at=at, detail=name)
    define_tags(world, row["tags"])
    if fields:
        world.webhooks.contact("ContactUpdate", row)
    if row["tags"] != before["tags"]:
        world.webhooks.contact("ContactTagUpdate", row)
    if (row["dnd"], row["dndSettings"]) != (before["dnd"], before["dndSettings"]):
        world.automations.fire("DND", row, at=at)
        world.webhooks.contact("ContactDndUpdate", row)
    elif row.get("inboundDndSettings") != before.get("inboundDndSettings"):
        world.webhooks.inbound_dnd(row)
    return row


def delete(world: World, row: Row) -> None:
    """A contact was deleted, with its notes, tasks and events."""
    key = row["id"]
    world.contacts.remove(key)
    world.contacts.index_later(key, world.clock.seconds(), world.switches.ghl_search_lag_s)
    for name in ("notes", "tasks", "events"):
        store = world.ghl[name]
        for child in [child["id"] for child in store.rows.values() if child.get("contactId") == key]:
            store.remove(child)
    world.webhooks.contact("ContactDelete", row)


def move_children(world: World, source: str, target: str) -> None:
    """Notes, tasks and events of one contact become another's."""
    for name in ("notes", "tasks", "events"):
        store = world.ghl[name]
        for row in [row for row in store.rows.values() if row.get("contactId") == source]:
            store.put(row["id"], {**row, "contactId": target})


def dnd_trail(before: Row, row: Row, *, by: str, at: str) -> Row:
    """Who last changed which channel, for the truth alone: `{"dndChanged": {channel: {status, by, at}}}`.

    `all` is the flag `dnd`, `inbound` the inbound setting; a channel that was taken out of the object is `absent`.
    """
    old, new = _dnd_states(before), _dnd_states(row)
    fresh = {
        channel: {"status": new.get(channel, {}).get("status", "absent"), "by": by, "at": at}
        for channel in {**old, **new}
        if old.get(channel) != new.get(channel)
    }
    return {"dndChanged": {**before.get("dndChanged", {}), **fresh}} if fresh else {}


def _dnd_states(row: Row) -> Row:
    found: Row = dict(row.get("dndSettings") or {})
    if row.get("dnd"):
        found["all"] = {"status": "active"}
    inbound: Row = row.get("inboundDndSettings") or {}
    return found | {"inbound": inbound["all"]} if "all" in inbound else found


def changed_fields(before: Row, row: Row) -> list[str]:
    """Names of standard fields, and ids of custom fields, whose values differ."""
    names = [name for name in WATCHED if before.get(name) != row.get(name)]
    old, new = before["customFields"], row["customFields"]
    return names + [key for key in {**old, **new} if old.get(key) != new.get(key)]


def define_tags(world: World, tags: Iterable[str]) -> None:
    """Tag names that the location does not know yet are made when applied (facts/ghl-api §8.1)."""
    known = world.tag_names
    for tag in tags:
        if tag not in known:
            known.add(tag)
            key = world.new_ghl_id()
            world.ghl["tags"].put(key, {"id": key, "name": tag, "locationId": world.location["id"]})


def _store(world: World, row: Row) -> str:
    world.contacts.put(row["id"], row)
    world.contacts.index_later(row["id"], world.clock.seconds(), world.switches.ghl_search_lag_s)
    return row["dateUpdated"]
