"""Reading one list to its end: page by page, committed a few pages at a time, again while it changes under the reader.

Belongs here: passes, pages that cannot be read, rows that cannot be written, what a list that shifts hides. Does not:
cursors, tombstones, what to read (`importer`).

Offset paging over a list that changes can skip a row without a trace in the counts of rows (facts/phorest-api §3). So a pass
is believed only if the list stood still: its total stayed the same, no row came twice, and no row is newer than the pass.
A row that comes twice in two passes running, with all else the same, is one that Phorest lists twice for good.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DataError, IntegrityError

from phorest_ghl.db.bulk import PageWriter, Written
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.db.work_items import WorkItem, open_items
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.http.paging import iterate_groups
from phorest_ghl.phorest.client import PhorestClient
from phorest_ghl.phorest.pages import MalformedPage, Page, SetAside, rows_of
from phorest_ghl.phorest.scopes import Scope
from phorest_ghl.phorest.specs import ImportSpec

_log = structlog.get_logger(__name__)

IMPORT_CAUSE = "import"
"""The cause of work items for rows that could not be imported."""
AT_ONCE = 4
"""Pages that are committed together, where so many are there: what a crash loses at most."""
_PASSES = 3
_PAGE_TRIES = 3  # for an answer that is no page; network errors are the session's to repeat
_REFUSED = (DataError, IntegrityError)
_SECOND = timedelta(seconds=1)  # as exact as Phorest prints a change, and as its Date header is
_IGNORED_SHARE = 0.2  # of rows below the lower bound, above which the filter did not filter (facts/phorest-api §9)
_FORGOTTEN = timedelta(days=2)  # since when a read that noted ids cannot be going on any more


_COUNT = text("""
    select count(*) filter (where ours) as seen, count(*) filter (where not ours) as others,
           count(*) filter (where newest = :number) as listed
    from (
        select id, bool_or(own) as ours, max(pass_number) as newest
        from (
            select unnest(ids) as id, true as own, pass_number from import_listed where read_id = :read_id
            union all
            select unnest(other_ids), false, pass_number from import_listed where read_id = :read_id
        ) as noted
        group by id
    ) as each
""")


@dataclass
class ListRead:
    """What the passes over one list have found so far. `seen` and `foreign` are set when they are over.

    `repeated` is how often Phorest lists a row once more, where two passes running found that.
    """

    read_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    inserted: int = 0
    updated: int = 0
    seen: int = 0
    foreign: int = 0
    total_elements: int = 0
    set_aside: dict[str, str] = field(default_factory=dict[str, str])
    odd: Counter[str] = field(default_factory=Counter[str])
    failed: dict[int, str] = field(default_factory=dict[int, str])
    dated: int = 0
    older: int = 0
    drifted: bool = False
    repeated: int = 0

    def start_over(self) -> None:
        """Forget what another pass says anew: what was wrong with pages, rows and fields."""
        self.failed.clear()
        self.set_aside.clear()
        self.odd.clear()
        self.dated = self.older = 0

    def add(self, written: Written) -> None:
        """Count what a page did."""
        self.inserted += written.inserted
        self.updated += written.updated

    @property
    def short(self) -> bool:
        """Whether rows are still missing."""
        return self.seen + self.foreign + len(self.set_aside) + self.repeated < self.total_elements

    @property
    def filter_ignored(self) -> bool:
        """Whether so many rows are older than the delta's lower bound that its filter cannot have been applied."""
        return self.older > _IGNORED_SHARE * self.dated


@dataclass(frozen=True, kw_only=True)
class ListQuestion:
    """What is asked of a list.

    Attributes:
        spec: the entity.
        scope: which of its rows.
        params: sent with every page, besides the spec's own.
        lower: where a delta begins; None for a full read.
        derived_from: what derived columns look up, made from a page.
    """

    spec: ImportSpec
    scope: Scope
    params: Mapping[str, str]
    lower: datetime | None
    derived_from: Callable[[Page], Mapping[str, object]]


@dataclass(frozen=True)
class _FailedPage:
    number: int
    reason: str
    total_pages: int = 0


@dataclass(frozen=True)
class _Tally:
    """A pass that read as many rows as Phorest counted: all of them, different ones, and how often one came again."""

    rows: int
    listed: int
    twice: int


