"""Where personal data is: every table and column, every kind of file, with what `forget` does there, or why nothing.

Belongs here: data alone. A test holds it against the schema that PostgreSQL has and against the code that writes files, so
that a new column or file is decided on before it is merged. Does not: carrying it out (`erase`, `traces`).

Conditions are SQL over the columns of the table; their parameters are arrays of ids: `:clients`, `:records` (all ids in
Phorest that are theirs: clients, appointments, purchases), `:contacts` (in GHL, nobody else's), `:objects` (all of theirs in
GHL). `:mask` is a pattern that finds any of these ids in a text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

IDS = ("clients", "records", "contacts", "objects")
"""The parameters of conditions, but for `mask`."""


class How(StrEnum):
    """What becomes of a column's value in the rows that are a person's."""

    EMPTY = "emptied"
    HASH = "replaced by a keyed hash"
    MASK = "ids in it replaced"
    UNLINK = "the members that name them removed"


@dataclass(frozen=True)
class Erased:
    """Rows that are a person's own: they are deleted, all `columns` of them."""

    table: str
    where: str
    columns: str


@dataclass(frozen=True)
class Kept:
    """Rows that stay because they are evidence, or somebody else's: only `changed` of their columns is about the person.

    `columns` are those that say nothing of anybody but by a keyed hash, and `why` the rows stay.
    """

    table: str
    where: str
    changed: Mapping[str, How]
    columns: str
    why: str


_IMPORTED = "raw content_hash first_seen_at changed_at deleted_at"
_ADDRESS = "street_address_1 street_address_2 city state postal_code country"

ERASED = (
    Erased(
        "phorest_clients",
        "phorest_id = any(:clients)",
        f"phorest_id version first_name last_name email mobile linked_client_mobile linked_client_id land_line gender "
        f"birth_date {_ADDRESS} preferred_staff_id external_id creating_branch_id last_visited_branch_id notes "
        "client_category_ids archived banned deleted merged_to_client_id walk_in sms_marketing_consent "
        "email_marketing_consent sms_reminder_consent email_reminder_consent loyalty_card_serial loyalty_points "
        f"credit_balance client_since first_visit last_visit phorest_created_at phorest_updated_at {_IMPORTED}",
    ),
    Erased(
        "phorest_appointments",
        "client_id = any(:clients)",
        "phorest_id version branch_id client_id staff_id service_id service_name booking_id group_booking_id "
        "appointment_date start_time end_time starts_at ends_at state activation_state confirmed deleted "
        "is_finish_appointment price deposit_amount deposit_at source notes room_id machine_id staff_request "
        "preferred_staff purchasing_branch_id course_id course_name client_course_id service_group_id waiting_list_at "
        f"phorest_created_at phorest_updated_at {_IMPORTED}",
    ),
    Erased(
        "phorest_purchases",
        "client_id = any(:clients)",
        "branch_id phorest_id version transaction_id purchased_date purchase_time client_id staff_id item_type "
        "description quantity unit_price discount_amount net_amount gross_amount total_amount service_id service_name "
        "product_id product_name product_barcode product_brand_name product_category_name appointment_id "
        "payment_type_names loyalty_points_awarded online_booking voided void_reason voided_transaction_id open_sale "
        f"phorest_updated_at {_IMPORTED}",
    ),
    Erased(
        "phorest_versions",
        "entity_type in ('client', 'appointment', 'purchase') and (phorest_id = any(:records)"
        " or raw ->> 'clientId' = any(:clients) or raw ->> 'client_id' = any(:clients))",
        "id entity_type phorest_id version raw content_hash valid_from valid_to batch_id branch_id",
    ),
    Erased(
        "ghl_contacts",
        "ghl_id = any(:contacts)",
        "location_id ghl_id first_name last_name email phone street_address city state postal_code country date_of_birth "
        "dnd dnd_settings custom_fields tags date_added date_updated seen_at seen_by gone_at",
    ),
    Erased(
        "ghl_events",
        "ghl_id = any(:objects) or contact_id = any(:contacts)",
        "location_id ghl_id calendar_id contact_id title description status user_id starts_at ends_at date_added "
        "created_by seen_at gone_at",
    ),
    Erased(
        "ghl_notes",
        "phorest_id = any(:records) or contact_id = any(:contacts)",
        "location_id ghl_id contact_id phorest_id seen_at gone_at",
    ),
    Erased(
        "entity_mappings",
        "phorest_id = any(:records) and entity_type <> 'staff'",
        "id location_id entity_type phorest_id ghl_id role acked source_hash projection_version metadata removed_at "
        "created_at updated_at",
    ),
    Erased(
        "sync_intents",
        "phorest_id = any(:records) or ghl_id = any(:objects)",
        "id location_id entity_type phorest_id target_kind state address_keys request_hash ghl_id batch_id attempts "
        "detail planned_at sent_at vendor_date settled_at",
    ),
    Erased(
        "sync_changes",
        "phorest_id = any(:records) or ghl_id = any(:objects)",
        "id batch_id location_id entity_type phorest_id ghl_id action facet field rule before_hash after_hash outcome "
        "created_at",
    ),
    Erased("guarded_contacts", "ghl_id = any(:contacts)", "location_id ghl_id batch_id guarded_at released_at"),
    Erased(
        "former_contacts",
        "phorest_id = any(:clients) or ghl_id = any(:contacts)",
        "location_id ghl_id phorest_id cause batch_id since",
    ),
    Erased(
        "event_announcements",
        "client_id = any(:clients)",
        "location_id client_id branch_id day phorest_id cancelled told_up_to batch_id announced_at",
    ),
    Erased(
        "consent_observations",
        "phorest_id = any(:clients)",
        "location_id phorest_id email_key phone_key email_marketing email_reminder sms_marketing sms_reminder "
        "observed_at",
    ),
    Erased(
        "work_items",
        "phorest_id = any(:records)",
        "id location_id entity_type phorest_id cause reason state detail source_hash attempts next_try_at created_at "
        "updated_at resolved_at",
    ),
    Erased(
        "audit_findings",
        "phorest_id = any(:records) or ghl_id = any(:objects)",
        "id location_id entity_type phorest_id ghl_id kind detail batch_id work_item_id found_at resolved_at resolution",
    ),
    Erased(
        "sync_logs",
        "entity_id = any(:records) or entity_id = any(:objects)",
        "id run_id job_id batch_id entity_type entity_id direction action status error_code error_message retry_count "
        "source_data target_data response_data started_at completed_at duration_ms created_at",
    ),
)
"""Rows of the person's own."""

