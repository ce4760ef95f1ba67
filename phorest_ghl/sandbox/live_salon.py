"""What happens at the salon's desk in a day: bookings, visits, edits, merges.

Belongs here: events of the Phorest side. Does not belong here: when they happen (`live.py`).
"""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from random import Random

from phorest_ghl.sandbox.clock import phorest_instant
from phorest_ghl.sandbox.people_acts import PeopleActs
from phorest_ghl.sandbox.phorest.sales import add_points, product_line, record_sale, service_line
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.world import World

_CONSENTS = ("smsMarketingConsent", "emailMarketingConsent", "smsReminderConsent", "emailReminderConsent")
Event = Row
Maker = Callable[[Random], Event | None]


class SalonEvents:
    """Each method makes one event, or nothing when the salon has no occasion for it."""

    def __init__(self, world: World, acts: PeopleActs) -> None:
        self.world, self.acts = world, acts

    def makers(self) -> dict[str, tuple[int, Maker]]:
        """Events by name, each with its weight."""
        return {
            "booked": (10, self._booked),
            "moved": (6, self._moved),
            "cancelled": (4, self._cancelled),
            "appointment deleted": (1, self._appointment_deleted),
            "checked in": (5, self._checked_in),
            "paid": (8, self._paid),
            "client created": (4, self._client_created),
            "client edited": (6, self._client_edited),
            "consent changed": (4, self._consent_changed),
            "points changed": (3, self._points_changed),
            "archived": (1, self._flag("archived")),
            "banned": (1, self._flag("banned")),
            "client deleted": (1, self._flag("deleted")),
            "un-archived": (1, self._unflag("archived")),
            "client restored": (1, self._unflag("deleted")),
            "merged": (1, self._merged),
        }

    # --- the diary --------------------------------------------------------------------------------------------------

    def _today(self, row: Row) -> date:
        return self.world.clock.now().astimezone(self.world.zone_of_branch(row["branchId"])).date()

    def _pick(self, rng: Random, test: Callable[[Row], bool]) -> Row | None:
        rows = [
            row
            for row in self.world.appointments.rows.values()
            if not row["deleted"] and row.get("activationState") == "ACTIVE" and row.get("clientId") and test(row)
        ]
        return rng.choice(rows) if rows else None

    def _coming(self, rng: Random) -> Row | None:
        return self._pick(
            rng, lambda row: row.get("state") == "BOOKED" and row["appointmentDate"] > self._today(row).isoformat()
        )

    def _edit(self, row: Row, **changed: object) -> Row:
        return self.acts.edit("phorest", self.world.appointments, row["appointmentId"], changed)

    def _booked(self, rng: Random) -> Event | None:
        client = self._client(rng, lambda row: not row["deleted"] and not row["archived"])
        services = [row for row in self.world.phorest["services"].rows.values() if not row["archived"]]
        staff = [row for row in self.world.phorest["staff"].rows.values() if row["userId"] and not row["archived"]]
        if client is None or not services or not staff:
            return None
        service, person = rng.choice(services), rng.choice(staff)
        start = datetime.combine(self._today(person) + timedelta(days=rng.randrange(1, 40)), time(rng.randrange(9, 18)))
        now = phorest_instant(self.world.clock.now())
        row: Row = {
            "appointmentId": self.world.new_phorest_id(), "version": 0, "branchId": person["branchId"],
            "appointmentDate": start.date().isoformat(), "startTime": start.strftime("%H:%M:%S.000"),
            "endTime": (start + timedelta(minutes=service["duration"])).strftime("%H:%M:%S.000"),
            "price": service["price"], "staffId": person["staffId"], "staffRequest": False, "preferredStaff": False,
            "confirmed": False, "serviceId": service["serviceId"], "serviceName": service["name"],
            "clientId": client["clientId"], "state": "BOOKED", "activationState": "ACTIVE", "deleted": False,
            "source": rng.choice(("PHOREST", "WIDGET")), "bookingId": None, "createdAt": now, "updatedAt": now,
        }  # fmt: skip
        self.world.appointments.put(row["appointmentId"], row)
        return _appointment(row, "there is a new active appointment of this client", status="confirmed")

    def _moved(self, rng: Random) -> Event | None:
        row = self._coming(rng)
        if row is None:
            return None
        day = date.fromisoformat(row["appointmentDate"]) + timedelta(days=rng.choice((-1, 1, 7, 14)))
        if day <= self._today(row):
            return None
        row = self._edit(row, appointmentDate=day.isoformat())
        return _appointment(row, "the appointment is on another day; same client, same id", date=day.isoformat())

    def _cancelled(self, rng: Random) -> Event | None:
        row = self._coming(rng)
        if row is None:
            return None
        return _appointment(self._edit(row, activationState="CANCELED"), "the client cancelled", status="cancelled")

    def _appointment_deleted(self, rng: Random) -> Event | None:
        row = self._coming(rng)
        return (
            None
            if row is None
            else _appointment(self._edit(row, deleted=True), "taken out of the diary", status="cancelled")
        )

    def _checked_in(self, rng: Random) -> Event | None:
        row = self._pick(
            rng, lambda row: row.get("state") == "BOOKED" and row["appointmentDate"] <= self._today(row).isoformat()
        )
        return (
            None
            if row is None
            else _appointment(self._edit(row, state="CHECKED_IN"), "the client is here", status="showed")
        )

    def _paid(self, rng: Random) -> Event | None:
        row = self._pick(
            rng, lambda row: row.get("state") != "PAID" and row["appointmentDate"] <= self._today(row).isoformat()
        )
        if row is None:
            return None
        items = [service_line(self.world, row)]
        products = [
            product
            for product in self.world.phorest["products"].rows.values()
            if product["branchId"] == row["branchId"]
        ]
        if products and rng.random() < 0.5:
            items.append(product_line(self.world, rng.choice(products)))
        payment = {"type": "CASH", "amount": sum(item["total"] for item in items)}
        record_sale(self.world, row["branchId"], row["clientId"], items, [payment])
        bought = [item["productId"] for item in items if "productId" in item]
        client = self.world.phorest["clients"].get(row["clientId"])
        if client is not None:
            self.acts.edit(
                "phorest", self.world.phorest["clients"], row["clientId"], {"lastVisit": row["appointmentDate"]}
            )
        return _appointment(self._edit(row, state="PAID"), "visit over and paid", status="showed", products=bought)

    # --- clients ----------------------------------------------------------------------------------------------------

    def _client(self, rng: Random, test: Callable[[Row], bool]) -> Row | None:
        rows = [
            row
            for key, row in self.world.phorest["clients"].rows.items()
            if key != self.world.walk_in and not row.get("mergedToClientId") and test(row)
        ]
        return rng.choice(rows) if rows else None

    def _change(self, row: Row, conclude: str, expect: Row, **changed: object) -> Event:
        self.acts.edit("phorest", self.world.phorest["clients"], row["clientId"], changed)
        before = {name: row.get(name) for name in changed}
        return {
            "side": "phorest",
            "client": row["clientId"],
            "before": before,
            "after": changed,
            "conclude": conclude,
            "expect": expect,
        }

    def _client_created(self, rng: Random) -> Event:
        number = f"+35387{rng.randrange(10**7):07d}"
        now = phorest_instant(self.world.clock.now())
        row: Row = {
            "clientId": self.world.new_phorest_id(), "version": 0, "firstName": "New",
            "lastName": f"Client {rng.randrange(10**6)}", "mobile": number, "email": None,
            "smsMarketingConsent": rng.random() < 0.5, "emailMarketingConsent": False, "smsReminderConsent": True,
            "emailReminderConsent": False, "archived": False, "banned": False, "deleted": False,
            "creatingBranchId": next(iter(self.world.phorest["branches"].rows)), "clientSince": now, "createdAt": now,
            "updatedAt": now, "loyaltyCard": {"serial": "", "points": 0.0},
        }  # fmt: skip
        self.world.phorest["clients"].put(row["clientId"], row)
        conclude = "a client to create, unless somebody has this number already"
        return {"side": "phorest", "client": row["clientId"], "conclude": conclude, "expect": {"phone": number}}

    def _client_edited(self, rng: Random) -> Event | None:
        row = self._client(rng, lambda row: not row["deleted"])
        if row is None:
            return None
        change: Row = rng.choice((
            {"lastName": f"Married {rng.randrange(1000)}"}, {"notes": "prefers tea"}, {"birthDate": "1988-08-08"},
            {"mobile": f"087 {rng.randrange(10**7):07d}"}, {"email": f"changed{rng.randrange(10**6)}@example.com"},
        ))  # fmt: skip
        return self._change(row, "only these fields differ", {"fields": list(change)}, **change)

    def _consent_changed(self, rng: Random) -> Event | None:
        row = self._client(rng, lambda row: not row["deleted"])
        if row is None:
            return None
        name = rng.choice(_CONSENTS)
        opens = not row.get(name)
        conclude = (
            "an opt-in of this channel, if nothing else blocks it" if opens else "an opt-out of this channel, at once"
        )
        channel = "SMS" if name.startswith("sms") else "Email"
        purpose = "marketing" if "Marketing" in name else "reminder"
        expect = {"channel": channel, "purpose": purpose, "allowed": opens}
        return self._change(row, conclude, expect, **{name: opens})

    def _points_changed(self, rng: Random) -> Event | None:
        row = self._client(rng, lambda row: not row["deleted"])
        if row is None:
            return None
        points = float(rng.randrange(-10, 60))
        add_points(self.world, row, points)
        visible = self.world.switches.phorest_loyalty_bumps_updated_at
        conclude = "the balance changed" + ("" if visible else ", which no delta shows: only a full sweep finds it")
        return {
            "side": "phorest",
            "client": row["clientId"],
            "after": {"points": points},
            "conclude": conclude,
            "expect": {"balance": self._balance(row), "shown_by_delta": visible},
        }

    def _balance(self, row: Row) -> float:
        return self.world.phorest["clients"].rows[row["clientId"]]["loyaltyCard"]["points"]

    def _flag(self, name: str) -> Maker:
        def make(rng: Random) -> Event | None:
            row = self._client(rng, lambda row: not row["deleted"] and not row["archived"] and not row["banned"])
            return (
                None if row is None else self._change(row, f"this client is {name} now", {name: True}, **{name: True})
            )

        return make

    def _unflag(self, name: str) -> Maker:
        def make(rng: Random) -> Event | None:
            row = self._client(rng, lambda row: bool(row[name]))
            if row is None:
                return None
            return self._change(row, f"this client is no longer {name}", {name: False}, **{name: False})

        return make

    def _merged(self, rng: Random) -> Event | None:
        loser, winner = (self._client(rng, lambda row: not row["deleted"] and not row["archived"]) for _ in range(2))
        if loser is None or winner is None or loser is winner:
            return None
        flag = rng.choice(("archived", "deleted"))
        key = winner["clientId"]
        conclude = "the loser maps to the winner's contact"
        event = self._change(loser, conclude, {"winner": key}, mergedToClientId=key, **{flag: True})
        self.acts.edit("phorest", self.world.phorest["clients"], key, {})
        return event


def _appointment(row: Row, conclude: str, **expect: object) -> Event:
    return {
        "side": "phorest", "appointment": row["appointmentId"], "branch": row["branchId"], "client": row["clientId"],
        "conclude": conclude, "expect": expect,
    }  # fmt: skip
