"""Runs as Dagster launches them by itself, and whether the process of one is still there.

Belongs here: that question, which Dagster's own launcher leaves open. Does not: what follows from the answer (Dagster's run
monitoring ends the run, frees its slots, and repeats it), what a run does.

Without an answer, a run whose machine went down counts as going on for ever, and with it every tick of its job is left out.
A run is a child of the code server that was asked to start it. That server is written on the run; where it no longer answers,
or answers and does not know the run, nobody is at work on it. `dagster.yaml` names this class.
"""

import time

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import ConfigurableClassData, deserialize_value

PATIENCE_S = 45.0
"""How long a code server may be silent before its runs count as gone: longer than it takes to start."""


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's launcher, with a look at the processes it started."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self._missed: dict[str, float] = {}

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring asks only where this is true."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether somebody is at work on a started run; a server that is silent for a moment is given time."""
        gone = self._gone(run)
        if gone is None:
            self._missed.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        since = self._missed.setdefault(run.run_id, time.monotonic())
        if time.monotonic() - since < PATIENCE_S:
            return CheckRunHealthResult(WorkerStatus.RUNNING, gone)
        del self._missed[run.run_id]
        return CheckRunHealthResult(WorkerStatus.FAILED, gone)

    def _gone(self, run: dg.DagsterRun) -> str | None:
        """Why nobody can be at work on it; None where somebody is."""
        server = self._get_grpc_client_for_termination(run.run_id)
        if server is None:
            return None  # it has ended meanwhile
        try:
            answer = server.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=10)
        except DagsterUserCodeUnreachableError:
            return "The code server that started the run no longer answers."
        known = deserialize_value(answer, CanCancelExecutionResult).can_cancel
        return None if known else "The code server that started the run does not know it any more."
