"""Sales, loyalty points, credit, stock (facts/phorest-api §7.4, §8.1, §8.4).

Belongs here: what money and points do to clients and appointments. Does not belong here: reading sales back, which only
exports can.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.clock import exact_instant, phorest_instant
from phorest_ghl.sandbox.phorest.appointments import save, store_of
from phorest_ghl.sandbox.phorest.common import Call, refuse, route
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply
from phorest_ghl.sandbox.world import World

_POINTS: w.Shape = {
    "clientId": w.STR.needed(), "branchId": w.STR.needed(), "description": w.STR.needed(),
    "pointsChange": w.INTEGER.needed(), "operationType": w.choice("ADD", "DEDUCT").needed(),
}  # fmt: skip
_CREDIT: w.Shape = {
    **dict.fromkeys(["clientId", "branchId", "description"], w.STR.needed()),
    "transactionAmount": w.NUMBER.needed(),
    "staffId": w.STR_OR_NULL,
}
_STOCK: w.Shape = {
    "stocks": w.list_of(barcodes=w.STRINGS.needed(), quantity=w.NUMBER.needed(), reason=w.STR_OR_NULL).needed()
}
_PURCHASE: w.Shape = {
    "clientId": w.STR_OR_NULL,
    "items": w.list_of(
        appointment=w.nested(appointmentId=w.STR.needed(), price=w.PRICE),
        product=w.nested(productId=w.STR, barcode=w.STR, quantity=w.INTEGER),
        course=w.nested(price=w.NUMBER),
        voucher=w.nested(price=w.NUMBER),
    ).needed(),
    "payments": w.list_of(
        type=w.choice("CASH", "CREDIT", "DEBIT", "OTHER").needed(),
        amount=w.NUMBER.needed(),
        customPaymentTypeId=w.STR_OR_NULL,
    ).needed(),
}
_ITEMS = {"appointment", "product", "course", "voucher"}


def change_points(call: Call) -> Reply:
    """Add or deduct loyalty points; whether that bumps the client's `updatedAt` is unknown, so it is a switch."""
    body = call.body()
    client = call.store("clients").get(body["clientId"])
    if client is None or body["branchId"] not in call.store("branches"):
        refuse(404, "Client or branch not found", "NOT_FOUND")
    points = body["pointsChange"]
    if points < 1:
        refuse(400, "pointsChange must be positive", "INVALID_BODY")
    add_points(call.world, client, float(points if body["operationType"] == "ADD" else -points))
    return Reply(
        200,
        {
            "clientId": client["clientId"],
            "points": call.store("clients").rows[client["clientId"]]["loyaltyCard"]["points"],
        },
    )


def add_points(world: World, client: Row, points: float) -> None:
    """Change a balance, whoever does it."""
    card: Row = client.get("loyaltyCard") or {"serial": "", "points": 0.0}
    fresh = {**client, "loyaltyCard": {**card, "points": card["points"] + points}}
    if world.switches.phorest_loyalty_bumps_updated_at:
        fresh |= {"updatedAt": phorest_instant(world.clock.now()), "version": client["version"] + 1}
    world.phorest["clients"].put(client["clientId"], fresh)


def change_credit(call: Call) -> Reply:
    """Change a client's credit account by a signed amount in major units."""
    body = call.body()
    client = call.store("clients").get(body["clientId"])
    if client is None:
        refuse(404, "Client not found", "NOT_FOUND")
    account: Row = client.get("creditAccount") or {"outstandingBalance": 0.0, "creditDays": 0, "creditLimit": 0.0}
    account = {**account, "outstandingBalance": account["outstandingBalance"] + body["transactionAmount"]}
    call.store("clients").put(client["clientId"], {**client, "creditAccount": account})
    return Reply(200, account)


def adjust_stock(call: Call) -> Reply:
    """204; barcodes that no product has are passed over."""
    for stock in call.body()["stocks"]:
        for row in list(call.store("products").rows.values()):
            if row["branchId"] == call.ids[0] and row["barcode"] and row["barcode"] in stock["barcodes"]:
                quantity = row["quantityInStock"] + stock["quantity"]
                stamp = exact_instant(call.world.clock.now())
                call.store("products").put(row["productId"], {**row, "quantityInStock": quantity, "updatedAt": stamp})
    return Reply(204)


