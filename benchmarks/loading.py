"""A first load as an operator starts it: `phorest-ghl backfill` in a process of its own.

Belongs here: starting it, waiting for it, ending it, the most memory that it held. Does not: what a load may cost.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import phorest_ghl
from benchmarks.report import BenchError

_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG")
"""Of our own environment; the operator's settings are none of a benchmark's business."""
_CODE = Path(phorest_ghl.__file__).parent.parent
_LOOK_S = 0.1
_LONGEST_S = 3_600.0


class Backfill:
    """One process of `phorest-ghl backfill`.

    Attributes:
        peak_mb: the most memory that it was seen to hold, in MiB; 0 on a system that does not tell.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", complaints: Path) -> None:
        self.peak_mb = 0.0
        self._process = process
        self._complaints = complaints

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def wait(self, *, until: Callable[[], bool] = lambda: False, look_s: float = _LOOK_S) -> None:
        """Return when it has ended, or when `until` says so.

        Raises:
            BenchError: it did not come to its end, or not within an hour.
        """
        limit = time.monotonic() + _LONGEST_S
        while self._process.poll() is None:
            self._look()
            if until():
                return
            if time.monotonic() > limit:
                raise BenchError("The first load has not come to its end within an hour.")
            time.sleep(look_s)
        if self._process.returncode not in (0, 1):
            last = self._complaints.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
            raise BenchError(f"The first load did not come to its end: {' '.join(last)}")

    def _look(self) -> None:
        with contextlib.suppress(OSError):  # it has ended meanwhile, or the system has no such file
            lines = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii").splitlines()
            self.peak_mb = max(
                [self.peak_mb, *(int(one.split()[1]) / 1024 for one in lines if one.startswith("VmHWM:"))]
            )


@contextlib.contextmanager
def backfill(settings: Mapping[str, str], first: str) -> Generator[Backfill]:
    """A load from a month on, begun; killed at the end of the block if it is not over by then.

    `settings` are the product's, as an environment has them. It runs in a folder of its own, so no `.env` is read.
    """
    inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="phorest_ghl-load-") as folder:
        complaints = Path(folder) / "standard-error"
        with complaints.open("wb") as said:
            process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "phorest_ghl", "backfill", "--from", first, "--json"],
                env={**inherited, "PYTHONPATH": str(_CODE), **settings},
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
        try:
            yield Backfill(process, complaints)
        finally:
            process.kill()
            process.wait()
