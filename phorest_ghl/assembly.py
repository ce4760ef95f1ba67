"""From settings to working parts: database, budgets, sessions, clients. Used alike by the CLI and by Dagster.

Belongs here: which part is made of which setting. Does not: what the parts do.
"""

import base64
import binascii
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from threading import Lock

from psycopg.conninfo import make_conninfo
from pydantic import SecretStr
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from phorest_ghl.audit.read_back import ReadBack
from phorest_ghl.audit.run import Audit, Roads
from phorest_ghl.db.embedded import EmbeddedServer
from phorest_ghl.db.engine import dagster_url, make_engine, require_supported_version
from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.migrate import upgrade
from phorest_ghl.db.oauth_tokens import TokenStore
from phorest_ghl.db.sealing import Sealer
from phorest_ghl.explain.appointment import AppointmentExplainer
from phorest_ghl.explain.client import ClientExplainer
from phorest_ghl.ghl.calendars import CalendarClient, CalendarReader
from phorest_ghl.ghl.client import GhlClient, GhlReader
from phorest_ghl.ghl.credentials import AppTokens, Credentials, PrivateToken
from phorest_ghl.ghl.fields import Facet
from phorest_ghl.ghl.notes import NotesClient, NotesReader
from phorest_ghl.ghl.oauth import App, OAuthApi
from phorest_ghl.ghl.scopes import scope_of
from phorest_ghl.ghl.users import UsersReader
from phorest_ghl.ghl.versions import ApiVersion
from phorest_ghl.http.budget import Budget, InLane, Lane, Limits, UnlimitedBudget
from phorest_ghl.http.budget_postgres import PostgresBudget
from phorest_ghl.http.retry import RetryPolicy
from phorest_ghl.http.session import ApiSession
from phorest_ghl.phorest.client import PhorestClient, basic_auth
from phorest_ghl.phorest.importer import Importer
from phorest_ghl.phorest.retention import Retention
from phorest_ghl.phorest.watched import Seen, WatchedClient
from phorest_ghl.privacy import traces
from phorest_ghl.privacy.forgetting import Forgetting
from phorest_ghl.salon_file import SalonFile, read_salon_file
from phorest_ghl.settings import Settings, SettingsError, guard_bounds, hours, kept_days, listed, tiers
from phorest_ghl.sync.client_repair import ClientRepair
from phorest_ghl.sync.clients import ENTITY as CLIENT
from phorest_ghl.sync.clients import ClientsSync
from phorest_ghl.sync.contact_hours import ContactHours
from phorest_ghl.sync.events.appointments import AppointmentsSync
from phorest_ghl.sync.events.rules import EventRules
from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.lookup import SEARCH_LAG_S
from phorest_ghl.sync.notes.road import CheckInsSync
from phorest_ghl.sync.notes.visits import NoteRules
from phorest_ghl.sync.parts import Part
from phorest_ghl.sync.rules import FacetRules, Rules, folded
from phorest_ghl.sync.staff.humans import PSEUDO
from phorest_ghl.sync.staff.road import StaffSync
from phorest_ghl.sync.stops.gate import Gate
from phorest_ghl.sync.stops.size import Bound

DATABASE = "phorest_ghl"
DAGSTER_DATABASE = "dagster"

PHOREST_NAMES = ("PHOREST_API_BASE_URL", "PHOREST_BUSINESS_ID", "PHOREST_CLIENT_ID", "PHOREST_CLIENT_SECRET")
GHL_NAMES = ("GHL_LOCATION_ID", "GHL_PRIVATE_TOKEN")
APP_NAMES = ("GHL_CLIENT_ID", "GHL_CLIENT_SECRET", "PHOREST_GHL_SECRET_KEY")


@dataclass(frozen=True)
class Urls:
    """Where the two databases are: ours for psycopg 3, Dagster's for psycopg2."""

    ours: str
    dagster: str


def embedded_server(settings: Settings) -> EmbeddedServer:
    """The server that is used where DATABASE_URL is empty; not started by this."""
    return EmbeddedServer(settings.phorest_ghl_state_dir)


