"""`plan appointments` and `sync appointments`. Belongs here: the commands' flow. Does not: any step of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from phorest_ghl.assembly import Runtime, ghl_limits, open_runtime
from phorest_ghl.commands import allow, plan_files, reports
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.commands.progress import pages_shown
from phorest_ghl.http.redaction import mask
from phorest_ghl.phorest.results import combined
from phorest_ghl.settings import Settings
from phorest_ghl.sync import plan_summary
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.events.appointments import ENTITY
from phorest_ghl.sync.events.plan import EventChange, EventPlan
from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.plan_document import guards
from phorest_ghl.sync.plan_file import PlanFile

NAME = "appointments"
_SHOWN = 20
_PERSONAL = frozenset({"title", "description"})


def plan(settings: Settings, out: Out, *, values: bool, file: Path | None = None, do_import: bool = True) -> Exit:
    """Import, compare and show, and with `file` write it down; nothing is written to GHL."""
    plan_files.require_writable(file)
    with open_runtime(settings) as runtime:
        if do_import:
            import_appointments(runtime, out)
        sync = runtime.appointments_sync(batch_id=new_batch_id(), writing=False)
        prepared = sync.prepare()
        made = sync.plan(prepared)
        ledger = Ledger(prepared.location.location_id, ENTITY, new_batch_id())
        with runtime.engine.connect() as connection:
            held = runtime.gate().foreseen(connection, ledger, made)
    document = plan_document(made, settings, guards(prepared.location), values=values)
    document["guards"] += held
    _show(made, document, out)
    out.result(plan_files.sealed(document, made, settings, NAME))
    if file is not None:
        masked = plan_document(made, settings, guards(prepared.location))
        masked["guards"] += held
        plan_files.write(plan_files.sealed(masked, made, settings, NAME), file, out)
    return Exit.NEEDS_A_PERSON if made.findings or held else Exit.WELL


def sync(settings: Settings, out: Out, *, full: bool, held_to: PlanFile | None = None, do_import: bool = True) -> Exit:
    """Import, plan and apply the appointments; with `held_to` exactly what that plan names, or nothing. Raises StalePlan.

    A run that is held to a plan brings nobody onto a contact: the plan does not name them.
    """
    started = datetime.now(UTC)
    with open_runtime(settings) as runtime:
        complete = import_appointments(runtime, out, full=full) if do_import else True
        road = runtime.appointments_sync(batch_id=new_batch_id(started), writing=True, judging=held_to is None)
        prepared = road.prepare()
        made = plan_files.held_to(held_to, road.plan(prepared), runtime, out)
        _show(made, plan_document(made, settings, guards(prepared.location)), out)
        result = road.apply(made, prepared, started_at=started)
        with runtime.engine.connect() as connection:
            held = allow.say_what_is_held(connection, prepared.location.location_id, result.batch_id, out)
    entities = {"appointments": reports.run_document(result)}
    out.text.print(reports.outcomes_table(entities))
    out.text.print(reports.reasons_table(result.reasons))
    out.result({"ok": not result.needs_a_person and not held, "entities": entities})
    if result.error:
        out.say(f"The run ended early: {result.error}")
    return Exit.NEEDS_A_PERSON if result.needs_a_person or held or made.findings or not complete else Exit.WELL


def import_appointments(runtime: Runtime, out: Out, *, full: bool = False) -> bool:
    """Import what the appointments cron brings; whether all of it could be read."""
    with pages_shown(out) as seen:
        results = runtime.importer(new_batch_id(), seen=seen).appointments(full=full)
    if not results:
        return True
    result = combined(results)
    out.say(
        f"Imported from Phorest: {result.seen} appointments seen, {result.inserted} new, {result.updated} changed, "
        f"{len(result.set_aside)} set aside."
    )
    return result.complete


def plan_document(made: EventPlan, settings: Settings, stops: list[str], *, values: bool = False) -> dict[str, Any]:
    """The plan as JSON: counts, pace at the budget, who is told and why, every change with its fields."""
    pace = plan_summary.pace(made.requests, ghl_limits(settings))
    return {
        "entities": {"appointments": {"items": made.total, **made.counts()}},
        "requests": made.requests,
        "minutes": pace.minutes,
        "days": pace.days,
        "announcements": made.announcements(),
        "future_without_reminder": made.future,
        "guards": stops,
        "findings": [{"kind": one.kind, **one.detail} for one in made.findings],
        "changes": [_change(change, values=values) for change in made.changes],
    }


def _show(made: EventPlan, document: dict[str, Any], out: Out) -> None:
    table = Table("", "appointments", title="Plan", title_justify="left")
    for action, count in made.counts().items():
        table.add_row(action, str(count))
    settled: dict[str, int] = {}
    for outcome in made.settled.values():
        settled[outcome.kind] = settled.get(outcome.kind, 0) + 1
    for kind, count in sorted(settled.items()):
        table.add_row(kind, str(count))
    table.add_row("clients told by GHL", str(document["announcements"]["notify"]))
    table.add_row("future bookings without GHL's reminders", str(made.future))
    table.add_row("requests", str(made.requests))
    out.text.print(table)
    if made.changes:
        first = Table("action", "appointment", "fields", "tells", "why", title="First changes", title_justify="left")
        for change in made.changes[:_SHOWN]:
            tells = "yes" if change.decision.notify else "no"
            first.add_row(
                change.action.value, change.phorest_id, ", ".join(change.field_names), tells, change.decision.reason
            )
        out.text.print(first)
    for stop in document["guards"]:
        out.say(stop if stop.endswith(".") else f"An apply would be refused: {stop}.")
    for one in made.findings:
        out.say(f"{one.kind}: {dict(one.detail)}.")


def _change(change: EventChange, *, values: bool) -> dict[str, Any]:
    def shown(name: str, value: str | None) -> str | None:
        return value if values or value is None or name not in _PERSONAL else mask(value)

    return {
        "action": change.action.value,
        "appointment": change.phorest_id,
        "event": change.ghl_id,
        "reason": change.reason,
        "tells": change.decision.notify,
        "why": change.decision.reason,
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
