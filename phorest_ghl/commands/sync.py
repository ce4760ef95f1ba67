"""`plan` and `sync`: what would be done, and doing it.

Belongs here: the commands' flow. Does not: any step of it.
"""

import getpass
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import Progress

from phorest_ghl.assembly import open_runtime
from phorest_ghl.commands import allow, plan_files, reports
from phorest_ghl.commands.bringing import bring
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.settings import Settings
from phorest_ghl.sync.clients import ENTITY as CLIENT
from phorest_ghl.sync.clients import ClientsSync, Prepared, new_batch_id
from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.parts import PARTS
from phorest_ghl.sync.plan import Plan
from phorest_ghl.sync.plan_file import PlanFile
from phorest_ghl.sync.summary import RunResult


def plan(
    settings: Settings,
    out: Out,
    *,
    entity: str = "clients",
    values: bool,
    file: Path | None = None,
    do_import: bool = True,
) -> Exit:
    """Import, compare and show, and with `file` write it down; nothing is written to GHL."""
    plan_files.require_writable(file)
    with open_runtime(settings) as runtime:
        if do_import:
            bring(runtime, out, entity)
        sync = runtime.clients_sync(batch_id=new_batch_id(), writing=False, part=PARTS.get(entity))
        prepared = sync.prepare()
        made = sync.plan(prepared)
        part = PARTS.get(entity)
        ledger = Ledger(prepared.location.location_id, CLIENT if part is None else part.entity, new_batch_id())
        with runtime.engine.connect() as connection:
            held = runtime.gate().foreseen(connection, ledger, made)
    document = reports.plan_document(made, prepared, settings, values=values, entity=entity)
    document["guards"] += held
    show_plan(made, prepared, settings, out, values=values)
    for sentence in held:
        out.say(sentence)
    out.result(plan_files.sealed(document, made, settings, entity))
    if file is not None:
        masked = reports.plan_document(made, prepared, settings, entity=entity)
        masked["guards"] += held
        plan_files.write(plan_files.sealed(masked, made, settings, entity), file, out)
    return Exit.NEEDS_A_PERSON if made.reviews or held else Exit.WELL


def show_plan(made: Plan, prepared: Prepared, settings: Settings, out: Out, *, values: bool, shown: int = 20) -> None:
    """The plan for people: counts, time at the budget, what stops it, the first changes."""
    document = reports.plan_document(made, prepared, settings)
    out.text.print(reports.plan_table(made))
    if made.changes:
        out.text.print(reports.changes_table(made, values=values, most=shown))
    if document["overwrites"]:
        out.text.print(reports.overwrites_table(made, values=values, most=shown))
    days = document["days"]
    out.say(
        f"{document['requests']} requests: about {_duration(document['minutes'])} at this location's budget"
        f"{f', spread over {days} days by its daily quota' if days > 1 else ''}."
    )
    if made.unread:
        out.say(
            f"Left as they are in GHL: {', '.join(sorted(made.unread))}. What they are counted from was not read completely "
            "yet; import the appointments and the sales first."
        )
    for guard in document["guards"]:
        out.say(f"An apply would be refused: {guard}.")


def sync(
    settings: Settings,
    out: Out,
    *,
    entity: str = "clients",
    workflows_paused: bool,
    adopt_fields: bool,
    full: bool,
    limit: int | None = None,
    held_to: PlanFile | None = None,
    do_import: bool = True,
) -> Exit:
    """Import, plan and apply the clients, or a part of their contacts; with `limit`, no more than so many changes.

    With `held_to` exactly what that plan names, or nothing. Raises StalePlan.
    """
    started = datetime.now(UTC)
    with open_runtime(settings) as runtime:
        complete = bring(runtime, out, entity, full=full) if do_import else True
        road = runtime.clients_sync(batch_id=new_batch_id(started), writing=True, part=PARTS.get(entity))
        if workflows_paused:
            road.confirm_workflows(getpass.getuser())
        prepared = road.prepare(adopt_fields=adopt_fields)
        made = plan_files.held_to(held_to, road.plan(prepared), runtime, out)
        if limit is not None:
            made = made.limited(limit)
        show_plan(made, prepared, settings, out, values=False)
        result = _apply(road, made, prepared, started, out)
        with runtime.engine.connect() as connection:
            held = allow.say_what_is_held(connection, prepared.location.location_id, result.batch_id, out)
    entities = {entity: reports.run_document(result)}
    out.text.print(reports.outcomes_table(entities))
    out.text.print(reports.reasons_table(result.reasons))
    out.result({"ok": not result.needs_a_person and not held, "entities": entities})
    if result.error:
        out.say(f"The run ended early: {result.error}")
    return Exit.NEEDS_A_PERSON if result.needs_a_person or held or not complete else Exit.WELL


def _apply(road: ClientsSync, made: Plan, prepared: Prepared, started: datetime, out: Out) -> RunResult:
    if not out.text.is_terminal or not made.changes:
        return road.apply(made, prepared, started_at=started)
    with Progress(console=out.text, transient=True) as bar:
        task = bar.add_task("Writing to GHL", total=len(made.changes))
        return road.apply(
            made,
            prepared,
            started_at=started,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _duration(minutes: float) -> str:
    return f"{minutes:g} minutes" if minutes >= 1 else f"{minutes * 60:.0f} seconds"
