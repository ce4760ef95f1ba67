"""`bench chaos`: small salons whose first load, live day or repair is killed at seeded moments, and what is true afterwards.

A round has a salon, a database and a seed of its own. The real commands run as a process that dies by kill -9 at a seeded
crossing of a boundary (`fuse`), or whose PostgreSQL dies inside a commit, in every second round with 5 % each of 429, 502,
timeouts before and after commit, resets, answers cut off, contacts and events created though refused, and lists that
shift. It is started again and killed again; then the weather clears and the same commands run to their end. The sandbox's
truth says what is missing, what is there twice, what is wrong and who was told what; the next plan has to be empty.

The ratio is the share of rounds that hold, and its bar is 1. `--only-round` repeats one round of a seed. Beside it stands
drt's REST sync with its ledger, killed too, where the extra `peers` is installed.
"""

import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks import drt_peer, fuse
from benchmarks.chaos_truth import Verdict, judged
from benchmarks.desk import desk
from benchmarks.fuse import Order, Spark
from benchmarks.lab import Database, Lab, environment_of, sandbox, sandbox_options
from benchmarks.report import BenchError, Figure, Options, Report, Say, rounded_down
from phorest_ghl.assembly import open_runtime
from phorest_ghl.http.retry import RetryPolicy
from phorest_ghl.sandbox.server import SandboxProcess
from phorest_ghl.settings import load_settings
from phorest_ghl.sync.clients import new_batch_id

TAKES = frozenset({"--clients", "--rounds", "--seed", "--only-round"})
SCENARIOS = ("first load", "live day", "repair")
_ROUNDS, _CLIENTS, _MONTHS = 200, 24, 3
_NOW = datetime(2026, 3, 10, 15, tzinfo=UTC)
_FIRST_MONTH = "2026-01"
_RATE_WINDOW_S, _LAG_S = 0.2, 0.1
_MOST_RUNS = 4
"""Runs after the weather has cleared: what waits for another entity, or for search, comes with the second."""
_TOO_LONG_S = 300
_PEER_KILLS = 5
LOAD = (("backfill", "--from", _FIRST_MONTH, "--workflows-paused", "--json"),)
DAY = tuple(("sync", entity, "--json") for entity in ("clients", "staff", "appointments", "check-ins", "loyalty"))
_CROSSINGS = {"first load": 1_300, "live day": 500, "repair": 250}
"""About how many boundaries each passes, so that a seeded one lies anywhere in it."""
HAPPENS = (
    "booked", "moved", "cancelled", "appointment deleted", "checked in", "paid", "client created", "client edited",
    "consent changed", "points changed", "ghl opt-out",
)  # fmt: skip
_SHARE = 0.05
_WRITES = ("POST /contacts/", "POST /calendars/events/appointments", "POST /contacts/{contactId}/notes")
STORM: tuple[Mapping[str, Any], ...] = (
    *({"kind": kind, "rate": _SHARE} for kind in ("429", "502", "reset", "truncated")),
    *({"kind": kind, "rate": _SHARE, "ms": 5} for kind in ("timeout_before", "timeout_after_commit")),
    *({"kind": "created_but_422", "rate": _SHARE, "api": "ghl", "route": route} for route in _WRITES),
    {"kind": "page_drift", "rate": _SHARE, "api": "phorest", "route": "GET /client"},
)
_QUICK = RetryPolicy(attempts=4, elapsed_s=20, window_s=_RATE_WINDOW_S, first_s=0.01, longest_s=0.05)


@dataclass(frozen=True)
class Plan:
    """What a round will do to whom: all of it follows from the seed."""

    number: int
    scenario: str
    sparks: tuple[Spark, ...]
    storm: bool
    live: bool
    seed: int

    @classmethod
    def of(cls, seed: int, number: int) -> "Plan":
        """The round of this number."""
        rng = random.Random(f"{seed} {number}")
        scenario = SCENARIOS[number % len(SCENARIOS)]
        sparks = tuple(
            Spark(nth=rng.randrange(1, 5), boundary=fuse.Boundary.IN_COMMIT, backend=True)
            if rng.random() < 0.15
            else Spark(nth=rng.randrange(1, _CROSSINGS[scenario]))
            for _ in range(rng.randrange(1, 4))
        )
        return cls(number, scenario, sparks, rng.random() < 0.5, rng.random() < 0.5, rng.randrange(1, 10**6))


@dataclass
class Outcome:
    """What a round came to."""

    plan: Plan
    kills: int = 0
    runs: int = 0
    faults: Counter[str] = field(default_factory=Counter[str])
    verdict: Verdict = field(default_factory=Verdict)
    failure: str = ""

    @property
    def holds(self) -> bool:
        """Whether everything is as it must be."""
        return self.verdict.holds and not self.failure


