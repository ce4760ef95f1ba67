"""Groups that are written beside each other. Belongs here: which, in which order. Does not: SQL."""

import threading

import orjson
import pytest

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.row_hashes import RowHasher
from phorest_ghl.phorest.writes_ahead import written_ahead

PATIENCE_S = 5.0


def most_at_once(*groups: frozenset[bytes] | None) -> int:
    """How many of them are being written at the same time; each waits a moment for company."""
    lock, company = threading.Lock(), threading.Event()
    now = most = 0

    def write(_: object) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
            if now == len(groups):
                company.set()
        company.wait(0.1)
        with lock:
            now -= 1

    list(written_ahead(groups, write, rows=lambda ids: ids))
    return most


@pytest.mark.parametrize(
    ("groups", "together"),
    [
        ((frozenset({b"A"}), frozenset({b"B"})), 2),
        ((frozenset({b"A"}), frozenset({b"A", b"B"})), 1),
        ((None, frozenset({b"B"})), 1),
        ((frozenset({b"A"}), None), 1),
    ],
)
def test_only_groups_that_share_no_row_are_written_at_once(
    groups: tuple[frozenset[bytes] | None, ...], together: int
) -> None:
    assert most_at_once(*groups) == together


def test_results_come_in_the_order_of_their_groups() -> None:
    second = threading.Event()

    def write(number: int) -> int:
        if number == 0:
            assert second.wait(PATIENCE_S)
        else:
            second.set()
        return number * 10

    written = list(written_ahead([0, 1, 2], write, rows=lambda number: frozenset({b"%d" % number})))
    assert written == [(0, 0), (1, 10), (2, 20)]


def test_no_write_goes_on_after_one_has_failed() -> None:
    finished, failed = threading.Event(), threading.Event()

    def write(number: int) -> None:
        if number == 0:
            failed.set()
            raise ValueError("refused")
        assert failed.wait(PATIENCE_S)
        finished.set()

    with pytest.raises(ValueError, match="refused"):
        list(written_ahead([0, 1], write, rows=lambda number: frozenset({b"%d" % number})))
    assert finished.is_set()


def _clients(*rows: dict[str, object]) -> bytes:
    return orjson.dumps({"_embedded": {"clients": rows}})


@pytest.mark.parametrize(
    ("document", "fields", "ids"),
    [
        (_clients({"clientId": "A", "x": 1}, {"clientId": "B"}), ("clientId",), frozenset({b"A", b"B"})),
        (_clients({"x": 1, "clientId": "A"}, {"clientId": "B"}), ("clientId",), frozenset({b"A", b"B"})),
        (_clients({"clientId": 'A"'}, {"clientId": "B"}), ("clientId",), None),
        (_clients({"clientId": "A"}, {"clientId": "B"}), ("otherId", "clientId"), None),
    ],
)
def test_ids_are_known_only_where_they_are_certain(
    document: bytes, fields: tuple[str, ...], ids: frozenset[bytes] | None
) -> None:
    assert RowHasher(Keyring(b"k" * 32), fields).hashed(document, ("_embedded", "clients"), rows=2).ids == ids
