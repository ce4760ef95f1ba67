"""Clients → contacts, the whole road of one run: location, fields, mirror, opt-outs, plan, apply, summary.

Belongs here: the order of these steps and what stops a run before it starts. Does not: any of the steps itself.
"""

import gc
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.ghl import fields
from phorest_ghl.ghl.client import PAGE_LIMIT, GhlClient, GhlReader
from phorest_ghl.ghl.models import Contact, Location
from phorest_ghl.http.errors import ApiError
from phorest_ghl.sync import (
    consent_ledger,
    decisions,
    going_live,
    mirror,
    mornings,
    opt_outs,
    review,
    summary,
)
from phorest_ghl.sync.apply import Applier
from phorest_ghl.sync.clients_planning import ClientsPlanning, Prepared
from phorest_ghl.sync.contact_writer import ContactWriter
from phorest_ghl.sync.decisions import Kind
from phorest_ghl.sync.edits import note_edits
from phorest_ghl.sync.held import Held
from phorest_ghl.sync.identity import Person, households, people
from phorest_ghl.sync.journal import Intent, Ledger
from phorest_ghl.sync.keeper import Keeper
from phorest_ghl.sync.lookup import SEARCH_LAG_S, find_ours
from phorest_ghl.sync.mirror import LocationState
from phorest_ghl.sync.outcomes import Tally
from phorest_ghl.sync.parts import Part, only
from phorest_ghl.sync.plan import Plan
from phorest_ghl.sync.registry import resolve_fields
from phorest_ghl.sync.rules import Rules
from phorest_ghl.sync.source import Names, load_clients, load_names, was_imported
from phorest_ghl.sync.stops.gate import Gate
from phorest_ghl.sync.summary import RunResult

ENTITY = "client"
JOB_ID_KEPT = 8


class NotImported(Exception):
    """Clients were never read completely, so a plan would be made of what happens to be here."""


class NotConfirmed(Exception):
    """The location is quiet and nobody has confirmed that its workflows will leave the contacts of a load alone (S1)."""


