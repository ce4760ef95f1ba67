"""A salon's diary for tests of events: bookings made and changed at the desk, the two crons, and what clients were told.

Belongs here: acting and looking. Does not: what a test is about.
"""

import base64
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import sqlalchemy as sa

from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.events.appointments import AppointmentsSync
from phorest_ghl.sync.events.plan import EventPlan
from phorest_ghl.sync.going_live import go_live
from phorest_ghl.sync.summary import RunResult
from phorest_ghl_tests.sync.rig import LAG_S, Rig, Row, installation

NOW = datetime(2026, 3, 10, 10, tzinfo=UTC)
"""A Tuesday morning; Dublin is on UTC until the 29th."""
MORNING = datetime(2026, 3, 12, 10, tzinfo=UTC)


class Diary:
    """The appointments of an installation."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.sandbox = rig.sandbox
        settings = rig.sandbox.settings
        secret = base64.b64encode(
            f"{settings['PHOREST_CLIENT_ID']}:{settings['PHOREST_CLIENT_SECRET']}".encode()
        ).decode()
        self._base = f"{settings['PHOREST_API_BASE_URL']}/{settings['PHOREST_BUSINESS_ID']}"
        self._headers = {"Authorization": f"Basic {secret}"}
        (self.branch,) = [row["branchId"] for row in self.sandbox.truth("phorest/branches")]
        self.services = [row for row in self.sandbox.truth("phorest/services") if not row["archived"]]
        self.staff = [row for row in self.sandbox.truth("phorest/staff") if row["userId"] and not row["archived"]]

    # What the desk does.

    def book(
        self, client: Row, *, at: datetime = MORNING, services: int = 1, hold: bool = False, **changed: object
    ) -> list[str]:
        """A visit of so many services, half a day apart at most; the ids of its rows in order."""
        schedules: list[Row] = [
            {
                "serviceId": self.services[turn]["serviceId"],
                "staffId": self.staff[turn]["staffId"],
                "startTime": (at + timedelta(hours=3 * turn)).isoformat().replace("+00:00", "Z"),
                "price": 30,
            }
            for turn in range(services)
        ]
        body = {
            "bookingStatus": "RESERVED" if hold else "ACTIVE",
            "clientId": client["clientId"],
            "clientAppointmentSchedules": [{"clientId": client["clientId"], "serviceSchedules": schedules}],
        }
        ids = [row["appointmentId"] for row in self._post(f"/branch/{self.branch}/booking", body)["schedules"]]
        for key in ids if changed else []:
            self.edit(key, **changed)
        return ids

    def meet(self, number: int = 1, **values: object) -> Row:
        """Somebody new is entered, with a phone that nobody has unless it is said."""
        body = {
            "firstName": "Aoife",
            "lastName": f"Newcomer {number}",
            "mobile": f"+353 85 77{number:05d}",
            "smsMarketingConsent": True,
            "smsReminderConsent": True,
            **values,
        }
        return self._post("/client", {name: value for name, value in body.items() if value is not None})

    def _post(self, path: str, body: Row) -> Row:
        answer = httpx.post(f"{self._base}{path}", json=body, headers=self._headers)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def edit(self, key: str, **changed: object) -> None:
        """Somebody edits an appointment."""
        self.sandbox.control("PATCH", f"/phorest/appointments/{key}", changed)

    def cancel(self, *keys: str) -> None:
        for key in keys:
            self.edit(key, activationState="CANCELED")

    def vanish(self, *keys: str) -> None:
        for key in keys:
            self.sandbox.control("DELETE", f"/phorest/appointments/{key}")

    def pass_time(self, **by: float) -> None:
        self.sandbox.control("POST", "/clock", {"advance_s": timedelta(**by).total_seconds()})

    # What the product does.

    def sync(self) -> AppointmentsSync:
        return self.rig.runtime.appointments_sync(batch_id=new_batch_id(), writing=True, lag_s=LAG_S)

    def load(self, *, full: bool = False) -> None:
        """Import what the ten-minute cron brings."""
        self.pass_time(seconds=2)
        self.rig.importer().appointments(full=full)

    def plan(self) -> EventPlan:
        sync = self.sync()
        return sync.plan(sync.prepare())

    def apply(self) -> RunResult:
        sync = self.sync()
        prepared = sync.prepare()
        return sync.apply(sync.plan(prepared), prepared, started_at=datetime.now(UTC))

    def tick(self, *, full: bool = False) -> RunResult:
        """One tick of the cron: import, plan, apply."""
        self.load(full=full)
        return self.apply()

    def go_live(self) -> None:
        assert go_live(self.rig.engine, self.rig.runtime.ghl()).live_at is not None
        self.pass_time(seconds=2)

    def forget_creator(self) -> None:
        """As if GHL had said of our first event that somebody else made it."""
        with self.rig.engine.begin() as connection:
            connection.execute(sa.text("""update ghl_events set created_by = '{"source": "another"}'"""))

    # What is so.

    def events(self) -> list[Row]:
        return [row for row in self.sandbox.truth("ghl/events") if row["kind"] == "appointment"]

    def event_of(self, key: str) -> Row:
        """The event that an appointment is mapped to."""
        (mapping,) = self.rig.rows(
            "select ghl_id from entity_mappings where entity_type = 'appointment' and phorest_id = :key", key=key
        )
        return next(row for row in self.events() if row["id"] == mapping["ghl_id"])

    def told(self) -> list[str]:
        """What appointment workflows without a filter have sent by SMS or would have, oldest first: kind and status."""
        rows = self.sandbox.truth("automations")
        return [
            " ".join(row["detail"].split()[::2])
            for row in rows
            if row["trigger"] == "appointment" and row["workflow"].endswith("unfiltered") and row["channel"] == "SMS"
        ]

    def reachable(self, number: int = 0) -> Row:
        """A client that has a contact of its own."""
        found = [
            row for row in self.rig.clients(syncable=True)
            if row["truth"]["household"] == row["clientId"] and not row.get("mergedToClientId")
        ]  # fmt: skip
        return found[number]


@contextmanager
def salon(database_url: str, *, settings: dict[str, str] | None = None, **wanted: Any) -> Generator[Diary]:
    """An installation whose clients are on contacts and whose diary is empty."""
    with installation(
        database_url,
        settings={"CONTACT_HOURS": "09:00-20:00", **(settings or {})},
        **{"clients": 20, "now": NOW, **wanted},
    ) as rig:
        rig.run()
        yield Diary(rig)


def telling(diary: Diary) -> Diary:
    """Somebody chose GHL as the one who writes to clients, and the location goes live."""
    calendar = diary.sandbox.settings["GHL_DEFAULT_CALENDAR_ID"]
    runtime = diary.rig.runtime
    runtime.settings = runtime.settings.model_copy(
        update={"ghl_announcing_calendars": calendar, "appointment_times_confirmed": True}
    )
    diary.tick()
    diary.go_live()
    return diary
