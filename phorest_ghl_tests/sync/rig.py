"""One installation for tests: a salon in the sandbox, a PostgreSQL database, and the product between them.

Belongs here: what several tests of the spine do with an installation. Does not belong here: what a test is about.
"""

import base64
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest
import sqlalchemy as sa
import structlog

from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.http.retry import RetryPolicy
from phorest_ghl.phorest.importer import Importer, ImportResult
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl.settings import load_settings
from phorest_ghl.sync.clients import ClientsSync, Prepared, new_batch_id
from phorest_ghl.sync.parts import Part
from phorest_ghl.sync.plan import Plan
from phorest_ghl.sync.stops import record
from phorest_ghl.sync.stops.gate import ApplyStopped
from phorest_ghl.sync.summary import RunResult

HASH_KEY = base64.urlsafe_b64encode(b"a key for tests alone, 32 bytes.").decode()
LAG_S = 0.1
SWIFT = {"ghl_search_lag_s": LAG_S, "ghl_rate_max": 1_000_000, "phorest_rate_max": 1_000_000}
RETRY = RetryPolicy(attempts=4, elapsed_s=20, window_s=0.2, first_s=0.01, longest_s=0.05)

Row = dict[str, Any]


class Sandbox(Protocol):
    """A sandbox in a thread or in a process."""

    settings: dict[str, str]

    def control(self, method: str, path: str, json: object = None) -> Any:
        """One call of its control surface."""
        ...

    def truth(self, path: str) -> list[Row]:
        """Rows of its truth."""
        ...


@contextmanager
def quiet_logs() -> Generator[None]:
    """Drop what is logged: rendering thousands of lines costs more than some tests do. `capture_logs` still sees them."""

    def drop(*_: object) -> structlog.typing.EventDict:
        raise structlog.DropEvent

    structlog.configure(processors=[drop])
    yield
    structlog.reset_defaults()


def options(
    *, clients: int = 40, seed: int = 1, months: int = 0, switches: Mapping[str, object] | None = None, **more: Any
) -> SandboxOptions:
    """A small salon that answers fast."""
    return SandboxOptions(
        clients=clients, seed=seed, months=months, rate_window_s=0.2, switches={**SWIFT, **(switches or {})}, **more
    )


def environment(sandbox: Sandbox, database_url: str, **more: str) -> dict[str, str]:
    """The settings of an installation."""
    return {
        **sandbox.settings,
        "DATABASE_URL": database_url,
        "PHOREST_GHL_HASH_KEY": HASH_KEY,
        "GHL_RATE_LIMIT": "1000",
        "GHL_RATE_WINDOW_S": "0.2",
        "GHL_BUDGET_SHARE": "0.95",
        "PHOREST_REQUESTS_PER_SECOND": "2000",
        "CONTACT_HOURS": "00:00-23:59:59.999999",  # tests run at any hour of the day
        **more,
    }


