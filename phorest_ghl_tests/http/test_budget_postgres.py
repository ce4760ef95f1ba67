"""The shared budget on a real PostgreSQL, between threads, processes and restarts."""

import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from phorest_ghl.http.budget import Lane, Limits
from phorest_ghl.http.budget_postgres import BudgetUnavailableError, PostgresBudget
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl_tests.http.budget_worker import LIMITS
from phorest_ghl_tests.http.simulation import most_in_window

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database

TABLE = "create table api_budget (key text primary key, state jsonb not null, updated_at timestamptz not null)"
FAST = Limits(requests=1000, window_s=1.0, share=1.0, daily=200_000)


@pytest.fixture
def dsn(scratch_database: "Database") -> str:
    with psycopg.connect(scratch_database.dsn) as connection:
        connection.execute(TABLE)
    return scratch_database.dsn


@pytest.fixture
def budget(dsn: str) -> Iterator[PostgresBudget]:
    budget = PostgresBudget(dsn, "ghl:LOC1", FAST)
    yield budget
    budget.close()


def test_three_processes_together_keep_to_one_share_and_use_all_of_it(dsn: str) -> None:
    command = [sys.executable, "-m", "phorest_ghl_tests.http.budget_worker", dsn, "2.5", "4"]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    sent = [[float(line) for line in worker.communicate(timeout=60)[0].splitlines()] for worker in workers]
    together = sorted(moment for moments in sent for moment in moments)
    share = LIMITS.requests * LIMITS.share
    # On a busy machine a departure leaves late and falls into the next window: the limit holds, the share nearly.
    assert most_in_window(together, LIMITS.window_s) <= LIMITS.requests
    all_three = [moment for moment in together if max(s[0] for s in sent) <= moment <= min(s[-1] for s in sent)]
    assert len(all_three) >= 0.7 * share * (all_three[-1] - all_three[0])
    assert all(len(moments) >= 0.1 * len(together) for moments in sent)


