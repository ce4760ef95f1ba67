"""Where test sessions keep their servers, and how these are set up.

Belongs here: only what needs nothing but the standard library, since every session loads it.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "phorest_ghl-tests-"


# In memory where there is room: copying the template is thirty times faster there than on a slow disk.
_MEMORY = Path("/dev/shm")  # noqa: S108 - folders in it are made by name and for one user
_ENOUGH_BYTES = 2_000_000_000

# Tests throw their data away: nothing has to survive a power cut.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",
    "wal_init_zero": "off",
    "wal_recycle": "off",
}


def new_folder() -> Path:
    """Name a folder for the server of a session that this process controls; nothing is made yet."""
    return fast_parent() / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"


def fast_parent() -> Path:
    """Return the folder in which temporary servers are best made."""
    in_memory = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES
    return _MEMORY if in_memory else Path(tempfile.gettempdir())


def orphaned_folders() -> Iterator[Path]:
    """Find folders of ours whose session was killed before it could clear up."""
    for folder in (*_MEMORY.glob(f"{_PREFIX}*"), *Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")):
        controller = int(folder.name.removeprefix(_PREFIX).split("-")[0])
        if not _lives(controller) and folder.stat().st_uid == os.geteuid():
            yield folder


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
