"""What an audit of an entity came to, as a row of sync_audit_logs. Belongs here: counting and writing. Does not: finding."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, text

from phorest_ghl.audit.findings import Act, Finding

_SAMPLE = 20


@dataclass(frozen=True, kw_only=True)
class EntityAudit:
    """One entity's part. `local` are records that GHL should hold, `there` those of them that it holds.

    `reason` is why it was not compared, or not wholly: then `match` is None, for what was not checked matches nothing.
    """

    entity_type: str
    local: int
    there: int
    findings: tuple[Finding, ...]
    reason: str | None
    details: Mapping[str, Any]
    duration_ms: int

    @property
    def match(self) -> bool | None:
        """Whether GHL holds what it should; None where that was not looked at."""
        return None if self.reason is not None else not self.wrong

    @property
    def wrong(self) -> list[Finding]:
        """Findings that are a fault: a person's doing that stands is none."""
        return [one for one in self.findings if one.act is not Act.STANDS]

    @classmethod
    def of(
        cls,
        connection: Connection,
        location_id: str,
        entity: str,
        found: Sequence[Finding],
        *,
        reason: str | None,
        details: Mapping[str, Any],
        duration_ms: int,
    ) -> "EntityAudit":
        """Counted from the ledger, the mirror and what was found."""
        mapped: int = connection.execute(
            text("""select count(distinct ghl_id) from entity_mappings
                    where location_id = :location_id and entity_type = :entity and removed_at is null"""),
            {"location_id": location_id, "entity": entity},
        ).scalar_one()
        kinds = Counter(str(one.kind) for one in found)
        missing = sum(one.kind == "missing in GHL" for one in found)
        gone = sum(one.kind == "mapped to what GHL no longer has" for one in found)
        gone += sum(one.kind == "note of ours removed in GHL" for one in found)
        return cls(
            entity_type=entity,
            local=mapped + missing,
            there=max(0, mapped - gone),
            findings=tuple(found),
            reason=reason,
            details={**details, "kinds": dict(sorted(kinds.items()))},
            duration_ms=duration_ms,
        )


def write_logs(connection: Connection, batch_id: str, entities: Sequence[EntityAudit]) -> None:
    """A row for each entity; ids and field names alone."""
    connection.execute(
        text("""
            insert into sync_audit_logs (audit_run_id, entity_type, local_count, ghl_count, match, discrepancy,
                                         sample_checks, details, error_message, status, duration_ms)
            values (:batch_id, :entity, :local, :there, :match, :discrepancy, cast(:sample as jsonb),
                    cast(:details as jsonb), :reason, :status, :duration_ms)
        """),
        [
            {
                "batch_id": batch_id,
                "entity": one.entity_type,
                "local": one.local,
                "there": one.there,
                "match": one.match,
                "discrepancy": len(one.wrong),
                "sample": orjson.dumps([sample(finding) for finding in one.findings[:_SAMPLE]]).decode(),
                "details": orjson.dumps(dict(one.details)).decode(),
                "reason": one.reason,
                "status": "completed" if one.reason is None else "not checked",
                "duration_ms": one.duration_ms,
            }
            for one in entities
        ],
    )


def sample(finding: Finding) -> dict[str, Any]:
    """A finding without any value of a person's."""
    return {
        "kind": finding.kind,
        "phorest_id": finding.phorest_id,
        "ghl_id": finding.ghl_id,
        "fields": finding.fields,
        "act": finding.act.value,
    }
