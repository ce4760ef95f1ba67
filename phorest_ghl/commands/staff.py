"""`plan staff` and `sync staff`: a contact for each human of the staff.

Belongs here: the commands' flow. Does not: any step of it.
"""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.commands import plan_files, reports
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.ghl.fields import PERSONAL
from phorest_ghl.http.redaction import mask
from phorest_ghl.settings import Settings
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.plan_file import PlanFile
from phorest_ghl.sync.staff.plan import StaffChange, StaffPlan

NAME = "staff"
_SHOWN = 30


def plan(settings: Settings, out: Out, *, values: bool, file: Path | None = None, do_import: bool = True) -> Exit:
    """Import, compare and show, and with `file` write it down; nothing is written to GHL."""
    plan_files.require_writable(file)
    with open_runtime(settings) as runtime:
        if do_import:
            _import(runtime, out)
        road = runtime.staff_sync(batch_id=new_batch_id(), writing=False)
        made = road.plan(road.prepare())
    document = _document(made, values=values)
    _show(made, document, out)
    out.result(plan_files.sealed(document, made, settings, NAME))
    if file is not None:
        plan_files.write(plan_files.sealed(_document(made), made, settings, NAME), file, out)
    return Exit.NEEDS_A_PERSON if made.findings else Exit.WELL


def sync(
    settings: Settings,
    out: Out,
    *,
    limit: int | None = None,
    held_to: PlanFile | None = None,
    do_import: bool = True,
) -> Exit:
    """Import, plan and apply the staff's contacts; with `limit`, no more than so many changes.

    With `held_to` exactly what that plan names, or nothing. Raises StalePlan.
    """
    started = datetime.now(UTC)
    with open_runtime(settings) as runtime:
        complete = _import(runtime, out) if do_import else True
        road = runtime.staff_sync(batch_id=new_batch_id(started), writing=True)
        prepared = road.prepare()
        made = plan_files.held_to(held_to, road.plan(prepared), runtime, out)
        if limit is not None:
            made = made.limited(limit)
        _show(made, _document(made), out)
        result = road.apply(made, prepared, started_at=started)
    entities = {NAME: reports.run_document(result)}
    out.text.print(reports.outcomes_table(entities))
    out.text.print(reports.reasons_table(result.reasons))
    well = complete and not result.needs_a_person and not made.findings
    out.result({"ok": well, "entities": entities, "findings": len(made.findings)})
    if result.error:
        out.say(f"The run ended early: {result.error}")
    return Exit.WELL if well else Exit.NEEDS_A_PERSON


def _import(runtime: Runtime, out: Out) -> bool:
    """What the staff cron imports; whether all of it could be read. There is no delta, so every run reads all of it."""
    result = runtime.importer(new_batch_id()).staff()["staff"]
    out.say(
        f"Imported from Phorest: {result.seen} rows of the staff seen, {result.inserted + result.updated} new or changed."
    )
    if result.problem:
        out.say(result.problem)
    return result.complete


def _show(made: StaffPlan, document: dict[str, Any], out: Out) -> None:
    shown = document["entities"][NAME]
    table = Table("", NAME, title="Plan", title_justify="left")
    for name, count in {**shown["changes"], **shown["outcomes"]}.items():
        table.add_row(name, str(count))
    out.text.print(table)
    if made.changes:
        changes = Table("action", "staff", "contact", "fields", "why", title="Changes", title_justify="left")
        for change in made.changes[:_SHOWN]:
            fields = ", ".join(change.field_names)
            changes.add_row(change.action.value, change.phorest_id, change.ghl_id or "", fields, change.reason)
        out.text.print(changes)
    out.say(f"{made.requests} requests.")
    for found in made.findings:
        out.say(f"Staff {found.phorest_id}, contact {found.ghl_id}: {found.kind}.")


def _document(made: StaffPlan, *, values: bool = False) -> dict[str, Any]:
    outcomes = Counter(outcome.kind for outcome in made.settled.values())
    return {
        "entities": {NAME: {"items": made.total, "changes": made.counts(), "outcomes": dict(sorted(outcomes.items()))}},
        "requests": made.requests,
        "findings": [
            {"kind": found.kind, "staff": found.phorest_id, "contact": found.ghl_id, **found.detail}
            for found in made.findings
        ],
        "changes": [_change(change, values=values) for change in made.changes],
    }


def _change(change: StaffChange, *, values: bool) -> dict[str, Any]:
    def shown(name: str, value: str | None) -> str | None:
        return value if values or not value or name not in PERSONAL else mask(value)

    return {
        "action": change.action.value,
        "staff": list(change.item_ids),
        "contact": change.ghl_id,
        "reason": change.reason,
        "fields": [
            {
                "field": diff.name,
                "rule": diff.rule.value,
                "before": shown(diff.name, diff.before),
                "after": shown(diff.name, diff.after),
            }
            for diff in change.diffs
        ],
    }
