"""Dagster's processes: webserver, daemon and code server, started together and ended together.

Belongs here: the environment they need, starting, waiting, ending. Does not: what they run.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO
from urllib.error import URLError
from urllib.request import urlopen

from phorest_ghl.settings import SettingsError

HOST = "127.0.0.1"
_PROJECT = Path(__file__).resolve().parents[2]
WORKSPACE = _PROJECT / "workspace.yaml"
"""Names our one code location."""
_READY_S = 120.0
_END_S = 20.0


def dagster_environment(home: Path, storage_url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of every Dagster process: its home with our instance file in it, and its database."""
    source = _PROJECT / "dagster.yaml"
    if not source.is_file():
        raise SettingsError(
            f"dagster.yaml is not beside the package ({_PROJECT}). Run from a checkout, or set DAGSTER_HOME to a folder that "
            "holds it and start Dagster's own commands."
        )
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, home / "dagster.yaml")
    return {
        **environ,
        "DAGSTER_HOME": str(home.resolve()),
        "DAGSTER_STORAGE_URL": storage_url,
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
    }


def free_port(wanted: int) -> int:
    """The wanted port if nobody listens on it, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port")


class DagsterUi:
    """`dagster dev`, as a process group that is ended as a whole."""

    def __init__(self, *, port: int, env: Mapping[str, str], cwd: Path, log: Path) -> None:
        self.port = free_port(port)
        self.url = f"http://{HOST}:{self.port}"
        self._log = log
        self._output: IO[bytes] = log.open("ab")
        command = [sys.executable, "-m", "dagster", "dev", "-w", str(WORKSPACE), "-h", HOST]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*command, "-p", str(self.port)],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
            # A shell that starts us in the background hands SIGINT down ignored, and Dagster then ignores TERM as well.
            preexec_fn=_heed_interrupts,  # noqa: PLW1509 - one call, of a function that takes no lock
        )

    def wait_until_ready(self) -> None:
        """Return when the UI answers. Raises SettingsError with the place of the log if it does not come up."""
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            code = self._process.poll()
            if code is not None:
                self.stop()
                raise SettingsError(f"Dagster ended before its UI came up (exit code {code}); {self._log} says why.")
            try:
                with urlopen(f"{self.url}/server_info", timeout=5):  # noqa: S310 - our own URL
                    return
            except (URLError, OSError):
                time.sleep(0.25)
        self.stop()
        raise SettingsError(f"Dagster's UI did not come up within {_READY_S:.0f} seconds; {self._log} says why.")

    def wait(self) -> int:
        """Wait for it to end by itself; its exit code."""
        return self._process.wait()

    def stop(self) -> None:
        """End all of its processes: asked first, then killed."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        # Code servers outlive their parent by a heartbeat of 45 seconds unless they are ended with their group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._output.close()


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
