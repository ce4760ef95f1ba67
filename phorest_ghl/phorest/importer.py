"""Phorest API → `phorest_*` tables: page by page, committed page by page, with a cursor that never runs ahead.

Belongs here: what to ask for, what a complete read is, when the cursor moves. Does not: how a list is read to its end
(`reads`), who is gone (`vanished`), the SQL of a page (`phorest_ghl.db.bulk`), what is done with the rows.

A run that dies loses at most the few pages that it was writing; the next one reads from the same cursor.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.bulk import PageWriter
from phorest_ghl.db.forgotten import forgotten_of
from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.phorest import cursors
from phorest_ghl.phorest.branches import Branch, branches_held, chosen
from phorest_ghl.phorest.client import PhorestClient, wire_instant
from phorest_ghl.phorest.consent_flags import CONSENT_EVENTS
from phorest_ghl.phorest.list_read import ListQuestion, ListRead
from phorest_ghl.phorest.local_time import TimeMode, instants_by_key
from phorest_ghl.phorest.page_writes import IMPORT_CAUSE
from phorest_ghl.phorest.pages import MalformedPage
from phorest_ghl.phorest.reads import ListReader
from phorest_ghl.phorest.results import ImportResult, combined, nothing
from phorest_ghl.phorest.scopes import BUSINESS, LOOK_AHEAD, LOOK_BACK, Month, Scope, months_around
from phorest_ghl.phorest.specs import (
    APPOINTMENTS,
    BRANCHES,
    CLIENT_CATEGORIES,
    CLIENTS,
    PRODUCTS,
    SERVICE_CATEGORIES,
    SERVICES,
    STAFF,
    ImportSpec,
)
from phorest_ghl.phorest.vanished import Vanished, settle
from phorest_ghl.phorest.walk_in import mark_walk_in

__all__ = ["OVERLAP", "ImportResult", "Importer"]

OVERLAP = timedelta(minutes=5)
"""Read again below the watermark: whether the vendor's bound is inclusive, and to which precision, is unknown (§14.5)."""
PROBE_EVERY = timedelta(days=1)
_FAR_AHEAD = timedelta(days=365 * 50)


