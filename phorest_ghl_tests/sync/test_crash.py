"""kill -9 at every boundary of a create and at many random moments: nobody is made twice, nobody is forgotten."""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from phorest_ghl.sandbox.server import SandboxProcess
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.support.postgres_processes import wait_until
from phorest_ghl_tests.sync.rig import Rig, environment, installation, opened, options
from phorest_ghl_tests.sync.victim import victim, wait_for

pytestmark = pytest.mark.crash

KILLS = int(os.environ.get("CRASH_KILLS", "14"))
"""How many times each of the random tests kills, both together at least twelve."""

_PAUSE = """
    create function pause() returns trigger language plpgsql as $$ begin perform pg_sleep(600); return new; end $$;
    create trigger pause before {event} for each row {condition} execute function pause();
"""


@contextmanager
def paused_at(rig: Rig, event: str, condition: str = "") -> Iterator[Callable[[], bool]]:
    """Whoever comes to this write stops in the middle of it; whether somebody did is what the block asks."""
    with rig.engine.begin() as connection:
        connection.execute(sa.text(_PAUSE.format(event=event, condition=condition)))
    waiting = "select pid from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
    yield lambda: len(rig.rows(waiting)) >= 3
    # The sessions of the killed process live on in the middle of their statements, some of them behind one another.
    wait_until(lambda: resumed(rig))


def resumed(rig: Rig) -> bool:
    """End the killed process's statements and the pause; false where another of them came in between."""
    left = "select pid from pg_stat_activity where state <> 'idle' and datname = current_database() and pid <> pg_backend_pid()"
    with rig.engine.begin() as connection:
        connection.execute(sa.text(f"select pg_terminate_backend(pid, 5000) from ({left}) as l"))  # noqa: S608 - ours
    try:
        with rig.engine.begin() as connection:
            connection.execute(sa.text("set local lock_timeout = '500ms'"))
            connection.execute(sa.text("drop function pause cascade"))
    except OperationalError:
        return False
    return True


@contextmanager
def before_the_intent_is_sent(rig: Rig) -> Iterator[Callable[[], bool]]:
    with paused_at(rig, "update on sync_intents", "when (new.state = 'sent')") as there:
        yield there
    assert {row["state"] for row in rig.rows("select state from sync_intents where entity_type = 'client'")} == {
        "planned"
    }


@contextmanager
def in_flight_and_never_done(rig: Rig) -> Iterator[Callable[[], bool]]:
    rig.fault("timeout_before", "POST /contacts/", rate=1.0, ms=60_000)
    yield (
        lambda: len(rig.rows("select 1 as one from sync_intents where state = 'sent' and entity_type = 'client'")) >= 3
    )
    rig.calm()
    assert rig.contacts() == []


@contextmanager
def done_and_the_answer_never_sent(rig: Rig) -> Iterator[Callable[[], bool]]:
    rig.fault("timeout_after_commit", "POST /contacts/", rate=1.0, ms=60_000)
    yield lambda: len(rig.contacts()) >= 3
    rig.calm()
    assert rig.count("entity_mappings") == 0


@contextmanager
def before_the_answer_is_committed(rig: Rig) -> Iterator[Callable[[], bool]]:
    with paused_at(rig, "insert on entity_mappings") as there:
        yield there
    assert rig.count("entity_mappings") == 0
    assert len(rig.contacts()) >= 3


BOUNDARIES = (
    before_the_intent_is_sent,
    in_flight_and_never_done,
    done_and_the_answer_never_sent,
    before_the_answer_is_committed,
)


@pytest.mark.parametrize("duplicates", [False, True], ids=["refusing duplicates", "allowing duplicates"])
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=lambda boundary: boundary.__name__)
def test_a_run_killed_at_a_boundary_is_finished_by_the_next_one_without_a_double(
    database: Database, boundary: Callable[[Rig], Iterator[Callable[[], bool]]], duplicates: bool  # noqa: FBT001
) -> None:  # fmt: skip
    with installation(database.url, clients=24, switches={"ghl_allow_duplicate_contact": duplicates}) as rig:
        with (
            boundary(rig) as there,
            victim(environment(rig.sandbox, database.url), "import", "sync") as process,
        ):
            wait_for(there, process)
        result = rig.run()
        assert result.outcomes["failed"] == result.outcomes["rejected"] == 0
        rig.check_everyone_is_on_one_contact(grouped=not duplicates)
        assert rig.plan().changes == ()
        assert rig.rows("select state from sync_intents where state in ('planned', 'sent', 'unknown')") == []


