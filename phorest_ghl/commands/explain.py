"""`explain`: why a contact or an event is as it is. Belongs here: tables. Does not: finding out (`phorest_ghl.explain`)."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from phorest_ghl.assembly import open_runtime
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.explain.document import cells, lists, next_words
from phorest_ghl.explaining import Entity, document_of
from phorest_ghl.settings import Settings

_SHOWN = 15


def explain(settings: Settings, out: Out, *, entity: Entity, phorest_id: str, live: bool, values: bool) -> Exit:
    """Explain one record; 1 if something of it waits for somebody."""
    with open_runtime(settings) as runtime:
        document = document_of(runtime, entity, phorest_id, live=live, values=values)
    _print(document, out)
    out.result(document)
    return Exit.NEEDS_A_PERSON if document["work_items"] or document["findings"] else Exit.WELL


def _print(document: dict[str, Any], out: Out) -> None:
    if "client" in document:
        _client(document, out)
    else:
        _appointment(document, out)
    out.say(f"Next run: {escape(next_words(document['next_run']))}")
    if document["fields"]:
        table = _table("Fields", "field", "rule", "desired", "GHL holds", "verdict", "last sent")
        for line in document["fields"]:
            table.add_row(*(escape(cell) for cell in cells(line)))
        out.text.print(table)
    for name, columns, rows in lists(document):
        table = _table(name.capitalize(), *columns)
        for row in rows[:_SHOWN]:
            table.add_row(*(escape(cell) for cell in row))
        if len(rows) > _SHOWN:
            table.caption = f"{len(rows) - _SHOWN} further ones; --json lists them"
        out.text.print(table)


def _client(document: dict[str, Any], out: Out) -> None:
    out.say(f"Client {document['client']}, as of {document['as_of']}.")
    group, contact, found = document["group"], document["contact"], document["appointments"]
    out.say(f"Primary of its contact: {group['primary']}; {group['why']}.")
    table = _table("Who shares its contact or its addresses", "client", "role", "by", "contact", "not live")
    for member in group["members"]:
        row = (member["phorest_id"], member["role"], "; ".join(member["by"]), member["contact"], member["not_live"])
        table.add_row(*(escape(cell or "") for cell in row))
    out.text.print(table)
    out.say(f"{found['imported']} appointments, {found['with_event']} of them with an event in GHL.")
    if contact is None:
        out.say("It has no contact in GHL.")
        return
    adopted = " It was there before us and was adopted." if contact["adopted"] else ""
    out.say(f"Contact {contact['id']}: {_age(contact)}.{adopted}")


def _appointment(document: dict[str, Any], out: Out) -> None:
    row, event = document["phorest"], document["event"]
    out.say(f"Appointment {document['appointment']}, as of {document['as_of']}.")
    out.say(
        f"Phorest: branch {row['branch']}, client {row['client']}, staff {row['staff']}, starts {row['starts_at']}, "
        f"{row['state']}, {row['activation_state']}{', cancelled' if row['cancelled'] else ''}"
        f"{'' if row['in_window'] else ', outside the days that runs look at'}."
    )
    out.say(f"Its client's contact: {document['contact'] or 'none'}.")
    out.say("It has no event in GHL." if event is None else f"Event {event['id']}: {_age(event)}.")


def _age(thing: dict[str, Any]) -> str:
    if thing["seen_at"] is None:
        return "what GHL holds was never read; --live reads it"
    gone = f", gone since {thing['gone_at']}" if thing["gone_at"] else ""
    how = f" by {thing['seen_by']}" if "seen_by" in thing else ""
    return f"last seen{how} {thing['age_minutes']} minutes ago{gone}; --live reads it now"


def _table(title: str, *columns: str) -> Table:
    """A table that cuts no id short."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
