"""Check-ins → notes, the whole road of one run: location, plan, apply, summary.

Belongs here: the order of these steps and what stops a run before it starts. Does not: any of the steps itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.ghl.notes import NotesClient, NotesReader
from phorest_ghl.http.budget import Lane
from phorest_ghl.http.errors import ApiError
from phorest_ghl.sync import mirror, summary
from phorest_ghl.sync.clients import ENTITY as CLIENT
from phorest_ghl.sync.clients import NotImported, require_confirmed
from phorest_ghl.sync.guard import guard
from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.keeper import REJECTED
from phorest_ghl.sync.lookup import SEARCH_LAG_S
from phorest_ghl.sync.mirror import LocationState
from phorest_ghl.sync.notes.planning import Known, NotePlan, plan_notes
from phorest_ghl.sync.notes.visits import NoteRules, load_visits
from phorest_ghl.sync.notes.writing import NoteWriter
from phorest_ghl.sync.outcomes import Tally
from phorest_ghl.sync.source import was_imported
from phorest_ghl.sync.stops.gate import Gate
from phorest_ghl.sync.summary import RunResult
from phorest_ghl.sync.workers import Workers

ENTITY = "checkin"


@dataclass(frozen=True)
class Prepared:
    """What a plan needs to know: the location, and GHL's clock (ours where it does not say), aware UTC."""

    location: LocationState
    now: datetime


class CheckInsSync:
    """One run for one location. A reader is enough to plan; to apply takes a client with write verbs."""

    def __init__(
        self,
        engine: Engine,
        client: NotesReader,
        keyring: Keyring,
        *,
        batch_id: str,
        rules: NoteRules = NoteRules(),  # noqa: B008 - frozen
        lag_s: float = SEARCH_LAG_S,
        gate: Gate = Gate(),  # noqa: B008 - frozen
    ) -> None:
        self._engine = engine
        self._client = client
        self._keyring = keyring
        self._rules = rules
        self._ledger = Ledger(client.location_id, ENTITY, batch_id)
        self._lag_s = lag_s
        self._gate = gate

    def prepare(self) -> Prepared:
        """Read the location, for its settings and its clock. Raises NotImported, KeyMismatch, ApiError."""
        location = self._client.location()
        with self._engine.begin() as connection:
            self._keyring.require_same(connection)
            if not was_imported(connection, "appointment"):
                raise NotImported(
                    "The appointments of Phorest were never imported completely into this database. Run "
                    "`phorest-ghl sync check-ins`, or materialize phorest/appointments, and look at what stopped it."
                )
            mirror.store_location(connection, location)
            state = mirror.location_state(connection, self._client.location_id)
        assert state is not None
        return Prepared(state, location.date or datetime.now(UTC))

    def plan(self, prepared: Prepared) -> NotePlan:
        """Which notes are missing. Runs in a read-only transaction."""
        with self._engine.connect() as connection, connection.begin():
            connection.execute(text("set transaction isolation level repeatable read, read only"))
            return self._plan(connection, prepared)

    def apply(
        self,
        plan: NotePlan,
        prepared: Prepared,
        *,
        started_at: datetime,
        job_id: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> RunResult:
        """Put the notes on their contacts and write the run's summary; also where the run ends early.

        Raises NotConfirmed, ApplyStopped before anything is written; afterwards whatever is no vendor's refusal.
        """
        if not isinstance(self._client, NotesClient):
            raise TypeError("to apply takes a client with write verbs")
        require_confirmed(self._client.location_id, prepared.location)
        client = self._client
        plan = self._gate.admitted(self._engine, self._ledger, plan)
        items = [*plan.settled, *(change.phorest_id for change in plan.changes)]
        run = summary.Run(self._ledger, started_at=started_at, job_id=job_id)
        return run.carried_out(
            self._engine,
            plan,
            items,
            lambda tally: self._carry_out(self._as_it_is_now(plan), client, tally, progress),
            requests=lambda: client.requests,
        )

    def _as_it_is_now(self, plan: NotePlan) -> NotePlan:
        """The location may have gone live since the plan was made, or have been made quiet again (S1, S20)."""
        with self._engine.connect() as connection:
            state = mirror.location_state(connection, self._client.location_id)
        return replace(plan, quiet=state is None or state.quiet)

    def _carry_out(
        self, plan: NotePlan, client: NotesClient, tally: Tally, progress: Callable[[int, int], None] | None
    ) -> ApiError | None:
        """Outcomes that are known, the guard tag, then the notes; why it ended early, if it did."""
        for item, outcome in plan.settled.items():
            tally.settle(item, outcome)
        unguarded: dict[str, str] = {}
        writer = NoteWriter(self._engine, client, self._ledger, self._keyring, unguarded=unguarded, lag_s=self._lag_s)
        workers = Workers(writer.write)
        if plan.to_guard:
            try:
                # Not by what is on record: a person may have taken the tag off, and a note may start a workflow (S1).
                answer = guard(
                    self._engine, client, self._ledger, plan.to_guard, lane=Lane.REST, bulk=True, trusting=False
                )
                unguarded.update(answer.refused)
            except ApiError as error:
                workers.end(error)
        for done, (change, outcome) in enumerate(workers.run(plan.changes), start=1):
            tally.settle(change.phorest_id, outcome)
            if progress:
                progress(done, len(plan.changes))
        return workers.stopped

    def _plan(self, connection: Connection, prepared: Prepared) -> NotePlan:
        intents = self._ledger.open_intents(connection)
        since = prepared.now - timedelta(days=self._rules.days)
        clients = Ledger(self._client.location_id, CLIENT, self._ledger.batch_id).mappings(connection)
        known = Known(
            contacts={phorest_id: row.ghl_id for phorest_id, row in clients.items()},
            gone=_gone(connection, self._client.location_id),
            noted=self._ledger.mappings(connection).keys(),
            intents=intents,
            refused=self._ledger.refused(connection, REJECTED),
            now=prepared.now,
            quiet=prepared.location.quiet,
        )
        return plan_notes(load_visits(connection, since, intents.keys()), known, self._rules, self._keyring)


def _gone(connection: Connection, location_id: str) -> frozenset[str]:
    rows = connection.execute(
        text("select ghl_id from ghl_contacts where location_id = :location_id and gone_at is not null"),
        {"location_id": location_id},
    )
    return frozenset(row.ghl_id for row in rows)
