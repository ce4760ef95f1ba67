"""S1: an existing contact carries the guard tag, confirmed and on record, before anything else is written to it."""

import pytest

from phorest_ghl.ghl.fields import GUARD_TAG
from phorest_ghl.http.errors import ApiError
from phorest_ghl.sync import mirror
from phorest_ghl.sync.guard import Guarded, guard
from phorest_ghl.sync.journal import Ledger
from phorest_ghl_tests.sync.rig import Rig

pytestmark = pytest.mark.road

ROUTE = "/contacts/bulk/tags/update/{type}"


def guarded(rig: Rig, ids: list[str]) -> Guarded:
    ghl = rig.runtime.ghl()
    return guard(rig.engine, ghl, Ledger(ghl.location_id, "client", "batch"), ids)


def salon_with_an_agencys_own(rig: Rig, count: int) -> list[str]:
    """Contacts made by hand, and in the mirror."""
    ids = [rig.make_contact(firstName=f"Own {n}", phone=f"+35387123{n:04}")["id"] for n in range(count)]
    rig.sandbox.control("POST", "/clock", {"advance_s": 2})  # past search's lag
    mirror.read_back(rig.engine, rig.runtime.ghl_reader(), keyring=rig.runtime.keyring(), batch_id="batch")
    return sorted(ids)


def tagged(rig: Rig) -> set[str]:
    return {contact["id"] for contact in rig.contacts() if GUARD_TAG in contact["tags"]}


def on_record(rig: Rig) -> set[str]:
    return {row["ghl_id"] for row in rig.rows("select ghl_id from guarded_contacts where released_at is null")}


def test_s1_contacts_are_guarded_500_a_call_each_confirmed_recorded_and_none_asked_for_again(rig: Rig) -> None:
    ids = salon_with_an_agencys_own(rig, 3)
    gone, strange = ids.pop(), "x" * 20
    rig.delete_contact(gone)
    result = guarded(rig, [*ids, gone, strange])
    assert result.confirmed == tagged(rig) == on_record(rig) == set(ids)
    assert result.refused == {gone: "contact is deleted", strange: "contact does not belong to location"}
    rig.forget_requests()
    assert guarded(rig, ids).confirmed == set(ids)
    assert rig.requests("POST", ROUTE) == 0
    runs = [run for run in rig.sandbox.truth("automations") if run["trigger"] == "tag added"]
    assert {run["contact"] for run in runs} == set(ids)
    assert not [run for run in runs if run["sent"] and run["workflow"].endswith("guarded")]


def test_s1_a_contact_that_lost_the_tag_or_was_released_is_guarded_anew(rig: Rig) -> None:
    lost, released = salon_with_an_agencys_own(rig, 2)
    guarded(rig, [lost, released])
    for ghl_id in (lost, released):
        rig.edit_contact(ghl_id, tags=[])
    with rig.engine.begin() as connection:
        connection.exec_driver_sql("update ghl_contacts set tags = '[]' where ghl_id = %s", (lost,))
        connection.exec_driver_sql("update guarded_contacts set released_at = now() where ghl_id = %s", (released,))
    assert guarded(rig, [lost, released]).confirmed == tagged(rig) == on_record(rig) == {lost, released}


def test_s1_a_call_that_fails_confirms_nobody_and_one_that_would_always_fail_ends_the_run(rig: Rig) -> None:
    ids = salon_with_an_agencys_own(rig, 2)
    rig.fault("500", f"POST {ROUTE}", rate=1.0)
    result = guarded(rig, ids)
    assert (result.confirmed, set(result.refused)) == (frozenset(), set(ids))
    rig.calm()
    rig.sandbox.control("POST", "/credentials/ghl_token/rotate")
    with pytest.raises(ApiError):
        guarded(rig, ids)
    assert on_record(rig) == set()
