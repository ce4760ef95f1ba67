"""Bars for somebody who waits at a terminal; nothing where nobody does.

Belongs here: showing how far something is. Does not: doing it.
"""

from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from phorest_ghl.commands.console import Out
from phorest_ghl.phorest.watched import Seen

COLUMNS = (TextColumn("Reading {task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("pages"))


class PageBars:
    """A bar for each list of Phorest: pages read of pages there are."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._lock = Lock()
        self._tasks: dict[str, TaskID] = {}
        self._most: dict[str, int] = {}

    def seen(self, entity: str, page: int, pages: int) -> None:
        """A page was read. They come in any order, and a list that shifted is read again from its first page."""
        with self._lock:  # pages are read ahead, by several threads
            if entity not in self._tasks:
                self._tasks[entity] = self._bar.add_task(entity.replace("_", " "), total=pages)
            before = 0 if page == 1 else self._most.get(entity, 0)
            self._most[entity] = min(pages, max(page, before))
            self._bar.update(self._tasks[entity], completed=self._most[entity], total=pages)


@contextmanager
def pages_shown(out: Out) -> Generator[Seen | None]:
    """What is told of every page, to show it; None where there is no terminal."""
    if not out.text.is_terminal:
        yield None
        return
    with Progress(*COLUMNS, console=out.text, transient=True) as bar:
        yield PageBars(bar).seen
