"""The diary: months of appointments in every state, and the sales that came of them.

Belongs here: how many visits of which kind (facts/phorest-api §12, seed profile of §13). Does not belong here: clients,
or what the API shows of a row.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from phorest_ghl.sandbox.clock import phorest_instant
from phorest_ghl.sandbox.ids import phorest_id
from phorest_ghl.sandbox.store import Row

MONTHS_AHEAD = 4
_PER_CLIENT_AND_MONTH = 850 / 14_806
_FEWEST_A_MONTH = 12
_SOURCES = ("PHOREST", "PHOREST", "PHOREST", "WIDGET", "API", "APP")


@dataclass(frozen=True, slots=True)
class Diary:
    """What one branch's diary is made of."""

    branch: Row
    staff: Sequence[Row]
    services: Sequence[Row]
    products: Sequence[Row]
    clients: Sequence[Row]
    walk_in: str
    now: datetime

    @property
    def zone(self) -> ZoneInfo:
        """The branch's time zone."""
        return ZoneInfo(self.branch["timeZone"])

    @property
    def today(self) -> date:
        """The branch's local date."""
        return self.now.astimezone(self.zone).date()


def make_appointments(rng: Random, diary: Diary, months: int) -> list[Row]:
    """Appointment rows from `months` before today to four months ahead, about 850 a month for a salon of full size.

    Args:
        rng: the salon's random source.
        diary: the branch.
        months: how far back; 0 makes an empty diary.
    """
    if months == 0:
        return []
    monthly = max(_FEWEST_A_MONTH, round(len(diary.clients) * _PER_CLIENT_AND_MONTH))
    first = diary.today - timedelta(days=round(30.44 * months))
    last = diary.today + timedelta(days=round(30.44 * MONTHS_AHEAD))
    days = [first + timedelta(days=number) for number in range((last - first).days)]
    rows: list[Row] = []
    while len(rows) < monthly * (months + MONTHS_AHEAD):
        rows += _visit(rng, diary, rng.choice(days))
    rows += _oddities(rng, diary, days)
    return rows


def _visit(rng: Random, diary: Diary, day: date) -> list[Row]:
    """One visit: one row, or two or three that share a booking."""
    parts = rng.choices((1, 2, 3), (88, 9, 3))[0]
    booking = phorest_id(rng) if parts > 1 or rng.random() < 0.6 else None
    start = datetime.combine(day, time(rng.randrange(9, 19), rng.choice((0, 15, 30, 45))))
    client = _client(rng, diary)
    state = _states(rng, diary, day)
    source = rng.choice(_SOURCES)
    staff = rng.choice(diary.staff)
    rows: list[Row] = []
    for number in range(parts):
        service = rng.choice(diary.services)
        row = _row(rng, diary, start, service) | state
        row |= _hold(diary) if state["activationState"] == "RESERVED" else {}
        row |= {"bookingId": booking, "clientId": client, "source": source, "staffId": staff["staffId"]}
        row["isFinishAppointment"] = number > 0 and rng.random() < 0.1
        rows.append(row)
        start += timedelta(minutes=service["duration"] + service["gapTime"])
    return rows


def _client(rng: Random, diary: Diary) -> str | None:
    draw = rng.random()
    if draw < 0.04:
        return None
    if draw < 0.07:
        return diary.walk_in
    # A third of the clients make most of the visits.
    row = diary.clients[int(len(diary.clients) * rng.random() ** 2.2)]
    return row["clientId"]


def _states(rng: Random, diary: Diary, day: date) -> Row:
    """State, cancellation, deletion and confirmation of one visit; past visits are mostly paid."""
    draw = rng.random()
    past = day < diary.today
    found: Row = {"state": "BOOKED", "activationState": "ACTIVE", "deleted": False, "confirmed": rng.random() < 0.3}
    if draw < 0.08:
        found["activationState"] = "CANCELED"
    elif draw < 0.10:
        found["deleted"] = True
    elif past:
        found["state"] = "PAID" if draw < 0.95 else "CHECKED_IN" if draw < 0.96 else "BOOKED"
    elif draw < 0.11:
        found["state"] = "PAID"
    elif draw < 0.12:
        found["activationState"] = "RESERVED"
    return found


def _hold(diary: Diary) -> Row:
    """A hold is minutes old, or it would have vanished."""
    now = phorest_instant(diary.now)
    return {"createdAt": now, "updatedAt": now}


