"""The nightly audit: one run of it, told as a check for each invariant. Does not belong here: any step of the audit."""

from collections.abc import Iterator

import dagster as dg

from phorest_ghl.assembly import Runtime
from phorest_ghl.audit.findings import Act
from phorest_ghl.audit.log import EntityAudit
from phorest_ghl.defs.audit.invariants import AUDIT_CHECKS, INVARIANTS, Invariant
from phorest_ghl.defs.failures import failures_as_sentences
from phorest_ghl.sync.clients import new_batch_id

_SAMPLE = 20


@dg.multi_asset_check(
    name="audited", specs=[one.spec for one in INVARIANTS], pool="audit", description="Holds GHL against Phorest."
)
def audited(context: dg.AssetCheckExecutionContext, salon: dg.ResourceParam[Runtime]) -> Iterator[dg.AssetCheckResult]:
    """Read GHL back, find, mend what is ours to mend, and look again; what still holds fails its check."""
    with failures_as_sentences():
        done = salon.audit(batch_id=new_batch_id(), writing=True).run(mending=True, job_id=context.run.run_id)
    context.log.info("audit: %d findings, %d healed, %d left", len(done.found), done.healed, len(done.left))
    if done.not_mended is not None:
        context.log.warning("nothing was mended: %s", done.not_mended)
    for entity, mended in done.mended.items():
        if mended.error is not None:
            context.log.warning("mending %s ended early: %s", entity, mended.error)
    found = {entity.entity_type: entity for entity in done.entities}
    for invariant in INVARIANTS:
        yield result(invariant, found[invariant.entity])


def result(invariant: Invariant, entity: EntityAudit) -> dg.AssetCheckResult:
    """One check. What was not looked at is no match; ERROR only where somebody has to act."""
    here = [one for one in entity.findings if one.kind in invariant.kinds]
    wrong = [one for one in here if one.act is not Act.STANDS]
    metadata: dict[str, dg.MetadataValue] = {
        "findings": dg.MetadataValue.int(len(wrong)),
        "left_as_people_have_it": dg.MetadataValue.int(len(here) - len(wrong)),
    }
    if here:
        records = [
            dg.TableRecord(
                {
                    "finding": str(one.kind),
                    "phorest": one.phorest_id or "",
                    "ghl": one.ghl_id or "",
                    "fields": ", ".join(one.fields),
                    "who acts": one.act.value,
                }
            )
            for one in here[:_SAMPLE]
        ]
        metadata["sample"] = dg.MetadataValue.table(records=records)
        metadata["what_to_do"] = dg.MetadataValue.md("\n".join(sorted({f"- {one.advice}" for one in here})))
    if entity.reason is not None:
        metadata["not_checked"] = dg.MetadataValue.text(entity.reason)
    acts = any(one.act is Act.PERSON for one in wrong)
    return dg.AssetCheckResult(
        asset_key=invariant.asset,
        check_name=invariant.name,
        passed=not wrong and entity.reason is None,
        severity=dg.AssetCheckSeverity.ERROR if acts else dg.AssetCheckSeverity.WARN,
        description=f"{len(wrong)} found" if entity.reason is None else "Not checked, or not wholly.",
        metadata=metadata,
    )


audit = dg.define_asset_job(
    "audit",
    AUDIT_CHECKS,
    description="Holds GHL against Phorest record by record, and mends what is ours to mend.",
)
