"""Staff, services, products, loyalty, sales, exports (facts/phorest-api §7.3, §7.4, §7.7, §7.8, §8)."""

import csv
import io
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from phorest_ghl.sandbox.phorest import exports
from phorest_ghl.sandbox.wire import Request
from phorest_ghl_tests.sandbox.driver import Driver


def _rows(drive: Driver, path: str, key: str, **query: object) -> list[dict[str, Any]]:
    answer = drive.phorest("GET", path, query={"size": 200, **query})
    assert answer.status == 200, answer.json
    return answer.json.get("_embedded", {}).get(key, [])


def test_staff_come_under_staffs_with_pseudo_staff_among_them(drive: Driver) -> None:
    answer = drive.phorest("GET", "{b}/staff").json
    assert set(answer["_embedded"]) == {"staffs"}
    rows = _rows(drive, "{b}/staff", "staffs")
    assert len(_rows(drive, "{b}/staff", "staffs", fetch_archived="true")) == len(rows) + 1
    assert sum(row["userId"] is None for row in rows) == 3
    assert not {"updatedAt", "version", "createdAt"} & set(rows[0])
    broken = [
        row
        for row in rows
        if row["userId"] and ("@" not in str(row["email"]).strip("@") or not row["mobile"] or len(row["mobile"]) < 8)
    ]
    assert len(broken) >= 2
    assert drive.phorest("GET", f"{{b}}/staff/{rows[0]['staffId']}").json == rows[0]


def test_a_person_who_works_in_two_branches_has_one_user_id_and_two_staff_ids() -> None:
    drive = Driver(clients=20, branches=2)
    one, two = (_rows(drive, f"/branch/{key}/staff", "staffs") for key in drive.world.phorest["branches"].rows)
    shared = {row["userId"] for row in one} & {row["userId"] for row in two} - {None}
    assert len(shared) == 2
    assert not {row["staffId"] for row in one} & {row["staffId"] for row in two}
    drive.switch(phorest_foreign_staff=True)
    assert len({row["branchId"] for row in _rows(drive, "{b}/staff", "staffs")}) == 2


def test_payment_types_come_without_an_envelope(drive: Driver) -> None:
    assert set(drive.phorest("GET", "{b}/paymenttype").json) == {"paymentTypes"}


def test_the_staff_delta_filters_though_rows_show_no_date(drive: Driver) -> None:
    assert _rows(drive, "{b}/staff", "staffs", updatedAfter="2199-01-01T00:00:00.000Z") == []
    key = next(iter(drive.world.phorest["staff"].rows))
    drive.control("PATCH", f"/phorest/staff/{key}", {"notes": "x"})
    assert [row["staffId"] for row in _rows(drive, "{b}/staff", "staffs", updatedAfter="2020-01-01T00:00:00.000Z")] == [
        key
    ]


def test_services_have_no_delta_and_archived_ones_only_read_singly(drive: Driver) -> None:
    rows = _rows(drive, "{b}/service", "services")
    assert len(_rows(drive, "{b}/service", "services", updatedAfter="2199-01-01T00:00:00.000Z")) == len(rows)
    archived = next(key for key, row in drive.world.phorest["services"].rows.items() if row["archived"])
    assert archived not in {row["serviceId"] for row in rows}
    assert drive.phorest("GET", f"{{b}}/service/{archived}").json["archived"] is True
    category = rows[0]["categoryId"]
    assert {row["categoryId"] for row in _rows(drive, "{b}/service", "services", category_id=category)} == {category}
    assert _rows(drive, "{b}/service", "services", service_type="addons_only") == []
    assert {"No show", "Storno"} <= {row["name"] for row in rows}
    assert len(_rows(drive, "{b}/service-category", "serviceCategories")) == 4


def test_services_are_the_same_in_all_branches_and_staff_and_products_are_not() -> None:
    drive = Driver(clients=20, branches=2)
    one, two = (f"/branch/{key}" for key in drive.world.phorest["branches"].rows)
    assert _rows(drive, f"{one}/service", "services") == _rows(drive, f"{two}/service", "services")
    for path, key, name in (("staff", "staffs", "staffId"), ("product", "products", "productId")):
        ids = [{row[name] for row in _rows(drive, f"{branch}/{path}", key)} for branch in (one, two)]
        assert ids[0]
        assert ids[0].isdisjoint(ids[1])


def test_products_filter_by_the_pair_of_names_that_the_switch_says_and_need_both(drive: Driver) -> None:
    rows = _rows(drive, "{b}/product", "products")
    far = {"updatedAfter": "2199-01-01T00:00:00.000Z", "updatedBefore": "2199-02-01T00:00:00.000Z"}
    assert _rows(drive, "{b}/product", "products", **far) == []
    assert drive.phorest("GET", "{b}/product", query={"updatedAfter": far["updatedAfter"]}).status == 400
    drive.switch(phorest_product_filter="updated_from")
    assert len(_rows(drive, "{b}/product", "products", **far)) == len(rows), (
        "then the other names are unknown and ignored"
    )
    assert any(not row["updatedAt"].endswith(".000Z") for row in rows), "products print real milliseconds"
    assert all(row["archived"] for row in _rows(drive, "{b}/product", "products", archivedOnly="true"))
    assert all(row["quantityInStock"] <= 0 for row in _rows(drive, "{b}/product", "products", outOfStock="true"))


