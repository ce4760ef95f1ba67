"""Staff, services and products: what each branch has for itself, read whole, and what no longer being listed means."""

from collections.abc import Iterator
from typing import Any

import pytest

from phorest_ghl.assembly import open_runtime
from phorest_ghl.phorest.branches import UnknownBranch
from phorest_ghl.phorest.specs import PRODUCTS, SERVICE_CATEGORIES, SERVICES, STAFF, ImportSpec
from phorest_ghl.settings import load_settings
from phorest_ghl_tests.phorest.salon import ID_FIELDS, Salon, salon, without_nulls
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import RETRY, environment


@pytest.fixture
def shop(database: Database) -> Iterator[Salon]:
    with salon(database.url, branches=2) as made:
        yield made


def keys(shop: Salon, table: str, *, gone: bool = False) -> set[tuple[str, str]]:
    found = shop.rows(
        f"select branch_id, phorest_id from {table} where (deleted_at is not null) = :gone",  # noqa: S608
        gone=gone,
    )
    return {(row["branch_id"], row["phorest_id"]) for row in found}


def test_every_branch_s_lists_are_held_as_phorest_has_them(shop: Salon) -> None:
    importer = shop.importer()
    results = {**importer.staff(), **importer.catalogue()}
    assert all(result.complete for result in results.values())
    branches = shop.branches()
    assert keys(shop, "phorest_staff") == {(row["branchId"], row["staffId"]) for row in shop.truth("staff")}
    assert keys(shop, "phorest_products") == {(row["branchId"], row["productId"]) for row in shop.truth("products")}
    # A service has one id in all branches, and a row in each: its price is the branch's.
    shown = [row["serviceId"] for row in shop.truth("services") if not row["archived"]]
    assert keys(shop, "phorest_services") == {(branch, key) for branch in branches for key in shown}
    for kind, table in (("staff", "phorest_staff"), ("products", "phorest_products")):
        held = shop.held(table)
        assert {key: row["raw"] for key, row in held.items()} == {
            row[ID_FIELDS[kind]]: without_nulls(row) for row in shop.truth(kind)
        }


def test_a_second_import_of_the_lists_changes_no_row(shop: Salon) -> None:
    for inserted in (True, False):
        importer = shop.importer()
        results = [*importer.staff().values(), *importer.catalogue().values()]
        assert any(result.inserted for result in results) is inserted
        assert not any(result.updated or result.tombstoned for result in results)
    assert shop.rows("select * from phorest_versions") == []


def test_operators_find_their_columns_filled(shop: Salon) -> None:
    shop.importer().catalogue()
    truth = {row["productId"]: row for row in shop.truth("products")}
    for key, row in shop.held("phorest_products").items():
        wire = truth[key]
        assert float(row["stock_level"]) == wire["quantityInStock"]
        assert (row["sku"], float(row["cost_price"])) == (wire["code"], wire["reorderCost"])
        assert float(row["reorder_level"]) == wire["minQuantity"]
    minutes = {row["serviceId"]: row["duration"] for row in shop.truth("services")}
    assert all(row["duration"] == minutes[key] for key, row in shop.held("phorest_services").items())


def test_a_product_that_is_no_longer_listed_is_over_and_comes_back_when_it_is(shop: Salon) -> None:
    shop.importer().catalogue()
    product = shop.truth("products")[0]
    shop.delete("products", product["productId"])
    result = shop.importer().catalogue()["product"]
    assert (result.tombstoned, result.asked_by_id) == (1, 0)
    assert set(shop.held("phorest_products", gone=True)) == {product["productId"]}


def test_an_archived_service_is_asked_for_by_id_and_kept_as_archived(shop: Salon) -> None:
    """The list hides it, and how to ask for archived ones is unknown: absence must not look like deletion."""
    shop.importer().catalogue()
    service = next(row for row in shop.truth("services") if not row["archived"])
    shop.edit("services", service["serviceId"], archived=True)
    result = shop.importer().catalogue()["service"]
    assert (result.asked_by_id, result.tombstoned) == (2, 0)  # once a branch
    assert shop.held("phorest_services")[service["serviceId"]]["archived"] is True
    shop.delete("services", service["serviceId"])
    assert shop.importer().catalogue()["service"].tombstoned == 2


