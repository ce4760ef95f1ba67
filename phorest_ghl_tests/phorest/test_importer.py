"""The import: what a complete read is, when the cursor moves, and that no row takes another one with it."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.phorest.client import wire_instant
from phorest_ghl.phorest.importer import OVERLAP, Importer, ImportResult
from phorest_ghl.phorest.pages import MalformedPage, Page, parse_page
from phorest_ghl.phorest.specs import BRANCHES, CLIENTS, ImportSpec
from phorest_ghl_tests.phorest.test_pages import odd_rows, wire
from phorest_ghl_tests.support.databases import Database

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PAGE = 2

Fault = Callable[[int], None]


class Phorest:
    """Answers lists from memory, two rows a page, as the client would; `fault` may refuse a page."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.asked: list[dict[str, str]] = []
        self.fault: Fault = lambda number: None
        self.total: int | None = None
        self.requests = 0

    def page(self, spec: ImportSpec, number: int, *, params: Mapping[str, str] | None = None) -> Page:
        self.requests += 1
        self.asked.append(dict(params or {}))
        self.fault(number)
        rows = [row for row in self.rows if _is_asked_for(row, params or {})]
        here = rows[number * PAGE : (number + 1) * PAGE]
        pages = max(1, -(-len(rows) // PAGE))
        total = len(rows) if self.total is None else self.total
        meta = {"number": number, "size": PAGE, "totalElements": total, "totalPages": pages}
        return parse_page(spec, json.dumps({"_embedded": {spec.embedded_key: here}, "page": meta}).encode())

    def now(self) -> datetime:
        return NOW


def _is_asked_for(row: Any, params: Mapping[str, str]) -> bool:
    """Whether a delta's bounds let a row through."""
    changed = row.get("updatedAt") if isinstance(row, dict) else None
    return not params or params["updatedAfter"] <= str(changed) <= params["updatedBefore"]


class Desk:
    """An importer over a database and Phorest's lists."""

    def __init__(self, database: Database) -> None:
        self.engine = database.engine
        self.phorest = Phorest()

    def run(self, *rows: Any, spec: ImportSpec = CLIENTS, upper: datetime = NOW, full: bool = False) -> ImportResult:
        self.phorest.rows = list(rows)
        importer = Importer(self.engine, self.phorest, Keyring(b"sixteen bytes and more"), batch_id="B")  # pyright: ignore[reportArgumentType]
        return importer.run(spec, upper=upper, full=full)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(statement))]

    def cursor(self, entity: str = "client") -> list[tuple[Any, ...]]:
        return self.rows(f"select watermark, full_read_at from import_cursors where entity_type = '{entity}'")  # noqa: S608


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def client(client_id: str, minute: int = 0, **more: Any) -> dict[str, Any]:
    return wire(client_id, updatedAt=wire_instant(NOW - timedelta(hours=1) + timedelta(minutes=minute)), **more)


def at(minute: int) -> datetime:
    return NOW - timedelta(hours=1) + timedelta(minutes=minute)


def test_the_first_read_is_a_full_one_and_the_next_asks_for_what_changed_since_with_an_overlap(desk: Desk) -> None:
    first = desk.run(client("A", 1), client("B", 2), client("C", 3))
    assert (first.seen, first.inserted, first.lower, first.watermark) == (3, 3, None, at(3))
    assert desk.phorest.asked[0] == {}
    assert desk.cursor() == [(at(3), NOW)]
    second = desk.run(client("C", 3), upper=NOW + timedelta(hours=1))
    assert (second.lower, second.unchanged) == (at(3) - OVERLAP, 1)
    assert desk.phorest.asked[-1] == {
        "updatedAfter": wire_instant(at(3) - OVERLAP),
        "updatedBefore": wire_instant(NOW + timedelta(hours=1)),
    }


def test_a_full_read_asks_for_everything_whatever_the_cursor_says(desk: Desk) -> None:
    desk.run(client("A", 1))
    desk.run(client("A", 1), full=True)
    assert desk.phorest.asked[-1] == {}


def test_the_cursor_never_goes_beyond_the_frozen_bound_and_never_backwards(desk: Desk) -> None:
    late = desk.run(client("A", 600))
    assert late.watermark == NOW  # a row that claims to be from the future
    early = desk.run(client("B", 1), upper=NOW - timedelta(days=1))
    assert early.watermark == NOW
    assert desk.cursor()[0][0] == NOW


