"""The salon's desk in a benchmark: people who book, move and check in, while nothing of ours looks.

Belongs here: acting on the sandbox, by Phorest's API or as a person. Does not: what a benchmark makes of it.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx

from benchmarks.report import BenchError
from phorest_ghl.sandbox.server import SandboxProcess

Row = dict[str, Any]


class Desk:
    """One salon of one branch, with Phorest's own credentials."""

    def __init__(self, served: SandboxProcess, client: httpx.Client) -> None:
        self._served = served
        self._client = client
        (self.branch,) = [row["branchId"] for row in served.truth("phorest/branches")]
        self.services = [row for row in served.truth("phorest/services") if not row["archived"]]
        self.staff = [row for row in served.truth("phorest/staff") if row["userId"] and not row["archived"]]

    def book(self, client_id: str, at: datetime, turn: int) -> str:
        """A visit of one service at a moment (aware), with the stylist whose turn it is; the appointment's id."""
        service, person = self.services[turn % len(self.services)], self.staff[turn % len(self.staff)]
        schedule = {
            "serviceId": service["serviceId"],
            "staffId": person["staffId"],
            "startTime": at.isoformat().replace("+00:00", "Z"),
            "price": 30,
        }
        answer = self._post(
            f"/branch/{self.branch}/booking",
            {
                "bookingStatus": "ACTIVE",
                "clientId": client_id,
                "clientAppointmentSchedules": [{"clientId": client_id, "serviceSchedules": [schedule]}],
            },
        )
        return str(answer["schedules"][0]["appointmentId"])

    def edit(self, appointment_id: str, **changed: object) -> None:
        """Somebody changes an appointment on the screen."""
        self._served.control("PATCH", f"/phorest/appointments/{appointment_id}", changed)

    def meet(self, number: int) -> str:
        """Somebody new is entered, with a phone that nobody has; the client's id."""
        body = {
            "firstName": "Aoife",
            "lastName": f"Newcomer {number}",
            "mobile": f"+353 85 77{number:05d}",
            "smsMarketingConsent": True,
            "smsReminderConsent": True,
        }
        return str(self._post("/client", body)["clientId"])

    def sell(self, client_id: str, products: Sequence[Row]) -> None:
        """A client buys one piece of each of these products of the branch, and pays."""
        self._post(
            f"/branch/{self.branch}/purchase",
            {
                "clientId": client_id,
                "items": [{"product": {"productId": row["productId"], "quantity": 1}} for row in products],
                "payments": [{"type": "CASH", "amount": sum(row["price"] for row in products) + 1}],
            },
        )

    def pass_time(self, seconds: float) -> None:
        """The salon's clock goes on, and so does GHL's."""
        self._served.control("POST", "/clock", {"advance_s": seconds})

    def _post(self, path: str, body: Mapping[str, object]) -> Row:
        answer = self._client.post(path, json=body)
        if answer.is_error:
            raise BenchError(f"The sandbox's Phorest refused what the desk did: {answer.status_code} {answer.text}")
        return answer.json()


@contextmanager
def desk(served: SandboxProcess) -> Generator[Desk]:
    """The desk of a sandbox's salon."""
    settings = served.settings
    base = f"{settings['PHOREST_API_BASE_URL']}/{settings['PHOREST_BUSINESS_ID']}"
    credentials = httpx.BasicAuth(settings["PHOREST_CLIENT_ID"], settings["PHOREST_CLIENT_SECRET"])
    with httpx.Client(base_url=base, auth=credentials, timeout=60) as client:
        yield Desk(served, client)
