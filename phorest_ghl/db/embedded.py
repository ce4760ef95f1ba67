"""The embedded PostgreSQL server: one per state folder, shared by every process that names the folder.

Belongs here: starting, stopping and addressing the server. Does not belong here: engines and sessions (`engine`),
tables, migrations. Why it is our own launcher: facts/dependencies §1.

How it knows what is true: that it runs, by `pg_isready` on our own socket; that nothing of it is left, by the life lock
(`embedded_process`). Starting and stopping happen under a second lock, by one process at a time.
"""

import contextlib
import enum
import functools
import shutil
import time
from collections.abc import Generator, Mapping
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL

from phorest_ghl.db import embedded_settings
from phorest_ghl.db.embedded_account import EmbeddedServerError, run_as
from phorest_ghl.db.embedded_binaries import Binaries, find_binaries, remove_old_copies
from phorest_ghl.db.embedded_place import PORT, Place, find_place
from phorest_ghl.db.embedded_process import (
    kill_processes,
    nothing_lives,
    open_lock,
    recorded_pid,
    remove_leavings,
    try_lock,
)
from phorest_ghl.db.engine import DAGSTER_DRIVER, OUR_DRIVER

SUPERUSER = "postgres"
START_TIMEOUT_S = 60
# After the postmaster was killed its children leave at their next wait; one busy in a query may not come to that.
ORPHAN_GRACE_S = 2.0
LOG_LIMIT_BYTES = 5_000_000
_LOG_LINES_QUOTED = 8


class _Answer(enum.IntEnum):
    """The exit codes of pg_isready."""

    READY = 0
    BUSY = 1  # starting, recovering or shutting down
    SILENT = 2


