"""`review`: what waits for a person, and the person's answers.

Belongs here: the commands' flow and what they print. Does not: what an answer means (`phorest_ghl.sync.review`).
"""

import getpass
import sys
from typing import Any

from rich.table import Table
from sqlalchemy import Connection

from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.settings import Settings
from phorest_ghl.sync import review
from phorest_ghl.sync.decisions import Kind
from phorest_ghl.sync.review import Found, NothingToDecide, Side, Waiting

EVERYONE = "all"
_COMMANDS = {
    Kind.ADOPT: "accept adoption",
    Kind.REFUSE_ADOPTION: "refuse adoption",
    Kind.IDENTITY: "accept identity",
    Kind.RECREATE: "recreate",
    Kind.OPT_IN: "accept opt-in",
}
KINDS = {command: kind for kind, command in _COMMANDS.items()}
"""Every answer, by the words that give it."""


def show(settings: Settings, out: Out, *, values: bool) -> Exit:
    """List what waits; 1 if anything does. With `values`, both sides of it, which are personal."""
    location_id = _location(settings)
    with open_runtime(settings) as runtime, runtime.engine.connect() as connection:
        items = review.waiting(connection, location_id)
        found = review.findings(connection, location_id)
        sides = {(i.entity_type, i.phorest_id): _sides(connection, location_id, i) for i in items} if values else {}
    _print(out, items, found, sides)
    out.result(
        {
            "waiting": [_item(item, sides.get((item.entity_type, item.phorest_id))) for item in items],
            "findings": [_finding(finding) for finding in found],
        }
    )
    return Exit.NEEDS_A_PERSON if items or found else Exit.WELL


def decide(settings: Settings, out: Out, *, kind: Kind, client: str) -> Exit:
    """Record an answer about one client, or (opt-ins) about all that wait."""
    location_id, operator = _location(settings), getpass.getuser()
    try:
        with open_runtime(settings) as runtime:
            decided = _decide(runtime, location_id, kind, client, operator)
    except NothingToDecide as nothing:
        sys.stderr.write(f"{nothing}\n")
        return Exit.WRONG_USE
    for phorest_id in decided:
        out.say(f"Client {phorest_id}: {review.EFFECTS[kind]}.")
    out.say(f"Recorded for {operator}.")
    out.result({"decided": kind.value, "clients": decided, "operator": operator, "effect": review.EFFECTS[kind]})
    return Exit.WELL


def _decide(runtime: Runtime, location_id: str, kind: Kind, client: str, operator: str) -> list[str]:
    keyring = runtime.keyring()
    with runtime.engine.begin() as connection:
        keyring.require_same(connection)
        clients = [client]
        if client == EVERYONE and kind is Kind.OPT_IN:
            clients = list(review.opt_ins_waiting(connection, location_id))
            if not clients:
                raise NothingToDecide("No opt-in waits for an answer.")
        for phorest_id in clients:
            review.decide(
                connection, keyring, location_id=location_id, kind=kind, phorest_id=phorest_id, operator=operator
            )
    return clients


def _location(settings: Settings) -> str:
    settings.require("GHL_LOCATION_ID")
    return str(settings.ghl_location_id)


def _sides(connection: Connection, location_id: str, item: Waiting) -> tuple[Side | None, Side | None]:
    client = review.client_side(connection, item.phorest_id) if item.entity_type == review.CLIENT else None
    return client, review.contact_side(connection, location_id, item.ghl_id) if item.ghl_id else None


def _print(
    out: Out,
    items: list[Waiting],
    found: list[Found],
    sides: dict[tuple[str, str], tuple[Side | None, Side | None]],
) -> None:
    for cause in dict.fromkeys(item.cause for item in items):
        of_cause = [item for item in items if item.cause == cause]
        columns = ("side", "name", "email", "phone") if sides else ()
        table = Table(
            "client", "contact", "since", "why", *columns, title=f"{cause}: {len(of_cause)}", title_justify="left"
        )
        for item in of_cause:
            _rows(table, item, sides.get((item.entity_type, item.phorest_id)))
        out.text.print(table)
        for kind in of_cause[0].answers:
            out.say(f"  phorest-ghl review {_COMMANDS[kind]} CLIENT: {review.EFFECTS[kind]}.")
    if found:
        table = Table("finding", "client", "contact", "since", "what", title_justify="left")
        for finding in found:
            what = ", ".join(f"{name} {value}" for name, value in sorted(finding.detail.items()))
            table.add_row(
                finding.kind, finding.phorest_id or "", finding.ghl_id or "", f"{finding.since:%Y-%m-%d}", what
            )
        out.text.print(table)
    if not items and not found:
        out.say("Nothing waits for a person.")


def _rows(table: Table, item: Waiting, sides: tuple[Side | None, Side | None] | None) -> None:
    reason = item.reason if item.decided is None else f"{item.reason} (decided: {item.decided.value})"
    who = item.phorest_id if item.entity_type == review.CLIENT else f"{item.entity_type} {item.phorest_id}"
    head = (who, item.ghl_id or "", f"{item.since:%Y-%m-%d}", reason)
    if sides is None:
        table.add_row(*head)
        return
    for place, (name, side) in enumerate(zip(("Phorest", "GHL"), sides, strict=True)):
        shown = ("", "", "")
        if side is not None:
            full = f"{side.first_name or ''} {side.last_name or ''}".strip()
            shown = (full, side.email or "", side.phone or "")
        table.add_row(*(head if place == 0 else ("", "", "", "")), name, *shown)
    table.add_section()


def _item(item: Waiting, sides: tuple[Side | None, Side | None] | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "entity": item.entity_type,
        "client": item.phorest_id,
        "contact": item.ghl_id,
        "cause": item.cause,
        "reason": item.reason,
        "attempts": item.attempts,
        "since": item.since.isoformat(),
        "answers": [_COMMANDS[kind] for kind in item.answers],
        "decided": item.decided.value if item.decided else None,
    }
    if sides is not None:
        document["sides"] = {
            name: vars(side) if side else None for name, side in zip(("phorest", "ghl"), sides, strict=True)
        }
    return document


def _finding(finding: Found) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "entity": finding.entity_type,
        "client": finding.phorest_id,
        "contact": finding.ghl_id,
        "since": finding.since.isoformat(),
        "detail": dict(finding.detail),
    }
