"""Check-in notes in a whole installation: one a visit, on the right contact, never twice, and no message to anybody."""

from collections.abc import Iterator

import pytest

from phorest_ghl.sync.clients import NotConfirmed
from phorest_ghl.sync.going_live import go_live
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.notes.visits import NotesRig, visited
from phorest_ghl_tests.sync.rig import opened

pytestmark = pytest.mark.road
NOTES = "POST /contacts/{contactId}/notes"


@pytest.fixture
def salon(database: Database) -> Iterator[NotesRig]:
    with visited(database.url) as made:
        yield made


def test_each_visit_gets_one_note_and_a_second_run_writes_nothing(salon: NotesRig) -> None:
    came = [*salon.visits(3), *salon.visits(1, state="CHECKED_IN")]
    salon.visits(1, days=-9)
    cancelled, deleted = salon.visits(1, activationState="CANCELED"), salon.visits(1, deleted=True)
    ahead = salon.visits(1, days=3)
    result = salon.run()
    assert (result.outcomes["applied"], result.reasons["skipped"]) == (4, {"its start has not passed": 1})
    salon.check_each_has_one(came)
    salon.rig.forget_requests()
    again = salon.run()
    assert (again.outcomes["applied"], again.outcomes["unchanged"], again.requests) == (0, 4, 0)
    assert salon.rig.requests("POST", "/contacts/{contactId}/notes") == 0
    row = salon.rig.rows("select * from sync_run_summaries where entity_type = 'checkin' order by id desc limit 1")[0]
    assert (row["total_count"], row["success_count"], row["status"]) == (5, 4, "completed")
    assert not {v["appointmentId"] for v in (*cancelled, *deleted, *ahead)} & {
        note["body"].rpartition("phorest:")[2] for note in salon.notes()
    }


def test_s1_in_a_quiet_location_no_workflow_speaks_even_where_a_person_took_the_guard_tag_off(
    salon: NotesRig,
) -> None:
    (visit,) = salon.visits()
    contact = salon.contact_by_client()[visit["clientId"]]
    salon.rig.edit_contact(contact, tags=[])
    assert salon.run().outcomes["applied"] == 1
    assert salon.fired(workflow="filtered", sent="True") == []
    assert salon.fired(filtered="True"), "the filter saw the tag"


def test_s1_a_contact_on_which_ghl_puts_no_guard_tag_gets_no_note(salon: NotesRig) -> None:
    salon.visits()
    salon.rig.fault("500", "POST /contacts/bulk/tags/update/{type}", rate=1.0)
    assert salon.run().outcomes["applied"] == 0
    assert salon.notes() == []
    salon.rig.calm()
    assert salon.apply().outcomes["applied"] == 1


def test_a_location_that_nobody_has_confirmed_gets_no_note(salon: NotesRig) -> None:
    salon.visits()
    with salon.rig.engine.begin() as connection:
        connection.exec_driver_sql("update ghl_locations set workflows_confirmed_at = null")
    with pytest.raises(NotConfirmed, match="workflows-paused"):
        salon.run()
    assert salon.notes() == []


def test_s15_a_note_whose_answer_was_lost_is_found_by_the_next_run_and_not_made_twice(salon: NotesRig) -> None:
    came = salon.visits(2)
    salon.rig.switch(ghl_notes_as_html=True)
    salon.rig.fault("502", NOTES, rate=1.0, after_commit=True)
    assert salon.run().outcomes["failed"] == 2
    assert len(salon.notes()) == 2
    salon.rig.calm()
    assert salon.apply().outcomes["applied"] == 2
    salon.check_each_has_one(came)
    assert salon.rig.rows("select 1 as one from work_items where state = 'open' and entity_type = 'checkin'") == []


def test_a_note_that_failed_before_ghl_made_it_is_made_by_the_next_run(salon: NotesRig) -> None:
    came = salon.visits(2)
    salon.rig.fault("502", NOTES, rate=1.0)
    assert salon.run().outcomes["failed"] == 2
    assert salon.notes() == []
    salon.rig.calm()
    assert salon.apply().outcomes["applied"] == 2
    salon.check_each_has_one(came)


def test_s15_a_lost_note_is_looked_for_on_the_contact_that_it_was_sent_to_though_the_client_has_another_now(
    salon: NotesRig,
) -> None:
    (visit,) = salon.visits()
    salon.rig.fault("502", NOTES, rate=1.0, after_commit=True)
    assert salon.run().outcomes["failed"] == 1
    salon.rig.calm()
    other = next(ghl for client, ghl in salon.contact_by_client().items() if client != visit["clientId"])
    with salon.rig.engine.begin() as connection:
        connection.exec_driver_sql(
            "update entity_mappings set ghl_id = %s, role = 'secondary' where phorest_id = %s and entity_type = 'client'",
            (other, visit["clientId"]),
        )
    assert salon.apply().outcomes["applied"] == 1
    assert len(salon.notes()) == 1


def test_s16_a_note_that_somebody_deleted_is_not_put_back(salon: NotesRig) -> None:
    salon.visits()
    salon.run()
    salon.sandbox.control("DELETE", f"/ghl/notes/{salon.notes()[0]['id']}")
    assert salon.run().outcomes["unchanged"] == 1
    assert salon.notes() == []


def test_a_contact_that_is_gone_is_noticed_and_its_visits_are_left_out_afterwards(salon: NotesRig) -> None:
    (visit,) = salon.visits()
    salon.rig.delete_contact(salon.contact_by_client()[visit["clientId"]])
    go_live(salon.rig.engine, salon.rig.runtime.ghl())
    salon.rig.forget_requests()
    assert salon.run().reasons["skipped"] == {"contact gone from GHL": 1}
    again = salon.apply()
    assert (again.reasons["skipped"], again.requests) == ({"contact gone from GHL": 1}, 0)
    assert salon.rig.requests("POST", "/contacts/bulk/tags/update/{type}") == 0, "a live location guards nobody"


def test_s22_notes_stop_when_less_than_a_quarter_of_the_day_s_quota_is_left(
    database: Database, salon: NotesRig
) -> None:
    go_live(salon.rig.engine, salon.rig.runtime.ghl())  # so that nothing but the note itself is in question
    came = salon.visits()
    salon.load()
    with salon.rig.engine.begin() as connection:  # a day in which four of five are used
        connection.exec_driver_sql(
            "update api_budget set state = jsonb_set(state, '{used}', '800') where key like 'ghl:%%'"
        )
    with opened(salon.sandbox, database.url, GHL_DAILY_LIMIT="1000") as tight:
        result = NotesRig(tight).apply()
    assert result.reasons["deferred"] == {"GHL's daily quota": 1}
    assert salon.notes() == []
    assert salon.apply().outcomes["applied"] == 1
    salon.check_each_has_one(came)


def test_s19_the_settings_exclude_services_and_nothing_of_a_note_is_kept(database: Database) -> None:
    with visited(database.url) as salon:
        came = salon.visits(2)
        named = came[0]["serviceName"]
        with opened(salon.sandbox, database.url, SYNC_EXCLUDED_SERVICES=f"Other; {named.upper()}") as rig:
            NotesRig(rig).run()
        assert named not in {note["body"].partition(" / ")[0] for note in salon.notes()}
        for table in ("ghl_notes", "sync_logs", "work_items", "sync_intents"):
            assert "Finish" not in str(salon.rig.rows(f"select * from {table}"))  # noqa: S608 - ours
            assert not any(v["serviceName"] in str(salon.rig.rows(f"select * from {table}")) for v in came)  # noqa: S608
