"""`backfill`: the first load, with how far it is.

Belongs here: the command's flow and what it shows. Does not: the load (`phorest_ghl.first_load`).
"""

import getpass
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table

from phorest_ghl.assembly import ghl_limits, open_runtime
from phorest_ghl.commands import reports
from phorest_ghl.commands.console import Exit, Out, exit_code
from phorest_ghl.first_load import FirstLoad, LoadResult, NamedMonths
from phorest_ghl.load_progress import EntityPlan, Progress, Spaced, at_most
from phorest_ghl.settings import Settings
from phorest_ghl.sync import plan_summary
from phorest_ghl.sync.clients import new_batch_id


def backfill(
    settings: Settings,
    out: Out,
    *,
    first: str,
    last: str | None,
    dry_run: bool,
    workflows_paused: bool,
) -> Exit:
    """Import everything, then contacts, the events of the named months, and notes. Raises UnknownMonth, NotConfirmed."""
    named = NamedMonths.parse(first, last)
    with open_runtime(settings) as runtime, progress_shown(out) as tell:
        if workflows_paused and not dry_run:
            runtime.clients_sync(batch_id=new_batch_id(), writing=True).confirm_workflows(getpass.getuser())
        load = FirstLoad(runtime, named, tell=tell)
        if not dry_run:
            load.require_confirmed()
        problems = load.bring()
        found = load.plan() if dry_run else load.carry_out()
    for problem in problems:
        out.say(problem)
    return _done(found, out, problems) if isinstance(found, LoadResult) else _planned(found, settings, out, problems)


@contextmanager
def progress_shown(out: Out) -> Generator[Callable[[Progress], None]]:
    """A bar a step at a terminal; elsewhere plain lines, some seconds apart."""
    if not out.text.is_terminal:
        yield Spaced(lambda progress: out.say(f"{progress}.")).tell
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"))
    with Bars(*columns, console=out.text) as bars:
        tasks: dict[str, Any] = {}

        def tell(progress: Progress) -> None:
            step = progress.step.partition(" of ")[0]  # the months of an import share a bar
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=progress.known, left="")
            bars.update(tasks[step], completed=progress.done, total=progress.known, left=whole(progress))

        yield tell


def whole(progress: Progress) -> str:
    """What of all is done, and how long the rest takes."""
    found = f"{progress.written} of {progress.to_write} in all" if progress.to_write else ""
    left = "" if progress.minutes_left is None else f"{progress.minutes_left:.1f} minutes left"
    return ", ".join(part for part in (found, left) if part)


def _planned(plans: dict[str, EntityPlan], settings: Settings, out: Out, problems: list[str]) -> Exit:
    """What a load would write, at most: events and notes wait for contacts that a plan does not make."""
    entities = {name: {"items": plan.total, "at_most": at_most(plan), **plan.counts()} for name, plan in plans.items()}
    # A change may take more calls than one; what waits for its contact takes one.
    calls = sum(at_most(plan) - len(plan.changes) + plan.requests for plan in plans.values())
    pace = plan_summary.pace(calls, ghl_limits(settings))
    table = Table("entity", "items", "to write at most", title="Plan", title_justify="left")
    for name, plan in plans.items():
        table.add_row(name, str(plan.total), str(at_most(plan)))
    out.text.print(table)
    out.say(f"At most {calls} requests: about {pace.minutes:g} minutes at this location's budget, on {pace.days} days.")
    out.result({
        "ok": not problems, "entities": entities, "requests": calls, "minutes": pace.minutes, "days": pace.days,
        "problems": problems,
    })  # fmt: skip
    return Exit.NEEDS_A_PERSON if problems else Exit.WELL


def _done(result: LoadResult, out: Out, problems: list[str]) -> Exit:
    entities = {name: reports.run_document(one) for name, one in result.entities.items()}
    out.text.print(reports.outcomes_table(entities))
    for name, one in result.entities.items():
        if one.reasons:
            out.say(f"{name}:")
            out.text.print(reports.reasons_table(one.reasons))
    ok = not (problems or result.needs_a_person)
    out.result({"ok": ok, "entities": entities, "problems": problems})
    if result.stopped is not None:
        out.say(f"The load ended early: {result.stopped} Start it again to go on from there.")
        return exit_code(result.stopped)
    return Exit.WELL if ok else Exit.NEEDS_A_PERSON
