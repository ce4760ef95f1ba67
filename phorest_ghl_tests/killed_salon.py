"""A salon whose runs are killed at named boundaries, for the tests of it.

Belongs here: an installation, what happens at its desk, killing, finishing and judging. Does not: what a test is about.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import fuse
from benchmarks.chaos_truth import Verdict, judged
from benchmarks.fuse import Boundary, Order, Spark
from phorest_ghl.sandbox.server import SandboxProcess, SandboxServer
from phorest_ghl_tests.sync.events.diary import Diary
from phorest_ghl_tests.sync.rig import Rig, environment, opened, options
from phorest_ghl_tests.sync.victim import live, victim

NOW = datetime(2026, 3, 10, 15, tzinfo=UTC)
DAY = ("import", "diary", "sync", "staff", "appointments", "notes")
CONTACT, CHANGE = "POST /contacts/", "PUT /contacts/{contactId}"
TAGS, FIELD = "POST /contacts/bulk/tags/update/{type}", "POST /locations/{locationId}/customFields"
EVENT, MOVE = "POST /calendars/events/appointments", "PUT /calendars/events/appointments/{eventId}"
NOTE = "POST /contacts/{contactId}/notes"
READS_BY_POST = frozenset({"POST /contacts/search"})


class KilledSalon:
    """Runs of one salon that die, and what is true in the end."""

    def __init__(self, rig: Rig, database_url: str, folder: Path) -> None:
        self.rig = rig
        self.diary = Diary(rig)
        self._environ = environment(rig.sandbox, database_url)
        self._crossed = folder / "crossed"
        self._number = self._visits = 0
        self._flagged = self.diary.reachable(2)["clientId"]
        (self._moved,) = self.diary.book(self.diary.reachable(0), at=NOW + timedelta(days=50))

    def kill(self, spark: Spark, *jobs: str) -> bool:
        """Run the jobs in a process that dies there; whether it came to that."""
        with victim(self._environ, *jobs, order=Order(spark=spark, crossed=str(self._crossed))) as process:
            process.join()
            return process.exitcode == -9

    def burnt(self) -> str | None:
        """The operation at which a fuse burned last."""
        found = [operation for boundary, operation in fuse.crossings(self._crossed) if boundary == fuse.BURNT]
        return found[-1] if found else None

    def forget_crossings(self) -> None:
        self._crossed.unlink(missing_ok=True)

    def wrote(self) -> set[str]:
        """The operations that wrote to GHL in all processes so far."""
        found = {operation for _, operation in fuse.crossings(self._crossed) if operation != fuse.COMMIT}
        return {one for one in found if one.split()[0] in ("POST", "PUT", "DELETE") and one in GHL_WRITES}

    def finish(self, *jobs: str) -> Verdict:
        """Run the jobs to their end, twice: what waits for search comes with the second. The truth, then."""
        for _ in range(2):
            self.diary.pass_time(seconds=2)
            live(self._environ, jobs)
        return judged(self.rig.sandbox, (), plans=self.planned(), unsettled=self.unsettled())

    def planned(self) -> int:
        """Changes that the next runs would make."""
        runtime, kept = self.rig.runtime, {"batch_id": "a look", "writing": False, "lag_s": 0.1}
        roads: list[Any] = [
            make(**kept)
            for make in (
                runtime.clients_sync,
                runtime.staff_sync,
                runtime.appointments_sync,
                runtime.check_ins_sync,
            )
        ]
        return sum(len(road.plan(road.prepare()).changes) for road in roads)

    def unsettled(self) -> int:
        return len(self.rig.rows("select 1 as one from sync_intents where state in ('planned', 'sent', 'unknown')"))

    def busy_hour(self) -> None:
        """Something for every sender: somebody new books, a visit is moved, one is over, a client changes, one is archived."""
        self._number += 1
        number, day = self._number, NOW + timedelta(days=1 + self._number)
        newcomer = self.diary.meet(number)
        self.diary.book(newcomer, at=day)
        old = self.diary.reachable(0)
        self.diary.book(old, at=day + timedelta(hours=3))
        self._at(self._moved, 9 + number % 8, 15)
        self.visits_yesterday(1)
        self.rig.edit_client(old["clientId"], lastName=f"Married {number}")
        self.rig.edit_client(self._flagged, archived=number % 2 == 1)
        self.diary.pass_time(seconds=2)

    def visits_yesterday(self, count: int) -> None:
        """Visits that are over and paid, one after the other."""
        for _ in range(count):
            self._visits += 1
            (key,) = self.diary.book(self.diary.reachable(1), at=NOW + timedelta(days=100 + self._visits))
            day = (NOW - timedelta(days=1)).date().isoformat()
            self.diary.edit(key, appointmentDate=day, state="PAID")
            self._at(key, 8 + self._visits // 4, 15 * (self._visits % 4))

    def _at(self, appointment_id: str, hour: int, minute: int) -> None:
        times = {"startTime": f"{hour:02d}:{minute:02d}:00.000", "endTime": f"{hour:02d}:{minute + 10:02d}:00.000"}
        self.diary.edit(appointment_id, **times)


GHL_WRITES = frozenset({CONTACT, CHANGE, TAGS, FIELD, EVENT, MOVE, NOTE})
"""Every call by which we change something in GHL; `test_boundaries` compares it with the clients' code."""


def everywhere(operation: str) -> list[Spark]:
    """All boundaries of an operation."""
    return [Spark(boundary=boundary, operation=operation) for boundary in Boundary]


@contextmanager
def killed_salon(database_url: str, folder: Path, *, apart: bool = False) -> Generator[KilledSalon]:
    """A small salon of which nothing is imported; its operator has paused what GHL's workflows would start on contacts.

    `apart` has it in a process of its own, whose clock stays right when this one's is set.
    """
    wanted = options(clients=24, now=NOW, months=1)
    with (SandboxProcess if apart else SandboxServer)(wanted) as sandbox, opened(sandbox, database_url) as rig:
        sandbox.control("POST", "/workflows", {"unfiltered": "paused"})
        sandbox.control("POST", "/workflows", {"appointment, unfiltered": "published"})
        rig.confirm()
        yield KilledSalon(rig, database_url, folder)
