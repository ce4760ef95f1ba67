"""CSV export jobs and the files they make (facts/phorest-api §8.5).

Belongs here: jobs, their files and the dirt in them. Does not belong here: the rows' own resources.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.clock import phorest_instant
from phorest_ghl.sandbox.phorest.common import Call, parse_instant, refuse, route
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply, Request
from phorest_ghl.sandbox.world import World

DOWNLOADS = "/__exports__/"
_TYPES = (
    "TRANSACTIONS_CSV", "SUNDRIES_CSV", "DATEV_CSV", "CLIENT_COURSES_CSV", "CLIENT_COURSE_TRANSACTIONS_CSV",
    "CLIENT_CSV",
)  # fmt: skip
_JOB: w.Shape = {
    "jobType": w.choice(*_TYPES).needed(),
    **dict.fromkeys(["startFilter", "finishFilter", "filterExpression"], w.STR_OR_NULL),
}
_BOUND = re.compile(r"updated=([<>])(.+)")
_CLIENT_TEXTS = {
    "client_id": "clientId", "version": "version", "first_name": "firstName", "last_name": "lastName",
    "mobile": "mobile", "linked_client_mobile": "linkedClientMobile", "land_line": "landLine", "email": "email",
    "birth_date": "birthDate", "gender": "gender", "merged_to_client_id": "mergedToClientId",
    "client_since": "clientSince", "first_visit": "firstVisit", "last_visit": "lastVisit", "notes": "notes",
    "photo_url": "photoUrl", "preferred_staff_id": "preferredStaffId", "external_id": "externalId",
    "creating_branch_id": "creatingBranchId",
}  # fmt: skip
_CLIENT_FLAGS = {
    "sms_marketing_consent": "smsMarketingConsent", "email_marketing_consent": "emailMarketingConsent",
    "sms_reminder_consent": "smsReminderConsent", "email_reminder_consent": "emailReminderConsent",
    "archived": "archived", "deleted": "deleted", "banned": "banned",
}  # fmt: skip
_ADDRESS = {
    "street_address_1": "streetAddress1", "street_address_2": "streetAddress2", "city": "city", "state": "state",
    "postal_code": "postalCode", "country": "country",
}  # fmt: skip
TRANSACTION_COLUMNS = (
    "transaction_id", "transaction_item_id", "branch_id", "branch_name", "purchased_date", "purchase_time",
    "purchase_updated_at", "client_id", "client_first_name", "client_last_name", "client_email", "client_source",
    "staff_id", "staff_first_name", "staff_last_name", "item_type", "description", "quantity", "unit_price",
    "original_price", "discount_type", "discount_amount", "net_price", "gross_price", "tax_rate", "tax_amount",
    "net_total_amount", "gross_total_amount", "total_amount", "service_id", "service_name", "product_id",
    "product_name", "product_barcode", "product_brand_name", "product_category_name", "appointment_id",
    "appointment_date", "payment_type_names", "payment_type_amounts", "loyalty_points_awarded", "phorest_tips",
    "staff_tips", "online_booking", "void", "void_reason", "voided_transaction_id", "open_sale",
    "outstanding_balance_pmt",
)  # fmt: skip


def create_job(call: Call) -> Reply:
    """A job that runs for a while and then has a file, or none for want of rows."""
    body = call.body()
    bounds = _bounds(body.get("filterExpression"))
    key = call.world.new_phorest_id()
    row: Row = {
        "jobId": key, "jobType": body["jobType"], "branchId": call.ids[0],
        "started": phorest_instant(call.world.clock.now()), "startFilter": body.get("startFilter"),
        "finishFilter": body.get("finishFilter"), "filterExpression": body.get("filterExpression"), "bounds": bounds,
        "due": call.world.clock.seconds() + call.world.switches.phorest_export_seconds, "secret": call.world.trace(),
    }  # fmt: skip
    call.store("export_jobs").put(key, row)
    return Reply(200, _shown(call, row))


def _bounds(expression: Any) -> list[list[str]]:
    """Parts such as `updated=>` and an instant, joined by `&`; anything else is refused."""
    found: list[list[str]] = []
    for part in str(expression or "").split("&"):
        match = _BOUND.fullmatch(part)
        if part and (match is None or parse_instant(match[2]) is None):
            refuse(400, "filterExpression must look like updated=>2025-01-31T00:00:00.000Z", "INVALID_BODY")
        if match is not None:
            found.append([match[1], match[2]])
    return found


def read_job(call: Call) -> Reply:
    """The job as it stands."""
    row = call.store("export_jobs").get(call.ids[1])
    if row is None:
        refuse(404, "Export job not found", "NOT_FOUND")
    return Reply(200, _shown(call, row))


def _shown(call: Call, row: Row) -> Row:
    names = ("jobId", "jobType", "started", "startFilter", "finishFilter", "filterExpression")
    shown: Row = {name: row[name] for name in names} | {"jobStatus": "RUNNING"}
    if call.world.clock.seconds() < row["due"]:
        return shown
    shown |= {"finished": phorest_instant(call.world.clock.now())}
    count = len(_table(call.world, row)[1])
    if count == 0:
        status = call.world.switches.phorest_no_rows_export
        return shown | {"jobStatus": status, "failureReason": "No records found", "totalRows": 0, "succeededRows": 0}
    url = f"http://{call.request.headers.get('host', '127.0.0.1')}{DOWNLOADS}{row['jobId']}?signature={row['secret']}"
    return shown | {"jobStatus": "DONE", "totalRows": count, "succeededRows": count, "tempCsvExternalUrl": url}


def download(world: World, request: Request) -> Reply:
    """The file behind a pre-signed link.

    No credentials are wanted, and sending some is an error, as with object stores.
    """
    row = world.phorest["export_jobs"].get(request.path.removeprefix(DOWNLOADS))
    if "authorization" in request.headers:
        return Reply(400, b"<Error><Code>InvalidArgument</Code></Error>", media="application/xml")
    if row is None or request.param("signature") != row["secret"]:
        return Reply(403, b"<Error><Code>AccessDenied</Code></Error>", media="application/xml")
    return Reply(200, _written(*_table(world, row)), media="text/csv")


def _written(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    """CSV whose notes are not always UTF-8, as observed."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode().replace("\u00a7".encode(), b"\xa7")


