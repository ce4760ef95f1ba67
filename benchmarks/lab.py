"""The room in which benchmarks run: a PostgreSQL server of its own, on disk and with fsync on, and sandboxes.

Belongs here: what every contender gets alike. Does not: the contenders, the operator's own settings and database, which
no benchmark ever reads.
"""

import base64
import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import psycopg
from psycopg import sql

from benchmarks.peers import peer
from benchmarks.report import BenchError
from phorest_ghl.db.embedded import EmbeddedServer
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxProcess
from phorest_ghl.settings import Settings, load_settings

_DISK = Path("/var/tmp")  # noqa: S108 - /tmp is memory on many machines, and a disk's fsync is what is to be paid for


@dataclass(frozen=True)
class Database:
    """One empty database: `url` for SQLAlchemy, `dsn` for libpq."""

    url: str
    dsn: str


class Lab:
    """A server with empty databases to lend, as a context manager; nothing of it is left behind."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="phorest_ghl-bench-", dir=_DISK if _DISK.is_dir() else None))
        self._folder.chmod(0o755)  # as root the server runs as another user, who has to get in
        self._server = EmbeddedServer(self._folder)

    def __enter__(self) -> Self:
        """Start the server. Raises EmbeddedServerError."""
        try:
            self._server.start()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server and remove its files."""
        self._leave()

    def _leave(self) -> None:
        self._server.stop()
        shutil.rmtree(self._server.home)
        shutil.rmtree(self._folder, ignore_errors=True)  # where the server's home was inside, it is gone already

    @contextlib.contextmanager
    def database(self) -> Generator[Database]:
        """Lend an empty database; afterwards it is dropped, and what it left dirty is on disk before the next begins."""
        name = f"bench_{secrets.token_hex(4)}"
        self._server.ensure_database(name)
        self.settle()
        try:
            yield Database(self._server.url(name), self._server.dsn(name))
        finally:
            self._admin(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))

    def cpu_seconds(self) -> float:
        """What the server's processes have taken so far, those that ended included.

        Raises:
            BenchError: the server is gone.
        """
        psutil = peer("psutil")
        number = int((self._server.home / "data" / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
        server = psutil.Process(number)
        try:
            own = [server.cpu_times()]
            for backend in server.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile, and is read below
                    own.append(backend.cpu_times())
            ended = server.cpu_times()
        except psutil.Error:
            raise BenchError("The database server of the benchmark has ended while it was measured.") from None
        return sum(one.user + one.system for one in own) + ended.children_user + ended.children_system

    def settle(self) -> None:
        """Write out what earlier work left dirty, so that no contender pays for another."""
        self._admin(sql.SQL("checkpoint"))

    def _admin(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self._server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(statement)


class Served(Protocol):
    """A sandbox, as far as contenders have to know it."""

    @property
    def settings(self) -> Mapping[str, str]:
        """The product's settings for it, by their names in the environment."""
        ...


class PeakMemory:
    """The most memory that this process has held since this was made, where Linux tells."""

    _STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def __init__(self) -> None:
        self._counts = self._RESET.exists()
        if self._counts:
            self._RESET.write_text("5", encoding="ascii")  # proc(5): the peak begins anew

    def megabytes(self) -> list[float]:
        """One figure, or none on a system that keeps no peak."""
        lines = self._STATUS.read_text(encoding="ascii").splitlines() if self._counts else []
        return [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")]


def sandbox_options(**options: Any) -> SandboxOptions:
    """How a sandbox shall be. Raises BenchError where it cannot be so."""
    try:
        return SandboxOptions(**options)
    except ValueError as wrong:
        raise BenchError(str(wrong)) from None


@contextlib.contextmanager
def sandbox(options: SandboxOptions) -> Generator[SandboxProcess]:
    """A sandbox in a process of its own, so that it shares no interpreter with a contender.

    Raises:
        BenchError: it does not start.
    """
    process = SandboxProcess(options)
    try:
        process.start()
    except RuntimeError as error:
        raise BenchError(str(error)) from None
    try:
        yield process
    finally:
        process.stop()


def environment_of(served: Served, database: Database, **more: str) -> dict[str, str]:
    """The product's settings for this sandbox and database, as an environment has them, with a key of their own."""
    key = base64.urlsafe_b64encode(os.urandom(32)).decode()
    # Whoever measures a first load into an agency's location has decided about its contacts.
    decided = {"PHOREST_GHL_HASH_KEY": key, "GUARD_BOUNDS": "adoptions=1000000"}
    return {**served.settings, "DATABASE_URL": database.url, **decided, **more}


def settings_of(served: Served, database: Database, **more: str) -> Settings:
    """The product's settings for this sandbox and database, and for nothing else: the environment is not read."""
    return load_settings(environment_of(served, database, **more), None)
