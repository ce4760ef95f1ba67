"""Reading one list to its end: page by page, committed page by page, again while it changes under the reader.

Belongs here: passes, pages that cannot be read, rows that cannot be written, what a list that shifts hides. Does not:
cursors, tombstones, what to read (`importer`).

Offset paging over a list that changes can skip a row without a trace in the counts of rows (facts/phorest-api §3). So a pass
is believed only if the list stood still: its total stayed the same, no row came twice, and no row is newer than the pass.
A row that comes twice in two passes running, with all else the same, is one that Phorest lists twice for good.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DataError, IntegrityError

from phorest_ghl.db.bulk import PageWriter, Written
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.db.work_items import WorkItem, open_items
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.http.paging import iterate_pages
from phorest_ghl.phorest.client import PhorestClient
from phorest_ghl.phorest.pages import MalformedPage, Page, SetAside, rows_of
from phorest_ghl.phorest.scopes import Scope
from phorest_ghl.phorest.specs import ImportSpec

_log = structlog.get_logger(__name__)

IMPORT_CAUSE = "import"
"""The cause of work items for rows that could not be imported."""
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
        self, question: ListQuestion, writer: PageWriter, page: Page, *, read: tuple[str, int] | None = None
    ) -> tuple[Written, Page]:
        """Commit a page. If PostgreSQL refuses a value that passed validation, its row is set aside, never the page."""
        looked_up = question.derived_from(page)

        def whole(connection: Connection) -> Written:
            written = writer.write(
                connection,
                page.document,
                path=page.path,
                batch_id=self._batch_id,
                branch_id=question.scope.branch_id,
                read=read,
                derived_from=looked_up,
            )
            self._note_set_aside(connection, question.spec, page)
            return written

        try:
            return in_transaction(self._engine, whole), page
        except _REFUSED:
            return in_transaction(
                self._engine, lambda connection: self._row_by_row(connection, question, writer, page, read)
            )

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
        for page in iterate_pages(
            lambda page_number: self._fetch(question, page_number), total_pages=lambda page: page.total_pages
        ):
            pages += 1
            if isinstance(page, _FailedPage):
                read.failed[page.number] = page.reason
                continue
            written, kept = self.write(question, writer, page, read=(read.read_id, number))
            read.add(written)
            read.total_elements = kept.total_elements
            totals.add(kept.total_elements)
            rows += page.rows + len(page.set_aside)
            newer += _dates(question, read, page, started)
            read.set_aside.update({_place(kept, s): s.reason for s in kept.set_aside})
            read.odd.update(kept.odd_fields)
        listed = self._count(read, number)
        twice = max(0, rows - listed - len(read.set_aside))
        read.drifted = pages > 1 and (len(totals) > 1 or newer > 0 or twice > 0)
        if read.failed or newer or totals != {rows}:
            return None
        return _Tally(rows, listed, twice)

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
    delta = question.spec.delta
    if delta is None:
        return 0
    found: list[datetime] = [moment for row in page.records if (moment := getattr(row, delta.updated_at)) is not None]
    read.dated += len(found)
    if question.lower is None:
        return sum(moment >= started for moment in found)
    read.older += sum(moment < question.lower - _SECOND for moment in found)
    return 0


def _place(page: Page, row: SetAside) -> str:
    return row.phorest_id or f"page {page.number} row {row.position}"
