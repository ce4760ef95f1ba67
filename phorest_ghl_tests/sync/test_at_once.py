"""Two processes at work on one database: neither undoes, doubles or blocks what the other does."""

import functools
import threading
from collections.abc import Callable

import pytest

from phorest_ghl.db import transactions
from phorest_ghl.db.engine import record_lock
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import Rig, installation, opened
from phorest_ghl_tests.sync.test_safety_creates import alone

pytestmark = pytest.mark.road


def together(*jobs: Callable[[], object]) -> list[Exception]:
    """Run the jobs at the same time; what went wrong."""
    errors: list[Exception] = []
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> None:
        start.wait(10)
        try:
            job()
        except Exception as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


def test_two_imports_at_once_never_deadlock_and_keep_each_row_once(database: Database) -> None:
    with installation(database.url, clients=450) as rig, opened(rig.sandbox, database.url) as other:
        assert together(rig.importer().clients, other.importer().clients) == []
        assert rig.count("phorest_clients") == 451
        for row in rig.clients()[::3]:
            rig.edit_client(row["clientId"], lastName="Everybody", smsMarketingConsent=None)
        edited = len(rig.clients()[::3])
        jobs = [functools.partial(each.importer().clients, full=True) for each in (rig, other)]
        assert together(*jobs) == []
        assert rig.count("phorest_clients where last_name = 'Everybody'") == edited
        assert rig.count("phorest_versions") == edited
        assert (
            rig.rows("select phorest_id, channel, purpose from consent_events group by 1, 2, 3 having count(*) > 1")
            == []
        )
        assert rig.load()["client"].updated == 0


def test_a_record_that_another_run_holds_is_deferred_and_nobody_else_waits(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "record_lock", functools.partial(record_lock, timeout_s=0.2))
    rig.load()
    rig.confirm()
    (client,) = alone(rig)
    key = f"{rig.sandbox.settings['GHL_LOCATION_ID']} {client['clientId']}"
    with rig.engine.connect() as elsewhere, record_lock(elsewhere, key):
        result = rig.apply()
    assert result.reasons["deferred"] == {"another run is working on this record": 1}
    assert result.outcomes["failed"] == 0
    assert not any(client["clientId"] in contact["customFields"].values() for contact in rig.contacts())
    assert rig.apply().outcomes["applied"] == 1
    rig.check_everyone_is_on_one_contact()


def test_plans_may_be_made_while_a_run_applies(rig: Rig) -> None:
    rig.load()
    rig.confirm()
    sync = rig.sync()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    seen: list[int] = []
    errors = together(
        lambda: rig.carry_out(sync, plan, prepared), lambda: seen.extend(len(rig.plan().changes) for _ in range(5))
    )
    assert errors == []
    assert seen == sorted(seen, reverse=True)
    assert rig.plan().changes == ()
    rig.check_everyone_is_on_one_contact()