def _row(rng: Random, diary: Diary, start: datetime, service: Row) -> Row:
    end = start + timedelta(minutes=service["duration"])
    made = start.replace(tzinfo=diary.zone) - timedelta(days=rng.uniform(0.05, 50))
    made = min(made, diary.now - timedelta(hours=rng.uniform(0.1, 40)))
    touched = made + (min(diary.now, max(made, end.replace(tzinfo=diary.zone))) - made) * rng.random()
    internet: list[Row] = [{"id": service["categoryId"], "name": service["categoryName"]}]
    return {
        "appointmentId": phorest_id(rng), "version": rng.randrange(9), "branchId": diary.branch["branchId"],
        "appointmentDate": start.date().isoformat(), "startTime": _clock(start), "endTime": _clock(end),
        "price": rng.choice((None, 0.0, service["price"], service["price"], service["price"])), "staffId": None,
        "staffRequest": rng.random() < 0.3, "preferredStaff": False, "confirmed": False,
        "serviceId": service["serviceId"], "serviceName": service["name"], "clientId": None, "roomId": None,
        "machineId": None, "state": "BOOKED", "activationState": "ACTIVE", "deleted": False, "source": "PHOREST",
        "bookingId": None, "groupBookingId": None, "depositAmount": None, "depositDateTime": None,
        "purchasingBranchId": None, "serviceRewardId": None, "courseId": None, "courseName": None,
        "clientCourseId": None, "clientCourseItemId": None, "serviceGroupId": None, "serviceGroupItemOptionId": None,
        "parentServiceGroupId": None, "waitingListDateTime": None, "isFinishAppointment": False,
        "internetServiceCategories": internet, "notes": "Allergic to latex" if rng.random() < 0.03 else None,
        "createdAt": phorest_instant(made), "updatedAt": phorest_instant(touched),
    }  # fmt: skip


def _clock(moment: datetime) -> str:
    return moment.strftime("%H:%M:%S.000")


def _oddities(rng: Random, diary: Diary, days: Sequence[date]) -> Iterator[Row]:
    """Rows that break naive readers.

    Midnight, zero length, DST days, years to come, unknown service or client, archived, stateless.
    """
    service = diary.services[0]
    client = diary.clients[0]["clientId"]
    for start, end in _odd_times(diary, days):
        row = _row(rng, diary, start, service)
        row |= {"endTime": _clock(end), "clientId": client, "staffId": diary.staff[0]["staffId"]}
        yield row
    day = datetime.combine(rng.choice(days), time(10))
    changes: Sequence[Row] = (
        {"activationState": "ARCHIVED"},
        {"serviceId": phorest_id(rng), "serviceName": "A service of old"},
        {"clientId": phorest_id(rng)},
        {"groupBookingId": phorest_id(rng)},
        {"source": "SOMETHING_NEW"},
        {"depositAmount": 20.0, "depositDateTime": phorest_instant(diary.now - timedelta(days=3))},
    )
    for change in changes:
        yield _row(rng, diary, day, service) | {"clientId": client, "staffId": diary.staff[-1]["staffId"]} | change
    stateless = _row(rng, diary, day, service) | {"clientId": client, "staffId": diary.staff[0]["staffId"]}
    yield {name: value for name, value in stateless.items() if name not in {"state", "activationState"}}
    for gone in [row for row in diary.clients if row["deleted"] or row["archived"] or row.get("mergedToClientId")][:6]:
        future = datetime.combine(diary.today + timedelta(days=9), time(11))
        yield _row(rng, diary, future, service) | {"clientId": gone["clientId"], "staffId": diary.staff[0]["staffId"]}


def _odd_times(diary: Diary, days: Sequence[date]) -> Iterator[tuple[datetime, datetime]]:
    evening = datetime.combine(diary.today - timedelta(days=2), time(23, 30))
    yield evening, evening + timedelta(minutes=60)
    yield evening.replace(hour=12), evening.replace(hour=12)
    yield datetime(2205, 1, 1, 9), datetime(2205, 1, 1, 10)  # noqa: DTZ001 - a diary's times have no zone of their own
    for day in days:
        for hour in range(4):
            night = datetime.combine(day, time(hour, 30))
            if _is_odd(night.replace(tzinfo=diary.zone)):
                yield night, night + timedelta(minutes=90)


