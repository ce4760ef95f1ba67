"""The budget that all processes share: one row of `api_budget`, locked for the moment of a decision.

Belongs here: the row, the connection, waiting. Does not: who goes when (`budget_rules`), the table (a migration).

Every process has one connection and one caller a lane that asks; the others of that lane queue behind it, so the row is
asked a few times a second however many threads there are. Where departures are only moments apart, one asks for several.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import psycopg
import structlog

from phorest_ghl.http.budget import Lane, Limits
from phorest_ghl.http.budget_reserved import ReservedDepartures
from phorest_ghl.http.budget_rules import Departure, Exhausted, Verdict, absorb, decide_together, pause
from phorest_ghl.http.budget_state import BudgetState, dump_state, load_state
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.http.rate_headers import Reading, read_rate_headers

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_LATE_S = 0.1  # a departure missed by more would crowd those after it, so its caller asks again
_LATE_TRIES = 3
_LONGEST_WAIT_S = 120.0  # a run that waits longer holds up the next one; it had better fail and come back
_RECONNECT_S = 30.0
_RECONNECT_PAUSE_S = 0.25
# A lost commit costs a moment's reservations, a disk flush on each request would cost more; a process that was stopped
# while it held the row must not stop the others.
_SETTINGS = "set synchronous_commit = off; set idle_in_transaction_session_timeout = 2000; set lock_timeout = 10000"
_NEW_ROW = "insert into api_budget (key, state, updated_at) values (%s, '{}', clock_timestamp()) on conflict do nothing"


class BudgetUnavailableError(Exception):
    """The database that holds the budget cannot be reached; nothing is sent without it. The text is a sentence."""


class PostgresBudget:
    """A budget shared by every thread and process that names the same key.

    Args:
        dsn: a libpq connection string or URL.
        key: which bucket: a GHL location or a Phorest credential, without secrets.
        limits: the quota and our share.
        sleep: waits so many seconds.
        clock: seconds of a monotonic clock, for delays only: moments are the database's.
    """

    def __init__(
        self,
        dsn: str,
        key: str,
        limits: Limits,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dsn = dsn
        self._key = key
        self._limits = limits
        self._sleep = sleep
        self._clock = clock
        self._start_over()

    def acquire(self, lane: Lane, *, bulk: bool = False) -> None:
        """Return when the request may leave.

        Raises:
            ApiError: QUOTA_EXHAUSTED, or RATE_LIMITED when a vendor's refusal holds everybody back for more than 120
                seconds; `retry_after` says in how many seconds to come back.
            BudgetUnavailableError: the database was away for more than 30 seconds.
        """
        for _ in range(_LATE_TRIES):  # on a machine that is always late the last one leaves all the same
            delay = self._reserve(lane, bulk=bulk)
            due = self._clock() + delay
            if delay > 0:
                self._sleep(delay)
            if self._clock() - due <= _LATE_S:
                return

    def observe(self, headers: Mapping[str, str]) -> None:
        """Take note of an answer's headers, for all processes: with the next request, or at once if nothing is left.

        Never raises: without the database the note is kept for the next request.
        """
        reading = read_rate_headers(headers)
        if reading is None:
            return
        self._reading = (reading, self._clock())
        if reading.urgent:
            self._reserved.give_up()
            try:
                self._change(lambda state, now: (self._noted(state, now), None))
            except BudgetUnavailableError as error:
                # The answer at hand may be of a create that happened; it must not be lost over its headers.
                self._reading = (reading, self._clock())
                _log.warning("budget_headers_kept_back", key=self._key, error=str(error))

    def pause(self, seconds: float) -> None:
        """Hold everybody back for so many seconds, in all processes."""
        self._reserved.give_up()
        self._change(lambda state, now: (pause(state, now, seconds), None))
        _log.info("budget_paused", key=self._key, seconds=round(seconds, 3))

    def state(self) -> BudgetState:
        """The bucket as it is now, for status reports."""
        return self._change(lambda state, _: (state, state))

    def close(self) -> None:
        """Close the connection; a later request opens it again."""
        with self._lock:
            self._disconnect()

    def _notice_fork(self) -> None:
        if os.getpid() != self._pid:
            self._start_over()  # in a forked child the parent's connection and locks are not ours

    def _start_over(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._turns = {lane: threading.Lock() for lane in Lane}
        self._connection: psycopg.Connection[Any] | None = None
        self._reading: tuple[Reading, float] | None = None
        self._reserved = ReservedDepartures(keeps_s=_LATE_S)

    def _reserve(self, lane: Lane, *, bulk: bool) -> float:
        """Get a departure; the seconds until it."""
        self._notice_fork()
        with self._turns[lane]:
            here = self._clock()
            reserved = self._reserved.take((lane, bulk), here)
            if reserved is not None:
                return max(0.0, reserved - here)
            while True:
                verdict, more, now = self._change(lambda state, now: self._decided(state, lane, now, bulk=bulk))
                if isinstance(verdict, Departure):
                    here = self._clock()
                    self._reserved.keep((lane, bulk), [here + at - now for at in more])
                    return verdict.at - now
                if isinstance(verdict, Exhausted):
                    raise self._exhausted(verdict, now, bulk=bulk)
                if verdict.seconds > _LONGEST_WAIT_S:
                    raise self._paused(verdict.seconds)
                # Processes that wait for the same slot would otherwise arrive in the same order for ever.
                self._sleep(verdict.seconds + random.random() * 0.005)  # noqa: S311 - no secret

    def _decided(
        self, state: BudgetState, lane: Lane, now: float, *, bulk: bool
    ) -> tuple[BudgetState, tuple[Verdict, tuple[float, ...], float]]:
        state, verdict, more = decide_together(
            self._noted(state, now),
            lane,
            now,
            self._limits,
            bulk=bulk,
            at_most=self._reserved.worth_reserving((lane, bulk), self._clock()),
        )
        return state, (verdict, more, now)

    def _noted(self, state: BudgetState, now: float) -> BudgetState:
        """The state with the last answer's headers in it, if they are not in it yet."""
        noted, self._reading = self._reading, None
        if noted is None:
            return state
        reading, seen = noted
        return absorb(state, reading, max(0.0, self._clock() - seen), now, self._limits)

    def _exhausted(self, verdict: Exhausted, now: float, *, bulk: bool) -> ApiError:
        until = datetime.fromtimestamp(verdict.until, UTC)
        kept = (
            f", and bulk work leaves {self._limits.bulk_daily_floor:.0%} to the rest" if bulk and verdict.left else ""
        )
        return ApiError(
            Category.QUOTA_EXHAUSTED,
            api=self._key,
            operation="the request budget",
            retry_after=verdict.until - now,
            reason=f"{verdict.left} of {verdict.daily} requests are left today{kept}; next try at {until:%H:%M} UTC",
        )

    def _paused(self, seconds: float) -> ApiError:
        return ApiError(
            Category.RATE_LIMITED,
            api=self._key,
            operation="the request budget",
            retry_after=seconds,
            reason=f"the vendor asked everybody to wait, {seconds:.0f} s from now",
        )

    def _change(self, change: Callable[[BudgetState, float], tuple[BudgetState, T]]) -> T:
        """Read, change and write the row in one transaction, again on a new connection if the server went away."""
        self._notice_fork()
        with self._lock:
            deadline = self._clock() + _RECONNECT_S
            while True:
                try:
                    return self._transact(self._connected(), change)
                except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                    self._disconnect()
                    if self._clock() + _RECONNECT_PAUSE_S > deadline:
                        away = f"it did not answer for {_RECONNECT_S:.0f} s ({type(error).__name__}); start it"
                        raise self._unavailable(away) from None
                    _log.info("budget_reconnects", key=self._key, error=type(error).__name__)
                    self._sleep(_RECONNECT_PAUSE_S)
                except psycopg.errors.UndefinedTable:
                    self._disconnect()
                    raise self._unavailable("it lacks the table api_budget; run its migrations") from None
                except BaseException:
                    self._disconnect()  # else the row would stay locked
                    raise

    def _unavailable(self, why: str) -> BudgetUnavailableError:
        return BudgetUnavailableError(
            f"The database of the request budget {self._key} cannot be used: {why}, then run again. Nothing was sent."
        )

    def _transact(
        self, connection: psycopg.Connection[Any], change: Callable[[BudgetState, float], tuple[BudgetState, T]]
    ) -> T:
        with connection.cursor() as cursor:
            # The clock is a statement of its own: in the first one it would be read before the lock was had.
            cursor.execute(
                "begin; select state::text from api_budget where key = %s for update;"
                "select extract(epoch from clock_timestamp())::float8",
                [self._key],
            )
            cursor.nextset()
            row = cursor.fetchone()
            cursor.nextset()
            moment = cursor.fetchone()
            if row is None or moment is None:
                # The first request of this bucket, or the row was deleted: without one nothing would be locked.
                cursor.execute("rollback")
                cursor.execute(_NEW_ROW, [self._key])
                return self._transact(connection, change)
            state, result = change(load_state(row[0]), moment[0])
            cursor.execute(
                "update api_budget set state = %s::jsonb, updated_at = clock_timestamp() where key = %s; commit",
                [dump_state(state), self._key],
            )
            return result

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            # Statements go out as text, several at a time: one decision is two round trips instead of five.
            self._connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=5,
                application_name="phorest-ghl budget",
                cursor_factory=psycopg.ClientCursor[Any],
            )
            self._connection.execute(_SETTINGS)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
