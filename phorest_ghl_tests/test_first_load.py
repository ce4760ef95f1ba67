"""The first load: everything arrives, nobody is told, and a second one writes nothing."""

from datetime import date, timedelta

import pytest

from phorest_ghl.commands.console import Exit, exit_code
from phorest_ghl.first_load import NamedMonths
from phorest_ghl.http.errors import Category
from phorest_ghl.load_progress import Progress
from phorest_ghl.phorest.scopes import Month, UnknownMonth, months_around
from phorest_ghl.sync.clients import NotConfirmed
from phorest_ghl_tests.first_loads import FIRST, unloaded
from phorest_ghl_tests.support.databases import Database


@pytest.mark.road
def test_s2_a_first_load_of_13_months_brings_everything_and_texts_nobody_and_a_second_one_writes_nothing(
    database: Database,
) -> None:
    with unloaded(database.url) as loads:
        visits = loads.visit_yesterday()
        loads.rig.confirm()
        result = loads.run()
        assert list(result.entities) == ["clients", "staff", "appointments", "check-ins"]
        assert not result.needs_a_person
        loads.check_all_arrived(visits)
        assert loads.rig.count("phorest_purchases") > 0
        created = {name: sum(one.changes.values()) for name, one in result.entities.items()}
        assert created == {
            "clients": len(loads.contacts()),
            "staff": len(loads.staff()),
            "appointments": len(loads.events()),
            "check-ins": len(loads.noted()),
        }
        days = sorted(loads.event_days().values())
        assert days[0] < "2025-06"
        assert loads.sandbox.control("GET", "/state")["automations"]["sent"] == 0

        # How far it was: never back, never more than there is, and in the end all of it.
        steps = list(dict.fromkeys(told.step for told in loads.told))
        assert steps[0] == "Importing clients"
        assert f"Importing appointments of {FIRST}" in steps
        assert steps[-4:] == ["Writing clients", "Writing staff", "Writing appointments", "Writing check-ins"]
        written = [told.written for told in loads.told]
        assert written == sorted(written)
        assert all(told.done <= told.known and told.written <= told.to_write for told in loads.told)
        assert loads.told[-1].written == loads.told[-1].to_write == sum(created.values())
        assert {told.minutes_left for told in loads.told if told.step.startswith("Writing")} > {0.0}

        loads.rig.forget_requests()
        again = loads.run()
        assert loads.writes() == 0
        assert {name: one.outcomes["unchanged"] for name, one in again.entities.items()} == {
            name: one.outcomes["applied"] for name, one in result.entities.items()
        }


@pytest.mark.road
def test_an_event_outside_the_scheduled_window_is_made_by_a_backfill_and_left_alone_by_scheduled_runs(
    database: Database,
) -> None:
    with unloaded(database.url) as loads:
        loads.rig.confirm()
        loads.run("2025-06", "2025-07")
        held = loads.event_days()
        assert held
        assert {day[:7] for day in held.values()} == {"2025-06", "2025-07"}
        loads.tick()
        after = loads.event_days()
        assert held.items() < after.items()
        assert all(day[:7] in ("2025-06", "2025-07") or day > "2026-01-08" for day in after.values())
        assert [event for event in loads.events() if event["appointmentStatus"] == "cancelled"] == []
        # A scheduled run still follows a change that an import has seen there.
        key = next(iter(held))
        loads.sandbox.control("PATCH", f"/phorest/appointments/{key}", {"activationState": "CANCELED"})
        assert loads.load("2025-06", "2025-07").bring() == []
        loads.tick()
        assert [event["appointmentStatus"] for event in loads.events()].count("cancelled") == 1


