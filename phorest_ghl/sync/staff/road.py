"""Staff → contacts, the whole road of one run: location, mirror, plan, guard tag, writes, tags, summary.

Belongs here: the order of these steps and what stops a run before it starts. Does not: any of the steps itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.ghl.client import GhlClient, GhlReader
from phorest_ghl.ghl.models import Contact
from phorest_ghl.http.budget import Lane
from phorest_ghl.http.errors import ApiError
from phorest_ghl.sync import consent, mirror, summary
from phorest_ghl.sync.clients import ENTITY as CLIENT
from phorest_ghl.sync.clients import NotImported, require_confirmed
from phorest_ghl.sync.guard import guard
from phorest_ghl.sync.identity import people
from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.keeper import REJECTED
from phorest_ghl.sync.lookup import SEARCH_LAG_S, read_contact
from phorest_ghl.sync.mirror import LocationState
from phorest_ghl.sync.outcomes import Applied, Failed, Outcome, Tally
from phorest_ghl.sync.plan import PRESENT
from phorest_ghl.sync.rules import Rules
from phorest_ghl.sync.source import load_clients, load_names, was_imported
from phorest_ghl.sync.staff.humans import PSEUDO, load_staff
from phorest_ghl.sync.staff.keeper import StaffKeeper
from phorest_ghl.sync.staff.known import Known
from phorest_ghl.sync.staff.members import members
from phorest_ghl.sync.staff.plan import StaffChange, StaffPlan
from phorest_ghl.sync.staff.planner import plan_staff
from phorest_ghl.sync.staff.writer import StaffWriter
from phorest_ghl.sync.stops.gate import Gate
from phorest_ghl.sync.summary import RunResult
from phorest_ghl.sync.tags import TagChange, send_tags
from phorest_ghl.sync.workers import Workers

ENTITY = "staff"


@dataclass(frozen=True)
class Prepared:
    """What a plan needs to know of the location."""

    location: LocationState


class StaffSync:
    """One run for one location. A reader is enough to plan; to apply takes a client with write verbs.

    `patterns` are words by which a column of the diary is known to be nobody.
    """

    def __init__(
        self,
        engine: Engine,
        client: GhlReader,
        keyring: Keyring,
        *,
        batch_id: str,
        rules: Rules = Rules(),  # noqa: B008 - frozen
        patterns: Sequence[str] = PSEUDO,
        lag_s: float = SEARCH_LAG_S,
        gate: Gate = Gate(),  # noqa: B008 - frozen
    ) -> None:
        self._engine = engine
        self._client = client
        self._keyring = keyring
        self._rules = rules
        self._patterns = patterns
        self._ledger = Ledger(client.location_id, ENTITY, batch_id)
        self._lag_s = lag_s
        self._gate = gate

    def prepare(self) -> Prepared:
        """Read the location, and on the first run ever all its contacts. Raises NotImported, KeyMismatch, ApiError."""
        location = self._client.location()
        with self._engine.begin() as connection:
            self._keyring.require_same(connection)
            for entity, command in ((CLIENT, "clients"), (ENTITY, "staff")):
                if not was_imported(connection, entity):
                    raise NotImported(
                        f"The {command} of Phorest were never imported completely into this database. Run "
                        f"`phorest-ghl sync {command}`, or materialize phorest/{command}, and look at what stopped it."
                    )
            mirror.store_location(connection, location)
            state = mirror.location_state(connection, self._client.location_id)
        assert state is not None
        if state.mirrored_at is None:
            mirror.read_back(self._engine, self._client, keyring=self._keyring, batch_id=self._ledger.batch_id)
        else:
            self._look_at_clients_own()
        return Prepared(state)

    def _look_at_clients_own(self) -> None:
        """Read the staff's contacts that clients have by now and that a person is asked to open: no search tells (S10)."""
        for ghl_id in in_transaction(self._engine, self._to_open):
            found = read_contact(self._client, ghl_id)

            def keep(connection: Connection, ghl_id: str = ghl_id, found: Contact | None = found) -> None:
                if found is None:
                    mirror.mark_gone(connection, self._client.location_id, ghl_id)
                    return
                batch_id = self._ledger.batch_id
                mirror.store(
                    connection,
                    self._client.location_id,
                    [found],
                    seen_by="read",
                    keyring=self._keyring,
                    batch_id=batch_id,
                )

            in_transaction(self._engine, keep)

    def _to_open(self, connection: Connection) -> list[str]:
        rows = connection.execute(
            text("""select ghl_id from ghl_contacts
                    join entity_mappings s using (location_id, ghl_id)
                    where location_id = :location_id and s.entity_type = :staff and s.role = 'primary'
                          and s.removed_at is null and gone_at is null
                          and exists (select from jsonb_each(dnd_settings) as d where d.value ->> 'code' = :code)
                          and exists (select from entity_mappings c
                                      where c.location_id = :location_id and c.ghl_id = s.ghl_id
                                            and c.entity_type = :client and c.removed_at is null)
                    order by ghl_id"""),
            {
                "location_id": self._client.location_id,
                "staff": ENTITY,
                "client": CLIENT,
                "code": consent.STAFF_MARKER,
            },
        )
        return [row.ghl_id for row in rows]

    def plan(self, prepared: Prepared) -> StaffPlan:
        """What would be done. Runs in a read-only transaction."""
        with self._engine.connect() as connection, connection.begin():
            connection.execute(text("set transaction isolation level repeatable read, read only"))
            return self._plan(connection, prepared)

    def apply(
        self,
        plan: StaffPlan,
        prepared: Prepared,
        *,
        started_at: datetime,
        job_id: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> RunResult:
        """Carry out a plan and write the run's summary; also where the run ends early.

        Raises NotConfirmed, ApplyStopped before anything is written; afterwards whatever is no vendor's refusal.
        """
        if not isinstance(self._client, GhlClient):
            raise TypeError("to apply takes a client with write verbs")
        require_confirmed(self._client.location_id, prepared.location)
        client = self._client
        plan = self._gate.admitted(self._engine, self._ledger, plan)
        items = [*plan.settled, *(item for change in plan.changes for item in change.item_ids)]
        run = summary.Run(self._ledger, started_at=started_at, job_id=job_id)
        return run.carried_out(
            self._engine,
            plan,
            items,
            lambda tally: self._carry_out(plan, prepared, client, tally, progress),
            requests=lambda: client.requests,
        )

    def _carry_out(
        self,
        plan: StaffPlan,
        prepared: Prepared,
        client: GhlClient,
        tally: Tally,
        progress: Callable[[int, int], None] | None,
    ) -> ApiError | None:
        """Outcomes that are known, the guard tag, the contacts, then tags; why it ended early, if it did."""
        location = self._as_it_is_now(prepared)
        plan = replace(plan, quiet=location.quiet)
        clients = Ledger(self._client.location_id, CLIENT, self._ledger.batch_id)
        keeper = StaffKeeper(self._engine, self._ledger, clients, self._keyring, location.quiet)
        keeper.findings(plan)
        for item, outcome in plan.settled.items():
            tally.settle(item, outcome)
        unguarded: dict[str, str] = {}
        writer = StaffWriter(client, keeper, location, unguarded=unguarded, lag_s=self._lag_s)
        workers = Workers(writer.write)
        if plan.to_guard:
            try:
                # Not by what is on record: a person may have taken the tag off, and a tag may start a workflow (S1).
                answer = guard(
                    self._engine, client, self._ledger, plan.to_guard, lane=Lane.REST, bulk=True, trusting=False
                )
                unguarded.update(answer.refused)
            except ApiError as error:
                workers.end(error)
        tagging: list[StaffChange] = []
        for done, (change, outcome) in enumerate(workers.run(plan.changes), start=1):
            if change.tag_diffs and outcome.kind == "applied":
                tagging.append(change)  # its outcome is known when its tags are on
            else:
                _finished(keeper, change, outcome, tally)
            if progress:
                progress(done, len(plan.changes))
        self._tag(client, keeper, workers, tagging, tally)
        return workers.stopped

    def _tag(
        self,
        client: GhlClient,
        keeper: StaffKeeper,
        workers: Workers[StaffChange],
        tagging: Sequence[StaffChange],
        tally: Tally,
    ) -> None:
        """Tags on contacts that are there, last, by bulk calls."""
        wanted = {
            TagChange(change.phorest_id, str(change.ghl_id), diff.name, diff.after == PRESENT): change
            for change in tagging
            for diff in change.tag_diffs
        }
        stopped: Outcome | None = workers.held_back() if workers.ended else None
        unconfirmed: set[str] = set()
        if stopped is None:
            try:
                answers = send_tags(client, wanted, lane=Lane.REST, bulk=True, answered=keeper.tagged)
            except ApiError as error:
                workers.end(error)
                stopped = workers.held_back()
            else:
                unconfirmed = {wanted[tag].phorest_id for tag, refusal in answers.items() if refusal is not None}
        for change in tagging:
            failed = Failed("GHL did not confirm a tag") if change.phorest_id in unconfirmed else None
            _finished(keeper, change, stopped or failed or Applied(), tally)

    def _as_it_is_now(self, prepared: Prepared) -> LocationState:
        """The location may have gone live since the plan was made, or have been made quiet again (S1, S20)."""
        with self._engine.connect() as connection:
            state = mirror.location_state(connection, self._client.location_id)
        return prepared.location if state is None else state

    def _plan(self, connection: Connection, prepared: Prepared) -> StaffPlan:
        names = load_names(connection)
        mappings, intents = self._ledger.mappings(connection), self._ledger.open_intents(connection)
        found = people(load_clients(connection), names.countries, names.staff_at, junk_above=self._rules.junk_above)
        clients = Ledger(self._client.location_id, CLIENT, self._ledger.batch_id)
        known = Known(
            mirror=mirror.load(connection, self._client.location_id),
            mappings=mappings,
            clients=clients.mappings(connection),
            former=frozenset(clients.former(connection)),
            people=found,
            intents=intents,
            refused=self._ledger.refused(connection, REJECTED),
            quiet=prepared.location.quiet,
            without_contact_point=self._rules.without_contact_point,
        )
        rows = load_staff(connection, names.countries, {*mappings, *intents})
        listed = members(rows, found, patterns=self._patterns, junk_above=self._rules.junk_above)
        return plan_staff(listed, known, self._keyring)


def _finished(keeper: StaffKeeper, change: StaffChange, outcome: Outcome, tally: Tally) -> None:
    if outcome.kind == "applied":
        keeper.done(change)
    settled: Mapping[str, Outcome] = dict.fromkeys(change.item_ids, outcome)
    for item, its in settled.items():
        tally.settle(item, its)
