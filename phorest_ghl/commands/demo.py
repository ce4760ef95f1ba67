"""`demo`: a simulated salon, imported, planned, synced and judged, all of it on this machine.

Belongs here: the demo's story. Does not: anything that a real salon would need.

Its settings are its own and its folder is its own, so that no credential of a real account in the environment or in
`.env` can ever reach it.
"""

import os
import shutil
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from phorest_ghl.assembly import DAGSTER_DATABASE, DATABASE, Runtime, open_runtime
from phorest_ghl.commands import reports
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.commands.dagster_ui import DagsterUi, dagster_environment
from phorest_ghl.commands.demo_day import Day, DemoDay
from phorest_ghl.commands.demo_runs import DagsterRuns, DemoFailed
from phorest_ghl.commands.demo_staff import judge_staff
from phorest_ghl.commands.demo_truth import Row, Truth, judge
from phorest_ghl.commands.keys import HASH_KEY, SECRET_KEY, new_key
from phorest_ghl.commands.sync import show_plan
from phorest_ghl.db.embedded import EmbeddedServer
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxProcess
from phorest_ghl.settings import Settings, SettingsError, load_settings, names
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.going_live import go_live

FOLDER = Path(".phorest-ghl") / "demo"
RATE_WINDOW_S = 0.5
"""GHL's window of 10 s, shrunk twenty times: the same rules, without the wait."""
AGENCY_CONTACTS = 300
"""What the agency made by hand before; fewer in a very small salon."""


_FIRST_LOAD = {
    "clients": "creating the contacts in GHL, each with all that is known of it",
    "staff": "a contact for each member of the staff, to which nothing is ever sent",
    "loyalty": "points, cards and tiers: the clients' run has brought them",
    "products": "tags of products: likewise",
    "appointments": "the appointments to the calendar",
    "bookings": "online bookings",
    "check_ins": "notes for the visits of the last days",
}
"""The jobs of the first load, in order, and what they do."""
_AGAIN = ("clients", "staff", "appointments", "check_ins")
_COMMANDS = {
    "client": "clients", "loyalty": "loyalty", "product": "products", "appointment": "appointments", "booking": "bookings",
    "checkin": "check-ins", "staff": "staff",
}  # fmt: skip
"""What a summary's entity is called on the command line."""