class ListReader:
    """Reads lists of one business into one database."""

    def __init__(self, engine: Engine, client: PhorestClient, *, batch_id: str) -> None:
        self._engine = engine
        self._at_once = engine.execution_options(isolation_level="AUTOCOMMIT")  # of the same pool
        self._client = client
        self._batch_id = batch_id

    def read(self, question: ListQuestion, writer: PageWriter, *, started: datetime) -> ListRead:
        """Read a list until nothing of it can be missing, three times at most.

        `started` is Phorest's time now. Raises ApiError where the whole list cannot be read, MalformedPage where its first
        page cannot; a page that stays unreadable is left out and named.
        """
        read, before = ListRead(), None
        for number in range(1, _PASSES + 1):
            if number > 1:
                started = self._client.now()
            after = self._pass(question, writer, read, number, started)
            if after is not None and after == before and after.listed == read.seen + read.foreign:
                read.repeated, read.drifted = after.twice, False
            before = after
            if not (read.short or read.failed or read.drifted):
                break
        return read

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

    def count(self, question: ListQuestion) -> int:
        """How many rows Phorest counts. Raises ApiError, and MalformedPage where the answer stays none."""
        page = self._fetch(question, 0)
        assert isinstance(page, Page)
        return page.total_elements

    def forget(self, read: ListRead) -> None:
        """Drop the notes of a read that is over, and those of reads that were killed long ago."""
        in_transaction(
            self._engine,
            lambda connection: connection.execute(
                text("delete from import_listed where read_id = :read_id or listed_at < :forgotten"),
                {"read_id": read.read_id, "forgotten": datetime.now(UTC) - _FORGOTTEN},
            ),
        )

    def _pass(
        self, question: ListQuestion, writer: PageWriter, read: ListRead, number: int, started: datetime
    ) -> "_Tally | None":
        """One pass; it notes whether the list changed while it was read. Its numbers, unless they say that it did."""
        read.start_over()
        totals: set[int] = set()
        pages = rows = newer = 0
        for group in iterate_groups(
            lambda page_number: self._fetch_to_write(question, writer, page_number),
            total_pages=lambda page: page.total_pages,
            at_most=AT_ONCE,
        ):
            pages += len(group)
            read.failed.update({page.number: page.reason for page in group if isinstance(page, _FailedPage)})
            good = [page for page in group if isinstance(page, Page)]
            if not good:
                continue
            written, kept = self.write(question, writer, good, read=(read.read_id, number))
            read.add(written)
            for page, as_read in zip(kept, good, strict=True):
                read.total_elements = page.total_elements
                totals.add(page.total_elements)
                rows += as_read.rows + len(as_read.set_aside)
                newer += _dates(question, read, page, started)
                read.set_aside.update({_place(page, s): s.reason for s in page.set_aside})
                read.odd.update(page.odd_fields)
        listed = self._count(read, number)
        twice = max(0, rows - listed - len(read.set_aside))
        read.drifted = pages > 1 and (len(totals) > 1 or newer > 0 or twice > 0)
        if read.failed or newer or totals != {rows}:
            return None
        return _Tally(rows, listed, twice)

    def _fetch_to_write(self, question: ListQuestion, writer: PageWriter, number: int) -> Page | _FailedPage:
        """A page with its rows' hashes, which are thereby made in the threads that wait for Phorest most of the time."""
        page = self._fetch(question, number)
        if isinstance(page, _FailedPage):
            return page
        return replace(page, digests=writer.digests(page.document, page.path, rows=page.rows))

    def _fetch(self, question: ListQuestion, number: int) -> Page | _FailedPage:
        """A page, or why there is none. The first page must be one: without it the end of the list is unknown."""
        reason, spec = "", question.spec
        branch = {} if question.scope.branch_id is None else {"branch_id": question.scope.branch_id}
        for attempt in range(1, _PAGE_TRIES + 1):
            try:
                return self._client.page(spec, number, params=question.params, **branch)
            except MalformedPage as error:
                reason = str(error)
                _log.warning("page_malformed", entity_type=spec.entity_type, page=number, attempt=attempt)
            except ApiError as error:
                if number == 0 or error.category not in (Category.TRANSIENT, Category.PROTOCOL):
                    raise
                reason = str(error)
                break
        if number == 0:
            raise MalformedPage(f"{reason} (asked {_PAGE_TRIES} times; nothing of {spec.entity_type} was imported)")
        return _FailedPage(number, reason)

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
            digests=[page.digests or writer.digests(page.document, page.path) for page in pages],
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
            WorkItem(entity_type=spec.entity_type, phorest_id=_place(page, row), cause=IMPORT_CAUSE, reason=row.reason)
            for row in page.set_aside
        ]
        open_items(connection, items)

    def _count(self, read: ListRead, number: int) -> int:
        """Set how many rows were seen so far, each once; returns how many different ones this pass listed."""
        values = {"read_id": read.read_id, "number": number}
        row = in_transaction(self._engine, lambda connection: connection.execute(_COUNT, values).one())
        read.seen, read.foreign = row.seen, row.others
        return row.listed


def _dates(question: ListQuestion, read: ListRead, page: Page, started: datetime) -> int:
    """Count rows below the delta's lower bound; returns how many of a full read's rows are newer than the pass.

    A delta lists nothing newer than its upper bound, so there such rows leave the list and change its total.
    """
    found = [moment for moment in page.changed if moment is not None]
    read.dated += len(found)
    if question.lower is None:
        return sum(moment >= started for moment in found)
    read.older += sum(moment < question.lower - _SECOND for moment in found)
    return 0


def _place(page: Page, row: SetAside) -> str:
    return row.phorest_id or f"page {page.number} row {row.position}"
