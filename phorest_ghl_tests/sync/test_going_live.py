"""S1: go-live takes the guard tag off every contact that we put it on, and off no other, and then the location is live."""

import pytest

from phorest_ghl.db.run_lock import LocationBusy, alone, at_work
from phorest_ghl.ghl.bulk_tags import BulkTags
from phorest_ghl.ghl.fields import GUARD_TAG
from phorest_ghl.http.errors import ApiError
from phorest_ghl.sync.going_live import NotReady, WentLive, go_live, preview
from phorest_ghl.sync.guard import guard
from phorest_ghl.sync.journal import Ledger
from phorest_ghl_tests.sync.rig import Rig

pytestmark = pytest.mark.road


def going_live(rig: Rig) -> WentLive:
    return go_live(rig.engine, rig.runtime.ghl())


def guarded_contacts(rig: Rig) -> list[str]:
    """A location with three contacts that carry the tag because of us; costs less than a whole run."""
    ghl = rig.runtime.ghl()
    ids = sorted(rig.make_contact(firstName=f"Own {n}", phone=f"+35387123{n:04}")["id"] for n in range(3))
    rig.confirm()
    assert guard(rig.engine, ghl, Ledger(ghl.location_id, "client", "batch"), ids).confirmed == set(ids)
    return ids


def location(rig: Rig) -> str:
    return rig.runtime.ghl_reader().location_id


def mode(rig: Rig) -> str:
    return rig.rows("select mode from ghl_locations")[0]["mode"]


def tagged(rig: Rig) -> set[str]:
    return {contact["id"] for contact in rig.contacts() if GUARD_TAG in contact["tags"]}


def sent(rig: Rig) -> int:
    """Messages of workflows that leave the guard tag out; the others are paused, as the operator confirmed."""
    return sum(row["sent"] and row["workflow"].endswith("guarded") for row in rig.sandbox.truth("automations"))


def test_s1_nobody_gets_a_message_until_the_first_change_after_go_live(rig: Rig) -> None:
    theirs = rig.make_contact(firstName="Theirs", phone="+353870000001", tags=[GUARD_TAG])["id"]
    rig.sandbox.control("POST", "/clock", {"advance_s": 2})  # past search's lag
    rig.run()
    ours = tagged(rig) - {theirs}
    shown = preview(rig.engine, location(rig))
    assert (shown.contacts, shown.calls, shown.others, shown.live_at) == (len(ours), 1, (theirs,), None)
    before = len(rig.sandbox.truth("automations"))
    done = going_live(rig)
    assert (done.released, done.gone, done.refused) == (len(ours), set(), {})
    assert (tagged(rig), mode(rig)) == ({theirs}, "live")
    assert done.live_at == rig.rows("select live_at from ghl_locations")[0]["live_at"]
    assert len(rig.sandbox.truth("automations")) == before  # the release itself starts nothing
    assert sent(rig) == 0
    reachable = next(c for c in rig.contacts() if c["phone"] and not c["dnd"] and c["id"] in ours)
    rig.edit_contact(reachable["id"], city="Cork", dndSettings={})
    assert sent(rig) > 0
    rig.forget_requests()
    again = going_live(rig)
    assert (again.released, again.live_at) == (0, done.live_at)
    assert rig.requests("POST", "/contacts/bulk/tags/update/{type}") == 0


def test_s1_go_live_is_refused_before_anything_was_written_and_while_a_create_is_unsettled(rig: Rig) -> None:
    with pytest.raises(NotReady, match="Nothing was written"):
        going_live(rig)
    ids = guarded_contacts(rig)
    ledger = Ledger(location(rig), "client", "batch")
    with rig.engine.begin() as connection:
        ledger.plan_intent(connection, "P1", target_kind="contact", address_keys=[], request_hash="")
        ledger.settle_intent(connection, ["P1"], "sent")
    with pytest.raises(NotReady, match=r"creates that are not settled.* is not known: P1\."):
        going_live(rig)
    assert (tagged(rig), mode(rig)) == (set(ids), "quiet")


def test_s1_go_live_waits_for_no_run_and_no_run_begins_while_it_works(rig: Rig) -> None:
    guarded_contacts(rig)
    engine, place = rig.engine, location(rig)
    with (
        at_work(engine, place),
        at_work(engine, place),  # runs work side by side
        pytest.raises(LocationBusy, match="A run is writing"),
        alone(engine, place, patience_s=0),
    ):
        pytest.fail("go-live must not begin")
    with (
        alone(engine, place),
        pytest.raises(LocationBusy, match="going live"),
        at_work(engine, place, patience_s=0),
    ):
        pytest.fail("a run must not begin")
    assert going_live(rig).live_at is not None


def test_s1_contacts_gone_from_ghl_do_not_block_and_one_that_keeps_the_tag_does(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, untagged, stuck = guarded_contacts(rig)
    rig.delete_contact(gone)
    rig.edit_contact(untagged, tags=[])
    ghl = rig.runtime.ghl()
    take_off = ghl.bulk_tags

    def refusing(ids: list[str], *args: object, **more: object) -> BulkTags:
        """GHL refuses two of them, of which one has the tag no more."""
        done = take_off([key for key in ids if key not in {stuck, untagged}], *args, **more)  # type: ignore[arg-type]
        return BulkTags({**done.answers, stuck: "no", untagged: "no"})

    monkeypatch.setattr(ghl, "bulk_tags", refusing)
    done = go_live(rig.engine, ghl)
    assert (done.gone, done.refused, done.live_at) == ({gone}, {stuck: "no"}, None)
    assert (tagged(rig), mode(rig)) == ({stuck}, "quiet")
    monkeypatch.undo()
    done = go_live(rig.engine, ghl)
    assert (done.released, done.live_at is None) == (1, False)
    assert (tagged(rig), mode(rig)) == (set(), "live")


def test_s1_what_a_dead_go_live_left_or_a_run_guarded_since_is_released_by_the_next(rig: Rig) -> None:
    late, *_ = guarded_contacts(rig)
    ghl = rig.runtime.ghl()
    rig.fault("500", "POST /contacts/bulk/tags/update/{type}", rate=1.0)
    with pytest.raises(ApiError):
        go_live(rig.engine, ghl)
    assert mode(rig) == "quiet"
    rig.calm()
    live_at = go_live(rig.engine, ghl).live_at
    ghl.bulk_tags([late], [GUARD_TAG])
    with rig.engine.begin() as connection:
        Ledger(ghl.location_id, "client", "late").guard(connection, late)
    done = go_live(rig.engine, ghl)
    assert (done.released, done.live_at) == (1, live_at)
    assert tagged(rig) == set()
