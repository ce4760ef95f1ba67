"""`bench import`: all clients of a large salon into an empty database, and once more unchanged.

Beside it a bare loop (`bare_loop`) and dlt (`dlt_peer`), as it comes and at its best: same list, same page size, as many
requests in flight where the tool lets one say so, same server with fsync on. Ours validates each page, keeps the raw
payload, keyed hashes and history, and commits as it goes.

Contenders take turns, and every first import goes into a new database. Phorest's limit and our budget are set so high
that neither is met: all run unlimited. A ratio is another's median by ours. Those to dlt count at 0 ms a page, where its
own work is all there is: as it comes it sends one request after the other, and at 100 ms it would only wait.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median

from benchmarks import bare_loop, dlt_peer
from benchmarks.lab import Database, Lab, PeakMemory, sandbox, sandbox_options, settings_of
from benchmarks.peers import MISSING_DLT, has_dlt, peer
from benchmarks.report import BenchError, Figure, Options, Report, Say, rounded_down
from phorest_ghl.assembly import libpq_url, open_runtime
from phorest_ghl.http.paging import PREFETCH
from phorest_ghl.phorest.client import basic_auth
from phorest_ghl.phorest.importer import Importer, ImportResult
from phorest_ghl.phorest.specs import CLIENTS
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxProcess

TAKES = frozenset({"--clients", "--rounds"})
LATENCIES_MS = (0, 100)
BARE, DEFAULT, BEST = "bare loop", "dlt", "dlt tuned"
BARS = {BARE: 0.8, DEFAULT: 4.0, BEST: 1.8}
"""What the ratio to each must reach."""
UNCHANGED_BAR = 1.0
"""The first import's time by the unchanged one's: what is left alone must not cost more than what is written."""
_CLIENTS = 50_000
_ROUNDS = 3
_UNLIMITED = 1_000_000  # requests a second


@dataclass
class _Times:
    """Seconds of one contender, a round each.

    Of its first import, `cpu` is what that took of this process, threads included, and `memory` its peak in MB.
    """

    first: list[float] = field(default_factory=list[float])
    unchanged: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])
    memory: list[float] = field(default_factory=list[float])


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
    if not has_dlt():
        say(MISSING_DLT)
    with Lab() as lab:
        figures = {
            _case(latency): _measure(lab, replace(salon, latency_ms=latency), rounds, say) for latency in LATENCIES_MS
        }
    judged = list(_judged(figures))
    ratio, bar = min(judged, key=lambda one: one[0] / one[1])
    if not has_dlt():
        figures["dlt"] = {"not_measured": MISSING_DLT}
    holds = has_dlt() and all(ratio >= bar for ratio, bar in judged)
    return Report(name="import", figures=figures, ratio=ratio, bar=bar, holds=holds)


def _judged(figures: Mapping[str, Mapping[str, Figure]]) -> Iterator[tuple[float, float]]:
    """Each ratio with its bar."""
    for found in figures.values():
        for name, value in found.items():
            if name.startswith("ratio_"):
                yield float(value), float(found[_bar_of(name)])


def _bar_of(ratio: str) -> str:
    return f"bar_{ratio.removeprefix('ratio_')}"


def _case(latency_ms: float) -> str:
    return f"{latency_ms:g} ms a page"


def _measure(lab: Lab, salon: SandboxOptions, rounds: int, say: Say) -> dict[str, Figure]:
    contenders: dict[str, Contender] = {"ours": _ours, BARE: _bare}
    if salon.latency_ms == 0 and has_dlt():
        contenders |= {DEFAULT: partial(_dlt, "default"), BEST: partial(_dlt, "best")}
    times = {name: _Times() for name in contenders}
    with sandbox(salon) as served:
        listed = int(served.control("GET", "/state")["phorest"]["clients"]) + 1  # the list has the walk-in record too
        for number in range(rounds):
            for name in _turns(contenders, number):
                with lab.database() as database:
                    contenders[name](served, database, listed, times[name])
                seconds = f"{times[name].first[-1]:.2f} s"
                if times[name].unchanged:
                    seconds += f", unchanged {times[name].unchanged[-1]:.2f} s"
                say(f"import, {_case(salon.latency_ms)}, round {number + 1} of {rounds}, {name}: {seconds}")
    return _figures(listed, times, salon.latency_ms)


def _turns(contenders: Iterable[str], number: int) -> list[str]:
    """Who is first changes from round to round, so that neither always finds the machine warm."""
    names = list(contenders)
    return names if number % 2 == 0 else names[::-1]


def _figures(listed: int, times: Mapping[str, _Times], latency_ms: float) -> dict[str, Figure]:
    ours = times["ours"]
    figures: dict[str, Figure] = {"clients": listed}
    for name, found in times.items():
        who = name.replace(" ", "_")
        figures[f"{who}_s"] = round(median(found.first), 3)
        figures[f"{who}_clients_per_s"] = round(listed / median(found.first))
        if found.cpu:
            figures[f"{who}_cpu_s"] = round(median(found.cpu), 3)
        if found.unchanged:
            figures[f"{who}_unchanged_s"] = round(median(found.unchanged), 3)
    if ours.memory:
        figures["ours_peak_rss_mb"] = round(max(ours.memory), 1)
    for name, bar in BARS.items():
        if name in times:
            figures |= _ratio(name, median(times[name].first) / median(ours.first), bar)
    if latency_ms == 0:
        figures |= _ratio("unchanged", median(ours.first) / median(ours.unchanged), UNCHANGED_BAR)
    return figures


def _ratio(name: str, value: float, bar: float) -> dict[str, Figure]:
    ratio = f"ratio_{name.replace(' ', '_')}"
    return {ratio: rounded_down(value), _bar_of(ratio): bar}


def _ours(served: SandboxProcess, database: Database, listed: int, times: _Times) -> None:
    settings = settings_of(served, database, PHOREST_REQUESTS_PER_SECOND="10000")
    with open_runtime(settings) as runtime:
        client, keyring = runtime.phorest(), runtime.keyring()
        for number, taken in enumerate((times.first, times.unchanged)):
            importer = Importer(runtime.engine, client, keyring, batch_id=f"bench-{number}")
            memory = PeakMemory()
            cpu, started = time.process_time(), time.perf_counter()
            result = importer.run(CLIENTS, full=True)
            taken.append(time.perf_counter() - started)
            if number == 0:
                times.cpu.append(time.process_time() - cpu)
                times.memory += memory.megabytes()
            _require(_is_whole(result, listed, first=number == 0), "our import")


def _is_whole(result: ImportResult, listed: int, *, first: bool) -> bool:
    inserted = listed if first else 0
    return result.complete and (result.seen, result.inserted, result.updated) == (listed, inserted, 0)


def _bare(served: SandboxProcess, database: Database, listed: int, times: _Times) -> None:
    for written, taken in ((listed, times.first), (0, times.unchanged)):
        cpu = time.process_time()
        loaded = bare_loop.load(_source(served), database.dsn)
        taken.append(loaded.seconds)
        if written:
            times.cpu.append(time.process_time() - cpu)
        _require((loaded.rows, loaded.written) == (listed, written), "the bare loop")


def _dlt(variant: dlt_peer.Variant, served: SandboxProcess, database: Database, listed: int, times: _Times) -> None:
    loaded = dlt_peer.load(variant, _source(served), libpq_url(database.url))
    times.first.append(loaded.seconds)
    _require(loaded.rows == listed, f"dlt ({variant})")


def _source(served: SandboxProcess) -> bare_loop.Source:
    settings = served.settings
    return bare_loop.Source(
        url=f"{settings['PHOREST_API_BASE_URL']}/{settings['PHOREST_BUSINESS_ID']}{CLIENTS.path}",
        headers=basic_auth(settings["PHOREST_CLIENT_ID"], settings["PHOREST_CLIENT_SECRET"])(),
        size=CLIENTS.page_size,
        in_flight=PREFETCH,
    )


def _require(whole: bool, who: str) -> None:  # noqa: FBT001
    """A contender that read less than everything would win by it."""
    if not whole:
        raise BenchError(f"The figures are worth nothing: {who} did not bring exactly what the sandbox holds.")