def failing(category: Category, *pages: int) -> Fault:
    def fault(number: int) -> None:
        if number in pages:
            raise ApiError(category, api="phorest", operation="GET /client", status=503)

    return fault


def test_a_page_that_stays_unreadable_keeps_the_cursor_and_none_of_the_others(desk: Desk) -> None:
    desk.phorest.fault = failing(Category.TRANSIENT, 1)
    result = desk.run(*(client(name) for name in "ABCDEF"))
    assert (result.seen, result.complete, result.watermark) == (4, False, None)
    assert list(result.failed_pages) == [1]
    assert "run again later" in result.failed_pages[1]
    assert desk.cursor() == []
    desk.phorest.fault = lambda number: None
    again = desk.run(*(client(name) for name in "ABCDEF"))
    assert (again.inserted, again.complete, again.lower) == (2, True, None)


@pytest.mark.parametrize("category", [Category.AUTH, Category.GONE, Category.WRONG_REGION, Category.UNREACHABLE])
def test_an_error_that_would_meet_every_page_ends_the_import(desk: Desk, category: Category) -> None:
    desk.phorest.fault = failing(category, 1)
    with pytest.raises(ApiError):
        desk.run(*(client(name) for name in "ABCDEF"))
    assert desk.rows("select phorest_id from phorest_clients order by 1") == [("A",), ("B",)]
    assert desk.cursor() == []


def test_without_the_first_page_there_is_no_import(desk: Desk) -> None:
    tries: list[int] = []

    def fault(number: int) -> None:
        tries.append(number)
        raise MalformedPage("the answer of GET /client is not JSON")

    desk.phorest.fault = fault
    with pytest.raises(MalformedPage, match=r"is not JSON \(asked 3 times; nothing of client was imported\)"):
        desk.run(client("A"))
    assert len(tries) == 3


def test_a_malformed_page_that_heals_when_asked_again_costs_nothing(desk: Desk) -> None:
    left = [2]

    def fault(number: int) -> None:
        if number == 1 and left[0]:
            left[0] -= 1
            raise MalformedPage("cut off")

    desk.phorest.fault = fault
    assert desk.run(*(client(name) for name in "ABCD")).complete


def test_a_list_that_shifts_while_it_is_read_is_read_again_until_everybody_was_seen(desk: Desk) -> None:
    """A row moves from the second page to the first between the two: the first pass misses it."""
    order = {"first": ["A", "B", "C", "D"], "then": ["C", "A", "B", "D"]}
    passes = [0]

    def fault(number: int) -> None:
        passes[0] += number == 0
        if passes[0] == 1 and number == 1:
            desk.phorest.rows = [client(name) for name in order["then"]]
        if passes[0] == 2 and number == 0:
            desk.phorest.rows = [client(name) for name in order["then"]]

    desk.phorest.fault = fault
    result = desk.run(*(client(name) for name in order["first"]))
    assert passes[0] == 2
    assert (result.seen, result.complete) == (4, True)


def test_a_list_that_never_shows_everybody_is_not_complete_and_ends_all_the_same(desk: Desk) -> None:
    desk.phorest.total = 5
    result = desk.run(client("A"), client("B"))
    assert (result.seen, result.total_elements, result.complete, result.watermark) == (2, 5, False, None)
    assert desk.cursor() == []


def test_a_row_that_phorest_lists_twice_for_good_does_not_keep_the_list_from_being_complete(desk: Desk) -> None:
    names = ("A", "B", "C", "A", "D")
    result = desk.run(*(client(name, 1) for name in names))
    assert (result.seen, result.repeated, result.total_elements, result.complete) == (4, 1, 5, True)
    assert (result.drifted, result.problem, desk.phorest.requests) == (False, None, 6), "two passes of three pages"
    assert desk.cursor() == [(at(1), NOW)]


