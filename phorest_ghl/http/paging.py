"""Reading lists to their end: numbered pages ahead of the reader, cursors one by one, both guarded against loops.

Belongs here: order, prefetch, guards. Does not: what a page holds.

A vendor that ignores the page parameter or hands out the same cursor again would otherwise be read for ever.
"""

import contextlib
import contextvars
from collections import deque
from collections.abc import Callable, Generator, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NoReturn, Protocol, TypeVar

from phorest_ghl.http.errors import Api, ApiError, Category

PREFETCH = 4
"""Pages in flight (facts/phorest-api §4: at most four requests at a time)."""
WAITING = 8
"""Pages that may wait for the reader besides, so that a reader who is busy for a moment stops no request."""


class NumberedPage(Protocol):
    """A page that knows which one it is, counted from 0 (facts/phorest-api §3)."""

    @property
    def number(self) -> int:
        """The number that the vendor's answer carries, not the one that was asked for."""
        ...


PageT = TypeVar("PageT", bound=NumberedPage)
ItemT = TypeVar("ItemT")
CursorT = TypeVar("CursorT")


class PageGuard:
    """Follows a numbered list and says when it makes no progress. Raises ApiError PROTOCOL."""

    def __init__(self, *, api: Api, operation: str, growth: int | None = None) -> None:
        self._api: Api = api
        self._operation = operation
        self._growth = growth
        self._first_total: int | None = None
        self._last_content: Hashable = None
        self.total = 1

    def admit(self, asked: int, number: int, total: int, content: Hashable = None) -> None:
        """Check the page that came for number `asked`; afterwards `total` is the number of pages to read.

        A total of 0 on a later page says nothing (an empty page, or one that could not be read) and is not taken over.
        """
        if number != asked:
            self._stop(f"page {asked} was asked for and page {number} came, so the page parameter is not obeyed")
        if content is not None and content == self._last_content:
            self._stop(f"page {asked} holds what page {asked - 1} held, so the list makes no progress")
        self._last_content = content
        if asked == 0 or total > 0:
            self.total = max(total, asked + 1)
        if self._first_total is None:
            self._first_total = self.total
        # Records are added while a list is read; a list that grows as fast as it is read has no end.
        limit = self._first_total + (max(20, self._first_total) if self._growth is None else self._growth)
        if self.total > limit:
            self._stop(f"the list grew from {self._first_total} to {self.total} pages while it was read")

    def _stop(self, reason: str) -> NoReturn:
        raise ApiError(Category.PROTOCOL, api=self._api, operation=self._operation, reason=f"but {reason}")


def iterate_pages(
    fetch: Callable[[int], PageT],
    *,
    total_pages: Callable[[PageT], int],
    content: Callable[[PageT], Hashable] | None = None,
    api: Api = "phorest",
    operation: str = "reading a list",
    prefetch: int = PREFETCH,
    waiting: int = WAITING,
    growth: int | None = None,
) -> Generator[PageT]:
    """Every page in order, as `iterate_groups` reads them, one at a time."""
    groups = iterate_groups(
        fetch,
        total_pages=total_pages,
        content=content,
        api=api,
        operation=operation,
        prefetch=prefetch,
        waiting=waiting,
        growth=growth,
        at_most=1,
    )
    with contextlib.closing(groups):
        for (page,) in groups:
            yield page


def iterate_groups(
    fetch: Callable[[int], PageT],
    *,
    total_pages: Callable[[PageT], int],
    at_most: int,
    content: Callable[[PageT], Hashable] | None = None,
    api: Api = "phorest",
    operation: str = "reading a list",
    prefetch: int = PREFETCH,
    waiting: int = WAITING,
    growth: int | None = None,
) -> Generator[list[PageT]]:
    """Every page in order, fetched ahead in threads; together those that are there when the reader comes back.

    Page 0 is read first, for it says how many there are. Closing the generator, or an error in the reader, cancels what
    has not started; requests in flight finish unheard. An error of `fetch` is raised where its page would have come.

    Args:
        fetch: reads the page of a number, counted from 0; called from several threads.
        total_pages: how many pages there are, by this page.
        at_most: pages handed over at a time, at least 1; fewer where the next one is not there yet.
        content: something that differs between two pages of a list that makes progress, for instance the first id.
        api: whose list it is, for errors.
        operation: what is read, for errors: a route template, never a URL.
        prefetch: pages in flight, at least 1.
        waiting: pages that may wait for the reader besides.
        growth: pages that may be added while reading; by default 20 or as many as there were, whichever is more.

    Raises:
        ApiError: PROTOCOL when the list loops or has no end.
    """
    guard = PageGuard(api=api, operation=operation, growth=growth)
    first = fetch(0)
    guard.admit(0, first.number, total_pages(first), content(first) if content else None)
    if guard.total == 1:
        yield [first]
        return
    ahead: deque[Future[PageT]] = deque()
    in_flight, held = max(1, prefetch), max(1, prefetch) + max(0, waiting)
    pool = ThreadPoolExecutor(max_workers=in_flight, thread_name_prefix="pages")
    asked = wanted = 1

    def look_ahead() -> None:
        nonlocal asked
        while asked < guard.total and len(ahead) < held:
            # The run's ids travel in context variables; without the copy its log lines would lose them.
            ahead.append(pool.submit(contextvars.copy_context().run, fetch, asked))
            asked += 1

    try:
        look_ahead()
        yield [first]
        while wanted < guard.total:
            group: list[PageT] = []
            while ahead and len(group) < at_most and (not group or _succeeded(ahead[0])):
                page = ahead.popleft().result()
                try:
                    guard.admit(wanted, page.number, total_pages(page), content(page) if content else None)
                except ApiError:
                    if group:
                        yield group  # what came before is well
                    raise
                wanted += 1
                group.append(page)
                look_ahead()  # before the reader has the page, so that the vendor works while it is written
            yield group
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _succeeded(page: "Future[PageT]") -> bool:
    """Whether a page is there already; an error is left for when it is the next to come."""
    return page.done() and page.exception() is None


def iterate_cursor(
    fetch: Callable[[CursorT | None], tuple[ItemT, CursorT | None]],
    *,
    api: Api = "ghl",
    operation: str = "reading a list",
) -> Generator[ItemT]:
    """Every page of a list with cursors (GHL's `searchAfter`, facts/ghl-api §7.1), one request at a time.

    Args:
        fetch: reads the page after a cursor (None for the first) and names the next cursor, or None at the end.
        api: whose list it is, for errors.
        operation: what is read, for errors: a route template, never a URL.

    Raises:
        ApiError: PROTOCOL when a cursor comes back that was used before.
    """
    used: set[str] = set()  # one short text a page
    cursor: CursorT | None = None
    while True:
        page, cursor = fetch(cursor)
        yield page
        if cursor is None:
            return
        mark = repr(cursor)
        if mark in used:
            reason = (
                f"but after {len(used) + 1} pages it handed out a cursor for the second time, so the list has no end"
            )
            raise ApiError(Category.PROTOCOL, api=api, operation=operation, reason=reason)
        used.add(mark)
