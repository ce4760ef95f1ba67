"""What a sandbox can be told: how to start (`SandboxOptions`) and which open questions to answer how (`Switches`).

Belongs here: every behaviour that the facts pages mark ASSUMED or contradictory, with the default that they give or,
where they give none, the one that is harder on a client. Does not belong here: behaviour that is known.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from phorest_ghl.sandbox.store import as_list

_DAY_S = 86_400
REAL_SALON_CLIENTS = 14_806  # facts/phorest-api §12
MOST_CLIENTS = 150_000


_LIMITS: Mapping[str, tuple[float, float]] = {
    "phorest_stale_status": (400, 499), "phorest_appointment_max_size": (1, 1_000),
    **dict.fromkeys(["phorest_rate_max", "ghl_rate_max"], (0, 1_000_000_000)),
    **dict.fromkeys(["phorest_rate_window_s", "ghl_rate_window_s"], (0.001, 3_600)), "ghl_daily_max": (0, 1_000_000_000),
    **dict.fromkeys(["phorest_reserved_ttl_s", "phorest_export_seconds", "ghl_webhook_retry_s"], (0, _DAY_S)),
    **dict.fromkeys(["ghl_search_lag_s", "ghl_dedupe_lag_s"], (0, _DAY_S)), "ghl_event_range_days": (0, 3_660),
    "ghl_webhook_retries": (0, 100),
}  # fmt: skip
"""The least and the most that each switch with a number takes; beyond it a sandbox would only seem to be broken."""


@dataclass(slots=True, kw_only=True)
class Switches:
    """Answers to what nobody knows about the live APIs; each can be changed while the sandbox runs.

    Seconds and statuses are numbers. Sources: facts/phorest-api §13 and §14, facts/ghl-api §16 and §18.
    """

    # Phorest
    phorest_401_body: Literal["text", "json", "empty"] = "text"
    phorest_over_max: Literal["clamp", "reject400"] = "clamp"
    phorest_updated_after: Literal["exclusive", "inclusive"] = "exclusive"
    phorest_wrong_region: bool = False
    phorest_duplicate_policy: Literal["allow", "reject409"] = "allow"
    phorest_stale_status: int = 409
    phorest_put: Literal["full", "partial"] = "full"
    phorest_loyalty_bumps_updated_at: bool = False
    phorest_rate_max: int = 100
    phorest_rate_window_s: float = 1.0
    phorest_retry_after: bool = False
    phorest_raw_rate_headers: bool = False
    phorest_batch_returns_archived: bool = True
    phorest_walk_in_listed: bool = True
    phorest_category_key: Literal["clientCategoryId", "categoryId"] = "clientCategoryId"
    phorest_appointment_max_size: int = 100
    phorest_appointments_name_branch: bool = True
    phorest_put_time_mode: Literal["branch_local", "utc"] = "branch_local"
    phorest_foreign_staff: bool = False
    phorest_reserved_ttl_s: float = 600.0
    phorest_export_seconds: float = 0.0
    phorest_no_rows_export: Literal["DONE", "FAILED"] = "FAILED"
    phorest_product_filter: Literal["updatedAfter", "updated_from"] = "updatedAfter"
    # GoHighLevel
    ghl_rate_max: int = 100
    ghl_rate_window_s: float = 10.0
    ghl_window: Literal["fixed", "sliding"] = "fixed"
    ghl_rejected_count: bool = True
    ghl_daily_max: int = 200_000
    ghl_retry_after: bool = False
    ghl_rate_scope: Literal["credential", "location"] = "credential"
    ghl_missing_contact_status: Literal[400, 404] = 400
    ghl_duplicate_status: Literal[400, 409, 422] = 400
    ghl_dedupe_lag_s: float = 0.0
    ghl_search_after_on_top: bool = False
    ghl_appointment_wrapper: Literal["event", "appointment"] = "event"
    ghl_event_delete_status: Literal[200, 201] = 201
    ghl_search_lag_s: float = 3.0
    ghl_search_shows_dnd: bool = True
    ghl_search_misses_additional: bool = True
    ghl_unknown_custom_field: Literal["ignore", "reject422"] = "ignore"
    ghl_date_field_format: Literal["date", "datetime", "epoch_ms"] = "date"
    ghl_invalid_phone_status: Literal[400, 422] = 422
    ghl_null_email_422: bool = False
    ghl_allow_duplicate_contact: bool = False
    ghl_unique_identifiers: list[str] = field(default_factory=lambda: ["email", "phone"])
    ghl_identifiers_shown: bool = True
    ghl_allow_duplicate_shown: bool = True
    ghl_put_clash: Literal["rejected", "dropped"] = "rejected"
    ghl_dnd_filters: bool = True
    ghl_dnd_in_write_answers: bool = True
    ghl_dnd_texts_kept: bool = True
    ghl_permanent_omitted: Literal["rejected", "kept"] = "rejected"
    ghl_create_fires_tag_added: bool = True
    ghl_create_fires_dnd: bool = False
    ghl_secondary_email_swaps: bool = True
    ghl_slot_taken_status: Literal[400, 422] = 400
    ghl_event_range_days: int = 0
    ghl_notes_as_html: bool = False
    ghl_installed_by: Literal["Location", "Company"] = "Location"
    ghl_location_token_refresh: bool = False
    ghl_webhook_retry_s: float = 600.0
    ghl_webhook_retries: int = 6
    ghl_webhook_signatures: Literal["both", "ed25519", "rsa", "none"] = "both"
    ghl_inbound_dnd_webhook: bool = False

    def change(self, values: Mapping[str, object]) -> None:
        """Set the named switches.

        Raises:
            ValueError: a name is no switch, or a value is none that the switch knows; nothing is changed then.
        """
        kinds = get_type_hints(Switches)
        for name, value in values.items():
            if name not in kinds:
                raise ValueError(f"There is no switch {name!r}. GET /__sandbox__/switches lists them.")
            if not _fits(value, kinds[name]):
                raise ValueError(f"The switch {name!r} takes {_wording(kinds[name])}, not {value!r}.")
            least, most = _LIMITS.get(name, (-math.inf, math.inf))
            if isinstance(value, int | float) and not least <= value <= most:
                raise ValueError(f"The switch {name!r} takes a number from {least:,} to {most:,}, not {value:,}.")
        for name, value in values.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """Every switch with its present value."""
        return asdict(self)


def _fits(value: object, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return any(type(value) is type(choice) and value == choice for choice in get_args(kind))
    if get_origin(kind) is list:
        items = as_list(value)
        return items is not None and all(item in ("email", "phone") for item in items)
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    return isinstance(value, (int, float) if kind is float else kind)


def _wording(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(kind))
    if get_origin(kind) is list:
        return "a list of 'email' and 'phone'"
    return {bool: "true or false", int: "a whole number", float: "a number"}[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How a sandbox starts.

    Attributes:
        port: TCP port on 127.0.0.1; 0 takes a free one.
        clients: how many clients the salon has, the walk-in record not counted.
        seed: the same seed, sizes and clock give the same salon to the byte.
        latency_ms: waiting time per request, half before the work and half after.
        rate_window_s: length of GHL's burst window; shrink it to make tests fast.
        branches: 1 (Dublin) or more (Toronto, then both zones in turn).
        months: months of appointments before today.
        crm_contacts: contacts that people made in GHL before the first sync.
        agency_contacts: an agency's own contacts in GHL, with fields, tags and opt-outs of its own.
        state: folder where the truth survives stop and kill -9; None keeps it in memory.
        now: the salon's clock at the start (aware); None is the real time.
        switches: first values of `Switches`.
    """

    port: int = 0
    clients: int = REAL_SALON_CLIENTS
    seed: int = 7
    latency_ms: float = 0.0
    rate_window_s: float = 10.0
    branches: int = 1
    months: int = 12
    crm_contacts: int = 0
    agency_contacts: int = 0
    state: Path | None = None
    now: datetime | None = None
    switches: Mapping[str, object] = field(default_factory=dict[str, object])

    def __post_init__(self) -> None:
        """Refuse what cannot be a salon.

        Raises:
            ValueError: a number is out of range or the clock has no zone.
        """
        limits = {
            "clients": 1,
            "branches": 1,
            "months": 0,
            "crm_contacts": 0,
            "agency_contacts": 0,
            "latency_ms": 0,
            "port": 0,
        }
        for name, least in limits.items():
            if getattr(self, name) < least:
                raise ValueError(f"The sandbox option {name} must be at least {least}, not {getattr(self, name)}.")
        if self.clients > MOST_CLIENTS:
            raise ValueError(
                f"The sandbox has invented phone numbers for {MOST_CLIENTS:,} clients, not for {self.clients:,}."
            )
        least, most = _LIMITS["ghl_rate_window_s"]
        if not least <= self.rate_window_s <= most:
            raise ValueError(f"The sandbox option rate_window_s takes {least} to {most:,} seconds.")
        if self.now is not None and self.now.tzinfo is None:
            raise ValueError("The sandbox option now needs a time zone, as in 2026-01-31T09:00:00+00:00.")

    def make_switches(self) -> Switches:
        """The switches this sandbox starts with; `rate_window_s` is one of them."""
        switches = Switches(ghl_rate_window_s=float(self.rate_window_s))
        switches.change(self.switches)
        return switches

    def names(self) -> list[str]:
        """The option names, in order."""
        return [item.name for item in fields(self)]