class ClientsSync:
    """One run for one location. A reader is enough to plan; to apply takes a client with write verbs.

    With a `part` it is a run of that part of the contacts alone, summed up as an entity of its own. One that does not poll
    after many changes leaves it to the next run to be told, page by page, of the blocks that it has set itself. `bulk` work
    leaves a quarter of the day's quota to others (S22).
    """

    def __init__(
        self,
        engine: Engine,
        client: GhlReader,
        keyring: Keyring,
        *,
        batch_id: str,
        rules: Rules = Rules(),  # noqa: B008 - frozen
        lag_s: float = SEARCH_LAG_S,
        part: Part | None = None,
        polls_after: bool = True,
        bulk: bool = True,
        gate: Gate = Gate(),  # noqa: B008 - frozen
    ) -> None:
        self._engine = engine
        self._gate = gate
        self._bulk = bulk
        self._part = part
        self._polls_after = polls_after
        self._client = client
        self._keyring = keyring
        self._rules = rules
        self._ledger = Ledger(client.location_id, ENTITY, batch_id)
        self._planning = ClientsPlanning(self._ledger, keyring, rules)
        self._lag_s = lag_s

    def prepare(self, *, adopt_fields: bool = False) -> Prepared:
        """Read the location, its fields and its new opt-outs, and on the first run all its contacts.

        Fields that are missing are made if the client can write and the workflows are confirmed; never by a plan.
        Raises NotImported, KeyMismatch, ForeignField, ApiError.
        """
        location = self._client.location()
        with self._engine.begin() as connection:
            self._keyring.require_same(connection)
            if not was_imported(connection, ENTITY):
                raise NotImported(
                    "The clients of Phorest were never imported completely into this database. Run "
                    "`phorest-ghl sync clients`, or materialize phorest/clients, and look at what stopped it."
                )
            mirror.store_location(connection, location)
            state = mirror.location_state(connection, self._client.location_id)
        assert state is not None
        writing = isinstance(self._client, GhlClient) and state.workflows_confirmed_at is not None
        field_ids = resolve_fields(
            self._engine,
            self._client,
            fields.enabled(self._rules.switches),
            may_create=writing,
            adopt_existing=adopt_fields,
            read_at=state.fields_read_at,
        )
        present = 0
        if state.mirrored_at is None:
            present = mirror.read_back(
                self._engine, self._client, keyring=self._keyring, batch_id=self._ledger.batch_id
            )
        # The first run reads the consent of each contact that it takes over; the next one asks for all that are blocked.
        alone = present or self._part is not None  # a part of contacts touches no consent
        since = None if alone else self._poll(location, state.polled_at)
        now = location.date or datetime.now(UTC)
        prepared = Prepared(replace(state, polled_at=since), dict(field_ids), now)
        if self._part is None:
            self._settle_unwanted(prepared)
        return prepared

    def confirm_workflows(self, operator: str) -> None:
        """Record that an operator has paused the location's workflows, or made them exclude the guard tag (S1)."""
        location = self._client.location()
        with self._engine.begin() as connection:
            mirror.store_location(connection, location)
            mirror.confirm_workflows(connection, location.id, operator)

    def prepared_by(self, location: LocationState, now: datetime) -> Prepared:
        """What a run that has just read the location and polled its opt-outs hands over, with the fields of ours.

        Fields are listed where the last list is older than a day, or one of ours is not known. Raises ForeignField, ApiError.
        """
        field_ids = resolve_fields(
            self._engine,
            self._client,
            fields.enabled(self._rules.switches),
            may_create=isinstance(self._client, GhlClient) and location.workflows_confirmed_at is not None,
            read_at=location.fields_read_at,
        )
        return Prepared(replace(location, polled_at=None), dict(field_ids), now)

    def plan(self, prepared: Prepared, *, of: Collection[str] | None = None, early: Collection[str] = ()) -> Plan:
        """What would be done, with everybody, or `of` some clients alone. Runs in a read-only transaction.

        Those who come `early` get their contact at night too (S5).
        """
        with _uncollected(), self._engine.connect() as connection, connection.begin():
            connection.execute(text("set transaction isolation level repeatable read, read only"))
            made = self._planning.plan(connection, prepared, of)
            made = made if self._part is None else only(made, self._part)
            calm = prepared.location.quiet or not made.changes
            return made if calm else self._planning.until_morning(connection, made, prepared.now, early)

    def release(self, phorest_ids: Collection[str]) -> set[str]:
        """Take the guard tag off contacts of these that were made at night; contacts that still carry it. Raises ApiError."""
        assert isinstance(self._client, GhlClient)
        return going_live.release(self._engine, self._client, ENTITY, phorest_ids)

    def apply(
        self,
        plan: Plan,
        prepared: Prepared,
        *,
        started_at: datetime,
        job_id: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> RunResult:
        """Carry out a plan and write the run's summary; also where the run ends early.

        Raises NotConfirmed, ApplyStopped before anything is written; afterwards what `Applier.apply` raises.
        """
        if not isinstance(self._client, GhlClient):
            raise TypeError("to apply takes a client with write verbs")
        require_confirmed(self._client.location_id, prepared.location)
        client = self._client
        entity = ENTITY if self._part is None else self._part.entity
        ledger = replace(self._ledger, entity_type=entity)
        plan = self._gate.admitted(self._engine, ledger, self._asked_again(plan, prepared))
        run = summary.Run(ledger, started_at=started_at, job_id=job_id)

        def work(tally: Tally) -> ApiError | None:
            keeper = self._keeper(self._as_it_is_now(prepared))
            writer = ContactWriter(client, keeper, bulk=self._bulk, lag_s=self._lag_s)
            return self._carry_out(plan, prepared, Applier(writer, progress=progress), tally)

        return run.carried_out(self._engine, plan, _items(plan), work, requests=lambda: client.requests)

    def _as_it_is_now(self, prepared: Prepared) -> Prepared:
        """The location may have gone live since the plan was made: what is made now carries no guard tag any more (S1)."""
        with self._engine.connect() as connection:
            state = mirror.location_state(connection, self._client.location_id)
        return prepared if state is None else replace(prepared, location=replace(prepared.location, mode=state.mode))

    def _asked_again(self, plan: Plan, prepared: Prepared) -> Plan:
        """A plan of a location that was quiet then and is live now, without what may not be written at this hour (S5)."""
        if not prepared.location.quiet or self._as_it_is_now(prepared).location.quiet:
            return plan
        with self._engine.connect() as connection:
            return self._planning.until_morning(connection, plan, prepared.now)

    def _carry_out(self, plan: Plan, prepared: Prepared, applier: Applier, tally: Tally) -> ApiError | None:
        """What is on record first, then the changes; why it ended early, if it did."""
        in_transaction(self._engine, lambda connection: self._keep_step(connection, plan))
        stopped = applier.apply(plan, tally).stopped
        since = prepared.location.polled_at
        if self._polls_after and stopped is None and since is not None and len(plan.changes) >= PAGE_LIMIT:
            # A poll names the blocks that we have set too: after a load that is many pages, so they are read now.
            self._poll(self._client.location(), since)
        return stopped

    def _poll(self, location: Location, since: datetime | None) -> datetime:
        """What people have blocked in GHL since then, or on the first run ever; GHL's time now, up to which that is known."""
        now = location.date or datetime.now(UTC)
        opt_outs.poll(
            self._engine,
            self._client,
            self._keyring,
            since=since,
            now=now,
            lag_s=self._lag_s,
            addresses=lambda: in_transaction(
                self._engine, lambda connection: usable_addresses(connection, self._rules)
            ),
            ledger=self._ledger,
        )
        return now

    def _settle_unwanted(self, prepared: Prepared) -> None:
        """Look up creates without an answer whose client was since archived, banned or deleted, or lost its addresses.

        No plan asks for such a contact again, so if it was made it would stay as open as it was then (S6, S7).
        """
        with self._engine.connect() as connection:
            intents = self._ledger.open_intents(connection)
            if not intents:
                return
            held = Held(mirror={}, mappings=self._ledger.mappings(connection), field_ids=prepared.field_ids)
            found = self._people(connection)
            grouped = households(found, held.anchors(found), group=not prepared.duplicates)
        keeper = self._keeper(prepared)
        for member in (m for h in grouped if h.anchor is None and not h.wants_a_contact for m in h.members):
            intent = intents.get(member.phorest_id)
            if intent is not None:
                sent = intent.state != "planned" and bool(prepared.field_ids)
                keeper.settled_unwanted(member.phorest_id, self._look_up(intent, prepared) if sent else None)

    def _look_up(self, intent: Intent, prepared: Prepared) -> Contact | None:
        return find_ours(
            self._client,
            email=None,
            phone=None,
            phorest_ids=[intent.phorest_id],
            field_ids=prepared.field_ids,
            sent_at=intent.sent_at,
            lag_s=self._lag_s,
        )

    def _keeper(self, prepared: Prepared) -> Keeper:
        return Keeper(self._engine, prepared.location, self._ledger, self._keyring, prepared.field_ids, self._rules)

    def _keep_step(self, connection: Connection, plan: Plan) -> None:
        """What waits for the morning or a person, and what the clients' flags do to the causes on record; all of it first."""
        mornings.note(connection, self._client.location_id, ENTITY, plan, whole=self._part is None)
        if self._part is not None:
            return
        review.note_reviews(connection, self._client.location_id, plan)
        note_edits(connection, self._ledger, plan.edited, plan.looked_at)
        if plan.step is not None:
            consent_ledger.keep(
                connection,
                self._client.location_id,
                plan.step,
                entity_type=ENTITY,
                batch_id=self._ledger.batch_id,
                partial=plan.looked_at is not None,
            )
            used = [row for row in plan.decisions.rows if row.kind is Kind.OPT_IN and row.phorest_id in plan.step.used]
            decisions.mark_used(connection, used, batch_id=self._ledger.batch_id)

    def _people(self, connection: Connection) -> list[Person]:
        names: Names = load_names(connection)
        clients = load_clients(connection)
        return people(clients, names.countries, names.staff_at, junk_above=self._rules.junk_above)


def require_confirmed(location_id: str, location: LocationState | None) -> None:
    """Raises NotConfirmed for a location of which nobody has said that its workflows leave our contacts alone (S1)."""
    if location is None or location.workflows_confirmed_at is None:
        raise NotConfirmed(
            f"Location {location_id} was never written to, and it is not confirmed that its workflows will "
            "leave the new contacts alone. In GHL, pause every published workflow that starts on a new contact, a tag, "
            "a changed field, DND or a note, or let it exclude contacts tagged phorest:backfill. Then run "
            "`phorest-ghl sync clients --workflows-paused` once."
        )


def usable_addresses(connection: Connection, rules: Rules) -> set[str]:
    """Every address at which a client can be reached (S12)."""
    names, clients = load_names(connection), load_clients(connection)
    found = people(clients, names.countries, names.staff_at, junk_above=rules.junk_above)
    return {address for person in found for address in (person.email, person.phone) if address}


@contextmanager
def _uncollected() -> Generator[None]:
    """Without the garbage collector: a plan makes records by the ten thousand and no circle among them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def new_batch_id(now: datetime | None = None, job_id: str | None = None) -> str:
    """An id for a run: sortable by time, in UTC. It ends with the beginning of the job's id, where the run is part of one.

    So what a killed job has journalled is found without a table that says which jobs are going (`ended_early`).
    """
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%S.%f")
    return moment if job_id is None else f"{moment}-{job_id[:JOB_ID_KEPT]}"


def _items(plan: Plan) -> list[str]:
    return [*plan.settled, *(item for change in plan.changes for item in change.item_ids)]
