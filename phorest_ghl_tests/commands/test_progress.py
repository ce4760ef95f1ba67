"""Bars at a terminal: pages read of pages there are, and nothing where nobody looks."""

from collections.abc import Iterator
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from rich.progress import Progress

from phorest_ghl.commands.bringing import import_clients
from phorest_ghl.commands.console import Out
from phorest_ghl.commands.progress import PageBars, pages_shown
from phorest_ghl_tests.sync.rig import Rig, installation

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database


@pytest.fixture
def rig(database: "Database") -> Iterator[Rig]:
    with installation(database.url, clients=450) as made:
        yield made


def terminal() -> tuple[Out, StringIO]:
    written, out = StringIO(), Out(as_json=False)
    out.text = Console(file=written, force_terminal=True, width=100, highlight=False)
    return out, written


def test_an_import_at_a_terminal_shows_every_list_to_its_last_page(rig: Rig) -> None:
    out, written = terminal()
    import_clients(rig.runtime, out, full=True)
    shown = written.getvalue()
    assert "Reading client " in shown
    assert "3/3" in shown
    assert "Imported from Phorest: 451 clients seen" in shown


def test_where_there_is_no_terminal_nothing_is_told() -> None:
    with pages_shown(Out(as_json=False)) as seen:
        assert seen is None


def test_a_page_that_comes_late_never_moves_a_bar_back_and_a_new_pass_begins_anew() -> None:
    bar = Progress()
    bars = PageBars(bar)
    done: list[tuple[float, float | None]] = []
    for page, pages in ((1, 4), (3, 4), (2, 4), (4, 4), (1, 4), (1, 0)):
        bars.seen("client", page, pages)
        done.append((bar.tasks[0].completed, bar.tasks[0].total))
    assert done == [(1, 4), (3, 4), (3, 4), (4, 4), (1, 4), (0, 0)]
