"""`bench import`: all clients of a large salon into an empty database, and once more unchanged.

Beside it a bare loop (`bare_loop`) and dlt (`dlt_peer`), as it comes and at its best: same list, same page size, as many
requests in flight where the tool lets one say so, same server with fsync on. Ours validates each page, keeps the raw
payload, keyed hashes and history, and commits as it goes.

Each contender has a process of its own, so that none pays for what another has loaded, and keeps it from round to round
(dlt's begins anew for each load, with dlt imported). They take turns, and every first import goes into a new database.
Phorest's limit and our budget are set so high that neither is met: all run unlimited. A ratio is another's median by ours.
Those to dlt count at 0 ms a page, where its own work is all there is: as it comes it sends one request after the other,
and at 100 ms it would only wait.
"""

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

from benchmarks import bare_loop, dlt_peer
from benchmarks.lab import Database, Lab, PeakMemory, sandbox, sandbox_options, settings_of
from benchmarks.peers import MISSING_DLT, has_dlt, peer
from benchmarks.report import BenchError, Figure, Options, Report, Say, rounded_down
from phorest_ghl.assembly import libpq_url, open_runtime
from phorest_ghl.commands.console import quiet_logs
from phorest_ghl.http.paging import PREFETCH
from phorest_ghl.phorest.client import basic_auth
from phorest_ghl.phorest.importer import Importer, ImportResult
from phorest_ghl.phorest.specs import CLIENTS
from phorest_ghl.sandbox.options import SandboxOptions

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


@dataclass(frozen=True)
class _Round:
    """Seconds of one contender in one round; of its first import also what that took of the process.

    Attributes:
        first: into an empty database.
        unchanged: once more, nothing having changed; None where that is not measured.
        cpu: seconds of the process during the first, threads included.
        memory: its peak during the first, in MB; None where the system does not tell.
    """

    first: float
    unchanged: float | None = None
    cpu: float | None = None
    memory: float | None = None


@dataclass(frozen=True)
class _Salon:
    """What a contender has to know of the sandbox; it travels to the contender's process."""

    settings: dict[str, str]
    listed: int


Contender = Callable[[_Salon, Database], _Round]


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
    with contextlib.ExitStack() as stack:
        contenders: dict[str, Contender] = {
            "ours": stack.enter_context(_apart(_ours)),
            BARE: stack.enter_context(_apart(_bare)),
        }
        if salon.latency_ms == 0 and has_dlt():
            contenders |= {DEFAULT: partial(_dlt, "default"), BEST: partial(_dlt, "best")}
        times: dict[str, list[_Round]] = {name: [] for name in contenders}
        served = stack.enter_context(sandbox(salon))
        listed = int(served.control("GET", "/state")["phorest"]["clients"]) + 1  # the list has the walk-in record too
        for number in range(rounds):
            for name in _turns(contenders, number):
                with lab.database() as database:
                    one = contenders[name](_Salon(served.settings, listed), database)
                times[name].append(one)
                seconds = f"{one.first:.2f} s"
                if one.unchanged is not None:
                    seconds += f", unchanged {one.unchanged:.2f} s"
                say(f"import, {_case(salon.latency_ms)}, round {number + 1} of {rounds}, {name}: {seconds}")
    return _figures(listed, times, salon.latency_ms)


@contextlib.contextmanager
def _apart(contender: Contender) -> Generator[Contender]:
    """The contender in a process of its own, which begins with everything imported and ends with this."""
    alone = ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn"), initializer=quiet_logs)
    with alone as pool:
        yield lambda salon, database: pool.submit(contender, salon, database).result()


def _turns(contenders: Iterable[str], number: int) -> list[str]:
    """Who is first changes from round to round, so that neither always finds the machine warm."""
    names = list(contenders)
    return names if number % 2 == 0 else names[::-1]


def _figures(listed: int, times: Mapping[str, list[_Round]], latency_ms: float) -> dict[str, Figure]:
    figures: dict[str, Figure] = {"clients": listed}
    first = {name: median(one.first for one in found) for name, found in times.items()}
    unchanged = {
        name: median(known) for name, found in times.items() if (known := _known(one.unchanged for one in found))
    }
    for name, found in times.items():
        who = name.replace(" ", "_")
        figures[f"{who}_s"] = round(first[name], 3)
        figures[f"{who}_clients_per_s"] = round(listed / first[name])
        if cpu := _known(one.cpu for one in found):
            figures[f"{who}_cpu_s"] = round(median(cpu), 3)
        if name in unchanged:
            figures[f"{who}_unchanged_s"] = round(unchanged[name], 3)
    if memory := _known(one.memory for one in times["ours"]):
        figures["ours_peak_rss_mb"] = round(max(memory), 1)
    for name, bar in BARS.items():
        if name in times:
            figures |= _ratio(name, first[name] / first["ours"], bar)
    if latency_ms == 0:
        figures |= _ratio("unchanged", first["ours"] / unchanged["ours"], UNCHANGED_BAR)
    return figures


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _ratio(name: str, value: float, bar: float) -> dict[str, Figure]:
    ratio = f"ratio_{name.replace(' ', '_')}"
    return {ratio: rounded_down(value), _bar_of(ratio): bar}


def _ours(salon: _Salon, database: Database) -> _Round:
    settings = settings_of(salon, database, PHOREST_REQUESTS_PER_SECOND="10000")
    with open_runtime(settings) as runtime:
        client, keyring = runtime.phorest(), runtime.keyring()

        def bring(number: int) -> float:
            importer = Importer(runtime.engine, client, keyring, batch_id=f"bench-{number}")
            started = time.perf_counter()
            result = importer.run(CLIENTS, full=True)
            seconds = time.perf_counter() - started
            _require(_is_whole(result, salon.listed, first=number == 0), "our import")
            return seconds

        memory, cpu = PeakMemory(), time.process_time()
        first = bring(0)
        cpu = time.process_time() - cpu
        peak = next(iter(memory.megabytes()), None)
        return _Round(first, bring(1), cpu, peak)


def _is_whole(result: ImportResult, listed: int, *, first: bool) -> bool:
    inserted = listed if first else 0
    return result.complete and (result.seen, result.inserted, result.updated) == (listed, inserted, 0)


def _bare(salon: _Salon, database: Database) -> _Round:
    def bring(written: int) -> float:
        loaded = bare_loop.load(_source(salon), database.dsn)
        _require((loaded.rows, loaded.written) == (salon.listed, written), "the bare loop")
        return loaded.seconds

    cpu = time.process_time()
    first = bring(salon.listed)
    cpu = time.process_time() - cpu
    return _Round(first, bring(0), cpu)


def _dlt(variant: dlt_peer.Variant, salon: _Salon, database: Database) -> _Round:
    loaded = dlt_peer.load(variant, _source(salon), libpq_url(database.url))
    _require(loaded.rows == salon.listed, f"dlt ({variant})")
    return _Round(loaded.seconds)


def _source(salon: _Salon) -> bare_loop.Source:
    settings = salon.settings
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
