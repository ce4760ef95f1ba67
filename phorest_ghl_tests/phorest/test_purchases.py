"""Sales from the CSV export: jobs that take time or fail, links that expire, and dirt in the file."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Self

import orjson
import pytest

from phorest_ghl.http.errors import ApiError
from phorest_ghl.phorest import purchases
from phorest_ghl.phorest.exports import ExportFailed
from phorest_ghl.phorest.purchase_lines import Purchase
from phorest_ghl.phorest.results import ImportResult
from phorest_ghl_tests.phorest.salon import Salon, salon
from phorest_ghl_tests.support.databases import Database

HEAD = "transaction_id,transaction_item_id,branch_id,purchased_date,purchase_updated_at,description,total_amount,void\n"


@pytest.fixture
def shop(database: Database) -> Iterator[Salon]:
    with salon(database.url, branches=2, clients=400, months_back=1) as made:
        yield made


def sales(shop: Salon, *, full: bool = False, client: Any = None) -> ImportResult:
    shop.pass_time()
    return shop.purchases(full=full, client=client)


def test_every_item_sold_is_one_row_under_its_branch(shop: Salon) -> None:
    result = sales(shop)
    assert result.complete
    truth = {item["itemId"]: (sale, item) for sale in shop.truth("purchases") for item in sale["items"]}
    held = shop.held("phorest_purchases")
    assert held.keys() == truth.keys()
    for key, (sale, item) in truth.items():
        row = held[key]
        assert (row["branch_id"], row["transaction_id"]) == (sale["branchId"], sale["transactionNumber"])
        assert (row["client_id"], row["total_amount"]) == (sale["clientId"], Decimal(str(item["total"])))
        assert (row["purchased_date"].isoformat(), row["voided"]) == (sale["purchasedDate"], False)
        assert row["product_id"] == item.get("productId")


def test_the_next_export_asks_for_what_changed_and_a_void_is_seen(shop: Salon) -> None:
    sales(shop)
    sale = shop.truth("purchases")[0]
    shop.edit("purchases", sale["purchaseId"], void=True)
    result = sales(shop)
    assert result.lower is not None
    assert (result.updated, result.inserted) == (len(sale["items"]), 0)
    held = shop.held("phorest_purchases")
    assert all(held[item["itemId"]]["voided"] for item in sale["items"])
    assert sales(shop).updated == 0
    assert len(shop.rows("select * from phorest_versions where entity_type = 'purchase'")) == len(sale["items"])


@pytest.mark.parametrize("status", ["DONE", "FAILED"])
def test_nothing_to_export_is_no_failure_in_either_form(shop: Salon, status: str) -> None:
    sales(shop)
    shop.pass_time(7 * 24 * 3600)
    cursors = shop.rows("select scope, watermark from import_cursors where entity_type = 'purchase' order by 1")
    with shop.engine.begin() as connection:
        connection.exec_driver_sql("update import_cursors set watermark = now() + interval '6 days'")
    shop.switch(phorest_no_rows_export=status)
    result = sales(shop)
    assert (result.complete, result.seen) == (True, 0)
    assert len(cursors) == 2


def test_a_whole_export_without_rows_where_sales_are_held_is_not_believed(shop: Salon) -> None:
    sales(shop)
    for sale in shop.truth("purchases"):
        shop.delete("purchases", sale["purchaseId"])
    result = sales(shop, full=True)
    assert (result.suspiciously_empty, result.complete) == (True, False)
    assert shop.held("phorest_purchases")


def test_a_job_that_is_not_ready_in_time_is_a_sentence(shop: Salon) -> None:
    shop.switch(phorest_export_seconds=60.0)
    with pytest.raises(ExportFailed, match=r"was not ready after 0\.05 seconds\. Nothing was imported"):
        sales(shop)


def test_a_call_for_a_job_that_fails_for_a_moment_is_made_again(shop: Salon) -> None:
    shop.fault("503", "POST /branch/{branchId}/csvexportjob", count=1)
    shop.fault("502", "GET /branch/{branchId}/csvexportjob/{jobId}", count=1)
    assert sales(shop).complete


# --- a file of the test's own


class Store:
    """An object store that gives out one file, and answers 400 to whoever sends credentials along."""

    def __init__(self, content: bytes) -> None:
        outer, self.content, self.statuses = self, content, list[int]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status = outer.statuses.pop(0) if outer.statuses else 200
                if "authorization" in self.headers:
                    status = 400
                self.send_response(status)
                self.send_header("content-length", str(len(outer.content)))
                self.end_headers()
                self.wfile.write(outer.content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/file?signature=secret-signature"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Jobs:
    """A client whose export jobs end as told."""

    def __init__(self, client: Any, **job: Any) -> None:
        self._client = client
        self.job = {"jobId": "J", "jobStatus": "DONE", **job}

    def create_export(self, branch_id: str, body: object) -> bytes:
        return orjson.dumps(self.job)

    def read_export(self, branch_id: str, job_id: str) -> bytes:
        return orjson.dumps(self.job)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def line(item: str, *, text: str = "Cut", total: str = "45.00", changed: str = "2026-01-01T10:00:00.000Z") -> str:
    return f"1,{item},,2026-01-01,{changed},{text},{total},0\n"


@pytest.fixture
def plain(database: Database) -> Iterator[Salon]:
    with salon(database.url) as made:
        yield made


def load(plain: Salon, content: bytes, **job: Any) -> ImportResult:
    with Store(content) as store:
        return sales(plain, client=Jobs(plain.client, tempCsvExternalUrl=store.url, **job))


def test_bytes_that_are_no_utf_8_cost_a_character_and_no_row(plain: Salon) -> None:
    content = (HEAD + line("A", text="Cut \xa7 blow") + line("B", text="\x00\\u0000")).encode("latin-1")
    assert load(plain, content, totalRows=2).complete
    held = plain.held("phorest_purchases")
    assert held["A"]["description"] == "Cut \ufffd blow"
    assert held["B"]["description"] == "\ufffd\\u0000"


def test_of_a_doubled_row_the_newer_one_stays_whatever_their_order_or_distance(
    plain: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purchases, "CHUNK_ROWS", 2)
    old, new = line("A", total="1.00"), line("A", total="2.00", changed="2026-01-02T10:00:00.000Z")
    content = HEAD + old + new + line("B") + line("C") + line("D") + old
    assert load(plain, content.encode(), totalRows=6).complete
    held = plain.held("phorest_purchases")
    assert (len(held), held["A"]["total_amount"]) == (4, Decimal(2))


def test_quoted_line_breaks_and_commas_are_part_of_the_value(plain: Salon) -> None:
    content = HEAD + line("A", text='"wash, cut\nand ""blow"""') + line("B")
    assert load(plain, content.encode(), totalRows=2).complete
    assert plain.held("phorest_purchases")["A"]["description"] == 'wash, cut\nand "blow"'


