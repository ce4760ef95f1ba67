"""`forget`: shows what would be erased, asks, erases it, and says what it cannot reach.

Belongs here: the command's flow and its words. Does not: the erasing (`phorest_ghl.privacy`).
"""

import getpass
import sys
from datetime import UTC, datetime
from typing import Any

from rich.prompt import Confirm
from rich.table import Table

from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.privacy.forgetting import Forgotten, Preview
from phorest_ghl.privacy.people import NobodyFound, Person
from phorest_ghl.privacy.registry import UNREACHABLE
from phorest_ghl.settings import Settings
from phorest_ghl.sync.clients import new_batch_id


def forget(settings: Settings, out: Out, *, client_id: str, keep_contact: bool, yes: bool) -> Exit:
    """Forget a client; 1 where something is left for a person to do."""
    with open_runtime(settings) as runtime:
        work = runtime.forgetting()
        try:
            found = work.preview(client_id)
        except NobodyFound as nobody:
            sys.stderr.write(f"{nobody}\n")
            return Exit.WRONG_USE
        document = _document(found, keep_contact=keep_contact)
        if found.person is None:
            out.say(f"Client {client_id} was forgotten on {found.done_at:%Y-%m-%d %H:%M} UTC; nothing is left to do.")
            out.result({**document, "ok": True})
            return Exit.WELL
        _show(found, found.person, out, keep_contact=keep_contact)
        if not yes and not sys.stdin.isatty():
            sys.stderr.write(
                "Nothing was erased: forget asks before it acts, and there is no terminal to ask on. Look at what stands "
                f"above, then run `phorest-ghl forget {client_id} --yes`.\n"
            )
            out.result(document)
            return Exit.WRONG_USE
        if not yes and not _agreed(out):
            out.say("Nothing was erased.")
            out.result(document)
            return Exit.NEEDS_A_PERSON
        done = work.forget(client_id, operator=getpass.getuser(), keep_contacts=keep_contact)
        left = _bring_others(runtime, found.person)
        carrying = work.still_carrying(found.person)
    kept = sorted(key for key, fate in done.in_ghl.contacts.items() if fate.startswith("closed"))
    _tell(client_id, done, kept, left, out)
    for contact_id in carrying:
        out.say(
            f"Contact {contact_id} still carries an address of the person's, which GHL lets nobody empty; change it there."
        )
    ok = not kept and not left and not carrying
    out.result({**document, **_done(done), "ok": ok, "kept_contacts": kept, "others_left": left, "carrying": carrying})
    return Exit.WELL if ok else Exit.NEEDS_A_PERSON


def _agreed(out: Out) -> bool:
    try:
        return Confirm.ask("Erase all of this? It cannot be undone.", console=out.text, default=False)
    except EOFError:  # the terminal was closed, or Ctrl-D
        return False


def _bring_others(runtime: Runtime, person: Person) -> dict[str, str]:
    """Write the contacts that others are on as those are now, without the person's share; why some could not be."""
    others = sorted({one for shared in person.shared for one in shared.others})
    if not others:
        return {}
    started = datetime.now(UTC)
    brought = runtime.client_repair(batch_id=new_batch_id(started), writing=True).run(
        others, started_at=started, by_hand=True
    )
    return {client_id: str(outcome.reason) for client_id, outcome in brought.left.items()}


def _show(found: Preview, person: Person, out: Out, *, keep_contact: bool) -> None:
    merged = [one for one in person.clients if one != found.client_id]
    out.say(
        f"Client {found.client_id}"
        + (f", with the records that were merged with it: {', '.join(merged)}" if merged else "")
        + "."
    )
    out.say(f"Future events that are cancelled in GHL, of which nobody is told: {len(person.upcoming)}.")
    for contact_id in person.contacts:
        keeps = keep_contact or contact_id in person.adopted
        was = " (it was there before us)" if contact_id in person.adopted else ""
        fate = f"is closed on all channels and emptied of our fields{was}" if keeps else "is deleted"
        out.say(f"Contact {contact_id} {fate}.")
    for shared in person.shared:
        out.say(
            f"Contact {shared.ghl_id} stays, for it is also that of {', '.join(shared.others)}; it is written as they are."
        )
    table = Table(title="Rows that are erased", title_justify="left")
    table.add_column("table")
    table.add_column("rows", justify="right")
    for name, rows in found.rows.items():
        table.add_row(name, str(rows))
    out.text.print(table)


def _tell(client_id: str, done: Forgotten, kept: list[str], left: dict[str, str], out: Out) -> None:
    out.say(
        f"Client {client_id} is forgotten: {sum(done.rows.values())} rows erased or stripped of the person, "
        f"{done.in_ghl.cancelled} events cancelled, ids replaced in {done.files} files and {done.dagster_rows} rows of "
        "Dagster's. A keyed hash stays, so that nothing brings the person back; so do opt-outs, by keyed hash."
    )
    for contact_id in kept:
        out.say(f"Contact {contact_id} is still in GHL with its name and addresses; delete it there if it shall go.")
    for other, reason in left.items():
        out.say(
            f"Client {other} shares the contact, and it could not be written anew: {reason}. The next run tries again."
        )
    out.say("What this could not reach:")
    for place in UNREACHABLE:
        out.say(f"- {place}")


def _document(found: Preview, *, keep_contact: bool) -> dict[str, Any]:
    person = found.person
    return {
        "ok": False,
        "client_id": found.client_id,
        "forgotten_at": found.done_at,
        "merged": [] if person is None else [one for one in person.clients if one != found.client_id],
        "rows": found.rows,
        "future_events": 0 if person is None else len(person.upcoming),
        "contacts": {}
        if person is None
        else {one: "close" if keep_contact or one in person.adopted else "delete" for one in person.contacts},
        "shared_contacts": {} if person is None else {one.ghl_id: list(one.others) for one in person.shared},
        "unreachable": list(UNREACHABLE),
    }


def _done(done: Forgotten) -> dict[str, Any]:
    return {
        "rows": done.rows,
        "cancelled": done.in_ghl.cancelled,
        "contacts": dict(done.in_ghl.contacts),
        "files": done.files,
        "dagster_rows": done.dagster_rows,
    }