def purchase(call: Call) -> Reply:
    """201 with the number of the sale; too little money is refused, and appointments on it become PAID."""
    body = call.body()
    items = [_item(call, item) for item in body["items"]]
    if not items:
        refuse(400, "items is required", "INVALID_BODY")
    payments: list[Row] = body["payments"]
    if any(payment["type"] == "OTHER" and not payment.get("customPaymentTypeId") for payment in payments):
        refuse(400, "OTHER needs customPaymentTypeId", "INVALID_BODY")
    due = sum((_cents(item["total"]) for item in items), Decimal(0))
    if sum((_cents(payment["amount"]) for payment in payments), Decimal(0)) < due:
        refuse(400, "The payments do not cover the total", "UNDERPAID")
    row = record_sale(call.world, call.ids[0], body.get("clientId"), items, payments)
    for item in items:
        if "appointmentId" in item:
            save(call, store_of(call).rows[item["appointmentId"]], state="PAID")
    return Reply(201, {"purchaseId": row["purchaseId"], "transactionNumber": row["transactionNumber"]})


def _cents(amount: Any) -> Decimal:
    return Decimal(str(amount)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def _item(call: Call, item: Row) -> Row:
    kind = next((name for name in _ITEMS if name in item), None)
    wish: Mapping[str, Any] = item.get(kind or "", {})
    if kind == "appointment":
        visit = store_of(call).get(wish["appointmentId"])
        if visit is None or visit["branchId"] != call.ids[0]:
            refuse(404, "Appointment not found", "NOT_FOUND")
        return service_line(call.world, visit) | {"total": wish.get("price") or visit.get("price") or 0.0}
    if kind == "product":
        product = next(
            (
                row
                for row in call.store("products").rows.values()
                if wish.get("barcode") and row["barcode"] == wish["barcode"]
            ),
            None,
        )
        product = product or call.store("products").get(wish.get("productId", ""))
        if product is None:
            refuse(404, "Product not found", "NOT_FOUND")
        return product_line(call.world, product, wish.get("quantity", 1))
    if kind is None:
        refuse(400, "An item is an appointment, product, course or voucher", "INVALID_BODY")
    price = wish.get("price", 0.0)
    return _line(call.world, kind.upper(), kind.title(), price, 1)


def _line(world: World, kind: str, text: str, price: float, quantity: int) -> Row:
    total = round(price * quantity, 2)
    return {
        "itemId": world.new_phorest_id(),
        "type": kind,
        "description": text,
        "quantity": quantity,
        "unitPrice": price,
        "total": total,
    }


def service_line(world: World, visit: Row) -> Row:
    """A visit on a sale."""
    names = ("serviceId", "appointmentId", "appointmentDate")
    return _line(world, "SERVICE", visit["serviceName"], visit.get("price") or 0.0, 1) | {
        name: visit[name] for name in names
    }


def product_line(world: World, product: Row, quantity: int = 1) -> Row:
    """A product on a sale."""
    names = {
        "productId": "productId",
        "name": "productName",
        "barcode": "productBarcode",
        "brandName": "productBrandName",
    }
    names |= {"categoryName": "productCategoryName"}
    return _line(world, "PRODUCT", product["name"], product["price"], quantity) | {
        shown: product[name] for name, shown in names.items()
    }


def record_sale(world: World, branch: str, client: str | None, items: list[Row], payments: list[Row]) -> Row:
    """A sale, now; `transactionNumber` counts up per branch."""
    store = world.phorest["purchases"]
    numbers = [int(row["transactionNumber"]) for row in store.rows.values() if row["branchId"] == branch]
    now = world.clock.now()
    local = now.astimezone(world.zone_of_branch(branch))
    row: Row = {
        "purchaseId": world.new_phorest_id(), "transactionNumber": str(max(numbers, default=0) + 1),
        "branchId": branch, "clientId": client, "staffId": None, "purchasedDate": local.date().isoformat(),
        "purchaseTime": local.strftime("%H:%M:%S"), "updatedAt": phorest_instant(now), "items": items, "void": False,
        "payments": payments,
    }  # fmt: skip
    store.put(row["purchaseId"], row)
    return row


ROUTES = (
    route("POST", "/loyaltypoints", change_points, _POINTS),
    route("POST", "/creditaccounttransaction", change_credit, _CREDIT),
    route("POST", "/branch/{branchId}/stock/adjustment", adjust_stock, _STOCK),
    route("POST", "/branch/{branchId}/purchase", purchase, _PURCHASE),
)
