"""Everything that is true in a sandbox: both vendors' stores, the clock, the switches.

Belongs here: holding the state together, generating it, reading it back after a kill. Does not belong here: what a
request does to it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from phorest_ghl.sandbox.appointments import AppointmentStore
from phorest_ghl.sandbox.automations import Automations
from phorest_ghl.sandbox.canon import Truths
from phorest_ghl.sandbox.clock import Clock, exact_instant
from phorest_ghl.sandbox.contacts import ContactStore
from phorest_ghl.sandbox.generate import agency, crm, diary, people, salon
from phorest_ghl.sandbox.generate.clients import Surroundings, country_of, make_clients
from phorest_ghl.sandbox.ids import ghl_id, phorest_id, uuid_text
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.store import Journal, Loadable, Row, Store
from phorest_ghl.sandbox.webhooks import Webhooks

_PHOREST_STORES = (
    "branches", "clients", "categories", "staff", "services", "service_categories", "products", "rooms",
    "appointments", "bookings", "export_jobs", "purchases",
)  # fmt: skip
_GHL_STORES = (
    "fields",
    "users",
    "calendars",
    "groups",
    "notes",
    "tasks",
    "events",
    "event_notes",
    "tags",
    "tokens",
    "deliveries",
)
_CATALOGUE_FILES = sorted(Path(__file__).parent.glob("generate/*.py"))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens the two APIs: invented, and the same for the same seed."""

    business: str
    other_business: str
    phorest_user: str
    phorest_secret: str
    other_user: str
    ghl_token: str
    other_location: str
    app_id: str
    app_secret: str


