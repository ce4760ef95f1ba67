"""Where the embedded server keeps its files.

Belongs here: folders, the socket, their owners and modes. Does not belong here: which binaries are used
(`embedded_binaries`), and starting or stopping anything (`embedded`).

PostgreSQL refuses to run as root. So as root the server runs as `postgres` or `nobody`, and its files go to a folder
that this user can enter. Nothing outside the server's own folder is ever given other rights.
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from phorest_ghl.db.embedded_account import (
    Account,
    EmbeddedServerError,
    can_enter,
    current_account,
    name_of,
    unprivileged_account,
)

PORT = 5432
SOCKET_NAME = f".s.PGSQL.{PORT}"
# The kernel allows 108 bytes and macOS 104; libpq's messages and a temporary suffix want some room too.
LONGEST_SOCKET_PATH = 80
SYSTEM_FOLDER = Path("/var/lib/phorest_ghl")
POINTER_NAME = "postgres-is-at"


@dataclass(frozen=True)
class Place:
    """The files of one server: all in `home`, but for a socket folder where `home` has too long a path."""

    home: Path
    account: Account

    @property
    def data(self) -> Path:
        """The data directory; it exists only once it is complete."""
        return self.home / "data"

    @property
    def new_data(self) -> Path:
        """Where a data directory is made before it is moved to `data` in one step."""
        return self.home / "data.new"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.home / "server.log"

    @property
    def launch_log(self) -> Path:
        """What initdb and pg_ctl last printed."""
        return self.home / "launch.log"

    @property
    def start_lock(self) -> Path:
        """Locked by whoever starts or stops the server."""
        return self.home / "start.lock"

    @property
    def life_lock(self) -> Path:
        """Locked by the server's own processes for as long as any of them lives."""
        return self.home / "life.lock"

    @property
    def sockets(self) -> Path:
        """The folder of the unix socket; the same for every process, so it depends on `home` alone."""
        if self._sockets_are_near:
            return self.home / "run"
        # Not the TMPDIR of the environment: a cron job and a shell must find the same socket.
        return Path("/tmp") / f"phorest_ghl-{digest_of(self.home)}"  # noqa: S108 - its owner and mode are checked

    @property
    def _sockets_are_near(self) -> bool:
        return len(os.fsencode(self.home / "run" / SOCKET_NAME)) < LONGEST_SOCKET_PATH

    @property
    def socket(self) -> Path:
        """The unix socket itself."""
        return self.sockets / SOCKET_NAME

    def give(self, path: Path, mode: int) -> None:
        """Set mode and, as root, owner of `path`, which must lie in a folder of this server's own."""
        path.chmod(mode)
        if self.account.switch:
            os.chown(path, self.account.uid, self.account.gid)

    def make_sockets(self) -> None:
        """Make the socket folder, for its owner only.

        Raises:
            EmbeddedServerError: something else is in its place.
        """
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        self.check_sockets()
        self.give(self.sockets, 0o700)

    def remove_sockets(self) -> None:
        """Remove the socket folder of a stopped server where it lies outside `home`."""
        if not self._sockets_are_near and self.sockets.exists():
            self.sockets.rmdir()

    def check_sockets(self) -> None:
        """Check that a socket folder outside `home` is ours, since anyone could have made it there.

        Raises:
            EmbeddedServerError: it belongs to another user, or others may enter it.
        """
        if self._sockets_are_near:
            return
        try:
            found = self.sockets.lstat()
        except FileNotFoundError:
            return
        owners = {self.account.uid, os.geteuid()}  # root's own, where root was killed before it gave the folder away
        if stat.S_ISDIR(found.st_mode) and found.st_uid in owners and not found.st_mode & 0o077:
            return
        message = (
            f"{self.sockets} should be a folder that only user {self.account.name} can enter, since the database's "
            "socket lives there, but it is not. Remove it and try again."
        )
        raise EmbeddedServerError(message)


def digest_of(path: Path) -> str:
    """Return 12 hex digits that stand for `path` in names of folders."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def find_place(state_dir: Path) -> Place:
    """Decide where the server of `state_dir` lives, and make its folder.

    As a normal user, and as root where the unprivileged user can enter it, that is `<state_dir>/postgres`; else
    `/var/lib/phorest_ghl/<digest of the state folder>`, named by a pointer file in the state folder.

    Raises:
        EmbeddedServerError: the folder belongs to somebody else, is gone, or cannot be made.
    """
    state = Path(os.path.realpath(state_dir))
    try:
        state.mkdir(parents=True, exist_ok=True)
        place = _place_of_root(state) if os.geteuid() == 0 else _place_of_user(state)
    except OSError as error:
        message = f"The state folder {state} cannot be used for the database: {error.strerror}. Choose another one."
        raise EmbeddedServerError(message) from error
    place.check_sockets()
    return place


def _place_of_user(state: Path) -> Place:
    home = _pointed_at(state) or state / "postgres"
    home.mkdir(mode=0o700, exist_ok=True)
    place = Place(home, current_account())
    for folder in (home, place.data):
        if folder.exists() and folder.stat().st_uid != place.account.uid:
            message = (
                f"The database in {home} belongs to user {name_of(folder.stat().st_uid)}. Run as that user or as root, "
                "or choose another state folder."
            )
            raise EmbeddedServerError(message)
    return place


def _place_of_root(state: Path) -> Place:
    pointed = _pointed_at(state)
    if pointed is not None:
        return Place(pointed, unprivileged_account(pointed))
    home = state / "postgres"
    account = unprivileged_account(home)
    if can_enter(state, account):
        _make_home(home)
        return Place(home, account)
    if (home / "data").exists():
        message = (
            f"User {account.name}, as whom the database server runs, can no longer enter {home}. Let it pass "
            "through the folders above, as it could when the database was made."
        )
        raise EmbeddedServerError(message)
    home = SYSTEM_FOLDER / digest_of(state)
    if not SYSTEM_FOLDER.exists():
        _make_home(SYSTEM_FOLDER)
    _make_home(home)
    draft = state / f"{POINTER_NAME}.{os.getpid()}"
    draft.write_text(f"{home}\n", encoding="utf-8")
    draft.replace(state / POINTER_NAME)
    return Place(home, unprivileged_account(home))


def _make_home(home: Path) -> None:
    if home.exists():
        return
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711)  # whatever the umask: the server's user passes through, and may list nothing


def _pointed_at(state: Path) -> Path | None:
    pointer = state / POINTER_NAME
    try:
        home = Path(pointer.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return None
    if not home.is_absolute() or not home.is_dir():
        message = (
            f"{pointer} says that the database is in {home}, but there is no such folder. Restore it, or remove "
            f"{pointer.name} to begin with an empty database."
        )
        raise EmbeddedServerError(message)
    return home