def _is_odd(moment: datetime) -> bool:
    """Whether a local time is missing or comes twice on that day."""
    return moment.utcoffset() != moment.replace(fold=1).utcoffset()


def thin_appointment(rng: Random, row: Row) -> None:
    """Half of what is null is left out instead (facts/phorest-api §13.20)."""
    for name in [name for name, value in row.items() if value is None and rng.random() < 0.5]:
        del row[name]


def settle_visits(rng: Random, clients: Mapping[str, Row], appointments: Sequence[Row], now: datetime) -> None:
    """Give clients the first and last visits that the diary tells, or earlier ones where it knows nothing."""
    visits: dict[str, list[Row]] = {}
    for row in appointments:
        if (
            row.get("state") == "PAID"
            and not row["deleted"]
            and row["appointmentDate"] <= now.date().isoformat()
            and row.get("clientId")
        ):
            visits.setdefault(row["clientId"], []).append(row)
    for key, client in clients.items():
        since = datetime.fromisoformat(client["clientSince"]).astimezone(UTC)
        found = visits.get(key)
        if found:
            last = max(found, key=lambda row: row["appointmentDate"])
            first = min(row["appointmentDate"] for row in found)
            client |= {"firstVisit": min(first, since.date().isoformat()), "lastVisit": last["appointmentDate"]}
            client["lastVisitedBranchId"] = last["branchId"]
        elif rng.random() < 0.6:
            client |= {"firstVisit": since.date().isoformat(), "lastVisit": since.date().isoformat()}
            client["lastVisitedBranchId"] = client["creatingBranchId"]


def make_purchases(rng: Random, diary: Diary, appointments: Sequence[Row]) -> list[Row]:
    """Sales: every paid past visit of the branch, a third of them with a product; numbers count up per branch."""
    visits: dict[str, list[Row]] = {}
    for row in appointments:
        past = row["appointmentDate"] <= diary.today.isoformat()
        if row.get("state") == "PAID" and past and not row["deleted"] and row.get("activationState") == "ACTIVE":
            visits.setdefault(row.get("bookingId") or row["appointmentId"], []).append(row)
    ordered = sorted(visits.values(), key=lambda rows: (rows[0]["appointmentDate"], rows[0]["startTime"]))
    found: list[Row] = []
    for number, rows in enumerate(ordered, start=1):
        items = [service_item(rng, row) for row in rows]
        while diary.products and rng.random() < 0.33:
            items.append(product_item(rng, rng.choice(diary.products)))
        found.append(sale(rng, rows[0], items, number, diary.zone))
    return found


def sale(rng: Random, visit: Row, items: Sequence[Row], number: int, zone: ZoneInfo) -> Row:
    """One sale, at the visit's local date and end."""
    sold = datetime.fromisoformat(f"{visit['appointmentDate']}T{visit['endTime'][:8]}").replace(tzinfo=zone)
    return {
        "purchaseId": phorest_id(rng), "transactionNumber": str(number), "branchId": visit["branchId"],
        "clientId": visit.get("clientId"), "staffId": visit.get("staffId"), "purchasedDate": visit["appointmentDate"],
        "purchaseTime": visit["endTime"][:8], "updatedAt": phorest_instant(sold), "items": list(items), "void": False,
        "payments": [{"type": "CASH", "amount": round(sum(item["total"] for item in items), 2)}],
    }  # fmt: skip


def service_item(rng: Random, visit: Row) -> Row:
    """A service on a sale."""
    price = visit.get("price") or 0.0
    return {
        "itemId": phorest_id(rng), "type": "SERVICE", "description": visit["serviceName"], "quantity": 1,
        "unitPrice": price, "total": price, "serviceId": visit["serviceId"], "appointmentId": visit["appointmentId"],
        "appointmentDate": visit["appointmentDate"],
    }  # fmt: skip


def product_item(rng: Random, product: Row, quantity: int = 1) -> Row:
    """A product on a sale."""
    return {
        "itemId": phorest_id(rng), "type": "PRODUCT", "description": product["name"], "quantity": quantity,
        "unitPrice": product["price"], "total": round(product["price"] * quantity, 2),
        "productId": product["productId"], "productName": product["name"], "productBarcode": product["barcode"],
        "productBrandName": product["brandName"], "productCategoryName": product["categoryName"],
    }  # fmt: skip
