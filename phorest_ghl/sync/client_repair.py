"""Clients that appointments wait for, brought onto contacts in the middle of an appointments run (design §8: inline first).

Belongs here: whom a run brings, who is not tried for now, what is kept of those that it could not bring. Does not: how a
client is planned and written, which is the clients' road (`clients`), restricted to these; which appointments wait (`events`).

One process at a time brings a client: whoever waited for another finds the contact there and asks Phorest for nothing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.engine import RecordBusy
from phorest_ghl.db.pauses import holding
from phorest_ghl.db.transactions import in_transaction, under_lock
from phorest_ghl.db.work_items import WorkItem, open_items
from phorest_ghl.http.errors import MEETS_EVERY_CALL, ApiError
from phorest_ghl.sync import mornings, plan
from phorest_ghl.sync.clients import ENTITY, ClientsSync, Prepared, require_confirmed
from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.mirror import LocationState
from phorest_ghl.sync.outcomes import Deferred, Outcome, Rejected, Skipped
from phorest_ghl.sync.quiet_hours import QUIET_HOURS
from phorest_ghl.sync.registry import ForeignField
from phorest_ghl.sync.source import load_clients
from phorest_ghl.sync.summary import RunResult
from phorest_ghl.sync.workers import WORKERS

_log = structlog.get_logger(__name__)

AT_ONCE = 50
"""Clients that one run brings; with more the clients' run, which reads them by the page, is the faster one."""
_FEW = 500
"""Up to so many clients are looked at by themselves; more of them together with everybody, which is faster then."""
_ONCE_MORE = timedelta(hours=1)
"""After so long a contact from which GHL did not take the guard tag is tried again."""
TRIES = 3
"""Tries a day for a client that cannot be brought; after the last one it is given up until a day later, or by hand."""
GRACE_S = 30
"""Seconds before the second try; ten minutes before the third."""
CAUSE = "client not brought"
"""The cause of work items, and the kind of findings, of clients that a run could not bring."""

NO_CONTACT_POINT = "its client has no contact point"
MORNING = "its client's contact waits for the morning"
PERSON = "its client waits for a person"
PAUSED = "clients are paused, and its client has no contact yet"
TOO_MANY = f"more than {AT_ONCE} clients are new at once; the next runs bring them"
BUSY = "another run is bringing its client"
UNKNOWN = "Phorest has no such client, or none that can be kept"
NOT_COME_TO = "the run stopped asking Phorest before"
UNWRITTEN = "the contact could not be made or taken over; sync_logs says why"


@dataclass(frozen=True)
class Brought:
    """What came of clients that were to be brought: how many Phorest was asked for, and why some are still without contact.

    `result` is the clients' own run, where there was one.
    """

    asked: int = 0
    left: Mapping[str, Outcome] = field(default_factory=dict[str, Outcome])
    result: RunResult | None = None


@dataclass(frozen=True)
class Due:
    """A client who waits for another try, and how many there were."""

    phorest_id: str
    attempts: int


def due(connection: Connection, location_id: str) -> list[Due]:
    """Whom runs could not bring and who may be tried again now, as many as one run brings, the longest waiting first."""
    rows = connection.execute(
        text("""select phorest_id, attempts from work_items
                where location_id = :location_id and entity_type = :entity_type and cause = :cause and state = 'open'
                      and next_try_at <= now()
                order by next_try_at, phorest_id limit :most"""),
        {"location_id": location_id, "entity_type": ENTITY, "cause": CAUSE, "most": AT_ONCE},
    )
    return [Due(row.phorest_id, row.attempts) for row in rows]


