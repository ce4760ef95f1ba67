"""What a run leaves behind for people: one summary row, and one log row for every item that changed or failed.

Belongs here: `sync_run_summaries` and `sync_logs`, as operators know them. Does not: provenance (`journal`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

import orjson
from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.pauses import require_running
from phorest_ghl.db.run_lock import at_work
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.http.errors import ApiError
from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.outcomes import Failed, Outcome, Tally

DIRECTION = "phorest_to_ghl"
Status = Literal["completed", "failed", "partial"]

_LOG_STATUS: Mapping[str, str] = {
    "applied": "success",
    "failed": "failed",
    "rejected": "skipped",
    "deferred": "skipped",
}
"""How kinds of outcome are logged; the others are no change and no failure, and leave no row."""


class Changed(Protocol):
    """One change of a plan, whichever entity it is of."""

    @property
    def phorest_id(self) -> str:
        """The record that it is of."""
        ...

    @property
    def ghl_id(self) -> str | None:
        """The GHL object that it is written to; None where there is none yet."""
        ...

    @property
    def action(self) -> StrEnum:
        """What it does in GHL."""
        ...

    @property
    def field_names(self) -> Sequence[str]:
        """The fields that it changes, sorted."""
        ...

    @property
    def item_ids(self) -> Sequence[str]:
        """The items whose outcome it decides."""
        ...


class Planned(Protocol):
    """The changes of one entity."""

    @property
    def changes(self) -> Sequence[Changed]:
        """One for each record that is to be written."""
        ...

    def counts(self) -> dict[str, int]:
        """Changes by action; every action is there."""
        ...


@dataclass(frozen=True)
class RunResult:
    """What one run of one entity did. `seconds` is wall time; `error` is why it ended early, as a sentence."""

    batch_id: str
    total: int
    outcomes: Mapping[str, int]
    reasons: Mapping[str, Mapping[str, int]]
    changes: Mapping[str, int]
    requests: int
    seconds: float
    status: Status
    error: str | None
    stopped: ApiError | None = None

    @property
    def needs_a_person(self) -> bool:
        """Whether somebody has to look: something was rejected or failed, or the run ended early."""
        return bool(self.outcomes["rejected"] or self.outcomes["failed"] or self.error)


def _interrupted(error: BaseException) -> Outcome:
    """The outcome of items that a run never came to, because it was ended by `error`."""
    return Failed(f"the run ended early ({type(error).__name__})")


@dataclass(frozen=True)
class Run:
    """One run of one entity, to be summed up once, when it ends."""

    ledger: Ledger
    started_at: datetime
    job_id: str | None = None

    def carried_out(
        self,
        engine: Engine,
        plan: Planned,
        items: Iterable[str],
        work: Callable[[Tally], ApiError | None],
        *,
        requests: Callable[[], int],
    ) -> RunResult:
        """Do the work of a run beside others on its location, and sum it up, also where it ends early.

        Args:
            engine: the database.
            plan: what the run carries out.
            items: everything that enters it.
            work: settles the items, and says why it ended early if it did.
            requests: how many were sent so far.

        Raises Paused before anything is done; afterwards what `work` raises, after what it never came to has that as its
        outcome.
        """
        require_running(engine, self.ledger.location_id, self.ledger.entity_type)
        tally, before = Tally(list(items)), requests()
        try:
            with at_work(engine, self.ledger.location_id):
                stopped = work(tally)
        except BaseException as error:
            for item in tally.pending():
                tally.settle(item, _interrupted(error))
            self.write(engine, plan, tally, requests=requests() - before, error=error)
            raise
        return self.write(engine, plan, tally, requests=requests() - before, error=stopped)

    def write(
        self, engine: Engine, plan: Planned, tally: Tally, *, requests: int, error: BaseException | None
    ) -> RunResult:
        """Write the summary and the log. Raises CountsDisagree if an item has no outcome."""
        counts = tally.counts()
        ended = datetime.now(UTC)
        result = RunResult(
            batch_id=self.ledger.batch_id,
            total=tally.total,
            outcomes=counts,
            reasons=tally.reasons(),
            changes=plan.counts(),
            requests=requests,
            seconds=(ended - self.started_at).total_seconds(),
            status=_status(counts, error),
            # Our own errors are sentences without personal values; of others only the kind may be shown.
            error=None if error is None else str(error) if isinstance(error, ApiError) else type(error).__name__,
            stopped=error if isinstance(error, ApiError) else None,
        )
        in_transaction(engine, lambda c: self._write(c, plan, tally, result, ended))
        return result

    def _write(self, connection: Connection, plan: Planned, tally: Tally, result: RunResult, ended: datetime) -> None:
        outcomes = result.outcomes
        connection.execute(
            text("""
                insert into sync_run_summaries (batch_id, job_id, direction, entity_type, total_count, success_count,
                    failed_count, skipped_count, status, outcomes, requests, started_at, completed_at, duration_ms,
                    last_error)
                values (:batch_id, :job_id, :direction, :entity_type, :total, :success, :failed, :skipped, :status,
                    cast(:outcomes as jsonb), :requests, :started_at, :completed_at, :duration_ms, :last_error)
                on conflict (batch_id, entity_type) do nothing
            """),
            {
                "batch_id": result.batch_id,
                "job_id": self.job_id,
                "direction": DIRECTION,
                "entity_type": self.ledger.entity_type,
                "total": result.total,
                "success": outcomes["applied"] + outcomes["unchanged"],
                "failed": outcomes["failed"],
                "skipped": outcomes["skipped"] + outcomes["rejected"] + outcomes["deferred"],
                "status": result.status,
                "outcomes": orjson.dumps({"counts": outcomes, "reasons": result.reasons}).decode(),
                "requests": result.requests,
                "started_at": self.started_at,
                "completed_at": ended,
                "duration_ms": round(result.seconds * 1000),
                "last_error": result.error,
            },
        )
        rows = self._log_rows(plan, tally)
        if rows:
            connection.execute(
                text("""
                    insert into sync_logs (batch_id, job_id, entity_type, entity_id, direction, action, status, error_code,
                                           error_message, target_data, completed_at)
                    values (:batch_id, :job_id, :entity_type, :entity_id, :direction, :action, :status, :error_code,
                            :error_message, cast(:target_data as jsonb), now())
                """),
                rows,
            )

    def _log_rows(self, plan: Planned, tally: Tally) -> list[dict[str, Any]]:
        changes = {item: change for change in plan.changes for item in change.item_ids}
        rows: list[dict[str, Any]] = []
        for item, outcome in tally.outcomes.items():
            status = _LOG_STATUS.get(outcome.kind)
            if status is None:
                continue
            change = changes.get(item)
            fields = list(change.field_names) if change else []
            rows.append(
                {
                    "batch_id": self.ledger.batch_id,
                    "job_id": self.job_id,
                    "entity_type": self.ledger.entity_type,
                    "entity_id": item,
                    "direction": DIRECTION,
                    "action": change.action.value if change else "skip",
                    "status": status,
                    "error_code": None if outcome.kind == "applied" else outcome.kind,
                    "error_message": getattr(outcome, "detail", None) or outcome.reason,
                    "target_data": orjson.dumps({"fields": fields}).decode(),
                }
            )
        return rows


def _status(counts: Mapping[str, int], error: BaseException | None) -> Status:
    done = counts["applied"] + counts["unchanged"]
    if error is None and not counts["failed"]:
        return "completed"
    return "partial" if done else "failed"