def run(options: Options, say: Say) -> Report:
    """Measure.

    Raises:
        BenchError: an option is not for this benchmark.
    """
    options.check("chaos", TAKES)
    seed = options.seed or 1
    rounds = options.rounds or _ROUNDS
    numbers = range(rounds) if options.only_round is None else (options.only_round - 1,)
    outcomes: list[Outcome] = []
    with Lab() as lab:
        for number in numbers:
            outcome = one_round(lab, Plan.of(seed, number), options.clients or _CLIENTS)
            outcomes.append(outcome)
            say(_line(seed, outcome))
        drt = None if options.only_round else drt_peer.executable()
        peer = {} if drt is None else {"drt": drt_peer.killed(lab, drt, seed=seed, kills=min(rounds, _PEER_KILLS))}
    if not peer and not options.only_round:
        say(f"chaos: {drt_peer.MISSING}")
    held = sum(outcome.holds for outcome in outcomes)
    figures = {name: _figures(group) for name, group in _by_scenario(outcomes).items()} | peer
    ratio = rounded_down(held / len(outcomes))
    return Report(name="chaos", figures=figures, ratio=ratio, bar=1.0, holds=held == len(outcomes))


def one_round(lab: Lab, plan: Plan, clients: int) -> Outcome:
    """One salon, killed and finished and judged."""
    salon = sandbox_options(
        clients=clients,
        months=_MONTHS,
        seed=plan.seed,
        now=_NOW,
        rate_window_s=_RATE_WINDOW_S,
        switches={"ghl_search_lag_s": _LAG_S, "ghl_rate_max": 1_000_000, "phorest_rate_max": 1_000_000},
    )
    with sandbox(salon) as served, lab.database() as database, tempfile.TemporaryDirectory() as folder:
        work = _Round(served, database, Path(folder), plan)
        try:
            work.go()
        except (BenchError, subprocess.TimeoutExpired) as error:
            work.outcome.failure = str(error)
        return work.outcome


