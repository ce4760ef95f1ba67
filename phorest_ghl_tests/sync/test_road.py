"""The whole road of clients against the sandbox: what a second run does, and what is written down about a first one."""

import pytest
import structlog

from phorest_ghl.ghl.fields import GUARD_TAG
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import Rig, Row, installation
from phorest_ghl_tests.sync.test_safety_creates import alone

pytestmark = pytest.mark.road

NOTHING = {"create": 0, "update": 0, "adopt": 0, "remap": 0, "retire": 0, "link": 0}


def personal(rig: Rig) -> set[str]:
    """Every personal value of every client, as written and as normalised."""
    values: set[str] = set()
    for row in rig.clients():
        found = [row.get(n) for n in ("firstName", "lastName", "email", "mobile")]
        values |= {
            value for value in (*found, row["truth"]["email"], row["truth"]["phone"]) if value and len(value) > 4
        }
    return values


def test_a_first_load_costs_one_request_a_contact_and_a_second_run_costs_none(rig: Rig) -> None:
    first = rig.run()
    households = {row["truth"]["household"] for row in rig.clients(syncable=True)}
    # And one read: of what GHL made of the first write.
    assert (first.requests, first.changes["create"]) == (len(households) + 1, len(households))
    rig.check_everyone_is_on_one_contact()
    rig.forget_requests()
    second = rig.run()
    assert (second.changes, second.requests) == (NOTHING, 0)
    assert second.outcomes["unchanged"] == first.outcomes["applied"]
    assert rig.requests("POST", "/contacts/search") == 1  # the poll of GHL's opt-outs
    assert rig.requests("GET", "/contacts/{contactId}") == 0


def test_the_plan_of_a_run_is_what_the_run_then_does(rig: Rig) -> None:
    rig.load()
    rig.confirm()
    plan = rig.plan()
    assert rig.plan().counts() == plan.counts()
    result = rig.apply()
    assert (result.changes, result.requests) == (plan.counts(), plan.requests)


def test_the_newest_generation_of_the_api_gives_the_same_contacts(database: Database) -> None:
    with installation(database.url, clients=20, settings={"GHL_API_VERSION": "v3"}) as rig:
        result = rig.run()
        assert result.outcomes["failed"] == result.outcomes["rejected"] == 0
        rig.check_everyone_is_on_one_contact()
        assert rig.plan().changes == ()
        client = alone(rig)[0]
        rig.edit_client(client["clientId"], smsMarketingConsent=False, emailMarketingConsent=False, lastName="Renamed")
        assert rig.run().changes["update"] == 1
        contact = rig.contact_of(client["clientId"])
        blocked = {name for name, setting in contact["dndSettings"].items() if setting["status"] == "active"}
        assert (contact["lastName"], blocked) == ("Renamed", {"Email", "SMS", "Call", "WhatsApp"})
        assert rig.plan().changes == ()


def test_contacts_that_people_made_before_are_read_once_and_left_alone_but_for_clients_of_the_same_name(
    database: Database,
) -> None:
    with installation(database.url, clients=20, crm_contacts=30) as rig:
        before = {contact["id"]: contact for contact in rig.contacts()}
        assert len(before) == 30
        adopted = rig.run().changes["adopt"]
        assert adopted > 0
        rig.run()
        read = rig.requests("GET", "/contacts/{contactId}")
        rig.run()
        assert rig.requests("GET", "/contacts/{contactId}") == read
        after = {contact["id"]: contact for contact in rig.contacts()}
        ours = {row["ghl_id"] for row in rig.rows("select ghl_id from entity_mappings")}
        assert len(before.keys() & ours) == adopted
        assert {key: after[key] for key in before.keys() - ours} == {key: before[key] for key in before.keys() - ours}


