"""Appointments, block slots, calendars, notes of either kind, tasks, users (facts/ghl-api §8, §11-§13)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from phorest_ghl_tests.sandbox.driver import V3, Answer, Driver

CAL = "2021-04-15"
SILENT = {"toNotify": False, "ignoreFreeSlotValidation": True, "ignoreDateRange": True}


class Salon(Driver):
    """A driver with a calendar, two users and one contact, on a Monday morning in summer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(now=datetime(2026, 6, 1, 8, tzinfo=UTC), **options)
        self.calendar = next(iter(self.world.ghl["calendars"].rows))
        self.users = list(self.world.ghl["users"].rows)
        self.person = self.contact(firstName="Aoife", email="a@example.com", phone="+353875551234")["id"]

    def book(self, *, version: str = CAL, **body: object) -> Answer:
        """Create an appointment; defaults are those of a silent backfill."""
        full = {
            "calendarId": self.calendar,
            "locationId": self.location,
            "contactId": self.person,
            "assignedUserId": self.users[0],
        }
        full |= {"startTime": "2026-06-02T10:00:00+01:00"} | SILENT | body
        return self.ghl(
            "POST", "/calendars/events/appointments", {k: v for k, v in full.items() if v is not None}, version=version
        )

    def change(self, key: str, **body: object) -> Answer:
        """Update an appointment."""
        return self.ghl("PUT", f"/calendars/events/appointments/{key}", body, version=CAL)

    def events(self, **query: object) -> list[dict[str, Any]]:
        """Events of June 2026."""
        span = {"locationId": self.location, "startTime": "1780272000000", "endTime": "1782864000000"}
        answer = self.ghl(
            "GET", "/calendars/events", query={**span, **(query or {"calendarId": self.calendar})}, version=CAL
        )
        assert answer.status == 200, answer.json
        return answer.json["events"]


@pytest.fixture
def salon() -> Salon:
    """One salon a test."""
    return Salon()


def test_a_create_answers_200_flat_and_a_get_wraps_it_in_event(salon: Salon) -> None:
    made = salon.book(title="Cut", endTime="2026-06-02T10:45:00+01:00")
    assert made.status == 200
    assert made.json["startTime"] == "2026-06-02T10:00:00+01:00"
    assert not {"dateAdded", "dateUpdated", "event"} & set(made.json)
    got = salon.ghl("GET", f"/calendars/events/appointments/{made.json['id']}").json["event"]
    assert (got["title"], got["endTime"], got["users"], got["groupId"]) == ("Cut", "2026-06-02T10:45:00+01:00", [], "")
    assert got["createdBy"]["source"] == "private_integration"
    assert "deleted" not in got
    assert {"dateAdded", "dateUpdated"} <= set(salon.book(version=V3).json)


def test_the_offset_is_respected_and_a_naive_time_is_refused(salon: Salon) -> None:
    assert salon.book(startTime="2026-06-02T09:00:00Z").json["startTime"] == "2026-06-02T10:00:00+01:00"
    assert salon.book(startTime="2026-06-02T10:00:00").status == 422
    assert salon.book(endTime="2026-06-02T09:00:00+01:00").status == 422


def test_the_end_defaults_to_the_slots_length_and_follows_a_move(salon: Salon) -> None:
    made = salon.book().json
    assert made["endTime"] == "2026-06-02T10:30:00+01:00"
    moved = salon.change(made["id"], startTime="2026-06-03T11:00:00+01:00", **SILENT).json
    assert (moved["startTime"], moved["endTime"]) == ("2026-06-03T11:00:00+01:00", "2026-06-03T11:30:00+01:00")