class _Round:
    def __init__(self, served: SandboxProcess, database: Database, folder: Path, plan: Plan) -> None:
        self._served = served
        self._folder = folder
        self._plan = plan
        self._rng = random.Random(plan.seed)
        self._crossed = folder / "crossed"
        self._given = environment_of(
            served,
            database,
            GHL_RATE_LIMIT="1000",
            GHL_RATE_WINDOW_S=str(_RATE_WINDOW_S),
            PHOREST_REQUESTS_PER_SECOND="2000",
            CONTACT_HOURS="00:00-23:59:59.999999",
        )
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
        self._env = {**kept, **self._given}
        self._concerned: set[str] = set()
        self._newcomers = 0
        self.outcome = Outcome(plan)

    def go(self) -> None:
        """The whole of it."""
        self._served.control("POST", "/workflows", {"unfiltered": "paused"})
        self._served.control("POST", "/workflows", {"appointment, unfiltered": "published"})
        commands = LOAD
        if self._plan.scenario != "first load":
            self._finish([*LOAD])
            if self._plan.live:
                self._go_live()
            commands = DAY
        for spark in self._plan.sparks:
            commands = self._something_happens(commands)
            if self._plan.storm:
                self._weather()
            self._killed(commands, spark)
            self._clear()
            self._pass(self._rng.choice((2, 2, 60, 3_600, 7_200)))
        self._finish([*commands, *DAY])
        plans, unsettled = self._left()
        self.outcome.verdict = judged(self._served, self._concerned, plans=plans, unsettled=unsettled)

    def _go_live(self) -> None:
        """The salon chose GHL as the one who writes to clients."""
        calendar = self._served.settings["GHL_DEFAULT_CALENDAR_ID"]
        self._given |= {"GHL_ANNOUNCING_CALENDARS": calendar, "APPOINTMENT_TIMES_CONFIRMED": "true"}
        self._env |= self._given
        self._run([("go-live", "--yes", "--json")], None)
        self._pass(2)

    def _something_happens(self, commands: Sequence[tuple[str, ...]]) -> Sequence[tuple[str, ...]]:
        """What the salon and people in GHL do before a run, and the commands that the run is of."""
        if self._plan.scenario == "first load":
            return commands
        if self._plan.scenario == "live day":
            wish = {"count": 6, "step_s": 60, "kinds": HAPPENS, "seed": self._plan.seed}
            events = self._served.control("POST", "/live", wish)["events"]
            self._concerned |= {event["client"] for event in events if "client" in event}
            self._pass(2)
            return commands
        with desk(self._served) as people:
            met: list[str] = []
            for _ in range(3):
                self._newcomers += 1
                met.append(people.meet(self._newcomers))
                people.book(met[-1], _NOW + timedelta(days=2 + self._newcomers), self._newcomers)
            people.pass_time(2)
        self._concerned |= set(met)
        return (("sync", "appointments", "--json"), ("repair", *met, "--json"))

    def _weather(self) -> None:
        for fault in STORM:
            self._served.control("POST", "/faults", {"api": "*", "route": "*", **fault})

    def _clear(self) -> None:
        for fault in self._served.control("GET", "/faults")["faults"]:
            self.outcome.faults[fault["kind"]] += fault["hits"]
        self._served.control("DELETE", "/faults")

    def _pass(self, seconds: float) -> None:
        self._served.control("POST", "/clock", {"advance_s": seconds})

    def _killed(self, commands: Sequence[tuple[str, ...]], spark: Spark) -> None:
        self._crossed.unlink(missing_ok=True)
        self._run(commands, spark)
        self.outcome.kills += any(boundary == fuse.BURNT for boundary, _ in fuse.crossings(self._crossed))

    def _finish(self, commands: Sequence[tuple[str, ...]]) -> None:
        """Run to the end; again while there is something to do."""
        for _ in range(_MOST_RUNS):
            code, complaint = self._run(commands, None)
            if code >= 2:
                raise BenchError(f"Round {self._plan.number + 1} could not be finished ({code}): {complaint[-400:]}")
            self._pass(2)
            if self._left() == (0, 0):
                return

    def _run(self, commands: Sequence[tuple[str, ...]], spark: Spark | None) -> tuple[int, str]:
        order = Order(commands, spark, str(self._crossed))
        self.outcome.runs += 1
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "benchmarks.fuse", order.line()],
            env=self._env,
            cwd=self._folder,  # where no .env is
            capture_output=True,
            text=True,
            timeout=_TOO_LONG_S,
            check=False,
        )
        if "Traceback" in done.stderr:
            raise BenchError(f"A command of round {self._plan.number + 1} broke: {done.stderr[-800:]}")
        return done.returncode, done.stderr

    def _left(self) -> tuple[int, int]:
        """Changes that the next plan would make, and creates whose outcome nobody knows."""
        with open_runtime(load_settings(self._given, None), retry=_QUICK) as runtime:
            roads: tuple[Any, ...] = (
                runtime.clients_sync(batch_id=new_batch_id(), writing=False, lag_s=_LAG_S),
                runtime.staff_sync(batch_id=new_batch_id(), writing=False, lag_s=_LAG_S),
                runtime.appointments_sync(batch_id=new_batch_id(), writing=False, lag_s=_LAG_S),
                runtime.check_ins_sync(batch_id=new_batch_id(), writing=False, lag_s=_LAG_S),
            )
            changes = sum(len(road.plan(road.prepare()).changes) for road in roads)
            with runtime.engine.connect() as connection:
                query = "select count(*) from sync_intents where state in ('planned', 'sent', 'unknown')"
                return changes, int(connection.execute(text(query)).scalar_one())


def _by_scenario(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    groups = {name: [one for one in outcomes if one.plan.scenario == name] for name in SCENARIOS}
    return {name: group for name, group in groups.items() if group} | {"all": [*outcomes]}


def _figures(outcomes: Sequence[Outcome]) -> dict[str, Figure]:
    faults = sum((outcome.faults for outcome in outcomes), Counter[str]())
    sums: Counter[str] = Counter()
    for outcome in outcomes:
        sums.update(asdict(outcome.verdict))
    return {
        "rounds": len(outcomes),
        "kills": sum(outcome.kills for outcome in outcomes),
        "runs": sum(outcome.runs for outcome in outcomes),
        "faults_injected": faults.total(),
        **{name: sums[name] for name in asdict(Verdict())},
        "broken_off": sum(bool(outcome.failure) for outcome in outcomes),
        "rounds_that_hold": sum(outcome.holds for outcome in outcomes),
    }


def _line(seed: int, outcome: Outcome) -> str:
    plan = outcome.plan
    weather = ", storm" if plan.storm else ""
    live = ", live" if plan.live and plan.scenario != "first load" else ""
    began = (
        f"chaos: round {plan.number + 1}, {plan.scenario}{weather}{live}, {outcome.kills} kills, {outcome.runs} runs"
    )
    if outcome.holds:
        return f"{began}: holds"
    wrong = {name: value for name, value in asdict(outcome.verdict).items() if value}
    again = f"phorest-ghl bench chaos --seed {seed} --only-round {plan.number + 1}"
    return f"{began}: does not hold: {wrong} {outcome.failure} ({again})"