def test_threads_of_one_process_each_get_a_turn_of_their_own(budget: PostgresBudget) -> None:
    threads = [threading.Thread(target=lambda: [budget.acquire(Lane.CONTACTS) for _ in range(5)]) for _ in range(16)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.state().used == 80
    assert time.monotonic() - began >= 79 / 998 - 0.01


def test_a_refusal_seen_by_one_process_holds_the_others_back(dsn: str, budget: PostgresBudget) -> None:
    other = PostgresBudget(dsn, "ghl:LOC1", FAST)
    other.acquire(Lane.REST)
    budget.pause(0.5)
    began = time.monotonic()
    other.acquire(Lane.REPAIR)
    assert 0.45 <= time.monotonic() - began < 5
    other.close()


def test_buckets_of_different_keys_do_not_know_each_other(dsn: str, budget: PostgresBudget) -> None:
    other = PostgresBudget(dsn, "ghl:LOC2", FAST)
    budget.pause(30)
    other.acquire(Lane.REST)
    assert other.state().used == 1
    assert budget.state().used == 0
    other.close()


def test_headers_reach_the_row_with_the_next_request_and_a_spent_day_at_once(budget: PostgresBudget) -> None:
    budget.observe({"x-ratelimit-daily-remaining": "1500", "x-ratelimit-remaining": "99", "x-ratelimit-max": "100"})
    assert budget.state().day_left is None
    budget.acquire(Lane.REST)
    assert budget.state().day_left == 1499
    budget.observe({"x-ratelimit-daily-remaining": "0"})
    assert budget.state().day_left == 0
    with pytest.raises(ApiError) as raised:
        budget.acquire(Lane.REPAIR)
    assert raised.value.category is Category.QUOTA_EXHAUSTED
    assert raised.value.retry_after is not None
    assert 0 < raised.value.retry_after <= 3600
    assert "0 of 200000 requests are left today" in str(raised.value)


def test_answers_without_rate_headers_change_nothing(budget: PostgresBudget) -> None:
    budget.observe({"content-type": "application/json"})
    assert budget.state().most is None


def test_a_deleted_row_is_made_again(dsn: str, budget: PostgresBudget) -> None:
    budget.acquire(Lane.REST)
    with psycopg.connect(dsn) as connection:
        connection.execute("truncate api_budget")
    budget.acquire(Lane.REST)
    assert budget.state().used == 1


def test_a_forked_child_opens_its_own_connection(budget: PostgresBudget) -> None:
    budget.acquire(Lane.REST)
    parent = budget._connected().info.backend_pid

    def use() -> None:
        budget.acquire(Lane.REST)
        sys.exit(0 if budget._connected().info.backend_pid != parent else 3)

    child = multiprocessing.get_context("fork").Process(target=use)
    child.start()
    child.join(timeout=30)
    assert child.exitcode == 0
    budget.acquire(Lane.REST)
    assert budget.state().used == 3


def test_a_decision_waits_for_the_row_that_another_holds(dsn: str, budget: PostgresBudget) -> None:
    budget.acquire(Lane.REST)
    done = threading.Event()
    with psycopg.connect(dsn) as other:
        other.execute("select 1 from api_budget for update")
        waiting = threading.Thread(target=lambda: (budget.acquire(Lane.REST), done.set()))
        waiting.start()
        assert not done.wait(0.2)
    waiting.join(timeout=5)
    assert done.is_set()


def test_a_crowd_of_waiting_threads_asks_the_row_only_a_few_times(dsn: str) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(seconds)

    budget = PostgresBudget(dsn, "ghl:CROWD", Limits(requests=40, window_s=1.0, share=0.5, daily=None), sleep=sleep)
    threads = [threading.Thread(target=budget.acquire, args=[Lane.REST]) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.state().used == 16
    assert len(waits) <= 2 * 16 + 4
    budget.close()


def test_a_pause_that_would_hold_up_the_next_run_is_an_error_that_says_when_to_come_back(
    budget: PostgresBudget,
) -> None:
    budget.pause(600)
    with pytest.raises(ApiError, match="asked everybody to wait") as raised:
        budget.acquire(Lane.APPOINTMENTS)
    assert raised.value.category is Category.RATE_LIMITED
    assert raised.value.retry_after == pytest.approx(600, abs=2)


def test_a_caller_that_wakes_too_late_asks_again(dsn: str) -> None:
    now = [0.0]
    oversleeps = [0.5, 0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds + (oversleeps.pop(0) if oversleeps else 0.0)

    slow = Limits(requests=12, window_s=1.0, share=0.5, daily=None)
    budget = PostgresBudget(dsn, "ghl:LATE", slow, sleep=sleep, clock=lambda: now[0])
    budget.acquire(Lane.REST)  # at once, so nothing to oversleep
    budget.acquire(Lane.REST)
    assert budget.state().used == 3
    budget.close()


def test_a_failing_change_leaves_the_row_unlocked(dsn: str, budget: PostgresBudget) -> None:
    def fail(*_: object) -> tuple[object, None]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        budget._change(fail)
    with psycopg.connect(dsn) as connection:
        connection.execute("select 1 from api_budget for update nowait")


def test_a_database_without_the_table_is_named(scratch_database: "Database") -> None:
    budget = PostgresBudget(scratch_database.dsn, "ghl:LOC1", FAST)
    with pytest.raises(BudgetUnavailableError, match="lacks the table api_budget; run its migrations"):
        budget.acquire(Lane.REST)


def test_a_restarted_server_is_found_again_and_one_that_stays_away_is_named(state_dir: Path) -> None:
    from phorest_ghl.db.embedded import EmbeddedServer  # noqa: PLC0415 - heavy, and only here
    from phorest_ghl_tests.support.databases import FAST as SERVER_SETTINGS  # noqa: PLC0415

    server = EmbeddedServer(state_dir, settings=SERVER_SETTINGS)
    server.start()
    with psycopg.connect(server.dsn("postgres")) as connection:
        connection.execute(TABLE)
    budget = PostgresBudget(server.dsn("postgres"), "ghl:LOC1", FAST)
    budget.acquire(Lane.REST)
    server.stop()
    server.start()
    budget.acquire(Lane.REST)
    assert budget.state().used == 2
    server.stop()
    slept = [0.0]
    budget = PostgresBudget(
        f"{server.dsn('postgres')} password=s3cret",
        "ghl:LOC1",
        FAST,
        sleep=slept.append,
        clock=lambda: sum(slept),
    )
    budget.observe({"x-ratelimit-daily-remaining": "0"})  # of a create that happened: its answer must not be lost
    slept.clear()
    with pytest.raises(BudgetUnavailableError, match="did not answer for 30 s") as raised:
        budget.acquire(Lane.REST)
    assert sum(slept) == pytest.approx(30.0, abs=0.3)
    assert "s3cret" not in str(raised.value)
    server.start()
    with pytest.raises(ApiError, match="quota exhausted"):
        budget.acquire(Lane.REST)
    budget.close()


def test_callers_in_quick_succession_reserve_together_and_never_more_than_the_window_holds(dsn: str) -> None:
    quick = Limits(requests=10_000, window_s=1.0, share=1.0, daily=200_000)
    budget = PostgresBudget(
        dsn, "phorest:QUICK", quick, clock=lambda: 0.0
    )  # all within a moment, however busy the machine
    asked: list[object] = []
    change = budget._change
    budget._change = lambda decide: (asked.append(decide), change(decide))[1]  # type: ignore[method-assign]
    for _ in range(100):
        budget.acquire(Lane.REST)
    assert len(asked) <= 30, "one asks the row for those who come after it"
    assert 100 <= budget.state().used <= 108
    asked.clear()
    budget.pause(0.2)
    begun = time.monotonic()
    budget.acquire(Lane.REST)
    assert time.monotonic() - begun >= 0.15, "what was reserved before a refusal is given up"
    budget.close()