KEPT = (
    Kept(
        "suppressions",
        "source_id = any(:clients) or source_id = any(:objects)",
        {"source_id": How.HASH},
        "id location_id address_key channel cause batch_id created_at lifted_at",
        "an opt-out outlives the person's data (safety S9)",
    ),
    Kept(
        "consent_events",
        "phorest_id = any(:clients) or ghl_id = any(:objects)",
        {"phorest_id": How.HASH, "ghl_id": How.HASH, "detail": How.MASK},
        "id source channel purpose address_key before after batch_id observed_at",
        "what was agreed to and when is evidence (safety S7)",
    ),
    Kept(
        "review_decisions",
        "phorest_id = any(:records) or ghl_id = any(:objects)",
        {"phorest_id": How.HASH, "ghl_id": How.HASH, "detail": How.EMPTY},
        "id location_id entity_type kind operator decided_at used_at",
        "who decided what is evidence",
    ),
    Kept(
        "sync_run_summaries",
        "last_error ~ :mask or outcomes::text ~ :mask",
        {"last_error": How.MASK, "outcomes": How.MASK},
        "id batch_id job_id direction entity_type total_count success_count failed_count skipped_count status requests "
        "started_at completed_at duration_ms created_at updated_at",
        "counts of a whole run",
    ),
    Kept(
        "sync_audit_logs",
        "sample_checks::text ~ :mask or details::text ~ :mask or error_message ~ :mask",
        {"sample_checks": How.MASK, "details": How.MASK, "error_message": How.MASK},
        "id audit_run_id entity_type local_count ghl_count match discrepancy status duration_ms audited_at created_at",
        "counts of a whole audit",
    ),
    Kept(
        "work_items",
        "reason ~ :mask or detail::text ~ :mask",
        {"reason": How.MASK, "detail": How.MASK},
        "",
        "what waits of somebody else, which may name the person's client or contact",
    ),
    Kept(
        "audit_findings",
        "detail::text ~ :mask or resolution ~ :mask",
        {"detail": How.MASK, "resolution": How.MASK},
        "",
        "a finding of somebody else, which may name the person's client or contact",
    ),
    Kept(
        "sync_logs",
        "error_message ~ :mask or source_data::text ~ :mask or target_data::text ~ :mask or response_data::text ~ :mask",
        {"error_message": How.MASK, "source_data": How.MASK, "target_data": How.MASK, "response_data": How.MASK},
        "",
        "a line about somebody else, which may name the person's client or contact",
    ),
    Kept(
        "phorest_clients",
        "linked_client_id = any(:clients)",
        {"linked_client_id": How.EMPTY, "linked_client_mobile": How.EMPTY, "raw": How.UNLINK},
        "",
        "somebody else's record, which names the person as a parent",
    ),
    Kept(
        "phorest_versions",
        "entity_type = 'client' and raw ->> 'linkedClientId' = any(:clients)",
        {"raw": How.UNLINK},
        "",
        "somebody else's record, which names the person as a parent",
    ),
)
"""Rows that stay. A table may stand in both lists: its own rows go, those of others are changed."""

