"""Branches, categories, staff, services, products, rooms: lists that change slowly (facts/phorest-api §7, §8.1).

Belongs here: catalogues and their filters. Does not belong here: clients and appointments.
"""

from collections.abc import Callable, Iterable
from datetime import date, timedelta

from phorest_ghl.sandbox.clock import exact_instant
from phorest_ghl.sandbox.phorest.appointments import window
from phorest_ghl.sandbox.phorest.common import Call, page_of_rows, refuse, route
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply

_ADDONS = {"services_only", "addons_only", "services_and_addons"}


def list_branches(call: Call) -> Reply:
    """All branches; there is no delta and no single read."""
    return page_of_rows(call, "branches", call.store("branches").rows.values())


def list_categories(call: Call) -> Reply:
    """Client categories, archived ones on demand, by exact name."""
    archived, name = call.flag("includeArchived"), call.text("name")
    rows = [row for row in call.store("categories").rows.values() if archived or not row["archived"]]
    return page_of_rows(call, "clientCategories", (_category(call, row) for row in rows if name in {None, row["name"]}))


def get_category(call: Call) -> Reply:
    """One client category."""
    row = call.store("categories").get(call.ids[0])
    if row is None:
        refuse(404, "Client category not found", "NOT_FOUND")
    return Reply(200, _category(call, row))


def _category(call: Call, row: Row) -> Row:
    """The id's name is disputed (facts/phorest-api §11.2), so it is a switch."""
    rest = {key: value for key, value in row.items() if key != "clientCategoryId"}
    return {call.world.switches.phorest_category_key: row["clientCategoryId"], **rest}


def _of_branch(call: Call, name: str) -> Iterable[Row]:
    return (row for row in call.store(name).rows.values() if row["branchId"] == call.ids[0])


def list_staff(call: Call) -> Reply:
    """Staff of a branch under the key `staffs`; the delta is accepted, but rows carry no date to check it by."""
    archived = call.flag("fetch_archived")
    lower, upper = call.instant("updatedAfter"), call.instant("updatedBefore")
    foreign = call.world.switches.phorest_foreign_staff  # one live system saw other branches' staff in a branch's list
    everybody = call.store("staff").rows.values() if foreign else _of_branch(call, "staff")
    rows = [row for row in everybody if archived or not row["archived"]]
    if "filter_ignored" not in call.request.ignored:
        changed = call.world.staff_changed
        rows = [row for row in rows if lower is None or changed.get(row["staffId"], "") > exact_instant(lower)]
        rows = [row for row in rows if upper is None or changed.get(row["staffId"], "") < exact_instant(upper)]
    return page_of_rows(call, "staffs", rows)


def get_staff(call: Call) -> Reply:
    """One member of staff."""
    row = call.store("staff").get(call.ids[1])
    if row is None:
        refuse(404, "Staff not found", "NOT_FOUND")
    return Reply(200, row)


def list_services(call: Call) -> Reply:
    """Services; there is no delta, and whatever asks for one is ignored."""
    kind, category = call.text("service_type") or "services_only", call.text("category_id")
    if kind not in _ADDONS:
        refuse(400, "service_type is not one of the known values", "INVALID_PARAMETER")
    rows = [row for row in call.store("services").rows.values() if not row["archived"] and kind != "addons_only"]
    rows = [row for row in rows if category in {None, row["categoryId"]}]
    if call.flag("fetch_online_category"):
        rows = [row | {"internetServiceCategories": [_online_category(row)]} for row in rows]
    return page_of_rows(call, "services", rows)


def _online_category(row: Row) -> Row:
    return {"id": row["categoryId"], "name": row["categoryName"]}


def get_service(call: Call) -> Reply:
    """One service, archived or not."""
    row = call.store("services").get(call.ids[1])
    if row is None:
        refuse(404, "Service not found", "NOT_FOUND")
    return Reply(200, row)


def list_service_categories(call: Call) -> Reply:
    """Service categories."""
    return page_of_rows(call, "serviceCategories", call.store("service_categories").rows.values())


