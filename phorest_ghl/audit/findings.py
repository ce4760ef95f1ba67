"""Findings: one discrepancy of one record, what kinds of them there are, and who has to act on each.

Belongs here: the shape of a finding, keeping and reading them. Does not: finding any (`compare`), mending (`heal`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Connection, text

from phorest_ghl.sync.edits import KIND as EDITED_KIND


class Kind(StrEnum):
    """What is wrong with a record."""

    MISSING = "missing in GHL"
    WITHOUT_OBJECT = "mapped to what GHL no longer has"
    ORPHANED = "ours, and nobody's any more"
    DUPLICATE = "there twice"
    DRIFTED = "differs from Phorest"
    EDITED = EDITED_KIND
    LOOSER = "open though it has to be closed"
    WRONG_CONTACT = "event on another contact"
    TAG_MISSING = "tag of ours taken off in GHL"
    TAG_LEFT_OVER = "tag of ours left over"
    TAG_FOREIGN = "tag of somebody else's in our namespaces"
    NOTE_MISSING = "note of ours removed in GHL"
    FIELD_CHANGED = "custom field of ours changed in GHL"


class Act(StrEnum):
    """Who acts on a kind of finding."""

    HEALED = "healed"
    """The next apply of the entity's own road mends it (safety S16)."""
    PERSON = "a person decides"
    """Nothing is written until a person has decided."""
    STANDS = "stands"
    """A person's doing in GHL that we leave as it is (safety S16): told, and no fault."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """Who acts on a kind, and what that person does."""

    act: Act
    advice: str


MEANINGS: Mapping[Kind, Meaning] = {
    Kind.MISSING: Meaning(
        act=Act.HEALED, advice="The audit makes it within the permitted hours; what GHL refuses stands in `review`."
    ),
    Kind.WITHOUT_OBJECT: Meaning(
        act=Act.PERSON,
        advice="Somebody deleted it in GHL, so it is not made again by itself. A contact: `phorest-ghl review`.",
    ),
    Kind.ORPHANED: Meaning(
        act=Act.PERSON,
        advice="It carries our mark and no record of Phorest has it. Look at it in GHL; delete it there.",
    ),
    Kind.DUPLICATE: Meaning(act=Act.PERSON, advice="Two stand for one record. Merge or delete the other one in GHL."),
    Kind.DRIFTED: Meaning(act=Act.HEALED, advice="The audit restores it; what GHL refuses stands in `review`."),
    Kind.EDITED: Meaning(
        act=Act.PERSON, advice="Somebody changed in GHL what Phorest owns. Correct it in Phorest, or in GHL."
    ),
    Kind.LOOSER: Meaning(act=Act.HEALED, advice="The audit closes the channel again. Ask who opened it in GHL."),
    Kind.WRONG_CONTACT: Meaning(act=Act.HEALED, advice="The audit moves it silently, while it is still to come."),
    Kind.TAG_MISSING: Meaning(act=Act.STANDS, advice="A person or a workflow took it off; it is not added again."),
    Kind.TAG_LEFT_OVER: Meaning(act=Act.HEALED, advice="The audit takes it off again."),
    Kind.TAG_FOREIGN: Meaning(
        act=Act.PERSON, advice="Whoever put it there may mean it; take it off in GHL, or name it otherwise."
    ),
    Kind.NOTE_MISSING: Meaning(act=Act.STANDS, advice="A person deleted it; it is not put back."),
    Kind.FIELD_CHANGED: Meaning(
        act=Act.PERSON,
        advice="Give it back its type and name in GHL under Settings, Custom Fields; until then contacts are not written.",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One discrepancy. `detail` holds ids and names of fields, never a value; `since` is when it was first seen (aware).

    `kind` is one of `Kind`, or what a sync noted under a name of its own. `act` is who acts on this one.
    """

    entity_type: str
    kind: str
    phorest_id: str | None = None
    ghl_id: str | None = None
    act: Act = Act.PERSON
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    since: datetime | None = None
    batch_id: str | None = None

    @property
    def key(self) -> tuple[str, str, str | None, str | None]:
        """What it is known by while it is open."""
        return (self.entity_type, self.kind, self.phorest_id, self.ghl_id)

    @property
    def fields(self) -> list[str]:
        """The fields, channels or tags that it is about."""
        return list(self.detail.get("fields", ()))

    @property
    def advice(self) -> str:
        """What to do about it."""
        known = MEANINGS.get(Kind(self.kind)) if self.kind in set(Kind) else None
        return known.advice if known is not None else "See `phorest-ghl review`."