def start_database(settings: Settings) -> Urls:
    """The databases' URLs; starts the embedded server if there is none of one's own. Raises DatabaseUnreachable."""
    if settings.database_url is not None:
        dagster = settings.dagster_database_url
        if dagster is None:
            dagster = (
                make_url(settings.database_url).set(database=DAGSTER_DATABASE).render_as_string(hide_password=False)
            )
        return Urls(settings.database_url, dagster_url(dagster))
    server = embedded_server(settings)
    server.start()
    for name in (DATABASE, DAGSTER_DATABASE):
        server.ensure_database(name)
    return Urls(server.url(DATABASE), dagster_url(server.url(DAGSTER_DATABASE)))


def libpq_url(url: str) -> str:
    """A database's URL as libpq and psql read it, the password included."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def rules(settings: Settings) -> Rules:
    """What the salon has decided about its contacts."""
    return Rules(
        policy=settings.consent_policy,
        notes=settings.sync_client_notes,
        without_contact_point=settings.sync_without_contact_point,
        junk_above=settings.shared_address_limit,
        opt_ins_at_once=settings.opt_ins_at_once,
        facets=facet_rules(settings),
        hours=ContactHours(*hours(settings.contact_hours)),
    )


def facet_rules(settings: Settings) -> FacetRules:
    """What the salon has decided about points, visits, bookings and products."""
    switches = {
        Facet.LOYALTY: settings.sync_loyalty,
        Facet.VISITS: settings.sync_visits,
        Facet.BOOKINGS: settings.sync_online_bookings,
        Facet.PRODUCTS: settings.sync_product_tags,
    }
    return FacetRules(
        on=frozenset(facet for facet, on in switches.items() if on),
        spend=settings.sync_spend,
        tiers=tiers(settings.loyalty_tiers),
        rebook_days=settings.rebook_default_days,
        no_show_names=listed(settings.no_show_names),
        marker_names=listed(settings.marker_services),
        excluded_categories=listed(settings.sync_excluded_categories),
        excluded_services=listed(settings.sync_excluded_services),
        excluded_products=listed(settings.sync_excluded_products),
        before_go_live=settings.product_tags_before_go_live,
        branch_ids=settings.branch_ids,
    )


def excluded_services(settings: Settings) -> frozenset[str]:
    """Services and their categories that nothing in GHL may name, as they are compared (safety S19)."""
    return frozenset(folded(listed(settings.sync_excluded_services)))


def event_rules(settings: Settings, reviewed: SalonFile, days: tuple[date, date] | None = None) -> EventRules:
    """What the salon has decided about its calendar events; `days` are those that a backfill names for itself."""
    return EventRules(
        calendar=settings.ghl_default_calendar_id,
        calendars=reviewed.calendars,
        staff_calendars=reviewed.staff_calendars,
        category_calendars={folded((name,))[0]: value for name, value in reviewed.category_calendars.items()},
        user=settings.ghl_default_user_id,
        users=reviewed.staff,
        days_back=settings.appointment_days_back,
        days_ahead=settings.appointment_days_ahead,
        days=days,
        announcing=settings.announcing_calendars,
        times_confirmed=settings.appointment_times_confirmed,
        hours=ContactHours(*hours(settings.contact_hours)),
        unnamed=excluded_services(settings),
    )


def keyring(settings: Settings) -> Keyring:
    """The keyring of PHOREST_GHL_HASH_KEY, which is base64 text. Raises SettingsError."""
    encoded = settings.secret("PHOREST_GHL_HASH_KEY")
    try:
        return Keyring(base64.urlsafe_b64decode(encoded.encode()))
    except (binascii.Error, ValueError):
        raise SettingsError(
            "PHOREST_GHL_HASH_KEY is not usable: it should be at least 16 bytes in base64, as `phorest-ghl init` makes it. "
            "If this deployment has a database already, put the key of its .env or of its dump back."
        ) from None


def uses_app(settings: Settings) -> bool:
    """Whether GHL is called with a marketplace app's tokens: where a client id is set and no private token, which wins."""
    return settings.ghl_private_token is None and settings.ghl_client_id is not None


