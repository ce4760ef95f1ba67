"""Appointments → calendar events, the whole road of one run: location, calendars, opt-outs, plan, apply, summary.

Belongs here: the order of these steps and what stops a run before it starts. Does not: any of the steps itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.ghl.calendars import CalendarClient, CalendarReader
from phorest_ghl.http.errors import ApiError
from phorest_ghl.sync import mirror, opt_outs, summary
from phorest_ghl.sync.client_repair import UNWRITTEN, ClientRepair, again
from phorest_ghl.sync.clients import ENTITY as CLIENT
from phorest_ghl.sync.clients import NotImported, require_confirmed, usable_addresses
from phorest_ghl.sync.events import mirror as event_mirror
from phorest_ghl.sync.events.keeper import REJECTED, EventKeeper, load_told
from phorest_ghl.sync.events.plan import NO_CONTACT, EventAction, EventPlan
from phorest_ghl.sync.events.planner import EventPlanner, HeldEvents
from phorest_ghl.sync.events.projection import EventProjector, Team
from phorest_ghl.sync.events.rules import EventRules
from phorest_ghl.sync.events.source import load_appointments, load_contacts, starts
from phorest_ghl.sync.events.writer import EventWriter, GhlClock, silent
from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.lookup import SEARCH_LAG_S
from phorest_ghl.sync.mirror import LocationState
from phorest_ghl.sync.outcomes import Deferred, Outcome, Tally
from phorest_ghl.sync.quiet_hours import branch_clock, needed_early
from phorest_ghl.sync.rules import Rules
from phorest_ghl.sync.source import load_names, was_imported
from phorest_ghl.sync.stops.gate import Gate
from phorest_ghl.sync.summary import RunResult
from phorest_ghl.sync.workers import Workers

ENTITY = "appointment"
_LOAD = 500
"""From so many creates on a run is a first load, which leaves a quarter of the day's quota to others (S22)."""


class CalendarNotUsable(Exception):
    """Events have nowhere to go: a calendar is not set, not there, or has nobody to assign them to."""


@dataclass(frozen=True)
class PreparedEvents:
    """What a plan of events needs to know of the location."""

    location: LocationState
    team: Team
    clock: GhlClock