def _table(world: World, job: Row) -> tuple[Sequence[str], list[Row]]:
    if job["jobType"] == "CLIENT_CSV":
        rows = [row for row in world.phorest["clients"].rows.values() if _within(job, row["updatedAt"])]
        return (*_CLIENT_TEXTS, *_CLIENT_FLAGS, *_ADDRESS, *_MORE), [
            line for row in rows for line in _client_lines(row)
        ]
    if job["jobType"] == "TRANSACTIONS_CSV":
        sales = [row for row in world.phorest["purchases"].rows.values() if row["branchId"] == job["branchId"]]
        first, last = job["startFilter"] or "", job["finishFilter"] or "9"
        sales = [
            row for row in sales if first[:10] <= row["purchasedDate"] <= last[:10] and _within(job, row["updatedAt"])
        ]
        return TRANSACTION_COLUMNS, [_sale_line(world, row, item) for row in sales for item in row["items"]]
    return ("nothing",), []  # courses, sundries and DATEV: this salon has none


def _within(job: Row, updated: str) -> bool:
    return all(updated > bound if sign == ">" else updated < bound for sign, bound in job["bounds"])


_MORE = (
    "created_at", "updated_at", "credit_account_credit_days", "credit_account_credit_limit",
    "loyalty_card_serial_number", "client_category_ids",
)  # fmt: skip


def _client_lines(row: Row) -> list[Row]:
    """One line, or two for some clients: the older one first. `updated_at` is a date only."""
    line: Row = {column: row.get(name) for column, name in _CLIENT_TEXTS.items()}
    line |= {column: int(bool(row.get(name))) for column, name in _CLIENT_FLAGS.items()}
    address: Row = row.get("address") or {}
    line |= {column: address.get(name) for column, name in _ADDRESS.items()}
    card: Row = row.get("loyaltyCard") or {}
    credit: Row = row.get("creditAccount") or {}
    line |= {
        "created_at": row["createdAt"], "updated_at": row["updatedAt"][:10],
        "credit_account_credit_days": credit.get("creditDays"),
        "credit_account_credit_limit": credit.get("creditLimit"), "loyalty_card_serial_number": card.get("serial"),
        "client_category_ids": "|".join(row.get("clientCategoryIds") or []),
    }  # fmt: skip
    if row["clientId"].endswith("A") and row["version"] % 5 == 1:
        older = line | {"version": row["version"] - 1, "updated_at": row["createdAt"][:10], "notes": "§ older line"}
        return [older, line]
    return [line]


def _sale_line(world: World, sale: Row, item: Row) -> Row:
    client = world.phorest["clients"].get(sale.get("clientId") or "") or {}
    person = world.phorest["staff"].get(sale.get("staffId") or "") or {}
    branch = world.phorest["branches"].rows[sale["branchId"]]
    net = round(item["total"] / 1.23, 2)
    line: Row = dict.fromkeys(TRANSACTION_COLUMNS, "")
    return line | {
        "transaction_id": sale["transactionNumber"], "transaction_item_id": item["itemId"],
        "branch_id": sale["branchId"], "branch_name": branch["name"], "purchased_date": sale["purchasedDate"],
        "purchase_time": sale["purchaseTime"], "purchase_updated_at": sale["updatedAt"],
        "client_id": sale.get("clientId"), "client_first_name": client.get("firstName"),
        "client_last_name": client.get("lastName"), "client_email": client.get("email"),
        "staff_id": sale.get("staffId"), "staff_first_name": person.get("firstName"),
        "staff_last_name": person.get("lastName"), "item_type": item["type"], "description": item["description"],
        "quantity": item["quantity"], "unit_price": item["unitPrice"], "original_price": item["unitPrice"],
        "discount_amount": 0, "net_price": net, "gross_price": item["total"], "tax_rate": 23,
        "tax_amount": round(item["total"] - net, 2), "net_total_amount": net, "gross_total_amount": item["total"],
        "total_amount": item["total"], "service_id": item.get("serviceId"),
        "service_name": item["description"] if "serviceId" in item else "", "product_id": item.get("productId"),
        "product_name": item.get("productName"), "product_barcode": item.get("productBarcode"),
        "product_brand_name": item.get("productBrandName"), "product_category_name": item.get("productCategoryName"),
        "appointment_id": item.get("appointmentId"), "appointment_date": item.get("appointmentDate"),
        "payment_type_names": ",".join(payment["type"] for payment in sale["payments"]),
        "payment_type_amounts": ",".join(str(payment["amount"]) for payment in sale["payments"]), "online_booking": 0,
        "void": int(sale["void"]), "open_sale": 0, "outstanding_balance_pmt": 0,
    }  # fmt: skip


ROUTES = (
    route("POST", "/branch/{branchId}/csvexportjob", create_job, _JOB),
    route("GET", "/branch/{branchId}/csvexportjob/{jobId}", read_job),
)