def test_the_id_of_a_category_goes_by_either_name(drive: Driver) -> None:
    assert "clientCategoryId" in _rows(drive, "/category/client", "clientCategories")[0]
    drive.switch(phorest_category_key="categoryId")
    row = _rows(drive, "/category/client", "clientCategories")[0]
    assert "clientCategoryId" not in row
    assert drive.phorest("GET", f"/category/client/{row['categoryId']}").json == row
    assert len(_rows(drive, "/category/client", "clientCategories", includeArchived="true")) == 10
    assert len(_rows(drive, "/category/client", "clientCategories")) == 9


def test_the_rota_is_a_window_of_at_most_one_month(drive: Driver) -> None:
    window = {"from_date": "2026-01-01", "to_date": "2026-01-31"}
    rows = _rows(drive, "{b}/staff/worktimetable", "workTimeTables", **window)
    assert {len(row["timeSlots"]) for row in rows} == {31}
    assert drive.phorest("GET", "{b}/staff/worktimetable", query={**window, "to_date": "2026-02-01"}).status == 400


def test_loyalty_changes_the_balance_and_bumps_the_client_only_by_switch(drive: Driver) -> None:
    key, row = next(iter(drive.world.phorest["clients"].rows.items()))
    body = {
        "clientId": key,
        "branchId": drive.branch,
        "description": "gift",
        "pointsChange": 15,
        "operationType": "ADD",
    }
    assert drive.phorest("POST", "/loyaltypoints", body).status == 200
    after = drive.phorest("GET", f"/client/{key}").json
    assert after["loyaltyCard"]["points"] == row["loyaltyCard"]["points"] + 15
    assert (after["updatedAt"], after["version"]) == (row["updatedAt"], row["version"])
    drive.switch(phorest_loyalty_bumps_updated_at=True)
    drive.phorest("POST", "/loyaltypoints", body | {"operationType": "DEDUCT"})
    assert drive.phorest("GET", f"/client/{key}").json["version"] == row["version"] + 1
    assert drive.phorest("POST", "/loyaltypoints", body | {"pointsChange": -1}).status == 400
    assert drive.phorest("POST", "/loyaltypoints", body | {"clientId": "unknown"}).status == 404


def test_a_sale_pays_its_appointment_and_must_cover_the_total() -> None:
    drive = Driver(clients=40, months=2, now=datetime(2026, 5, 20, 10, tzinfo=UTC))
    row = next(
        row
        for row in drive.world.appointments.rows.values()
        if row.get("state") == "BOOKED" and row.get("price") and not row["deleted"]
    )
    body = {"clientId": row.get("clientId"), "items": [{"appointment": {"appointmentId": row["appointmentId"]}}]}
    assert drive.phorest("POST", "{b}/purchase", body | {"payments": [{"type": "CASH", "amount": 0.5}]}).status == 400
    paid = drive.phorest("POST", "{b}/purchase", body | {"payments": [{"type": "CREDIT", "amount": row["price"] + 5}]})
    assert paid.status == 201
    assert set(paid.json) == {"purchaseId", "transactionNumber"}
    assert drive.phorest("GET", f"{{b}}/appointment/{row['appointmentId']}").json["state"] == "PAID"
    assert drive.phorest("GET", "{b}/purchase").status == 405, "sales cannot be read back"
    assert (
        drive.phorest("POST", "{b}/purchase", body | {"payments": [{"type": "BITCOIN", "amount": 900}]}).status == 400
    )


# --- exports --------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop() -> Driver:
    """A salon with sales."""
    return Driver(clients=200, months=3, now=datetime(2026, 5, 20, 10, tzinfo=UTC))


def _export(drive: Driver, **body: object) -> dict[str, Any]:
    made = drive.phorest("POST", "{b}/csvexportjob", body)
    assert made.status == 200, made.json
    return drive.phorest("GET", f"{{b}}/csvexportjob/{made.json['jobId']}").json