def test_a_line_without_an_id_is_set_aside_and_an_odd_value_only_left_out(plain: Salon) -> None:
    content = HEAD + line("", text="lost") + line("A", total="a lot") + line("B", changed="yesterday")
    result = load(plain, content.encode(), totalRows=3)
    assert (result.complete, result.seen) == (True, 2)
    assert dict(result.odd_fields) == {"total_amount": 1, "purchase_updated_at": 1}
    held = plain.held("phorest_purchases")
    assert held["A"]["total_amount"] is None
    assert held["A"]["raw"]["total_amount"] == "a lot"
    ((item),) = plain.rows("select phorest_id, reason from work_items")
    assert item == {"phorest_id": "row 0", "reason": "the line has no usable transaction_item_id"}


def test_an_id_that_no_text_can_hold_is_named_without_what_cannot_be_held(plain: Salon) -> None:
    content = HEAD + line("A\0", total="1e400000") + f"{line('B')}".replace("1,B", ",B\0") + line("C")
    result = load(plain, content.encode(), totalRows=3)
    assert result.set_aside == ("A\ufffd", "B\ufffd")
    assert set(plain.held("phorest_purchases")) == {"C"}


def test_a_value_that_postgresql_refuses_sets_its_row_aside(plain: Salon) -> None:
    content = HEAD + line("A") + line("B", total="1e400000") + line("C")
    result = load(plain, content.encode(), totalRows=3)
    assert (result.complete, result.set_aside) == (True, ("B",))
    assert set(plain.held("phorest_purchases")) == {"A", "C"}


def test_a_file_that_is_shorter_than_phorest_says_keeps_the_cursor(plain: Salon) -> None:
    result = load(plain, (HEAD + line("A")).encode(), totalRows=2)
    assert not result.complete
    assert plain.rows("select * from import_cursors where entity_type = 'purchase'") == []
    assert set(plain.held("phorest_purchases")) == {"A"}


@pytest.mark.parametrize("content", [b"", (HEAD + line("A") + '1,"broken').encode()], ids=["empty", "broken"])
def test_a_file_that_is_no_csv_is_a_sentence(plain: Salon, content: bytes) -> None:
    with pytest.raises(ExportFailed, match="is no CSV from beginning to end"):
        load(plain, content, totalRows=2)


def test_a_job_that_failed_is_a_sentence_with_its_id(plain: Salon) -> None:
    with pytest.raises(ExportFailed, match=r"could not export the sales of branch \S+ \(job J\)"):
        sales(
            plain, client=Jobs(plain.client, jobStatus="FAILED", failureReason="Internal problem of jane@doe.example")
        )


def test_an_answer_that_is_no_job_is_a_sentence(plain: Salon) -> None:
    jobs = Jobs(plain.client)
    jobs.job = {"status": "fine"}
    with pytest.raises(ExportFailed, match="is no export job"):
        sales(plain, client=jobs)


def test_a_link_that_fails_is_tried_again_and_never_shown(plain: Salon) -> None:
    with Store((HEAD + line("A")).encode()) as store:
        store.statuses = [403, 500]
        assert sales(plain, client=Jobs(plain.client, totalRows=1, tempCsvExternalUrl=store.url)).complete
        store.statuses = [403, 403, 403]
        with pytest.raises(ExportFailed, match=r"\(status 403; tried 3 times\)") as failed:
            sales(plain, full=True, client=Jobs(plain.client, totalRows=1, tempCsvExternalUrl=store.url))
    assert "signature" not in str(failed.value)


def test_a_link_that_leads_nowhere_is_a_sentence(plain: Salon) -> None:
    with pytest.raises(ExportFailed, match="could not be fetched"):
        sales(plain, client=Jobs(plain.client, totalRows=1, tempCsvExternalUrl="http://127.0.0.1:9/file"))


def test_a_wrong_password_is_the_vendor_s_answer(plain: Salon) -> None:
    plain.importer().clients()
    plain.sandbox.control("POST", "/credentials/phorest_secret/rotate")
    with pytest.raises(ApiError, match="check the credentials"):
        sales(plain)


def test_a_line_s_flags_and_version_are_read_as_the_file_means_them() -> None:
    item, odd = Purchase.of_line(
        {
            "transaction_id": "1",
            "transaction_item_id": "A",
            "void": "1",
            "purchase_updated_at": "1970-01-01T00:00:01.5Z",
        }
    )
    assert isinstance(item, Purchase)
    assert odd == ()
    assert (item.void, item.online_booking, item.columns()["version"]) == (True, False, 1500)
