"""Carry out a plan: each change journalled before it is sent, its answer compared and kept before the next one.

Belongs here: the order of work, the workers, what an error means for an item and for the run. Does not: how one contact
is written (`contact_writer`), deciding what to change (`plan`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from threading import Event

import structlog

from phorest_ghl.db.engine import RecordBusy
from phorest_ghl.http.errors import MEETS_EVERY_CALL, ApiError, Category
from phorest_ghl.sync.contact_updater import UNGUARDED
from phorest_ghl.sync.contact_writer import ContactWriter
from phorest_ghl.sync.outcomes import Applied as Done
from phorest_ghl.sync.outcomes import Deferred, Failed, Outcome, Rejected, Tally
from phorest_ghl.sync.plan import PRESENT, Action, Plan, PlannedChange
from phorest_ghl.sync.tags import TagChange

_log = structlog.get_logger(__name__)

WORKERS = 8
"""Writes in flight: enough to hide 500 ms of latency at GHL's ten requests a second (facts/ghl-api §4)."""


@dataclass(frozen=True)
class Applied:
    """What applying did: the outcomes, and why it ended early if it did."""

    tally: Tally
    stopped: ApiError | None


class Applier:
    """Applies one plan with a few workers, updates before creates: an update may free the address that a create needs."""

    def __init__(
        self, writer: ContactWriter, *, workers: int = WORKERS, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self._writer = writer
        self._workers = workers
        self._progress = progress
        self._stop = Event()
        self._stopped: ApiError | None = None

    def apply(self, plan: Plan, tally: Tally) -> Applied:
        """Carry the plan out; every item of `tally` has its outcome afterwards.

        Raises whatever is no vendor's refusal (the database is gone, consent was not honoured, a defect); what was done
        until then is in the journal.
        """
        for item, outcome in plan.settled.items():
            tally.settle(item, outcome)
        unguarded = self._guard(plan)
        present = [change for change in plan.changes if change.action is not Action.CREATE]
        new = [change for change in plan.changes if change.action is Action.CREATE]
        done = 0
        tagging: list[PlannedChange] = []
        for phase in (present, new):
            for change, answered in self._run(phase):
                barred = (
                    change.ghl_id in unguarded and bool(change.tag_diffs) and answered.kind in ("applied", "unchanged")
                )
                outcome = Rejected(UNGUARDED) if barred else answered
                if change.tag_diffs and outcome.kind in ("applied", "unchanged"):
                    tagging.append(change)  # its outcome is known when its tags are on
                else:
                    self._finished(change, outcome, tally)
                done += 1
                if self._progress:
                    self._progress(done, len(plan.changes))
        self._tag(tagging, tally)
        return Applied(tally, self._stopped)

    def _guard(self, plan: Plan) -> Mapping[str, str]:
        """The guard tag on every present contact that is about to be written to; those that GHL did not put it on (S1)."""
        if not plan.to_guard:
            return {}
        try:
            return self._writer.guard(plan.to_guard).refused
        except ApiError as error:
            self._end(error)
            return {}

    def _tag(self, tagging: Sequence[PlannedChange], tally: Tally) -> None:
        """Tags last, by bulk calls, so that nobody's automation sees a contact that is half written."""
        wanted = {
            TagChange(change.desired.phorest_id, str(change.ghl_id), diff.name, diff.after == PRESENT): change
            for change in tagging
            for diff in change.tag_diffs
        }
        stopped: Outcome | None = self._held_back() if self._stop.is_set() else None
        refused: dict[int, str] = {}
        if stopped is None:
            try:
                answers = self._writer.send_tags(wanted)
            except ApiError as error:
                self._end(error)
                stopped = self._held_back()
            else:
                refused = {id(wanted[tag]): reason for tag, reason in answers.items() if reason is not None}
        for change in tagging:
            unconfirmed: Outcome | None = Failed("GHL did not confirm a tag") if id(change) in refused else None
            self._finished(change, stopped or unconfirmed or Done(), tally)

    def _finished(self, change: PlannedChange, outcome: Outcome, tally: Tally) -> None:
        if outcome.kind == "applied":
            self._writer.finish(change)
        _settle(tally, change, outcome)

    def _run(self, changes: Iterable[PlannedChange]) -> Iterable[tuple[PlannedChange, Outcome]]:
        """Changes and their outcomes as they come; a few are in flight, so that a plan of any size takes little memory."""
        todo = iter(changes)
        with ThreadPoolExecutor(self._workers, thread_name_prefix="apply") as pool:
            flying: dict[Future[Outcome], PlannedChange] = {}
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

    def _one(self, change: PlannedChange) -> Outcome:
        if self._stop.is_set():
            return self._held_back()
        try:
            return self._writer.write(change)
        except RecordBusy:
            return Deferred("another run is working on this record")
        except ApiError as error:
            return self._refused(change, error)

    def _refused(self, change: PlannedChange, error: ApiError) -> Outcome:
        """What an error that the writer could not settle means: for this item, and for all that follow."""
        _log.warning(
            "change_not_applied",
            phorest_id=change.desired.phorest_id,
            ghl_id=change.ghl_id,
            action=change.action.value,
            category=error.category.value,
            status=error.status,
            trace_id=error.trace_id,
        )
        if error.category in MEETS_EVERY_CALL:
            self._end(error)
        if error.category is Category.QUOTA_EXHAUSTED:
            return Deferred("GHL's daily quota", _tomorrow())
        return Failed(error.category.value)

    def _end(self, error: ApiError) -> None:
        """Nothing more is begun in this run."""
        self._stopped = self._stopped or error
        self._stop.set()

    def _held_back(self) -> Outcome:
        category = self._stopped.category if self._stopped else None
        if category is Category.QUOTA_EXHAUSTED:
            return Deferred("GHL's daily quota", _tomorrow())
        return Deferred(f"the run stopped early ({category.value if category else 'a defect'})")


def _settle(tally: Tally, change: PlannedChange, outcome: Outcome) -> None:
    for item in change.item_ids:
        tally.settle(item, outcome)


def _tomorrow() -> datetime:
    """The next UTC midnight, when the daily quota is assumed to start anew (facts/ghl-api §4)."""
    return datetime.combine(datetime.now(UTC).date() + timedelta(days=1), time(), UTC)
