"""What the location's workflows would have sent (safety S1): each trigger with and without the guard filter."""

import pytest

from phorest_ghl_tests.sandbox.driver import Driver

GUARD = "phorest:backfill"
REACHABLE = {"email": "a@example.com", "phone": "+353875551234"}


def test_an_unfiltered_contact_created_workflow_sends_even_to_a_guarded_contact(drive: Driver) -> None:
    key = drive.contact(**REACHABLE, tags=[GUARD])["id"]
    sent = drive.runs(workflow="contact created, unfiltered", sent=True)
    assert {(row["contact"], row["channel"]) for row in sent} == {(key, "SMS"), (key, "Email")}


def test_a_guarded_workflow_sees_the_tag_in_the_creates_own_body(drive: Driver) -> None:
    drive.contact(**REACHABLE, tags=["Phorest:Backfill"])
    (run,) = drive.runs(workflow="contact created, guarded")
    assert (run["filtered"], run["sent"], run["channel"]) == (True, False, None)
    assert GUARD in run["reason"]


def test_a_tag_added_by_a_later_call_comes_too_late_for_the_filter(drive: Driver) -> None:
    key = drive.contact(**REACHABLE)["id"]
    drive.ghl("POST", f"/contacts/{key}/tags", {"tags": [GUARD]})
    assert len(drive.runs(workflow="contact created, guarded", sent=True)) == 2
    assert drive.runs(workflow="tag added, guarded", sent=True) == [], "the filter sees the tag that fires the trigger"


def test_each_trigger_fires_its_two_workflows(drive: Driver) -> None:
    key = drive.contact(**REACHABLE)["id"]
    drive.ghl("POST", f"/contacts/{key}/tags", {"tags": ["vip"]})
    drive.ghl("PUT", f"/contacts/{key}", {"city": "Cork", "firstName": "New"})
    drive.ghl("PUT", f"/contacts/{key}", {"dndSettings": {"WhatsApp": {"status": "active"}}})
    by_trigger = {row["trigger"]: row["workflow"] for row in drive.runs()}
    assert set(by_trigger) == {"contact created", "tag added", "field changed", "DND"}
    assert {row["detail"] for row in drive.runs(trigger="field changed")} == {"city", "firstName"}
    assert drive.control("GET", "/automations/summary").json["sent_by_trigger"] == {
        "contact created": 4, "tag added": 4, "field changed": 8, "DND": 4,
    }  # fmt: skip


def test_a_write_that_changes_nothing_fires_nothing(drive: Driver) -> None:
    key = drive.contact(**REACHABLE, city="Cork")["id"]
    before = len(drive.runs())
    stamp = drive.ghl("GET", f"/contacts/{key}").json["contact"]["dateUpdated"]
    answer = drive.ghl("PUT", f"/contacts/{key}", {"city": "Cork", "phone": "087 555 1234"})
    assert (answer.status, answer.json["contact"]["dateUpdated"], len(drive.runs())) == (200, stamp, before)


@pytest.mark.parametrize(
    ("values", "reasons"),
    [
        ({"dndSettings": {"SMS": {"status": "active"}}}, {"SMS": "DND active on SMS", "Email": None}),
        ({"dndSettings": {"Email": {"status": "permanent"}}}, {"SMS": None, "Email": "DND permanent on Email"}),
        ({"dnd": True}, {"SMS": "DND on all channels", "Email": "DND on all channels"}),
        ({"dndSettings": {"SMS": {"status": "inactive"}}}, {"SMS": None, "Email": None}),
    ],
)
def test_a_blocked_channel_is_recorded_as_not_sent_with_the_reason(
    drive: Driver, values: dict[str, object], reasons: dict[str, str | None]
) -> None:
    drive.contact(**REACHABLE, **values)
    runs = drive.runs(workflow="contact created, unfiltered")
    assert {row["channel"]: row["reason"] for row in runs} == reasons
    assert all(row["sent"] == (row["reason"] is None) for row in runs)


def test_a_contact_without_an_address_for_the_channel_gets_nothing(drive: Driver) -> None:
    drive.contact(firstName="A")
    assert {row["reason"] for row in drive.runs()} == {"contact has no phone", "contact has no email"}


def test_paused_workflows_do_not_run_and_are_counted(drive: Driver) -> None:
    drive.control("POST", "/workflows", {"unfiltered": "paused"})
    drive.contact(**REACHABLE, tags=[GUARD])
    assert drive.runs(sent=True) == []
    summary = drive.control("GET", "/automations/summary").json
    assert (summary["sent"], summary["filtered"]) == (0, 2)
    assert summary["not_run"] == {"workflow paused": 2}
    drive.control("POST", "/workflows", {"contact created, unfiltered": "published"})
    drive.contact(email="b@example.com")
    assert len(drive.runs(workflow="contact created, unfiltered", sent=True)) == 1


def test_a_misspelt_workflow_or_status_is_refused(drive: Driver) -> None:
    for wrong in ({"contact made": "paused"}, {"unfiltered": "off"}):
        assert drive.control("POST", "/workflows", wrong).status == 400


def test_automations_are_listed_as_lines_and_filtered_by_any_column(drive: Driver) -> None:
    key = drive.contact(**REACHABLE)["id"]
    drive.contact(email="b@example.com")
    rows = drive.control("GET", "/automations", query={"sent": "true", "contact": key, "channel": "SMS"}).json
    assert [row["workflow"] for row in rows] == ["contact created, unfiltered", "contact created, guarded"]


def test_a_person_who_makes_a_contact_fires_the_same_triggers(drive: Driver) -> None:
    made = drive.control("POST", "/ghl/contacts", {"firstName": "By hand", "email": "hand@example.com"})
    assert made.status == 201
    assert len(drive.runs(contact=made.json["id"], sent=True)) == 2
