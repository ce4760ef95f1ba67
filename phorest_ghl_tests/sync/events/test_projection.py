"""What an appointment's event holds: pure."""

from datetime import UTC, date, datetime, timedelta

import pytest

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.sync.events.projection import DesiredEvent, EventProjector, Team, status_of
from phorest_ghl.sync.events.rules import EventRules
from phorest_ghl.sync.events.source import AppointmentRow, Client

NOW = datetime(2026, 7, 10, 12, tzinfo=UTC)
CLIENT = Client(
    phorest_id="A", walk_in=False, closed=False, reachable=True, merged_to=None, contact_id="X", secondary=False
)
TEAM = Team({"C1": frozenset({"U1", "U2"}), "C2": frozenset({"U2"})})


def row(**more: object) -> AppointmentRow:
    values: dict[str, object] = {
        "phorest_id": "P", "branch_id": "B1", "client_id": "A", "staff_id": "S1", "service": "Laser  Consultation",
        "day": date(2026, 7, 10), "starts_at": NOW + timedelta(hours=1), "ends_at": NOW + timedelta(hours=2),
        "state": "BOOKED", "activation_state": "ACTIVE", "deleted": False, "vanished": False, "source": None,
        "booking_id": None, "changed_at": NOW, "fingerprint": "f", "category": "Skin clinic", **more,
    }  # fmt: skip
    return AppointmentRow(**values)  # type: ignore[arg-type]


def event(appointment: AppointmentRow | None = None, **rules: object) -> DesiredEvent | None:
    given: dict[str, object] = {"calendar": "C1", "user": "U1", **rules}
    return EventProjector(
        keyring=Keyring(b"a key for tests alone, 32 bytes."),
        rules=EventRules(**given),  # type: ignore[arg-type]
        team=TEAM,
        now=NOW,
        zones={"B1": "Europe/Dublin"},
        stylists={"S1": "Niamh B."},
    ).desired(appointment or row(), CLIENT)


def test_an_event_has_the_service_the_stylist_and_times_in_the_branchs_zone() -> None:
    made = event()
    assert made is not None
    assert (made.title, made.description, made.status, made.user_id) == (
        "Laser Consultation", "Niamh B.", "confirmed", "U1",
    )  # fmt: skip
    assert made.starts_at.isoformat() == "2026-07-10T14:00:00+01:00"


@pytest.mark.parametrize("unnamed", ["laser consultation", "skin clinic"])
def test_s19_a_service_that_is_excluded_by_its_or_its_categorys_name_is_in_no_title(unnamed: str) -> None:
    made = event(unnamed=frozenset({unnamed}))
    assert made is not None
    assert made.title == "Appointment"


@pytest.mark.parametrize(
    ("rules", "calendar", "user"),
    [
        ({"calendars": {"B1": "C2"}, "user": "U2"}, "C2", "U2"),
        ({"category_calendars": {"skin clinic": "C2"}, "calendars": {"B1": "C1"}, "user": "U2"}, "C2", "U2"),
        (
            {"staff_calendars": {"S1": "C2"}, "category_calendars": {"skin clinic": "C1"}, "user": "U2"},
            "C2",
            "U2",
        ),
        ({"users": {"S1": "U2"}}, "C1", "U2"),
        ({"users": {"S1": "U9"}}, "C1", "U1"),
    ],
    ids=[
        "the branch's own calendar",
        "the category's",
        "the stylist's own calendar",
        "the stylist's own user",
        "the stylist's user is not in the team",
    ],
)
def test_calendar_and_assignee_are_the_branchs_and_the_stylists_where_they_have_one(
    rules: dict[str, object], calendar: str, user: str
) -> None:
    made = event(**rules)
    assert made is not None
    assert (made.calendar_id, made.user_id) == (calendar, user)


@pytest.mark.parametrize("rules", [{"calendar": None}, {"user": "U9"}, {"calendars": {"B1": "C2"}}])
def test_without_a_calendar_or_somebody_of_its_team_there_is_no_event(rules: dict[str, object]) -> None:
    assert event(**rules) is None


@pytest.mark.parametrize(
    ("appointment", "status"),
    [
        (row(), "confirmed"),
        (row(state="PAID"), "confirmed"),
        (row(state="PAID", starts_at=NOW), "showed"),
        (row(state="CHECKED_IN", starts_at=NOW), "showed"),
        (row(activation_state="CANCELED", state="PAID", starts_at=NOW), "cancelled"),
        (row(activation_state="ARCHIVED"), "confirmed"),
        (row(activation_state="SOMETHING"), "confirmed"),
        (row(deleted=True), "cancelled"),
        (row(vanished=True), "cancelled"),
    ],
)
def test_s2_s4_showed_waits_for_the_start_and_only_cancelled_means_cancelled(
    appointment: AppointmentRow, status: str
) -> None:
    assert status_of(appointment, NOW) == status
