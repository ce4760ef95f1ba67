"""Several groups of pages on their way to PostgreSQL at once, as long as they share no row.

Belongs here: what may be written beside what, order, waiting. Does not: what is written, and how (`page_writes`).

Beside the same row of another group, one that waits for its lock would compare with what it saw before: the other's
version would be missing in the history, and a change of consent between the two would be noticed by nobody. So rows that
come twice, or whose ids are not known, are written one after the other, and no two writes ever wait for each other.
"""

import contextvars
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

GroupT = TypeVar("GroupT")
ResultT = TypeVar("ResultT")
Rows = frozenset[bytes] | None
"""The ids of a group's rows; None where they are not known."""

AT_ONCE = 2
"""Groups in flight: while one result is on its way to us, PostgreSQL has the next to work on."""


def written_ahead(
    groups: Iterable[GroupT],
    write: Callable[[GroupT], ResultT],
    *,
    rows: Callable[[GroupT], Rows],
    at_once: int = AT_ONCE,
) -> Generator[tuple[GroupT, ResultT]]:
    """Each group with what `write` returned for it, in order; up to `at_once` are being written while the next is awaited.

    An error of `write` is raised where its result would have come. Whatever ends this, no write goes on when it is over.
    """
    flying: deque[tuple[GroupT, Rows, Future[ResultT]]] = deque()

    def landed() -> tuple[GroupT, ResultT]:
        group, _, future = flying.popleft()
        return group, future.result()

    # Leaving the pool waits for what it is at.
    with ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="writes") as pool:
        for group in groups:
            ids = rows(group)
            while any(not _apart(ids, others) for _, others, _ in flying):
                yield landed()
            # The run's ids travel in context variables; without the copy the writer's log lines would lose them.
            flying.append((group, ids, pool.submit(contextvars.copy_context().run, write, group)))
            while len(flying) >= at_once:
                yield landed()
        while flying:
            yield landed()


def _apart(some: Rows, others: Rows) -> bool:
    return some is not None and others is not None and some.isdisjoint(others)
