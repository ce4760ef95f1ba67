"""kill -9 at every boundary of a note: none is made twice, none is forgotten."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.notes.visits import NotesRig, visited
from phorest_ghl_tests.sync.rig import environment
from phorest_ghl_tests.sync.test_crash import paused_at
from phorest_ghl_tests.sync.victim import victim, wait_for

pytestmark = pytest.mark.crash

NOTES = "POST /contacts/{contactId}/notes"
VISITS = 4
Boundary = Callable[[NotesRig], Iterator[Callable[[], bool]]]


def sent(salon: NotesRig) -> int:
    return len(salon.rig.rows("select 1 as one from sync_intents where state = 'sent' and entity_type = 'checkin'"))


@contextmanager
def before_the_intent_is_sent(salon: NotesRig) -> Iterator[Callable[[], bool]]:
    with paused_at(salon.rig, "update on sync_intents", "when (new.state = 'sent')") as there:
        yield there
    assert salon.notes() == []


@contextmanager
def in_flight_and_never_done(salon: NotesRig) -> Iterator[Callable[[], bool]]:
    salon.rig.fault("timeout_before", NOTES, rate=1.0, ms=60_000)
    yield lambda: sent(salon) >= 3
    salon.rig.calm()
    assert salon.notes() == []


@contextmanager
def done_and_the_answer_never_sent(salon: NotesRig) -> Iterator[Callable[[], bool]]:
    salon.rig.fault("timeout_after_commit", NOTES, rate=1.0, ms=60_000)
    yield lambda: len(salon.notes()) >= 3
    salon.rig.calm()
    assert salon.rig.count("ghl_notes") == 0


@contextmanager
def before_the_answer_is_committed(salon: NotesRig) -> Iterator[Callable[[], bool]]:
    with paused_at(salon.rig, "insert on ghl_notes") as there:
        yield there
    assert salon.rig.count("ghl_notes") == 0
    assert len(salon.notes()) >= 3


@pytest.mark.parametrize(
    "boundary",
    [
        before_the_intent_is_sent,
        in_flight_and_never_done,
        done_and_the_answer_never_sent,
        before_the_answer_is_committed,
    ],
    ids=lambda boundary: boundary.__name__,
)
def test_a_run_killed_at_a_boundary_is_finished_by_the_next_one_without_a_second_note(
    database: Database, boundary: Boundary
) -> None:
    with visited(database.url) as salon:
        came = salon.visits(VISITS)
        salon.load()
        with boundary(salon) as there, victim(environment(salon.sandbox, database.url), "notes") as process:
            wait_for(there, process)
        result = salon.apply()
        assert result.outcomes["failed"] == result.outcomes["rejected"] == 0
        salon.check_each_has_one(came)
        assert salon.road().plan(salon.road().prepare()).changes == ()
        assert salon.rig.rows("select state from sync_intents where state in ('planned', 'sent', 'unknown')") == []
