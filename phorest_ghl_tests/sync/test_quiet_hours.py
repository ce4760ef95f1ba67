"""At night a live location gets no new contacts and no new tags, and everything else (safety S5)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.ghl.fields import BANNED_TAG
from phorest_ghl.sync import going_live
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.contact_hours import ContactHours
from phorest_ghl.sync.outcomes import Deferred
from phorest_ghl.sync.plan import PRESENT
from phorest_ghl.sync.quiet_hours import QUIET_HOURS, until_morning
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.builders import client, desired, mapped, mirrored, plan_of
from phorest_ghl_tests.sync.rig import LAG_S, Rig, installation
from phorest_ghl_tests.sync.test_safety_consent import blocked_channels
from phorest_ghl_tests.sync.test_safety_creates import alone

DUBLIN, TORONTO = ZoneInfo("Europe/Dublin"), ZoneInfo("America/Toronto")
NIGHT = datetime(2026, 7, 10, 1, tzinfo=UTC)  # 02:00 in Dublin, 21:00 the day before in Toronto
A = client("A", email="a@example.com")
OPENS = datetime(2026, 7, 10, 9, tzinfo=DUBLIN)


@given(st.integers(0, 365 * 24 * 60), st.sampled_from([DUBLIN, TORONTO]))
def test_the_next_opening_is_later_within_two_days_and_permitted(minutes: int, zone: ZoneInfo) -> None:
    now, hours = NIGHT + timedelta(minutes=minutes), ContactHours()
    if not hours.permit(now, zone):
        opening = hours.next_opening(now, zone)
        assert timedelta(0) < opening - now < timedelta(days=2)
        assert hours.permit(opening, zone)
        assert not hours.permit(opening - timedelta(minutes=1), zone)


def test_s5_a_create_waits_and_one_that_may_have_been_made_already_does_not() -> None:
    plan = plan_of(desired(A, client("B", email="b@example.com")))
    night = until_morning(plan, ContactHours(), NIGHT, lambda _: DUBLIN, unsettled={"B"})
    assert [change.phorest_id for change in night.changes] == ["B"]
    assert night.settled == {"A": Deferred(QUIET_HOURS, OPENS)}
    assert night.total == plan.total
    assert until_morning(plan, ContactHours(), OPENS, lambda _: DUBLIN).changes == plan.changes


def test_s5_each_client_waits_by_the_clock_of_its_own_branch() -> None:
    rows = [A, client("B", email="b@example.com", branch_id="T")]
    evening = NIGHT - timedelta(hours=2)  # midnight in Dublin, 19:00 in Toronto
    night = until_morning(
        plan_of(desired(*rows)), ContactHours(), evening, lambda branch: TORONTO if branch == "T" else DUBLIN
    )
    assert [change.phorest_id for change in night.changes] == ["B"]


def test_s5_a_change_goes_without_its_new_tag_and_closing_is_never_held_up() -> None:
    (before,) = desired(A)
    known = {"mirror": [mirrored(before, "X")], "mappings": mapped(before, "X")}
    tagged = replace(A, category_ids=("VIP",))
    changed = replace(tagged, last_name="Quinn", email_marketing=False)
    plan = plan_of(desired(changed, anchors={"A": "X"}), **known)
    names = {diff.name for diff in plan.changes[0].diffs}
    assert {"phorest:vip", "last_name", "Email"} <= names
    night = until_morning(plan, ContactHours(), NIGHT, lambda _: DUBLIN)
    (calm,) = night.changes
    assert (night.settled.keys() & {"A"}, night.mornings) == (set(), {"A": OPENS}), "written now, and once more then"
    assert {diff.name for diff in calm.diffs} == names - {"phorest:vip"}
    only_tag = plan_of(desired(tagged, anchors={"A": "X"}), **known)
    assert [diff.name for diff in only_tag.changes[0].diffs] == ["phorest:vip"]
    night = until_morning(only_tag, ContactHours(), NIGHT, lambda _: DUBLIN)
    assert (night.changes, night.settled) == ((), {"A": Deferred(QUIET_HOURS, OPENS)})


def test_s5_the_tag_of_a_contact_that_is_closed_with_it_goes_at_once() -> None:
    (before,) = desired(A)
    (after,) = desired(replace(A, banned=True), anchors={"A": "X"})
    plan = plan_of([after], mirror=[mirrored(before, "X")], mappings=mapped(before, "X"))
    assert (BANNED_TAG, PRESENT) in {(diff.name, diff.after) for diff in plan.changes[0].diffs}
    assert until_morning(plan, ContactHours(), NIGHT, lambda _: DUBLIN).changes == plan.changes


@pytest.fixture
def salon(database: Database) -> Iterator[Rig]:
    night = datetime(2026, 3, 10, 2, tzinfo=UTC)
    with installation(database.url, clients=16, now=night, settings={"CONTACT_HOURS": "09:00-20:00"}) as rig:
        yield rig


@pytest.mark.road
def test_s5_a_live_location_gets_contacts_in_the_morning_and_consent_at_night(salon: Rig) -> None:
    known, new = [row["clientId"] for row in alone(salon, 2)]
    salon.edit_client(known, emailMarketingConsent=True, smsMarketingConsent=True)
    salon.edit_client(new, archived=True)
    salon.run()  # a first load may run at night: the guard tag is on
    assert len(salon.contacts()) > 0
    going_live.go_live(salon.engine, salon.runtime.ghl())
    salon.edit_client(new, archived=False)
    salon.edit_client(known, smsMarketingConsent=False)
    before = len(salon.contacts())
    night = salon.run()
    assert (len(salon.contacts()), night.outcomes["deferred"]) == (before, 1)
    assert night.reasons["deferred"] == {QUIET_HOURS: 1}
    assert "SMS" in blocked_channels(salon.contact_of(known))
    salon.sandbox.control("POST", "/clock", {"advance_s": 8 * 3600})
    assert salon.run().changes["create"] == 1
    assert len(salon.contacts()) == before + 1


def waiting(rig: Rig) -> list[str]:
    return [row["phorest_id"] for row in rig.rows("select phorest_id from work_items where state = 'open' order by 1")]


def appointments_run(rig: Rig) -> None:
    """The ten-minute run, without its import."""
    road = rig.runtime.appointments_sync(batch_id=new_batch_id(), writing=True, lag_s=LAG_S)
    prepared = road.prepare()
    road.apply(road.plan(prepared), prepared, started_at=datetime.now(UTC))


@pytest.mark.road
def test_s5_what_waited_for_the_morning_is_done_by_its_first_run_of_appointments(salon: Rig) -> None:
    tagged, new = [row["clientId"] for row in alone(salon, 2)]
    salon.edit_client(new, archived=True)
    salon.run()
    going_live.go_live(salon.engine, salon.runtime.ghl())
    (category,) = salon.rows("select phorest_id from phorest_client_categories order by 1 limit 1")
    salon.edit_client(new, archived=False)
    salon.edit_client(tagged, clientCategoryIds=[category["phorest_id"]], lastName="Newname")
    tags = set(salon.contact_of(tagged)["tags"])
    salon.run()
    assert waiting(salon) == sorted([tagged, new])
    assert (salon.contact_of(tagged)["lastName"], set(salon.contact_of(tagged)["tags"])) == ("Newname", tags)
    salon.importer().catalogue()
    salon.importer().appointments()
    appointments_run(salon)
    assert waiting(salon) == sorted([tagged, new]), "it is night still"
    contacts = len(salon.contacts())
    salon.sandbox.control("POST", "/clock", {"advance_s": 7 * 3600 + 300})
    appointments_run(salon)
    assert (waiting(salon), len(salon.contacts())) == ([], contacts + 1)
    assert len(set(salon.contact_of(tagged)["tags"]) - tags) == 1
    assert new in salon.contact_of(new)["customFields"].values()


@pytest.mark.road
def test_s5_a_plan_made_before_the_location_went_live_is_asked_again_when_it_is_applied_at_night(salon: Rig) -> None:
    (new,) = [row["clientId"] for row in alone(salon, 1)]
    salon.edit_client(new, archived=True)
    salon.run()
    salon.edit_client(new, archived=False)
    salon.load()
    sync = salon.sync()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    assert plan.counts()["create"] == 1
    before = len(salon.contacts())
    going_live.go_live(salon.engine, salon.runtime.ghl())
    result = salon.carry_out(sync, plan, prepared)
    assert (result.reasons["deferred"], len(salon.contacts())) == ({QUIET_HOURS: 1}, before)