class Rig:
    """The product between a sandbox and a database."""

    def __init__(self, sandbox: Sandbox, runtime: Runtime) -> None:
        self.sandbox = sandbox
        self.runtime = runtime
        self.engine = runtime.engine

    # --- what an operator does

    def importer(self) -> Importer:
        return Importer(self.engine, self.runtime.phorest(), self.runtime.keyring(), batch_id=new_batch_id())

    def load(self, *, full: bool = False) -> dict[str, ImportResult]:
        """Import what the clients cron brings, two of the salon's seconds after what happened last.

        A delta's upper bound is Phorest's clock in whole seconds, so what was edited in this very second comes next time.
        """
        self.sandbox.control("POST", "/clock", {"advance_s": 2})
        return self.importer().clients(full=full)

    def sync(self, part: Part | None = None) -> ClientsSync:
        """A run that may write, not yet begun; of all of the contacts, or of a part."""
        return self.runtime.clients_sync(batch_id=new_batch_id(), writing=True, lag_s=LAG_S, part=part)

    def confirm(self) -> None:
        """The operator confirms that workflows are paused."""
        self.sync().confirm_workflows("a test")

    def plan(self) -> Plan:
        """What a run would do now."""
        sync = self.sync()
        return sync.plan(sync.prepare())

    def apply(self, part: Part | None = None) -> RunResult:
        """Plan and apply, without importing first."""
        sync = self.sync(part)
        prepared = sync.prepare()
        return self.carry_out(sync, sync.plan(prepared), prepared)

    def carry_out(self, sync: ClientsSync, plan: Plan, prepared: Prepared) -> RunResult:
        """Apply a plan that was made before."""
        return sync.apply(plan, prepared, started_at=datetime.now(UTC))

    def run(self) -> RunResult:
        """A whole run: import, confirm, plan, apply."""
        self.load()
        self.confirm()
        return self.apply()

    def let_pass(self) -> list[str]:
        """A person reads what guards stop in a run that starts now, and lets it pass; the guards."""
        with pytest.raises(ApplyStopped):
            self.run()
        location = str(self.runtime.settings.ghl_location_id)
        with self.engine.begin() as connection:
            stops = record.open_stops(connection, location)
            for stop in stops:
                record.allow(connection, location, stop.entity_type, stop.guard, stop.figure, operator="a test")
        return [stop.guard for stop in stops]

    # --- what people and bad luck do

    def edit_client(self, client_id: str, **changed: object) -> None:
        """Somebody at the desk edits a client."""
        self.sandbox.control("PATCH", f"/phorest/clients/{client_id}", changed)

    def answer_oddly(self, client_id: str, **values: object) -> None:
        """Phorest answers for a client what it does not document: a null, a type or a property of its own."""
        self.sandbox.control("PATCH", f"/phorest/clients/{client_id}?odd=true", values)

    def edit_contact(self, contact_id: str, **changed: object) -> None:
        """Somebody edits a contact in GHL's screens."""
        self.sandbox.control("PATCH", f"/ghl/contacts/{contact_id}", changed)

    def delete_contact(self, contact_id: str) -> None:
        """Somebody deletes a contact in GHL."""
        self.sandbox.control("DELETE", f"/ghl/contacts/{contact_id}")

    def make_contact(self, **values: object) -> Row:
        """Somebody makes a contact by hand in GHL."""
        return self.sandbox.control("POST", "/ghl/contacts", values)

    def fault(self, kind: str, route: str, *, api: str = "ghl", **more: object) -> None:
        """The next requests of a route go wrong."""
        self.sandbox.control("POST", "/faults", {"api": api, "route": route, "kind": kind, **more})

    def calm(self) -> None:
        """End all faults."""
        self.sandbox.control("DELETE", "/faults")

    def switch(self, **values: object) -> None:
        """Change how the sandbox answers an open question."""
        self.sandbox.control("POST", "/switches", values)

    # --- what is true

    def clients(self, **flags: object) -> list[Row]:
        """Phorest's clients whose truth has these values."""
        rows = self.sandbox.truth("phorest/clients")
        return [row for row in rows if all(row["truth"][name] == value for name, value in flags.items())]

    def contacts(self) -> list[Row]:
        """GHL's contacts."""
        return self.sandbox.truth("ghl/contacts")

    def contact_of(self, client_id: str) -> Row:
        """The one contact that carries a client's id."""
        found = [contact for contact in self.contacts() if client_id in contact["customFields"].values()]
        assert len(found) == 1, f"{len(found)} contacts carry the id of one client"
        return found[0]

    def rows(self, statement: str, **values: object) -> list[Row]:
        """Rows of the product's own tables."""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(statement), values).mappings()]

    def count(self, table: str) -> int:
        """How many rows one of the product's tables has."""
        return self.rows(f"select count(*) as n from {table}")[0]["n"]  # noqa: S608 - a table's name, from a test

    def requests(self, method: str, route: str) -> int:
        """Requests of one route that the sandbox has seen since it was told to forget."""
        rows = self.sandbox.control("GET", "/requests")["requests"]
        return sum(row["count"] for row in rows if row["method"] == method and row["route"] == route)

    def forget_requests(self) -> None:
        """Count requests anew."""
        self.sandbox.control("DELETE", "/requests")

    def check_everyone_is_on_one_contact(self, *, grouped: bool = True) -> None:
        """Every household (or, not grouped, every client) that may be synced has one contact, and nobody else has any."""
        clients = {row["clientId"]: row["truth"] for row in self.clients()}
        wanted = {(t["household"] if grouped else key) for key, t in clients.items() if t["syncable"]}
        held: list[str] = []
        for contact in self.contacts():
            ids = [value for value in contact["customFields"].values() if value in clients]
            held += [clients[key]["household"] if grouped else key for key in ids]
        twice = sorted({key for key in held if held.count(key) > 1})
        assert not twice, f"on more than one contact: {twice}"
        assert sorted(held) == sorted(wanted), f"missing {wanted - set(held)}, too many {set(held) - wanted}"


@contextmanager
def opened(sandbox: Sandbox, database_url: str, **more: str) -> Generator[Rig]:
    """The product over a sandbox that runs already."""
    settings = load_settings(environment(sandbox, database_url, **more), None)
    with quiet_logs(), open_runtime(settings, retry=RETRY) as runtime:
        yield Rig(sandbox, runtime)


@contextmanager
def installation(database_url: str, *, settings: Mapping[str, str] | None = None, **wanted: Any) -> Generator[Rig]:
    """A sandbox of its own with the product over it. `wanted` are options of the sandbox."""
    with SandboxServer(options(**wanted)) as sandbox, opened(sandbox, database_url, **(settings or {})) as rig:
        yield rig