def ghl_names(settings: Settings) -> tuple[str, ...]:
    """The settings that calls to GHL need, the location's id first."""
    return (GHL_NAMES[0], *APP_NAMES) if uses_app(settings) else GHL_NAMES


def secret_keys(settings: Settings) -> tuple[str, ...]:
    """The keys that open stored tokens, the one that seals first. Raises SettingsError."""
    return tuple(key.strip() for key in settings.secret("PHOREST_GHL_SECRET_KEY").split(","))


def app(settings: Settings) -> App:
    """The marketplace app. Raises SettingsError."""
    settings.require(*APP_NAMES)
    return App(str(settings.ghl_client_id), SecretStr(settings.secret("GHL_CLIENT_SECRET")))


class Runtime:
    """The parts of one process, made when first asked for and closed together."""

    def __init__(self, settings: Settings, *, retry: RetryPolicy | None = None) -> None:
        self.settings = settings
        self._retry = retry or RetryPolicy()
        self._parts = ExitStack()
        self._one_source = Lock()
        self._credentials: Credentials | None = None
        self._tokens: TokenStore | None = None
        self.urls = start_database(settings)
        try:
            self.engine = self._open_engine()
        except BaseException:
            self.close()  # nobody else can: there is no runtime yet
            raise

    def _open_engine(self) -> Engine:
        schema = self.settings.salon or None
        engine = make_engine(self.urls.ours, schema=schema)
        self._parts.callback(engine.dispose)
        require_supported_version(engine)
        upgrade(engine, schema=schema)
        return engine

    def keyring(self) -> Keyring:
        """Raises SettingsError where the key is missing or unusable."""
        return keyring(self.settings)

    def gate(self) -> Gate:
        """The guards, with the bounds that the settings name."""
        return Gate({name: Bound(*bound) for name, bound in guard_bounds(self.settings.guard_bounds).items()})

    def clients_sync(
        self,
        *,
        batch_id: str,
        writing: bool,
        lag_s: float = SEARCH_LAG_S,
        part: Part | None = None,
        polls_after: bool = True,
    ) -> ClientsSync:
        """A run of clients, or of a part of their contacts, for the location; only a `writing` one can apply.

        Raises SettingsError.
        """
        client = self.ghl() if writing else self.ghl_reader()
        return ClientsSync(
            self.engine,
            client,
            self.keyring(),
            batch_id=batch_id,
            rules=rules(self.settings),
            lag_s=lag_s,
            part=part,
            polls_after=polls_after,
            gate=self.gate(),
        )

    def check_ins_sync(self, *, batch_id: str, writing: bool, lag_s: float = SEARCH_LAG_S) -> CheckInsSync:
        """A run of check-in notes for the location; only a `writing` one can apply. Raises SettingsError."""
        kind = NotesClient if writing else NotesReader
        client = kind(self._ghl_session(), str(self.settings.ghl_location_id), self._version())
        chosen = NoteRules(days=self.settings.check_in_days, excluded=excluded_services(self.settings))
        return CheckInsSync(
            self.engine,
            client,
            self.keyring(),
            batch_id=batch_id,
            rules=chosen,
            lag_s=lag_s,
            gate=self.gate(),
        )

    def staff_sync(self, *, batch_id: str, writing: bool, lag_s: float = SEARCH_LAG_S) -> StaffSync:
        """A run of the staff's contacts for the location; only a `writing` one can apply. Raises SettingsError."""
        return StaffSync(
            self.engine,
            self.ghl() if writing else self.ghl_reader(),
            self.keyring(),
            batch_id=batch_id,
            rules=rules(self.settings),
            patterns=(*PSEUDO, *self.settings.pseudo_staff_words),
            lag_s=lag_s,
            gate=self.gate(),
        )

    def appointments_sync(
        self,
        *,
        batch_id: str,
        writing: bool,
        lag_s: float = SEARCH_LAG_S,
        days: tuple[date, date] | None = None,
        judging: bool = True,
    ) -> AppointmentsSync:
        """A run of appointments for the location; only a `writing` one can apply.

        It creates events of the settings' days around now, or of those from the first to the last of `days`. Without
        `judging` it leaves it open why clients have no contact: before a first load nobody has one, and to say of each why
        takes a plan of all clients. Raises SettingsError.
        """
        kind = CalendarClient if writing else CalendarReader
        client = kind(self._ghl_session(), str(self.settings.ghl_location_id), self._version())
        repair = self.client_repair(batch_id=batch_id, writing=writing, lag_s=lag_s) if judging else None
        return AppointmentsSync(
            self.engine,
            client,
            self.keyring(),
            batch_id=batch_id,
            rules=event_rules(self.settings, read_salon_file(), days),
            people_rules=rules(self.settings),
            lag_s=lag_s,
            repair=repair,
            gate=self.gate(),
        )

    def audit(self, *, batch_id: str, writing: bool, lag_s: float = SEARCH_LAG_S) -> Audit:
        """An audit of the location; only a `writing` one can mend. Raises SettingsError."""
        settings, location_id = self.settings, str(self.settings.ghl_location_id)
        sessions = [self._ghl_session(), self._ghl_session()]
        reader = ReadBack(
            self.engine,
            CalendarReader(sessions[0], location_id, self._version()),
            NotesReader(sessions[1], location_id, self._version()),
            self.keyring(),
            batch_id=batch_id,
            allowance=int(settings.ghl_daily_limit * settings.audit_budget_share),
        )
        return Audit(
            self.engine,
            reader,
            Roads(
                clients=self.clients_sync(batch_id=batch_id, writing=writing, lag_s=lag_s),
                appointments=self.appointments_sync(batch_id=batch_id, writing=writing, lag_s=lag_s),
                check_ins=self.check_ins_sync(batch_id=batch_id, writing=writing, lag_s=lag_s),
            ),
            location_id=location_id,
            batch_id=batch_id,
            event_rules=event_rules(settings, read_salon_file()),
            note_days=settings.check_in_days,
            requests=lambda: reader.requests,
        )

    def client_repair(self, *, batch_id: str, writing: bool, lag_s: float = SEARCH_LAG_S) -> ClientRepair:
        """What brings single clients onto contacts, ahead of all other work; only a `writing` one can. Raises SettingsError."""
        location_id = str(self.settings.ghl_location_id)
        session = self._ghl_session(Lane.REPAIR)
        client = (GhlClient if writing else GhlReader)(session, location_id, self._version())
        clients = ClientsSync(
            self.engine,
            client,
            self.keyring(),
            batch_id=batch_id,
            rules=rules(self.settings),
            lag_s=lag_s,
            bulk=False,
            gate=self.gate(),
        )
        made, one_at_a_time = list[Importer](), Lock()

        def fetch(client_id: str) -> bool:
            with one_at_a_time:  # made when it is needed: most runs bring nobody
                if not made:
                    made.append(self.importer(batch_id, lane=Lane.REPAIR))
            return made[0].one_client(client_id)

        return ClientRepair(self.engine, clients, fetch, Ledger(location_id, CLIENT, batch_id))

    def phorest(self, seen: Seen | None = None, *, lane: Lane | None = None) -> PhorestClient:
        """A client of the business, paced with everybody who uses its credential; `seen` is told of every page.

        With a `lane`, all that it asks is asked in it.

        Raises SettingsError.
        """
        settings = self.settings
        settings.require(*PHOREST_NAMES)
        limits = _phorest_limits(settings)
        budget = self._budget(f"phorest:{settings.phorest_business_id}", limits)
        session = self._parts.enter_context(_phorest_session(settings, _in(lane, budget), limits, self._retry))
        business_id = str(settings.phorest_business_id)
        return PhorestClient(session, business_id) if seen is None else WatchedClient(session, business_id, seen)

    def importer(self, batch_id: str, *, seen: Seen | None = None, lane: Lane | None = None) -> Importer:
        """An importer of the business for one run, with the branches and times that the settings name. Raises SettingsError."""
        return Importer(
            self.engine,
            self.phorest(seen, lane=lane),
            self.keyring(),
            batch_id=batch_id,
            time_mode=self.settings.phorest_appointment_time_mode,
            branch_ids=self.settings.branch_ids,
            # What scheduled runs make events of has to be here first.
            look_back=timedelta(days=self.settings.appointment_days_back),
            look_ahead=timedelta(days=self.settings.appointment_days_ahead),
        )

    def retention(self) -> Retention:
        """How long the settings keep what is over."""
        settings = self.settings
        return Retention.of_days(
            kept_days(settings.phorest_keep_versions_days), kept_days(settings.phorest_keep_tombstones_days)
        )

    def ghl(self) -> GhlClient:
        """A client of the location with write verbs: for apply alone. Raises SettingsError."""
        return GhlClient(self._ghl_session(), str(self.settings.ghl_location_id), self._version())

    def forgetting(self) -> Forgetting:
        """What erases a person, here and in the location. Raises SettingsError."""
        client = CalendarClient(self._ghl_session(), str(self.settings.ghl_location_id), self._version())
        return Forgetting(self.engine, client, self.keyring(), rules(self.settings).policy, self._scrub)

    def _scrub(self, mask: str) -> tuple[int, int]:
        """Replace ids in files below the state folder and in Dagster's storage; in how many there were any, of each."""
        folder = self.settings.phorest_ghl_state_dir
        files = traces.scrub_files(folder, mask)
        engine = make_engine(self.urls.dagster)
        try:
            return files, traces.scrub_dagster(engine, mask)
        finally:
            engine.dispose()

    def ghl_reader(self) -> GhlReader:
        """A client of the location that cannot write. Raises SettingsError."""
        return GhlReader(self._ghl_session(), str(self.settings.ghl_location_id), self._version())

    def calendar_reader(self) -> CalendarReader:
        """A client of the location that reads its calendars. Raises SettingsError."""
        return CalendarReader(self._ghl_session(), str(self.settings.ghl_location_id), self._version())

    def client_explainer(self) -> ClientExplainer:
        """What explains clients from what is here. Raises SettingsError."""
        self.settings.require("GHL_LOCATION_ID")
        return ClientExplainer(str(self.settings.ghl_location_id), self.keyring(), rules(self.settings))

    def appointment_explainer(self) -> AppointmentExplainer:
        """What explains appointments from what is here. Raises SettingsError."""
        self.settings.require("GHL_LOCATION_ID")
        chosen = event_rules(self.settings, read_salon_file())
        return AppointmentExplainer(str(self.settings.ghl_location_id), self.keyring(), chosen)

    def token_store(self) -> TokenStore:
        """The app's tokens as they are stored. Raises SettingsError, UnusableSecretKey.

        It has connections of its own: a token is renewed while every other one may be held by a thread that waits for it.
        """
        if self._tokens is None:
            engine = make_engine(self.urls.ours, schema=self.settings.salon or None)
            self._parts.callback(engine.dispose)
            self._tokens = TokenStore(engine, Sealer(secret_keys(self.settings)))
        return self._tokens

    def oauth(self) -> OAuthApi:
        """The endpoints that give tokens to the app. Raises SettingsError."""
        settings = self.settings
        wanted = app(settings)
        session = ApiSession(
            api="ghl",
            base_url=settings.ghl_api_base_url,
            auth=dict[str, str],
            budget=UnlimitedBudget(),  # it counts apart from the location's, and is asked once a day
            # Others wait for the lock meanwhile, and the session that asked for the token repeats too.
            retry=replace(self._retry, attempts=min(3, self._retry.attempts), elapsed_s=min(20, self._retry.elapsed_s)),
            scope_of=scope_of,
        )
        return OAuthApi(self._parts.enter_context(session), wanted, self._version())

    def credentials(self) -> Credentials:
        """The one source of what GHL is called with. Raises SettingsError, UnusableSecretKey."""
        with self._one_source:
            if self._credentials is None:
                settings = self.settings
                settings.require(*ghl_names(settings))
                self._credentials = (
                    AppTokens(
                        self.token_store(), self.oauth(), str(settings.ghl_location_id), str(settings.ghl_client_id)
                    )
                    if uses_app(settings)
                    else PrivateToken(settings.secret("GHL_PRIVATE_TOKEN"))
                )
            return self._credentials

    def users_reader(self) -> UsersReader:
        """A client of the location that reads its users. Raises SettingsError."""
        return UsersReader(self._ghl_session(), str(self.settings.ghl_location_id), self._version())

    def close(self) -> None:
        """Close connections and pools. The database server goes on."""
        self._parts.close()

    def _ghl_session(self, lane: Lane | None = None) -> ApiSession:
        settings = self.settings
        settings.require(*ghl_names(settings))
        limits = ghl_limits(settings)
        budget = self._budget(f"ghl:{settings.ghl_location_id}", limits)
        session = _ghl_session(settings, self.credentials(), _in(lane, budget), limits, self._retry)
        return self._parts.enter_context(session)

    def _version(self) -> ApiVersion:
        return ApiVersion(self.settings.ghl_api_version)

    def _budget(self, key: str, limits: Limits) -> PostgresBudget:
        dsn = libpq_url(self.urls.ours)
        if self.settings.salon:
            dsn = make_conninfo(dsn, options=f"-c search_path={self.settings.salon}")
        budget = PostgresBudget(dsn, key, limits)
        self._parts.callback(budget.close)
        return budget