class ClientRepair:
    """Brings clients of one location.

    `fetch` imports one client from Phorest as it is now, and says whether it is there and could be kept.
    """

    def __init__(self, engine: Engine, clients: ClientsSync, fetch: Callable[[str], bool], ledger: Ledger) -> None:
        self._engine = engine
        self._clients = clients
        self._fetch = fetch
        self._ledger = ledger

    def judged(
        self, location: LocationState, now: datetime, phorest_ids: Collection[str], *, early: Collection[str] = ()
    ) -> dict[str, Outcome]:
        """Why clients without a contact are not brought now, as their appointments say it; who is missing here is.

        Those whose visit is `early` do not wait for the morning. Raises ApiError.
        """
        prepared = self._prepared(location, now)
        if isinstance(prepared, Deferred):
            return dict.fromkeys(phorest_ids, prepared)
        return self._judged(prepared, phorest_ids, early=early)

    def run(
        self, phorest_ids: Sequence[str], *, started_at: datetime, job_id: str | None = None, by_hand: bool = False
    ) -> Brought:
        """Bring these clients in a run of their own. Raises what `ClientsSync.prepare` and `ClientsSync.apply` raise."""
        prepared = self._clients.prepare()
        require_confirmed(self._ledger.location_id, prepared.location)
        return self.bring(
            prepared.location, prepared.now, phorest_ids, started_at=started_at, job_id=job_id, by_hand=by_hand
        )

    def due(self) -> list[Due]:
        """Whom earlier runs could not bring and who may be tried again, the longest waiting first."""
        with self._engine.connect() as connection:
            return due(connection, self._ledger.location_id)

    def bring(
        self,
        location: LocationState,
        now: datetime,
        phorest_ids: Sequence[str],
        *,
        started_at: datetime,
        job_id: str | None = None,
        early: Collection[str] = (),
        by_hand: bool = False,
    ) -> Brought:
        """Read these clients from Phorest and sync them, whoever of them another process has not brought meanwhile.

        Those whose visit is `early` get their contact at night too, with the guard tag until the morning (S5).
        `by_hand` is a person's wish: they are read and synced whatever became of them before.
        Raises what `ClientsSync.apply` raises.
        """
        prepared = self._prepared(location, now)
        if isinstance(prepared, Deferred):
            return Brought(left=dict.fromkeys(phorest_ids, prepared))
        now_ids, later = phorest_ids[:AT_ONCE], phorest_ids[AT_ONCE:]
        left: dict[str, Outcome] = dict.fromkeys(later, Deferred(TOO_MANY))

        def work() -> Brought:
            mapped = self._mapped(now_ids)
            without = now_ids if by_hand else [key for key in now_ids if key not in mapped]
            judged = self._judged(prepared, without, by_hand=by_hand, early=early)
            wanted = [key for key in without if by_hand or key not in judged]
            judged = {key: outcome for key, outcome in judged.items() if key not in wanted}
            failed, ends = self._fetched(wanted) if wanted else ({}, {})
            # In one run with those whose morning has come, for a run of appointments leaves one summary of clients.
            now_too = {ends[key] for key in early if key in ends}
            result = self._synced(prepared, ends.values(), started_at, job_id, early=now_too)
            if not wanted:
                return Brought(left=left | judged, result=result)
            after = self._after(prepared, wanted, ends, failed)
            return Brought(len(wanted), left | judged | after, result)

        try:
            return under_lock(self._engine, [self._key(key) for key in now_ids], work)
        except RecordBusy:
            return Brought(left=left | dict.fromkeys(now_ids, Deferred(BUSY)))

    def catch_up(
        self, location: LocationState, now: datetime, *, started_at: datetime, job_id: str | None = None
    ) -> RunResult | None:
        """Sync the clients of whom something waited for the morning and whose morning has come (S5); None where nobody is.

        Raises what `ClientsSync.apply` raises.
        """
        prepared = self._prepared(location, now) if self._woken(location, now) else Deferred("nobody is due")
        if isinstance(prepared, Deferred):
            return None  # a field in the way is told by the clients' own run
        return self._synced(prepared, (), started_at, job_id)

    def _woken(self, location: LocationState, now: datetime) -> list[str]:
        """Of whom something waited for the morning that has come; in a quiet location it waits for go-live."""
        if location.quiet:
            return []
        with self._engine.connect() as connection:
            return mornings.due(connection, location.location_id, ENTITY, now)

    def _key(self, phorest_id: str) -> str:
        return f"repair {self._ledger.location_id} {ENTITY} {phorest_id}"

    def _prepared(self, location: LocationState, now: datetime) -> Prepared | Deferred:
        with self._engine.connect() as connection:
            if holding(connection, location.location_id, ENTITY) is not None:
                return Deferred(PAUSED)
        try:
            return self._clients.prepared_by(location, now)
        except ForeignField:
            return Deferred(f"{PERSON}: a custom field of GHL's is in the way, and the clients' run says which")

    # --- whom not to bring

    def _judged(
        self, prepared: Prepared, phorest_ids: Collection[str], *, by_hand: bool = False, early: Collection[str] = ()
    ) -> dict[str, Outcome]:
        with self._engine.connect() as connection:
            resting = {} if by_hand else self._resting(connection, phorest_ids)
            known = [row.phorest_id for row in load_clients(connection, sorted(phorest_ids))]
        known = [key for key in known if key not in resting]
        of = known if len(known) <= _FEW else None
        settled = self._clients.plan(prepared, of=of, early=early).settled if known else dict[str, Outcome]()
        return {**resting, **{key: _of_appointment(settled[key]) for key in known if key in settled}}

    def _resting(self, connection: Connection, phorest_ids: Collection[str]) -> dict[str, Outcome]:
        """Clients that could not be brought a moment ago, or too often."""
        rows = connection.execute(
            text("""
                select distinct on (phorest_id) phorest_id, state, reason, next_try_at from work_items
                where location_id = :location_id and entity_type = :entity_type and cause = :cause
                      and phorest_id = any(:ids) and state in ('open', 'given_up') and next_try_at > now()
                order by phorest_id, state
            """),
            {
                "location_id": self._ledger.location_id,
                "entity_type": ENTITY,
                "cause": CAUSE,
                "ids": list(phorest_ids),
            },
        )
        return {
            row.phorest_id: Deferred((given_up if row.state == "given_up" else again)(row.reason), row.next_try_at)
            for row in rows
        }

    def _mapped(self, phorest_ids: Collection[str]) -> set[str]:
        with self._engine.connect() as connection:
            return set(self._ledger.mappings(connection, sorted(phorest_ids)))

    # --- bringing

    def _fetched(self, wanted: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Who could not be had and why, and for the others who they are now: the ends of their merge chains."""
        failed: dict[str, str] = {}
        ends: dict[str, str] = {}
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="repair") as pool:
            tasks = {key: pool.submit(copy_context().run, self._followed, key) for key in wanted}
            for key, task in tasks.items():
                try:
                    end = task.result()
                except ApiError as error:
                    failed[key] = error.category.value
                    _log.warning("client_not_fetched", phorest_id=key, category=error.category.value)
                    if error.category in MEETS_EVERY_CALL:
                        break
                else:
                    if end is None:
                        failed[key] = UNKNOWN
                    else:
                        ends[key] = end
        return failed, ends

    def _followed(self, phorest_id: str) -> str | None:
        """Fetch a client, and whom it was merged into, from link to link; the last one, or None where one is not there."""
        seen: set[str] = set()
        while True:
            seen.add(phorest_id)
            if not self._fetch(phorest_id):
                return None
            with self._engine.connect() as connection:
                into = next((row.merged_to for row in load_clients(connection, [phorest_id])), None)
            if into is None or into in seen:
                return phorest_id
            if self._mapped([into]):
                return into
            phorest_id = into

    def _synced(
        self,
        prepared: Prepared,
        brought: Collection[str],
        started_at: datetime,
        job_id: str | None,
        *,
        early: Collection[str] = (),
    ) -> RunResult | None:
        """The clients' run for these and those whose morning has come; with many for everybody, which is faster then.

        One run, for a run of appointments leaves one summary of clients. None where there is nobody.
        """
        location, now = prepared.location, prepared.now
        woken = self._woken(location, now)
        clients = sorted({*brought, *woken})
        if not clients:
            return None
        kept = self._clients.release(woken)
        made = self._clients.plan(prepared, of=clients if len(clients) <= _FEW else None, early=early)
        result = self._clients.apply(made, prepared, started_at=started_at, job_id=job_id)
        in_transaction(
            self._engine,
            lambda connection: mornings.guarded_still(connection, location.location_id, ENTITY, kept, now + _ONCE_MORE),
        )
        return result

    # --- what is kept of it

    def _after(
        self, prepared: Prepared, wanted: Sequence[str], ends: Mapping[str, str], failed: Mapping[str, str]
    ) -> dict[str, Outcome]:
        """Why those of them that have no contact now have none."""
        mapped = self._mapped(set(ends.values()))
        without = {key: end for key, end in ends.items() if end not in mapped}
        judged = self._judged(prepared, set(without.values()), by_hand=True) if without else {}
        reasons = dict(failed) | {key: UNWRITTEN for key, end in without.items() if end not in judged}
        tried = {key: reason for key, reason in reasons.items() if reason not in _EVERYBODYS}
        over = in_transaction(self._engine, lambda connection: self._noted(connection, wanted, tried))
        left: dict[str, Outcome] = {key: judged[end] for key, end in without.items() if end in judged}
        left |= {key: Deferred((given_up if key in over else again)(why)) for key, why in reasons.items()}
        left |= {key: Deferred(again(NOT_COME_TO)) for key in wanted if key not in ends and key not in failed}
        return left

    def _noted(self, connection: Connection, wanted: Iterable[str], tried: Mapping[str, str]) -> set[str]:
        """Keep what was tried in vain, and close what was kept of others; who is given up with that."""
        location_id = self._ledger.location_id
        values = {"location_id": location_id, "entity_type": ENTITY, "cause": CAUSE}
        over = [key for key in wanted if key not in tried]
        connection.execute(
            text("""update work_items set state = 'resolved', resolved_at = now(), updated_at = now()
                    where location_id = :location_id and entity_type = :entity_type and cause = :cause
                          and state in ('open', 'given_up') and phorest_id = any(:ids)"""),
            {**values, "ids": over},
        )
        self._ledger.resolve_findings(connection, CAUSE, over)
        open_items(
            connection,
            [
                WorkItem(entity_type=ENTITY, phorest_id=key, cause=CAUSE, reason=reason, location_id=location_id)
                for key, reason in tried.items()
            ],
        )
        rows = connection.execute(
            text("""
                update work_items set updated_at = now(),
                    state = case when attempts < :tries then 'open' else 'given_up' end,
                    next_try_at = now() + case
                        when attempts < :tries then make_interval(secs => :grace_s * power(20, attempts - 1))
                        else interval '1 day' end
                where location_id = :location_id and entity_type = :entity_type and cause = :cause
                      and state = 'open' and phorest_id = any(:ids)
                returning phorest_id, state, reason, attempts
            """),
            {**values, "ids": sorted(tried), "tries": TRIES, "grace_s": GRACE_S},
        ).all()
        stopped = {row.phorest_id for row in rows if row.state == "given_up"}
        for row in rows:
            if row.phorest_id in stopped:
                self._ledger.note_finding(
                    connection,
                    CAUSE,
                    phorest_id=row.phorest_id,
                    ghl_id=None,
                    detail={"reason": row.reason, "tries": row.attempts},
                )
        return stopped


_EVERYBODYS = frozenset(category.value for category in MEETS_EVERY_CALL)
"""Reasons that say nothing of a client: they would have met every other one too, and count as no try."""


def again(reason: str) -> str:
    """What is said of an appointment whose client could not be brought for this reason."""
    return f"its client could not be brought ({reason}); a later run tries again"


def given_up(reason: str) -> str:
    """What is said of it when that was tried often enough."""
    return f"its client could not be brought in {TRIES} tries ({reason}); `phorest-ghl repair` tries at once"


def _of_appointment(outcome: Outcome) -> Outcome:
    """What a client's outcome means for its appointments."""
    if isinstance(outcome, Skipped):
        if outcome.reason == plan.NO_CONTACT_POINT:
            return Skipped(NO_CONTACT_POINT)
        return Skipped(f"its client has no contact: {outcome.reason}")
    if isinstance(outcome, Rejected):
        return Deferred(f"{PERSON}: {outcome.reason}")
    if isinstance(outcome, Deferred) and outcome.reason == QUIET_HOURS:
        return Deferred(MORNING, outcome.until)
    return Deferred(f"its client's contact waits: {outcome.reason or outcome.kind}")
