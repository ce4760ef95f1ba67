"""The staff in a whole installation: one contact a human, nothing ever sent to it, clients left as they are."""

import pytest

from phorest_ghl.sync.clients import NotConfirmed, NotImported
from phorest_ghl.sync.consent import ConsentNotHonoured
from phorest_ghl.sync.going_live import go_live
from phorest_ghl.sync.plan import NO_CONTACT_POINT
from phorest_ghl.sync.staff.members import LEFT, NOBODY
from phorest_ghl.sync.staff.planner import CLIENT_NOW, TAKEN
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import RETRY, installation
from phorest_ghl_tests.sync.staff.team import StaffRig, employed

pytestmark = pytest.mark.road
CREATE = "POST /contacts/"


def test_every_human_has_one_contact_a_second_run_writes_nothing_and_who_leaves_loses_the_tags(
    database: Database,
) -> None:
    with employed(database.url, branches=2, agency_contacts=20) as salon:
        rows = salon.sandbox.truth("phorest/staff")
        before = {contact["id"]: contact for contact in salon.rig.contacts()}
        result = salon.run()
        assert result.reasons["skipped"].keys() == {NOBODY, LEFT, NO_CONTACT_POINT}
        assert sum(result.outcomes.values()) == result.total == len(rows)
        contacts = {row["staffId"]: salon.contact_of(row["staffId"]) for row in salon.people()}
        assert len({row["userId"] for row in salon.people()}) == len({c["id"] for c in contacts.values()})
        shared = [row for row in salon.people() if [r["userId"] for r in rows].count(row["userId"]) == 2]
        assert len(shared) > 2, "nobody works in both branches"
        for contact in contacts.values():
            assert {"role:staff", "phorest-staff:true"} <= set(contact["tags"])
            if contact["id"] in before:  # the agency's, or a client's: tags and nothing else
                old = before[contact["id"]]
                assert {**old, "tags": 0, "dateUpdated": 0} == {**contact, "tags": 0, "dateUpdated": 0}
                assert set(old["tags"]) <= set(contact["tags"])
            else:
                assert contact["dnd"] is True
                assert {s["status"] for s in contact["dndSettings"].values()} == {"active"}
                assert "phorest:backfill" in contact["tags"]
        made = contacts.keys() - {key for key, c in contacts.items() if c["id"] in before}
        assert made
        assert len(made) < len(contacts)
        summary = salon.rig.rows("select * from sync_run_summaries where entity_type = 'staff'")[0]
        assert (summary["total_count"], summary["status"]) == (len(rows), "completed")

        salon.rig.forget_requests()
        again = salon.run()
        assert (again.outcomes["applied"], again.requests) == (0, 0)
        salon.rig.run()  # the clients' run leaves them alone
        assert salon.apply().outcomes["applied"] == 0

        leaver = next(row for row in salon.alone() if row["staffId"] in made)
        salon.edit(leaver["staffId"], archived=True)
        assert salon.run().outcomes["applied"] == 1
        left = salon.contact_of(leaver["staffId"])
        assert not {"role:staff", "phorest-staff:true"} & set(left["tags"])
        assert left["dnd"] is True
        assert salon.run().outcomes["applied"] == 0
        salon.edit(leaver["staffId"], archived=False)
        assert salon.run().outcomes["applied"] == 1
        assert "role:staff" in salon.contact_of(leaver["staffId"])["tags"]


def test_s17_nothing_is_sent_to_the_staff_of_a_live_location_whatever_workflows_there_are(database: Database) -> None:
    with employed(database.url) as salon:
        go_live(salon.rig.engine, salon.rig.runtime.ghl())
        salon.sandbox.control("POST", "/workflows", {"workflows": "published"})
        salon.rig.switch(ghl_create_fires_tag_added=True, ghl_create_fires_dnd=True)
        salon.run()
        new = salon.alone()
        for row in new:
            salon.edit(row["staffId"], lastName="Married", email=f"new.{row['email']}")
        assert salon.run().outcomes["applied"] == len(new) > 0
        for row in new:
            contact = salon.contact_of(row["staffId"])
            assert (contact["lastName"], contact["dnd"]) == ("Married", True)
            assert "phorest:backfill" not in contact["tags"]
            told = salon.told(contact["id"])
            assert {"contact created", "tag added", "field changed", "DND"} <= {run["trigger"] for run in told}
            assert not any(run["sent"] for run in told)


def test_s1_in_a_quiet_location_a_present_contact_is_guarded_before_its_tags_and_an_unguarded_one_gets_none(
    database: Database,
) -> None:
    with employed(database.url) as salon:
        (row, *_) = salon.alone()
        theirs = {"firstName": row["firstName"], "lastName": row["lastName"], "email": row["email"]}
        made = salon.rig.make_contact(**theirs, phone=row["mobile"])
        salon.rig.importer().staff()
        salon.sandbox.control("POST", "/workflows", {"workflows": "published"})
        salon.rig.engine.dispose()
        with salon.rig.engine.begin() as connection:
            connection.exec_driver_sql("update ghl_locations set mirrored_at = null")
        salon.sandbox.control("POST", "/clock", {"advance_s": 2})
        salon.rig.fault(
            "500", "POST /contacts/bulk/tags/update/{type}", count=RETRY.attempts
        )  # the guard tag's call alone
        salon.apply()
        assert salon.contacts_of(row["staffId"]) == []
        salon.rig.calm()
        assert salon.apply().outcomes["applied"] > 0
        assert salon.contact_of(row["staffId"])["id"] == made["id"]
        told = [run for run in salon.told(made["id"]) if run["detail"].startswith(("role:", "phorest-staff"))]
        assert told
        assert not any(run["workflow"].endswith("guarded") for run in told)


