"""A first read whose groups of pages are written beside each other: no version is lost, no row is held twice.

Belongs here: what two writes at once could break. Does not: which groups may be written at once (`test_writes_ahead`).
"""

import string
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl_tests.phorest.test_importer import Desk, client, failing
from phorest_ghl_tests.support.databases import Database

NAMES = string.ascii_uppercase
EACH_ONCE = [(name, 1) for name in NAMES]


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def held(desk: Desk) -> list[tuple[Any, ...]]:
    return desk.rows("select phorest_id, version from phorest_clients order by 1")


def replaced(desk: Desk) -> list[tuple[Any, ...]]:
    return desk.rows("select phorest_id, version from phorest_versions order by 1, 2")


def test_a_row_that_a_first_read_meets_again_changed_ends_as_the_newer_one_and_leaves_the_older_in_the_history(
    desk: Desk,
) -> None:
    before = [client(name, version=1, smsMarketingConsent=False) for name in NAMES]
    after = [client(name, version=2, smsMarketingConsent=True) for name in NAMES]
    desk.run(*before, *after)
    assert held(desk) == [(name, 2) for name in NAMES]
    assert replaced(desk) == [(name, 1) for name in NAMES]
    events = desk.rows("select phorest_id, before, after from consent_events where purpose = 'marketing' order by 1")
    assert events == [(name, False, True) for name in NAMES]


def test_a_row_that_a_first_read_meets_again_as_it_was_is_held_once_and_has_no_history(desk: Desk) -> None:
    rows = [client(name, version=1) for name in NAMES]
    result = desk.run(*rows, *rows)
    assert (result.seen, result.inserted, result.updated) == (len(NAMES), len(NAMES), 0)
    assert (held(desk), replaced(desk)) == (EACH_ONCE, [])


def test_a_first_read_that_ends_in_the_middle_is_made_again_from_the_start_and_writes_only_what_is_missing(
    desk: Desk,
) -> None:
    rows = [client(name, version=1) for name in NAMES]
    desk.phorest.fault = failing(Category.AUTH, 9)
    with pytest.raises(ApiError):
        desk.run(*rows)
    written = len(held(desk))
    assert 0 < written < len(NAMES)
    assert desk.cursor() == []
    desk.phorest.fault = lambda number: None
    result = desk.run(*rows)
    assert (result.complete, result.lower, result.inserted) == (True, None, len(NAMES) - written)
    assert (held(desk), replaced(desk)) == (EACH_ONCE, [])


def test_two_first_reads_at_once_hold_each_row_once_and_neither_waits_for_the_other_for_ever(
    desk: Desk, database: Database
) -> None:
    rows = [client(name, version=1) for name in NAMES]
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(one.run, *rows) for one in (desk, Desk(database))]
    results = [run.result() for run in runs]
    assert all(result.complete for result in results)
    assert sum(result.inserted for result in results) == len(NAMES)
    assert (held(desk), replaced(desk)) == (EACH_ONCE, [])