def list_products(call: Call) -> Reply:
    """Products of a branch. The names of the delta pair are disputed, so the pair that works is a switch.

    Both must be given.
    """
    only, archived = call.flag("archivedOnly"), call.flag("includeArchived")
    rows = [
        row for row in _of_branch(call, "products") if (row["archived"] if only else archived or not row["archived"])
    ]
    words, kind = (call.text("searchQuery") or "").lower(), call.text("productType")
    rows = [row for row in rows if words in row["name"].lower() or words == row["barcode"]]
    rows = [row for row in rows if kind is None or kind in row["type"].split(", ")]
    if call.flag("outOfStock"):
        rows = [row for row in rows if row["quantityInStock"] <= 0]
    if call.flag("lowStock"):
        rows = [row for row in rows if row["quantityInStock"] < row["minQuantity"]]
    return page_of_rows(call, "products", _product_delta(call, rows))


def _product_delta(call: Call, rows: list[Row]) -> list[Row]:
    names = {"updatedAfter": ("updatedAfter", "updatedBefore"), "updated_from": ("updated_from", "updated_to")}
    lower, upper = (call.instant(name) for name in names[call.world.switches.phorest_product_filter])
    if "filter_ignored" in call.request.ignored or (lower is None and upper is None):
        return rows
    if lower is None or upper is None:
        refuse(400, "Both ends of the updated range are needed", "INVALID_PARAMETER")
    return [row for row in rows if exact_instant(lower) <= row["updatedAt"] <= exact_instant(upper)]


def list_rooms(call: Call) -> Reply:
    """Rooms of a branch."""
    return page_of_rows(
        call, "rooms", ({key: row[key] for key in ("id", "name", "archived")} for row in _of_branch(call, "rooms"))
    )


def list_payment_types(call: Call) -> Reply:
    """At the top level, without an envelope, as one live note has it."""
    names = ("Cash", "Card", "Voucher")
    del call
    return Reply(
        200, {"paymentTypes": [{"id": str(number), "name": name} for number, name in enumerate(names, start=1)]}
    )


def list_nothing(key: str) -> Callable[[Call], Reply]:
    """A list that this salon has none of."""
    return lambda call: page_of_rows(call, key, ())


def list_worktimes(call: Call) -> Reply:
    """The rota: everybody works from nine to eight, Sundays apart; a window of at most one month."""
    first, last = window(call)
    people = [row for row in _of_branch(call, "staff") if row["userId"] and not row["archived"]]
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return page_of_rows(
        call, "workTimeTables", ({**_worker(row), "timeSlots": [_shift(row, day) for day in days]} for row in people)
    )


def _worker(row: Row) -> Row:
    return {"staffId": row["staffId"], "branchId": row["branchId"]}


def _shift(row: Row, day: date) -> Row:
    kind = "NON_WORKING" if day.weekday() == 6 else "WORKING"
    return {
        "date": day.isoformat(), "startTime": "09:00:00.000", "endTime": "20:00:00.000", "timeOffStartTime": None,
        "timeOffEndTime": None, "type": kind, "custom": False, "branchId": row["branchId"], "workActivityId": None,
    }  # fmt: skip


ROUTES = (
    route("GET", "/branch", list_branches),
    route("GET", "/category/client", list_categories),
    route("GET", "/category/client/{categoryId}", get_category),
    route("GET", "/branch/{branchId}/staff", list_staff),
    route("GET", "/branch/{branchId}/staff/worktimetable", list_worktimes),
    route("GET", "/branch/{branchId}/staff/{staffId}", get_staff),
    route("GET", "/branch/{branchId}/service", list_services),
    route("GET", "/branch/{branchId}/service/{serviceId}", get_service),
    route("GET", "/branch/{branchId}/service-category", list_service_categories),
    route("GET", "/branch/{branchId}/product", list_products),
    route("GET", "/branch/{branchId}/room", list_rooms),
    route("GET", "/branch/{branchId}/paymenttype", list_payment_types),
    route("GET", "/branch/{branchId}/machine", list_nothing("machines")),
    route("GET", "/branch/{branchId}/break", list_nothing("breaks")),
    route("GET", "/branch/{branchId}/review", list_nothing("reviews")),
    route("GET", "/clientcourse", list_nothing("clientCourses")),
    route("GET", "/voucher", list_nothing("vouchers")),
)
