"""`status`: healthy, degraded or failed, with the reasons, the runs, what waits and what is left of the budget.

Belongs here: putting Dagster's schedules to our own figures, and showing both. Does not: the figures (`operate.health`).
"""

from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.markup import escape
from rich.table import Table

from phorest_ghl.assembly import Runtime, ghl_limits, open_runtime
from phorest_ghl.audit import report
from phorest_ghl.commands import schedules
from phorest_ghl.commands.console import Out, require_folder
from phorest_ghl.db.pauses import EVERYTHING
from phorest_ghl.operate import log
from phorest_ghl.operate.health import EntityHealth, Health, Schedule, State, health, span
from phorest_ghl.settings import Settings, SettingsError

_COLOUR = {State.HEALTHY: "green", State.DEGRADED: "yellow", State.FAILED: "red"}
_RUNS = 10


class StatusExit(IntEnum):
    """What the exit code of `status` says, which is for monitoring; where it cannot tell, it ends as every command does."""

    HEALTHY = 0
    DEGRADED = 1
    FAILED = 2


def status(settings: Settings, out: Out, *, ask_dagster: bool = True, html: Path | None = None) -> StatusExit:
    """Show how it goes. Without `ask_dagster`, which takes seconds, nothing is said of schedules; `html` gets a page of it."""
    settings.require("GHL_LOCATION_ID")
    if html is not None:
        require_folder(html)
    with open_runtime(settings) as runtime:
        lines, unknown = _schedules(runtime) if ask_dagster else (None, "Dagster was not asked")
        with runtime.engine.connect() as connection:
            found = health(connection, str(settings.ghl_location_id), ghl_limits(settings), lines)
            runs = log.runs(connection, most=_RUNS)
            charts = report.load(connection, str(settings.ghl_location_id)) if html is not None else None
    _print(found, unknown, settings.zone, out)
    if html is not None and charts is not None:
        said = [f"{found.state.value}.", *(f"{reason.state.value}: {reason.said}." for reason in found.reasons)]
        html.write_text(report.report_page(charts, said), encoding="utf-8")
        out.say(f"The page is {html}.")
    out.result({**document(found), "schedules_unknown": unknown, "runs": runs})
    return StatusExit[found.state.name]


def document(found: Health) -> dict[str, Any]:
    """How it goes as JSON."""
    budget = found.budget
    return {
        "state": found.state.value,
        "reasons": [{"state": reason.state.value, "said": reason.said} for reason in found.reasons],
        "as_of": _text(found.now),
        "locations": [{"location_id": found.location_id, "mode": found.mode}] if found.mode else [],
        "entities": {one.entity.name: _entity(one, found) for one in found.entities},
        "pauses": [
            {
                "entity": pause.entity_type or "all",
                "operator": pause.operator,
                "reason": pause.reason,
                "since": _text(pause.paused_at),
                "schedules": list(pause.schedules),
            }
            for pause in found.pauses
        ],
        "held": [
            {"entity_type": stop.entity_type, "guard": stop.guard, "figure": stop.figure, "bound": stop.bound}
            for stop in found.stops
        ],
        "work_items": [{"cause": cause, "items": count} for cause, count in found.work_items.items()],
        "findings": [{"kind": kind, "items": count} for kind, count in found.findings.items()],
        "creates_without_answer": found.unsettled,
        "budget": {
            "used_today": budget.used,
            "left_today": budget.left,
            "daily": budget.daily,
            "held_until": _text(budget.held_until),
        },
    }


def _entity(one: EntityHealth, found: Health) -> dict[str, Any]:
    last = one.last
    return {
        "last_run": None
        if last is None
        else {
            "run": last["batch_id"],
            "status": last["status"],
            "ended_at": _text(last["completed_at"]),
            "total": last["total_count"],
            "failed": last["failed_count"],
            "error": last["last_error"],
        },
        "last_good_at": _text(one.good_at),
        "behind_phorest_s": None if one.imported_at is None else _seconds(found, one.imported_at),
        "next_at": _text(one.schedule.next_at) if one.schedule and one.schedule.running else None,
        "schedule": None if one.schedule is None else "on" if one.schedule.running else "off",
        "paused": one.pause is not None,
    }


def _schedules(runtime: Runtime) -> tuple[Mapping[str, Schedule] | None, str | None]:
    """Dagster's lines by name, or why they are not known: a status that says the rest is better than none."""
    try:
        lines = schedules.listed(schedules.environment(runtime))
    except SettingsError as error:
        return None, str(error)
    return {line.name: Schedule(running=line.running, next_at=line.next_at) for line in lines}, None


def _print(found: Health, unknown: str | None, zone: ZoneInfo, out: Out) -> None:
    out.text.print(f"[{_COLOUR[found.state]}]{found.state.value}[/]")
    for reason in found.reasons:
        out.text.print(f"  [{_COLOUR[reason.state]}]{reason.state.value:8}[/]  {escape(reason.said)}", soft_wrap=True)
    table = Table("entity", "last run", "ended", "items", "failed", "behind Phorest", "next", title_justify="left")
    for one in found.entities:
        last = one.last or {}
        behind = "" if one.imported_at is None else span(found.now - one.imported_at)
        table.add_row(
            one.entity.name,
            str(last.get("status", "")),
            _local(last.get("completed_at"), zone),
            str(last.get("total_count", "")),
            str(last.get("failed_count", "")),
            behind,
            _next(one, zone),
        )
    out.text.print(table)
    if unknown is not None:
        out.say(f"When runs come next is not known: {escape(unknown)}")
    out.say(f"Location {found.location_id} is {found.mode}." if found.mode else "No run has seen the location yet.")
    for cause, count in found.work_items.items():
        out.say(f"{count} records wait: {cause}.")
    budget = found.budget
    left = f", {budget.left} of {budget.daily} are left" if budget.left is not None else ""
    out.say(f"Requests to GHL today: {budget.used}{left}.")


def _next(one: EntityHealth, zone: ZoneInfo) -> str:
    if one.pause is not None:
        return "paused" if one.pause.entity_type != EVERYTHING else "everything is paused"
    if one.schedule is None:
        return ""
    return _local(one.schedule.next_at, zone) if one.schedule.running else "off"


def _local(moment: datetime | None, zone: ZoneInfo) -> str:
    return "" if moment is None else moment.astimezone(zone).isoformat(" ", "minutes")


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _seconds(found: Health, since: datetime) -> int:
    return max(0, int((found.now - since).total_seconds()))
