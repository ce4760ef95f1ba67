"""Who is told of what: the sandbox's automations log is the judge (safety S2, S3, S4, S5)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from phorest_ghl.ghl.calendars import CalendarClient
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.sync.events.plan import STILL_STANDS
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.events.diary import MORNING, Diary, salon, telling

pytestmark = pytest.mark.road
CREATED, UPDATED = "AppointmentCreate confirmed", "AppointmentUpdate confirmed"
CANCELLED = "AppointmentUpdate cancelled"


@pytest.fixture
def diary(database: Database) -> Iterator[Diary]:
    """A live location whose clients GHL writes to."""
    with salon(database.url) as made:
        yield telling(made)


def test_s2_a_first_load_tells_nobody_and_neither_does_a_renamed_service_after_go_live(database: Database) -> None:
    with salon(database.url) as diary:
        client = diary.reachable()
        keys = diary.book(client, services=3) + diary.book(client, at=MORNING + timedelta(days=3))
        telling(diary)
        assert (diary.told(), len(diary.events())) == ([], 4)
        for key in keys:
            diary.edit(key, serviceName="Another name")
        result = diary.tick()
        assert (result.changes["update"], diary.told()) == (4, [])
        assert {event["title"] for event in diary.events()} == {"Another name"}


def test_s2_a_visit_of_three_services_is_told_once_when_booked_moved_and_cancelled(diary: Diary) -> None:
    keys = diary.book(diary.reachable(), services=3)
    assert diary.tick().changes["create"] == 3
    assert diary.told() == [CREATED]
    diary.pass_time(hours=6)  # whatever the age: of a visit that we announced
    for turn, key in enumerate(keys):
        diary.edit(
            key,
            appointmentDate="2026-03-13",
            startTime=f"{11 + 2 * turn}:00:00.000",
            endTime=f"{12 + 2 * turn}:00:00.000",
        )
    assert diary.tick().changes["update"] == 3
    assert diary.told() == [CREATED, UPDATED]
    diary.pass_time(hours=18)
    diary.cancel(keys[0])
    assert diary.tick().changes["cancel"] == 1
    assert diary.told() == [CREATED, UPDATED], "two services of the visit remain"
    diary.cancel(*keys[1:])
    assert diary.tick().changes["cancel"] == 2
    assert diary.told() == [CREATED, UPDATED, CANCELLED]
    assert diary.tick().requests == 0


def test_s2_what_an_outage_of_six_hours_held_up_is_told_no_more_unless_it_was_announced(diary: Diary) -> None:
    (known,) = diary.book(diary.reachable())
    diary.tick()
    assert diary.told() == [CREATED]
    diary.book(diary.reachable(1), at=MORNING + timedelta(days=1))
    diary.cancel(known)
    diary.pass_time(hours=6)
    result = diary.tick()
    assert (result.changes["create"], result.changes["cancel"]) == (1, 1)
    assert diary.told() == [CREATED, CANCELLED]


def test_s4_a_row_that_vanished_is_cancelled_in_silence_and_many_at_once_are_not(diary: Diary) -> None:
    client = diary.reachable()
    keys = [diary.book(client, at=MORNING + timedelta(days=n))[0] for n in range(8)]
    diary.tick()
    told = diary.told()
    diary.vanish(keys[0])
    assert diary.tick(full=True).changes["cancel"] == 1
    assert diary.event_of(keys[0])["appointmentStatus"] == "cancelled"
    diary.vanish(*keys[1:7])
    diary.cancel(keys[7])
    result = diary.tick(full=True)
    assert result.changes["cancel"] == 1, "the explicit one alone"
    assert result.outcomes["deferred"] == 6
    assert {event["appointmentStatus"] for event in map(diary.event_of, keys[1:7])} == {"confirmed"}
    kinds = [row["kind"] for row in diary.rig.rows("select kind from audit_findings")]
    assert kinds == ["many appointments vanished at once"]
    assert diary.told() == [*told, CANCELLED]


def test_s5_at_night_only_the_clients_own_booking_and_what_is_near_is_told(diary: Diary) -> None:
    diary.pass_time(hours=12)  # 22:00
    diary.book(diary.reachable(), at=MORNING)
    diary.book(diary.reachable(1), at=MORNING + timedelta(days=1), source="WIDGET")
    assert diary.tick().changes["create"] == 2
    assert diary.told() == [CREATED], "the one that its client made itself"


def test_s3_a_merged_clients_events_move_in_silence_and_past_ones_stay(diary: Diary) -> None:
    loser, winner = diary.reachable(), diary.reachable(1)
    (past,) = diary.book(loser, at=MORNING - timedelta(days=5))
    (future,) = diary.book(loser)
    diary.tick()
    told, old = diary.told(), diary.event_of(future)
    stays = diary.event_of(past)
    diary.rig.edit_client(loser["clientId"], mergedToClientId=winner["clientId"], deleted=True)
    diary.rig.run()
    result = diary.tick()
    assert result.changes["move"] == 1
    new = diary.event_of(future)
    assert new["id"] != old["id"]
    assert new["contactId"] == diary.rig.contact_of(winner["clientId"])["id"]
    events = {event["id"]: event for event in diary.events()}
    assert events[old["id"]]["appointmentStatus"] == "cancelled"
    assert diary.event_of(past) == stays
    assert diary.told() == told
    assert diary.tick().requests == 0


@pytest.mark.parametrize("kind", [Category.INVALID, Category.TRANSIENT])
def test_s3_a_move_that_was_cut_off_between_its_legs_is_finished_and_holds_up_nothing_else(
    diary: Diary, monkeypatch: pytest.MonkeyPatch, kind: Category
) -> None:
    loser, winner, other = (diary.reachable(number) for number in range(3))
    (moving,) = diary.book(loser)
    diary.tick()
    told, old = diary.told(), diary.event_of(moving)
    diary.rig.edit_client(loser["clientId"], mergedToClientId=winner["clientId"], deleted=True)
    diary.rig.run()
    update = CalendarClient.update_event

    def refused(self: CalendarClient, event_id: str, *given: Any, **more: Any) -> Any:
        if event_id == old["id"]:
            raise ApiError(kind, api="ghl", operation="PUT /calendars/events/appointments/{eventId}", status=422)
        return update(self, event_id, *given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(CalendarClient, "update_event", refused)
        diary.tick()
        (booked,) = diary.book(other, at=MORNING + timedelta(days=1))
        assert diary.tick().changes["create"] == 1
    assert diary.event_of(booked)["appointmentStatus"] == "confirmed"
    still = "select ghl_id from audit_findings where kind = :kind and resolved_at is null"
    assert diary.rig.rows(still, kind=STILL_STANDS) == [{"ghl_id": old["id"]}]
    diary.tick()
    assert diary.rig.rows(still, kind=STILL_STANDS) == []
    events = {event["id"]: event["appointmentStatus"] for event in diary.events()}
    assert events[old["id"]] == "cancelled"
    assert events[diary.event_of(moving)["id"]] == "confirmed"
    assert [message for message in diary.told() if message == CANCELLED] == [m for m in told if m == CANCELLED]
