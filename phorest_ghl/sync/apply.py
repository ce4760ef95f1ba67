"""Carry out a plan: each change journalled before it is sent, its answer compared and kept before the next one.

Belongs here: the order of work. Does not: how one contact is written (`contact_writer`), the workers and what an error means
for the run (`workers`), deciding what to change (`plan`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from phorest_ghl.http.errors import ApiError
from phorest_ghl.sync.contact_updater import UNGUARDED
from phorest_ghl.sync.contact_writer import ContactWriter
from phorest_ghl.sync.outcomes import Applied as Done
from phorest_ghl.sync.outcomes import Failed, Outcome, Rejected, Tally
from phorest_ghl.sync.plan import PRESENT, Action, Plan, PlannedChange
from phorest_ghl.sync.tags import TagChange
from phorest_ghl.sync.workers import WORKERS, Workers


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
        self._workers = Workers(writer.write, workers=workers)
        self._progress = progress

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
            for change, answered in self._workers.run(phase):
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
        return Applied(tally, self._workers.stopped)

    def _guard(self, plan: Plan) -> Mapping[str, str]:
        """The guard tag on every present contact that is about to be written to; those that GHL did not put it on (S1)."""
        if not plan.to_guard:
            return {}
        try:
            return self._writer.guard(plan.to_guard).refused
        except ApiError as error:
            self._workers.end(error)
            return {}

    def _tag(self, tagging: Sequence[PlannedChange], tally: Tally) -> None:
        """Tags last, by bulk calls, so that nobody's automation sees a contact that is half written."""
        wanted = {
            TagChange(change.desired.phorest_id, str(change.ghl_id), diff.name, diff.after == PRESENT): change
            for change in tagging
            for diff in change.tag_diffs
        }
        stopped: Outcome | None = self._workers.held_back() if self._workers.ended else None
        refused: dict[int, str] = {}
        if stopped is None:
            try:
                answers = self._writer.send_tags(wanted)
            except ApiError as error:
                self._workers.end(error)
                stopped = self._workers.held_back()
            else:
                refused = {id(wanted[tag]): reason for tag, reason in answers.items() if reason is not None}
        for change in tagging:
            unconfirmed: Outcome | None = Failed("GHL did not confirm a tag") if id(change) in refused else None
            self._finished(change, stopped or unconfirmed or Done(), tally)

    def _finished(self, change: PlannedChange, outcome: Outcome, tally: Tally) -> None:
        if outcome.kind == "applied":
            self._writer.finish(change)
        _settle(tally, change, outcome)


def _settle(tally: Tally, change: PlannedChange, outcome: Outcome) -> None:
    for item in change.item_ids:
        tally.settle(item, outcome)
