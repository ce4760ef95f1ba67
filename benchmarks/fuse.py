"""Where a process of ours may die: the boundaries that every request and every commit passes, and a fuse that burns at one.

Belongs here: the named boundaries, counting them, dying. Does not: what the process was doing, judging what came of it.

`light` puts itself between the product and the wire (`ApiSession`, through which every request of both APIs goes) and
between the product and PostgreSQL (SQLAlchemy's commit), so a sender that is written tomorrow passes the same boundaries
without knowing of it. `python -m benchmarks.fuse ORDER` runs the real commands with a fuse; `ORDER` is JSON.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

ANY = "*"
COMMIT = "commit"
"""The operation of a commit that no request came before."""
BURNT = "burnt"
"""What stands in place of a boundary where the fuse burned."""
FASTER = 50
"""How much shorter the product's waits are in a process that has its commands from here; the sandbox's are as short."""


class Boundary(StrEnum):
    """The moments between which a write can be lost."""

    BEFORE_SEND = "before send"
    SENT = "sent, not answered"
    """The other side has done it, and the answer is lost with the process."""
    ANSWERED = "answered, not committed"
    IN_COMMIT = "inside commit"
    """All statements of the transaction are done, and the commit is not."""


@dataclass(frozen=True)
class Spark:
    """Where to burn: at the `nth` crossing of a boundary by an operation, `*` being any; what dies is `backend` or process."""

    boundary: str = ANY
    operation: str = ANY
    nth: int = 1
    backend: bool = False

    def meets(self, boundary: str, operation: str) -> bool:
        """Whether this crossing counts."""
        return self.boundary in (ANY, boundary) and self.operation in (ANY, operation)


@dataclass
class Order:
    """What a process shall run, where it shall die, and where it writes down what it crossed."""

    commands: Sequence[Sequence[str]] = ()
    spark: Spark | None = None
    crossed: str | None = None

    def line(self) -> str:
        """As one argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, line: str) -> "Order":
        """Read it back."""
        values: dict[str, Any] = json.loads(line)
        spark = values["spark"]
        return cls(values["commands"], None if spark is None else Spark(**spark), values["crossed"])


@dataclass
class _Fuse:
    spark: Spark | None
    log: int | None
    met: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def cross(self, boundary: Boundary, operation: str, backend: Callable[[], int] | None = None) -> None:
        """One crossing, written down; the last one, where it was to be so."""
        with self.lock:
            if self.log is not None:
                os.write(self.log, f"{boundary}\t{operation}\n".encode())
            spark = self.spark
            if spark is None or not spark.meets(boundary, operation):
                return
            if spark.backend and backend is None:
                return  # nothing of PostgreSQL is at work here
            self.met += 1
            if self.met != spark.nth:
                return
            if self.log is not None:
                os.write(self.log, f"{BURNT}\t{operation}\n".encode())
            os.kill(os.getpid() if backend is None or not spark.backend else backend(), signal.SIGKILL)


def light(spark: Spark | None, crossed: str | None) -> None:
    """From now on every boundary counts in this process. Once a process."""
    from sqlalchemy import Connection, Engine, event  # noqa: PLC0415 - after `hurry`, in a process that has it

    log = None if crossed is None else os.open(crossed, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    fuse, here = _Fuse(spark, log), threading.local()
    _wire(fuse, here)

    def committing(connection: Connection) -> None:
        answered, here.answered = getattr(here, "answered", None), None
        info: Any = connection.connection.dbapi_connection
        fuse.cross(Boundary.IN_COMMIT, answered or COMMIT, lambda: int(info.info.backend_pid))

    event.listen(Engine, "commit", committing)


def _wire(fuse: _Fuse, here: threading.local) -> None:
    import httpx  # noqa: PLC0415 - see `light`

    from phorest_ghl.http.session import ApiSession  # noqa: PLC0415

    def attempted(session: ApiSession, call: Any, *more: Any) -> Any:
        here.operation = call.operation
        fuse.cross(Boundary.BEFORE_SEND, call.operation)
        try:
            return attempt(session, call, *more)
        finally:  # a refusal is an answer too
            here.answered = call.operation
            fuse.cross(Boundary.ANSWERED, call.operation)

    def carried(transport: httpx.HTTPTransport, request: httpx.Request) -> Any:
        response = carry(transport, request)
        fuse.cross(Boundary.SENT, here.operation)
        return response

    attempt = _replaced(ApiSession, "_attempt", attempted)
    carry = _replaced(httpx.HTTPTransport, "handle_request", carried)


def _replaced(owner: type, name: str, by: Callable[..., Any]) -> Callable[..., Any]:
    """Put a function in place of a method; the method that was there."""
    before = getattr(owner, name)
    setattr(owner, name, by)
    return before


def crossings(path: Path) -> list[tuple[str, str]]:
    """What processes wrote down: boundary and operation, in order."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [(boundary, operation) for boundary, _, operation in (line.partition("\t") for line in lines)]


def hurry() -> None:
    """Make every wait of this process shorter, before anything of the product is imported and keeps `time.sleep`."""
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(float(seconds) / FASTER)


def main(order: Order) -> int:
    """Run the commands one after the other as the command line would; the worst exit code."""
    hurry()
    light(order.spark, order.crossed)
    from phorest_ghl.cli import app  # noqa: PLC0415 - see `light`

    worst = 0
    for command in order.commands:
        code: Any = app([*command], standalone_mode=False)
        worst = max(worst, int(code or 0))
    return worst


if __name__ == "__main__":
    sys.exit(main(Order.parse(sys.argv[1])))