def test_a_family_has_one_contact_and_a_new_member_costs_no_request(rig: Rig) -> None:
    one, two, three = alone(rig, 3)
    rig.edit_client(one["clientId"], mobile="+353 86 555 2994")
    rig.edit_client(two["clientId"], mobile="086 555 2994")
    rig.run()
    rig.check_everyone_is_on_one_contact()
    made = rig.rows(
        "select ghl_id from entity_mappings where phorest_id = any(:ids)", ids=[r["clientId"] for r in (one, two)]
    )
    assert made[0] == made[1]
    newcomer = next(row for row in rig.clients(why_not="no contact point"))
    rig.edit_client(newcomer["clientId"], mobile="+353865552994", smsMarketingConsent=True)
    rig.forget_requests()
    result = rig.run()
    assert (result.changes["link"], result.changes["create"]) == (1, 0)
    assert rig.requests("POST", "/contacts/") == rig.requests("PUT", "/contacts/{contactId}") == 0
    rig.check_everyone_is_on_one_contact()
    assert three["clientId"] in {value for contact in rig.contacts() for value in contact["customFields"].values()}


def test_a_new_member_who_did_not_agree_closes_the_channel_of_the_family(rig: Rig) -> None:
    (one,) = alone(rig)
    rig.edit_client(one["clientId"], mobile="+353 86 555 2993", smsMarketingConsent=True)
    rig.run()
    assert rig.contact_of(one["clientId"])["dndSettings"]["SMS"]["status"] == "inactive"
    newcomer = next(row for row in rig.clients(why_not="no contact point"))
    rig.edit_client(newcomer["clientId"], mobile="+353865552993", smsMarketingConsent=None)
    rig.run()
    assert rig.contact_of(one["clientId"])["dndSettings"]["SMS"]["status"] == "active"
    assert rig.plan().changes == ()


def test_an_address_passes_from_one_client_to_another_within_one_run(rig: Rig) -> None:
    one, two = [row for row in alone(rig, 50) if row["truth"]["phone"] and not row["truth"]["email"]][:2]
    rig.run()
    rig.edit_client(one["clientId"], mobile="+353 86 555 2992")
    newcomer = next(row for row in rig.clients(why_not="no contact point"))
    rig.edit_client(newcomer["clientId"], mobile=one["truth"]["phone"])
    result = rig.run()
    assert (result.changes["update"], result.changes["create"], result.outcomes["rejected"]) == (1, 1, 0)
    rig.check_everyone_is_on_one_contact()
    assert rig.contact_of(newcomer["clientId"])["phone"] == one["truth"]["phone"]
    assert rig.contact_of(two["clientId"])["phone"] == two["truth"]["phone"]


def test_a_persons_edit_of_a_name_stands_until_phorests_own_changes(rig: Rig) -> None:
    (client,) = alone(rig)
    rig.run()
    contact = rig.contact_of(client["clientId"])
    rig.edit_contact(contact["id"], firstName="Nickname")
    # Nobody has read the contact since, so the mirror does not know; the audit will. Seen or not, it stands:
    with rig.engine.begin() as connection:
        connection.exec_driver_sql(
            "update ghl_contacts set first_name = 'Nickname' where ghl_id = %s", (contact["id"],)
        )
    assert rig.run().changes == NOTHING
    assert [edit.field for edit in rig.plan().edited] == ["first_name"]
    rig.edit_client(client["clientId"], firstName="Officially")
    rig.run()
    assert rig.contact_of(client["clientId"])["firstName"] == "Officially"


def test_a_mapped_client_that_is_banned_or_deleted_is_closed_on_all_channels_and_keeps_its_contact(rig: Rig) -> None:
    banned, deleted, archived = alone(rig, 3)
    for row in (banned, deleted, archived):
        rig.edit_client(row["clientId"], smsMarketingConsent=True, emailMarketingConsent=True)
    rig.run()
    before = rig.contact_of(archived["clientId"])
    rig.edit_client(banned["clientId"], banned=True, firstName="Not any more")
    rig.edit_client(deleted["clientId"], deleted=True)
    rig.edit_client(archived["clientId"], archived=True, firstName="Not any more")
    rig.run()
    for row in (banned, deleted):
        contact = rig.contact_of(row["clientId"])
        assert {setting["status"] for setting in contact["dndSettings"].values()} == {"active"}
        assert contact["firstName"] == row["firstName"].strip()
    after = rig.contact_of(archived["clientId"])
    assert {k: v for k, v in after.items() if k not in ("tags", "dateUpdated")} == {
        k: v for k, v in before.items() if k not in ("tags", "dateUpdated")}  # fmt: skip
    for row, tag in ((banned, "banned"), (deleted, "deleted"), (archived, "archived")):
        assert f"phorest:{tag}" in rig.contact_of(row["clientId"])["tags"]
    assert rig.plan().changes == ()


