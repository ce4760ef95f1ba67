"""Facets of contacts against the sandbox: what a create carries, what a change costs, what a person took off."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from phorest_ghl.ghl.fields import GUARD_TAG, product_tag
from phorest_ghl.phorest.purchases import PurchaseImporter
from phorest_ghl.sync import mirror
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.going_live import go_live
from phorest_ghl.sync.parts import PARTS, Part
from phorest_ghl.sync.summary import RunResult
from phorest_ghl_tests.phorest.salon import SWIFT
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import LAG_S, Rig, Row, installation
from phorest_ghl_tests.sync.test_lifecycle import ours
from phorest_ghl_tests.sync.test_road import NOTHING

pytestmark = pytest.mark.road


@pytest.fixture
def salon(database: Database) -> Iterator[Rig]:
    with installation(database.url, clients=24, months=1) as rig:
        yield rig


def sales(rig: Rig) -> None:
    rig.sandbox.control("POST", "/clock", {"advance_s": 2})
    importer = PurchaseImporter(
        rig.engine, rig.runtime.phorest(), rig.runtime.keyring(), batch_id=new_batch_id(), pace=SWIFT
    )
    importer.run(rig.importer().branches())


def everything(rig: Rig) -> None:
    """All that facets are counted from."""
    rig.load()
    rig.importer().appointments()
    rig.importer().catalogue()
    sales(rig)


def loaded(rig: Rig) -> RunResult:
    everything(rig)
    rig.confirm()
    return rig.apply()


def look(rig: Rig) -> None:
    time.sleep(2 * LAG_S)
    mirror.read_back(rig.engine, rig.runtime.ghl(), keyring=rig.runtime.keyring(), batch_id="look")


def written(rig: Rig) -> int:
    """Requests that changed something in GHL since they were counted anew."""
    rows = rig.sandbox.control("GET", "/requests")["requests"]
    reads = ("/contacts/search", "/contacts/search/duplicate")
    return sum(
        row["count"] for row in rows if row["api"] == "ghl" and row["method"] != "GET" and row["route"] not in reads
    )


def run_of(rig: Rig, part: Part) -> RunResult:
    rig.forget_requests()
    return rig.apply(part)


def of_one_alone(rig: Rig) -> Row:
    """The contact of a client who shares it with nobody and is live; `client` is the client's id."""
    truth = {row["clientId"]: row["truth"] for row in rig.clients()}
    households = [one["household"] for one in truth.values()]
    for contact in rig.contacts():
        client = next((value for value in contact["customFields"].values() if value in truth), None)
        if client and truth[client]["syncable"] and households.count(truth[client]["household"]) == 1:
            return {**contact, "client": client}
    raise AssertionError("nobody has a contact alone")


def tags_of(rig: Rig, contact: Row) -> set[str]:
    return {tag for tag in rig.contact_of(contact["client"])["tags"] if tag != GUARD_TAG}


def test_a_first_load_carries_all_facets_in_one_create_each_and_nothing_is_left_to_do(salon: Rig) -> None:
    everything(salon)
    salon.confirm()
    salon.forget_requests()
    result = salon.apply()
    fields = len(salon.sandbox.truth("ghl/fields"))
    assert result.changes == {**NOTHING, "create": len(salon.contacts())}
    assert written(salon) == salon.requests("POST", "/contacts/") + fields == len(salon.contacts()) + fields
    held = [ours(salon, contact) for contact in salon.contacts()]
    assert {one["Phorest has next appointment"] for one in held} == {"yes", "no"}
    assert all(("Phorest next appointment" in one) == (one["Phorest has next appointment"] == "yes") for one in held)
    for name in ("visit count", "last service", "last stylist", "spend 12 months", "online bookings", "loyalty tier"):
        assert any(f"Phorest {name}" in one for one in held), name
    assert not any(tag.startswith("product:") for contact in salon.contacts() for tag in contact["tags"]), (
        "not live yet"
    )
    for part in (None, *PARTS.values()):
        salon.forget_requests()
        assert salon.apply(part).changes == NOTHING
        assert written(salon) == 0


def test_a_contact_of_before_gets_its_facets_by_one_update(salon: Rig) -> None:
    salon.run()
    assert "Phorest has next appointment" not in ours(salon, salon.contacts()[0])
    salon.importer().appointments()
    salon.forget_requests()
    result = salon.apply()
    assert salon.requests("PUT", "/contacts/{contactId}") == result.changes["update"] == len(salon.contacts())
    assert salon.apply().changes == NOTHING


