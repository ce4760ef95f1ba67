"""Write one event: under its lock, journalled before it is sent, its answer compared and kept.

Belongs here: create, update, cancel and move of an event, and what each answer of GHL proves. Does not: the order of many
(`appointments`), what should be written (`planner`), our tables (`keeper`).

GHL makes the same appointment twice if it is asked twice. So a create is journalled, and one without an answer is looked up
among the calendar's events before anything is repeated (safety S15).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Lock

import structlog

from phorest_ghl.db.transactions import under_lock
from phorest_ghl.ghl.calendars import CalendarClient, Event, EventWrite
from phorest_ghl.http.errors import MEETS_EVERY_CALL, ApiError, Category
from phorest_ghl.sync.events.keeper import REJECTED, UNKNOWN, EventKeeper, intent_keys
from phorest_ghl.sync.events.plan import GONE, NEVER, STILL_STANDS, EventAction, EventChange, Finding
from phorest_ghl.sync.events.projection import (
    CALENDAR,
    CANCELLED,
    DESCRIPTION,
    END,
    START,
    STATUS,
    TITLE,
    USER,
    DesiredEvent,
    moment_text,
    value_hash,
)
from phorest_ghl.sync.journal import Intent
from phorest_ghl.sync.outcomes import Applied, Deferred, Failed, Outcome, Rejected, Skipped, Unchanged
from phorest_ghl.sync.refusals import told

_log = structlog.get_logger(__name__)

_TOLERANCE = timedelta(seconds=5)
_CONTACT_GONE = "its contact is gone from GHL"
_NO_LONGER = "another run has given the appointment another event"
_UNSURE = "an event like it is in GHL and cannot be told from other people's; look at the calendar"


class Unsure(Exception):
    """An event of the kind that was sent is there, and nothing proves that it is ours."""


@dataclass(frozen=True)
class GhlClock:
    """GHL's clock: what one of its answers said, and the time that has passed since."""

    said: datetime
    at: float

    @classmethod
    def reading(cls, said: datetime | None) -> "GhlClock":
        """From an answer's `Date` header (aware); where it does not say, this machine's clock."""
        return cls(said or datetime.now(UTC), time.monotonic())

    def now(self) -> datetime:
        """Its time now."""
        return self.said + timedelta(seconds=time.monotonic() - self.at)


