"""`go-live`: shows what it would do, asks, and ends the quiet of a location (safety S1).

Belongs here: the command's flow and its words. Does not: the release itself (`sync.going_live`).
"""

import sys
from collections.abc import Collection
from typing import Any

from rich.progress import Progress
from rich.prompt import Confirm
from sqlalchemy import Engine

from phorest_ghl.assembly import open_runtime
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.ghl.client import GhlClient
from phorest_ghl.ghl.fields import GUARD_TAG
from phorest_ghl.settings import Settings
from phorest_ghl.sync import going_live
from phorest_ghl.sync.going_live import Preview, WentLive

_SHOWN = 20


def go_live(settings: Settings, out: Out, *, yes: bool) -> Exit:
    """Release the guard tag from every contact that carries it because of us, and make the location live."""
    with open_runtime(settings) as runtime:
        ghl = runtime.ghl()
        found = going_live.preview(runtime.engine, ghl.location_id)
        document = _document(found)
        if found.live_at is not None and not found.contacts:
            out.say(f"Location {found.location_id} is live since {found.live_at:%Y-%m-%d %H:%M} UTC; nothing is left.")
            out.result({**document, "ok": True})
            return Exit.WELL
        _show(found, out)
        if not yes and not _is_terminal():
            sys.stderr.write(
                "Nothing was changed: go-live asks before it acts, and there is no terminal to ask on. Look at what stands "
                "above, then run `phorest-ghl go-live --yes`.\n"
            )
            out.result(document)
            return Exit.WRONG_USE
        if not yes and not _agreed(out):
            out.say("Nothing was changed.")
            out.result(document)
            return Exit.NEEDS_A_PERSON
        done = _carry_out(runtime.engine, ghl, out)
    _tell(done, out)
    out.result({**document, **_done(done)})
    return Exit.WELL if done.live_at is not None else Exit.NEEDS_A_PERSON


def _agreed(out: Out) -> bool:
    try:
        return Confirm.ask("Go live now?", console=out.text, default=False)
    except EOFError:  # the terminal was closed, or Ctrl-D
        return False


def _show(found: Preview, out: Out) -> None:
    out.say(
        f"Location {found.location_id}: contacts that carry {GUARD_TAG} because of us: {found.contacts}. "
        f"Requests that take it off: {found.calls}. Then the location is live."
    )
    if found.others:
        out.say(f"Contacts that carry it, but not from us, and keep it: {_ids(found.others)}.")
    out.say(
        f"From then on, workflows that leave {GUARD_TAG} out may start on these contacts, at their next change in GHL or "
        "through us. Workflows that you paused for the first load stay paused until you publish them; one that starts "
        "when a tag is removed starts now."
    )


def _carry_out(engine: Engine, ghl: GhlClient, out: Out) -> WentLive:
    if not out.text.is_terminal:
        return going_live.go_live(engine, ghl)
    with Progress(console=out.text, transient=True) as bar:
        task = bar.add_task(f"Taking {GUARD_TAG} off", total=None)
        return going_live.go_live(
            engine, ghl, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )


def _tell(done: WentLive, out: Out) -> None:
    out.say(f"Contacts released: {done.released}.")
    if done.gone:
        out.say(f"Contacts that no longer exist in GHL: {_ids(done.gone)}.")
    for ghl_id, message in sorted(done.refused.items())[:_SHOWN]:
        out.say(f"Contact {ghl_id} still carries the tag: {message}.")
    if len(done.refused) > _SHOWN:
        out.say(f"So do {len(done.refused) - _SHOWN} more; --json lists all of them.")
    if done.live_at is None:
        out.say(
            f"Location {done.location_id} stays quiet. Take the tag {GUARD_TAG} off these contacts in GHL, or find out why "
            "it does not let us, and go live again; what is done is kept."
        )
    else:
        out.say(f"Location {done.location_id} is live.")


def _ids(ghl_ids: Collection[str]) -> str:
    shown = sorted(ghl_ids)[:_SHOWN]
    more = len(ghl_ids) - len(shown)
    return ", ".join(shown) + (f" and {more} more (--json lists all)" if more else "")


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _document(found: Preview) -> dict[str, Any]:
    return {
        "ok": False,
        "location_id": found.location_id,
        "mode": "quiet" if found.live_at is None else "live",
        "contacts": found.contacts,
        "calls": found.calls,
        "others": list(found.others),
        "released": 0,
        "gone": [],
        "refused": {},
        "live_at": found.live_at,
    }


def _done(done: WentLive) -> dict[str, Any]:
    return {
        "ok": done.live_at is not None,
        "mode": "quiet" if done.live_at is None else "live",
        "released": done.released,
        "gone": sorted(done.gone),
        "refused": dict(sorted(done.refused.items())),
        "live_at": done.live_at,
    }
