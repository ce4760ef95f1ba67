"""The whole road of appointments against the sandbox: what becomes of each row, and what a second run does."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.events.diary import MORNING, Diary, salon

pytestmark = pytest.mark.road


@pytest.fixture
def diary(database: Database) -> Iterator[Diary]:
    with salon(database.url) as made:
        yield made


def test_an_appointment_becomes_one_event_and_a_second_run_writes_nothing(diary: Diary) -> None:
    client = diary.reachable()
    (key,) = diary.book(client)
    first = diary.tick()
    assert (first.changes["create"], first.outcomes["applied"]) == (1, 1)
    event = diary.event_of(key)
    assert event["contactId"] == diary.rig.contact_of(client["clientId"])["id"]
    assert event["title"] == diary.services[0]["name"]
    person = diary.staff[0]
    assert event["description"] == f"{person['firstName'].strip()} {person['lastName'].strip()}"
    assert event["startMs"] == MORNING.timestamp() * 1000
    assert event["appointmentStatus"] == "confirmed"
    assert event["assignedUserId"] == diary.sandbox.settings["GHL_DEFAULT_USER_ID"]
    diary.rig.forget_requests()
    second = diary.tick()
    assert (sum(second.changes.values()), second.requests, second.outcomes["unchanged"]) == (0, 0, 1)
    asked = diary.sandbox.control("GET", "/requests")["apis"]["ghl"]["requests"]
    assert asked == 3, "the location, its calendars, and the poll of opt-outs"
    assert len(diary.events()) == 1


def test_rows_that_need_no_event_get_none_and_say_why(diary: Diary) -> None:
    client = diary.reachable()
    (cancelled,) = diary.book(client)
    diary.cancel(cancelled)
    diary.book(client, at=MORNING + timedelta(days=1), hold=True)
    diary.book(client, at=MORNING + timedelta(days=2), clientId=None)
    result = diary.tick()
    assert diary.events() == []
    assert result.reasons["skipped"] == {"never existed in GHL": 1, "a held slot, not booked yet": 1, "no client": 1}


def test_a_moved_and_a_cancelled_appointment_change_their_event_and_undo_brings_it_back(diary: Diary) -> None:
    (key,) = diary.book(diary.reachable())
    diary.tick()
    diary.edit(key, startTime="14:00:00.000", endTime="14:45:00.000")
    moved = diary.tick()
    assert moved.changes["update"] == moved.requests == 1
    assert diary.event_of(key)["startMs"] == (MORNING + timedelta(hours=4)).timestamp() * 1000
    diary.cancel(key)
    assert diary.tick().changes["cancel"] == 1
    assert diary.event_of(key)["appointmentStatus"] == "cancelled"
    diary.edit(key, activationState="ACTIVE")
    diary.tick()
    assert diary.event_of(key)["appointmentStatus"] == "confirmed"
    assert len(diary.events()) == 1


def test_an_event_that_a_person_deleted_is_a_finding_and_not_made_again(diary: Diary) -> None:
    (key,) = diary.book(diary.reachable())
    diary.tick()
    diary.sandbox.control("DELETE", f"/ghl/events/{diary.event_of(key)['id']}")
    diary.edit(key, startTime="14:00:00.000", endTime="14:45:00.000")
    assert diary.tick().reasons["skipped"] == {"event gone from GHL": 1}
    assert [row["kind"] for row in diary.rig.rows("select kind from audit_findings")] == ["event gone from GHL"]
    assert diary.tick().reasons["skipped"] == {"event gone from GHL": 1}
    assert diary.events() == []


def test_s16_a_persons_no_show_stands_until_phorests_own_status_changes(diary: Diary) -> None:
    (key,) = diary.book(diary.reachable())
    diary.tick()
    event = diary.event_of(key)
    diary.sandbox.control("PATCH", f"/ghl/events/{event['id']}", {"appointmentStatus": "noshow"})
    diary.edit(key, startTime="14:00:00.000", endTime="14:45:00.000")
    diary.tick()
    assert diary.event_of(key)["appointmentStatus"] == "noshow"
    diary.cancel(key)
    diary.tick()
    assert diary.event_of(key)["appointmentStatus"] == "cancelled"
