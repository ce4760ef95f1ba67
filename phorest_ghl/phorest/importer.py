"""Phorest API → `phorest_*` tables: page by page, committed page by page, with a cursor that never runs ahead.

Belongs here: what to ask for, what a complete read is, when the cursor moves. Does not: the SQL of a page
(`phorest_ghl.db.bulk`), what is done with the rows.

A run that dies loses at most the page it had not committed; the next one reads from the same cursor.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DataError, IntegrityError

from phorest_ghl.db.bulk import PageWriter, Written
from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.work_items import WorkItem, open_items, resolve_items
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.http.paging import iterate_pages
from phorest_ghl.phorest.client import PhorestClient, wire_instant
from phorest_ghl.phorest.pages import MalformedPage, Page, SetAside, rows_of
from phorest_ghl.phorest.specs import BRANCHES, CLIENT_CATEGORIES, CLIENTS, ImportSpec

_log = structlog.get_logger(__name__)

OVERLAP = timedelta(minutes=5)
"""Read again below the watermark: whether the vendor's bound is inclusive, and to which precision, is unknown (§14.5)."""
_PASSES = 3  # a list that changes while it is read is read again, this often
_PAGE_TRIES = 3  # for an answer that is no page; network errors are the session's to repeat
_CAUSE = "import"
_REFUSED = (DataError, IntegrityError)

_CONSENT_EVENTS = """, consent as (
    insert into consent_events (source, phorest_id, channel, purpose, before, after, batch_id, detail)
    select 'phorest', i.phorest_id, flag.channel, flag.purpose, flag.was, flag.becomes, :batch_id,
           jsonb_build_object('same_address', flag.same_address, 'version', i.version)
    from incoming i join written using (phorest_id) join before b using (phorest_id)
    cross join lateral (values
        ('SMS', 'marketing', b.sms_marketing_consent, i.sms_marketing_consent, b.mobile is not distinct from i.mobile),
        ('SMS', 'reminder', b.sms_reminder_consent, i.sms_reminder_consent, b.mobile is not distinct from i.mobile),
        ('Email', 'marketing', b.email_marketing_consent, i.email_marketing_consent,
         b.email is not distinct from i.email),
        ('Email', 'reminder', b.email_reminder_consent, i.email_reminder_consent, b.email is not distinct from i.email)
    ) as flag (channel, purpose, was, becomes, same_address)
    where flag.was is distinct from flag.becomes
)"""


@dataclass(frozen=True, kw_only=True)
class ImportResult:
    """What one import of one entity did. Counts are rows; `lower` and `upper` bound a delta; None means a full read."""

    entity_type: str
    seen: int
    inserted: int
    updated: int
    tombstoned: int
    total_elements: int
    requests: int
    lower: datetime | None
    upper: datetime
    watermark: datetime | None
    set_aside: tuple[str, ...] = ()
    odd_fields: Mapping[str, int] = field(default_factory=dict[str, int])
    failed_pages: Mapping[int, str] = field(default_factory=dict[int, str])
    suspiciously_empty: bool = False

    @property
    def unchanged(self) -> int:
        """Rows that were listed and are as we hold them."""
        return self.seen - self.inserted - self.updated

    @property
    def complete(self) -> bool:
        """Whether everything that was to be listed was read; only then did the cursor move."""
        missing = self.total_elements - self.seen - len(self.set_aside)
        return not self.failed_pages and not self.suspiciously_empty and missing <= 0


@dataclass
class _Read:
    """What the passes over one list have found so far."""

    ids: set[str] = field(default_factory=set[str])
    inserted: int = 0
    updated: int = 0
    total_elements: int = 0
    set_aside: dict[str, str] = field(default_factory=dict[str, str])
    odd: Counter[str] = field(default_factory=Counter[str])
    failed: dict[int, str] = field(default_factory=dict[int, str])

    def start_over(self) -> None:
        """Forget what another pass says anew: what was wrong with pages, rows and fields."""
        self.failed.clear()
        self.set_aside.clear()
        self.odd.clear()

    def add(self, written: Written) -> None:
        self.ids.update(written.ids)
        self.inserted += written.inserted
        self.updated += written.updated

    @property
    def short(self) -> bool:
        return len(self.ids) + len(self.set_aside) < self.total_elements


@dataclass(frozen=True)
class _FailedPage:
    number: int
    reason: str
    total_pages: int = 0


