"""What was sold: Phorest has no list of purchases, only an export of them as CSV (facts/phorest-api §8.4, §8.5).

Belongs here: reading the file in pieces and writing its rows. Does not: the life of an export job (`exports`).

A file may hold bytes that are no UTF-8 and a row more than once; both are survived, and the newer of two rows stays.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import orjson
import pandas as pd  # pyright: ignore[reportMissingTypeStubs]
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DataError, IntegrityError

from phorest_ghl.db.bulk import RAW_KEY, PageWriter, Written
from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.db.work_items import WorkItem, open_items
from phorest_ghl.phorest import cursors
from phorest_ghl.phorest.branches import Branch
from phorest_ghl.phorest.client import PhorestClient
from phorest_ghl.phorest.exports import ExportFailed, ExportQuestion, Exports, Pace
from phorest_ghl.phorest.models import ExportJob
from phorest_ghl.phorest.purchase_lines import Purchase
from phorest_ghl.phorest.results import ImportResult, combined, nothing
from phorest_ghl.phorest.scopes import Scope
from phorest_ghl.phorest.specs import PURCHASES

OVERLAP = timedelta(minutes=5)
FIRST_DAY = date(2000, 1, 1)
"""Before any sale: the filter by date is the sale's, and a sale of years ago may be voided today."""
CHUNK_ROWS = 2_000
_CAUSE = "import"
_REPLACEMENT = "\ufffd"  # for what is no UTF-8, and for NUL, which PostgreSQL's text has no place for


@dataclass
class _File:
    """What one export's rows have done so far."""

    rows: int = 0
    inserted: int = 0
    updated: int = 0
    set_aside: dict[str, str] = field(default_factory=dict[str, str])
    listed: int = 0
    odd: Counter[str] = field(default_factory=Counter[str])


class PurchaseImporter:
    """Imports the sales of one business into one database."""

    def __init__(
        self, engine: Engine, client: PhorestClient, keyring: Keyring, *, batch_id: str, pace: Pace | None = None
    ) -> None:
        self._engine = engine
        self._client = client
        self._exports = Exports(client, pace)
        self._batch_id = batch_id
        self._writer = PageWriter(
            PURCHASES.table,
            entity_type=PURCHASES.entity_type,
            id_fields=PURCHASES.id_fields,
            columns=PURCHASES.columns,
            keyring=keyring,
            of_branch=True,
            person=PURCHASES.person,
        )

    def run(self, branches: list[Branch], *, full: bool = False, upper: datetime | None = None) -> ImportResult:
        """Import what was sold, changed or voided since the last time, of all these branches.

        Raises ExportFailed where Phorest makes no file, ApiError for calls that fail.
        """
        upper = upper or self._client.now()
        results = [self._branch(branch, upper, full=full) for branch in branches]
        return combined(results) if results else nothing(PURCHASES.entity_type, upper)

    def _branch(self, branch: Branch, upper: datetime, *, full: bool) -> ImportResult:
        before, scope = self._client.requests, Scope(branch.branch_id)
        cursor = in_transaction(self._engine, lambda c: cursors.load(c, PURCHASES.entity_type, scope.key))
        lower = None if full or cursor.watermark is None else cursor.watermark - OVERLAP
        # The salon's date may be ahead of UTC's by one.
        last = upper.date() + timedelta(days=1)
        question = ExportQuestion(branch.branch_id, FIRST_DAY, last, lower, upper)
        file = _File()
        job = self._exports.run(question, lambda path, _: self._load(path, branch, file))
        result = self._result(scope, job, file, lower, upper)
        if result.complete:
            watermark = in_transaction(
                self._engine,
                lambda c: cursors.advance(c, PURCHASES, scope, upper, full=lower is None, batch_id=self._batch_id),
            )
            result = replace(result, watermark=watermark)
        return replace(result, requests=self._client.requests - before)

    def _result(
        self, scope: Scope, job: ExportJob, file: _File, lower: datetime | None, upper: datetime
    ) -> ImportResult:
        # Phorest counts lines, so lines are what has to be there; a line that came twice is seen once.
        doubled = file.rows - file.listed - len(file.set_aside)
        total = 0 if job.nothing_found else (file.rows if job.totalRows is None else job.totalRows)
        return ImportResult(
            entity_type=PURCHASES.entity_type,
            scope=scope.key,
            seen=file.listed,
            inserted=file.inserted,
            updated=file.updated,
            tombstoned=0,
            total_elements=max(0, total - doubled),
            requests=0,
            lower=lower,
            upper=upper,
            watermark=None,
            set_aside=tuple(sorted(file.set_aside)),
            odd_fields=dict(file.odd),
            suspiciously_empty=lower is None and not file.rows and self._holds(scope),
        )

    def _holds(self, scope: Scope) -> bool:
        statement = text(f"select exists (select from phorest_purchases where {scope.where})")  # noqa: S608
        return in_transaction(self._engine, lambda c: c.execute(statement, scope.parameters).scalar_one())

    def _load(self, path: Path, branch: Branch, file: _File) -> None:
        for records in _chunks(path):
            items, set_aside = _items(records, file)
            file.rows += len(records)
            written, refused = self._write(items, set_aside, branch)
            file.inserted += written.inserted
            file.updated += written.updated
            file.listed += written.seen
            file.set_aside |= set_aside | refused

    def _write(
        self, items: list[dict[str, Any]], set_aside: dict[str, str], branch: Branch
    ) -> tuple[Written, dict[str, str]]:
        """Commit a piece of the file. A row that PostgreSQL refuses is set aside, never the piece."""

        def whole(connection: Connection) -> Written:
            _note(connection, set_aside)
            return self._send(connection, items, branch)

        def one_by_one(connection: Connection) -> tuple[Written, dict[str, str]]:
            written, refused = Written.nothing(), dict[str, str]()
            for item in items:
                try:
                    with connection.begin_nested():
                        written += self._send(connection, [item], branch)
                except (DataError, IntegrityError) as error:
                    reason = f"PostgreSQL has no place for one of its values ({type(error.orig).__name__})"
                    refused[str(item["transaction_item_id"])] = reason
            _note(connection, set_aside | refused)
            return written, refused

        try:
            return in_transaction(self._engine, whole), {}
        except (DataError, IntegrityError):
            return in_transaction(self._engine, one_by_one)

    def _send(self, connection: Connection, items: list[dict[str, Any]], branch: Branch) -> Written:
        document = orjson.dumps(items).decode()
        return self._writer.write(connection, document, batch_id=self._batch_id, branch_id=branch.branch_id)