class AppointmentsSync:
    """One run for one location. A reader is enough to plan; to apply takes a client with write verbs.

    With `repair`, clients whom appointments wait for are brought onto contacts before their events are made.
    """

    def __init__(
        self,
        engine: Engine,
        client: CalendarReader,
        keyring: Keyring,
        *,
        batch_id: str,
        rules: EventRules,
        people_rules: Rules = Rules(),  # noqa: B008 - frozen
        lag_s: float = SEARCH_LAG_S,
        repair: ClientRepair | None = None,
        gate: Gate = Gate(),  # noqa: B008 - frozen
    ) -> None:
        self._engine = engine
        self._client = client
        self._keyring = keyring
        self._rules = rules
        self._people_rules = people_rules
        self._ledger = Ledger(client.location_id, ENTITY, batch_id)
        self._lag_s = lag_s
        self._repair = repair
        self._gate = gate

    def prepare(self) -> PreparedEvents:
        """Read the location, its calendars and its new opt-outs, and on the first run what its calendars hold.

        Raises NotImported, KeyMismatch, CalendarNotUsable, ApiError.
        """
        location = self._client.location()
        with self._engine.begin() as connection:
            self._keyring.require_same(connection)
            mirror.store_location(connection, location)
            state = mirror.location_state(connection, self._client.location_id)
            imported = was_imported(connection, ENTITY)
        assert state is not None
        if not imported or state.mirrored_at is None:
            raise NotImported(
                "Events need the appointments of Phorest and the contacts of its clients. Run `phorest-ghl sync clients` "
                "first, then `phorest-ghl sync appointments`, and look at what stopped them."
            )
        clock = GhlClock.reading(location.date)
        prepared = PreparedEvents(state, self._team(), clock)
        with self._engine.connect() as connection:
            known = event_mirror.was_read_back(connection, state.location_id)
        if not known:
            scheduled, named = self._rules.scheduled(clock.now()), self._rules.window(clock.now())
            first, last = min(scheduled[0], named[0]), max(scheduled[1], named[1])
            event_mirror.read_back(self._engine, self._client, self._rules.all_calendars, first, last)
        opt_outs.poll(
            self._engine,
            self._client,
            self._keyring,
            since=state.polled_at,
            now=clock.now(),
            lag_s=self._lag_s,
            addresses=lambda: in_transaction(self._engine, lambda c: usable_addresses(c, self._people_rules)),
            ledger=replace(self._ledger, entity_type=CLIENT),
        )
        return prepared

    def plan(self, prepared: PreparedEvents) -> EventPlan:
        """What would be done. Runs in read-only transactions.

        Appointments of clients that could be brought are `deferred` in it, until `bring` has brought them.
        """
        made = self._planned(prepared)
        if self._repair is None or not made.waiting:
            return made
        clients, now = tuple(dict.fromkeys(made.waiting.values())), prepared.clock.now()
        early = self._early(made, prepared, now)
        return _with_reasons(made, self._repair.judged(prepared.location, now, clients, early=early))

    def bring(
        self, plan: EventPlan, prepared: PreparedEvents, *, started_at: datetime, job_id: str | None = None
    ) -> EventPlan:
        """Bring the clients that a plan waits for onto contacts, a run of the clients' road; the plan as it is then.

        Raises NotConfirmed before anything is written; afterwards what `ClientsSync.apply` raises.
        """
        if self._repair is None:
            return plan
        require_confirmed(self._client.location_id, prepared.location)
        location, now = prepared.location, prepared.clock.now()
        if not plan.waiting:
            caught_up = self._repair.catch_up(location, now, started_at=started_at, job_id=job_id)
            return plan if caught_up is None else _as_judged(self._planned(prepared), plan)
        clients = tuple(dict.fromkeys(plan.waiting.values()))
        brought = self._repair.bring(
            location, now, clients, started_at=started_at, job_id=job_id, early=self._early(plan, prepared, now)
        )
        anew = self._planned(prepared) if brought.result or set(clients) - brought.left.keys() else plan
        left = dict.fromkeys(clients, Deferred(again(UNWRITTEN))) | dict(brought.left)
        return _as_judged(_with_reasons(anew, left), plan)

    def _early(self, plan: EventPlan, prepared: PreparedEvents, now: datetime) -> set[str]:
        """The clients a plan waits for whose visit is so early that their contact cannot wait for the morning (S5)."""
        if prepared.location.quiet:
            return set()
        with self._engine.connect() as connection:
            zones = load_names(connection).zones
            rows = starts(connection, plan.waiting)
        hours = self._rules.hours
        return {
            plan.waiting[item]
            for item, (branch_id, starts_at) in rows.items()
            if needed_early(starts_at, hours, now, branch_clock(zones, branch_id))
        }

    def _planned(self, prepared: PreparedEvents) -> EventPlan:
        with self._engine.connect() as connection, connection.begin():
            connection.execute(text("set transaction isolation level repeatable read, read only"))
            return self._plan(connection, prepared)

    def apply(
        self,
        plan: EventPlan,
        prepared: PreparedEvents,
        *,
        started_at: datetime,
        job_id: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> RunResult:
        """Carry out a plan and write the run's summary; also where the run ends early. Clients it waits for come first.

        Raises NotConfirmed, ApplyStopped before anything is written; afterwards what is no vendor's refusal.
        """
        if not isinstance(self._client, CalendarClient):
            raise TypeError("to apply takes a client with write verbs")
        require_confirmed(self._client.location_id, prepared.location)
        client = self._client
        plan = self.bring(plan, prepared, started_at=started_at, job_id=job_id)
        plan = self._gate.admitted(self._engine, self._ledger, plan)
        items = [*plan.settled, *(change.phorest_id for change in plan.changes)]
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
        plan: EventPlan,
        prepared: PreparedEvents,
        client: CalendarClient,
        tally: Tally,
        progress: Callable[[int, int], None] | None,
    ) -> ApiError | None:
        keeper = EventKeeper(self._engine, self._ledger, self._keyring)
        new = [change for change in plan.changes if change.action is EventAction.CREATE]
        writer = EventWriter(client, keeper, prepared.clock, bulk=len(new) >= _LOAD, lag_s=self._lag_s)
        workers = Workers(writer.write)
        for item, outcome in plan.settled.items():
            tally.settle(item, outcome)
        keeper.findings(plan.findings)
        keeper.remember(plan.unremembered or {})
        try:
            writer.finish_moves()
        except ApiError as error:
            workers.end(error)
        present = [change for change in plan.changes if change.action is not EventAction.CREATE]
        quiet = self._is_quiet()
        done = 0
        for phase in (present, new):
            told_nobody = [silent(change, "the location is quiet") for change in phase] if quiet else phase
            for change, outcome in workers.run(told_nobody):
                tally.settle(change.phorest_id, outcome)
                done += 1
                if progress:
                    progress(done, len(plan.changes))
        return workers.stopped

    def _is_quiet(self) -> bool:
        """As it is now: a rollback may have put the location back to quiet since the plan was made (S20)."""
        with self._engine.connect() as connection:
            state = mirror.location_state(connection, self._client.location_id)
        return state is None or state.quiet

    def _plan(self, connection: Connection, prepared: PreparedEvents) -> EventPlan:
        location_id, now = self._client.location_id, prepared.clock.now()
        names = load_names(connection)
        first, last = (moment.date() for moment in self._rules.window(now))
        held = HeldEvents(
            mirror=event_mirror.load(connection, location_id),
            mappings=self._ledger.mappings(connection),
            intents=self._ledger.open_intents(connection),
            refused=self._ledger.refused(connection, REJECTED),
            told=load_told(connection, location_id),
            live_at=_live_at(connection, location_id),
        )
        projector = EventProjector(self._keyring, self._rules, prepared.team, now, names.zones, names.staff)
        planner = EventPlanner(held, projector, load_contacts(connection, location_id), self._keyring)
        return planner.plan(load_appointments(connection, location_id, first, last))

    def _team(self) -> Team:
        """The calendars' teams. Raises CalendarNotUsable where a calendar that is set is not there, or none is set."""
        found = {calendar.id: calendar.team for calendar in self._client.calendars()}
        wanted = self._rules.all_calendars
        if not wanted:
            raise CalendarNotUsable(
                "There is no calendar for appointments. Set GHL_DEFAULT_CALENDAR_ID, or name one for each branch under "
                "[calendars] in salon.toml."
            )
        missing = [calendar_id for calendar_id in wanted if calendar_id not in found]
        if missing:
            raise CalendarNotUsable(
                f"The location has no calendar {', '.join(missing)}. GHL shows a calendar's id under Settings, Calendars; "
                "correct GHL_DEFAULT_CALENDAR_ID or [calendars] in salon.toml."
            )
        team = Team(found)
        alone = [calendar_id for calendar_id in wanted if team.member(calendar_id, self._rules.user) is None]
        if alone:
            raise CalendarNotUsable(
                f"GHL_DEFAULT_USER_ID is not in the team of calendar {', '.join(alone)}, so appointments of stylists "
                "without a user of their own can be assigned to nobody. Add the user to the calendar's team in GHL, or set "
                "another one."
            )
        return team


