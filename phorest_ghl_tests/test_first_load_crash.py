"""kill -9 in each step of a first load: started again, it makes nothing twice and loses nothing."""

import pytest

from phorest_ghl_tests.first_loads import Loads, unloaded
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import environment
from phorest_ghl_tests.sync.test_crash import paused_at
from phorest_ghl_tests.sync.victim import victim, wait_for

pytestmark = pytest.mark.crash

WAITING = "select pid from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"


def middle(loads: Loads) -> str:
    """An appointment half way through the load: GHL has told by then who makes our events."""
    ids = sorted(row["appointmentId"] for row in loads.sandbox.truth("phorest/appointments"))
    return ids[len(ids) // 2]


@pytest.mark.parametrize(
    ("write", "condition"),
    [
        ("insert on import_cursors", "new.entity_type = 'appointment' and new.scope like '%/2025-09'"),
        ("insert on entity_mappings", "new.entity_type = 'client'"),
        ("insert on entity_mappings", "new.entity_type = 'staff'"),
        ("insert on entity_mappings", "new.entity_type = 'appointment' and new.phorest_id > '{middle}'"),
        ("insert on ghl_notes", "true"),
    ],
    ids=[
        "between the months",
        "contacts made and not noted",
        "staff",
        "events made and not noted",
        "notes made and not noted",
    ],
)
def test_a_first_load_killed_in_any_step_is_finished_by_starting_it_again(
    database: Database, write: str, condition: str
) -> None:
    with unloaded(database.url) as loads:
        visits = loads.visit_yesterday()
        loads.rig.confirm()
        environ = environment(loads.sandbox, database.url)
        where = f"when ({condition.format(middle=middle(loads))})"
        with paused_at(loads.rig, write, where), victim(environ, "first load") as process:
            wait_for(lambda: bool(loads.rig.rows(WAITING)), process)
        known = loads.mapped()
        result = loads.run()
        assert {one.outcomes["failed"] + one.outcomes["rejected"] for one in result.entities.values()} == {0}
        assert known <= loads.mapped()
        loads.check_all_arrived(visits)
        assert loads.sandbox.control("GET", "/state")["automations"]["sent"] == 0
        loads.rig.forget_requests()
        loads.run()
        assert loads.writes() == 0