@pytest.mark.road
def test_s22_a_load_leaves_a_quarter_of_the_day_to_others_ends_before_its_next_step_and_goes_on_another_day(
    database: Database,
) -> None:
    with unloaded(database.url) as loads:
        visits = loads.visit_yesterday()
        loads.rig.confirm()
        loads.rig.switch(ghl_daily_max=64)
        loads.rig.forget_requests()
        result = loads.run()
        assert list(result.entities) == ["clients"]
        assert result.stopped is not None
        assert result.stopped.category is Category.QUOTA_EXHAUSTED
        assert exit_code(result.stopped) is Exit.UNREACHABLE
        assert 0 < len(loads.rig.contacts()) < 17
        assert loads.sandbox.control("GET", "/requests")["apis"]["ghl"]["requests"] <= 48
        deferred = result.entities["clients"].outcomes["deferred"]
        assert deferred == result.entities["clients"].reasons["deferred"]["GHL's daily quota"] > 0
        assert loads.events() == loads.noted() == []
        loads.rig.switch(ghl_daily_max=200_000)
        with loads.rig.engine.begin() as connection:
            connection.exec_driver_sql("delete from api_budget")  # another day
        assert loads.run().stopped is None
        loads.check_all_arrived(visits)


@pytest.mark.road
def test_s11_whom_a_person_blocks_in_ghl_while_a_load_goes_on_is_known_to_the_next_run(database: Database) -> None:
    with unloaded(database.url) as loads:
        loads.rig.confirm()
        blocked: list[str] = []

        def block(progress: Progress) -> None:
            if progress.entity == "appointments" and not blocked:
                blocked.append(next(c["id"] for c in loads.contacts() if "role:staff" not in c["tags"]))
                loads.rig.edit_contact(blocked[0], dnd=True)

        loads.run("2026-02", tell=block)
        known = "select ghl_id from ghl_contacts where dnd and not tags ? 'role:staff'"
        assert loads.rig.rows(known) == []
        loads.tick()
        assert [row["ghl_id"] for row in loads.rig.rows(known)] == blocked


@pytest.mark.road
def test_s1_a_load_refuses_before_it_reads_anything_where_nobody_has_confirmed_the_workflows(
    database: Database,
) -> None:
    with unloaded(database.url) as loads:
        load = loads.load()
        for step in (load.require_confirmed, load.carry_out):
            with pytest.raises(NotConfirmed, match="phorest-ghl sync clients --workflows-paused"):
                step()
        assert loads.rig.contacts() == loads.events() == []


def test_the_months_that_are_named_bound_the_events_and_the_scheduled_ones_are_read_besides() -> None:
    today = date(2026, 3, 10)
    open_ended, closed = NamedMonths.parse("2025-12"), NamedMonths.parse("2025-01", "2025-02")
    assert open_ended.days(today, 120) == (date(2025, 12, 1), date(2026, 7, 8))
    assert closed.days(today, 120) == (date(2025, 1, 1), date(2025, 2, 28))
    scheduled = [Month(2026, number) for number in range(2, 8)]
    assert [*open_ended.to_read(today, 35, 120)] == [Month(2025, 12), Month(2026, 1), *scheduled]
    assert [*closed.to_read(today, 35, 120)] == [Month(2025, 1), Month(2025, 2), *scheduled]
    assert {*months_around(today, timedelta(days=200))} <= {*closed.to_read(today, 200, 120)}, (
        "as far as scheduled runs"
    )


@pytest.mark.parametrize(
    ("first", "last"),
    [("2025", None), ("2025-1", None), ("2025-13", None), ("1999-12", None), ("2025-03", "2025-02"), ("", None)],
)
def test_months_that_cannot_be_meant_are_refused_with_a_sentence(first: str, last: str | None) -> None:
    with pytest.raises(UnknownMonth, match=r"month"):
        NamedMonths.parse(first, last)


def test_a_month_beyond_the_window_is_refused_with_a_sentence() -> None:
    with pytest.raises(UnknownMonth, match="2027-01 is further ahead"):
        NamedMonths.parse("2027-01").days(date(2026, 3, 10), 120)