@pytest.mark.parametrize(("method", "name"), [("PUT", "locationId"), ("PUT", "contactId"), ("POST", "notes")])
def test_properties_that_are_not_in_the_schema_are_422(salon: Salon, method: str, name: str) -> None:
    if method == "POST":
        assert salon.book(notes="x").json["message"] == ["property notes should not exist"]
    else:
        value = salon.location if name == "locationId" else salon.person
        answer = salon.change(salon.book().json["id"], **{name: value})
        assert answer.json["message"] == [f"property {name} should not exist"]


def test_without_slot_validation_a_team_member_must_be_named(salon: Salon) -> None:
    answer = salon.book(assignedUserId=None)
    assert answer.status == 422
    assert answer.json["message"] == "A team member needs to be selected. assignedUserId is missing"
    assert salon.book(assignedUserId="stranger").status == 422


def test_with_slot_validation_a_free_member_is_found_until_none_is_left(salon: Salon) -> None:
    wish = {"assignedUserId": None, "ignoreFreeSlotValidation": None, "ignoreDateRange": None}
    answers = [salon.book(**wish) for _ in range(5)]
    assert [answer.status for answer in answers] == [200] * 4 + [400]
    assert {answer.json["assignedUserId"] for answer in answers[:4]} == set(salon.users)
    assert answers[4].json["message"] == "The slot you have selected is no longer available."
    salon.switch(ghl_slot_taken_status=422)
    assert salon.book(**wish).status == 422


def test_past_and_closed_times_need_their_flags(salon: Salon) -> None:
    past, night = "2026-05-01T10:00:00+01:00", "2026-06-02T23:00:00+01:00"
    assert salon.book(startTime=past, ignoreFreeSlotValidation=None, ignoreDateRange=None).status == 400
    assert salon.book(startTime=past, ignoreFreeSlotValidation=None, ignoreDateRange=True).status == 200
    assert salon.book(startTime=night, ignoreFreeSlotValidation=None).status == 400
    assert salon.book(startTime=night).status == 200
    assert salon.book(startTime=past).status == 200, "skipping slot validation skips the date range too"


def test_an_event_can_be_cancelled_after_its_member_left_the_calendar(salon: Salon) -> None:
    key = salon.book().json["id"]
    salon.ghl("PUT", f"/calendars/{salon.calendar}", {"teamMembers": [{"userId": salon.users[1]}]})
    assert salon.change(key, appointmentStatus="cancelled", toNotify=False).status == 200
    assert salon.change(key, assignedUserId=salon.users[0]).status == 422


def test_creating_twice_makes_two(salon: Salon) -> None:
    assert salon.book().json["id"] != salon.book().json["id"]
    assert len(salon.events()) == 2


def test_to_notify_false_is_recorded_and_sends_nothing_while_its_absence_sends(salon: Salon) -> None:
    salon.book()
    assert salon.runs(trigger="appointment") == []
    assert salon.world.automations.not_run.counts["toNotify false"] == 1
    loud = salon.book(toNotify=None).json["id"]
    sent = salon.runs(trigger="appointment", sent=True)
    assert {(row["contact"], row["channel"]) for row in sent} == {(salon.person, "SMS"), (salon.person, "Email")}
    assert all(loud in row["detail"] for row in sent)
    truth = salon.control("GET", "/ghl/events").json
    assert [row["notified"] for row in truth] == [False, True]


def test_an_update_that_changes_nothing_notifies_nobody(salon: Salon) -> None:
    key = salon.book().json["id"]
    salon.change(key, appointmentStatus="confirmed")
    assert salon.runs(trigger="appointment") == []
    salon.change(key, appointmentStatus="cancelled")
    assert len(salon.runs(trigger="appointment", sent=True)) == 4


