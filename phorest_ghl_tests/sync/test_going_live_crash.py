"""kill -9 between GHL's answer and our commit: the guard tag is where it should be after the next run (S1)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from phorest_ghl.ghl.fields import GUARD_TAG
from phorest_ghl.sync import mirror
from phorest_ghl.sync.going_live import go_live
from phorest_ghl.sync.guard import guard
from phorest_ghl.sync.journal import Ledger
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.support.postgres_processes import wait_until
from phorest_ghl_tests.sync.rig import Rig, environment, installation
from phorest_ghl_tests.sync.test_crash import _PAUSE, resumed
from phorest_ghl_tests.sync.victim import victim, wait_for

pytestmark = pytest.mark.crash

CONTACTS = 510
"""More than one call takes, so that one is committed and the next is killed."""


@pytest.fixture
def rig(database: Database) -> Iterator[Rig]:
    """An agency's own contacts, in the mirror, and one that carries the tag by somebody else's hand."""
    with installation(database.url, clients=1) as made:
        for number in range(CONTACTS):
            made.make_contact(firstName=f"Own {number}", phone=f"+3538712{number:05}")
        made.confirm()
        made.sandbox.control("POST", "/workflows", {"unfiltered": "paused"})
        made.sandbox.control("POST", "/clock", {"advance_s": 2})
        mirror.read_back(made.engine, made.runtime.ghl_reader(), keyring=made.runtime.keyring(), batch_id="first")
        made.make_contact(firstName="Theirs", phone="+353870000001", tags=[GUARD_TAG])
        yield made


@contextmanager
def stopped_at(rig: Rig, event: str, condition: str) -> Iterator[Callable[[], bool]]:
    """Whoever comes to this write stops in the middle of it, after GHL's answer; whether somebody did."""
    with rig.engine.begin() as connection:
        connection.execute(sa.text(_PAUSE.format(event=event, condition=condition)))
    waiting = "select pid from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
    yield lambda: bool(rig.rows(waiting))
    wait_until(lambda: resumed(rig))


def own(rig: Rig) -> list[str]:
    return sorted(row["ghl_id"] for row in rig.rows("select ghl_id from ghl_contacts"))


def tagged(rig: Rig) -> set[str]:
    theirs = {contact["id"] for contact in rig.contacts() if contact["firstName"] == "Theirs"}
    found = {contact["id"] for contact in rig.contacts() if GUARD_TAG in contact["tags"]}
    assert theirs <= found
    return found - theirs


def on_record(rig: Rig) -> set[str]:
    return {row["ghl_id"] for row in rig.rows("select ghl_id from guarded_contacts where released_at is null")}


def runs(rig: Rig) -> list[tuple[str, bool]]:
    """What workflows did since these contacts were made: contact, and whether a message would have gone out."""
    ids, rows = set(own(rig)), rig.sandbox.truth("automations")
    return [(r["contact"], r["sent"]) for r in rows if r["contact"] in ids and r["trigger"] != "contact created"]


def guard_all(rig: Rig) -> frozenset[str]:
    ghl = rig.runtime.ghl()
    return guard(rig.engine, ghl, Ledger(ghl.location_id, "client", "second"), own(rig)).confirmed


def test_s1_a_guard_killed_before_its_commit_is_repeated_without_harm(rig: Rig, database: Database) -> None:
    ids = own(rig)
    with (
        stopped_at(rig, "insert on guarded_contacts", f"when (new.ghl_id = '{ids[-1]}')") as there,
        victim(environment(rig.sandbox, database.url), "guard") as process,
    ):
        wait_for(there, process)
    assert (tagged(rig), on_record(rig)) == (set(ids), set(ids[:500]))
    assert guard_all(rig) == tagged(rig) == on_record(rig) == set(ids)
    assert sorted(runs(rig)) == [(ghl_id, False) for ghl_id in ids]  # once each, and held back by the tag


@pytest.mark.parametrize(
    ("event", "condition", "left"),
    [
        ("update on guarded_contacts", "when (new.ghl_id = '{last}')", CONTACTS - 500),
        ("update on ghl_locations", "when (new.mode = 'live')", 0),
    ],
    ids=["before the last contacts are marked", "before the location is live"],
)
def test_s1_a_go_live_killed_before_its_commit_is_finished_by_the_next(
    rig: Rig, database: Database, event: str, condition: str, left: int
) -> None:
    ids = own(rig)
    guard_all(rig)
    before = runs(rig)
    with (
        stopped_at(rig, event, condition.format(last=ids[-1])) as there,
        victim(environment(rig.sandbox, database.url), "go live") as process,
    ):
        wait_for(there, process)
    assert (tagged(rig), len(on_record(rig))) == (set(), left)
    assert rig.rows("select mode from ghl_locations") == [{"mode": "quiet"}]
    done = go_live(rig.engine, rig.runtime.ghl())
    assert (done.released, done.refused, done.live_at is None) == (left, {}, False)
    assert (tagged(rig), on_record(rig)) == (set(), set())
    assert rig.rows("select mode from ghl_locations") == [{"mode": "live"}]
    assert runs(rig) == before  # neither release started anything