@pytest.mark.parametrize("spec", [STAFF, SERVICE_CATEGORIES, SERVICES, PRODUCTS], ids=lambda spec: spec.entity_type)
def test_an_empty_list_where_rows_were_held_ends_none_of_them(shop: Salon, spec: ImportSpec) -> None:
    importer = shop.importer()
    importer.of_branches(spec)
    held = keys(shop, spec.table.name)
    page = importer._client.page

    def empty(asked: ImportSpec, number: int, **more: Any) -> Any:
        return page(asked, 1_000, **more)

    importer._reader._client = _Instead(importer._client, empty)  # pyright: ignore[reportAttributeAccessIssue]
    result = importer.of_branches(spec)
    assert (result.suspiciously_empty, result.complete, result.tombstoned) == (True, False, 0)
    assert "listed nothing" in str(result.problem)
    assert keys(shop, spec.table.name) == held


class _Instead:
    """A client whose lists are somebody else's."""

    def __init__(self, client: Any, page: Any) -> None:
        self._client = client
        self._page = page

    def page(self, spec: ImportSpec, number: int, **more: Any) -> Any:
        found = self._page(spec, number, **more)
        return type(found)(**{**vars(found), "number": number, "total_pages": 1, "total_elements": 0})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def test_staff_of_another_branch_in_a_branch_s_list_is_left_alone(shop: Salon) -> None:
    first, second = shop.branches()
    importer = shop.importer()
    page = importer._client.page
    stranger = next(row for row in shop.truth("staff") if row["branchId"] == second)

    def both(spec: ImportSpec, number: int, *, branch_id: str = "", **more: Any) -> Any:
        mine = page(spec, number, branch_id=first, **more)
        theirs = page(spec, number, branch_id=second, **more)
        rows = mine.document.rindex(b"]"), theirs.document.index(b"[")
        document = (
            mine.document[: rows[0]]
            + b","
            + theirs.document[rows[1] + 1 : theirs.document.rindex(b"]")]
            + mine.document[rows[0] :]
        )
        total = mine.total_elements + theirs.total_elements
        return type(mine)(**{**vars(mine), "document": document, "total_elements": total, "rows": total})

    importer._reader._client = _Listing(importer._client, both)  # pyright: ignore[reportAttributeAccessIssue]
    result = importer.staff()["staff"]
    assert result.complete
    assert result.foreign > 0
    assert keys(shop, "phorest_staff") == {(row["branchId"], row["staffId"]) for row in shop.truth("staff")}
    assert (second, stranger["staffId"]) in keys(shop, "phorest_staff")


class _Listing(_Instead):
    def page(self, spec: ImportSpec, number: int, **more: Any) -> Any:
        if spec is not STAFF:
            return self._client.page(spec, number, **more)
        return self._page(spec, number, **more)


def test_a_business_without_branches_has_nothing_to_read_and_nothing_wrong(shop: Salon) -> None:
    for branch in shop.branches():
        shop.delete("branches", branch)
    importer = shop.importer()
    results = [*importer.staff().values(), *importer.catalogue().values(), shop.purchases()]
    assert importer.appointments() == []
    assert all(result.complete and result.seen == 0 for result in results)


def test_where_a_branch_is_named_only_its_lists_are_read_and_the_staff_of_all(shop: Salon, database: Database) -> None:
    first, second = shop.branches()
    environ = environment(shop.sandbox, database.url, PHOREST_BRANCH_ID=second)
    with open_runtime(load_settings(environ, None), retry=RETRY) as runtime:
        importer = runtime.importer("B")
        importer.staff()
        importer.catalogue()
        read = importer.appointments()
        assert read
        assert all(result.scope.startswith(f"{second}/") for result in read)
        assert [branch.branch_id for branch in importer.branches()] == [second], "whose sales are exported"
    for table in ("services", "service_categories", "products"):
        found = shop.rows(f"select distinct branch_id from phorest_{table}")  # noqa: S608
        assert found == [{"branch_id": second}], table
    # A stylist's number is no client's contact point, whichever branch it is found in (S12).
    assert {row["branch_id"] for row in shop.rows("select distinct branch_id from phorest_staff")} == {first, second}
    assert set(shop.held("phorest_branches")) == {first, second}


def test_a_branch_that_the_business_does_not_have_is_named_with_those_there_are(
    shop: Salon, database: Database
) -> None:
    first, second = sorted(shop.branches())
    environ = environment(shop.sandbox, database.url, PHOREST_BRANCH_ID=f"{first},elsewhere")
    said = rf"names elsewhere, which .* are: {first}, {second}\. Correct the"
    with (
        open_runtime(load_settings(environ, None), retry=RETRY) as runtime,
        pytest.raises(UnknownBranch, match=said),
    ):
        runtime.importer("B").clients()