def test_a_tier_that_moves_costs_one_update_and_its_tags_and_the_clients_run_finds_nothing(salon: Rig) -> None:
    loaded(salon)
    one = of_one_alone(salon)
    salon.edit_contact(one["id"], tags=[*one["tags"], "their own"])
    salon.edit_client(one["client"], loyaltyCard={"serial": "L77", "points": 1234.5})
    salon.load(full=True)
    result = run_of(salon, PARTS["loyalty"])
    assert (result.outcomes["applied"], result.outcomes["failed"], result.requests) == (1, 0, written(salon) + 1)
    assert salon.requests("PUT", "/contacts/{contactId}") == 1
    held = ours(salon, salon.contact_of(one["client"]))
    assert [held[f"Phorest loyalty {name}"] for name in ("points", "card serial", "tier")] == [1234.5, "L77", "gold"]
    assert {"loyalty:gold", "their own"} <= tags_of(salon, one)
    assert sum(tag.startswith("loyalty:") for tag in tags_of(salon, one)) == 1
    assert salon.apply().changes == NOTHING
    (row,) = salon.rows("select * from sync_run_summaries where entity_type = 'loyalty'")
    assert (row["success_count"] + row["skipped_count"] + row["failed_count"], row["status"]) == (
        row["total_count"],
        "completed",
    )


def test_s16_a_tier_tag_that_a_person_took_off_stays_off_in_every_run(salon: Rig) -> None:
    loaded(salon)
    one = of_one_alone(salon)
    assert any(tag.startswith("loyalty:") for tag in tags_of(salon, one))
    salon.edit_contact(one["id"], tags=[GUARD_TAG])
    look(salon)
    assert salon.apply(PARTS["loyalty"]).changes == NOTHING
    assert salon.apply().changes == NOTHING
    assert tags_of(salon, one) == set()


def test_s19_who_buys_after_go_live_gets_the_product_s_tag_until_the_sale_is_voided(salon: Rig) -> None:
    loaded(salon)
    go_live(salon.engine, salon.runtime.ghl())
    assert salon.apply(PARTS["products"]).changes == NOTHING, "what was bought before makes no tag"
    one = of_one_alone(salon)
    sale = next(row for row in salon.sandbox.truth("phorest/purchases") if any("productId" in i for i in row["items"]))
    tags = {product_tag(item["productName"]) for item in sale["items"] if "productId" in item}
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    path = f"/phorest/purchases/{sale['purchaseId']}"
    moved = {"clientId": one["client"], "purchasedDate": tomorrow.isoformat()}
    salon.sandbox.control("PATCH", path, moved)
    sales(salon)
    result = run_of(salon, PARTS["products"])
    assert (result.changes["update"], written(salon)) == (1, len(tags)), "bulk calls for tags, and nothing else"
    assert tags <= tags_of(salon, one)
    salon.sandbox.control("PATCH", path, {"void": True})
    sales(salon)
    run_of(salon, PARTS["products"])
    assert not tags & tags_of(salon, one)
    assert salon.apply(PARTS["products"]).changes == NOTHING
    # A person's removal stands, even though the sale counts again.
    salon.sandbox.control("PATCH", path, {"void": False})
    sales(salon)
    run_of(salon, PARTS["products"])
    salon.edit_contact(one["id"], tags=[])
    look(salon)
    assert salon.apply(PARTS["products"]).changes == NOTHING


def test_s18_a_clear_that_ghl_ignores_is_backed_up_by_a_no(salon: Rig) -> None:
    loaded(salon)
    truth = {row["clientId"]: row.get("mergedToClientId") for row in salon.clients()}
    # Not one to whom others were merged: what they booked is theirs too.
    alone = truth.keys() - set(truth.values())
    client = next(
        value
        for contact in salon.contacts()
        if "Phorest next appointment" in ours(salon, contact)
        for value in contact["customFields"].values()
        if value in alone
    )
    for row in salon.sandbox.truth("phorest/appointments"):
        if row.get("clientId") == client:
            salon.sandbox.control(
                "PATCH", f"/phorest/appointments/{row['appointmentId']}", {"activationState": "CANCELED"}
            )
    salon.sandbox.control("POST", "/clock", {"advance_s": 2})
    salon.importer().appointments()
    salon.fault("clear_ignored", "PUT /contacts/{contactId}", count=9)
    salon.apply()
    after = ours(salon, salon.contact_of(client))
    assert after["Phorest has next appointment"] == "no"
    assert [f["kind"] for f in salon.rows("select kind from audit_findings")] == ["GHL did not keep a field"]
    assert salon.apply().changes == NOTHING, "not sent again until it changes"
