"""A guard on the whole road: the desk cancels a day, the run holds it back, a person lets it pass by the command."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest

from phorest_ghl.commands.allow import let_pass, show
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.sync.stops.gate import held_by
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.events.diary import MORNING, Diary, salon

pytestmark = pytest.mark.road


@pytest.fixture
def diary(database: Database) -> Iterator[Diary]:
    with salon(database.url, settings={"GUARD_BOUNDS": "cancellations=1"}) as made:
        yield made


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return orjson.loads(capsys.readouterr().out)


def test_many_cancellations_wait_for_a_person_while_bookings_go_on_and_pass_once_they_are_allowed(
    diary: Diary, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, out = diary.rig.runtime.settings, Out(as_json=True)
    cancelled = diary.book(diary.reachable(), services=3)
    diary.tick()
    assert show(settings, out) is Exit.WELL
    assert said(capsys) == {"held": []}
    diary.cancel(*cancelled)
    (booked,) = diary.book(diary.reachable(1), at=MORNING + timedelta(days=1))
    result = diary.tick()
    assert result.reasons["deferred"] == {held_by("cancellations"): 3}
    assert diary.event_of(booked)["appointmentStatus"] == "confirmed"
    assert {diary.event_of(key)["appointmentStatus"] for key in cancelled} == {"confirmed"}

    assert show(settings, out) is Exit.NEEDS_A_PERSON
    (held,) = said(capsys)["held"]
    assert (held["entity"], held["guard"], held["figure"], held["bound"]) == ("appointment", "cancellations", 3, 1)
    wrong = {"entity": "appointment", "guard": "cancellations", "figure": 2}
    assert let_pass(settings, out, **wrong) is Exit.WRONG_USE
    assert "showed 3, not 2" in capsys.readouterr().err
    assert let_pass(settings, out, **{**wrong, "figure": 3}) is Exit.WELL
    operator = said(capsys)["operator"]
    done = diary.apply()
    assert {diary.event_of(key)["appointmentStatus"] for key in cancelled} == {"cancelled"}
    assert diary.rig.rows("select allowed_by, ended_by, ending from apply_stops") == [
        {"allowed_by": operator, "ended_by": done.batch_id, "ending": "used"}
    ]
