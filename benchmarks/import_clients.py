"""`bench import`: all clients of a large salon into an empty database, and once more unchanged.

Beside it a bare loop (`bare_loop`): same list, same page size, as many requests in flight, same server with fsync on.
Ours validates each page, keeps the raw payload, keyed hashes and history, and commits page by page.

Contenders take turns, and every first import goes into a new database. Phorest's limit and our budget are set so high
that neither is met: both run unlimited. The ratio is the bare loop's median by ours, at 100 ms a page.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median

from benchmarks import bare_loop
from benchmarks.lab import Database, Lab, sandbox, sandbox_options, settings_of
from benchmarks.peers import peer
from benchmarks.report import BenchError, Figure, Options, Report, Say, rounded_down
from phorest_ghl.assembly import open_runtime
from phorest_ghl.http.paging import PREFETCH
from phorest_ghl.phorest.client import basic_auth
from phorest_ghl.phorest.importer import Importer, ImportResult
from phorest_ghl.phorest.specs import CLIENTS
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxProcess

TAKES = frozenset({"--clients", "--rounds"})
BAR = 0.8
LATENCIES_MS = (0, 100)
_JUDGED_MS = 100  # the live API answers a page in about that time; at 0 ms a benchmark prices nothing but CPU
_CLIENTS = 50_000
_ROUNDS = 3
_UNLIMITED = 1_000_000  # requests a second


@dataclass
class _Times:
    """Seconds of one contender, a round each; `cpu` is what its first import took of this process, threads included."""

    first: list[float] = field(default_factory=list[float])
    unchanged: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])


Contender = Callable[[SandboxProcess, Database, int, _Times], None]


def run(options: Options, say: Say) -> Report:
    """Measure.

    Raises:
        BenchError: an option is not for this benchmark, a package is missing, or a contender did not read everything.
    """
    options.check("import", TAKES)
    for module in ("aiohttp", "uvloop"):
        peer(module)  # now, rather than after a minute
    salon = sandbox_options(clients=options.clients or _CLIENTS, months=0, switches={"phorest_rate_max": _UNLIMITED})
    rounds = options.rounds or _ROUNDS
    with Lab() as lab:
        figures = {
            _case(latency): _measure(lab, replace(salon, latency_ms=latency), rounds, say) for latency in LATENCIES_MS
        }
    judged = float(figures[_case(_JUDGED_MS)]["ratio"])
    return Report(name="import", figures=figures, ratio=judged, bar=BAR, holds=judged >= BAR)


def _case(latency_ms: float) -> str:
    return f"{latency_ms:g} ms a page"


def _measure(lab: Lab, salon: SandboxOptions, rounds: int, say: Say) -> dict[str, Figure]:
    contenders: dict[str, Contender] = {"ours": _ours, "bare loop": _bare}
    times = {name: _Times() for name in contenders}
    with sandbox(salon) as served:
        listed = int(served.control("GET", "/state")["phorest"]["clients"]) + 1  # the list has the walk-in record too
        for number in range(rounds):
            for name in _turns(contenders, number):
                with lab.database() as database:
                    contenders[name](served, database, listed, times[name])
                seconds = f"{times[name].first[-1]:.2f} s, unchanged {times[name].unchanged[-1]:.2f} s"
                say(f"import, {_case(salon.latency_ms)}, round {number + 1} of {rounds}, {name}: {seconds}")
    return _figures(listed, times)


def _turns(contenders: Iterable[str], number: int) -> list[str]:
    """Who is first changes from round to round, so that neither always finds the machine warm."""
    names = list(contenders)
    return names if number % 2 == 0 else names[::-1]


def _figures(listed: int, times: Mapping[str, _Times]) -> dict[str, Figure]:
    ours, bare = times["ours"], times["bare loop"]
    return {
        "clients": listed,
        "ours_s": round(median(ours.first), 3),
        "bare_loop_s": round(median(bare.first), 3),
        "ours_clients_per_s": round(listed / median(ours.first)),
        "bare_loop_clients_per_s": round(listed / median(bare.first)),
        "ours_cpu_s": round(median(ours.cpu), 3),
        "bare_loop_cpu_s": round(median(bare.cpu), 3),
        "ratio": rounded_down(median(bare.first) / median(ours.first)),
        "ours_unchanged_s": round(median(ours.unchanged), 3),
        "bare_loop_unchanged_s": round(median(bare.unchanged), 3),
    }


def _ours(served: SandboxProcess, database: Database, listed: int, times: _Times) -> None:
    settings = settings_of(served, database, PHOREST_REQUESTS_PER_SECOND="10000")
    with open_runtime(settings) as runtime:
        client, keyring = runtime.phorest(), runtime.keyring()
        for number, taken in enumerate((times.first, times.unchanged)):
            importer = Importer(runtime.engine, client, keyring, batch_id=f"bench-{number}")
            cpu, started = time.process_time(), time.perf_counter()
            result = importer.run(CLIENTS, full=True)
            taken.append(time.perf_counter() - started)
            if number == 0:
                times.cpu.append(time.process_time() - cpu)
            _require(_is_whole(result, listed, first=number == 0), "our import")


def _is_whole(result: ImportResult, listed: int, *, first: bool) -> bool:
    inserted = listed if first else 0
    return result.complete and (result.seen, result.inserted, result.updated) == (listed, inserted, 0)


def _bare(served: SandboxProcess, database: Database, listed: int, times: _Times) -> None:
    settings = served.settings
    source = bare_loop.Source(
        url=f"{settings['PHOREST_API_BASE_URL']}/{settings['PHOREST_BUSINESS_ID']}{CLIENTS.path}",
        headers=basic_auth(settings["PHOREST_CLIENT_ID"], settings["PHOREST_CLIENT_SECRET"])(),
        size=CLIENTS.page_size,
        in_flight=PREFETCH,
    )
    for written, taken in ((listed, times.first), (0, times.unchanged)):
        cpu = time.process_time()
        loaded = bare_loop.load(source, database.dsn)
        taken.append(loaded.seconds)
        if written:
            times.cpu.append(time.process_time() - cpu)
        _require((loaded.rows, loaded.written) == (listed, written), "the bare loop")


def _require(whole: bool, who: str) -> None:  # noqa: FBT001
    """A contender that read less than everything would win by it."""
    if not whole:
        raise BenchError(f"The figures are worth nothing: {who} did not bring exactly what the sandbox holds.")