def test_s15_a_create_whose_answer_was_lost_is_found_by_the_next_run_though_its_row_has_changed_or_left(
    database: Database,
) -> None:
    with employed(database.url) as salon:
        first, second, *_ = salon.alone()
        salon.edit(first["staffId"], archived=True)
        salon.rig.fault("502", CREATE, rate=1.0)  # nothing is made
        assert salon.run().outcomes["failed"] > 0
        salon.rig.calm()
        salon.edit(second["staffId"], archived=True)
        assert salon.run().outcomes["failed"] == 0
        assert salon.contacts_of(second["staffId"]) == []
        salon.apply()
        assert salon.waiting() == []

        for row in (first, second):
            salon.edit(row["staffId"], archived=False)
        salon.rig.fault("502", CREATE, rate=1.0, after_commit=True)
        failed = salon.run().outcomes["failed"]
        assert failed >= 2
        salon.rig.calm()
        salon.edit(first["staffId"], email=f"new.{first['email']}", mobile=None)
        salon.edit(second["staffId"], archived=True)
        assert salon.run().outcomes["applied"] == failed
        for row in (first, second):
            salon.contact_of(row["staffId"])  # one, and no second one
        assert salon.apply().outcomes["applied"] == 2
        assert salon.contact_of(first["staffId"])["email"] == f"new.{first['email']}"
        assert "role:staff" not in salon.contact_of(second["staffId"])["tags"]
        assert salon.rig.rows("select 1 as one from sync_intents where state in ('planned', 'sent', 'unknown')") == []
        assert salon.waiting() == []


@pytest.mark.parametrize("refuses", [True, False])
def test_s15_a_create_that_failed_or_was_refused_is_settled_by_looking(
    database: Database, refuses: bool  # noqa: FBT001
) -> None:  # fmt: skip
    with employed(database.url, switches={"ghl_allow_duplicate_contact": not refuses}) as salon:
        first, second, *_ = salon.alone()
        salon.edit(second["staffId"], archived=True)
        salon.rig.fault("created_but_422", CREATE, rate=1.0)
        assert salon.run().outcomes["rejected"] == 0
        assert salon.contact_of(first["staffId"])["dnd"] is True
        assert salon.findings() == {"created although refused"}
        salon.rig.calm()
        # Made by somebody since the contacts were last read, under another name.
        salon.rig.make_contact(firstName="Somebody", lastName="Else", phone=second["mobile"])
        salon.edit(second["staffId"], archived=False)
        assert salon.run().reasons["rejected"] == {TAKEN: 1}
        assert salon.contacts_of(second["staffId"]) == []
        again = salon.run()
        assert (again.outcomes["applied"], again.reasons["rejected"]) == (0, {TAKEN: 1})
        assert TAKEN in salon.findings()


def test_s17_a_member_who_becomes_a_client_has_one_contact_that_stays_closed_and_is_no_opt_out(
    database: Database,
) -> None:
    with employed(database.url) as salon:
        row = salon.alone()[0]
        salon.run()
        contact = salon.contact_of(row["staffId"])
        free = next(c for c in salon.rig.clients() if not c["truth"]["syncable"] and not c.get("mobile"))
        consents = dict.fromkeys(
            ("smsMarketingConsent", "emailMarketingConsent", "smsReminderConsent", "emailReminderConsent"), True
        )
        salon.rig.edit_client(
            free["clientId"],
            **consents,
            archived=False,
            banned=False,
            deleted=False,
            firstName=row["firstName"],
            lastName=row["lastName"],
            mobile=row["mobile"],
            email=None,
        )
        salon.rig.run()
        assert salon.rig.contact_of(free["clientId"])["id"] == contact["id"]
        salon.apply()
        assert CLIENT_NOW in salon.findings()
        assert salon.contact_of(row["staffId"])["dnd"] is True
        causes = salon.rig.rows("select cause from suppressions where source_id = :id", id=contact["id"])
        assert causes == []
        # A person opens it: that is theirs to do, and nothing closes it again.
        opened = {name: {"status": "inactive"} for name in contact["dndSettings"]}
        salon.rig.edit_contact(contact["id"], dnd=False, dndSettings=opened)
        salon.rig.edit_client(free["clientId"], lastName=f"{row['lastName']}-Byrne")
        salon.rig.run()
        salon.apply()
        held = salon.contact_of(row["staffId"])
        assert (held["dnd"], {s["status"] for s in held["dndSettings"].values()}) == (False, {"inactive"})
        assert CLIENT_NOW not in salon.findings()


def test_s6_a_location_that_ignores_dnd_stops_the_run_at_once_and_its_contact_is_closed_by_the_next(
    database: Database,
) -> None:
    with employed(database.url) as salon:
        salon.rig.fault("dnd_ignored", CREATE, rate=1.0)
        with pytest.raises(ConsentNotHonoured, match="channel open"):
            salon.run()
        salon.rig.calm()
        salon.run()
        for row in salon.alone():
            assert salon.contact_of(row["staffId"])["dnd"] is True


def test_nothing_is_written_before_the_import_and_the_operators_word(database: Database) -> None:
    with installation(database.url) as rig:
        salon = StaffRig(rig)
        with pytest.raises(NotImported, match="sync clients"):
            salon.plan()
        rig.load()
        with pytest.raises(NotConfirmed, match="workflows-paused"):
            salon.run()
        assert rig.contacts() == []
