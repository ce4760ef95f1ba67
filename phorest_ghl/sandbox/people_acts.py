"""Acting as a person: at the salon's desk, or in GHL's own screens.

Belongs here: edits that no API makes, with the consequences they have in life (versions, triggers, lag). Does not
belong here: API rules; a person may do what an integration may not, such as adding a second email or a permanent
opt-out.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from phorest_ghl.sandbox.clock import exact_instant, phorest_instant
from phorest_ghl.sandbox.ghl import contact_events, contacts, custom_fields
from phorest_ghl.sandbox.ghl.contact_writes import clean_tags, stored_phone
from phorest_ghl.sandbox.store import Row, Store
from phorest_ghl.sandbox.wire import Refusal
from phorest_ghl.sandbox.world import World

_VERSIONED = frozenset({"phorest.clients", "phorest.appointments", "phorest.services"})
_EXTRA = frozenset(
    {"additionalEmails", "additionalPhones", "followers", "inboundDndSettings", "businessId", "gender", "companyName"}
)


class PeopleActs:
    """Edits of the truth as people make them."""

    def __init__(self, world: World) -> None:
        self.world = world

    def edit(self, side: str, store: Store, key: str, changed: Row) -> Row:
        """Change some keys of one row.

        Raises:
            ValueError: there is no such row, or a contact has no such key.
        """
        before = store.get(key)
        if before is None:
            raise ValueError(f"There is no {store.name} {key}.")
        if store is self.world.contacts:
            return contact_events.save_changed(self.world, before, self._contact_values(changed, before), by="person")
        row = {**before, **changed}
        if store.name in _VERSIONED and "version" not in changed and isinstance(before["version"], int):
            row["version"] = before["version"] + 1
        if "updatedAt" in before and "updatedAt" not in changed:
            row["updatedAt"] = self._printed(store)
        if side == "ghl" and "dateUpdated" in before:
            row["dateUpdated"] = exact_instant(self.world.clock.now())
        store.put(key, row)
        if store.name == "phorest.staff":
            self.world.staff_changed[key] = phorest_instant(self.world.clock.now())
        return row

    def _printed(self, store: Store) -> str:
        now = self.world.clock.now()
        return exact_instant(now) if store.name == "phorest.products" else phorest_instant(now)

    def remove(self, store: Store, key: str) -> None:
        """Remove one row for good; a Phorest client that staff delete is edited with `deleted: true` instead.

        Raises:
            ValueError: there is no such row.
        """
        row = store.get(key)
        if row is None:
            raise ValueError(f"There is no {store.name} {key}.")
        if store is self.world.contacts:
            contact_events.delete(self.world, row)
        else:
            store.remove(key)

    def edit_many(self, store: Store, keys: Iterable[str], changed: Row) -> int:
        """The same change to many rows at once, all with one `updatedAt`; how many there were.

        Raises:
            ValueError: one of the rows does not exist; those before it are changed then.
        """
        stamp = self._printed(store)
        edited = [self.edit("phorest", store, key, {"updatedAt": stamp, **changed}) for key in keys]
        return len(edited)

    def merge_contacts(self, loser_id: str, winner_id: str) -> Row:
        """Merge one contact into another, as GHL's screen does: the winner keeps its own and gets what it lacked.

        Raises:
            ValueError: one of them does not exist, or both are the same.
        """
        loser, winner = (self.world.contacts.get(key) for key in (loser_id, winner_id))
        if loser is None or winner is None or loser is winner:
            raise ValueError("A merge needs two contacts of this location.")
        contact_events.move_children(self.world, loser_id, winner_id)
        contact_events.delete(self.world, loser)
        own = {"dndChanged", "agency", "mergedFrom"}
        kept = {name: value for name, value in loser.items() if not winner.get(name) and value and name not in own}
        emails = [*(winner.get("additionalEmails") or ()), *filter(None, [loser.get("email")])]
        more = {
            "tags": clean_tags([*winner["tags"], *loser["tags"]]),
            "customFields": loser["customFields"] | winner["customFields"],
            "mergedFrom": [*winner.get("mergedFrom", ()), loser_id],
        }
        if winner.get("email") and emails:
            more["additionalEmails"] = emails
        return contact_events.save_changed(self.world, winner, kept | more, by="person")

    def set_dnd(self, key: str, channels: Mapping[str, str], note: Row) -> Row:
        """Set the status of some channels, the others left alone; `note` is the `message` and `code` beside it.

        Raises:
            ValueError: there is no such contact.
        """
        row = self.world.contacts.get(key)
        if row is None:
            raise ValueError(f"There is no {self.world.contacts.name} {key}.")
        fresh = {channel: {"status": status, **note} for channel, status in channels.items()}
        changed = {"dndSettings": {**row["dndSettings"], **fresh}}
        return contact_events.save_changed(self.world, row, changed, by="person")

    def new_field(self, values: Row) -> Row:
        """A custom field that somebody makes in GHL's settings.

        Raises:
            ValueError: the location has a field of that name or key, or there is no such data type.
        """
        try:
            return custom_fields.make_field(self.world, values, by="person")
        except Refusal as refusal:
            raise ValueError(f"{refusal.reply.content['message']}.") from refusal

    def new_contact(self, values: Row) -> Row:
        """A contact that somebody makes by hand, duplicates or not."""
        row = contacts.blank(self.world, "person")
        row |= self._contact_values(values, row)
        contact_events.save_new(self.world, row)
        return row

    def _contact_values(self, changed: Row, before: Row) -> Row:
        unknown = set(changed) - set(before) - _EXTRA - set(contact_events.WATCHED)
        if unknown:
            raise ValueError(f"A contact has no {', '.join(sorted(unknown))}.")
        found: dict[str, Any] = dict(changed)
        if found.get("phone"):
            found["phone"] = stored_phone(found["phone"], self.world.location["country"]) or found["phone"]
        if found.get("email"):
            found["email"] = found["email"].strip().lower()
        if "tags" in found:
            found["tags"] = clean_tags(found["tags"])
        return found