class EmbeddedServer:
    """A PostgreSQL server over the files of `state_dir`, on a unix socket that only its owner can open.

    It outlives the process that started it and stops only by `stop`. `settings` are PostgreSQL's own
    (`{"fsync": "off"}`) and count from the next start. Nothing is read or made before the first call.

    Raises:
        ValueError: a setting has a name or a value that no configuration file can hold.
    """

    def __init__(self, state_dir: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self._state_dir = state_dir
        self._settings = dict(settings or {})
        embedded_settings.check(self._settings)

    @functools.cached_property
    def _place(self) -> Place:
        return find_place(self._state_dir)

    @functools.cached_property
    def _binaries(self) -> Binaries:
        return find_binaries(self._place)

    @property
    def home(self) -> Path:
        """The folder that holds the server's files: `<state_dir>/postgres`, or as root perhaps one under /var/lib."""
        return self._place.home

    def start(self) -> str:
        """Start the server unless it runs, and return a libpq connection string that names no database.

        Safe to call from any number of processes at once. Heals what a crash left behind.

        Raises:
            EmbeddedServerError: it does not come up within 60 seconds, or its files cannot be used.
        """
        if not self.is_running():
            with self._exclusive():
                if not self._settle():
                    with open_lock(self._place, self._place.life_lock) as life:
                        if not try_lock(life):
                            message = f"Processes of a former server still use {self.home}. Try again in a moment."
                            raise EmbeddedServerError(message)
                        self._make_data(life)
                        self._launch(life)
        return self._conninfo()

    def stop(self) -> None:
        """Stop the server for everybody, ending open sessions; nothing happens where none runs.

        Raises:
            EmbeddedServerError: it does not stop within 60 seconds.
        """
        if not self._place.data.exists():
            return
        with self._exclusive():
            if not self._settle():
                return
            if recorded_pid(self._place) is None:
                # It runs, yet its pid file is not its own: the number there may be anybody's and must not get a signal.
                kill_processes(self._place)
            else:
                self._pg_ctl("-m", "fast", "-w", "-t", str(START_TIMEOUT_S), "stop", failure="could not be stopped")
            self._await_end()
            self._place.remove_sockets()

    def is_running(self) -> bool:
        """Say whether the server accepts connections now."""
        return self._place.data.exists() and self._ask() is _Answer.READY

    def url(self, database: str, driver: str = OUR_DRIVER) -> str:
        """Return SQLAlchemy's URL of `database` for `driver`: `postgresql+psycopg` or `postgresql+psycopg2`.

        Raises:
            ValueError: another driver.
        """
        if driver not in {OUR_DRIVER, DAGSTER_DRIVER}:
            message = f"Driver {driver!r} is not one of {OUR_DRIVER} and {DAGSTER_DRIVER}."
            raise ValueError(message)
        query = {"host": str(self._place.sockets), "port": str(PORT)}
        return URL.create(driver, username=SUPERUSER, database=database, query=query).render_as_string()

    def dsn(self, database: str) -> str:
        """Return libpq's connection string of `database`, for `psycopg.connect` and the PostgreSQL tools."""
        return make_conninfo(self._conninfo(), dbname=database)

    def ensure_database(self, name: str) -> None:
        """Create database `name` unless it exists; several processes may do so at once.

        Raises:
            EmbeddedServerError: the server cannot be reached.
        """
        try:
            connection = psycopg.connect(self.dsn("postgres"), autocommit=True)
        except psycopg.OperationalError:
            message = f"The embedded database in {self.home} is not running. Start it, then try again."
            raise EmbeddedServerError(message) from None
        with connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None:
                return
            # Two creators at once: one meets the name, or the unique index under it, and has what it wanted.
            with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def _conninfo(self) -> str:
        return make_conninfo(host=str(self._place.sockets), port=PORT, user=SUPERUSER)

    @contextlib.contextmanager
    def _exclusive(self) -> Generator[None]:
        """Be the only process that starts or stops this server."""
        # Others may be starting, and then the one before us waited as long: twice the time-out is a real hang.
        deadline = time.monotonic() + 2 * START_TIMEOUT_S
        with open_lock(self._place, self._place.start_lock) as lock:
            while not try_lock(lock):
                if time.monotonic() > deadline:
                    message = (
                        f"Another process has been starting or stopping the database in {self.home} for more than "
                        f"{2 * START_TIMEOUT_S} seconds. End it, then try again."
                    )
                    raise EmbeddedServerError(message)
                time.sleep(0.02)
            yield

    def _ask(self) -> _Answer:
        if not self._place.socket.exists():
            return _Answer.SILENT
        command = [self._binaries.program("pg_isready"), "-q", "-h", self._place.sockets, "-p", str(PORT), "-t", "3"]
        return _Answer(run_as(self._place.account, command, output=None))

    def _settle(self) -> bool:
        """Wait until the server accepts connections (True) or nothing of it is left (False)."""
        began = time.monotonic()
        while True:
            answer = self._ask()
            if answer is _Answer.READY:
                return True
            waited = time.monotonic() - began
            if answer is _Answer.SILENT:
                if nothing_lives(self._place):
                    remove_leavings(self._place)
                    return False
                if waited > ORPHAN_GRACE_S and self._is_beyond_reach():
                    kill_processes(self._place)
            if waited > START_TIMEOUT_S:
                message = (
                    f"The database in {self.home} neither answers nor ends after {START_TIMEOUT_S} seconds. "
                    f"{self._last_lines(self._place.log)}"
                )
                raise EmbeddedServerError(message)
            time.sleep(0.05)

    def _is_beyond_reach(self) -> bool:
        """Say whether what lives can never answer; a server that is merely slow, on a stalled disk, must not be killed."""
        return not self._place.socket.exists() or recorded_pid(self._place) is None

    def _await_end(self) -> None:
        # Its last process ends a moment after the pid file goes; only then may the files be moved or removed.
        deadline = time.monotonic() + START_TIMEOUT_S
        while not nothing_lives(self._place):
            if time.monotonic() > deadline:
                message = f"The database in {self.home} was stopped, but some of its processes do not end."
                raise EmbeddedServerError(message)
            time.sleep(0.01)

    def _make_data(self, life: int) -> None:
        """Make the data directory if there is none; it takes its name only once it is complete.

        initdb holds the life lock as the server does: should we be killed, the next starter waits for it to end.
        """
        place = self._place
        if place.data.exists():
            return
        if place.new_data.exists():
            shutil.rmtree(place.new_data)
        place.new_data.mkdir()
        place.give(place.new_data, 0o700)
        # One order of text on every system: the server's own where it has one (from 17 on), else the C library's.
        locale = ["--locale=C.UTF-8"]
        if self._binaries.major >= 17:
            locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command = [self._binaries.program("initdb"), "-D", place.new_data, "-U", SUPERUSER, "-E", "UTF8", *locale]
        command += ["--auth=trust", "--data-checksums", "--no-instructions"]
        if self._settings.get("fsync") == "off":
            command.append("--no-sync")
        if self._run(command, life) != 0:
            message = f"A database could not be made in {self.home}. {self._last_lines(place.launch_log)}"
            raise EmbeddedServerError(message)
        with (place.new_data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"\ninclude = '{embedded_settings.FILE_NAME}'\n")
        place.new_data.rename(place.data)

    def _launch(self, life: int) -> None:
        place = self._place
        place.make_sockets()
        configuration = place.data / embedded_settings.FILE_NAME
        configuration.write_text(embedded_settings.render(place, self._settings), encoding="utf-8")
        place.give(configuration, 0o600)
        if place.log.exists() and place.log.stat().st_size > LOG_LIMIT_BYTES:
            place.log.replace(place.log.with_suffix(".log.old"))
        place.log.touch()
        place.give(place.log, 0o600)
        wait = ("-l", str(place.log), "-w", "-t", str(START_TIMEOUT_S))
        self._pg_ctl(*wait, "start", failure="did not start", life=life)
        if self._ask() is not _Answer.READY:
            message = f"The database in {self.home} started and ended again. {self._last_lines(place.log)}"
            raise EmbeddedServerError(message)
        remove_old_copies(self._binaries, place)

    def _pg_ctl(self, *arguments: str, failure: str, life: int | None = None) -> None:
        command = [self._binaries.program("pg_ctl"), "-D", self._place.data, *arguments]
        if self._run(command, life) != 0:
            message = f"The database in {self.home} {failure} within {START_TIMEOUT_S} seconds. "
            raise EmbeddedServerError(message + self._last_lines(self._place.log))

    def _run(self, command: list[str | Path], life: int | None) -> int:
        with self._place.launch_log.open("wb") as output:
            self._place.give(self._place.launch_log, 0o600)
            return run_as(self._place.account, command, output=output, pass_fds=() if life is None else (life,))

    def _last_lines(self, log: Path) -> str:
        try:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        if not lines:
            return f"{log} says nothing."
        return f"The last lines of {log} are:\n" + "\n".join(lines[-_LOG_LINES_QUOTED:])
