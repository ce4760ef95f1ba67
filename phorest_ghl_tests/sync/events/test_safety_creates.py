"""An event is made once, whatever becomes of the answer (safety S15)."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.events.diary import MORNING, Diary, salon

pytestmark = pytest.mark.road
CREATE = "POST /calendars/events/appointments"


@pytest.fixture
def diary(database: Database) -> Iterator[Diary]:
    """An installation that has made an event already, and so knows who GHL says makes its events."""
    with salon(database.url) as made:
        made.book(made.reachable(1), at=MORNING + timedelta(days=9))
        made.tick()
        yield made


def state(diary: Diary, key: str) -> str:
    rows = diary.rig.rows("select state from sync_intents where phorest_id = :key order by id desc limit 1", key=key)
    return rows[0]["state"]


def test_s15_a_create_whose_answer_was_lost_is_looked_up_and_not_sent_again(diary: Diary) -> None:
    (key,) = diary.book(diary.reachable())
    diary.rig.fault("timeout_after_commit", CREATE, count=1, ms=5)
    diary.load()
    assert diary.apply().outcomes["failed"] == 1
    assert (state(diary, key), len(diary.events())) == ("unknown", 2)
    diary.rig.calm()
    assert diary.tick().outcomes["applied"] == 1
    assert (state(diary, key), len(diary.events())) == ("confirmed", 2)
    assert diary.tick().requests == 0


def test_s15_a_create_that_never_arrived_is_sent_again_after_the_look_up(diary: Diary) -> None:
    (key,) = diary.book(diary.reachable())
    diary.rig.fault("timeout_before", CREATE, count=1, ms=5)
    assert diary.tick().outcomes["failed"] == 1
    diary.rig.calm()
    assert diary.tick().outcomes["applied"] == 1
    assert len(diary.events()) == 2
    assert diary.event_of(key)["startMs"] == MORNING.timestamp() * 1000


def test_s15_an_event_of_another_creator_than_our_first_is_not_adopted_but_left_to_a_person(diary: Diary) -> None:
    (key,) = diary.book(diary.reachable())
    diary.rig.fault("timeout_after_commit", CREATE, count=1, ms=5)
    diary.tick()
    diary.rig.calm()
    diary.forget_creator()
    result = diary.tick()
    assert result.outcomes["deferred"] == 1
    assert state(diary, key) == "unknown"
    assert len(diary.events()) == 2
    items = diary.rig.rows("select cause from work_items where entity_type = 'appointment' and state = 'open'")
    assert [row["cause"] for row in items] == ["unknown outcome"]


def test_s15_a_run_finds_out_once_who_makes_our_events_however_many_it_makes(diary: Diary) -> None:
    looked: list[str] = []

    @sa.event.listens_for(diary.rig.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:  # pyright: ignore[reportUnusedFunction]
        if "e.created_by is not null" in statement:
            looked.append(statement)

    diary.book(diary.reachable(), services=3)
    assert diary.tick().outcomes["applied"] == 3
    assert len(looked) == 1, "a load of 10,000 events would look through all of them after each"


def test_an_appointment_cancelled_before_its_lost_create_was_looked_up_leaves_no_event_that_stands(
    diary: Diary,
) -> None:
    (key,) = diary.book(diary.reachable())
    diary.rig.fault("timeout_after_commit", CREATE, count=1, ms=5)
    diary.tick()
    diary.rig.calm()
    diary.cancel(key)
    diary.tick()
    diary.tick()
    assert diary.event_of(key)["appointmentStatus"] == "cancelled"
    assert len(diary.events()) == 2


def test_a_refusal_that_made_the_event_all_the_same_makes_no_second_one(diary: Diary) -> None:
    (key,) = diary.book(diary.reachable())
    diary.rig.fault("created_but_422", CREATE, count=1)
    assert diary.tick().outcomes["applied"] == 1
    assert len(diary.events()) == 2
    assert diary.event_of(key)["appointmentStatus"] == "confirmed"
    assert diary.tick().requests == 0
