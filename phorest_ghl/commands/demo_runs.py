"""Dagster's runs for the demo: one process that loads the code location once and runs what it is asked for.

Belongs here: that process, asking it. Does not: what is run, and when (`demo`, `demo_day`).
"""

import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import orjson


class DemoFailed(Exception):
    """A step of the demo did not end well; the sentence says which and where its log is."""


class DagsterRuns:
    """Jobs by name and the cron table by the clock, run against Dagster's own instance and seen in its UI.

    Raises DemoFailed where a run fails.
    """

    def __init__(self, *, env: Mapping[str, str], cwd: Path, log: Path) -> None:
        self._log = log
        self._output: IO[bytes] = log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "phorest_ghl.defs.cron_runner"],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process as process, self._output:
            if error is not None:
                process.kill()

    def job(self, name: str, doing: str) -> None:
        """Run a job to its end."""
        self._ask({"job": name}, doing)

    def ticks(self, after: datetime, until: datetime) -> int:
        """Run what the cron table has between two instants; how many runs that were."""
        runs = self._ask(
            {"after": after.isoformat(), "until": until.isoformat()}, f"the cron table up to {until:%H:%M}"
        )
        return sum(run["run_id"] is not None for run in runs)

    def _ask(self, asked: Mapping[str, str], doing: str) -> list[dict[str, Any]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(orjson.dumps(asked) + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:  # it has ended; its log says why
            answer = b""
        runs: list[dict[str, Any]] = orjson.loads(answer) if answer else []
        if not answer or not all(run["success"] for run in runs):
            raise DemoFailed(f"Dagster failed at {doing}; {self._log} says why.")
        return runs
