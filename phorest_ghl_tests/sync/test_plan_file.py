"""A plan that a person has read is carried out as it was read, or not at all."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from phorest_ghl.commands.plan_files import sealed
from phorest_ghl.commands.reports import plan_document
from phorest_ghl.sync.plan import Plan
from phorest_ghl.sync.plan_file import CAME_LATER, PlanFile, PlanNotUsable, StalePlan, held_to, read
from phorest_ghl.sync.plan_page import plan_page
from phorest_ghl_tests.sync.rig import Rig, installation

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database

pytestmark = pytest.mark.road


@pytest.fixture
def rig(database: "Database") -> Iterator[Rig]:
    with installation(database.url, clients=40, seed=2) as made:
        made.load()
        made.confirm()
        yield made


def made(rig: Rig, *, values: bool = False) -> tuple[Plan, dict[str, Any]]:
    sync = rig.sync()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    document = plan_document(plan, prepared, rig.runtime.settings, values=values)
    return plan, sealed(document, plan, rig.runtime.settings, "clients")


def as_file(rig: Rig, document: dict[str, Any]) -> PlanFile:
    return read(orjson.dumps(document), rig.runtime.keyring(), location_id=str(rig.runtime.settings.ghl_location_id))


def carried_out(rig: Rig, file: PlanFile) -> Any:
    sync = rig.sync()
    prepared = sync.prepare()
    return rig.carry_out(sync, held_to(file, sync.plan(prepared), rig.runtime.keyring()), prepared)


def test_a_plan_is_carried_out_as_it_was_read_and_what_came_up_since_waits(rig: Rig) -> None:
    plan, document = made(rig)
    client = plan.changes[0].phorest_id
    everybody = {item for change in plan.changes for item in change.item_ids}
    new = next(row for row in rig.clients() if row["archived"] and row["truth"]["phone"] and not row["deleted"])
    rig.edit_client(new["clientId"], archived=False)
    rig.load()
    result = carried_out(rig, as_file(rig, document))
    assert result.outcomes["applied"] == len(everybody)
    assert result.reasons["deferred"] == {CAME_LATER: 1}
    assert len(rig.contacts()) == len(plan.changes)
    assert rig.contact_of(client)
    rig.apply()
    assert rig.contact_of(new["clientId"])
    rig.check_everyone_is_on_one_contact()


def test_a_plan_of_which_one_record_has_moved_is_refused_whole_and_names_the_record(rig: Rig) -> None:
    plan, document = made(rig)
    moved, gone = plan.changes[0].phorest_id, plan.changes[1].phorest_id
    rig.edit_client(moved, firstName="Hildegard")
    rig.edit_client(gone, archived=True)
    rig.load()
    with pytest.raises(StalePlan) as refused:
        carried_out(rig, as_file(rig, document))
    assert f"2 of its {len(plan.changes)} changes" in str(refused.value)
    assert f"{moved} (would be written otherwise)" in str(refused.value)
    assert f"{gone} (archived)" in str(refused.value)
    assert "Hildegard" not in str(refused.value)
    assert rig.contacts() == []


def test_a_plan_is_carried_out_once(rig: Rig) -> None:
    _, document = made(rig)
    carried_out(rig, as_file(rig, document))
    there = len(rig.contacts())
    with pytest.raises(StalePlan, match="unchanged"):
        carried_out(rig, as_file(rig, document))
    assert len(rig.contacts()) == there


def test_a_file_that_was_changed_or_is_anothers_is_no_plan(rig: Rig) -> None:
    _, document = made(rig)
    assert len(as_file(rig, document).changes) == len(document["changes"])
    keyring = rig.runtime.keyring()
    shorter = {**document, "changes": document["changes"][1:]}
    with pytest.raises(PlanNotUsable, match="was changed after it was made"):
        as_file(rig, shorter)
    with pytest.raises(PlanNotUsable, match="one of location"):
        read(orjson.dumps(document), keyring, location_id="another")
    for content in (b"{}", b"[1]", b"no plan", orjson.dumps(document)[:-20]):
        with pytest.raises(PlanNotUsable, match="no plan, or was cut short"):
            read(content, keyring, location_id="any")


def test_the_page_is_one_file_with_ids_and_rules_and_no_value_of_anybody(rig: Rig) -> None:
    plan, document = made(rig)
    _, plain = made(rig, values=True)
    assert [row["hash"] for row in document["changes"]] == [row["hash"] for row in plain["changes"]]
    html = plan_page(document)
    assert plan.changes[0].phorest_id in html
    assert "three-way" in html
    assert not [mark for mark in ("http://", "https://", "<script", "<link", "src=") if mark in html]
    for row in rig.clients():
        for value in (row["truth"]["phone"], row["truth"]["email"]):
            assert value is None or value not in html
