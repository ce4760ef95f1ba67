"""Running a sandbox: in a thread of this process, or as a process that can be killed.

Belongs here: starting, stopping and talking to a sandbox. Does not belong here: what it answers.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any, Self, cast
from urllib.request import Request, urlopen

import orjson
import uvicorn

from phorest_ghl.sandbox.app import SandboxApp
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.settings import settings_for
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.world import World

HOST = "127.0.0.1"  # loopback only: the control surface has no password
_START_S = 30.0


def listen(port: int) -> socket.socket:
    """A listening socket on the loopback interface.

    Raises:
        OSError: the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(2_048)
    return listener


def server_config(app: SandboxApp) -> uvicorn.Config:
    """A server that says nothing, leaves `Date` to the salon's clock, and does not wait long when told to stop."""
    return uvicorn.Config(
        cast("Any", app), lifespan="off", ws="none", log_config=None, log_level="critical", access_log=False,
        date_header=False, server_header=False, proxy_headers=False, timeout_keep_alive=75,
        timeout_graceful_shutdown=1, backlog=2_048,
    )  # fmt: skip


class _Client:
    """Talking to a sandbox's control surface."""

    url: str
    settings: dict[str, str]

    def control(self, method: str, path: str, json: object = None) -> Any:
        """One call below `/__sandbox__`, `path` starting with a slash; the parsed answer.

        Raises:
            urllib.error.HTTPError: the sandbox refused; its body says why.
        """
        body = None if json is None else orjson.dumps(json)
        with urlopen(Request(f"{self.url}/__sandbox__{path}", data=body, method=method), timeout=60) as answer:  # noqa: S310 - our own URL
            return _parsed(answer.read(), answer.headers.get_content_type())

    def truth(self, path: str) -> list[Row]:
        """Rows of the truth: `phorest/clients`, `ghl/contacts`, `automations?sent=true` and so on."""
        return cast("list[Row]", self.control("GET", f"/{path.lstrip('/')}"))


def _parsed(body: bytes, media: str) -> Any:
    if media == "application/x-ndjson":
        return [orjson.loads(line) for line in body.splitlines()]
    return orjson.loads(body) if body else None


class _QuickServer(uvicorn.Server):
    """Ready and gone within milliseconds.

    Tests start hundreds of these, and uvicorn's own loop looks around ten times a second.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    async def main_loop(self) -> None:
        """Serve until told to stop."""
        await self.on_tick(0)  # uvicorn sets the default headers here
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.ready.set()
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Break off whatever is held open: nobody is said goodbye to."""
        del sockets  # whoever made the listener closes it
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()

    def stop(self) -> None:
        """End `main_loop`, from any thread."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)


class SandboxServer(_Client):
    """A sandbox in a thread of this process, as a context manager."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.world = World(options)
        self.app = SandboxApp(self.world)
        self._listener = listen(options.port)
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"
        self.settings = settings_for(self.world, self.url)
        self._server = _QuickServer(server_config(self.app))
        self._thread = threading.Thread(target=self._serve, name="sandbox", daemon=True)

    def _serve(self) -> None:
        self._server.run(sockets=[self._listener])

    def __enter__(self) -> Self:
        """Start, and return when requests are answered."""
        self._thread.start()
        if not self._server.ready.wait(_START_S):
            raise RuntimeError("The sandbox's server did not start.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, breaking off whatever is held open."""
        self._server.stop()
        self._thread.join(_START_S)
        self._listener.close()
        self.world.close()


class SandboxProcess(_Client):
    """A sandbox as a process of its own, as a context manager; it can be killed and started again on the same port."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.settings = {}

    def __enter__(self) -> Self:
        """Start, and return when requests are answered."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the process."""
        self.stop()

    def start(self) -> None:
        """Start the process, on the former port if there was one.

        Raises:
            RuntimeError: it ended, or said nothing for half a minute.
        """
        port = self.options.port or int(self.url.rpartition(":")[2] or 0)
        command = [sys.executable, "-m", "phorest_ghl.sandbox", *arguments(self.options, port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)  # noqa: S603 - our own module
        self.settings = self._read_settings(self.process)
        self.url = self.settings["GHL_API_BASE_URL"]

    def _read_settings(self, process: "subprocess.Popen[str]") -> dict[str, str]:
        assert process.stdout is not None
        found: dict[str, str] = {}
        alarm = threading.Timer(_START_S, process.kill)
        alarm.start()
        try:
            for line in process.stdout:
                if line == "\n":
                    return found
                name, _, value = line.rstrip("\n").partition("=")
                found[name] = value
        finally:
            alarm.cancel()
        self.kill()
        raise RuntimeError("The sandbox process did not become ready; its standard error says why.")

    def kill(self) -> None:
        """Kill with -9, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is None:
            os.kill(process.pid, how)
        process.wait(_START_S)
        if process.stdout is not None:
            process.stdout.close()


def arguments(options: SandboxOptions, port: int) -> list[str]:
    """The command line that gives `python -m phorest_ghl.sandbox` these options."""
    found = [f"--port={port}"]
    numbers = (
        "clients",
        "seed",
        "latency_ms",
        "rate_window_s",
        "branches",
        "months",
        "crm_contacts",
        "agency_contacts",
    )
    found += [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in numbers]
    if options.state is not None:
        found.append(f"--state={options.state}")
    if options.now is not None:
        found.append(f"--now={options.now.isoformat()}")
    if options.switches:
        found.append(f"--switches={orjson.dumps(dict(options.switches)).decode()}")
    return found
