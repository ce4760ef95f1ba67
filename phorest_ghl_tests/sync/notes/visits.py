"""A salon with visits of these days, for tests of their notes.

Belongs here: an installation whose clients are in GHL, visits that happen, the notes that are there. Does not belong here:
what a test is about.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.notes.road import CheckInsSync
from phorest_ghl.sync.summary import RunResult
from phorest_ghl_tests.sync.rig import LAG_S, Rig, Row, opened, options


class NotesRig:
    """What tests of notes do with an installation."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.sandbox = rig.sandbox

    def begin(self) -> None:
        """Everything imported, the clients on their contacts, and no visit of these days yet."""
        self.rig.run()
        for row in self.sandbox.truth("phorest/appointments"):
            if row.get("state") in ("PAID", "CHECKED_IN"):
                self.edit(row["appointmentId"], state="BOOKED")
        self.rig.importer().catalogue()
        self.load()

    def load(self) -> None:
        self.sandbox.control("POST", "/clock", {"advance_s": 2})
        self.rig.importer().appointments()

    def road(self) -> CheckInsSync:
        return self.rig.runtime.check_ins_sync(batch_id=new_batch_id(), writing=True, lag_s=LAG_S)

    def apply(self) -> RunResult:
        """Plan and apply, without importing first."""
        road = self.road()
        prepared = road.prepare()
        return road.apply(road.plan(prepared), prepared, started_at=datetime.now(UTC))

    def run(self) -> RunResult:
        self.load()
        return self.apply()

    def edit(self, appointment_id: str, **changed: object) -> Row:
        return self.sandbox.control("PATCH", f"/phorest/appointments/{appointment_id}", changed)

    def now(self) -> datetime:
        return datetime.fromisoformat(self.sandbox.control("GET", "/state")["now"])

    def visits(self, count: int = 1, *, days: float = -1, **changed: object) -> list[Row]:
        """Appointments of mapped clients, moved to so many days from now and paid."""
        mapped = self.contact_by_client()
        rows = self.sandbox.truth("phorest/appointments")
        free = [row for row in rows if row.get("clientId") in mapped and row.get("state") == "BOOKED"][:count]
        assert len(free) == count, "the salon is too small"
        day = (self.now() + timedelta(days=days)).date().isoformat()
        moved = {"appointmentDate": day, "startTime": "10:30:00.000", "endTime": "11:15:00.000", "deleted": False}
        return [
            self.edit(row["appointmentId"], **{**moved, "state": "PAID", "activationState": "ACTIVE", **changed})
            for row in free
        ]

    def contact_by_client(self) -> dict[str, str]:
        rows = self.rig.rows("select phorest_id, ghl_id from entity_mappings where entity_type = 'client'")
        return {row["phorest_id"]: row["ghl_id"] for row in rows}

    def notes(self) -> list[Row]:
        return self.sandbox.truth("ghl/notes")

    def fired(self, **wanted: str) -> list[Row]:
        """Runs of the workflows that a note starts."""
        return [
            row
            for row in self.sandbox.truth("automations?trigger=note")
            if all(str(row[name]) == value for name, value in wanted.items())
        ]

    def check_each_has_one(self, visits: list[Row]) -> None:
        """Each of these visits has one note on the contact of its client, that is known by its id, and nothing else has."""
        contacts = self.contact_by_client()
        held = {(note["body"].rpartition("phorest:")[2], note["contactId"], note["id"]) for note in self.notes()}
        known = {
            (row["phorest_id"], row["contact_id"], row["ghl_id"])
            for row in self.rig.rows("""select phorest_id, contact_id, ghl_id from ghl_notes join entity_mappings
                                        using (location_id, ghl_id, phorest_id) where entity_type = 'checkin'""")
        }
        assert held == known
        assert len(self.notes()) == len(held)
        assert {item[:2] for item in held} == {(v["appointmentId"], contacts[v["clientId"]]) for v in visits}


@contextmanager
def visited(
    database_url: str, *, settings: dict[str, str] | None = None, switches: dict[str, object] | None = None, **more: Any
) -> Generator[NotesRig]:
    """A small salon with a diary and its product; its clients are in GHL."""
    wanted = replace(options(clients=24, switches=switches, **more), months=1)
    with SandboxServer(wanted) as sandbox, opened(sandbox, database_url, **(settings or {})) as rig:
        made = NotesRig(rig)
        made.begin()
        yield made