class Unpaced:
    """Readers of both sides for a few requests without a database, and so without the budget that it holds."""

    def __init__(self, settings: Settings, *, retry: RetryPolicy) -> None:
        self.settings = settings
        self._retry = retry
        self._parts = ExitStack()

    def phorest(self) -> PhorestClient:
        """Raises SettingsError."""
        settings = self.settings
        settings.require(*PHOREST_NAMES)
        session = _phorest_session(settings, UnlimitedBudget(), _phorest_limits(settings), self._retry)
        return PhorestClient(self._parts.enter_context(session), str(settings.phorest_business_id))

    def ghl_reader(self) -> GhlReader:
        """With the private token; an app's tokens are in the database. Raises SettingsError."""
        settings = self.settings
        settings.require(*GHL_NAMES)
        token = PrivateToken(settings.secret("GHL_PRIVATE_TOKEN"))
        session = _ghl_session(settings, token, UnlimitedBudget(), ghl_limits(settings), self._retry)
        version = ApiVersion(settings.ghl_api_version)
        return GhlReader(self._parts.enter_context(session), str(settings.ghl_location_id), version)

    def close(self) -> None:
        """Close the connections."""
        self._parts.close()


def _in(lane: Lane | None, budget: Budget) -> Budget:
    return budget if lane is None else InLane(budget, lane)


