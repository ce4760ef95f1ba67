"""drt as a contender of `bench chaos`: its REST sync with its ledger in the warehouse, killed the same way, then run again.

Belongs here: that project, killing it, counting. Does not: comparing.

One sync of a table into the sandbox's contacts, each row with an idempotency key, in a location that refuses no second
contact, as GHL refuses no second event or note anywhere. It dies when the sandbox has made a seeded number of contacts.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg import sql

from benchmarks.lab import Database, Lab, sandbox, sandbox_options
from benchmarks.report import BenchError, Figure
from phorest_ghl.sandbox.server import SandboxProcess

MISSING = "drt is not installed, so it is not measured: pip install -e '.[peers]' -c constraints.txt"
ROWS = 600
_TABLE = sql.SQL(
    "create table people as select n, 'P' || n as first_name, 'person' || n || '@example.com' as email "
    "from generate_series(1, {}) as n"
)
_PATIENCE_S = 120.0


def executable() -> str | None:
    """The command of drt in this environment, where the extra `peers` is installed."""
    return shutil.which("drt", path=str(Path(sys.executable).parent))


def killed(lab: Lab, drt: str, *, seed: int, kills: int) -> dict[str, Figure]:
    """Kill it so many times, each time in a salon of its own, let it finish, and count. Raises BenchError."""
    rng = random.Random(f"drt {seed}")
    twice = missing = 0
    for _ in range(kills):
        switches = {"ghl_allow_duplicate_contact": True, "ghl_rate_max": 1_000_000}
        with sandbox(sandbox_options(clients=1, months=0, switches=switches)) as served, lab.database() as database:
            found = _once(drt, served, database, rng.randrange(ROWS // 10, ROWS * 9 // 10))
        twice += sum(times - 1 for times in found.values())
        missing += ROWS - len(found)
    return {
        "kills": kills,
        "records": ROWS,
        "missing": missing,
        "duplicates": twice,
        "duplicates_a_kill": twice / kills,
    }


def _once(drt: str, served: SandboxProcess, database: Database, enough: int) -> Counter[str]:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(_TABLE.format(sql.Literal(ROWS)))
    with tempfile.TemporaryDirectory(prefix="phorest_ghl-drt-") as place:
        _project(Path(place), served, database)
        environ = {"PATH": os.environ["PATH"], "HOME": place, "DRT_TELEMETRY": "0", "DRT_PG_PASSWORD": "none"}
        command = [drt, "run", "--output", "json"]
        nothing = subprocess.DEVNULL
        process = subprocess.Popen(command, cwd=place, env=environ, stdout=nothing, stderr=nothing)  # noqa: S603 - the peer's own
        limit = time.monotonic() + _PATIENCE_S
        try:
            while _made(served).total() < enough and process.poll() is None and time.monotonic() < limit:
                time.sleep(0.01)
        finally:
            process.kill()
            process.wait()
        done = subprocess.run(command, cwd=place, env=environ, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            raise BenchError(f"drt could not finish its sync: {done.stderr[-400:]}")
        return _made(served)


def _made(served: SandboxProcess) -> Counter[str]:
    return Counter(str(row["email"]) for row in served.truth("ghl/contacts") if row.get("email"))


def _project(folder: Path, served: SandboxProcess, database: Database) -> None:
    """The project as drt's documentation has one write it, telemetry off."""
    parts = urlsplit(database.url)
    query = parse_qs(parts.query)
    host, port = query.get("host", [parts.hostname or "localhost"])[0], query.get("port", [str(parts.port or 5432)])[0]
    settings = served.settings
    (folder / ".drt").mkdir()
    (folder / "syncs").mkdir()
    (folder / ".drt" / "profiles.yml").write_text(
        f"pg:\n  type: postgres\n  host: {host}\n  port: {port}\n  dbname: {parts.path.lstrip('/')}\n"
        f"  user: {parts.username or 'postgres'}\n  password_env: DRT_PG_PASSWORD\n",
        encoding="utf-8",
    )
    (folder / "drt_project.yml").write_text(
        'name: bench\nversion: "0.1"\nprofile: pg\n'
        "state: {backend: warehouse, connection_profile: pg, idempotency: true}\n",
        encoding="utf-8",
    )
    (folder / "syncs" / "people.yml").write_text(
        f"""name: people
model: "SELECT n, first_name, email FROM people ORDER BY n"
destination:
  type: rest_api
  url: "{settings["GHL_API_BASE_URL"]}/contacts/"
  method: POST
  headers:
    Content-Type: application/json
    Version: "2021-07-28"
    Authorization: "Bearer {settings["GHL_PRIVATE_TOKEN"]}"
  body_template: |
    {{"locationId": "{settings["GHL_LOCATION_ID"]}", "firstName": {{{{ row.first_name | tojson_safe }}}},
      "email": {{{{ row.email | tojson_safe }}}}}}
sync:
  mode: full
  batch_size: 100
  rate_limit: {{requests_per_second: 0}}
  on_error: skip
  idempotency_key: "{{{{ row.n }}}}"
""",  # noqa: S608 - the peer's own query
        encoding="utf-8",
    )
