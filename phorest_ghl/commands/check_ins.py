"""`plan check-ins` and `sync check-ins`: which notes are missing, and putting them on their contacts.

Belongs here: the commands' flow. Does not: any step of it.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.commands import plan_files, reports
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.settings import Settings
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.notes.planning import NotePlan
from phorest_ghl.sync.plan_file import PlanFile

NAME = "check-ins"


def plan(settings: Settings, out: Out, *, file: Path | None = None, do_import: bool = True) -> Exit:
    """Import, compare and show, and with `file` write it down; nothing is written to GHL."""
    plan_files.require_writable(file)
    with open_runtime(settings) as runtime:
        if do_import:
            _import(runtime, out, full=False)
        road = runtime.check_ins_sync(batch_id=new_batch_id(), writing=False)
        made = road.plan(road.prepare())
    _show(made, out)
    changes = [{"action": change.action.value, "contact": change.ghl_id} for change in made.changes]
    document = {"entities": {NAME: _document(made)}, "requests": made.requests, "changes": changes}
    document = plan_files.sealed(document, made, settings, NAME)
    out.result(document)
    if file is not None:
        plan_files.write(document, file, out)
    return Exit.WELL


def sync(
    settings: Settings,
    out: Out,
    *,
    full: bool,
    limit: int | None = None,
    held_to: PlanFile | None = None,
    do_import: bool = True,
) -> Exit:
    """Import, plan and apply the check-in notes; with `limit`, no more than so many.

    With `held_to` exactly what that plan names, or nothing. Raises StalePlan.
    """
    started = datetime.now(UTC)
    with open_runtime(settings) as runtime:
        complete = _import(runtime, out, full=full) if do_import else True
        road = runtime.check_ins_sync(batch_id=new_batch_id(started), writing=True)
        prepared = road.prepare()
        made = plan_files.held_to(held_to, road.plan(prepared), runtime, out)
        if limit is not None:
            made = made.limited(limit)
        _show(made, out)
        result = road.apply(made, prepared, started_at=started)
    entities = {NAME: reports.run_document(result)}
    out.text.print(reports.outcomes_table(entities))
    out.text.print(reports.reasons_table(result.reasons))
    out.result({"ok": not result.needs_a_person, "entities": entities})
    if result.error:
        out.say(f"The run ended early: {result.error}")
    return Exit.WELL if complete and not result.needs_a_person else Exit.NEEDS_A_PERSON


def _import(runtime: Runtime, out: Out, *, full: bool) -> bool:
    """What the check-ins cron imports; whether all of it could be read."""
    results = runtime.importer(new_batch_id()).appointments(full=full)
    seen, changed = sum(r.seen for r in results), sum(r.inserted + r.updated for r in results)
    out.say(f"Imported from Phorest: {seen} appointments seen, {changed} new or changed.")
    problems = [problem for one in results if (problem := one.problem)]
    for problem in problems:
        out.say(problem)
    return not problems


def _show(made: NotePlan, out: Out) -> None:
    table = Table("", NAME, title="Plan", title_justify="left")
    document = _document(made)
    for name, count in {**document["changes"], **document["outcomes"]}.items():
        table.add_row(name, str(count))
    out.text.print(table)
    out.say(f"{made.requests} requests.")


def _document(made: NotePlan) -> dict[str, Any]:
    outcomes: dict[str, int] = {}
    for outcome in made.settled.values():
        outcomes[outcome.kind] = outcomes.get(outcome.kind, 0) + 1
    return {"items": made.total, "changes": made.counts(), "outcomes": dict(sorted(outcomes.items()))}
