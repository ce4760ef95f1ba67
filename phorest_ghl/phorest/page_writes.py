"""Committing pages: several together, one alone where they are refused, row by row where that is refused too.

Belongs here: transactions of pages, rows that PostgreSQL refuses. Does not: the SQL (`phorest_ghl.db.bulk`), which pages
are written at the same time (`writes_ahead`), reading (`reads`).
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError

from phorest_ghl.db.bulk import PageWriter, Written
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.db.work_items import WorkItem, open_items
from phorest_ghl.phorest.list_read import ListQuestion
from phorest_ghl.phorest.pages import Page, SetAside, rows_of
from phorest_ghl.phorest.specs import ImportSpec

IMPORT_CAUSE = "import"
"""The cause of work items for rows that could not be imported."""
_REFUSED = (DataError, IntegrityError)


class PageWrites:
    """Writes pages of one business into one database; may be used by several threads."""

    def __init__(self, engine: Engine, *, batch_id: str) -> None:
        self._engine = engine
        self._at_once = engine.execution_options(isolation_level="AUTOCOMMIT")  # of the same pool
        self._batch_id = batch_id

    def write(
        self, question: ListQuestion, writer: PageWriter, pages: Sequence[Page], *, read: tuple[str, int] | None = None
    ) -> tuple[Written, Sequence[Page]]:
        """Commit pages together. If PostgreSQL refuses a value that passed validation, its row is set aside, no page is."""

        def whole(connection: Connection) -> Written:
            written = Written.nothing()
            for path, alike in groupby(pages, lambda page: page.path):
                written += self._send(connection, question, writer, tuple(alike), path, read)
            for page in pages:
                self._note_set_aside(connection, question.spec, page)
            return written

        # The common case is one statement, a transaction by itself: a round trip instead of four, each of which would wait
        # for the threads that are busy with the next pages.
        alone = len({page.path for page in pages}) == 1 and not any(page.set_aside for page in pages)
        try:
            return in_transaction(self._at_once if alone else self._engine, whole), pages
        except _REFUSED:
            written = Written.nothing()
            kept: list[Page] = []
            for page in pages:
                more, page_kept = self._alone(question, writer, page, read)
                written += more
                kept.append(page_kept)
            return written, kept

    def _send(
        self,
        connection: Connection,
        question: ListQuestion,
        writer: PageWriter,
        pages: Sequence[Page],
        path: Sequence[str],
        read: tuple[str, int] | None,
    ) -> Written:
        looked_up: dict[str, object] = {}
        for page in pages:
            looked_up.update(question.derived_from(page))
        return writer.write(
            connection,
            *(page.document for page in pages),
            path=path,
            hashed=[page.hashed or writer.hashed(page.document, page.path) for page in pages],
            batch_id=self._batch_id,
            branch_id=question.scope.branch_id,
            read=read,
            derived_from=looked_up,
        )

    def _alone(
        self, question: ListQuestion, writer: PageWriter, page: Page, read: tuple[str, int] | None
    ) -> tuple[Written, Page]:
        """Commit one page, row by row if need be."""

        def whole(connection: Connection) -> Written:
            written = self._send(connection, question, writer, (page,), page.path, read)
            self._note_set_aside(connection, question.spec, page)
            return written

        try:
            return in_transaction(self._engine, whole), page
        except _REFUSED:
            return in_transaction(
                self._engine, lambda connection: self._row_by_row(connection, question, writer, page, read)
            )

    def _row_by_row(
        self,
        connection: Connection,
        question: ListQuestion,
        writer: PageWriter,
        page: Page,
        read: tuple[str, int] | None,
    ) -> tuple[Written, Page]:
        written = Written.nothing()
        refused: list[SetAside] = []
        looked_up = question.derived_from(page)
        for position, row in enumerate(rows_of(page)):
            try:
                with connection.begin_nested():
                    written += writer.write(
                        connection,
                        row.document,
                        batch_id=self._batch_id,
                        branch_id=question.scope.branch_id,
                        read=read,
                        derived_from=looked_up,
                    )
            except _REFUSED as error:
                reason = f"PostgreSQL has no place for one of its values ({type(error.orig).__name__})"
                refused.append(SetAside(row.phorest_id(question.spec), position, reason))
        page = replace(page, set_aside=(*page.set_aside, *refused))
        self._note_set_aside(connection, question.spec, page)
        return written, page

    def _note_set_aside(self, connection: Connection, spec: ImportSpec, page: Page) -> None:
        items = [
            WorkItem(
                entity_type=spec.entity_type, phorest_id=place_of(page, row), cause=IMPORT_CAUSE, reason=row.reason
            )
            for row in page.set_aside
        ]
        open_items(connection, items)


def place_of(page: Page, row: SetAside) -> str:
    """What names a row in work items: its id, or where it stood."""
    return row.phorest_id or f"page {page.number} row {row.position}"