def _note(connection: Connection, set_aside: dict[str, str]) -> None:
    items = [
        WorkItem(entity_type=PURCHASES.entity_type, phorest_id=place, cause=_CAUSE, reason=reason)
        for place, reason in set_aside.items()
    ]
    open_items(connection, items)


def _chunks(path: Path) -> Iterator[list[dict[str, str]]]:
    """The file's rows, a bounded number at a time, every value as text and without the empty ones.

    A byte that is no UTF-8 becomes a replacement character: one note must not cost a day's sales.
    """
    try:
        reader: Any = pd.read_csv(
            path, dtype=str, na_filter=False, encoding="utf-8", encoding_errors="replace", chunksize=CHUNK_ROWS
        )
        with reader:
            for frame in reader:
                records = cast("list[dict[str, str]]", frame.to_dict("records"))
                yield [
                    {name: value.replace("\0", _REPLACEMENT) for name, value in record.items() if value}
                    for record in records
                ]
    except (pd.errors.EmptyDataError, pd.errors.ParserError):
        raise ExportFailed(
            "The file of Phorest's export of sales is no CSV from beginning to end. What could be read was imported, the "
            "cursor stays; run it again later, and if it fails again send a sample to Phorest's support."
        ) from None


def _items(records: list[dict[str, str]], file: _File) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The rows that can be kept, typed, each with the line as it came; and why the others cannot."""
    items: list[dict[str, Any]] = []
    set_aside: dict[str, str] = {}
    for position, record in enumerate(records):
        item, odd = Purchase.of_line(record)
        file.odd.update(odd)
        if isinstance(item, str):
            place = record.get("transaction_item_id") or f"row {file.rows + position}"
            set_aside[place] = item
        else:
            items.append({**item.columns(), RAW_KEY: record})
    return items, set_aside
