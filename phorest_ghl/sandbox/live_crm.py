"""What people do in GHL's own screens in a day: opt-outs, edits, deletions.

Belongs here: events of the GHL side. Does not belong here: when they happen (`live.py`).
"""

from collections.abc import Callable
from random import Random

from phorest_ghl.sandbox.ghl import contact_events
from phorest_ghl.sandbox.live_salon import Event, Maker
from phorest_ghl.sandbox.people_acts import PeopleActs
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.world import World


class CrmEvents:
    """Each method makes one event, or nothing when the location has no occasion for it."""

    def __init__(self, world: World, acts: PeopleActs) -> None:
        self.world, self.acts = world, acts

    def makers(self) -> dict[str, tuple[int, Maker]]:
        """Events by name, each with its weight."""
        return {
            "ghl opt-out": (3, self._ghl_opt_out),
            "ghl field edited": (3, self._ghl_edited),
            "ghl tag removed": (2, self._ghl_tag_removed),
            "ghl note deleted": (1, self._ghl_note_deleted),
            "ghl no-show": (2, self._ghl_no_show),
            "ghl event moved": (1, self._ghl_event_moved),
            "ghl contact deleted": (1, self._ghl_contact_deleted),
        }

    def _contact(self, rng: Random, test: Callable[[Row], bool]) -> Row | None:
        rows = [row for row in self.world.contacts.rows.values() if test(row)]
        return rng.choice(rows) if rows else None

    def _touch(self, row: Row, conclude: str, expect: Row, **changed: object) -> Event:
        self.acts.edit("ghl", self.world.contacts, row["id"], changed)
        before = {name: row.get(name) for name in changed}
        return {
            "side": "ghl",
            "contact": row["id"],
            "before": before,
            "after": changed,
            "conclude": conclude,
            "expect": expect,
        }

    def _ghl_opt_out(self, rng: Random) -> Event | None:
        channel = rng.choice(("SMS", "Email"))
        row = self._contact(
            rng, lambda row: row["dndSettings"].get(channel, {}).get("status") not in {"active", "permanent"}
        )
        if row is None:
            return None
        status = rng.choice(("permanent", "active"))
        settings = {
            **row["dndSettings"],
            channel: {"status": status, "message": "STOP" if status == "permanent" else "asked at the desk"},
        }
        conclude = f"an opt-out of {channel} by a person: it stays, and goes home to Phorest"
        return self._touch(row, conclude, {"channel": channel, "status": status}, dndSettings=settings)

    def _ghl_edited(self, rng: Random) -> Event | None:
        row = self._contact(rng, lambda row: bool(row.get("firstName")))
        if row is None:
            return None
        name = f"{row['firstName']} (VIP)"
        return self._touch(row, "a person's edit: kept, and reported", {"firstName": name}, firstName=name)

    def _ghl_tag_removed(self, rng: Random) -> Event | None:
        row = self._contact(rng, lambda row: bool(row["tags"]))
        if row is None:
            return None
        gone = rng.choice(row["tags"])
        conclude = f"the tag {gone} was taken off on purpose: never put on again"
        return self._touch(row, conclude, {"without": gone}, tags=[tag for tag in row["tags"] if tag != gone])

    def _ghl_note_deleted(self, rng: Random) -> Event | None:
        notes = self.world.ghl["notes"]
        if not len(notes):
            return None
        key = rng.choice(list(notes.rows))
        row = notes.remove(key)
        assert row is not None
        conclude = "a note a person deleted: never written again"
        return {
            "side": "ghl", "note": key, "contact": row["contactId"], "conclude": conclude, "expect": {"written_again": False},
        }  # fmt: skip

    def _ghl_no_show(self, rng: Random) -> Event | None:
        now = self.world.clock.seconds() * 1_000
        rows = [
            row for row in self.world.ghl["events"].rows.values() if row["kind"] == "appointment" and row["endMs"] < now
        ]
        if not rows:
            return None
        row = rng.choice(rows)
        self.acts.edit("ghl", self.world.ghl["events"], row["id"], {"appointmentStatus": "noshow"})
        conclude = "a person says no-show: it stands until Phorest's own status changes"
        return {
            "side": "ghl",
            "event": row["id"],
            "contact": row["contactId"],
            "conclude": conclude,
            "expect": {"status": "noshow"},
        }

    def _ghl_event_moved(self, rng: Random) -> Event | None:
        now = self.world.clock.seconds() * 1_000
        rows = [
            row
            for row in self.world.ghl["events"].rows.values()
            if row["kind"] == "appointment" and row["startMs"] > now
        ]
        if not rows:
            return None
        row, hour = rng.choice(rows), 3_600_000
        self.acts.edit(
            "ghl", self.world.ghl["events"], row["id"], {"startMs": row["startMs"] + hour, "endMs": row["endMs"] + hour}
        )
        conclude = "a person moved our event: Phorest's time is the true one"
        return {
            "side": "ghl", "event": row["id"], "contact": row["contactId"], "conclude": conclude,
            "expect": {"startMs": row["startMs"]},
        }  # fmt: skip

    def _ghl_contact_deleted(self, rng: Random) -> Event | None:
        row = self._contact(rng, lambda _: True)
        if row is None:
            return None
        contact_events.delete(self.world, row)
        conclude = "a contact a person deleted: a finding, created again only by command"
        return {"side": "ghl", "contact": row["id"], "conclude": conclude, "expect": {"created_again": False}}