class Importer:
    """Imports entities of one business into one database.

    Args:
        engine: the database.
        client: the business.
        keyring: keys the content hashes.
        batch_id: the run, as versions and cursors name it.
        time_mode: how Phorest's appointment times are meant (facts/phorest-api §11.1).
        branch_ids: the branches whose own lists are read; all where none is named.
        look_back, look_ahead: how far the frequent import of appointments looks, where that is more than always.
    """

    def __init__(
        self,
        engine: Engine,
        client: PhorestClient,
        keyring: Keyring,
        *,
        batch_id: str,
        time_mode: TimeMode = "branch_local",
        branch_ids: Collection[str] = (),
        look_back: timedelta = LOOK_BACK,
        look_ahead: timedelta = LOOK_AHEAD,
    ) -> None:
        self._look = (look_back, look_ahead)
        self._engine = engine
        self._client = client
        self._keyring = keyring
        self._batch_id = batch_id
        self._time_mode: TimeMode = time_mode
        self._branch_ids = frozenset(branch_ids)
        self._reader = ListReader(engine, client, batch_id=batch_id)

    def run(
        self,
        spec: ImportSpec,
        *,
        full: bool = False,
        upper: datetime | None = None,
        scope: Scope = BUSINESS,
        zone: ZoneInfo | None = None,
    ) -> ImportResult:
        """Import what changed since the cursor, or everything where there is none, no delta, or `full` is asked for.

        `upper` is the vendor's time at the start of the run, which bounds a delta; it is asked for where not given.
        `scope` is the part that is read, `zone` the branch's, where appointments are.
        Raises ApiError where the whole entity cannot be read (wrong password, unknown business, unreachable). A page
        that stays unreadable is left out and named in the result; all other pages are written.
        """
        requests_before = self._client.requests
        upper = upper or self._client.now()
        lower = None if full or spec.delta is None else self._lower_bound(spec, scope)
        filters = lower is None or self._filters(spec, scope, upper)
        question = ListQuestion(
            spec=spec,
            scope=scope,
            params={**scope.window, **_bounds(spec, lower, upper)},
            lower=lower,
            derived_from=lambda page: instants_by_key(page.records, zone, self._time_mode) if zone else {},
        )
        writer = self._writer(spec)
        read = self._reader.read(question, writer, started=upper)
        result = self._finish(question, writer, read, upper, filters=filters)
        self._reader.forget(read)
        return replace(result, requests=self._client.requests - requests_before)

    def mark_walk_in(self) -> str | None:
        """Import the walk-in placeholder and mark it; its id, or None for a business without one (404)."""
        return mark_walk_in(self._engine, self._client, self._writer(CLIENTS), batch_id=self._batch_id)

    def one_client(self, client_id: str) -> bool:
        """Import one client as it is now; whether Phorest has it and it could be kept. No cursor moves. Raises ApiError.

        One who was forgotten is not asked for (safety S21).
        """
        if in_transaction(self._engine, lambda c: forgotten_of(c, self._keyring, "client", [client_id])):
            return False
        try:
            page = self._client.client(client_id)
        except MalformedPage:
            return False
        except ApiError as error:
            if error.category is Category.GONE:
                return False
            raise
        question = ListQuestion(spec=CLIENTS, scope=BUSINESS, params={}, lower=None, derived_from=lambda _: {})
        return bool(self._reader.write(question, self._writer(CLIENTS), page).ids)

    def clients(self, *, full: bool = False) -> dict[str, ImportResult]:
        """What the clients cron brings: branches, categories, clients, the walk-in placeholder, and the staff.

        The staff because an address of theirs is no contact point of a client who is somebody else (safety S12).
        """
        upper = self._client.now()
        specs = (BRANCHES, CLIENT_CATEGORIES, CLIENTS)
        results = {spec.entity_type: self.run(spec, full=full, upper=upper) for spec in specs}
        self.mark_walk_in()
        return {**results, STAFF.entity_type: self.of_branches(STAFF, upper=upper)}

    def staff(self) -> dict[str, ImportResult]:
        """What the staff cron brings: branches, and the staff of each."""
        upper = self._client.now()
        branches = self.run(BRANCHES, upper=upper)
        return {"branch": branches, "staff": self.of_branches(STAFF, upper=upper)}

    def catalogue(self) -> dict[str, ImportResult]:
        """What the products cron brings: service categories, services and products of each branch."""
        upper = self._client.now()
        specs = (SERVICE_CATEGORIES, SERVICES, PRODUCTS)
        return {spec.entity_type: self.of_branches(spec, upper=upper) for spec in specs}

    def of_branches(self, spec: ImportSpec, *, upper: datetime | None = None) -> ImportResult:
        """Import a list that each branch has for itself, of the branches that are read.

        The staff is read of all of them: a stylist's number is no client's contact point wherever it is found (S12).
        """
        upper = upper or self._client.now()
        branches = self.branches()
        if spec is STAFF:
            branches = branches_held(self._engine)
        results = [self.run(spec, upper=upper, scope=Scope(branch.branch_id)) for branch in branches]
        return combined(results) if results else nothing(spec.entity_type, upper)

    def appointments(self, months: Iterable[Month] | None = None, *, full: bool = False) -> list[ImportResult]:
        """Import appointments of all branches, month by month: those given, or as far as the frequent import looks.

        One result a branch and month, in that order. Raises UnknownZone for a branch whose time zone is not known.
        """
        upper = self._client.now()
        wanted: Sequence[Month] | None = None if months is None else tuple(months)
        results: list[ImportResult] = []
        for branch in self.branches():
            zone = branch.zone
            window = months_around(upper.astimezone(zone).date(), *self._look) if wanted is None else wanted
            results += [
                self.run(APPOINTMENTS, full=full, upper=upper, scope=Scope(branch.branch_id, month), zone=zone)
                for month in window
            ]
        return results

    def branches(self) -> list[Branch]:
        """The business's branches that are read; imported first, where one is not there yet. Raises UnknownBranch."""
        found = branches_held(self._engine)
        if not found or not self._branch_ids <= {branch.branch_id for branch in found}:
            self.run(BRANCHES)
            found = branches_held(self._engine)
        return chosen(found, self._branch_ids)

    def _filters(self, spec: ImportSpec, scope: Scope, upper: datetime) -> bool:
        """Whether the delta's filter filters, found out once a day: nothing can have changed in fifty years' time."""
        assert spec.delta is not None
        place = Scope(scope.branch_id).key
        with_cursor = in_transaction(self._engine, lambda c: cursors.load(c, spec.entity_type, place))
        if with_cursor.probed_at is not None and upper - with_cursor.probed_at < PROBE_EVERY:
            return True
        ahead = upper + _FAR_AHEAD
        params = {**scope.window, **_bounds(spec, ahead, ahead + timedelta(days=1))}
        question = ListQuestion(spec=spec, scope=scope, params=params, lower=ahead, derived_from=lambda _: {})
        try:
            if self._reader.count(question):
                return False
        except ApiError as error:
            if error.category is not Category.INVALID:
                raise
            # Whoever refuses a bound reads it, and that is what was asked.
        in_transaction(self._engine, lambda c: cursors.note_probe(c, spec.entity_type, place, upper))
        return True

    def _finish(
        self, question: ListQuestion, writer: PageWriter, read: ListRead, upper: datetime, *, filters: bool
    ) -> ImportResult:
        spec, scope = question.spec, question.scope
        full = question.lower is None
        result = ImportResult(
            entity_type=spec.entity_type,
            scope=scope.key,
            seen=read.seen,
            inserted=read.inserted,
            updated=read.updated,
            tombstoned=0,
            total_elements=read.total_elements,
            requests=0,
            lower=question.lower,
            upper=upper,
            watermark=None,
            set_aside=tuple(sorted(read.set_aside)),
            odd_fields=dict(read.odd),
            failed_pages=dict(read.failed),
            suspiciously_empty=full and not read.seen and self._held(spec, scope) > spec.many,
            filter_ignored=not filters or read.filter_ignored,
            drifted=read.drifted,
            foreign=read.foreign,
            repeated=read.repeated,
        )
        in_transaction(self._engine, lambda connection: _resolve(connection, spec, read))
        if not result.complete:
            return result
        gone = Vanished()
        if full:
            gone = settle(
                self._engine,
                self._client,
                spec,
                scope,
                read,
                keep=lambda page: bool(self._reader.write(question, writer, page).ids),
            )
        watermark = in_transaction(
            self._engine,
            lambda c: cursors.advance(c, spec, scope, upper, full=full, batch_id=self._batch_id),
        )
        return replace(
            result,
            asked_by_id=gone.asked,
            tombstoned=gone.tombstoned,
            unsettled=gone.unsettled,
            watermark=watermark,
        )

    def _lower_bound(self, spec: ImportSpec, scope: Scope) -> datetime | None:
        cursor = in_transaction(self._engine, lambda c: cursors.load(c, spec.entity_type, scope.key))
        return cursor.watermark - OVERLAP if cursor.watermark else None

    def _held(self, spec: ImportSpec, scope: Scope) -> int:
        statement = text(f"select count(*) from {spec.table.name} where deleted_at is null and {scope.where}")
        return in_transaction(self._engine, lambda c: c.execute(statement, scope.parameters).scalar_one())

    def _writer(self, spec: ImportSpec) -> PageWriter:
        return PageWriter(
            spec.table,
            entity_type=spec.entity_type,
            id_fields=spec.id_fields,
            columns=spec.columns,
            keyring=self._keyring,
            on_change=CONSENT_EVENTS if spec is CLIENTS else "",
            of_branch=spec.of_branch,
            person=spec.person,
        )


def _bounds(spec: ImportSpec, lower: datetime | None, upper: datetime) -> Mapping[str, str]:
    if spec.delta is None or lower is None:
        return {}
    return {spec.delta.lower: wire_instant(lower), spec.delta.upper: wire_instant(upper)}


def _resolve(connection: Connection, spec: ImportSpec, read: ListRead) -> None:
    """Close the items of rows that could not be imported before and were now."""
    connection.execute(
        text("""
            update work_items set state = 'resolved', resolved_at = now(), updated_at = now()
            where state = 'open' and location_id = '' and entity_type = :entity_type and cause = :cause and exists (
                select from import_listed where read_id = :read_id and work_items.phorest_id = any(ids))
        """),
        {"entity_type": spec.entity_type, "cause": IMPORT_CAUSE, "read_id": read.read_id},
    )