def test_deleting_a_future_event_that_was_not_cancelled_tells_the_client(salon: Salon) -> None:
    loud, quiet, past = (
        salon.book().json["id"],
        salon.book().json["id"],
        salon.book(startTime="2026-05-01T10:00:00+01:00").json["id"],
    )
    salon.change(quiet, appointmentStatus="cancelled", toNotify=False)
    for key in (quiet, past):
        answer = salon.ghl("DELETE", f"/calendars/events/{key}", {})
        assert (answer.status, answer.json["succeeded"]) == (201, True)
    assert salon.runs(trigger="appointment") == []
    salon.ghl("DELETE", f"/calendars/events/{loud}", {})
    assert salon.runs(trigger="appointment", sent=True)
    assert salon.ghl("GET", f"/calendars/events/appointments/{loud}").json["message"] == "The event id is invalid"


def test_the_predecessors_delete_path_does_not_exist(salon: Salon) -> None:
    assert salon.ghl("DELETE", f"/calendars/events/appointments/{salon.book().json['id']}", {}).status == 404


def test_a_list_needs_one_selector_and_a_window_in_milliseconds(salon: Salon) -> None:
    key = salon.book().json["id"]
    assert [row["id"] for row in salon.events()] == [key]
    assert [row["id"] for row in salon.events(userId=salon.users[0])] == [key]
    assert salon.events(userId=salon.users[1]) == []
    span = {"locationId": salon.location, "startTime": "1780272000000", "endTime": "1782864000000"}
    assert salon.ghl("GET", "/calendars/events", query=span).status == 400
    wrong = span | {"calendarId": salon.calendar, "startTime": "2026-06-01"}
    assert salon.ghl("GET", "/calendars/events", query=wrong).status == 422
    salon.switch(ghl_event_range_days=7)
    assert salon.ghl("GET", "/calendars/events", query=span | {"calendarId": salon.calendar}).status == 400


def test_a_contacts_appointments_have_naive_local_times(salon: Salon) -> None:
    salon.book(startTime="2026-06-02T09:00:00Z")
    (row,) = salon.ghl("GET", f"/contacts/{salon.person}/appointments").json["events"]
    assert (row["startTime"], row["status"]) == ("2026-06-02 10:00:00", "booked")


def test_completed_and_active_are_statuses_of_v3_alone(salon: Salon) -> None:
    assert salon.book(appointmentStatus="completed").status == 422
    assert salon.book(appointmentStatus="completed", version=V3).json["appointmentStatus"] == "completed"
    assert salon.book(appointmentStatus="busy").status == 422


def test_recurrence_is_applied_only_where_slot_validation_is_skipped(salon: Salon) -> None:
    rule = "RRULE:FREQ=DAILY;COUNT=3"
    made = salon.book(rrule=rule).json
    assert (made["rrule"], made["isRecurring"]) == (rule, True)
    assert salon.change(made["id"], appointmentStatus="cancelled").json["rrule"] == rule, (
        "a status leaves the series alone"
    )
    assert "rrule" not in salon.book(rrule=rule, ignoreFreeSlotValidation=None).json


def test_block_slots_take_a_calendar_or_a_user_and_keep_people_busy(salon: Salon) -> None:
    body = {
        "locationId": salon.location,
        "title": "Lunch",
        "startTime": "2026-06-02T10:00:00+01:00",
        "endTime": "2026-06-02T11:00:00+01:00",
    }
    path = "/calendars/events/block-slots"
    made = salon.ghl("POST", path, body | {"assignedUserId": salon.users[0]}, version=CAL)
    assert made.status == 201
    assert (
        salon.ghl("POST", path, body | {"assignedUserId": salon.users[0], "calendarId": salon.calendar}).status == 422
    )
    assert salon.ghl("POST", path, body).status == 422
    assert salon.book(ignoreFreeSlotValidation=None).status == 400, "the named member is at lunch"
    changed = salon.ghl("PUT", f"{path}/{made.json['id']}", {"locationId": salon.location, "title": "Tea"})
    assert (changed.status, changed.json["title"]) == (201, "Tea")
    span = {
        "locationId": salon.location,
        "startTime": "1780272000000",
        "endTime": "1782864000000",
        "userId": salon.users[0],
    }
    assert [row["title"] for row in salon.ghl("GET", "/calendars/blocked-slots", query=span).json["events"]] == ["Tea"]
    assert salon.events() == []