@pytest.mark.parametrize(
    "passes",
    [["ABCDA", "ABCEA", "ABCDA"], ["AABBC", "ABCDA", "AABBC"]],
    ids=["rows that take turns", "the same only every other time"],
)
def test_a_list_that_shows_a_row_twice_because_it_shifts_is_not_taken_for_one_that_holds_it_twice(
    desk: Desk, passes: list[str]
) -> None:
    """Five are counted and shown each time, and not the same ones."""
    number = [-1]
    page = desk.phorest.page

    def shifting(spec: ImportSpec, asked: int, **more: Any) -> Page:
        number[0] += asked == 0
        desk.phorest.rows = [client(name, 1) for name in passes[number[0]]]
        return page(spec, asked, **more)

    desk.phorest.page = shifting  # pyright: ignore[reportAttributeAccessIssue]
    result = desk.run()
    assert (result.repeated, number[0]) == (0, 2)
    assert not result.complete or result.seen == result.total_elements


def test_a_row_that_was_bad_in_one_pass_and_well_in_the_next_counts_once(desk: Desk) -> None:
    """Else a bad row could stand for one that was never seen, and the cursor would move past it."""
    passes = [0]

    def fault(number: int) -> None:
        passes[0] += number == 0
        desk.phorest.rows[1] = client("B") if passes[0] > 1 else client("B", version="bad")
        desk.phorest.total = 4

    desk.phorest.fault = fault
    result = desk.run(client("A"), client("B"), client("C"))
    assert (result.seen, result.set_aside, result.complete) == (3, (), False)
    assert desk.cursor() == []


def test_a_complete_read_without_delta_tombstones_what_it_no_longer_lists(desk: Desk) -> None:
    both = ({"branchId": "D"}, {"branchId": "T"}, {"branchId": "U"})
    assert desk.run(*both, spec=BRANCHES).tombstoned == 0
    assert desk.run(*both[:2], spec=BRANCHES).tombstoned == 1
    assert desk.rows("select phorest_id from phorest_branches where deleted_at is not null") == [("U",)]
    assert desk.run(*both[:2], spec=BRANCHES).tombstoned == 0


def test_an_incomplete_read_tombstones_nothing(desk: Desk) -> None:
    desk.run(*({"branchId": name} for name in "ABCD"), spec=BRANCHES)
    desk.phorest.fault = failing(Category.TRANSIENT, 1)
    assert desk.run(*({"branchId": name} for name in "ABCD"), spec=BRANCHES).tombstoned == 0
    assert desk.rows("select 1 from phorest_branches where deleted_at is not null") == []


def test_a_delta_never_tombstones(desk: Desk) -> None:
    desk.run(client("A"), client("B"))
    desk.run(client("A"))
    assert desk.rows("select 1 from phorest_clients where deleted_at is not null") == []


def test_an_empty_full_read_where_rows_were_held_is_not_believed(desk: Desk) -> None:
    desk.run(client("A"))
    result = desk.run(full=True)
    assert (result.suspiciously_empty, result.complete) == (True, False)
    assert desk.rows("select deleted_at from phorest_clients") == [(None,)]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(odd_rows, max_size=3))
def test_whatever_odd_rows_come_along_a_good_one_is_always_kept(desk: Desk, rows: list[dict[str, Any]]) -> None:
    """PostgreSQL is stricter than any schema: numbers out of range, offsets it does not know, text it cannot hold."""
    with desk.engine.begin() as connection:
        connection.exec_driver_sql("truncate phorest_clients, work_items, import_cursors, phorest_versions")
    good = client("GOOD", firstName="Aoife")
    result = desk.run(*rows, good)
    assert result.complete
    assert desk.rows("select first_name from phorest_clients where phorest_id = 'GOOD'") == [("Aoife",)]


@pytest.mark.parametrize(
    "odd",
    [{"version": 2**63}, {"updatedAt": "1700000000"}, {"updatedAt": "2026-01-01T00:00:00+20:00"}],
    ids=["a number too large", "an instant in digits", "an offset that no zone has"],
)
def test_a_value_that_only_postgresql_refuses_sets_its_row_aside_with_a_sentence(
    desk: Desk, odd: dict[str, Any]
) -> None:
    result = desk.run(client("A"), {**client("B"), **odd}, client("C"))
    assert (result.seen, result.set_aside, result.complete) == (2, ("B",), True)
    ((reason, state),) = desk.rows("select reason, state from work_items")
    assert reason.startswith("PostgreSQL has no place for one of its values (")
    assert state == "open"


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (datetime.fromisoformat("2026-07-01T01:00:00+02:00"), "2026-06-30T23:00:00.000Z"),
    ],
)
def test_an_instant_is_written_in_utc_and_never_rounded_up(moment: datetime, text: str) -> None:
    assert wire_instant(moment) == text
