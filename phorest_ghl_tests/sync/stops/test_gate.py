"""What a guard holds back waits for a deliberate act, which is on record, of exactly what was shown, and used once."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.outcomes import Deferred
from phorest_ghl.sync.plan import Action, Plan
from phorest_ghl.sync.stops.gate import ApplyStopped, Gate, held_by
from phorest_ghl.sync.stops.record import NothingToAllow, allow, open_stops
from phorest_ghl.sync.stops.size import CONTACTS, EVENTS, Bound
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.stops.changes import TRIPPING, contact, plan_of

LOCATION = "L1"
GATE = Gate({guard.name: Bound(2, 0) for guard in (*CONTACTS, *EVENTS)})


@pytest.fixture
def engine(database: Database) -> sa.Engine:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("insert into ghl_locations (location_id) values (%s)", (LOCATION,))
    return database.engine


def ledger(batch: str, entity: str = "client") -> Ledger:
    return Ledger(LOCATION, entity, batch)


def let_pass(engine: sa.Engine, guard: str, figure: int, entity: str = "client") -> None:
    with engine.begin() as connection:
        allow(connection, LOCATION, entity, guard, figure, operator="Aoife")


def history(engine: sa.Engine) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "select guard, figure, batch_id, allowed_by, ended_by, ending from apply_stops order by id"
        )
        return [tuple(row) for row in rows]


@pytest.mark.parametrize("guard", [guard.name for guard in (*CONTACTS, *EVENTS)])
def test_each_guard_holds_its_own_back_lets_them_pass_once_and_then_holds_again(engine: sa.Engine, guard: str) -> None:
    entity = "appointment" if guard in ("cancellations", "moves") else "client"
    plan = plan_of(guard, 3)
    held = GATE.admitted(engine, ledger("run 1", entity), plan)
    assert held.changes == ()
    assert set(held.settled.values()) == {Deferred(held_by(guard))}
    assert len(held.settled) == 3
    with engine.connect() as connection:
        assert GATE.foreseen(connection, ledger("", entity), plan) == [
            s.sentence for s in open_stops(connection, LOCATION)
        ]

    let_pass(engine, guard, 3, entity)
    assert GATE.admitted(engine, ledger("run 2", entity), plan) == plan
    assert history(engine) == [(guard, 3, "run 1", "Aoife", "run 2", "used")]
    assert GATE.admitted(engine, ledger("run 3", entity), plan).changes == ()
    assert history(engine)[1:] == [(guard, 3, "run 3", None, None, None)]


def test_what_no_guard_counts_goes_on_and_only_its_contacts_are_guarded(engine: sa.Engine) -> None:
    untagged, filled = plan_of("tag-removals", 3), TRIPPING["overwrites"](9)
    assert isinstance(untagged, Plan)
    plan = replace(untagged, changes=(*untagged.changes, filled), to_guard=(*untagged.to_guard, str(filled.ghl_id)))
    left = GATE.admitted(engine, ledger("run 1"), plan)
    assert (left.changes, left.to_guard) == ((filled,), ("G9",))


def test_an_allowance_is_of_what_was_shown_and_no_more(engine: sa.Engine) -> None:
    GATE.admitted(engine, ledger("run 1"), plan_of("tag-removals", 3))
    for guard, figure in (("tag-removals", 4), ("tag-removals", 2), ("overwrites", 3)):
        with pytest.raises(NothingToAllow, match=r"showed 3, not|Held are: client tag-removals 3"):
            let_pass(engine, guard, figure)
    let_pass(engine, "tag-removals", 3)
    assert GATE.admitted(engine, ledger("run 2"), plan_of("tag-removals", 5)).changes == ()
    assert history(engine) == [
        ("tag-removals", 3, "run 1", "Aoife", "run 2", "outgrown"),
        ("tag-removals", 5, "run 2", None, None, None),
    ]


def test_an_allowance_that_no_run_used_is_over_after_a_day(engine: sa.Engine) -> None:
    GATE.admitted(engine, ledger("run 1"), plan_of("overwrites", 3))
    let_pass(engine, "overwrites", 3)
    with engine.begin() as connection:
        connection.exec_driver_sql("update apply_stops set allowed_at = now() - interval '25 hours'")
        assert [stop.allowed_by for stop in open_stops(connection, LOCATION)] == [None]
    assert GATE.admitted(engine, ledger("run 2"), plan_of("overwrites", 3)).changes == ()
    assert [row[-1] for row in history(engine)] == ["lapsed", None]


def test_a_stop_and_its_allowance_are_over_when_a_whole_run_needs_them_no_longer(engine: sa.Engine) -> None:
    GATE.admitted(engine, ledger("run 1"), plan_of("overwrites", 3))
    let_pass(engine, "overwrites", 3)
    of_one_client = replace(plan_of("overwrites", 1), looked_at=frozenset({"C0"}))
    assert len(GATE.admitted(engine, ledger("run 2"), of_one_client).changes) == 1
    assert [row[-1] for row in history(engine)] == [None], "a run of a few clients says nothing of the others"
    GATE.admitted(engine, ledger("run 3"), plan_of("overwrites", 0))
    assert history(engine) == [("overwrites", 3, "run 1", "Aoife", "run 3", "passed")]


def test_a_run_on_another_location_writes_nothing_until_a_person_says_so_and_then_goes_on(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("""insert into entity_mappings (location_id, entity_type, phorest_id, ghl_id)
                                      select 'L0', 'client', n::text, n::text from generate_series(1, 7) n""")
    with pytest.raises(ApplyStopped, match="has written 7 objects to location L0"):
        GATE.admitted(engine, ledger("run 1"), plan_of("overwrites", 1))
    let_pass(engine, "location", 7)
    for batch in ("run 2", "run 3"):
        assert len(GATE.admitted(engine, ledger(batch), plan_of("overwrites", 1)).changes) == 1
    assert history(engine) == [("location", 7, "run 1", "Aoife", "run 2", "used")]


def test_a_restored_copy_of_the_database_writes_nothing_until_a_person_says_so(engine: sa.Engine) -> None:
    GATE.admitted(engine, ledger("run 1"), plan_of("overwrites", 1))
    with engine.begin() as connection:
        connection.exec_driver_sql("""insert into entity_mappings (location_id, entity_type, phorest_id, ghl_id)
                                      values ('L1', 'client', 'a', 'b')""")
        # What a dump that is restored into another database looks like.
        connection.exec_driver_sql("update ghl_locations set written_in = '1/2/public'")
    with pytest.raises(ApplyStopped, match="This database is a copy"):
        GATE.admitted(engine, ledger("run 2"), plan_of("overwrites", 1))
    let_pass(engine, "database", 1)
    for batch in ("run 3", "run 4"):
        assert len(GATE.admitted(engine, ledger(batch), plan_of("overwrites", 1)).changes) == 1


def test_contacts_of_lost_answers_are_known_by_the_journal_and_strangers_stop_the_run(engine: sa.Engine) -> None:
    carrying = Plan(tuple(contact(n, Action.REMAP) for n in range(11)), {}, total=11)
    with engine.begin() as connection:
        ledger("run 0").plan_intent(connection, "C0", target_kind="contact", address_keys=(), request_hash="r")
    assert Gate().admitted(engine, ledger("run 1"), carrying) == carrying, "ten of them, and one whose answer was lost"
    with engine.begin() as connection:
        connection.exec_driver_sql("truncate sync_intents")
    with pytest.raises(ApplyStopped, match="11 contacts of location L1 carry the id of a client of Phorest"):
        Gate().admitted(engine, ledger("run 2"), carrying)
    let_pass(engine, "unknown-contacts", 11)
    assert Gate().admitted(engine, ledger("run 3"), carrying) == carrying
