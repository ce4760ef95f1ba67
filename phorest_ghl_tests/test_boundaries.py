"""kill -9 at every boundary of every write, and at seeded ones of a stormy day: nothing is lost and nothing is twice.

A road's test names the operations that write on it; each dies before it is sent, sent and not answered, answered and not
committed, and inside the commit. What a road sends and is not named makes its test fail, and so does a write of GHL's
clients that no road's test names.
"""

import ast
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.chaos import STORM
from benchmarks.chaos_truth import Verdict
from benchmarks.fuse import Boundary, Spark
from phorest_ghl import ghl
from phorest_ghl_tests import killed_salon as salons
from phorest_ghl_tests.killed_salon import CHANGE, CONTACT, DAY, EVENT, FIELD, MOVE, NOTE, TAGS, KilledSalon, everywhere
from phorest_ghl_tests.support.databases import Database

pytestmark = pytest.mark.timeout(600)
POINTS = 20
SEED = 1
FIRST_LOAD = (FIELD, CONTACT, EVENT, NOTE, TAGS)
LIVE_DAY = (CONTACT, CHANGE, TAGS, EVENT, MOVE, NOTE)
BY_COMMAND = {"DELETE /contacts/{contactId}"}
"""`forget` alone deletes, once a person has said yes, and is safe to repeat (`privacy/test_forget`)."""
WELL = Verdict()


@pytest.fixture
def salon(database: Database, tmp_path: Path) -> Iterator[KilledSalon]:
    with salons.killed_salon(database.url, tmp_path) as made:
        yield made


def test_every_write_of_ghls_clients_is_one_whose_boundaries_are_killed_at() -> None:
    written = {
        operation
        for path in Path(str(ghl.__file__)).parent.glob("*.py")
        for operation in writes_of(ast.parse(path.read_text()))
    }
    assert written - salons.READS_BY_POST - BY_COMMAND == salons.GHL_WRITES == {*FIRST_LOAD, *LIVE_DAY}


def writes_of(module: ast.Module) -> Iterator[str]:
    """The operations of the calls in a module that send with a verb that writes."""
    names = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "_send"):
            continue
        verb, route = (names.get(arg.id, arg) if isinstance(arg, ast.Name) else arg for arg in node.args[:2])
        if isinstance(verb, ast.Constant) and verb.value != "GET":
            yield f"{verb.value} {ast.literal_eval(route)}"


@pytest.mark.crash
def test_a_first_load_killed_at_every_boundary_of_all_that_it_sends_is_whole_in_the_end(salon: KilledSalon) -> None:
    salon.visits_yesterday(8)
    # GHL tells who makes our events with the first that we hear of; one that is lost before waits for a person (S15).
    early = [Spark(boundary=Boundary.BEFORE_SEND, operation=EVENT, nth=12)]
    for operation in FIRST_LOAD:
        for spark in (early if operation == EVENT else []) + everywhere(operation):
            assert salon.kill(spark, "short load"), f"it never came to {spark}"
    assert salon.wrote() == set(FIRST_LOAD)
    assert salon.finish("short load", *DAY) == WELL


@pytest.mark.crash
def test_a_live_day_killed_at_every_boundary_of_all_that_it_sends_is_whole_in_the_end(salon: KilledSalon) -> None:
    assert salon.finish("short load", *DAY) == WELL
    for operation in LIVE_DAY:
        for spark in everywhere(operation):
            salon.busy_hour()
            assert salon.kill(spark, *DAY), f"it never came to {spark}"
    assert salon.wrote() == set(LIVE_DAY)
    assert salon.finish(*DAY) == WELL


@pytest.mark.crash
def test_a_stormy_day_killed_at_seeded_points_is_whole_in_the_end(salon: KilledSalon) -> None:
    rng = random.Random(SEED)
    assert salon.finish("short load", *DAY) == WELL
    killed = 0
    for _ in range(POINTS):
        salon.busy_hour()
        for fault in STORM:
            salon.rig.sandbox.control("POST", "/faults", {"api": "*", "route": "*", **fault})
        killed += salon.kill(Spark(boundary=rng.choice(list(Boundary)), nth=rng.randrange(1, 60)), *DAY)
        salon.rig.calm()
    assert killed > POINTS / 4  # others end before, by what the weather does to them
    assert salon.finish(*DAY) == WELL
