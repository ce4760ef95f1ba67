"""What people changed in GHL in fields of a contact that Phorest owns too: left alone, and shown as findings (safety S16).

Belongs here: their findings. Does not: which edits there are (`planner`), listing findings (`review`).
"""

from collections.abc import Collection, Iterable

import orjson
from sqlalchemy import Connection, text

from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.plan import Edited

KIND = "edited in GHL"


def note_edits(
    connection: Connection, ledger: Ledger, edited: Iterable[Edited], only: Collection[str] | None = None
) -> None:
    """One open finding a contact with the names of its edited fields; one that no longer holds is resolved.

    With `only`, nobody but these clients was looked at, and findings of others stand.
    """
    fields: dict[tuple[str, str], list[str]] = {}
    for edit in edited:
        fields.setdefault((edit.phorest_id, edit.ghl_id), []).append(edit.field)
    rows = [
        {"phorest_id": phorest_id, "ghl_id": ghl_id, "detail": {"fields": sorted(names)}}
        for (phorest_id, ghl_id), names in fields.items()
    ]
    values = {
        "location_id": ledger.location_id,
        "entity_type": ledger.entity_type,
        "batch_id": ledger.batch_id,
        "kind": KIND,
        "all": only is None,
        "only": sorted(only or ()),
        "rows": orjson.dumps(rows).decode(),
    }
    connection.execute(
        text("""
            with now_edited as (
                select * from jsonb_to_recordset(cast(:rows as jsonb)) as r (phorest_id text, ghl_id text, detail jsonb))
            update audit_findings f set resolved_at = now()
            where location_id = :location_id and entity_type = :entity_type and kind = :kind and resolved_at is null
                  and (:all or phorest_id = any(:only))
                  and not exists (select from now_edited n where n.phorest_id = f.phorest_id and n.ghl_id = f.ghl_id
                                                                 and n.detail = f.detail)
        """),
        values,
    )
    connection.execute(
        text("""
            insert into audit_findings (location_id, entity_type, phorest_id, ghl_id, kind, detail, batch_id)
            select :location_id, :entity_type, phorest_id, ghl_id, :kind, detail, :batch_id
            from jsonb_to_recordset(cast(:rows as jsonb)) as r (phorest_id text, ghl_id text, detail jsonb)
            where not exists (
                select from audit_findings f
                where f.location_id = :location_id and f.entity_type = :entity_type and f.kind = :kind
                      and f.phorest_id = r.phorest_id and f.ghl_id = r.ghl_id and f.resolved_at is null)
        """),
        values,
    )