def test_free_slots_are_grouped_by_local_day_and_leave_out_what_is_taken(salon: Salon) -> None:
    path = f"/calendars/{salon.calendar}/free-slots"
    span = {"startDate": "1780358400000", "endDate": "1780444800000"}
    slots = salon.ghl("GET", path, query=span).json["2026-06-02"]["slots"]
    assert "2026-06-02T10:00:00+01:00" in slots
    for user in salon.users:
        salon.book(assignedUserId=user)
    assert "2026-06-02T10:00:00+01:00" not in salon.ghl("GET", path, query=span).json["2026-06-02"]["slots"]
    assert salon.ghl("GET", path, query=span | {"locationId": salon.location}).json["message"] == [
        "property locationId should not exist"
    ]
    assert salon.ghl("GET", path, query={"startDate": "1780358400000", "endDate": "1783468800000"}).status == 400


def test_calendars_and_groups_can_be_made_read_changed_and_removed(salon: Salon) -> None:
    made = salon.ghl("POST", "/calendars/", {"locationId": salon.location, "name": "Second", "isActive": False}).json[
        "calendar"
    ]
    drafts = salon.ghl("GET", "/calendars/", query={"locationId": salon.location}).json["calendars"]
    shown = salon.ghl("GET", "/calendars/", query={"locationId": salon.location, "showDrafted": "false"}).json[
        "calendars"
    ]
    assert (len(drafts), len(shown)) == (2, 1)
    assert salon.ghl("PUT", f"/calendars/{made['id']}", {"name": "Other"}).json["calendar"]["name"] == "Other"
    assert salon.ghl("DELETE", f"/calendars/{made['id']}").json["success"] is True
    assert salon.ghl("GET", f"/calendars/{made['id']}").status == 400
    group = {"locationId": salon.location, "name": "G", "description": "d", "slug": "g"}
    answer = salon.ghl("POST", "/calendars/groups", group)
    assert answer.status == 201
    assert salon.ghl("POST", "/calendars/groups", group).status == 400
    key = answer.json["group"]["id"]
    assert salon.ghl("PUT", f"/calendars/groups/{key}/status", {"isActive": False}).json["success"] is True
    assert (
        salon.ghl("GET", "/calendars/groups", query={"locationId": salon.location}).json["groups"][0]["isActive"]
        is False
    )
    free = salon.ghl("POST", "/calendars/groups/validate-slug", {"locationId": salon.location, "slug": "g"})
    assert free.json["available"] is False


def test_notes_of_a_contact_fire_a_trigger_and_are_never_deduplicated(salon: Salon) -> None:
    path = f"/contacts/{salon.person}/notes"
    one, two = (salon.ghl("POST", path, {"body": "visit"}) for _ in range(2))
    assert (one.status, one.json["note"]["contactId"]) == (201, salon.person)
    assert one.json["note"]["id"] != two.json["note"]["id"]
    assert len(salon.runs(trigger="note", workflow="note, unfiltered", sent=True)) == 4
    assert salon.ghl("POST", path, {"body": "x", "locationId": salon.location}).status == 422
    assert salon.ghl("PUT", f"{path}/{one.json['note']['id']}", {"body": "changed"}).json["note"]["body"] == "changed"
    assert salon.ghl("DELETE", f"{path}/{two.json['note']['id']}").json["succeded"] is True
    assert [row["body"] for row in salon.ghl("GET", path).json["notes"]] == ["changed"]
    assert salon.ghl("GET", f"{path}/unknown").status == 400
    salon.switch(ghl_notes_as_html=True)
    shown = salon.ghl("GET", f"{path}/{one.json['note']['id']}").json["note"]
    assert (shown["body"], shown["bodyText"]) == ("<p>changed</p>", "changed")


