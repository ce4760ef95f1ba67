"""What is left of an embedded server, and how it is cleared away after a crash.

Belongs here: telling our processes from foreign ones, the lock that proves that none is left. Does not belong here:
asking a healthy server anything, starting it (`embedded`).

A process id proves little: ids are reused, and a killed process keeps its own until somebody reaps it. What proves that
nothing lives is the life lock: a file lock that the server inherits at its start, all its processes share, and the
kernel frees when the last of them is gone.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path

from phorest_ghl.db.embedded_account import EmbeddedServerError
from phorest_ghl.db.embedded_place import Place

_PROC = Path("/proc")


@contextlib.contextmanager
def open_lock(place: Place, path: Path) -> Generator[int]:
    """Open the lock file `path`, making it if need be; locking is up to the caller, closing frees the lock.

    Raises:
        EmbeddedServerError: it belongs to somebody else.
    """
    new = not path.exists()
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError:
        message = f"{path} belongs to another user. Run as that user or as root, or choose another state folder."
        raise EmbeddedServerError(message) from None
    try:
        if new:
            place.give(path, 0o600)
        yield lock
    finally:
        os.close(lock)


def try_lock(lock: int) -> bool:
    """Lock an open lock file for this process alone; say whether that worked."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def nothing_lives(place: Place) -> bool:
    """Say whether no process of the server is left. The caller holds the start lock."""
    with open_lock(place, place.life_lock) as lock:
        # A server that somebody started by hand over these files does not hold our lock, but is in the pid file.
        return try_lock(lock) and recorded_pid(place) is None


def recorded_pid(place: Place) -> int | None:
    """Return the process id in the server's pid file if it is a PostgreSQL process over these files, else None."""
    try:
        pid = int((place.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None
    ours = _sits_in(place, _PROC / str(pid)) if (_PROC / "self").exists() else _was_started_for(place, pid)
    return pid if ours else None


def _sits_in(place: Place, process: Path) -> bool:
    # Each PostgreSQL process sits in its data directory. So may an administrator's shell; hence the name as well.
    try:
        return (process / "cwd").readlink() == place.data and (process / "comm").read_text() == "postgres\n"
    except OSError:
        return False  # gone, not yet reaped, or another user's


def _was_started_for(place: Place, pid: int) -> bool:
    """The same question where there is no /proc (macOS): pg_ctl puts the data directory among the arguments."""
    done = subprocess.run(  # noqa: S603 - fixed program, a number
        ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return "postgres" in done.stdout and str(place.data) in done.stdout


def kill_processes(place: Place) -> None:
    """End what a killed postmaster left behind, where the system shows it (Linux); elsewhere they end by themselves."""
    for process in _PROC.glob("[0-9]*"):
        if _sits_in(place, process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)


def remove_leavings(place: Place) -> None:
    """Remove the files of a server that is gone; PostgreSQL takes a reused id there for a live server."""
    for path in (place.data / "postmaster.pid", place.socket, place.socket.with_name(f"{place.socket.name}.lock")):
        path.unlink(missing_ok=True)
