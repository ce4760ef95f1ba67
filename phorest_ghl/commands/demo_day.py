"""The demo's day: the salon works from morning to morning while the cron table runs, and then is judged.

Belongs here: moving the salon's clock, letting things happen in it, judging what came of it. Does not: the first load (`demo`).

An hour passes at a time while the salon is open, else two: what happens in it happens first, then what the cron table has in
it runs, each line once.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from phorest_ghl.commands.console import Out
from phorest_ghl.commands.demo_diary import Diary, judge_diary
from phorest_ghl.commands.demo_runs import DagsterRuns
from phorest_ghl.commands.demo_truth import Row, holders, judge
from phorest_ghl.sandbox.server import SandboxProcess

BEGINS = time(7)
HOURS = 27
"""From seven in the morning to ten the next: what has to wait for the morning (safety S5) has come by then."""
_OPEN = range(9, 18)  # hours of the first day in which something happens
_AN_HOUR = 4
_HAPPENS = (
    "booked", "moved", "cancelled", "appointment deleted", "checked in", "paid", "client created", "client edited",
    "consent changed", "points changed", "ghl opt-out", "ghl no-show",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Day:
    """What a day brought.

    Attributes:
        happened: how often each kind of thing happened in the salon and at people's hands in GHL.
        runs: runs that the cron table made.
        told: messages that GHL sent about appointments.
        strangers: those of them to contacts of clients to whom nothing had happened.
        missing, twice: syncable clients on no contact at its end, or on more than one.
        reachable: addresses that could be written to although somebody at them does not agree.
        diary: GHL's calendar beside the salon's diary.
    """

    happened: Mapping[str, int]
    runs: int
    told: int
    strangers: int
    missing: int
    twice: int
    reachable: int
    diary: Diary

    @property
    def holds(self) -> bool:
        """Whether everything arrived, once, and nobody was told of what did not concern them."""
        return self.diary.holds and not (self.strangers or self.missing or self.twice or self.reachable)

    def document(self) -> dict[str, Any]:
        """As the demo reports it."""
        return {**vars(self), "happened": dict(self.happened), "diary": self.diary.document()}


class DemoDay:
    """Lets a day pass. `before` are the contacts that were in GHL before the first load: of some a person has to decide."""

    def __init__(
        self, sandbox: SandboxProcess, runs: DagsterRuns, zone: ZoneInfo, out: Out, *, before: Sequence[Row]
    ) -> None:
        self._before = before
        self._sandbox = sandbox
        self._runs = runs
        self._zone = zone
        self._out = out

    def run(self) -> Day:
        """Let it pass and judge it. Raises DemoFailed where a run fails."""
        now = self._until_morning()
        told_before = len(self._told())
        happened: Counter[str] = Counter()
        touched: set[str] = set()
        made = 0
        end = now + timedelta(hours=HOURS)
        while now < end:
            hours, local = 1, now.astimezone(self._zone)
            if local.hour in _OPEN and local.date() == self._first:
                wish = {"count": _AN_HOUR, "step_s": 3600 / _AN_HOUR, "kinds": _HAPPENS}
                events = self._sandbox.control("POST", "/live", wish)["events"]
                happened.update(event["kind"] for event in events)
                touched |= {event["client"] for event in events if "client" in event}
                self._out.say(f"{local:%H:%M}  {', '.join(event['kind'] for event in events)}")
            else:
                hours = 2 if end - now >= timedelta(hours=2) else 1
                self._sandbox.control("POST", "/clock", {"advance_s": 3600 * hours})
            then = now + timedelta(hours=hours)
            made += self._runs.ticks(now, then)
            now = then
        return self._judged(now, happened, made, self._told()[told_before:], touched)

    def _until_morning(self) -> datetime:
        now = datetime.fromisoformat(self._sandbox.control("GET", "/clock")["now"]).astimezone(self._zone)
        self._first = (now + timedelta(days=1)).date()
        morning = datetime.combine(self._first, BEGINS, self._zone)
        self._sandbox.control("POST", "/clock", {"set": morning.isoformat()})
        return morning.astimezone(UTC)  # hours are counted as they pass, also in a night in which the clocks change

    def _told(self) -> list[Row]:
        return [row for row in self._sandbox.truth("automations") if row["trigger"] == "appointment" and row["sent"]]

    def _judged(self, now: datetime, happened: Mapping[str, int], made: int, told: list[Row], touched: set[str]) -> Day:
        truth = {
            kind: self._sandbox.truth(kind)
            for kind in ("phorest/clients", "phorest/appointments", "phorest/branches", "ghl/contacts", "ghl/events")
        }
        found = judge(truth["phorest/clients"], truth["ghl/contacts"], self._before)
        diary = judge_diary(
            truth["phorest/appointments"],
            truth["ghl/events"],
            truth["phorest/clients"],
            truth["ghl/contacts"],
            truth["phorest/branches"],
            now.astimezone(self._zone).date(),
        )
        # Whom a message may reach: the contacts of clients to whom something happened today.
        contacts = holders(
            truth["ghl/contacts"], {row["clientId"]: row["clientId"] for row in truth["phorest/clients"]}
        )
        concerned = {contact for client in touched for contact in contacts.get(client, ())}
        return Day(
            happened=dict(sorted(happened.items())),
            runs=made,
            told=len(told),
            strangers=sum(row["contact"] not in concerned for row in told),
            missing=found.missing,
            twice=found.twice,
            reachable=found.reachable,
            diary=diary,
        )
