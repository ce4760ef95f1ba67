"""The demo's judge of the calendar finds what is missing, too many, or at another time."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from phorest_ghl.commands.demo_diary import Diary, judge_diary

TODAY = date(2026, 7, 15)
BRANCH = {"branchId": "B", "timeZone": "Europe/Dublin"}
START_MS = round(datetime(2026, 7, 20, 8, 30, tzinfo=UTC).timestamp() * 1000)  # 09:30 in a Dublin summer


def client(client_id: str = "C", *, syncable: bool = True) -> dict[str, Any]:
    return {"clientId": client_id, "truth": {"household": client_id, "syncable": syncable}}


def contact(ghl_id: str = "K", client_id: str = "C") -> dict[str, Any]:
    return {"id": ghl_id, "customFields": {"f": client_id}}


def appointment(**more: Any) -> dict[str, Any]:
    row = {"branchId": "B", "clientId": "C", "appointmentDate": "2026-07-20", "startTime": "09:30:00.000"}
    return {**row, "activationState": "ACTIVE", "deleted": False, **more}


def event(**more: Any) -> dict[str, Any]:
    return {"contactId": "K", "startMs": START_MS, "appointmentStatus": "confirmed", "deleted": False, **more}


def judged(appointments: list[dict[str, Any]], events: list[dict[str, Any]], **more: Any) -> Diary:
    people = {"clients": [client()], "contacts": [contact()], **more}
    return judge_diary(appointments, events, people["clients"], people["contacts"], [BRANCH], TODAY)


def test_an_appointment_with_its_event_at_the_branch_s_local_time_is_well() -> None:
    found = judged([appointment()], [event()])
    assert found == Diary(appointments=1, on_one_event=1)
    assert found.holds


@pytest.mark.parametrize("state", ["ARCHIVED", None])
def test_s4_an_archived_appointment_and_one_without_a_state_stand(state: str | None) -> None:
    assert judged([appointment(activationState=state)], [event()]).holds


@pytest.mark.parametrize(
    ("appointments", "events", "missing", "extra"),
    [
        ([appointment()], [], 1, 0),
        ([appointment()], [event(startMs=START_MS + 3_600_000)], 1, 1),
        ([appointment()], [event(contactId="somebody else's")], 1, 0),
        ([appointment()], [event(), event()], 0, 1),
        ([appointment()], [event(appointmentStatus="cancelled")], 1, 0),
        ([appointment(activationState="CANCELED")], [event()], 0, 1),
        ([appointment(deleted=True)], [event()], 0, 1),
        ([], [event()], 0, 1),
    ],
)
def test_what_is_not_so_is_counted(
    appointments: list[dict[str, Any]], events: list[dict[str, Any]], missing: int, extra: int
) -> None:
    found = judged(appointments, events)
    assert (found.missing, found.extra) == (missing, extra)
    assert not found.holds


@pytest.mark.parametrize(
    "more",
    [
        {"clients": [client(syncable=False)]},
        {"contacts": []},
        {"contacts": [contact("K"), contact("L")]},
    ],
)
def test_clients_who_are_on_no_contact_of_their_own_are_left_out(more: dict[str, Any]) -> None:
    assert judged([appointment()], [], **more) == Diary()


def test_what_lies_outside_the_window_is_left_out() -> None:
    old = {"appointmentDate": "2026-05-01", "startTime": "09:30:00.000"}
    assert judged([appointment(**old)], [event(startMs=START_MS - 90 * 86_400_000)]) == Diary()
