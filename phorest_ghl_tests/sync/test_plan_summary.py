"""Figures of a plan: what it overwrites, whom it silences, how many requests and how long; and its document, masked."""

import json
from dataclasses import replace
from typing import Any

import pytest

from phorest_ghl.http.budget import Limits
from phorest_ghl.sync import plan_summary
from phorest_ghl.sync.plan import Plan
from phorest_ghl.sync.plan_document import changes_markdown, document
from phorest_ghl_tests.sync.builders import client, desired, mapped, mirrored, plan_of

GHL = Limits(requests=100, window_s=10.0, share=0.8, daily=200_000)
EMAIL, MOBILE = "aoife@example.com", "+353871234567"


def new(*, count: int = 1, **more: Any) -> Plan:
    """Creates of so many clients, each at her own addresses."""
    made = [
        client(f"C{n}", **{"email": f"c{n}@example.com", "mobile": f"+3538712345{n:02d}"} | more) for n in range(count)
    ]
    return plan_of(desired(*made))


def changed(**more: Any) -> Plan:
    """An update of a contact that holds what Phorest said before."""
    before = desired(client(email=EMAIL, mobile=MOBILE))[0]
    after = desired(client(**{"email": EMAIL, "mobile": MOBILE} | more), anchors={"A": "G"})
    return plan_of(after, mirror=[mirrored(before, "G")], mappings=mapped(before, "G"))


def test_a_name_that_differs_in_ghl_is_an_overwrite_and_a_create_or_a_blocked_channel_is_none() -> None:
    (one,) = plan_summary.overwrites(changed(first_name="Grace"))
    assert (one.phorest_id, one.ghl_id, one.diff.name, one.diff.before) == ("A", "G", "first_name", "Aoife")
    assert plan_summary.overwrites(changed(sms_marketing=False)) == []
    assert plan_summary.overwrites(new()) == []


def test_reads_are_counted_apart_from_writes_and_all_kinds_add_up() -> None:
    before = desired(client(email=EMAIL))[0]
    after = desired(client(email="new@example.com"), anchors={"A": "G"})
    plan = plan_of(after, mirror=[mirrored(before, "G")], mappings=mapped(before, "G"))
    found = plan_summary.requests(plan)
    assert (found.writes, found.reads, found.total) == (1, 1, 2)
    assert found.total == plan.requests
    assert plan_summary.requests(new(count=4)).writes == 4


def test_who_loses_reminders_is_whoever_has_the_address_of_a_closed_channel() -> None:
    both = plan_summary.silenced(new(sms_marketing=False, email_marketing=False))
    assert (both.new, both.present, both.by_channel) == (1, 0, {"SMS": 1, "Email": 1})
    assert plan_summary.silenced(new(mobile=None, sms_marketing=False)).new == 0
    closed = plan_summary.silenced(changed(email_marketing=False))
    assert (closed.new, closed.present, closed.adopted, closed.by_channel) == (0, 1, 0, {"SMS": 0, "Email": 1})


def test_what_workflows_could_react_to_is_told_by_trigger() -> None:
    assert plan_summary.automations(new(count=2)) == {
        "contact created": 2,
        "tag added": 2,
        "guard tag added": 0,
        "field changed": 0,
        "DND": 0,
    }
    found = plan_summary.automations(changed(first_name="Grace", sms_marketing=False))
    assert (found["field changed"], found["DND"], found["contact created"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("calls", "minutes", "days"),
    [(0, 0.0, 0), (1, 0.0, 1), (480, 1.0, 1), (150_000, 312.5, 1), (150_001, 312.5, 2), (400_000, 833.33, 3)],
)
def test_minutes_follow_the_share_and_days_the_part_of_the_day_that_bulk_work_may_use(
    calls: int, minutes: float, days: int
) -> None:
    assert plan_summary.pace(calls, GHL) == plan_summary.Pace(minutes=minutes, days=days)
    assert plan_summary.pace(calls, replace(GHL, daily=None)).days == min(1, calls)


def test_the_document_holds_every_figure_and_no_personal_value_unless_asked() -> None:
    plan = changed(first_name="Grace")
    masked, plain = (document(plan, GHL, ["a guard"], values=values) for values in (False, True))
    shape = {"entities", "requests", "minutes", "days", "automations", "consent_changes", "guards", "changes"}
    assert shape <= masked.keys()
    assert masked["requests"] == sum(masked["requests_by_kind"].values())
    assert [o["field"] for o in masked["overwrites"]] == ["first_name"]
    assert masked["consent_changes"]["lose_reminders"]["present"] == 0
    for name in ("Grace", "Aoife"):
        assert name not in json.dumps(masked) + changes_markdown(plan, most=50)
        assert name in json.dumps(plain)


def test_the_table_of_changes_stops_at_its_most_and_says_how_many_are_left() -> None:
    table = changes_markdown(new(count=3), most=2)
    assert "| create | C1 |" in table
    assert "| create | C2 |" not in table
    assert "1 further changes" in table
