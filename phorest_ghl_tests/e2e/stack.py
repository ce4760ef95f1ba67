"""Driving the product from outside: its commands as processes, Dagster by GraphQL, and what is left running.

Belongs here: helpers of the end-to-end tests. Does not belong here: tests.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.request import Request, urlopen

T = TypeVar("T")

COMMAND = [sys.executable, "-m", "phorest_ghl"]


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without settings of the product that the machine may have."""
    ours = ("PHOREST_", "GHL_", "SALON", "DATABASE_URL", "DAGSTER_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | more


def run(*arguments: str, cwd: Path, timeout: float = 180, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=clean_environment(**env),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def eventually(look: Callable[[], T | None], *, seconds: float = 60, what: str) -> T:
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds:g} seconds")


def processes_in(folder: Path) -> list[str]:
    """Command lines of the processes that work in a folder or name it: what was started there and is still there."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            home = (entry / "cwd").readlink()
        except OSError:
            continue
        if line and (str(folder) in line or home.is_relative_to(folder)):
            found.append(line)
    return found


class Command:
    """A command that stays until it is interrupted; what it says is collected line by line."""

    def __init__(self, *arguments: str, cwd: Path, **env: str) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=cwd,
            env=clean_environment(**env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def said(self, pattern: str) -> str | None:
        """The first group of a pattern in what was said so far."""
        match = re.search(pattern, "\n".join(self.lines))
        return match.group(1) if match else None

    def interrupt(self, timeout: float = 60) -> int:
        """Ctrl-C; the exit code."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(timeout)
        self._reader.join(5)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            try:
                self.interrupt()
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdout is not None:
            self._process.stdout.close()


class Dagster:
    """Dagster's webserver, by GraphQL."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/graphql"

    def ask(self, query: str, **variables: object) -> Any:
        """The `data` of an answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(self._url, data=body, headers={"Content-Type": "application/json"}, method="POST")
        with urlopen(request, timeout=60) as answer:
            document = json.load(answer)
        assert "errors" not in document, document["errors"]
        return document["data"]

    def launch(self, job: str, config: Mapping[str, object] | None = None) -> str:
        """Launch a job through the queue; the run's id."""
        data = self.ask(
            """mutation($selector: JobOrPipelineSelector!, $config: RunConfigData) {
                 launchRun(executionParams: {selector: $selector, runConfigData: $config}) {
                   __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
            selector={"repositoryLocationName": "phorest_ghl", "repositoryName": "__repository__", "jobName": job},
            config=config or {},
        )["launchRun"]
        assert data["__typename"] == "LaunchRunSuccess", data
        return str(data["run"]["runId"])

    def ended(self, run_id: str, *, seconds: float = 120) -> str:
        """The status in which a run ended."""

        def look() -> str | None:
            data = self.ask("query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id)
            status = str(data["runOrError"]["status"])
            return status if status in {"SUCCESS", "FAILURE", "CANCELED"} else None

        return eventually(look, seconds=seconds, what=f"the end of run {run_id}")

    def retry_of(self, run_id: str) -> str | None:
        """The run that the daemon has made in the place of one that died, if it has."""
        data = self.ask(
            "query($id: ID!) { runGroupOrError(runId: $id) { ... on RunGroup { runs { runId } } } }", id=run_id
        )
        found = [str(row["runId"]) for row in data["runGroupOrError"].get("runs", []) if row["runId"] != run_id]
        return found[0] if found else None

    def latest_metadata(self, *key: str) -> dict[str, Any]:
        """Numbers of an asset's newest materialization, by label."""
        data = self.ask(
            """query($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {
                 assetMaterializations(limit: 1) { metadataEntries {
                   label ... on IntMetadataEntry { intValue } ... on TextMetadataEntry { text } } } } } }""",
            key={"path": list(key)},
        )["assetOrError"]["assetMaterializations"]
        assert data, f"{key} was never materialized"
        return {entry["label"]: entry.get("intValue", entry.get("text")) for entry in data[0]["metadataEntries"]}

    def running_schedules(self) -> set[str]:
        """The names of the schedules that are on."""
        data = self.ask(
            """{ schedulesOrError(repositorySelector:
                 {repositoryLocationName: "phorest_ghl", repositoryName: "__repository__"}) {
                 ... on Schedules { results { name scheduleState { status } } } } }"""
        )["schedulesOrError"]["results"]
        return {row["name"] for row in data if row["scheduleState"]["status"] == "RUNNING"}