def test_tasks_are_listed_by_contact_and_searched_by_location(salon: Salon) -> None:
    path = f"/contacts/{salon.person}/tasks"
    body = {"title": "Call", "dueDate": "2026-06-02T10:00:00Z", "completed": False}
    key = salon.ghl("POST", path, body).json["task"]["id"]
    assert salon.ghl("PUT", f"{path}/{key}/completed", {"completed": True}).json["task"]["completed"] is True
    assert salon.ghl("POST", path, {"title": "Call"}).status == 422
    search = f"/locations/{salon.location}/tasks/search"
    assert len(salon.ghl("POST", search, {"completed": True, "query": "cal"}).json["tasks"]) == 1
    assert salon.ghl("POST", search, {"completed": False}).json["tasks"] == []
    assert salon.ghl("DELETE", f"{path}/{key}").status == 200


def test_notes_of_an_appointment_are_paged_and_limited(salon: Salon) -> None:
    path = f"/calendars/appointments/{salon.book().json['id']}/notes"
    keys = [salon.ghl("POST", path, {"body": str(number)}).json["note"]["id"] for number in range(3)]
    page = salon.ghl("GET", path, query={"limit": 2, "offset": 0}).json
    assert ([row["body"] for row in page["notes"]], page["hasMore"]) == (["0", "1"], True)
    assert salon.ghl("GET", path, query={"limit": 21, "offset": 0}).status == 422
    assert salon.ghl("GET", path).status == 422
    assert salon.ghl("POST", path, {"body": "x" * 5_001}).status == 422
    assert salon.ghl("PUT", f"{path}/{keys[0]}", {"body": "new"}).json["note"]["body"] == "new"
    assert salon.ghl("DELETE", f"{path}/{keys[0]}").json["success"] is True


def test_users_are_listed_by_location_searched_by_company_and_read_flat(salon: Salon) -> None:
    assert len(salon.ghl("GET", "/users/", query={"locationId": salon.location}).json["users"]) == 4
    company = salon.ghl("GET", f"/locations/{salon.location}").json["location"]["companyId"]
    found = salon.ghl("GET", "/users/search", query={"companyId": company, "role": "admin"}).json
    assert found["count"] == 1
    assert salon.ghl("GET", "/users/search", query={"query": "x"}).status == 422
    assert salon.ghl("GET", f"/users/{salon.users[0]}").json["id"] == salon.users[0]


def test_followers_workflows_and_campaigns_are_taken(salon: Salon) -> None:
    path = f"/contacts/{salon.person}"
    added = salon.ghl("POST", f"{path}/followers", {"followers": salon.users[:2]})
    assert (added.status, added.json["followersAdded"]) == (201, salon.users[:2])
    assert (
        salon.ghl("DELETE", f"{path}/followers", {"followers": salon.users[:1]}).json["followers"] == salon.users[1:2]
    )
    assert salon.ghl("POST", f"{path}/workflow/w", {}).json["succeded"] is True
    assert salon.ghl("POST", f"{path}/campaigns/c", {}).status == 201
    assert salon.ghl("DELETE", f"{path}/campaigns/remove-all", version=V3).status == 200
    assert salon.ghl("DELETE", f"{path}/campaigns/removeAll").status == 200


def test_deleting_a_contact_takes_its_notes_tasks_and_events_along(salon: Salon) -> None:
    salon.book()
    salon.ghl("POST", f"/contacts/{salon.person}/notes", {"body": "x"})
    salon.ghl("DELETE", f"/contacts/{salon.person}")
    assert (len(salon.world.ghl["events"]), len(salon.world.ghl["notes"])) == (0, 0)


def test_an_appointment_longer_than_the_slot_is_taken(salon: Salon) -> None:
    assert salon.book(endTime="2026-06-02T12:00:00+01:00", ignoreFreeSlotValidation=None).status == 200
    salon.world.clock.advance(timedelta(days=1))