class World:
    """One salon and its GHL location."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.switches = options.make_switches()
        self.rng = Random(options.seed)  # noqa: S311 - invented data must be repeatable, not secret
        self.journal = None if options.state is None else Journal(_prepared(options.state) / "journal.jsonl")
        header = self._header()
        self.clock = Clock(options.now)
        made_at = self._made_at(header)
        self.phorest = {name: Store(f"phorest.{name}", self.journal) for name in _PHOREST_STORES}
        self.appointments = AppointmentStore(self.journal)
        self.phorest["appointments"] = self.appointments
        self.ghl = {name: Store(f"ghl.{name}", self.journal) for name in _GHL_STORES}
        self.contacts = ContactStore(self.journal)
        self.ghl["contacts"] = self.contacts
        self.settings = Store("settings", self.journal)
        self.log = Store("live", self.journal)
        self.automations = Automations(self.journal)
        self.credentials = _make_credentials(Random(f"credentials {options.seed}"))  # noqa: S311
        self.client_lists: dict[Any, Any] = {}
        self.staff_changed: dict[str, str] = {}
        self.searches: dict[Any, Any] = {}
        self.tag_names: set[str] = set()
        self._truths: tuple[tuple[int, int], Truths] | None = None
        self._generate(made_at)
        self.webhooks = Webhooks(
            clock=self.clock,
            switches=self.switches,
            tokens=self.ghl["tokens"],
            deliveries=self.ghl["deliveries"],
            settings=self.settings,
            app=(self.credentials.app_id, self.location["id"]),
        )
        if self.journal is not None:
            self._replay(self.journal, header, made_at)
        self.tag_names.update(row["name"] for row in self.ghl["tags"].rows.values())
        self.contacts.index_now()
        # New ids must differ from those a former process of the same seed handed out.
        self.rng = Random(f"{options.seed} {self.clock.seconds() if self.journal else 0}")  # noqa: S311

    # --- generation -------------------------------------------------------------------------------------------------

    def _generate(self, now: datetime) -> None:
        rng, options = self.rng, self.options
        branches = salon.make_branches(rng, options.branches)
        addresses = people.Addresses(rng)
        size = _scale(options.clients)
        staff = [row for branch in branches for row in salon.make_staff(rng, branch, size["staff"], addresses)]
        salon.share_staff(staff, size["staff"])
        categories = salon.make_categories(rng)
        groups, services = salon.make_services(rng, size["services"])
        drafts = make_clients(rng, options.clients, Surroundings(branches, staff, categories, now), addresses)
        self.drafts = drafts
        self.walk_in: str = drafts[-1].row["clientId"]
        _fill(self.phorest["branches"], "branchId", branches)
        _fill(self.phorest["staff"], "staffId", staff)
        _fill(self.phorest["categories"], "clientCategoryId", categories)
        _fill(self.phorest["service_categories"], "categoryId", groups)
        _fill(self.phorest["services"], "serviceId", services)
        _fill(self.phorest["clients"], "clientId", (draft.row for draft in drafts))
        for branch in branches:
            for name, key, rows in (
                ("products", "productId", salon.make_products(rng, size["products"], now)),
                ("rooms", "id", salon.make_rooms(rng)),
            ):
                _fill(self.phorest[name], key, ({**row, "branchId": branch["branchId"]} for row in rows))
        self.countries = {row["branchId"]: country_of(row) for row in branches}
        self._fill_diary(now)
        self.location = crm.make_location(rng, branches[0])
        users = crm.make_users(rng, self.location, 4)
        _fill(self.ghl["users"], "id", users)
        _fill(self.ghl["calendars"], "id", crm.make_calendars(rng, self.location, branches, users))
        _fill(self.contacts, "id", crm.make_contacts(rng, self.location, drafts, options.crm_contacts, now))
        own = Random(f"agency {options.seed}")  # noqa: S311 - so that the salon is the same with and without them
        theirs = agency.make_agency(own, self.location, drafts, staff, options.agency_contacts, now)
        for store, rows in ((self.ghl["fields"], theirs.fields), (self.ghl["tags"], theirs.tags)):
            _fill(store, "id", rows)
        _fill(self.contacts, "id", theirs.contacts)

    def _fill_diary(self, now: datetime) -> None:
        """Appointments and sales of every branch, then what they say about each client's first and last visit."""
        rng, clients = self.rng, self.phorest["clients"]
        people = [row for key, row in clients.rows.items() if key != self.walk_in]
        for key, branch in self.phorest["branches"].rows.items():
            own = {
                name: [row for row in self.phorest[name].rows.values() if row["branchId"] == key]
                for name in ("staff", "products")
            }
            services = list(self.phorest["services"].rows.values())
            around = diary.Diary(branch, own["staff"], services, own["products"], people, self.walk_in, now)
            rows = diary.make_appointments(rng, around, self.options.months)
            _fill(self.phorest["purchases"], "purchaseId", diary.make_purchases(rng, around, rows))
            for row in rows:
                diary.thin_appointment(rng, row)
            _fill(self.appointments, "appointmentId", rows)
        diary.settle_visits(rng, clients.rows, list(self.appointments.rows.values()), now)

    def zone_of_branch(self, branch: str) -> ZoneInfo:
        """The zone of a branch."""
        return ZoneInfo(self.phorest["branches"].rows[branch]["timeZone"])

    def expire_holds(self) -> None:
        """Let RESERVED appointments vanish when their time is over."""
        limit = self.clock.now() - timedelta(seconds=self.switches.phorest_reserved_ttl_s)
        self.appointments.expire(exact_instant(limit))

    # --- state that survives ----------------------------------------------------------------------------------------

    def _header(self) -> Row | None:
        if self.journal is None:
            return None
        return next((row for name, _, row in self.journal.read() if name == "header"), None)

    def _made_at(self, header: Row | None) -> datetime:
        if header is None:
            return self.clock.now()
        if header["options"] != self._shape():
            raise ValueError(
                f"The state in {self.options.state} belongs to a sandbox of other options or another version. "
                "Start it with the options it was made with, or choose an empty folder."
            )
        self.clock.offset_s = header["offset_s"]  # time went on while no process ran
        return datetime.fromisoformat(header["made_at"])

    def _shape(self) -> Row:
        code = hashlib.sha256(b"".join(path.read_bytes() for path in _CATALOGUE_FILES)).hexdigest()[:16]
        names = ("clients", "seed", "branches", "months", "crm_contacts", "agency_contacts")
        return {"generator": code, **{name: getattr(self.options, name) for name in names}}

    def _replay(self, journal: Journal, header: Row | None, made_at: datetime) -> None:
        latest: dict[tuple[str, str], Row | None] = {}
        for name, key, row in journal.read():
            latest.pop((name, key), None)  # the newest of each keeps its place in time
            latest[name, key] = row
        kept: tuple[Loadable, ...] = (
            *self.phorest.values(),
            *self.ghl.values(),
            self.settings,
            self.log,
            self.automations.log,
            self.automations.not_run,
        )
        stores = {store.name: store for store in kept}
        for (name, key), row in latest.items():
            if name in stores:
                stores[name].load(key, row)
        if header is None:
            made = {"made_at": made_at.isoformat(), "offset_s": self.clock.offset_s, "options": self._shape()}
            latest["header", ""] = made
        journal.rewrite((name, key, row) for (name, key), row in latest.items())
        self.automations.restore(self.settings.get("workflows"))
        self.switches.change(self.settings.get("switches") or {})
        self.credentials = replace(self.credentials, **(self.settings.get("credentials") or {}))
        clock = self.settings.get("clock")
        if clock is not None:
            self.clock.offset_s = clock["offset_s"]

    def commit(self) -> None:
        """Make what this request changed survive the process; called before its answer is sent."""
        if self.journal is not None:
            self.journal.flush()

    def remember_settings(self) -> None:
        """Put switches, workflows and clock where a restart finds them."""
        self.settings.put("switches", self.switches.as_dict())
        self.settings.put("workflows", {"rows": self.automations.workflows()})
        self.settings.put("clock", {"offset_s": self.clock.offset_s})

    def rotate(self, name: str, grace_days: float = 0.0) -> str:
        """Replace a secret.

        Args:
            name: which one.
            grace_days: how long an old private token still works ("rotate and expire later" gives 7, facts/ghl-api §2.1).

        Raises:
            ValueError: there is no such secret.
        """
        values = {"phorest_secret": self.trace(), "ghl_token": f"pit-{self.trace()}", "app_secret": self.trace()}
        if name not in values:
            raise ValueError(f"There is no secret {name!r}. Secrets: {', '.join(values)}.")
        if name == "ghl_token" and grace_days > 0:
            until = self.clock.seconds() + grace_days * 86_400
            old = {"scopes": None, "location": self.location["id"], "until": until}
            self.settings.put(f"pit {self.credentials.ghl_token}", old)
        self.credentials = replace(self.credentials, **{name: values[name]})
        self.settings.put("credentials", {key: getattr(self.credentials, key) for key in values})
        return values[name]

    def close(self) -> None:
        """Release the journal's file."""
        if self.journal is not None:
            self.journal.close()

    # --- questions about the truth ----------------------------------------------------------------------------------

    def truths(self) -> Truths:
        """Who should be on a contact, computed anew when a client or a staff row changed."""
        clients, staff = self.phorest["clients"], self.phorest["staff"]
        key = (clients.revision, staff.revision)
        if self._truths is None or self._truths[0] != key:
            self._truths = (key, Truths(clients.rows, staff.rows.values(), self.countries, self.walk_in))
        return self._truths[1]

    def counts(self) -> dict[str, dict[str, int]]:
        """How many objects of each kind either side really holds."""
        truths = self.truths()
        phorest = {name: len(store) for name, store in self.phorest.items()}
        phorest["clients"] -= 1  # the walk-in record is nobody
        phorest["syncable_clients"] = sum(truths.of(key)["why_not"] is None for key in self.phorest["clients"].rows)
        return {"phorest": phorest, "ghl": {name: len(store) for name, store in self.ghl.items()}}

    def new_phorest_id(self) -> str:
        """A fresh Phorest id."""
        return phorest_id(self.rng)

    def new_ghl_id(self) -> str:
        """A fresh GHL id."""
        return ghl_id(self.rng)

    def trace(self) -> str:
        """A fresh trace id."""
        return uuid_text(self.rng)


def _fill(store: Store, key: str, rows: Iterable[Row]) -> None:
    for row in rows:
        store.load(row[key], row)


def _scale(clients: int) -> dict[str, int]:
    """How large the rest of the salon is: the real one has 25 staff, 80 services and 1,206 products."""
    share = min(1.0, clients / 14_806)
    return {
        "staff": max(10, round(25 * share)),
        "services": max(24, round(80 * share)),
        "products": max(60, round(1_206 * share)),
    }


def _make_credentials(rng: Random) -> Credentials:
    return Credentials(
        business=phorest_id(rng),
        other_business=phorest_id(rng),
        phorest_user="global/sandbox@example.com",
        phorest_secret=uuid_text(rng),
        other_user="global/other@example.com",
        ghl_token=f"pit-{uuid_text(rng)}",
        other_location=ghl_id(rng),
        app_id=f"{rng.getrandbits(96):024x}-sandbox",
        app_secret=uuid_text(rng),
    )


def _prepared(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def as_lines(rows: Iterable[Row]) -> bytes:
    """Rows as JSON lines."""
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)