def _file(drive: Driver, url: str, **headers: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    reply = exports.download(drive.world, Request("GET", parts.path, parts.query, headers))
    return reply.status, reply.encoded()


def test_a_transactions_export_has_one_row_per_sold_item(shop: Driver) -> None:
    job = _export(shop, jobType="TRANSACTIONS_CSV", startFilter="2026-04-01", finishFilter="2026-04-30")
    assert job["jobStatus"] == "DONE"
    status, body = _file(shop, job["tempCsvExternalUrl"])
    rows = list(csv.DictReader(io.StringIO(body.decode())))
    assert (status, len(rows)) == (200, job["totalRows"])
    assert {row["purchased_date"][:7] for row in rows} == {"2026-04"}
    assert {row["item_type"] for row in rows} == {"SERVICE", "PRODUCT"}
    assert all(row["product_id"] in shop.world.phorest["products"] for row in rows if row["item_type"] == "PRODUCT")


def test_a_filter_expression_bounds_the_update_from_both_sides(shop: Driver) -> None:
    expression = "updated=<2026-04-20T00:00:00.000Z&updated=>2026-04-10T00:00:00.000Z"
    job = _export(shop, jobType="TRANSACTIONS_CSV", filterExpression=expression)
    rows = list(csv.DictReader(io.StringIO(_file(shop, job["tempCsvExternalUrl"])[1].decode())))
    assert rows
    assert all("2026-04-10" <= row["purchase_updated_at"][:10] < "2026-04-20" for row in rows)
    assert (
        shop.phorest("POST", "{b}/csvexportjob", {"jobType": "CLIENT_CSV", "filterExpression": "changed>2020"}).status
        == 400
    )


def test_no_records_is_a_failed_or_done_job_without_a_file(shop: Driver) -> None:
    for status in ("FAILED", "DONE"):
        shop.switch(phorest_no_rows_export=status)
        job = _export(shop, jobType="TRANSACTIONS_CSV", startFilter="2001-01-01", finishFilter="2001-01-02")
        assert (job["jobStatus"], job["failureReason"]) == (status, "No records found")
        assert "tempCsvExternalUrl" not in job


def test_a_job_runs_for_a_while(shop: Driver) -> None:
    shop.switch(phorest_export_seconds=60.0)
    job = _export(shop, jobType="CLIENT_CSV")
    assert (job["jobStatus"], job.get("tempCsvExternalUrl")) == ("RUNNING", None)


def test_the_file_is_fetched_by_its_signature_alone(shop: Driver) -> None:
    url = _export(shop, jobType="CLIENT_CSV")["tempCsvExternalUrl"]
    assert _file(shop, url)[0] == 200
    assert _file(shop, url, authorization="Basic x")[0] == 400
    assert _file(shop, url[:-1])[0] == 403


def test_a_client_export_is_dirty_as_observed(shop: Driver) -> None:
    body = _file(shop, _export(shop, jobType="CLIENT_CSV")["tempCsvExternalUrl"])[1]
    with pytest.raises(UnicodeDecodeError):
        body.decode()
    rows = list(csv.DictReader(io.StringIO(body.decode("utf-8", "replace"))))
    ids = [row["client_id"] for row in rows]
    assert len(ids) > len(set(ids)) == 201, "some clients are on two lines"
    assert {len(row["updated_at"]) for row in rows} == {10}
    assert {row["archived"] for row in rows} == {"0", "1"}
    assert any(row["merged_to_client_id"] for row in rows)


def test_an_unknown_type_of_export_is_400(shop: Driver) -> None:
    assert shop.phorest("POST", "{b}/csvexportjob", {"jobType": "EVERYTHING_CSV"}).status == 400


def test_credit_and_stock_change_by_their_own_endpoints(drive: Driver) -> None:
    key = next(iter(drive.world.phorest["clients"].rows))
    body = {"clientId": key, "branchId": drive.branch, "description": "refund", "transactionAmount": -12.5}
    before = (drive.phorest("GET", f"/client/{key}").json.get("creditAccount") or {"outstandingBalance": 0.0})[
        "outstandingBalance"
    ]
    assert drive.phorest("POST", "/creditaccounttransaction", body).json["outstandingBalance"] == before - 12.5
    assert drive.phorest("POST", "/creditaccounttransaction", body | {"clientId": "x"}).status == 404
    product = next(row for row in drive.world.phorest["products"].rows.values() if row["barcode"])
    stocks = {"stocks": [{"barcodes": [product["barcode"], "nobody's"], "quantity": -2, "reason": "broken"}]}
    assert drive.phorest("POST", "{b}/stock/adjustment", stocks).status == 204
    assert (
        drive.world.phorest["products"].rows[product["productId"]]["quantityInStock"] == product["quantityInStock"] - 2
    )


def test_a_sale_takes_products_by_id_or_barcode_and_anything_else_by_price(drive: Driver) -> None:
    product = next(
        row for row in drive.world.phorest["products"].rows.values() if row["barcode"] and not row["archived"]
    )
    for wish in ({"productId": product["productId"]}, {"barcode": product["barcode"], "quantity": 2}):
        body = {"items": [{"product": wish}, {"voucher": {"price": 20}}], "payments": [{"type": "CASH", "amount": 500}]}
        assert drive.phorest("POST", "{b}/purchase", body).status == 201
    sale = list(drive.world.phorest["purchases"].rows.values())[-1]
    assert [(item["type"], item["quantity"]) for item in sale["items"]] == [("PRODUCT", 2), ("VOUCHER", 1)]
    assert int(sale["transactionNumber"]) == 2
    for items, status in (([], 400), ([{}], 400), ([{"product": {"productId": "x"}}], 404)):
        assert drive.phorest("POST", "{b}/purchase", {"items": items, "payments": []}).status == status
    other = {"items": [{"voucher": {"price": 1}}], "payments": [{"type": "OTHER", "amount": 1}]}
    assert drive.phorest("POST", "{b}/purchase", other).status == 400
