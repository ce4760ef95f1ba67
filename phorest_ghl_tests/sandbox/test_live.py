"""A salon that lives, contacts made before the first sync, and what people and operators do to either side."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from phorest_ghl_tests.sandbox.driver import Driver


@pytest.fixture
def salon() -> Driver:
    """A salon with a diary, in the middle of a working day, and a few contacts with tags and notes in GHL."""
    drive = Driver(clients=300, months=2, now=datetime(2026, 5, 20, 12, tzinfo=UTC))
    for turn in range(6):
        key = drive.contact(firstName=f"C{turn}", email=f"c{turn}@example.com", tags=["vip", "gold"])["id"]
        drive.ghl("POST", f"/contacts/{key}/notes", {"body": "visit"})
    calendar, user = (next(iter(drive.world.ghl[name].rows)) for name in ("calendars", "users"))
    for start in ("2026-05-19T10:00:00Z", "2026-06-19T10:00:00Z"):
        body = {"calendarId": calendar, "locationId": drive.location, "contactId": key, "startTime": start}
        drive.ghl(
            "POST", "/calendars/events/appointments", body | {"assignedUserId": user, "ignoreFreeSlotValidation": True}
        )
    return drive


def _live(drive: Driver, **wish: object) -> list[dict[str, Any]]:
    answer = drive.control("POST", "/live", wish)
    assert answer.status == 200, answer.json
    return answer.json["events"]


def test_a_day_of_events_touches_both_sides_and_each_says_what_to_conclude(salon: Driver) -> None:
    events = _live(salon, count=120, seed=1)
    assert len(events) == 120
    assert {event["side"] for event in events} == {"phorest", "ghl"}
    assert len(Counter(event["kind"] for event in events)) >= 12
    assert all(event["conclude"] and event["expect"] for event in events)
    assert salon.control("GET", "/live").json == events


def test_the_same_seed_lets_the_same_things_happen() -> None:
    stories = [
        [
            event["kind"]
            for event in _live(
                Driver(clients=100, months=2, now=datetime(2026, 5, 20, 12, tzinfo=UTC)), count=40, seed=5
            )
        ]
        for _ in range(2)
    ]
    assert stories[0] == stories[1]


def test_every_kind_of_event_can_happen_and_shows_in_the_api(salon: Driver) -> None:
    for kind in salon.app.control.live.kinds:
        (event,) = _live(salon, kinds=[kind])
        assert event["kind"] == kind
        if "appointment" in event:
            row = salon.phorest("GET", f"/branch/{event['branch']}/appointment/{event['appointment']}").json
            assert row["updatedAt"][:19] >= "2026-05-20T12:00:00"
        elif "client" in event:
            assert salon.phorest("GET", f"/client/{event['client']}").status == 200
        elif kind == "ghl contact deleted":
            assert salon.ghl("GET", f"/contacts/{event['contact']}").status == 400


def _client_shows(drive: Driver, event: dict[str, Any]) -> bool:
    row = drive.phorest("GET", f"/client/{event['client']}").json
    expect = event["expect"]
    shown = {
        "client created": lambda: row["mobile"] == expect["phone"],
        "client edited": lambda: all(row[name] == event["after"][name] for name in expect["fields"]),
        "consent changed": lambda: (
            row[f"{expect['channel'].lower()}{expect['purpose'].title()}Consent"] is expect["allowed"]
        ),
        "points changed": lambda: row["loyaltyCard"]["points"] == expect["balance"],
        "merged": lambda: row["mergedToClientId"] == expect["winner"],
    }
    return shown.get(event["kind"], lambda: expect.items() <= row.items())()


@pytest.mark.parametrize(
    "kind",
    [
        "client created", "client edited", "consent changed", "points changed", "archived", "banned", "client deleted",
        "un-archived", "client restored", "merged",
    ],
)  # fmt: skip
def test_what_an_event_tells_to_expect_of_a_client_is_what_the_api_shows(salon: Driver, kind: str) -> None:
    for event in _live(salon, kinds=[kind], count=3):
        assert _client_shows(salon, event)


def test_what_an_event_tells_to_expect_of_an_appointment_is_what_the_api_shows(salon: Driver) -> None:
    (moved,) = _live(salon, kinds=["moved"])
    (cancelled,) = _live(salon, kinds=["cancelled"])
    (paid,) = _live(salon, kinds=["paid"])
    rows = [
        salon.phorest("GET", f"/branch/{event['branch']}/appointment/{event['appointment']}").json
        for event in (moved, cancelled, paid)
    ]
    assert rows[0]["appointmentDate"] == moved["expect"]["date"]
    assert (rows[1]["activationState"], cancelled["expect"]["status"]) == ("CANCELED", "cancelled")
    assert (rows[2]["state"], paid["expect"]["status"]) == ("PAID", "showed")


def test_what_people_do_in_ghl_tells_what_an_observer_must_find_or_leave(salon: Driver) -> None:
    (out,) = _live(salon, kinds=["ghl opt-out"])
    (tag,) = _live(salon, kinds=["ghl tag removed"])
    (moved,) = _live(salon, kinds=["ghl event moved"])
    got = {event["contact"]: salon.ghl("GET", f"/contacts/{event['contact']}").json["contact"] for event in (out, tag)}
    assert got[out["contact"]]["dndSettings"][out["expect"]["channel"]]["status"] == out["expect"]["status"]
    assert tag["expect"]["without"] not in got[tag["contact"]]["tags"]
    assert salon.world.ghl["events"].rows[moved["event"]]["startMs"] == moved["expect"]["startMs"] + 3_600_000


def test_the_clock_moves_between_events(salon: Driver) -> None:
    before = salon.world.clock.seconds()
    _live(salon, count=10, step_s=120)
    assert salon.world.clock.seconds() - before == pytest.approx(1_200, abs=5)


def test_what_cannot_happen_or_is_misspelt_is_refused_with_a_sentence() -> None:
    empty = Driver(clients=5)
    for wish in ({"kinds": ["ghl opt-out"]}, {"kinds": ["teleported"]}, {"number": 3}):
        answer = empty.control("POST", "/live", wish)
        assert answer.status == 400
        assert answer.json["error"].endswith(".")


def test_contacts_made_before_the_first_sync_are_clients_relatives_and_strangers() -> None:
    drive = Driver(clients=400, crm_contacts=60)
    truths = drive.control("GET", "/phorest/clients").json
    by_address: dict[str, str] = {}
    for row in truths:
        for value in (row["truth"]["email"], row["truth"]["phone"]):
            if value:
                by_address[value] = f"{row['firstName'].strip()} {row['lastName'].strip()}"
    rows = drive.control("GET", "/ghl/contacts").json
    known = [row for row in rows if by_address.get(row.get("email") or "") or by_address.get(row.get("phone") or "")]
    same = [row for row in known if f"{row['firstName']} {row['lastName']}" in by_address.values()]
    assert (len(rows), len(known)) == (60, 42)
    assert 0 < len(same) < len(known)
    assert any("permanent" in str(row["dndSettings"]) for row in known)
    assert any(row.get("additionalEmails") for row in known)
    assert drive.search(), "they are searchable from the start"
    assert drive.runs() == [], "and nothing fired for them"


def test_contacts_merged_in_ghl_leave_one_that_has_everything(drive: Driver) -> None:
    winner = drive.contact(firstName="W", email="w@example.com", tags=["a"])["id"]
    loser = drive.contact(firstName="L", phone="+353875551234", email="l@example.com", tags=["b"])["id"]
    drive.ghl("POST", f"/contacts/{loser}/notes", {"body": "kept"})
    assert drive.control("POST", f"/ghl/contacts/{loser}/merge", {"into": winner}).status == 200
    got = drive.ghl("GET", f"/contacts/{winner}").json["contact"]
    assert (got["firstName"], got["phone"], got["tags"]) == ("W", "+353875551234", ["a", "b"])
    assert got["additionalEmails"] == ["l@example.com"]
    assert [row["body"] for row in drive.ghl("GET", f"/contacts/{winner}/notes").json["notes"]] == ["kept"]
    assert drive.ghl("GET", f"/contacts/{loser}").status == 400
    assert drive.control("POST", f"/ghl/contacts/{loser}/merge", {"into": winner}).status == 400


def test_a_bulk_change_gives_many_rows_one_updated_at(drive: Driver) -> None:
    keys = list(drive.world.phorest["clients"].rows)[:7]
    assert drive.control("PATCH", "/phorest/clients", {"ids": keys, "set": {"smsMarketingConsent": False}}).json == {
        "changed": 7
    }
    rows = [drive.world.phorest["clients"].rows[key] for key in keys]
    assert len({row["updatedAt"] for row in rows}) == 1
    assert {row["smsMarketingConsent"] for row in rows} == {False}


def test_a_rotated_secret_ends_the_old_one_at_once(drive: Driver) -> None:
    old = drive.world.credentials.ghl_token
    new = drive.control("POST", "/credentials/ghl_token/rotate").json["ghl_token"]
    assert drive.ghl("GET", f"/locations/{drive.location}", token=old).status == 401
    assert drive.ghl("GET", f"/locations/{drive.location}", token=new).status == 200
    later = drive.control("POST", "/credentials/ghl_token/rotate", {"grace_days": 7}).json["ghl_token"]
    drive.control("POST", "/clock", {"advance_s": 6 * 86_400})
    assert [drive.ghl("GET", f"/locations/{drive.location}", token=token).status for token in (new, later)] == [
        200,
        200,
    ]
    drive.control("POST", "/clock", {"advance_s": 2 * 86_400})
    assert [drive.ghl("GET", f"/locations/{drive.location}", token=token).status for token in (new, later)] == [
        401,
        200,
    ]
    assert drive.control("POST", "/credentials/phorest_secret/rotate").status == 200
    assert drive.control("POST", "/credentials/nothing/rotate").status == 400
    assert drive.control("GET", "/credentials").json["ghl_token"] == later
