"""What tests of the embedded server need to know about processes; Linux only, like the tests that use it."""

import os
import pwd
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from phorest_ghl.db.embedded import EmbeddedServer


def postmasters(home: Path) -> list[int]:
    """Process ids of live servers over `home`: PostgreSQL processes in its data directory whose parent is none."""
    ours = [pid for pid in _pids() if _cwd(pid) == home / "data"]
    ended = None  # a child that ended since it was listed has no parent any more, and is no server either
    return [pid for pid in ours if _parent(pid) not in (ended, *ours)]


def kill_postmaster(server: EmbeddedServer) -> int:
    """Kill the server's first process as a power cut would, and return its id."""
    (pid,) = postmasters(server.home)
    os.kill(pid, signal.SIGKILL)
    return pid


def owner(pid: int) -> int:
    """User id of process `pid`."""
    return Path(f"/proc/{pid}").stat().st_uid


def run_python(script: str, *arguments: str | Path, user: str | None = None) -> subprocess.Popen[str]:
    """Start `script` in another Python, with `EmbeddedServer` and `FAST` imported, and then as `user`."""
    prelude = """
        import os, sys
        from pathlib import Path
        from phorest_ghl.db.embedded import EmbeddedServer
        from phorest_ghl_tests.support.session_folder import FAST
        """
    if user is not None:
        entry = pwd.getpwnam(user)
        prelude += f"""
        os.setgroups([]); os.setgid({entry.pw_gid}); os.setuid({entry.pw_uid})
        """
    text = textwrap.dedent(prelude) + textwrap.dedent(script)
    return subprocess.Popen(
        [sys.executable, "-c", text, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def answer_of(process: subprocess.Popen[str]) -> str:
    """What `process` printed; fails with its error output if it failed."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.strip()


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for `condition`, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _cwd(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