def _with_reasons(plan: EventPlan, of_clients: Mapping[str, Outcome]) -> EventPlan:
    """The plan with what its clients' outcomes mean for appointments that wait for them; those wait no longer."""
    over = {item: of_clients[client] for item, client in plan.waiting.items() if client in of_clients}
    waiting = {item: client for item, client in plan.waiting.items() if item not in over}
    # One whose event stands on another contact keeps the outcome that it has there.
    told = {item: outcome for item, outcome in over.items() if plan.settled.get(item) == Deferred(NO_CONTACT)}
    return replace(plan, settled={**plan.settled, **told}, waiting=waiting)


def _as_judged(plan: EventPlan, before: EventPlan) -> EventPlan:
    """A plan made anew, with what the one before it said of appointments whose client was not to be brought."""
    said = {
        item: before.settled[item]
        for item, outcome in plan.settled.items()
        if outcome == Deferred(NO_CONTACT) and item in before.settled and item not in before.waiting
    }
    waiting = {item: client for item, client in plan.waiting.items() if item not in said}
    return replace(plan, settled={**plan.settled, **said}, waiting=waiting)


def _live_at(connection: Connection, location_id: str) -> datetime | None:
    return connection.execute(
        text("select live_at from ghl_locations where location_id = :location_id and mode = 'live'"),
        {"location_id": location_id},
    ).scalar_one_or_none()