UNLINKED = ("linkedClientId", "linkedClientMobile")
"""What another client's payload says of the person."""

_SALONS = "the salon's, of no client"
EXCLUDED: Mapping[str, str] = {
    "alembic_version": "the schema's version",
    "api_budget": "counts of requests",
    "apply_stops": "counts that guards held back, and the operator who let them pass",
    "forgotten": "the tombstones themselves: keyed hashes, times, the operator, counts",
    "ghl_fields": "definitions of fields, without values",
    "ghl_locations": f"settings of the location, {_SALONS}",
    "ghl_oauth_tokens": f"encrypted tokens, {_SALONS}",
    "import_cursors": "how far an import has read",
    "import_listed": "ids alone, of a read that is going on; its rows go with its end",
    "key_fingerprints": "a fingerprint of our key",
    "pauses": "a switch, and the operator who set it and why",
    "phorest_branches": _SALONS,
    "phorest_client_categories": f"names of categories, {_SALONS}",
    "phorest_products": _SALONS,
    "phorest_service_categories": _SALONS,
    "phorest_services": _SALONS,
    "phorest_staff": "people who work there: no client, ended by the salon in Phorest and by PHOREST_KEEP_TOMBSTONES_DAYS",
}
"""Tables that were looked at and hold nothing of a client, with the reason. Each of their columns was."""


@dataclass(frozen=True)
class FileKind:
    """A kind of file that the program writes. `modules` write it; `erased` says whether `forget` reaches it."""

    name: str
    modules: tuple[str, ...]
    holds: str
    erased: bool = field(default=False)


FILES = (
    FileKind(
        "logs of Dagster and of runs, below the state folder",
        ("commands/dagster_ui.py", "commands/demo_runs.py"),
        "ids, which are replaced",
        erased=True,
    ),
    FileKind(
        "plans written by `plan --file`, wherever the operator put them",
        ("commands/plan_files.py",),
        "ids and masked values; those below the state folder are reached, others are named in the report",
        erased=True,
    ),
    FileKind(
        "sales exported by Phorest, in a temporary folder",
        ("phorest/exports.py",),
        "names of clients; the folder goes when the file has been read, before the import returns",
    ),
    FileKind(
        "reports written by `status --html` and `audit --html`, wherever the operator put them",
        ("commands/status.py", "commands/audit.py"),
        "ids; those below the state folder are reached, others are named in the report",
        erased=True,
    ),
    FileKind("salon.toml", ("salon_file.py",), "ids of staff, of no client"),
    FileKind(".env", ("commands/keys.py",), "secrets of the salon, of no client"),
    FileKind(
        "the embedded PostgreSQL's files",
        ("db/embedded.py", "db/embedded_binaries.py", "db/embedded_place.py", "db/embedded_process.py"),
        "the database itself: rows that are deleted leave its files when PostgreSQL vacuums them",
    ),
    FileKind(
        "folders for state",
        ("commands/demo.py", "commands/dev.py", "commands/schedules.py"),
        "nothing by themselves",
    ),
)

UNREACHABLE = (
    "Phorest itself, where the client's record stays until the salon has it deleted there",
    "backups and dumps of the databases; after a restore of one that is older than this, forget again",
    "plans and reports that somebody saved or sent elsewhere, and logs that are collected elsewhere",
    "what GoHighLevel keeps of messages, calls and deleted contacts",
)
"""What no command of ours can reach, told to whoever forgets somebody."""