def _phorest_limits(settings: Settings) -> Limits:
    return Limits(requests=settings.phorest_requests_per_second, window_s=1.0, share=1.0, daily=None)


def ghl_limits(settings: Settings) -> Limits:
    """GHL's quota and our part of it, as the settings have them."""
    return Limits(
        requests=settings.ghl_rate_limit,
        window_s=settings.ghl_rate_window_s,
        share=settings.ghl_budget_share,
        daily=settings.ghl_daily_limit,
    )


def _phorest_session(settings: Settings, budget: Budget, limits: Limits, retry: RetryPolicy) -> ApiSession:
    return ApiSession(
        api="phorest",
        base_url=str(settings.phorest_api_base_url),
        auth=basic_auth(str(settings.phorest_client_id), settings.secret("PHOREST_CLIENT_SECRET")),
        budget=budget,
        retry=replace(retry, window_s=limits.window_s),
    )


def _ghl_session(
    settings: Settings, credentials: Credentials, budget: Budget, limits: Limits, retry: RetryPolicy
) -> ApiSession:
    return ApiSession(
        api="ghl",
        base_url=settings.ghl_api_base_url,
        auth=credentials.headers,
        on_auth_error=credentials.renewed,
        budget=budget,
        retry=replace(retry, window_s=limits.window_s),
        scope_of=scope_of,
    )


@contextmanager
def open_runtime(settings: Settings, *, retry: RetryPolicy | None = None) -> Generator[Runtime]:
    """A runtime that is closed at the end of the block."""
    runtime = Runtime(settings, retry=retry)
    try:
        yield runtime
    finally:
        runtime.close()