def act_of(kind: str, detail: Mapping[str, Any]) -> Act:
    """Who acts on a finding as it is kept: what it says itself, or what its kind says."""
    said = detail.get("act")
    if said in set(Act):
        return Act(said)
    return MEANINGS[Kind(kind)].act if kind in set(Kind) else Act.PERSON


def open_findings(
    connection: Connection, client_id: str | None = None, *, location_id: str | None = None
) -> list[Finding]:
    """Findings that still hold, the oldest first; of one record of Phorest, or of one location, where named."""
    rows = connection.execute(
        text("""select entity_type, kind, phorest_id, ghl_id, detail, found_at, batch_id from audit_findings
                where resolved_at is null and (cast(:client_id as text) is null or phorest_id = :client_id)
                      and (cast(:location_id as text) is null or location_id = :location_id)
                order by found_at, id"""),
        {"client_id": client_id, "location_id": location_id},
    )
    return [
        Finding(
            entity_type=row.entity_type,
            kind=row.kind,
            phorest_id=row.phorest_id,
            ghl_id=row.ghl_id,
            act=act_of(row.kind, row.detail),
            detail=row.detail,
            since=row.found_at,
            batch_id=row.batch_id,
        )
        for row in rows
    ]


def keep(
    connection: Connection,
    location_id: str,
    batch_id: str,
    found: Sequence[Finding],
    *,
    looked_at: Collection[tuple[str, str]],
    resolution: str = "a later audit no longer found it",
) -> None:
    """Open what is new, and resolve what was open and is not found any more.

    `looked_at` are the (entity, kind) pairs that were looked for: others stand as they are, since nothing is known of them.
    """
    rows = [
        {
            "entity_type": one.entity_type,
            "kind": one.kind,
            "phorest_id": one.phorest_id,
            "ghl_id": one.ghl_id,
            # What its kind says is not said again: a sync keeps some of them too, and knows nothing of who acts.
            "detail": dict(one.detail) if one.act is act_of(one.kind, {}) else {**one.detail, "act": one.act.value},
        }
        for one in found
    ]
    values = {
        "location_id": location_id,
        "batch_id": batch_id,
        "resolution": resolution,
        "rows": orjson.dumps(rows).decode(),
        "looked_at": orjson.dumps([{"entity_type": e, "kind": k} for e, k in sorted(looked_at)]).decode(),
    }
    connection.execute(_RESOLVE, values)
    connection.execute(_RENEW, values)
    connection.execute(_OPEN, values)


_FOUND = """
    select * from jsonb_to_recordset(cast(:rows as jsonb))
        as r (entity_type text, kind text, phorest_id text, ghl_id text, detail jsonb)"""
_SAME = """f.location_id = :location_id and f.resolved_at is null and f.entity_type = r.entity_type and f.kind = r.kind
           and f.phorest_id is not distinct from r.phorest_id and f.ghl_id is not distinct from r.ghl_id"""

_RESOLVE = text(f"""
    with r as ({_FOUND}), looked as (
        select * from jsonb_to_recordset(cast(:looked_at as jsonb)) as l (entity_type text, kind text))
    update audit_findings f set resolved_at = now(), resolution = :resolution
    where location_id = :location_id and resolved_at is null
          and exists (select from looked l where l.entity_type = f.entity_type and l.kind = f.kind)
          and not exists (select from r where {_SAME})
""")  # noqa: S608 - names alone, no value
_RENEW = text(f"""
    with r as ({_FOUND})
    update audit_findings f set detail = r.detail from r where {_SAME} and f.detail <> r.detail
""")  # noqa: S608 - names alone, no value
_OPEN = text(f"""
    with r as ({_FOUND})
    insert into audit_findings (location_id, entity_type, phorest_id, ghl_id, kind, detail, batch_id)
    select :location_id, r.entity_type, r.phorest_id, r.ghl_id, r.kind, r.detail, :batch_id from r
    where not exists (select from audit_findings f where {_SAME})
""")  # noqa: S608 - names alone, no value
