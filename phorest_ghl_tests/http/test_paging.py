"""Lists are read to their end, in order, ahead of the reader, and never for ever."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.http.paging import iterate_cursor, iterate_groups, iterate_pages
from phorest_ghl_tests.support.postgres_processes import wait_until


@dataclass(frozen=True)
class Page:
    """A page as the vendor numbers it."""

    number: int
    total_pages: int
    rows: tuple[int, ...] = ()


def _total(page: Page) -> int:
    return page.total_pages


def _pages(fetch: Callable[[int], Page], **more: int) -> list[int]:
    return [page.number for page in iterate_pages(fetch, total_pages=_total, **more)]


@settings(max_examples=30, deadline=None)
@given(total=st.integers(0, 30), prefetch=st.integers(1, 6))
def test_every_page_comes_once_and_in_order(total: int, prefetch: int) -> None:
    assert _pages(lambda n: Page(n, total), prefetch=prefetch) == list(range(max(total, 1)))


def test_pages_arrive_in_order_even_if_answers_do_not() -> None:
    later = threading.Event()

    def fetch(number: int) -> Page:
        if number == 2:
            later.set()
        if number == 1:
            assert later.wait(5)
        return Page(number, 3)

    assert _pages(fetch) == [0, 1, 2]


def test_no_more_pages_are_held_than_prefetched_and_waiting() -> None:
    asked: list[int] = []
    lock = threading.Lock()

    def fetch(number: int) -> Page:
        with lock:
            asked.append(number)
        return Page(number, 100)

    for read, page in enumerate(iterate_pages(fetch, total_pages=_total, prefetch=3, waiting=2), start=1):
        assert page.number == read - 1
        assert len(asked) <= read + 3 + 2


def test_requests_go_on_while_the_reader_is_busy_but_never_more_at_a_time_than_prefetched() -> None:
    flying, most, asked = set[int](), [0], list[int]()
    lock = threading.Lock()

    def fetch(number: int) -> Page:
        with lock:
            asked.append(number)
            flying.add(number)
            most[0] = max(most[0], len(flying))
        time.sleep(0.002)
        with lock:
            flying.remove(number)
        return Page(number, 40)

    pages = iterate_pages(fetch, total_pages=_total, prefetch=3, waiting=4)
    next(pages)
    wait_until(lambda: len(asked) == 1 + 3 + 4)  # the reader takes nothing meanwhile
    assert [page.number for page in pages] == list(range(1, 40))
    assert most[0] == 3


@pytest.mark.parametrize("at_most", [1, 3])
def test_pages_that_are_there_come_together_in_order_and_not_more_than_wanted(at_most: int) -> None:
    asked: list[int] = []

    def fetch(number: int) -> Page:
        asked.append(number)
        return Page(number, 12)

    groups = iterate_groups(fetch, total_pages=_total, at_most=at_most, prefetch=2, waiting=9)
    found = [next(groups)]
    wait_until(lambda: len(asked) == 12)
    time.sleep(0.01)
    found += list(groups)
    assert [page.number for group in found for page in group] == list(range(12))
    assert max(len(group) for group in found) == at_most


def test_what_came_before_a_loop_is_handed_over_before_the_error() -> None:
    asked: list[int] = []

    def fetch(number: int) -> Page:
        asked.append(number)
        return Page(0 if number == 3 else number, 5)

    groups, seen = iterate_groups(fetch, total_pages=_total, at_most=4), list[int]()
    seen += [page.number for page in next(groups)]
    wait_until(lambda: len(asked) == 5)
    time.sleep(0.01)
    with pytest.raises(ApiError, match="page 3 was asked for and page 0 came"):  # noqa: PT012 - what comes first counts
        for group in groups:
            seen.extend(page.number for page in group)
    assert seen == [0, 1, 2]


def test_closing_early_cancels_what_has_not_started() -> None:
    release, asked = threading.Event(), list[int]()

    def fetch(number: int) -> Page:
        asked.append(number)
        if number > 1:
            assert release.wait(5)
        return Page(number, 1000)

    pages = iterate_pages(fetch, total_pages=_total, prefetch=4)
    assert [next(pages).number, next(pages).number] == [0, 1]
    pages.close()
    release.set()
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("pages")]
    for worker in workers:
        worker.join(timeout=5)
    assert not any(worker.is_alive() for worker in workers)
    assert max(asked) <= 5


def test_nothing_is_read_before_the_first_page_is_wanted() -> None:
    def fetch(number: int) -> Page:
        raise AssertionError(number)

    iterate_pages(fetch, total_pages=_total).close()


def test_an_error_comes_where_its_page_would_have_come() -> None:
    def fetch(number: int) -> Page:
        if number == 2:
            raise ApiError(Category.TRANSIENT, api="phorest", operation="GET /client", status=503)
        return Page(number, 5)

    seen: list[int] = []
    with pytest.raises(ApiError, match="503"):
        seen.extend(page.number for page in iterate_pages(fetch, total_pages=_total))
    pages = iterate_pages(fetch, total_pages=_total)
    assert [next(pages).number, next(pages).number] == [0, 1]


def test_a_list_that_grows_while_it_is_read_is_read_to_its_new_end() -> None:
    assert _pages(lambda n: Page(n, 3 if n < 2 else 5)) == [0, 1, 2, 3, 4]


def test_a_page_that_could_not_be_read_does_not_end_the_list() -> None:
    """The importer hands in a failed page with no total, and later pages must still come."""
    assert _pages(lambda n: Page(n, 0 if n == 1 else 4)) == [0, 1, 2, 3]


def _looped(read: Callable[[], object]) -> str:
    with pytest.raises(ApiError) as raised:
        read()
    assert raised.value.category is Category.PROTOCOL
    return str(raised.value)


def test_a_vendor_that_ignores_the_page_parameter_is_found_out() -> None:
    text = _looped(lambda: _pages(lambda _: Page(0, 9)))
    assert "page 1 was asked for and page 0 came" in text


def test_a_list_that_grows_as_fast_as_it_is_read_is_stopped() -> None:
    text = _looped(lambda: _pages(lambda n: Page(n, n + 2)))
    assert "the list grew from 2 to 23 pages" in text


def test_a_page_that_holds_what_the_last_one_held_is_no_progress() -> None:
    pages = iterate_pages(lambda n: Page(n, 9, (1, 2)), total_pages=_total, content=lambda page: page.rows)
    assert "page 1 holds what page 0 held" in _looped(lambda: list(pages))


def test_cursors_lead_to_the_end() -> None:
    steps = {None: ([1, 2], [2, "b"]), "[2, 'b']": ([3], [3, "c"]), "[3, 'c']": ([4], None)}
    pages = iterate_cursor(lambda after: steps[None if after is None else str(after)])
    assert list(pages) == [[1, 2], [3], [4]]


@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_cursor_that_comes_back_is_a_loop(length: int) -> None:
    seen: list[int] = []

    def fetch(after: list[int] | None) -> tuple[int, list[int]]:
        number = 0 if after is None else after[0]
        return number, [(number + 1) % length]

    text = _looped(lambda: seen.extend(iterate_cursor(fetch)))
    assert "cursor for the second time" in text
    assert len(seen) == length + 1


def test_the_first_cursor_is_asked_for_only_when_wanted() -> None:
    calls: list[object] = []
    pages = iterate_cursor(lambda after: (calls.append(after), None))
    assert calls == []
    next(pages)
    assert calls == [None]
