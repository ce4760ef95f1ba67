"""A few workers who carry changes out, whichever entity they are of, and what an error means for one and for the rest.

Belongs here: how many are in flight, when nothing more is begun. Does not: how a change is written, outcomes of a plan.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from threading import Event
from typing import Generic, TypeVar

import structlog

from phorest_ghl.db.engine import RecordBusy
from phorest_ghl.http.errors import MEETS_EVERY_CALL, ApiError, Category
from phorest_ghl.sync.outcomes import Deferred, Failed, Outcome
from phorest_ghl.sync.summary import Changed

_log = structlog.get_logger(__name__)
C = TypeVar("C", bound=Changed)

WORKERS = 8
"""Writes in flight: enough to hide 500 ms of latency at GHL's ten requests a second (facts/ghl-api §4)."""


class Workers(Generic[C]):
    """Carries changes out by `write`, until an error that would meet every further call too."""

    def __init__(self, write: Callable[[C], Outcome], *, workers: int = WORKERS) -> None:
        self._write = write
        self._workers = workers
        self._stop = Event()
        self.stopped: ApiError | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more is begun in this run."""
        return self._stop.is_set()

    def run(self, changes: Iterable[C]) -> Iterable[tuple[C, Outcome]]:
        """Changes and their outcomes as they come; a few are in flight, so that a plan of any size takes little memory.

        Raises whatever `write` raises and is no vendor's refusal.
        """
        todo = iter(changes)
        with ThreadPoolExecutor(self._workers, thread_name_prefix="apply") as pool:
            flying: dict[Future[Outcome], C] = {}
            try:
                while True:
                    for change in islice(todo, 2 * self._workers - len(flying)):
                        flying[pool.submit(copy_context().run, self._one, change)] = change
                    if not flying:
                        return
                    for future in wait(flying, return_when=FIRST_COMPLETED).done:
                        yield flying.pop(future), future.result()
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def end(self, error: ApiError) -> None:
        """Nothing more is begun in this run."""
        self.stopped = self.stopped or error
        self._stop.set()

    def held_back(self) -> Outcome:
        """The outcome of what a run that has ended does not come to."""
        category = self.stopped.category if self.stopped else None
        if category is Category.QUOTA_EXHAUSTED:
            return Deferred("GHL's daily quota", _tomorrow())
        return Deferred(f"the run stopped early ({category.value if category else 'a defect'})")

    def _one(self, change: C) -> Outcome:
        if self._stop.is_set():
            return self.held_back()
        try:
            return self._write(change)
        except RecordBusy:
            return Deferred("another run is working on this record")
        except ApiError as error:
            return self._refused(change, error)

    def _refused(self, change: C, error: ApiError) -> Outcome:
        """What an error that the writer could not settle means: for this item, and for all that follow."""
        _log.warning(
            "change_not_applied",
            phorest_id=change.phorest_id,
            ghl_id=change.ghl_id,
            action=change.action.value,
            category=error.category.value,
            status=error.status,
            trace_id=error.trace_id,
        )
        if error.category in MEETS_EVERY_CALL:
            self.end(error)
        if error.category is Category.QUOTA_EXHAUSTED:
            return Deferred("GHL's daily quota", _tomorrow())
        return Failed(error.category.value)


def _tomorrow() -> datetime:
    """The next UTC midnight, when the daily quota is assumed to start anew (facts/ghl-api §4)."""
    return datetime.combine(datetime.now(UTC).date() + timedelta(days=1), time(), UTC)
