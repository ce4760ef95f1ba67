"""Reading one list to its end: page by page, committed a few pages at a time, again while it changes under the reader.

Belongs here: passes, pages that cannot be read, what a list that shifts hides. Does not: writing pages (`page_writes`),
cursors, tombstones, what to read (`importer`).

Offset paging over a list that changes can skip a row without a trace in the counts of rows (facts/phorest-api §3). So a pass
is believed only if the list stood still: its total stayed the same, no row came twice, and no row is newer than the pass.
A row that comes twice in two passes running, with all else the same, is one that Phorest lists twice for good.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Engine, text

from phorest_ghl.db.bulk import PageWriter, Written
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.http.paging import iterate_groups
from phorest_ghl.phorest.client import PhorestClient
from phorest_ghl.phorest.list_read import ListQuestion, ListRead
from phorest_ghl.phorest.page_writes import PageWrites, place_of
from phorest_ghl.phorest.pages import MalformedPage, Page
from phorest_ghl.phorest.writes_ahead import written_ahead

_log = structlog.get_logger(__name__)

AT_ONCE = 8
"""Pages that are committed together, where so many are there; two such groups are what a crash loses at most."""
_WAITING = 16  # pages that may wait to be written, so that whole groups of them are there
_PASSES = 3
_PAGE_TRIES = 3  # for an answer that is no page; network errors are the session's to repeat
_SECOND = timedelta(seconds=1)  # as exact as Phorest prints a change, and as its Date header is
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
        self._writes = PageWrites(engine, batch_id=batch_id)

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

    def write(self, question: ListQuestion, writer: PageWriter, page: Page) -> Written:
        """Commit a page that was not listed but read by id."""
        return self._writes.write(question, writer, [page])[0]

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
        groups = iterate_groups(
            lambda page_number: self._fetch_to_write(question, writer, page_number),
            total_pages=lambda page: page.total_pages,
            at_most=AT_ONCE,
            waiting=_WAITING,
        )

        def write(group: Sequence[Page | _FailedPage]) -> tuple[Written, Sequence[Page]]:
            return self._writes.write(question, writer, _good(group), read=(read.read_id, number))

        with closing(groups), closing(written_ahead(groups, write, rows=_ids)) as landed:
            for group, (written, kept) in landed:
                pages += len(group)
                read.failed.update({page.number: page.reason for page in group if isinstance(page, _FailedPage)})
                read.add(written)
                for page, as_read in zip(kept, _good(group), strict=True):
                    read.total_elements = page.total_elements
                    totals.add(page.total_elements)
                    rows += as_read.rows + len(as_read.set_aside)
                    newer += _dates(question, read, page, started)
                    read.set_aside.update({place_of(page, s): s.reason for s in page.set_aside})
                    read.odd.update(page.odd_fields)
        listed = self._count(read, number)
        twice = max(0, rows - listed - len(read.set_aside))
        read.drifted = pages > 1 and (len(totals) > 1 or newer > 0 or twice > 0)
        if read.failed or newer or totals != {rows}:
            return None
        return _Tally(rows, listed, twice)

    def _fetch_to_write(self, question: ListQuestion, writer: PageWriter, number: int) -> Page | _FailedPage:
        """A page with its rows' hashes and ids, made in the threads that wait for Phorest most of the time."""
        page = self._fetch(question, number)
        if isinstance(page, _FailedPage):
            return page
        return replace(page, hashed=writer.hashed(page.document, page.path, rows=page.rows))

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

    def _count(self, read: ListRead, number: int) -> int:
        """Set how many rows were seen so far, each once; returns how many different ones this pass listed."""
        values = {"read_id": read.read_id, "number": number}
        row = in_transaction(self._engine, lambda connection: connection.execute(_COUNT, values).one())
        read.seen, read.foreign = row.seen, row.others
        return row.listed


def _good(group: Sequence[Page | _FailedPage]) -> list[Page]:
    return [page for page in group if isinstance(page, Page)]


def _ids(group: Sequence[Page | _FailedPage]) -> frozenset[bytes] | None:
    """The ids of a group's rows, where those of all are known."""
    found = [page.hashed.ids if page.hashed else None for page in _good(group)]
    return None if None in found else frozenset[bytes]().union(*(ids for ids in found if ids is not None))


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
