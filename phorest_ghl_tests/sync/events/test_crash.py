"""kill -9 at every boundary of an appointments run, newcomers' contacts among them: nothing is made twice, nothing is lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.events.diary import MORNING, Diary, salon
from phorest_ghl_tests.sync.rig import environment
from phorest_ghl_tests.sync.test_crash import paused_at
from phorest_ghl_tests.sync.victim import victim, wait_for

pytestmark = pytest.mark.crash

CONTACTS, EVENTS = "POST /contacts/", "POST /calendars/events/appointments"
NEW = 4
Boundary = Callable[[Diary], Iterator[Callable[[], bool]]]


@contextmanager
def before_a_contact_is_sent(diary: Diary) -> Iterator[Callable[[], bool]]:
    with paused_at(
        diary.rig, "update on sync_intents", "when (new.state = 'sent' and new.entity_type = 'client')"
    ) as at:
        yield at


@contextmanager
def a_contact_is_made_and_the_answer_never_sent(diary: Diary) -> Iterator[Callable[[], bool]]:
    before = len(diary.rig.contacts())
    diary.rig.fault("timeout_after_commit", CONTACTS, rate=1.0, ms=60_000)
    yield lambda: len(diary.rig.contacts()) >= before + 3
    diary.rig.calm()


@contextmanager
def before_a_contact_is_committed(diary: Diary) -> Iterator[Callable[[], bool]]:
    with paused_at(diary.rig, "insert on entity_mappings", "when (new.entity_type = 'client')") as there:
        yield there


@contextmanager
def before_an_event_is_sent(diary: Diary) -> Iterator[Callable[[], bool]]:
    condition = "when (new.state = 'sent' and new.entity_type = 'appointment')"
    with paused_at(diary.rig, "update on sync_intents", condition) as there:
        yield there


@contextmanager
def an_event_is_in_flight_and_never_made(diary: Diary) -> Iterator[Callable[[], bool]]:
    diary.rig.fault("timeout_before", EVENTS, rate=1.0, ms=60_000)
    sent = "select 1 as one from sync_intents where state = 'sent' and entity_type = 'appointment'"
    yield lambda: len(diary.rig.rows(sent)) >= 3
    diary.rig.calm()
    assert len(diary.events()) == 1


@contextmanager
def an_event_is_made_and_the_answer_never_sent(diary: Diary) -> Iterator[Callable[[], bool]]:
    diary.rig.fault("timeout_after_commit", EVENTS, rate=1.0, ms=60_000)
    yield lambda: len(diary.events()) >= 4
    diary.rig.calm()


@contextmanager
def before_an_event_is_committed(diary: Diary) -> Iterator[Callable[[], bool]]:
    with paused_at(diary.rig, "insert on ghl_events") as there:
        yield there
    assert len(diary.events()) >= 4


@pytest.mark.parametrize(
    "boundary",
    [
        before_a_contact_is_sent,
        a_contact_is_made_and_the_answer_never_sent,
        before_a_contact_is_committed,
        before_an_event_is_sent,
        an_event_is_in_flight_and_never_made,
        an_event_is_made_and_the_answer_never_sent,
        before_an_event_is_committed,
    ],
    ids=lambda boundary: boundary.__name__,
)
def test_a_run_killed_at_a_boundary_is_finished_by_the_next_one_without_a_double(
    database: Database, boundary: Boundary
) -> None:
    with salon(database.url, clients=8) as diary:
        diary.book(diary.reachable())
        diary.tick()  # who makes our events is known from the first one
        booked = {
            diary.book(client, at=MORNING + timedelta(days=1 + turn))[0]: client["clientId"]
            for turn, client in enumerate(diary.meet(number) for number in range(NEW))
        }
        diary.load()
        with (
            boundary(diary) as there,
            victim(environment(diary.sandbox, database.url), "appointments") as process,
        ):
            wait_for(there, process)
        result = diary.apply()
        assert result.outcomes["failed"] == result.outcomes["rejected"] == result.outcomes["deferred"] == 0
        on_contact = {key: diary.rig.contact_of(client)["id"] for key, client in booked.items()}
        assert {key: diary.event_of(key)["contactId"] for key in booked} == on_contact
        assert len(diary.events()) == 1 + NEW
        assert diary.plan().changes == ()
        diary.rig.load()
        diary.rig.check_everyone_is_on_one_contact()
        assert diary.rig.rows("select state from sync_intents where state in ('planned', 'sent', 'unknown')") == []
