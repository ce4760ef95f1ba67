"""All settings: one typed object, read from the environment and from `.env`, checked before anything starts.

Belongs here: names, types, defaults, and the sentence for each thing that can be wrong. Does not: what is reviewed by a
person (salon.toml), anything that connects.

The predecessor's names keep working. `.env.example` is generated from here (`phorest-ghl settings-example`).
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import ZoneInfo, available_timezones

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo

_BUSINESS_PATH = "/third-party-api-server/api/business"
_SLUG = re.compile(r"[a-z][a-z0-9_]{0,30}")
_OURS = ("PHOREST_", "GHL_", "SALON", "DATABASE_URL", "DAGSTER_DATABASE_URL")
"""A name that begins so and that no setting has is misspelt; other names in the environment are not ours to judge."""

IMPORT_TABLES = (
    "phorest_branches", "phorest_client_categories", "phorest_clients", "phorest_staff", "phorest_service_categories",
    "phorest_services", "phorest_products", "phorest_appointments", "phorest_purchases",
)  # fmt: skip
"""Tables that a time of keeping can be set for, named here so that reading settings loads no table; a test compares."""
GUARDS = (
    "adoptions",
    "overwrites",
    "tag-removals",
    "cancellations",
    "moves",
    "unknown-contacts",
)
"""The guards whose bounds GUARD_BOUNDS may change."""
_GUARD_BOUND = re.compile(r"(?P<guard>[a-z-]+)\s*=\s*(?P<number>\d{1,7})(?:\s*:\s*(?P<percent>\d{1,3}(?:\.\d+)?)\s*%)?")
_KEPT = re.compile(r"(?:(?P<table>\w+)=)?(?P<days>\d{1,5}|forever)")

Section = Literal["Phorest", "GoHighLevel", "Salon", "Database", "Keys", "Pace"]


class SettingsError(Exception):
    """One or more settings are wrong, missing or misspelt: a sentence each."""


def _setting(section: Section, description: str, *, example: str = "", where: str = "", **more: Any) -> Any:
    """A setting. `where` says where a person finds the value; `example` is what it looks like."""
    extra: Any = {"section": section, "example": example, "where": where}
    return Field(description=description, json_schema_extra=extra, **more)


Text = str | None
Secret = SecretStr | None
Share = Annotated[float, Field(gt=0, le=0.98)]


class Settings(BaseModel):
    """Every setting of the product. Fields that are None are not set; commands that need them say so by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    phorest_api_base_url: Text = _setting(
        "Phorest",
        "Base URL of the Phorest API of your region, with or without /business",
        example="https://api-gateway-eu.phorest.com/third-party-api-server/api/business",
        where="EU, UK: api-gateway-eu.phorest.com; US, Canada, Australia: api-gateway-us.phorest.com",
        default=None,
    )
    phorest_business_id: Text = _setting(
        "Phorest",
        "Id of the business",
        example="aB3dE5fG7hI9jK1lM3nO5Q",
        where="Phorest's email that granted access",
        default=None,
    )
    phorest_branch_id: Text = _setting(
        "Phorest",
        "Id of the branch, or ids with commas between, whose services, products, appointments and sales are read; "
        "empty for all branches",
        example="9c0-bZ2yQ3uHkL5wT_1fSw",
        default=None,
    )
    phorest_client_id: Text = _setting(
        "Phorest",
        "User of the API: the word global, a slash, and the API user's email",
        example="global/salon-api@example.com",
        where="Phorest's email that granted access",
        default=None,
    )
    phorest_client_secret: Secret = _setting(
        "Phorest", "Password of the API user", where="Phorest's email that granted access", default=None
    )
    phorest_appointment_time_mode: Literal["branch_local", "utc"] = _setting(
        "Phorest",
        "What the times of appointments are that Phorest sends: branch_local, the clock on the branch's wall, or utc",
        example="branch_local",
        where="compare a summer appointment on Phorest's screen with phorest_appointments",
        default="branch_local",
    )
    ghl_api_base_url: str = _setting(
        "GoHighLevel", "Base URL of the GoHighLevel API", example="https://services.leadconnectorhq.com",
        default="https://services.leadconnectorhq.com",
    )  # fmt: skip
    ghl_location_id: Text = _setting(
        "GoHighLevel",
        "Id of the location (sub-account)",
        example="ve9EPM428h8vShlRW1KT",
        where="GHL, Settings, Business Profile",
        default=None,
    )
    ghl_private_token: Secret = _setting(
        "GoHighLevel",
        "Private integration token of the location",
        example="pit-00000000-0000-0000-0000-000000000000",
        where="GHL, Settings, Private Integrations",
        default=None,
    )
    ghl_client_id: Text = _setting(
        "GoHighLevel",
        "Client id of a marketplace app, instead of a private token; then run `phorest-ghl auth`",
        example="6578278e879ad2646715ba9c-lr1abcde",
        where="GHL's marketplace, My Apps, the app's client keys",
        default=None,
    )
    ghl_client_secret: Secret = _setting("GoHighLevel", "Client secret of the marketplace app", default=None)
    ghl_authorize_url: str = _setting(
        "GoHighLevel",
        "Page where a person installs the app",
        example="https://marketplace.gohighlevel.com/v2/oauth/chooselocation",
        where="marketplace.leadconnectorhq.com in place of marketplace.gohighlevel.com shows it without GHL's name",
        default="https://marketplace.gohighlevel.com/v2/oauth/chooselocation",
    )
    ghl_callback_port: Annotated[int, Field(ge=0, le=65_535)] = _setting(
        "GoHighLevel",
        "Port of this machine where `phorest-ghl auth` waits for the browser to come back; register "
        "http://127.0.0.1:PORT/callback as a redirect URL of the app. 0 takes a free one",
        example="8765",
        default=8765,
    )
    ghl_api_version: Literal["2021", "v3"] = _setting(
        "GoHighLevel", "Generation of the API: 2021 (the dated versions) or v3", example="2021", default="2021"
    )
    ghl_default_calendar_id: Text = _setting(
        "GoHighLevel", "Calendar of appointments without one of their own", example="o4EUJKEtXGcRYAjaVX0S", default=None
    )
    ghl_default_user_id: Text = _setting(
        "GoHighLevel", "GHL user to whom appointments without a mapped stylist are assigned", default=None
    )
    ghl_announcing_calendars: str = _setting(
        "GoHighLevel",
        "Ids of calendars, with commas between, whose clients GHL and not Phorest writes to about bookings; empty for none",
        example="o4EUJKEtXGcRYAjaVX0S",
        where="turn Phorest's own confirmations off first, or clients hear of each booking twice",
        default="",
    )
    appointment_times_confirmed: bool = _setting(
        "Salon",
        "Whether a person has compared a summer appointment's time in GHL with Phorest's screen; until then nobody is told",
        example="yes",
        default=False,
    )
    appointment_days_back: Annotated[int, Field(ge=0, le=3650)] = _setting(
        "Salon", "Days back from which scheduled runs create calendar events", example="60", default=60
    )
    appointment_days_ahead: Annotated[int, Field(ge=1, le=3650)] = _setting(
        "Salon", "Days ahead up to which scheduled runs create calendar events", example="120", default=120
    )
    contact_hours: str = _setting(
        "Salon",
        "When clients may be written to, in their branch's zone",
        example="09:00-20:00",
        default="09:00-20:00",
    )
    salon: str = _setting(
        "Salon", "Short name in lower case, where several salons share one installation", example="downtown", default=""
    )
    consent_policy: Literal["strict", "separate"] = _setting(
        "Salon",
        "What closes a channel in GHL, which blocks marketing and reminders alike: strict, where marketing consent is not "
        "given; separate, where marketing and reminders are both refused, and campaigns must filter on the yes/no fields",
        example="strict",
        default="strict",
    )
    sync_client_notes: bool = _setting(
        "Salon",
        "Whether Phorest's notes on clients, which may name health matters, go to GHL",
        example="no",
        default=False,
    )
    sync_without_contact_point: bool = _setting(
        "Salon", "Whether a client with neither email nor phone gets a contact", example="no", default=False
    )
    shared_address_limit: Annotated[int, Field(ge=1)] = _setting(
        "Salon", "An email or phone that more clients than this share reaches none of them", example="5", default=5
    )
    opt_ins_at_once: Annotated[int, Field(ge=0)] = _setting(
        "Salon", "Opt-ins in one run above which none is believed until a person has looked", example="50", default=50
    )
    sync_loyalty: bool = _setting(
        "Salon", "Whether loyalty points, card and tier go to GHL, and a tag of the tier", example="yes", default=True
    )
    sync_visits: bool = _setting(
        "Salon",
        "Whether visits go to GHL: the last and the next one, services, stylists, counts, when the next one is due",
        example="yes",
        default=True,
    )
    sync_spend: bool = _setting(
        "Salon",
        "Whether what a client spent in twelve months goes to GHL, with the visits",
        example="yes",
        default=True,
    )
    sync_online_bookings: bool = _setting(
        "Salon", "Whether online bookings go to GHL, and a tag of who made one", example="yes", default=True
    )
    sync_product_tags: bool = _setting(
        "Salon", "Whether who bought a product gets its tag in GHL", example="yes", default=True
    )
    product_tags_before_go_live: bool = _setting(
        "Salon",
        "Whether what was bought before go-live makes tags too; that may be years, and a workflow may start on each",
        example="no",
        default=False,
    )
    loyalty_tiers: str = _setting(
        "Salon",
        "Tiers and the points from which on a client is in each; one of 0 has everybody with a card",
        example="gold=1000, silver=500, bronze=100, member=0",
        default="gold=1000, silver=500, bronze=100, member=0",
    )
    rebook_default_days: Annotated[int, Field(ge=1, le=1000)] = _setting(
        "Salon",
        "Days from a visit to the next where a client has fewer than three visits of the kind to tell",
        example="42",
        default=42,
    )
    guard_bounds: str = _setting(
        "Salon",
        "What a run does by itself of what is guarded, where it is not the default: so many, or that share, whichever is more",
        example="overwrites=500:50%, cancellations=50:10%",
        where="`phorest-ghl allow` shows what is held back; docs/decisions/0016-guards.md the defaults",
        default="",
    )
    no_show_names: str = _setting(
        "Salon",
        "Services, or columns of the diary, by which the staff marks in Phorest that a client did not come; semicolons between",
        example="No show",
        default="No show",
    )
    marker_services: str = _setting(
        "Salon",
        "Services in Phorest that are no visit; semicolons between",
        example="Late cancellation fee; Storno",
        default="Late cancellation fee; Storno",
    )
    sync_excluded_categories: str = _setting(
        "Salon", "Client categories that make no tag in GHL; semicolons between", example="Skin clinic", default=""
    )
    sync_excluded_services: str = _setting(
        "Salon",
        "Services, or categories of services, that nothing in GHL names, for that may tell of somebody's health: no field and "
        "no event's title, and their visits get no note; semicolons between",
        example="Scalp treatment; Skin clinic",
        default="",
    )
    sync_excluded_products: str = _setting(
        "Salon",
        "Products, or categories of products, that make no tag in GHL; semicolons between",
        example="Hair growth; Skin clinic",
        default="",
    )
    check_in_days: Annotated[int, Field(ge=1, le=60)] = _setting(
        "Salon", "Days back in which a visit that has no check-in note yet gets one", example="7", default=7
    )
    pseudo_staff: str = _setting(
        "Salon",
        "Further words, with semicolons between, that a column of the diary is called by which is nobody; rooms, machines, "
        "no-shows, waiting lists and training accounts are known",
        example="Sala; Overflow",
        default="",
    )
    salon_timezone: str = _setting(
        "Salon", "Time zone of the schedules", example="Europe/Dublin", where="the tz database's names", default="UTC"
    )
    database_url: Text = _setting(
        "Database",
        "A PostgreSQL 15 or newer of your own; empty for the embedded server",
        example="postgresql://user:password@host:5432/phorest_ghl",
        default=None,
    )
    dagster_database_url: Text = _setting(
        "Database",
        "Another database of the same server for Dagster's storage; empty to let it follow DATABASE_URL",
        example="postgresql://user:password@host:5432/dagster",
        default=None,
    )
    phorest_ghl_state_dir: Path = _setting(
        "Database",
        "Folder of the embedded server and of Dagster's files",
        example=".phorest-ghl",
        default=Path(".phorest-ghl"),
    )
    phorest_keep_versions_days: str = _setting(
        "Database",
        "Days that rows of Phorest are kept as they were before they changed; then tables with a time of their own",
        example="400, phorest_clients=90, phorest_purchases=forever",
        default="400",
    )
    phorest_keep_tombstones_days: str = _setting(
        "Database",
        "Days that rows are kept which Phorest no longer has; then tables with a time of their own",
        example="730, phorest_appointments=forever",
        default="730",
    )
    phorest_ghl_hash_key: Secret = _setting(
        "Keys",
        "Keys all hashes of personal values. Made once by demo and init, never changed, kept with every backup",
        default=None,
    )
    phorest_ghl_secret_key: Secret = _setting(
        "Keys",
        "Encrypts tokens at rest. Made by demo and init, changed by `phorest-ghl auth rotate-key`; earlier keys, which only "
        "decrypt, may follow after commas",
        default=None,
    )
    ghl_rate_limit: Annotated[int, Field(ge=1)] = _setting(
        "Pace", "Requests that GHL allows in a window (25 for developer test accounts)", example="100", default=100
    )
    ghl_rate_window_s: Annotated[float, Field(gt=0)] = _setting(
        "Pace", "Seconds of GHL's window", example="10", default=10.0
    )
    ghl_daily_limit: Annotated[int, Field(ge=1)] = _setting(
        "Pace",
        "Requests that GHL allows in a day (10000 for developer test accounts)",
        example="200000",
        default=200_000,
    )
    ghl_budget_share: Share = _setting(
        "Pace", "Our part of GHL's limit; other integrations of the agency use the rest", example="0.8", default=0.8
    )
    audit_budget_share: Share = _setting(
        "Pace",
        "Part of the day's requests that an audit may spend on reading single records again",
        example="0.1",
        default=0.1,
    )
    phorest_requests_per_second: Annotated[int, Field(ge=1, le=10_000)] = _setting(
        "Pace", "Our requests a second to Phorest, which allows 100", example="50", default=50
    )

    @field_validator("phorest_api_base_url")
    @classmethod
    def _business_url(cls, value: str | None) -> str | None:
        return None if value is None else business_url(value)

    @field_validator("ghl_api_base_url", "ghl_authorize_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        return _url(value).rstrip("/")

    @field_validator("phorest_client_id")
    @classmethod
    def _global_user(cls, value: str | None) -> str | None:
        if value is not None and not (value.startswith("global/") and "@" in value):
            raise ValueError("should be the word global, a slash and the API user's email")
        return value

    @field_validator("salon")
    @classmethod
    def _slug(cls, value: str) -> str:
        if value and not _SLUG.fullmatch(value):
            raise ValueError(
                "should be lower-case letters, digits and underscores, beginning with a letter, at most 31"
            )
        return value

    @field_validator("salon_timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        if value not in available_timezones():
            near = difflib.get_close_matches(value, sorted(available_timezones()), n=1)
            raise ValueError("should be a name of the tz database" + (f"; did you mean {near[0]}?" if near else ""))
        return value

    @field_validator("loyalty_tiers")
    @classmethod
    def _tiers(cls, value: str) -> str:
        tiers(value)
        return value

    @field_validator("guard_bounds")
    @classmethod
    def _bounds(cls, value: str) -> str:
        guard_bounds(value)
        return value

    @field_validator("contact_hours")
    @classmethod
    def _hours(cls, value: str) -> str:
        hours(value)
        return value

    @field_validator("phorest_keep_versions_days", "phorest_keep_tombstones_days")
    @classmethod
    def _kept(cls, value: str) -> str:
        kept_days(value)
        return value

    @property
    def branch_ids(self) -> tuple[str, ...]:
        """The branches that are read; none for all of them."""
        return tuple(part.strip() for part in (self.phorest_branch_id or "").split(",") if part.strip())

    @property
    def pseudo_staff_words(self) -> tuple[str, ...]:
        """Further words by which a column of the diary is known to be nobody."""
        return tuple(part.strip() for part in self.pseudo_staff.split(";") if part.strip())

    @property
    def announcing_calendars(self) -> frozenset[str]:
        """The calendars whose clients GHL writes to."""
        return frozenset(part.strip() for part in self.ghl_announcing_calendars.split(",") if part.strip())

    @property
    def zone(self) -> ZoneInfo:
        """The salon's time zone."""
        return ZoneInfo(self.salon_timezone)

    def require(self, *names: str) -> None:
        """Raise SettingsError, a sentence for each, if any of these settings (by their upper-case name) is not set."""
        missing = [name for name in names if getattr(self, name.lower()) is None]
        if missing:
            raise SettingsError("\n".join(_missing(name) for name in missing))

    def secret(self, name: str) -> str:
        """The value of a secret setting. Raises SettingsError if it is not set."""
        self.require(name)
        return cast("SecretStr", getattr(self, name.lower())).get_secret_value()


def load_settings(environ: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")) -> Settings:
    """Read the environment over `.env`. Raises SettingsError with one sentence for each thing that is wrong."""
    from_file = (
        {k: v for k, v in dotenv_values(env_file).items() if v is not None} if env_file and env_file.is_file() else {}
    )
    written = {**from_file, **dict(os.environ if environ is None else environ)}
    given = {name: value for name, value in written.items() if value.strip()}  # NAME= is not set, whatever the default
    known = set(names())
    problems = [_misspelt(name, known) for name in sorted(written) if name.startswith(_OURS) and name not in known]
    values = {name.lower(): given[name] for name in known if name in given}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [
            _wrong(detail["loc"], detail["msg"]) for detail in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError("\n".join(problems)) from None
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def names() -> list[str]:
    """All settings, by the names that people write."""
    return [name.upper() for name in Settings.model_fields]


def business_url(value: str) -> str:
    """Phorest's base URL down to `/business`, from any of the forms that are about: host alone, /api, /api/business."""
    parts = urlsplit(_url(value))
    path = parts.path.rstrip("/")
    if path in ("", "/third-party-api-server", "/third-party-api-server/api"):
        path = _BUSINESS_PATH
    if path != _BUSINESS_PATH:
        raise ValueError(f"should end in {_BUSINESS_PATH}")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def listed(value: str, *, between: str = ";") -> tuple[str, ...]:
    """The names of a setting that has semicolons between them, since names in a salon may hold commas."""
    return tuple(part.strip() for part in value.split(between) if part.strip())


def tiers(value: str) -> dict[str, int]:
    """Least points by tier, from `gold=1000, silver=500`.

    Raises ValueError where a part is no name with points, where a name comes twice, or where two tiers begin at the same.
    """
    found: dict[str, int] = {}
    for part in listed(value, between=","):
        name, _, points = (piece.strip() for piece in part.partition("="))
        if not name or not points.isdecimal() or ":" in name:
            raise ValueError("should be tiers with their points, such as gold=1000, silver=500")
        if name.lower() in found or int(points) in found.values():
            raise ValueError("names a tier twice, or two tiers that begin at the same points")
        found[name.lower()] = int(points)
    return found


def guard_bounds(value: str) -> dict[str, tuple[int, float]]:
    """The most that a run does by itself, by guard: a number and a share, from `overwrites=50:5%, moves=100`.

    Raises ValueError where a guard is misspelt, named twice, or has no number.
    """
    found: dict[str, tuple[int, float]] = {}
    for part in listed(value, between=","):
        match = _GUARD_BOUND.fullmatch(part)
        if match is None or match["guard"] not in GUARDS or match["guard"] in found:
            raise ValueError(
                f"should be guards with what they let pass, such as overwrites=50:5%, each once; there are {', '.join(GUARDS)}"
            )
        found[match["guard"]] = (int(match["number"]), float(match["percent"] or 0) / 100)
    return found


def kept_days(value: str) -> dict[str, int | None]:
    """Days by import table, None for ever, from `400` or `400, phorest_clients=90, phorest_purchases=forever`.

    Raises ValueError where a table is misspelt or there is no number for the others.
    """
    found: dict[str, int | None] = {}
    for part in filter(None, re.split(r"[\s,]+", value)):
        match = _KEPT.fullmatch(part)
        if match is None or match["days"].strip("0") == "":
            raise ValueError(
                "should be days (1 or more) or forever, then table=days for tables with a time of their own"
            )
        table = match["table"] or ""
        if table and table not in IMPORT_TABLES:
            near = difflib.get_close_matches(table, IMPORT_TABLES, n=1)
            raise ValueError("names a table that is not imported" + (f"; did you mean {near[0]}?" if near else ""))
        if table in found:
            raise ValueError(f"says twice how long {table or 'everything else'} is kept")
        found[table] = None if match["days"] == "forever" else int(match["days"])
    if "" not in found:
        raise ValueError("should begin with the days for all tables that have no time of their own")
    others = found.pop("")
    return {**dict.fromkeys(IMPORT_TABLES, others), **found}


def hours(value: str) -> tuple[time, time]:
    """Opening and closing time from `09:00-20:00`. Raises ValueError where it is not that, or the end is not later."""
    first, _, last = (part.strip() for part in value.partition("-"))
    try:
        opens, closes = time.fromisoformat(first), time.fromisoformat(last)
    except ValueError:
        raise ValueError("should be two times of a day with a hyphen between, as in 09:00-20:00") from None
    if opens >= closes:
        raise ValueError("should end later than it begins, on the same day")
    return opens, closes


def env_example() -> str:
    """The text of `.env.example`: every setting with what it is, where it is found, and what it looks like."""
    return "\n".join(_example_lines()) + "\n"


def _example_lines() -> Iterator[str]:
    yield "# Settings of phorest_ghl. Copy to .env and fill in; `phorest-ghl init` asks for them."
    yield "# Made from phorest_ghl/settings.py by `phorest-ghl settings-example`; a test holds the two in step."
    section = ""
    for name, info in Settings.model_fields.items():
        extra = _extra(info)
        if extra["section"] != section:
            section = extra["section"]
            yield ""
            yield f"# --- {section} ---"
        yield f"# {info.description}."
        if extra["where"]:
            yield f"# Where to find it: {extra['where']}."
        if extra["example"]:
            yield f"# Looks like: {extra['example']}"
        default = (
            "" if info.default in (None, "") or not isinstance(info.default, str | int | float) else str(info.default)
        )
        yield f"{'#' if default else ''}{name.upper()}={default}"


def _extra(info: FieldInfo) -> dict[str, str]:
    return cast("dict[str, str]", info.json_schema_extra)


def _url(value: str) -> str:
    parts = urlsplit(value.strip())
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError("should be a URL that begins with https://")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError("should begin with https://; plain http is for a sandbox on this machine only")
    return value.strip()


def _help(name: str) -> str:
    info = Settings.model_fields[name.lower()]
    extra = _extra(info)
    example = f" It looks like {extra['example']}." if extra["example"] else ""
    where = f" Where to find it: {extra['where']}." if extra["where"] else ""
    return f"{info.description}.{example}{where}"


def _missing(name: str) -> str:
    return f"{name} is not set. {_help(name)} Put it into .env, or run `phorest-ghl init`."


def _misspelt(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"Did you mean {near[0]}?" if near else "The settings there are stand in .env.example."
    return f"{name} is no setting of phorest_ghl. {hint}"


def _wrong(loc: tuple[int | str, ...], message: str) -> str:
    name = str(loc[0]).upper()
    return f"{name} is not usable: {message.removeprefix('Value error, ')}. {_help(name)}"
