"""`schedules`: which jobs run by themselves, and turning them on and off: the cron table's lines, and those of sensors.

Belongs here: asking Dagster, and saying what it answered. Does not: the cron table (`defs.schedules`), sensors.

Dagster is asked by its own GraphQL in a process of its own, whether its UI runs or not: what is turned on runs once there is
a daemon, as `phorest-ghl dev` starts one.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

import orjson
from rich.table import Table

from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.commands.dagster_ui import WORKSPACE, dagster_environment
from phorest_ghl.settings import Settings, SettingsError

Turn = Literal["on", "off"]
_SUFFIX, _SENSOR_SUFFIX = "_schedule", "_sensor"
_REPOSITORY = 'repositoryLocationName: "phorest_ghl", repositoryName: "__repository__"'
_LISTED = f"""{{ schedulesOrError(repositorySelector: {{{_REPOSITORY}}}) {{
    ... on Schedules {{ results {{ name cronSchedule executionTimezone
        scheduleState {{ id status }} futureTicks(limit: 1) {{ results {{ timestamp }} }} }} }}
    ... on PythonError {{ message }} ... on RepositoryNotFoundError {{ message }}
}} sensorsOrError(repositorySelector: {{{_REPOSITORY}}}) {{
    ... on Sensors {{ results {{ name sensorType minIntervalSeconds sensorState {{ id status }} }} }}
    ... on PythonError {{ message }} ... on RepositoryNotFoundError {{ message }}
}} }}"""
_REFUSED = "... on PythonError { message } ... on UnauthorizedError { message }"
_SENSOR_STARTED = f"... on Sensor {{ sensorState {{ status }} }} ... on SensorNotFoundError {{ message }} {_REFUSED}"
_SENSOR_STOPPED = f"... on StopSensorMutationResult {{ instigationState {{ status }} }} {_REFUSED}"
_STATE = """... on ScheduleStateResult { scheduleState { status } }
    ... on PythonError { message } ... on UnauthorizedError { message }"""
_WATCHING = "RUN_STATUS"
"""Sensors that watch runs are always on: they write nothing to GHL, and are no schedule."""
_TIMEOUT_S = 180


@dataclass(frozen=True)
class Line:
    """A line of the cron table as Dagster holds it, or a sensor. `next_at` is aware, None where none is to come."""

    name: str
    cron: str
    zone: str
    state_id: str
    running: bool
    next_at: datetime | None
    sensor: bool = False

    @property
    def start(self) -> str:
        """The call that turns it on."""
        if self.sensor:
            selector = f'{{{_REPOSITORY}, sensorName: "{self.name}{_SENSOR_SUFFIX}"}}'
            return f"startSensor(sensorSelector: {selector}) {{ {_SENSOR_STARTED} }}"
        selector = f'{{{_REPOSITORY}, scheduleName: "{self.name}{_SUFFIX}"}}'
        return f"startSchedule(scheduleSelector: {selector}) {{ {_STATE} }}"

    @property
    def stop(self) -> str:
        """The call that turns it off."""
        if self.sensor:
            return f'stopSensor(id: "{self.state_id}") {{ {_SENSOR_STOPPED} }}'
        return f'stopRunningSchedule(id: "{self.state_id}") {{ {_STATE} }}'


def schedules(settings: Settings, out: Out, *, turn: Turn | None, names: Sequence[str]) -> Exit:
    """Show the schedules; with `turn`, turn those named on or off, or all. Raises SettingsError."""
    with open_runtime(settings) as runtime:
        env = environment(runtime)
    lines = listed(env)
    unknown = sorted(set(names) - {line.name for line in lines})
    if unknown:
        raise SettingsError(
            f"There is no schedule named {', '.join(unknown)}. There are: {', '.join(line.name for line in lines)}."
        )
    changed: list[Line] = []
    if turn is not None:
        changed = [line for line in lines if (not names or line.name in names) and line.running != (turn == "on")]
    if turn is not None and changed:
        turn_lines(env, changed, turn)
        lines = listed(env)
    table = Table("schedule", "cron", "zone", "state", "next", title_justify="left")
    for line in lines:
        when = line.next_at.astimezone(settings.zone).isoformat(" ", "minutes") if line.running and line.next_at else ""
        table.add_row(line.name, line.cron, line.zone, "on" if line.running else "off", when)
    out.text.print(table)
    if turn == "on":
        out.say("They run as long as Dagster's daemon does: `phorest-ghl dev` starts it.")
    out.result(
        {"ok": True, "schedules": [_document(line) for line in lines], "changed": [line.name for line in changed]}
    )
    return Exit.WELL


def _document(line: Line) -> dict[str, Any]:
    when = line.next_at.isoformat() if line.next_at and line.running else None
    return {"name": line.name, "cron": line.cron, "zone": line.zone, "running": line.running, "next_at": when}


def environment(runtime: Runtime) -> dict[str, str]:
    """The environment in which Dagster is asked."""
    state = runtime.settings.phorest_ghl_state_dir
    state.mkdir(parents=True, exist_ok=True)
    return dagster_environment(state / "dagster", runtime.urls.dagster, os.environ)


def listed(env: Mapping[str, str]) -> list[Line]:
    """The lines of the cron table and the sensors, as Dagster holds them. Raises SettingsError."""
    answers = _ask(env, _LISTED)
    for answer in answers.values():
        if "results" not in answer:
            raise SettingsError(f"Dagster could not load the schedules: {answer.get('message', 'it did not say why')}")
    return [
        *(_line(row) for row in answers["schedulesOrError"]["results"]),
        *(_sensor(row) for row in answers["sensorsOrError"]["results"] if row["sensorType"] != _WATCHING),
    ]


def _sensor(row: Mapping[str, Any]) -> Line:
    state = row["sensorState"]
    every = f"every {row['minIntervalSeconds']} s"
    name = row["name"].removesuffix(_SENSOR_SUFFIX)
    return Line(name, every, "", state["id"], state["status"] == "RUNNING", None, sensor=True)


def _line(row: Mapping[str, Any]) -> Line:
    ticks = row["futureTicks"]["results"]
    return Line(
        row["name"].removesuffix(_SUFFIX),
        row["cronSchedule"],
        row["executionTimezone"],
        row["scheduleState"]["id"],
        row["scheduleState"]["status"] == "RUNNING",
        datetime.fromtimestamp(ticks[0]["timestamp"], UTC) if ticks else None,
    )


def turn_lines(env: Mapping[str, str], lines: Sequence[Line], turn: Turn) -> None:
    """Turn lines on or off, all in one request, so that Dagster loads the definitions once. Raises SettingsError."""
    calls = [line.start if turn == "on" else line.stop for line in lines]
    answers = _ask(env, f"mutation {{ {' '.join(f'n{number}: {call}' for number, call in enumerate(calls))} }}")
    refused = {answer["message"] for answer in answers.values() if "message" in answer}
    if refused:
        raise SettingsError(f"Dagster did not turn a schedule {turn}: {'; '.join(sorted(refused))}")


def _ask(env: Mapping[str, str], query: str) -> dict[str, Any]:
    """The answer's data. Raises SettingsError with Dagster's last words where there is none."""
    script = "from dagster_graphql.cli import main; main()"
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-c", script, "-w", str(WORKSPACE), "-t", query],
            env=env, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise SettingsError(f"Dagster did not say within {_TIMEOUT_S} seconds which schedules there are.") from None
    answers = [line for line in done.stdout.splitlines() if line.startswith("{")]
    answer: dict[str, Any] = orjson.loads(answers[-1]) if done.returncode == 0 and answers else {}
    if not isinstance(answer.get("data"), dict) or answer.get("errors"):
        words = answer.get("errors") or (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise SettingsError(f"Dagster could not be asked for its schedules: {words}")
    return cast("dict[str, Any]", answer["data"])
