"""Every table, by the job it does. The one definition that migrations are made from and checked against.

Belongs here: SQLAlchemy Core tables. Does not: queries (they live with the code that asks), migrations, engines.
All times are `timestamptz`; money is `numeric` in major units of the branch's currency; hashes of personal values are
HMAC-SHA256 under PHOREST_GHL_HASH_KEY, as hexadecimal text.
"""

from phorest_ghl.db.tables._base import metadata
from phorest_ghl.db.tables.consent import consent_events, consent_observations, suppressions
from phorest_ghl.db.tables.events import event_announcements, ghl_events
from phorest_ghl.db.tables.forgotten import forgotten
from phorest_ghl.db.tables.ledger import (
    apply_stops,
    entity_mappings,
    former_contacts,
    guarded_contacts,
    sync_changes,
    sync_intents,
)
from phorest_ghl.db.tables.mirror import ghl_contacts, ghl_fields, ghl_locations
from phorest_ghl.db.tables.notes import ghl_notes
from phorest_ghl.db.tables.operations import (
    api_budget,
    audit_findings,
    ghl_oauth_tokens,
    import_cursors,
    key_fingerprints,
    review_decisions,
    sync_audit_logs,
    sync_logs,
    sync_run_summaries,
    work_items,
)
from phorest_ghl.db.tables.phorest import (
    import_listed,
    phorest_appointments,
    phorest_branches,
    phorest_client_categories,
    phorest_clients,
    phorest_products,
    phorest_purchases,
    phorest_service_categories,
    phorest_services,
    phorest_staff,
    phorest_versions,
)
from phorest_ghl.db.tables.switches import pauses

__all__ = [
    "api_budget",
    "apply_stops",
    "audit_findings",
    "consent_events",
    "consent_observations",
    "entity_mappings",
    "event_announcements",
    "forgotten",
    "former_contacts",
    "ghl_contacts",
    "ghl_events",
    "ghl_fields",
    "ghl_locations",
    "ghl_notes",
    "ghl_oauth_tokens",
    "guarded_contacts",
    "import_cursors",
    "import_listed",
    "key_fingerprints",
    "metadata",
    "pauses",
    "phorest_appointments",
    "phorest_branches",
    "phorest_client_categories",
    "phorest_clients",
    "phorest_products",
    "phorest_purchases",
    "phorest_service_categories",
    "phorest_services",
    "phorest_staff",
    "phorest_versions",
    "review_decisions",
    "suppressions",
    "sync_audit_logs",
    "sync_changes",
    "sync_intents",
    "sync_logs",
    "sync_run_summaries",
    "work_items",
]
