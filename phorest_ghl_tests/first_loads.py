"""First loads of a small salon with a diary of a year, for the tests of the load, its command and its job.

Belongs here: an installation, acting, comparing with the truth. Does not: what a test is about.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from phorest_ghl.first_load import FirstLoad, LoadResult, NamedMonths
from phorest_ghl.load_progress import Progress
from phorest_ghl_tests.phorest.salon import SWIFT
from phorest_ghl_tests.sync.rig import LAG_S, Rig, Row, installation

Tell = Callable[[Progress], None]
NOW = datetime(2026, 3, 10, 15, tzinfo=UTC)
FIRST = "2025-02"
"""13 months before."""


class Loads:
    """First loads of an installation, and what is so after them."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.sandbox = rig.sandbox
        self.told: list[Progress] = []

    def load(self, first: str = FIRST, last: str | None = None, *, tell: Tell | None = None) -> FirstLoad:
        """A load, not yet begun, two of the salon's seconds after what happened last."""
        self.sandbox.control("POST", "/clock", {"advance_s": 2})
        named = NamedMonths.parse(first, last)
        return FirstLoad(self.rig.runtime, named, tell=tell or self.told.append, lag_s=LAG_S, pace=SWIFT)

    def run(self, first: str = FIRST, last: str | None = None, *, tell: Tell | None = None) -> LoadResult:
        load = self.load(first, last, tell=tell)
        assert load.bring() == []
        return load.carry_out()

    def tick(self) -> None:
        """The appointments cron: import, plan, apply."""
        self.sandbox.control("POST", "/clock", {"advance_s": 2})
        self.rig.importer().appointments()
        road = self.rig.runtime.appointments_sync(batch_id="A tick", writing=True, lag_s=LAG_S)
        prepared = road.prepare()
        assert road.apply(road.plan(prepared), prepared, started_at=datetime.now(UTC)).outcomes["failed"] == 0

    def visit_yesterday(self, count: int = 3) -> set[str]:
        """Visits of yesterday, paid, of clients who have or get a contact; their appointments' ids."""
        wanted = {row["clientId"] for row in self.rig.clients(syncable=True)}
        rows = self.sandbox.truth("phorest/appointments")
        found = [row["appointmentId"] for row in rows if row.get("clientId") in wanted and row.get("state") == "BOOKED"]
        assert len(found) >= count, "the salon is too small"
        day = {"appointmentDate": (NOW - timedelta(days=1)).date().isoformat(), "startTime": "10:30:00.000"}
        paid = {**day, "endTime": "11:15:00.000", "deleted": False, "state": "PAID", "activationState": "ACTIVE"}
        for key in found[:count]:
            self.sandbox.control("PATCH", f"/phorest/appointments/{key}", paid)
        return set(found[:count])

    def events(self) -> list[Row]:
        return [row for row in self.sandbox.truth("ghl/events") if row["kind"] == "appointment"]

    def contacts(self) -> list[Row]:
        """Contacts of clients."""
        return [contact for contact in self.rig.contacts() if contact["customFields"]]

    def staff(self) -> list[Row]:
        """Contacts of the staff, those that are a client's too among them."""
        return [contact for contact in self.rig.contacts() if "role:staff" in contact["tags"]]

    def noted(self) -> list[str]:
        """The appointments that GHL's notes are of."""
        return [note["body"].rpartition("phorest:")[2] for note in self.sandbox.truth("ghl/notes")]

    def event_days(self) -> dict[str, str]:
        """The day of each appointment that has an event, by its id; fails if two of them share one."""
        mapped = {row["phorest_id"]: row["ghl_id"] for row in self.rig.rows(
            "select phorest_id, ghl_id from entity_mappings where entity_type = 'appointment'")}  # fmt: skip
        held = {event["id"] for event in self.events()}
        assert set(mapped.values()) == held, "an event that nobody knows of, or one that is missing"
        assert len(mapped) == len(self.events())
        days = {row["appointmentId"]: row["appointmentDate"] for row in self.sandbox.truth("phorest/appointments")}
        return {key: days[key] for key in mapped}

    def check_all_arrived(self, visits: set[str], *, first: str = f"{FIRST}-01") -> None:
        """Each household on one contact, each appointment of theirs from that day on one event, each visit one note."""
        self.rig.check_everyone_is_on_one_contact()
        synced = {row["clientId"] for row in self.rig.clients(syncable=True)}
        last = (NOW + timedelta(days=120)).date().isoformat()
        wanted = {
            row["appointmentId"]
            for row in self.sandbox.truth("phorest/appointments")
            if row.get("clientId") in synced
            and first <= row["appointmentDate"] <= last
            and not row.get("deleted")
            and row.get("activationState") not in ("CANCELED", "RESERVED")
        }
        held = self.event_days()
        assert wanted <= held.keys()
        assert sorted(self.noted()) == sorted(set(self.noted()))
        assert visits <= set(self.noted())
        assert self.rig.rows("select 1 as one from sync_intents where state in ('planned', 'sent', 'unknown')") == []

    def mapped(self) -> set[tuple[str, ...]]:
        """What is on record: entity, Phorest id, GHL id."""
        rows = self.rig.rows("select entity_type, phorest_id, ghl_id from entity_mappings where removed_at is null")
        return {tuple(row.values()) for row in rows}

    def writes(self) -> int:
        """Requests that wrote to GHL since they were last forgotten."""
        rows = self.sandbox.control("GET", "/requests")["requests"]
        written = [row for row in rows if row["api"] == "ghl" and row["method"] != "GET"]
        return sum(row["count"] for row in written if not row["route"].endswith("/search"))


@contextmanager
def unloaded(database_url: str) -> Generator[Loads]:
    """A salon of 13 months with nothing imported; its operator has paused what GHL's workflows would start on contacts."""
    with installation(database_url, clients=30, now=NOW, months=13) as rig:
        rig.sandbox.control("POST", "/workflows", {"unfiltered": "paused"})
        # What starts on appointments is left as it is: those of a load tell nobody of themselves.
        rig.sandbox.control("POST", "/workflows", {"appointment, unfiltered": "published"})
        yield Loads(rig)
