"""Healthy, degraded or failed: each reason by itself, on a location where all else is well."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from phorest_ghl.db.pauses import note_schedules, pause, pauses, resume
from phorest_ghl.defs.schedules import CRON_TABLE
from phorest_ghl.http.budget import Limits
from phorest_ghl.http.budget_state import BudgetState, dump_state
from phorest_ghl.operate.entities import ENTITIES
from phorest_ghl.operate.health import Health, Schedule, State, health
from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.stops.record import allow, stop

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database

HERE = "location"
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
LIMITS = Limits(requests=100, window_s=10, share=0.8, daily=1000)
ON = {entity.schedule: Schedule(running=True, next_at=NOW) for entity in ENTITIES}


@pytest.fixture
def connection(database: "Database") -> sa.Connection:
    """A live location on which every entity ran a minute ago."""
    connection = database.engine.connect()
    connection.execute(sa.text("insert into ghl_locations (location_id, mode) values (:at, 'live')"), {"at": HERE})
    for entity in ENTITIES:
        ran(connection, entity.entity_type, NOW - timedelta(minutes=1))
        if entity.imports:
            imported(connection, entity.imports, NOW - timedelta(minutes=1))
    return connection


def ran(connection: sa.Connection, entity_type: str, at: datetime, status: str = "completed") -> None:
    connection.execute(
        sa.text("""insert into sync_run_summaries (batch_id, direction, entity_type, total_count, success_count,
                       failed_count, skipped_count, status, started_at, completed_at, created_at)
                   values (:batch, 'phorest_to_ghl', :type, 1, 1, 0, 0, :status, :at, :at, :at)"""),
        {"batch": f"{entity_type} {at} {status}", "type": entity_type, "status": status, "at": at},
    )


def imported(connection: sa.Connection, entity_type: str, at: datetime) -> None:
    connection.execute(
        sa.text("""insert into import_cursors (entity_type, scope, updated_at) values (:type, '', :at)
                   on conflict (entity_type, scope) do update set updated_at = excluded.updated_at"""),
        {"type": entity_type, "at": at},
    )


def waits(connection: sa.Connection, cause: str) -> None:
    connection.execute(
        sa.text("""insert into work_items (location_id, entity_type, phorest_id, cause, reason)
                   values (:at, 'client', 'a', :cause, 'why')"""),
        {"at": HERE, "cause": cause},
    )


def spent(connection: sa.Connection, used: int) -> None:
    state = BudgetState(day=int(NOW.timestamp() // 86400), used=used)
    connection.execute(
        sa.text("insert into api_budget (key, state) values (:key, cast(:state as jsonb))"),
        {"key": f"ghl:{HERE}", "state": dump_state(state)},
    )


def seen(connection: sa.Connection, *, now: datetime = NOW, of: dict[str, Schedule] | None = None) -> Health:
    return health(connection, HERE, LIMITS, of if of is not None else ON, now)


def said(found: Health) -> str:
    return " | ".join(reason.said for reason in found.reasons)


def test_where_everything_ran_a_minute_ago_all_is_healthy(connection: sa.Connection) -> None:
    waits(connection, "quiet hours")
    waits(connection, "client not brought")
    found = seen(connection)
    assert (found.state, said(found)) == (State.HEALTHY, "")
    assert (found.budget.used, found.budget.left) == (0, 1000)


@pytest.mark.parametrize(
    ("entity", "minutes", "state"),
    [
        ("appointments", 20, State.HEALTHY),
        ("appointments", 40, State.DEGRADED),
        ("appointments", 60, State.FAILED),
        ("clients", 150, State.HEALTHY),
        ("clients", 200, State.DEGRADED),
        ("staff", 60 * 40, State.DEGRADED),
    ],
)
def test_what_has_not_run_well_for_too_long_is_late_and_then_broken(
    connection: sa.Connection, entity: str, minutes: int, state: State
) -> None:
    for one in ENTITIES:
        if one.name != entity:
            ran(connection, one.entity_type, NOW + timedelta(minutes=minutes))
            if one.imports:
                imported(connection, one.imports, NOW + timedelta(minutes=minutes))
    found = seen(connection, now=NOW + timedelta(minutes=minutes))
    assert found.state is state
    assert all(reason.said.startswith(f"{entity}: the last") for reason in found.reasons)


def test_an_import_that_stands_still_is_late_though_runs_go_well(connection: sa.Connection) -> None:
    imported(connection, "appointment", NOW - timedelta(minutes=90))
    found = seen(connection)
    assert said(found).startswith("appointments: the last import is 90 minutes old")
    assert found.state is State.FAILED


def test_a_location_before_go_live_owes_no_runs_and_a_schedule_that_is_off_is_said_of_a_live_one(
    connection: sa.Connection,
) -> None:
    off = {**ON, "clients": Schedule(running=False, next_at=None)}
    later = NOW + timedelta(days=9)
    assert "clients: its schedule is off" in said(seen(connection, of=off))
    connection.execute(sa.text("update ghl_locations set mode = 'quiet'"))
    assert seen(connection, now=later, of=off).state is State.HEALTHY


def test_failed_and_partial_runs_count_only_while_they_are_the_last(connection: sa.Connection) -> None:
    ran(connection, "client", NOW, "failed")
    ran(connection, "loyalty", NOW, "partial")
    found = seen(connection)
    assert found.state is State.FAILED
    assert "clients: the last run failed" in said(found)
    assert "loyalty: the last run did only a part" in said(found)
    ran(connection, "client", NOW + timedelta(seconds=1))
    ran(connection, "loyalty", NOW + timedelta(seconds=1))
    assert seen(connection).state is State.HEALTHY


def test_what_waits_for_a_person_degrades_and_what_the_audit_heals_does_not(connection: sa.Connection) -> None:
    note = sa.text("""insert into audit_findings (location_id, entity_type, phorest_id, kind, detail, batch_id)
                      values (:at, 'client', 'a', :kind, cast(:detail as jsonb), 'b')""")
    connection.execute(note, {"at": HERE, "kind": "differs from Phorest", "detail": '{"act": "healed"}'})
    assert seen(connection).state is State.HEALTHY
    connection.execute(note, {"at": HERE, "kind": "there twice", "detail": "{}"})
    waits(connection, "adoption")
    found = seen(connection)
    assert found.state is State.DEGRADED
    assert "1 adoption" in said(found)
    assert "1 there twice" in said(found)
    assert "differs" not in said(found)


@pytest.mark.parametrize(
    ("used", "state", "words"),
    [(700, State.HEALTHY, ""), (800, State.DEGRADED, "200 of 1000"), (1000, State.FAILED, "no request to GHL is left")],
)
def test_the_days_budget_is_told_before_it_is_gone(
    connection: sa.Connection, used: int, state: State, words: str
) -> None:
    spent(connection, used)
    found = seen(connection)
    assert (found.state, words in said(found)) == (state, True)


def test_a_pause_degrades_and_excuses_what_does_not_run_because_of_it(connection: sa.Connection) -> None:
    assert pause(connection, HERE, "client", operator="ann", reason=None)
    assert not pause(connection, HERE, "client", operator="ben", reason=None)
    note_schedules(connection, HERE, "client", ["clients"])
    found = seen(connection, of={**ON, "clients": Schedule(running=False, next_at=None)})
    assert (found.state, len(found.reasons)) == (State.DEGRADED, 1)
    assert "client is paused" in said(found)
    assert "by ann" in said(found)
    (lifted,) = resume(connection, HERE, "", operator="ben")
    assert (lifted.operator, list(lifted.schedules), pauses(connection, HERE)) == ("ann", ["clients"], [])


def test_what_a_guard_holds_back_degrades_until_it_is_let_pass(connection: sa.Connection) -> None:
    ledger = Ledger(HERE, "client", "batch")
    stop(connection, ledger, "creates", figure=900, bound=100, sentence="Too many.")
    found = seen(connection)
    assert (found.state, "the guard on creates holds 900 back, client" in said(found)) == (State.DEGRADED, True)
    allow(connection, HERE, "client", "creates", 900, operator="ann")
    assert seen(connection).state is State.HEALTHY


def test_every_entity_has_its_line_in_the_cron_table() -> None:
    assert {entity.schedule for entity in ENTITIES} <= {entry.name for entry in CRON_TABLE}