@dataclass
class Demo:
    """One run of the demo in its own folder."""

    clients: int
    seed: int
    out: Out
    day: bool = True
    folder: Path = FOLDER
    sandbox: SandboxProcess = field(init=False)
    settings: Settings = field(init=False)
    env: dict[str, str] = field(init=False)

    def run(self, *, serve: bool, port: int) -> Exit:
        """All of it; with `serve`, the UI stays until Ctrl-C. Nothing is left running."""
        self.out.say("Starting PostgreSQL and the simulated salon.")
        with ExitStack() as stack:
            self.sandbox = stack.enter_context(SandboxProcess(self._options()))
            stack.enter_context(self._database())
            document = self._story()
            self.out.result(document)
            if serve:
                self._serve(port)
        return Exit.WELL if document["ok"] else Exit.NEEDS_A_PERSON

    def _story(self) -> dict[str, Any]:
        before = self.sandbox.truth("ghl/contacts")
        self.out.say(f"The agency already has {len(before)} contacts of its own in GHL.")
        with DagsterRuns(env=self.env, cwd=self.folder, log=self._log) as runs:
            self._job(runs, "import_everything", "importing all that the salon has in Phorest")
            with open_runtime(self.settings) as runtime:
                self._plan(runtime)
            for job, doing in _FIRST_LOAD.items():
                self._job(runs, job, doing)
            loaded = self._runs_so_far()
            rate = self._rate(self.sandbox.control("GET", "/requests")["apis"]["ghl"]["most_in_window"])
            self.sandbox.control("DELETE", "/requests")
            for job in _AGAIN:
                self._job(runs, job, "running again, to show that nothing is left to do")
            document = self._first_load(loaded, self._runs_so_far()[len(loaded) :], rate, before)
            if self.day:
                day = self._day(runs, before)
                document |= {"day": day.document(), "ok": document["ok"] and day.holds}
        self.out.say("As planned." if document["ok"] else "This is not what was planned.")
        return document

    def _day(self, runs: DagsterRuns, before: Sequence[Row]) -> Day:
        """Go live, as an operator would when the first load is well, and let a day pass."""
        with open_runtime(self.settings) as runtime:
            done = go_live(runtime.engine, runtime.ghl())
        if done.live_at is None:
            raise DemoFailed(f"The location could not go live: {len(done.refused)} contacts kept the guard tag.")
        self.out.say(f"The location is live; {done.released} contacts were released. Now a day passes in the salon.")
        begun = len(self._runs_so_far())
        day = DemoDay(self.sandbox, runs, self.settings.zone, self.out, before=before).run()
        self.out.text.print(reports.outcomes_table(_by_entity(self._runs_so_far()[begun:])))
        self.out.say(
            f"The day: {sum(day.happened.values())} things happened, {day.runs} runs of the cron table, {day.told} messages "
            f"about appointments, {day.strangers} of them to somebody to whom nothing had happened."
        )
        diary = day.diary
        self.out.say(
            f"The diary: {diary.appointments} appointments of clients with a contact, {diary.on_one_event} with exactly one "
            f"event at their time, {diary.missing} missing, {diary.extra} events too many."
        )
        return day

    def _plan(self, runtime: Runtime) -> None:
        """Show the plan with a client that cannot write, then confirm what an operator would have to do first."""
        sync = runtime.clients_sync(batch_id=new_batch_id(), writing=False)
        prepared = sync.prepare()
        show_plan(sync.plan(prepared), prepared, self.settings, self.out, values=False, shown=5)
        self.out.say("Pausing the salon's workflows that do not exclude the guard tag, as an operator would in GHL.")
        self.sandbox.control("POST", "/workflows", {"unfiltered": "paused"})
        sync.confirm_workflows("demo")

    def _job(self, runs: DagsterRuns, job: str, doing: str) -> None:
        self.out.say(f"Dagster, {job}: {doing}.")
        runs.job(job, doing)

    def _runs_so_far(self) -> Sequence[Any]:
        """The summaries of all runs, oldest first."""
        with open_runtime(self.settings) as runtime, runtime.engine.connect() as connection:
            return connection.execute(
                text("select entity_type, outcomes, requests, duration_ms from sync_run_summaries order by started_at")
            ).all()

    def _first_load(
        self, loaded: Sequence[Any], second: Sequence[Any], rate: Row, before: Sequence[Row]
    ) -> dict[str, Any]:
        entities = _by_entity(loaded)
        contacts = self.sandbox.truth("ghl/contacts")
        staff = judge_staff(self.sandbox.truth("phorest/staff"), contacts, before)
        of_clients = [contact for contact in contacts if contact["id"] not in staff.made]
        truth = judge(self.sandbox.truth("phorest/clients"), of_clients, before)
        seen = self.sandbox.control("GET", "/requests")
        again = {
            "changes": sum(run.outcomes["counts"]["applied"] for run in second),
            "requests": seen["apis"]["ghl"]["requests"],
        }
        sent = self.sandbox.control("GET", "/state")["automations"]["sent"]
        document = {
            "ok": truth.holds
            and staff.holds
            and sent == 0
            and again["changes"] == 0
            and not any(entity["outcomes"]["failed"] for entity in entities.values())
            and entities["clients"]["outcomes"]["rejected"] == truth.for_review,
            "entities": entities,
            "second_run": again,
            "truth": truth.document(),
            "staff": staff.document(),
            "automations": sent,
            "rate": rate,
        }
        self._show(document, loaded[0].outcomes["reasons"], truth)
        return document

    def _show(self, document: dict[str, Any], reasons: dict[str, dict[str, int]], truth: Truth) -> None:
        self.out.text.print(reports.outcomes_table(document["entities"]))
        self.out.text.print(reports.reasons_table(reasons))
        again = document["second_run"]
        self.out.say(f"Second run: {again['changes']} changes, {again['requests']} requests to GHL.")
        self.out.say(
            f"Truth: {truth.syncable} syncable clients, {truth.on_one_contact} on exactly one contact, {truth.twice} on more, "
            f"{truth.missing} missing, {truth.unasked} contacts that nobody asked for; {truth.families} families share one."
        )
        self.out.say(
            f"The agency's contacts: {truth.adopted} taken over by name and address, {truth.for_review} clients left for a "
            f"person to decide, {truth.overwritten} values of the agency's overwritten."
        )
        self.out.say(
            f"Consent: {truth.loosened} opt-outs loosened, {truth.reachable} addresses reachable without everybody's consent."
        )
        staff = document["staff"]
        self.out.say(
            f"The staff: {staff['people']} people who can be reached, {staff['on_one_contact']} on exactly one contact, "
            f"{staff['reachable']} of {staff['made']} contacts made for them open to anything being sent."
        )
        self.out.say(f"Messages that GHL would have sent: {document['automations']}.")
        rate = document["rate"]
        self.out.say(
            f"Pace: at most {rate['used']} requests in a window of {rate['window_s']:g} s, of {rate['limit']} allowed "
            f"(GHL's own window is 10 s; the demo shrinks it)."
        )

    def _rate(self, most_in_window: int) -> dict[str, Any]:
        """The most requests of ours in any window of GHL's, what GHL allows in one, and our part of it."""
        settings = self.settings
        return {
            "used": most_in_window,
            "limit": settings.ghl_rate_limit,
            "window_s": settings.ghl_rate_window_s,
            "share": settings.ghl_budget_share,
        }

    def _serve(self, port: int) -> None:
        ui = DagsterUi(port=port, env=self.env, cwd=self.folder, log=self._log)
        try:
            self.out.say("Starting Dagster's UI; this takes some 20 seconds.")
            ui.wait_until_ready()
            self.out.say(
                f"Dagster's UI: {ui.url}/asset-groups   The salon's truth: {self.sandbox.url}/   Ctrl-C ends it all."
            )
            ui.wait()
        except KeyboardInterrupt:
            self.out.say("Ending everything.")
        finally:
            ui.stop()

    @contextmanager
    def _database(self) -> Generator[None]:
        """A server of the demo's own with two fresh databases; stopped at the end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "dagster", ignore_errors=True)
        values = {
            **self.sandbox.settings,
            "GHL_RATE_WINDOW_S": str(RATE_WINDOW_S),
            "PHOREST_GHL_STATE_DIR": str(self.folder.resolve()),
            HASH_KEY: new_key(),
            SECRET_KEY: new_key(),
            # What a salon decides before it goes live: GHL writes to clients about bookings, and the times were compared.
            # The agency's contacts are meant to be taken over: their number was looked at beforehand.
            "GUARD_BOUNDS": f"adoptions={AGENCY_CONTACTS}",
            "GHL_ANNOUNCING_CALENDARS": self.sandbox.settings["GHL_DEFAULT_CALENDAR_ID"],
            "APPOINTMENT_TIMES_CONFIRMED": "yes",
        }
        self.settings = load_settings(values, env_file=None)
        # Its data is made anew each time: a commit need not wait for the disk.
        server = EmbeddedServer(self.settings.phorest_ghl_state_dir, settings={"synchronous_commit": "off"})
        server.start()
        try:
            _recreate(server, DATABASE, DAGSTER_DATABASE)
            with open_runtime(self.settings) as runtime:
                dagster_url = runtime.urls.dagster
            foreign = set(names())
            environ = {name: value for name, value in os.environ.items() if name not in foreign}
            self.env = dagster_environment(self.folder / "dagster", dagster_url, {**environ, **values})
            yield
        finally:
            server.stop()

    def _options(self) -> SandboxOptions:
        agency = min(AGENCY_CONTACTS, self.clients // 5)
        return SandboxOptions(clients=self.clients, seed=self.seed, agency_contacts=agency, rate_window_s=RATE_WINDOW_S)

    @property
    def _log(self) -> Path:
        return self.folder / "dagster.log"


def demo(out: Out, *, clients: int, seed: int, serve: bool, port: int, day: bool = True) -> Exit:
    """Run the demo; exit code 0 only if the sandbox's truth equals what was planned."""
    try:
        return Demo(clients, seed, out, day).run(serve=serve, port=port)
    except DemoFailed as failed:
        raise SettingsError(str(failed)) from failed


def _by_entity(runs: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Outcomes, requests and seconds of runs, added up by entity."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        entity = found.setdefault(_COMMANDS[run.entity_type], {"outcomes": Counter(), "requests": 0, "seconds": 0.0})
        entity["outcomes"].update(run.outcomes["counts"])
        entity["requests"] += run.requests
        entity["seconds"] = round(entity["seconds"] + run.duration_ms / 1000, 3)
    return {name: {**entity, "outcomes": dict(entity["outcomes"])} for name, entity in found.items()}


def _recreate(server: EmbeddedServer, *databases: str) -> None:
    engine = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for name in databases:
                connection.execute(text(f'drop database if exists "{name}" with (force)'))
    finally:
        engine.dispose()
    for name in databases:
        server.ensure_database(name)
