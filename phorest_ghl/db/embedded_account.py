"""As whom the embedded server runs, and how a command is run as that user.

Belongs here: the unprivileged account and the one way in which the embedded server's commands are started. Does not
belong here: which commands, and which files (`embedded_place`, `embedded_binaries`, `embedded`).
"""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from phorest_ghl.db.engine import DatabaseUnreachable


class EmbeddedServerError(DatabaseUnreachable):
    """The embedded server cannot be started, stopped or used; the text is a sentence for people."""


@dataclass(frozen=True)
class Account:
    """The user the server runs as; `switch` says whether commands must change to it first."""

    name: str
    uid: int
    gid: int
    switch: bool


def current_account() -> Account:
    """Return the user of this process."""
    uid = os.geteuid()
    return Account(name=name_of(uid), uid=uid, gid=os.getegid(), switch=False)


def unprivileged_account(home: Path) -> Account:
    """Return, for a process of root, the owner of the files in `home`, or else the first unprivileged user there is.

    Raises:
        EmbeddedServerError: the machine has no such user.
    """
    for folder in (home / "data", home):
        if folder.exists() and folder.stat().st_uid != 0:
            owner = folder.stat()
            return Account(name=name_of(owner.st_uid), uid=owner.st_uid, gid=owner.st_gid, switch=True)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid, switch=True)
    message = (
        "PostgreSQL does not run as root, and this machine has no user `postgres` or `nobody` to run it as. Run as a "
        "normal user, or set DATABASE_URL to a server of your own."
    )
    raise EmbeddedServerError(message)


def name_of(uid: int) -> str:
    """Return the name of user `uid`, or its number where it has none (containers)."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def can_enter(folder: Path, account: Account) -> bool:
    """Say whether `account` can pass through `folder`; the kernel is asked, since modes alone miss ACLs and mounts."""
    return run_as(account, ["/bin/sh", "-c", 'cd -- "$1"', "sh", folder], output=None) == 0


def run_as(
    account: Account, command: Sequence[str | Path], *, output: IO[bytes] | None, pass_fds: Sequence[int] = ()
) -> int:
    """Run `command` as `account` and return its exit code; what it prints goes to the file `output`, or nowhere.

    Never to a pipe: the server inherits it, and reading one to its end would hang for as long as the server lives. The
    command has a session of its own, so that Ctrl-C in the terminal ends the caller and not the server, and its own
    environment, so that no PG* variable misleads it and no secret of the product lives on in the server.
    """
    environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    done = subprocess.run(  # noqa: S603 - our own commands, no shell
        [os.fspath(part) for part in command],
        check=False,
        cwd="/",
        env={"PATH": os.defpath, **environment, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=output or subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=pass_fds,
        user=account.uid if account.switch else None,
        group=account.gid if account.switch else None,
        extra_groups=[] if account.switch else None,
    )
    return done.returncode
