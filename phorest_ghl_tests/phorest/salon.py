"""A salon in a sandbox with a database of ours beside it, for tests of the import.

Belongs here: importing, acting at the desk, comparing what we hold with the truth. Does not: what a test is about.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.phorest.exports import Pace
from phorest_ghl.phorest.importer import Importer, ImportResult
from phorest_ghl.phorest.purchases import PurchaseImporter
from phorest_ghl.phorest.scopes import Month, months
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl.settings import load_settings
from phorest_ghl_tests.sync.rig import RETRY, Sandbox, environment, options

Row = dict[str, Any]
SWIFT = Pace(every_s=0.01, patience_s=0.05, sleep=lambda seconds: None)
ID_FIELDS = {
    "clients": "clientId",
    "appointments": "appointmentId",
    "staff": "staffId",
    "services": "serviceId",
    "service_categories": "categoryId",
    "products": "productId",
}


class Salon:
    """The import between a sandbox and a database."""

    def __init__(self, sandbox: Sandbox, runtime: Runtime) -> None:
        self.sandbox = sandbox
        self.runtime = runtime
        self.engine = runtime.engine
        self.client = runtime.phorest()
        self.batches = 0

    def importer(self) -> Importer:
        self.batches += 1
        keyring = self.runtime.keyring()
        return Importer(self.engine, self.client, keyring, batch_id=f"B{self.batches}")

    def pass_time(self, seconds: float = 2) -> None:
        """Let the salon's clock move on: a delta's upper bound is in whole seconds."""
        self.sandbox.control("POST", "/clock", {"advance_s": seconds})

    def appointments(self, *, full: bool = False, wanted: Iterable[Month] | None = None) -> list[ImportResult]:
        self.pass_time()
        return self.importer().appointments(wanted, full=full)

    def everything(self, *, full: bool = False) -> list[ImportResult]:
        """All entities; of the appointments every month that the salon has any in."""
        self.pass_time()
        importer = self.importer()
        return [
            *importer.clients(full=full).values(),
            *importer.staff().values(),
            *importer.catalogue().values(),
            *importer.appointments(self.all_months(), full=full),
            self.purchases(full=full),
        ]

    def purchases(self, *, full: bool = False, client: Any = None) -> ImportResult:
        """Sales of all branches."""
        importer = self.importer()
        runner = PurchaseImporter(
            self.engine, client or self.client, self.runtime.keyring(), batch_id=f"B{self.batches}", pace=SWIFT
        )
        return runner.run(importer.branches(), full=full)

    def all_months(self) -> list[Month]:
        """From the first to the last month of the diary, years that are absurd apart."""
        days = [row["appointmentDate"] for row in self.truth("appointments") if row["appointmentDate"] < "2100"]
        held = [str(row["d"]) for row in self.rows("select appointment_date as d from phorest_appointments")]
        keys = sorted(Month.parse(day[:7]) for day in [*days, *held])
        return list(months(keys[0].first, keys[-1].last)) if keys else []

    # --- at the desk

    def edit(self, kind: str, key: str, **changed: object) -> Row:
        return self.sandbox.control("PATCH", f"/phorest/{kind}/{key}", changed)

    def delete(self, kind: str, key: str) -> None:
        self.sandbox.control("DELETE", f"/phorest/{kind}/{key}")

    def fault(self, kind: str, route: str, **more: object) -> None:
        self.sandbox.control("POST", "/faults", {"api": "phorest", "route": route, "kind": kind, **more})

    def calm(self) -> None:
        self.sandbox.control("DELETE", "/faults")

    def switch(self, **values: object) -> None:
        self.sandbox.control("POST", "/switches", values)

    # --- what is so

    def truth(self, kind: str) -> list[Row]:
        return self.sandbox.truth(f"phorest/{kind}")

    def branches(self) -> list[str]:
        return [row["branchId"] for row in self.truth("branches")]

    def rows(self, statement: str, **values: object) -> list[Row]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(statement), values).mappings()]

    def held(self, table: str, *, gone: bool = False) -> dict[str, Row]:
        """Rows of a table by id, the tombstoned ones or the others."""
        found = self.rows(f"select * from {table} where (deleted_at is not null) = :gone", gone=gone)  # noqa: S608
        return {row["phorest_id"]: row for row in found}


def without_nulls(value: object) -> object:
    """A payload without its null members, at any depth."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(member) for member in value]
    return value


@contextmanager
def salon(database_url: str, *, months_back: int = 0, **wanted: Any) -> Generator[Salon]:
    """A sandbox of its own, with an empty database beside it.

    `months_back` is how far its diary goes back, none where it is 0; `wanted` are further options of the sandbox.
    """
    with (
        SandboxServer(replace(options(**wanted), months=months_back)) as sandbox,
        open_runtime(load_settings(environment(sandbox, database_url), None), retry=RETRY) as runtime,
    ):
        yield Salon(sandbox, runtime)
