"""`retry` and `logs`. Belongs here: what they print. Does not: finding out and trying (`phorest_ghl.operate`)."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from phorest_ghl.assembly import open_runtime
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.operate import log, retries
from phorest_ghl.operate.entities import BY_NAME, BY_TYPE
from phorest_ghl.settings import Settings, SettingsError

_SHOWN = 50


def retry(settings: Settings, out: Out, *, phorest_ids: Sequence[str], entity: str | None) -> Exit:
    """Let the next run try again what was refused, given up or left without an answer. Raises SettingsError."""
    settings.require("GHL_LOCATION_ID")
    location_id, entity_type = str(settings.ghl_location_id), _type_of(entity)
    with open_runtime(settings) as runtime:
        again = in_transaction(
            runtime.engine,
            lambda c: retries.retry(c, location_id, phorest_ids=phorest_ids, entity_type=entity_type),
        )
    missing = sorted(set(phorest_ids) - {one.phorest_id for one in again})
    table = Table("entity", "record", "cause", title_justify="left")
    for one in again[:_SHOWN]:
        table.add_row(one.entity_type, one.phorest_id, one.cause)
    if again:
        out.text.print(table)
    if len(again) > _SHOWN:
        out.say(f"{len(again) - _SHOWN} further ones; --json lists them.")
    out.say(f"The next runs try {len(again)} records again." if again else "Nothing waits that another try may cure.")
    for phorest_id in missing:
        out.say(f"Of {phorest_id} nothing waits for another try; `phorest-ghl review` shows what waits for a person.")
    out.result({"retried": [vars(one) for one in again], "nothing_waits": missing})
    return Exit.NEEDS_A_PERSON if missing else Exit.WELL


def logs(
    settings: Settings,
    out: Out,
    *,
    run: str | None,
    entity: str | None,
    record: str | None,
    status: str | None,
    most: int,
) -> Exit:
    """Show what runs wrote to the log, newest first, and of one run its summary too. Raises SettingsError."""
    entity_type = _type_of(entity)
    if status is not None and status not in log.STATUSES:
        raise SettingsError(f"There is no status {status} in the log; there is {', '.join(log.STATUSES)}.")
    with open_runtime(settings) as runtime, runtime.engine.connect() as connection:
        found = log.lines(connection, run=run, entity_type=entity_type, record=record, status=status, most=most)
        runs = log.runs(connection, run=run, entity_type=entity_type, most=most) if run is not None else []
    if run is not None and not runs:
        raise SettingsError(
            f"There is no run {run}. `phorest-ghl status` shows the last ones; a run of Dagster's counts too."
        )
    if runs:
        _print(
            "Runs", ("run", "entity_type", "status", "total_count", "failed_count", "requests", "last_error"), runs, out
        )
    _print("Log", ("at", "run", "entity_type", "record", "action", "status", "outcome", "reason", "fields"), found, out)
    if len(found) == most:
        out.say(f"These are the last {most}; --limit shows more.")
    out.result({"runs": runs, "lines": found})
    return Exit.WELL


def _print(title: str, columns: Sequence[str], rows: Sequence[dict[str, Any]], out: Out) -> None:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(row[column])) for column in columns))
    out.text.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return "" if value is None else f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "strftime") else str(value)


def _type_of(entity: str | None) -> str | None:
    if entity is None or entity in BY_TYPE:
        return entity
    if entity not in BY_NAME:
        raise SettingsError(f"There is no entity {entity}; there is {', '.join(BY_NAME)}.")
    return BY_NAME[entity].entity_type
