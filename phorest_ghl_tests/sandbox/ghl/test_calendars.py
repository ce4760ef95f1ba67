"""Calendars: their nested settings are checked as strictly as everything else, and none makes free slots fail."""

from typing import Any

import pytest

from phorest_ghl_tests.sandbox.driver import V3, Driver

HOURS = {"openHour": 9, "openMinute": 0, "closeHour": 17, "closeMinute": 0}


def _made(drive: Driver, version: str = V3, **values: object) -> Any:
    body = {"locationId": drive.location, "name": "C", **values}
    return drive.ghl("POST", "/calendars/", body, version=version)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"openHours": [{"daysOfTheWeek": [7], "hours": [HOURS]}]}, "openHours.0.daysOfTheWeek must be"),
        ({"openHours": [{"daysOfTheWeek": [1], "hours": [{"openHour": 9}]}]}, "openHours.0.hours.0.openMinute must be"),
        ({"openHours": [{"daysOfTheWeek": [1], "hours": [HOURS | {"openHour": 24}]}]}, "hours.0.openHour must be"),
        ({"openHours": [{"daysOfTheWeek": [1], "hours": [], "x": 1}]}, "property openHours.0.x should not exist"),
        ({"teamMembers": [{"priority": 1}]}, "teamMembers.0.userId must be"),
        ({"teamMembers": [{"userId": "u", "priority": True}]}, "teamMembers.0.priority must be"),
        ({"notifications": [{"type": "sms"}]}, "notifications.0.type must be"),
        ({"recurring": {"count": 25}}, "recurring.count must be"),
        ({"lookBusyConfig": {"enabled": True}}, "lookBusyConfig.LookBusyPercentage must be"),
        ({"locationConfigurations": [{"kind": "moon"}]}, "locationConfigurations.0.kind must be"),
        ({"availabilities": [{"date": "2026-12-24", "hours": [], "id": "a"}]}, "availabilities.0.id should not exist"),
        ({"slotInterval": 0}, "slotInterval must be"),
        ({"slotDuration": 1e300}, "slotDuration must be"),
    ],
)
def test_a_nested_setting_that_the_spec_does_not_know_is_refused(
    drive: Driver, settings: dict[str, Any], complaint: str
) -> None:
    answer = _made(drive, **settings)
    assert answer.status == 422
    assert any(complaint in line for line in answer.json["message"]), answer.json


def test_minutes_of_notice_came_with_v3(drive: Driver) -> None:
    statuses = [_made(drive, version, allowBookingAfterUnit="mins").status for version in ("2021-04-15", V3)]
    assert statuses == [422, 200]


def test_the_id_of_an_availability_is_known_to_updates(drive: Driver) -> None:
    key = _made(drive).json["calendar"]["id"]
    day = {"date": "2026-12-24", "hours": [HOURS], "id": "a"}
    assert drive.ghl("PUT", f"/calendars/{key}", {"availabilities": [day]}, version=V3).status == 200


def test_opening_hours_of_odd_minutes_give_slots_and_no_failure(drive: Driver) -> None:
    odd = {"openHour": 9.5, "openMinute": 60, "closeHour": 23, "closeMinute": 60}
    user = next(iter(drive.world.ghl["users"].rows))
    hours = [{"daysOfTheWeek": [0, 1, 2, 3, 4, 5, 6], "hours": [odd]}]
    key = _made(drive, openHours=hours, teamMembers=[{"userId": user}]).json["calendar"]["id"]
    start = int(drive.world.clock.seconds() * 1_000)
    span = {"startDate": start, "endDate": start + 172_800_000, "timezone": "Europe/Dublin"}
    days = drive.ghl("GET", f"/calendars/{key}/free-slots", query=span, version=V3).json
    assert (
        "10:30:00"
        in next(row for name, row in days.items() if name != "traceId" and len(row["slots"]) == 27)["slots"][0]
    )