class EventWriter:
    """Writes events of one location. Used from several threads.

    `bulk` marks a first load, which stops when the day's quota runs low (S22); `lag_s` is GHL's lag in seconds.
    """

    def __init__(
        self,
        client: CalendarClient,
        keeper: EventKeeper,
        clock: GhlClock,
        *,
        bulk: bool = False,
        lag_s: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._keeper = keeper
        self._clock = clock
        self._bulk = bulk
        self._lag_s = lag_s
        self._sleep = sleep
        self._first = Lock()
        self._creator_known = False

    def write(self, change: EventChange) -> Outcome:
        """Carry out one change. Raises ApiError for what the run has to judge, RecordBusy while another run has the record."""
        actions = {
            EventAction.CREATE: self._create,
            EventAction.SETTLE: self._create,
            EventAction.UPDATE: self._update,
            EventAction.CANCEL: self._update,
            EventAction.MOVE: self._move,
        }
        key = f"{self._keeper.ledger.location_id}:appointment:{change.phorest_id}"
        return under_lock(self._keeper.engine, [key], lambda: actions[change.action](change))

    def finish_moves(self) -> None:
        """Cancel what earlier moves have left standing because they were cut off (S3).

        One that GHL refuses to cancel is a finding and holds up nothing else. Raises ApiError for what meets every call.
        """
        for phorest_id, old in self._keeper.unfinished_moves().items():
            try:
                self._leave(phorest_id, old)
            except ApiError as error:
                if error.category in MEETS_EVERY_CALL:
                    raise
                _log.warning("move_not_finished", phorest_id=phorest_id, ghl_id=old, category=error.category.value)
                detail = {"refused": error.category.value}
                self._keeper.findings([Finding(STILL_STANDS, phorest_id, old, detail)])

    def _create(self, change: EventChange) -> Outcome:
        if self._keeper.mapping(change.phorest_id) is not None:
            return Unchanged()  # another run made it between this plan and now
        return self._make(change)

    def _move(self, change: EventChange) -> Outcome:
        """The new event is made and mapped first, then the old one is cancelled in silence (S3)."""
        mapping = self._keeper.mapping(change.phorest_id)
        if mapping is None or mapping.ghl_id != change.ghl_id:
            return Skipped(_NO_LONGER)
        outcome = self._make(change)
        if isinstance(outcome, Applied):
            self._leave(change.phorest_id, str(change.ghl_id))
        return outcome

    def _leave(self, phorest_id: str, old_id: str) -> None:
        old: Event | None = None
        try:
            old = self._client.update_event(old_id, EventWrite(notify=False, status=CANCELLED)).event
        except ApiError as error:
            if error.category is not Category.GONE:
                raise
        self._keeper.move_finished(phorest_id, old, old_id)

    def _make(self, change: EventChange) -> Outcome:
        """Send a create, after an earlier one without an answer was looked up."""
        desired = change.desired
        intent = self._keeper.open_intent(change.phorest_id)
        if intent is not None and intent.state != "planned":
            _log.info("create_unsettled", phorest_id=change.phorest_id, state=intent.state, attempts=intent.attempts)
            try:
                found = self._look_up(desired, intent)
            except Unsure:
                self._keeper.waits(desired, UNKNOWN, _UNSURE)
                return Deferred(_UNSURE)
            if found is not None:
                return self._proved(change, found)
        if intent is not None:
            self._keeper.settle_intent(change.phorest_id, "withdrawn", detail="never arrived")
        if change.action is EventAction.SETTLE:
            return Skipped(NEVER)
        self._keeper.sending(desired, self._clock.now())
        try:
            answer = self._client.create_event(_whole(change), bulk=self._bulk)
        except ApiError as error:
            return self._not_made(change, error)
        self._keeper.kept(
            change, _completed(answer.event, desired), action=change.action.value, vendor_date=answer.date
        )
        self._note_creator(answer.event)
        return Applied()

    def _not_made(self, change: EventChange, error: ApiError) -> Outcome:
        desired, phorest_id = change.desired, change.phorest_id
        if error.category is Category.UNKNOWN_OUTCOME:
            self._keeper.settle_intent(phorest_id, "unknown")
            self._keeper.waits(desired, UNKNOWN, "the answer to a create was lost; the next run looks it up")
            raise error
        if error.category is Category.GONE:
            self._keeper.settle_intent(phorest_id, "refused", detail=error.category.value)
            return Deferred(_CONTACT_GONE)
        if error.category in (Category.INVALID, Category.DUPLICATE):
            # A refusal that may have made it all the same (facts/ghl-api §3, issue 64): look before believing it.
            intent = self._keeper.open_intent(phorest_id)
            try:
                found = None if intent is None else self._look_up(desired, intent)
            except Unsure:
                self._keeper.waits(desired, UNKNOWN, _UNSURE)
                return Deferred(_UNSURE)
            if found is not None:
                return self._proved(change, found)
            self._keeper.settle_intent(phorest_id, "refused", detail=f"invalid {error.status}")
            return self._rejected(desired, error)
        self._keeper.settle_intent(phorest_id, "withdrawn", detail=error.category.value)
        raise error

    def _look_up(self, desired: DesiredEvent, intent: Intent) -> Event | None:
        """The event of an unsettled create, by what it was sent with; None where there is none. Raises Unsure, ApiError."""
        keys = list(intent.address_keys) or intent_keys(self._keeper.keyring, desired)
        contact, calendar, start, title = keys
        if intent.sent_at is not None:
            self._sleep(max(0.0, self._lag_s - (datetime.now(UTC) - intent.sent_at).total_seconds()))
        moment = datetime.fromisoformat(start)
        alike = [
            event
            for event in self._client.events(calendar, moment, moment + timedelta(seconds=1))
            if event.contact_id == contact
            and moment_text(event.starts_at) == start
            and value_hash(self._keeper.keyring, TITLE, event.title or "") == title
        ]
        found = self._keeper.strangers(alike)
        if not found:
            return None
        since = (intent.vendor_date or intent.sent_at or self._clock.now()) - _TOLERANCE
        young = [event for event in found if event.date_added is None or event.date_added >= since]
        if not young:
            return None  # they were there before we asked for ours
        creator = self._keeper.creator()
        rivals = self._keeper.rival_intents(desired.phorest_id, keys)
        (first, *more) = young
        proved = first.date_added is not None and creator is not None and first.created_by == creator
        if more or rivals or not proved:
            raise Unsure
        return first

    def _proved(self, change: EventChange, event: Event) -> Outcome:
        """The create happened. What differs since is the next plan's; what it told the client, it has told."""
        self._keeper.kept(change, event, action="confirmed by look-up", proved=True)
        return Applied()

    def _note_creator(self, event: Event) -> None:
        """Once for a location: who GHL says made an event of ours, so that a lost one can be told from others' (S15)."""
        with self._first:
            if self._creator_known:
                return
            if self._keeper.creator() is None:
                try:
                    self._keeper.made_by(self._client.event(event.id))
                except ApiError as error:
                    _log.warning("creator_not_read", ghl_id=event.id, category=error.category.value)
                    return
            self._creator_known = True

    def _update(self, change: EventChange) -> Outcome:
        mapping = self._keeper.mapping(change.phorest_id)
        ghl_id = str(change.ghl_id)
        if mapping is None or mapping.ghl_id != ghl_id:
            return Skipped(_NO_LONGER)
        write = _changed(change)
        try:
            answer = self._client.update_event(ghl_id, write)
        except ApiError as error:
            if error.category is Category.GONE:
                self._keeper.gone(change.phorest_id, ghl_id)
                return Skipped(GONE)
            if error.category is Category.UNKNOWN_OUTCOME:
                return self._arrived(change, ghl_id)
            if error.category in (Category.INVALID, Category.DUPLICATE):
                return self._rejected(change.desired, error)
            raise
        event = _completed(answer.event, change.desired)
        self._keeper.kept(change, event, action=change.action.value, vendor_date=answer.date)
        return Applied()

    def _arrived(self, change: EventChange, ghl_id: str) -> Outcome:
        """An update that may tell a client is not sent twice: read whether it arrived."""
        event = self._client.event(ghl_id)
        held = {
            CALENDAR: event.calendar_id,
            TITLE: event.title,
            DESCRIPTION: event.description,
            START: moment_text(event.starts_at),
            END: moment_text(event.ends_at),
            STATUS: event.status,
            USER: event.user_id,
        }
        if any((held[diff.name] or "") != diff.after for diff in change.diffs):
            return Failed(Category.UNKNOWN_OUTCOME.value)
        self._keeper.kept(change, event, action=change.action.value)
        return Applied()

    def _rejected(self, desired: DesiredEvent, error: ApiError) -> Outcome:
        read = told(error)
        self._keeper.waits(desired, REJECTED, f"{read.detail}; not sent again until it changes")
        return Rejected(read.reason, read.detail)


def _whole(change: EventChange) -> EventWrite:
    desired = change.desired
    return EventWrite(
        notify=change.decision.notify,
        calendar_id=desired.calendar_id,
        contact_id=desired.contact_id,
        title=desired.title,
        description=desired.description,
        status=desired.status,
        user_id=desired.user_id,
        starts_at=desired.starts_at,
        ends_at=desired.ends_at,
    )


def _changed(change: EventChange) -> EventWrite:
    """The fields of a change; times go together, for GHL moves the end with a start that comes alone."""
    whole, names = _whole(change), set(change.field_names)
    times = bool(names & {START, END})
    return EventWrite(
        notify=whole.notify,
        calendar_id=whole.calendar_id if CALENDAR in names else None,
        title=whole.title if TITLE in names else None,
        description=whole.description if DESCRIPTION in names else None,
        status=whole.status if STATUS in names else None,
        user_id=whole.user_id if USER in names else None,
        starts_at=whole.starts_at if times else None,
        ends_at=whole.ends_at if times else None,
    )


def _completed(event: Event, desired: DesiredEvent) -> Event:
    """An answer with what answers to writes leave out (facts/ghl-api §11.2), as it was sent."""
    return event if event.description is not None else event.model_copy(update={"description": desired.description})


def silent(change: EventChange, reason: str) -> EventChange:
    """The same change, of which nobody is told."""
    return replace(change, decision=replace(change.decision, notify=False, reason=reason), told=None)