def test_every_write_leaves_its_provenance_and_nothing_personal(rig: Rig) -> None:
    rig.run()
    (client,) = alone(rig)
    rig.edit_client(client["clientId"], lastName="Provenance")
    result = rig.run()
    changes = rig.rows("select * from sync_changes where batch_id = :batch", batch=result.batch_id)
    assert [(c["action"], c["field"], c["outcome"], c["phorest_id"]) for c in changes] == [
        ("update", "last_name", "acknowledged", client["clientId"])
    ]
    assert changes[0]["before_hash"] != changes[0]["after_hash"]
    summaries = rig.rows("select * from sync_run_summaries order by id")
    assert [(s["status"], s["total_count"]) for s in summaries] == [("completed", len(rig.clients()))] * 2
    for summary in summaries:
        assert summary["total_count"] == summary["success_count"] + summary["failed_count"] + summary["skipped_count"]
    logs = rig.rows("select * from sync_logs where batch_id = :batch", batch=result.batch_id)
    assert [(row["entity_id"], row["action"], row["status"]) for row in logs] == [
        (client["clientId"], "update", "success")
    ]
    for table in (
        "sync_changes",
        "sync_run_summaries",
        "sync_logs",
        "sync_intents",
        "entity_mappings",
        "work_items",
        "suppressions",
    ):
        written = str(rig.rows(f"select * from {table}"))  # noqa: S608
        assert [value for value in personal(rig) if value in written] == []


def test_what_a_run_logs_and_says_holds_nothing_personal(rig: Rig) -> None:
    with structlog.testing.capture_logs() as logs:
        rig.fault("timeout_after_commit", "POST /contacts/", count=2, ms=5)
        rig.fault("created_but_422", "POST /contacts/", count=1)
        rig.fault("503", "GET /client", api="phorest", count=1)
        result = rig.run()
    assert len(logs) > 20
    said = str(logs) + str(result)
    assert [value for value in personal(rig) if value in said] == []


def test_guarded_contacts_are_recorded_so_that_go_live_can_release_them(rig: Rig) -> None:
    rig.run()
    guarded = {row["ghl_id"] for row in rig.rows("select ghl_id from guarded_contacts")}
    assert guarded == {contact["id"] for contact in rig.contacts() if GUARD_TAG in contact["tags"]}


def test_a_lost_mapping_is_taken_up_again_by_the_phorest_id_and_no_contact_is_made(rig: Rig) -> None:
    rig.run()
    made = len(rig.contacts())
    with rig.engine.begin() as connection:
        connection.exec_driver_sql("truncate entity_mappings, sync_intents")
    rig.forget_requests()
    rig.let_pass()
    result = rig.run()
    assert result.changes["create"] == 0
    assert rig.requests("POST", "/contacts/") == 0
    assert len(rig.contacts()) == made
    assert rig.plan().changes == ()


def test_a_restored_database_without_a_mirror_finds_its_contacts_again(rig: Rig) -> None:
    rig.run()
    made: list[Row] = rig.contacts()
    with rig.engine.begin() as connection:
        connection.exec_driver_sql(
            "truncate entity_mappings, sync_intents, ghl_contacts, ghl_locations, guarded_contacts"
        )
    rig.let_pass()
    rig.run()
    rig.run()
    assert rig.contacts() == made
    rig.check_everyone_is_on_one_contact()
    assert rig.plan().changes == ()