class Importer:
    """Imports entities of one business into one database."""

    def __init__(self, engine: Engine, client: PhorestClient, keyring: Keyring, *, batch_id: str) -> None:
        self._engine = engine
        self._client = client
        self._keyring = keyring
        self._batch_id = batch_id

    def run(self, spec: ImportSpec, *, full: bool = False, upper: datetime | None = None) -> ImportResult:
        """Import what changed since the cursor, or everything where there is none, no delta, or `full` is asked for.

        `upper` is the vendor's time at the start of the run, which bounds a delta; it is asked for where not given.
        Raises ApiError where the whole entity cannot be read (wrong password, unknown business, unreachable). A page
        that stays unreadable is left out and named in the result; all other pages are written.
        """
        requests_before = self._client.requests
        upper = upper or self._client.now()
        lower = None if full or spec.delta is None else self._lower_bound(spec)
        read = _Read()
        for _ in range(_PASSES):
            self._read_once(spec, read, self._params(spec, lower, upper))
            if not read.short and not read.failed:
                break
        return self._finish(spec, read, lower, upper, requests_before)

    def mark_walk_in(self) -> str | None:
        """Import the walk-in placeholder and mark it; its id, or None for a business without one (404)."""
        try:
            page = self._client.walk_in()
        except ApiError as error:
            if error.category is Category.GONE:
                return None
            raise
        with self._engine.begin() as connection:
            written = self._writer(CLIENTS).write(connection, page.document, path=page.path, batch_id=self._batch_id)
            walk_in = written.ids[0] if written.ids else None
            connection.execute(
                text(
                    "update phorest_clients set walk_in = not walk_in where walk_in <> (phorest_id is not distinct from :id)"
                ),
                {"id": walk_in},
            )
        return walk_in

    def clients(self, *, full: bool = False) -> dict[str, ImportResult]:
        """What the clients cron brings: branches, categories, clients and the walk-in placeholder."""
        upper = self._client.now()
        specs = (BRANCHES, CLIENT_CATEGORIES, CLIENTS)
        results = {spec.entity_type: self.run(spec, full=full, upper=upper) for spec in specs}
        self.mark_walk_in()
        return results

    def _params(self, spec: ImportSpec, lower: datetime | None, upper: datetime) -> dict[str, str]:
        if spec.delta is None or lower is None:
            return {}
        return {spec.delta.lower: wire_instant(lower), spec.delta.upper: wire_instant(upper)}

    def _read_once(self, spec: ImportSpec, read: _Read, params: Mapping[str, str]) -> None:
        writer = self._writer(spec)
        read.start_over()
        for page in iterate_pages(
            lambda number: self._fetch(spec, number, params), total_pages=lambda page: page.total_pages
        ):
            if isinstance(page, _FailedPage):
                read.failed[page.number] = page.reason
                continue
            written, kept = self._write(spec, writer, page)
            read.add(written)
            read.total_elements = kept.total_elements
            read.set_aside.update(
                {_place(kept, position=s.position, phorest_id=s.phorest_id): s.reason for s in kept.set_aside}
            )
            read.odd.update(kept.odd_fields)

    def _write(self, spec: ImportSpec, writer: PageWriter, page: Page) -> tuple[Written, Page]:
        """Commit a page. If PostgreSQL refuses a value that passed validation, its row is set aside, never the page."""
        try:
            with self._engine.begin() as connection:
                written = writer.write(connection, page.document, path=page.path, batch_id=self._batch_id)
                self._note_set_aside(connection, spec, page)
        except _REFUSED:
            return self._write_row_by_row(spec, writer, page)
        return written, page

    def _write_row_by_row(self, spec: ImportSpec, writer: PageWriter, page: Page) -> tuple[Written, Page]:
        written = Written.nothing()
        refused: list[SetAside] = []
        with self._engine.begin() as connection:
            for position, row in enumerate(rows_of(page)):
                try:
                    with connection.begin_nested():
                        written += writer.write(connection, row.document, batch_id=self._batch_id)
                except _REFUSED as error:
                    reason = f"PostgreSQL has no place for one of its values ({type(error.orig).__name__})"
                    refused.append(SetAside(row.phorest_id(spec), position, reason))
            page = replace(page, set_aside=(*page.set_aside, *refused))
            self._note_set_aside(connection, spec, page)
        return written, page

    def _fetch(self, spec: ImportSpec, number: int, params: Mapping[str, str]) -> Page | _FailedPage:
        """A page, or why there is none. The first page must be one: without it the end of the list is unknown."""
        reason = ""
        for attempt in range(1, _PAGE_TRIES + 1):
            try:
                return self._client.page(spec, number, params=params)
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

    def _note_set_aside(self, connection: Connection, spec: ImportSpec, page: Page) -> None:
        open_items(
            connection,
            [
                WorkItem(
                    entity_type=spec.entity_type,
                    phorest_id=_place(page, position=row.position, phorest_id=row.phorest_id),
                    cause=_CAUSE,
                    reason=row.reason,
                )
                for row in page.set_aside
            ],
        )

    def _finish(
        self, spec: ImportSpec, read: _Read, lower: datetime | None, upper: datetime, requests_before: int
    ) -> ImportResult:
        with self._engine.begin() as connection:
            empty = lower is None and not read.ids and self._holds_rows(connection, spec)
            result = ImportResult(
                entity_type=spec.entity_type,
                seen=len(read.ids),
                inserted=read.inserted,
                updated=read.updated,
                tombstoned=0,
                total_elements=read.total_elements,
                requests=self._client.requests - requests_before,
                lower=lower,
                upper=upper,
                watermark=None,
                set_aside=tuple(sorted(read.set_aside)),
                odd_fields=dict(read.odd),
                failed_pages=dict(read.failed),
                suspiciously_empty=empty,
            )
            resolve_items(connection, entity_type=spec.entity_type, phorest_ids=read.ids, causes=[_CAUSE])
            if not result.complete:
                return result
            tombstoned = self._tombstone(connection, spec, read.ids) if spec.delta is None else 0
            watermark = self._advance(connection, spec, upper, full=lower is None)
        return replace(result, tombstoned=tombstoned, watermark=watermark)

    def _lower_bound(self, spec: ImportSpec) -> datetime | None:
        with self._engine.connect() as connection:
            watermark = connection.execute(
                text("select watermark from import_cursors where entity_type = :entity_type and scope = ''"),
                {"entity_type": spec.entity_type},
            ).scalar_one_or_none()
        return watermark - OVERLAP if watermark else None

    def _advance(self, connection: Connection, spec: ImportSpec, upper: datetime, *, full: bool) -> datetime | None:
        """Move the cursor to the newest change we hold, at most to the frozen bound, never backwards."""
        newest = f"(select max(phorest_updated_at) from {spec.table.name})" if spec.delta else "null::timestamptz"
        return connection.execute(
            text(f"""
                insert into import_cursors (entity_type, scope, watermark, full_read_at, batch_id)
                values (:entity_type, '', least(cast(:upper as timestamptz), {newest}),
                        case when :full then cast(:upper as timestamptz) end, :batch_id)
                on conflict (entity_type, scope) do update
                set watermark = greatest(import_cursors.watermark, excluded.watermark),
                    full_read_at = coalesce(excluded.full_read_at, import_cursors.full_read_at),
                    batch_id = excluded.batch_id, updated_at = now()
                returning watermark
            """),
            {"entity_type": spec.entity_type, "upper": upper, "full": full, "batch_id": self._batch_id},
        ).scalar_one()

    def _tombstone(self, connection: Connection, spec: ImportSpec, listed: set[str]) -> int:
        """A complete full read that no longer lists a row is its end; the row itself stays."""
        return connection.execute(
            text(f"""update {spec.table.name} set deleted_at = now()
                     where deleted_at is null and not (phorest_id = any(:listed))"""),
            {"listed": list(listed)},
        ).rowcount

    def _holds_rows(self, connection: Connection, spec: ImportSpec) -> bool:
        return connection.execute(
            text(f"select exists (select from {spec.table.name} where deleted_at is null)")
        ).scalar_one()

    def _writer(self, spec: ImportSpec) -> PageWriter:
        return PageWriter(
            spec.table,
            entity_type=spec.entity_type,
            id_fields=spec.id_fields,
            columns=spec.columns,
            keyring=self._keyring,
            on_change=_CONSENT_EVENTS if spec is CLIENTS else "",
        )


def _place(page: Page, *, position: int, phorest_id: str | None) -> str:
    return phorest_id or f"page {page.number} row {position}"