@pytest.mark.timeout(max(240, 20 * KILLS))
@pytest.mark.parametrize("duplicates", [False, True], ids=["refusing duplicates", "allowing duplicates"])
def test_a_load_killed_again_and_again_ends_with_every_household_on_one_contact(
    database: Database, duplicates: bool  # noqa: FBT001
) -> None:  # fmt: skip
    rng = random.Random(KILLS)
    wanted = options(clients=80 * KILLS, latency_ms=4, switches={"ghl_allow_duplicate_contact": duplicates})
    with ExitStack() as stack:
        sandbox = stack.enter_context(SandboxProcess(wanted))
        rig = stack.enter_context(opened(sandbox, database.url))
        rig.load()
        rig.confirm()
        environ = environment(sandbox, database.url, GHL_RATE_LIMIT="20", GHL_BUDGET_SHARE="0.9")
        unsettled = 0
        for _ in range(KILLS):
            before = rig.count("sync_intents")
            with victim(environ, "sync") as process:
                wait_for(lambda n=before: rig.count("sync_intents") > n, process)
                time.sleep(rng.uniform(0, 0.2))
                assert process.is_alive(), "there was nothing left to kill: take more clients"
            unsettled += len(
                rig.rows("select 1 as one from sync_intents where state in ('planned', 'sent', 'unknown')")
            )
        assert unsettled > 0, "no kill hit a create"
        final = rig.apply()
        assert final.outcomes["failed"] == final.outcomes["rejected"] == 0
        rig.check_everyone_is_on_one_contact(grouped=not duplicates)
        assert rig.plan().changes == ()


@pytest.mark.timeout(max(240, 10 * KILLS))
def test_an_import_killed_mid_pages_ends_with_exactly_what_phorest_holds(database: Database) -> None:
    rng = random.Random(KILLS)
    with ExitStack() as stack:
        sandbox = stack.enter_context(SandboxProcess(options(clients=3000, latency_ms=30)))
        rig = stack.enter_context(opened(sandbox, database.url))
        environ = environment(sandbox, database.url)
        held = hits = 0
        for turn in range(KILLS):
            rig.forget_requests()
            enough = rng.randrange(1, 9)
            with victim(environ, "import") as process:
                # The pages that were committed before are as they are, so what shows progress is the request log.
                wait_for(lambda n=enough: rig.requests("GET", "/client") >= n, process)
                time.sleep(rng.uniform(0, 0.03))
                if turn % 3 == 0:
                    rig.edit_client(rng.choice(sandbox.truth("phorest/clients"))["clientId"], firstName=f"Turn {turn}")
            now = rig.count("phorest_clients")
            assert now >= held
            held = now
            if rig.rows("select 1 as one from import_cursors where entity_type = 'client'"):
                assert held == 3001  # the kill came too late: then everybody was there before the cursor moved
                with rig.engine.begin() as connection:
                    connection.exec_driver_sql("delete from import_cursors")
            else:
                hits += 1
        assert hits > KILLS / 2, "most kills came too late"
        assert held > 0
        result = rig.load()["client"]
        assert result.complete
        truth = {row["clientId"]: row for row in sandbox.truth("phorest/clients")}
        stored = {row["phorest_id"]: row for row in rig.rows("select phorest_id, raw, version from phorest_clients")}
        assert stored.keys() == truth.keys()
        for key, row in truth.items():
            row.pop("truth")
            assert stored[key]["raw"] == without_nulls(row)
            assert stored[key]["version"] == row["version"]
        assert rig.load()["client"].updated == 0


def without_nulls(value: object) -> object:
    """A payload without its null members, at any depth."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(member) for member in value]
    return value
