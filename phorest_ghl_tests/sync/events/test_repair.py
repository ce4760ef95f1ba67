"""An appointment whose client has no contact yet brings that one client along, by the clients' own road."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest

from phorest_ghl.ghl.fields import GUARD_TAG
from phorest_ghl.sync import client_repair, review
from phorest_ghl.sync.client_repair import MORNING, PERSON, TOO_MANY, TRIES, UNKNOWN, again, given_up
from phorest_ghl.sync.decisions import Kind
from phorest_ghl.sync.plan import ADDRESS_TAKEN
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.events.diary import MORNING as BOOKED
from phorest_ghl_tests.sync.events.diary import NOW, Diary, salon
from phorest_ghl_tests.sync.rig import environment
from phorest_ghl_tests.sync.test_safety_consent import blocked_channels
from phorest_ghl_tests.sync.victim import victim

pytestmark = pytest.mark.road

FETCH, CREATE = ("GET", "/client/{clientId}"), ("POST", "/contacts/")
EVENT = ("POST", "/calendars/events/appointments")


@pytest.fixture
def diary(database: Database) -> Iterator[Diary]:
    with salon(database.url) as made:
        yield made


def asked(diary: Diary) -> Counter[tuple[str, str]]:
    """Requests for one client, and those that make something."""
    rows = diary.sandbox.control("GET", "/requests")["requests"]
    found = Counter({(row["method"], row["route"]): row["count"] for row in rows})
    return Counter({key: count for key, count in found.items() if key in (FETCH, CREATE, EVENT)})


def test_a_newcomer_gets_a_contact_and_an_event_in_the_same_run(diary: Diary) -> None:
    client = diary.meet(smsMarketingConsent=True, email="aoife@example.com", emailMarketingConsent=False)
    keys = [key for turn in range(3) for key in diary.book(client, at=BOOKED + timedelta(days=turn))]
    diary.load()
    diary.rig.forget_requests()
    result = diary.apply()
    assert asked(diary) == {FETCH: 1, CREATE: 1, EVENT: 3}
    assert (result.outcomes["applied"], result.changes["create"], result.requests) == (3, 3, 4), (
        "one reads the first event back"
    )
    contact = diary.rig.contact_of(client["clientId"])
    assert {diary.event_of(key)["contactId"] for key in keys} == {contact["id"]}
    assert GUARD_TAG in contact["tags"]
    assert blocked_channels(contact) == {"Email"}
    summaries = diary.rig.rows(
        """select entity_type, total_count, success_count, requests, status from sync_run_summaries
           where batch_id = :batch order by entity_type""",
        batch=result.batch_id,
    )
    assert [tuple(row.values()) for row in summaries] == [
        ("appointment", 3, 3, 4, "completed"),
        ("client", 1, 1, 1, "completed"),
    ]
    diary.rig.forget_requests()
    assert sum(diary.tick().changes.values()) == 0
    assert asked(diary) == {}
    diary.rig.load()
    assert diary.rig.plan().counts()["create"] == 0


def test_a_plan_brings_nobody(diary: Diary) -> None:
    diary.book(diary.meet())
    diary.load()
    diary.rig.forget_requests()
    plan = diary.plan()
    assert [outcome.reason for outcome in plan.settled.values()] == ["its client has no contact yet"]
    assert asked(diary) == {}
    assert (
        diary.rig.rows("select 1 as one from phorest_clients where first_name = 'Aoife' and mobile like '%77%'") == []
    )


def test_the_merge_chain_of_a_newcomer_is_followed_to_its_end(diary: Diary) -> None:
    first, second, last = (diary.meet(number) for number in (1, 2, 3))
    (key,) = diary.book(first)
    diary.rig.edit_client(first["clientId"], mergedToClientId=second["clientId"])
    diary.rig.edit_client(second["clientId"], mergedToClientId=last["clientId"])
    diary.load()
    diary.rig.forget_requests()
    assert diary.apply().outcomes["applied"] == 1
    assert asked(diary) == {FETCH: 3, CREATE: 1, EVENT: 1}
    assert diary.event_of(key)["contactId"] == diary.rig.contact_of(last["clientId"])["id"]


def test_a_newcomer_at_the_address_of_a_client_joins_its_contact(diary: Diary) -> None:
    known = diary.reachable()
    (key,) = diary.book(diary.meet(mobile=known["mobile"], lastName="Another"))
    diary.load()
    diary.rig.forget_requests()
    assert diary.apply().outcomes["applied"] == 1
    assert asked(diary) == {FETCH: 1, EVENT: 1}
    assert diary.event_of(key)["contactId"] == diary.rig.contact_of(known["clientId"])["id"]


def test_a_newcomer_who_waits_for_a_person_says_so_and_is_not_asked_for_again(diary: Diary) -> None:
    client = diary.meet()
    somebody = diary.rig.make_contact(firstName="Somebody", lastName="Else", phone=client["mobile"].replace(" ", ""))
    diary.book(client)
    reason = f"{PERSON}: {ADDRESS_TAKEN}"
    assert diary.tick().reasons["deferred"] == {reason: 1}
    diary.rig.forget_requests()
    assert diary.tick().reasons["deferred"] == {reason: 1}
    assert asked(diary) == {}
    diary.book(diary.meet(2), at=BOOKED + timedelta(days=1))
    beside = diary.tick()
    assert (beside.outcomes["applied"], beside.reasons["deferred"]) == (1, {reason: 1}), (
        "said beside one who is brought"
    )
    open_items = diary.rig.rows(
        "select cause from work_items where state = 'open' and phorest_id = :key", key=client["clientId"]
    )
    assert [row["cause"] for row in open_items] == ["adoption"]
    with diary.rig.engine.begin() as connection:
        review.decide(
            connection,
            diary.rig.runtime.keyring(),
            location_id=diary.rig.runtime.ghl().location_id,
            kind=Kind.ADOPT,
            phorest_id=client["clientId"],
            operator="a test",
        )
    assert diary.tick().outcomes["applied"] == 1
    assert [event["contactId"] for event in diary.events()].count(somebody["id"]) == 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"mobile": None}, "its client has no contact point"),
        ({"archived": True}, "its client is archived, banned or deleted and has no contact"),
        ({"banned": True}, "its client is archived, banned or deleted and has no contact"),
    ],
)
def test_a_newcomer_who_can_have_no_contact_is_read_once_and_skipped(
    diary: Diary, values: dict[str, object], reason: str
) -> None:
    client = diary.meet(mobile=values.get("mobile", "+353 85 7700009"))
    if "mobile" not in values:
        diary.rig.edit_client(client["clientId"], **values)
    diary.book(client)
    diary.load()
    diary.rig.forget_requests()
    assert diary.apply().reasons["skipped"] == {reason: 1}
    assert asked(diary) == {FETCH: 1}
    assert diary.apply().reasons["skipped"] == {reason: 1}
    assert asked(diary) == {FETCH: 1}


def test_an_appointment_given_to_a_newcomer_moves_to_the_newcomers_contact(diary: Diary) -> None:
    (key,) = diary.book(diary.reachable())
    diary.tick()
    client = diary.meet()
    diary.edit(key, clientId=client["clientId"])
    result = diary.tick()
    assert (result.changes["move"], result.outcomes["applied"]) == (1, 1)
    assert diary.event_of(key)["contactId"] == diary.rig.contact_of(client["clientId"])["id"]


def test_s5_at_night_a_newcomer_waits_for_the_morning_and_is_there_by_ten_past_nine(diary: Diary) -> None:
    diary.tick()
    diary.go_live()
    diary.pass_time(hours=15)  # one in the morning
    client = diary.meet()
    (key,) = diary.book(client)
    assert diary.tick().reasons["deferred"] == {MORNING: 1}
    diary.rig.forget_requests()
    diary.pass_time(minutes=10)
    assert diary.tick().reasons["deferred"] == {MORNING: 1}
    assert asked(diary) == {}
    diary.pass_time(hours=7, minutes=55)  # nine has struck
    another = diary.meet(2)
    diary.book(another, at=BOOKED + timedelta(days=1))
    morning = diary.tick()
    assert morning.outcomes["applied"] == 2
    assert asked(diary) == {FETCH: 1 + 1, CREATE: 2, EVENT: 2}
    assert diary.event_of(key)["contactId"] == diary.rig.contact_of(client["clientId"])["id"]
    summaries = diary.rig.rows(
        "select total_count, success_count from sync_run_summaries where batch_id = :batch and entity_type = 'client'",
        batch=morning.batch_id,
    )
    assert summaries == [{"total_count": 2, "success_count": 2}], "one of clients, with those of the night in it"


def test_s5_who_comes_soon_after_opening_gets_contact_and_event_at_night_and_the_guard_tag_until_the_morning(
    diary: Diary,
) -> None:
    diary.tick()
    diary.go_live()
    diary.pass_time(hours=15)  # one in the morning
    told = len(diary.sandbox.truth("automations"))
    soon, later = diary.meet(1), diary.meet(2)
    opening = NOW.replace(day=NOW.day + 1, hour=9)
    (first,) = diary.book(soon, at=opening + timedelta(minutes=90))
    diary.book(later, at=opening + timedelta(days=2))
    night = diary.tick()
    assert (night.outcomes["applied"], night.reasons["deferred"]) == (1, {MORNING: 1})
    contact = diary.rig.contact_of(soon["clientId"])
    assert GUARD_TAG in contact["tags"]
    assert diary.event_of(first)["contactId"] == contact["id"]
    guarded = [row for row in diary.sandbox.truth("automations")[told:] if row["workflow"].endswith("guarded")]
    assert [row["sent"] for row in guarded] == [False] * len(guarded) != []
    diary.rig.forget_requests()
    diary.pass_time(minutes=10)
    diary.rig.run()  # the clients' own run of the night
    assert diary.tick().outcomes["applied"] == 0
    assert diary.rig.requests("POST", "/contacts/bulk/tags/update/{type}") == 0
    diary.pass_time(hours=7, minutes=55)  # nine has struck
    assert diary.tick().outcomes["applied"] == 1
    assert GUARD_TAG not in diary.rig.contact_of(soon["clientId"])["tags"]
    assert diary.rig.rows("select 1 as one from guarded_contacts where released_at is null") == []
    assert diary.rig.rows("select phorest_id from work_items where state = 'open' and cause = 'quiet hours'") == []


def test_a_client_whom_phorest_does_not_know_is_tried_three_times_and_given_up_in_sight(diary: Diary) -> None:
    (key,) = diary.book(diary.reachable())
    diary.edit(key, clientId="nobody-of-this-salon-00")
    diary.rig.forget_requests()
    diary.load()
    for tries in range(1, TRIES + 1):
        reason = again(UNKNOWN) if tries < TRIES else given_up(UNKNOWN)
        assert diary.apply().reasons["deferred"] == {reason: 1}
        assert diary.apply().reasons["deferred"] == {reason: 1}, "a moment later it is let rest"
        assert asked(diary)[FETCH] == tries
        with diary.rig.engine.begin() as connection:
            connection.exec_driver_sql("update work_items set next_try_at = now() where state = 'open'")
    found = diary.rig.rows("select phorest_id, kind, detail from audit_findings where resolved_at is null")
    assert [(row["phorest_id"], row["kind"]) for row in found] == [("nobody-of-this-salon-00", "client not brought")]
    items = diary.rig.rows("select state, attempts from work_items where cause = 'client not brought'")
    assert items == [{"state": "given_up", "attempts": TRIES}]


def test_fifty_appointments_of_one_newcomer_in_four_processes_are_one_fetch_and_one_create(diary: Diary) -> None:
    client = diary.meet()
    for turn in range(50):
        diary.book(client, at=BOOKED + timedelta(days=turn))
    diary.load()
    diary.rig.forget_requests()
    environ = environment(diary.sandbox, diary.rig.runtime.urls.ours)
    with ExitStack() as stack:
        processes = [stack.enter_context(victim(environ, "appointments")) for _ in range(4)]
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * 4
    assert asked(diary) == {FETCH: 1, CREATE: 1, EVENT: 50}
    assert {event["contactId"] for event in diary.events()} == {diary.rig.contact_of(client["clientId"])["id"]}


def test_of_more_newcomers_than_one_run_brings_the_soonest_come_first(
    diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_repair, "AT_ONCE", 2)
    booked = [diary.book(diary.meet(number), at=BOOKED + timedelta(days=9 - number))[0] for number in range(3)]
    result = diary.tick()
    assert (result.outcomes["applied"], result.reasons["deferred"]) == (2, {TOO_MANY: 1})
    mapped = diary.rig.rows("select phorest_id from entity_mappings where entity_type = 'appointment'")
    assert {row["phorest_id"] for row in mapped} == set(booked[1:])
    assert diary.tick().outcomes["applied"] == 1
