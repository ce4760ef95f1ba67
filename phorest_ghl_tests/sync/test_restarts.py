"""What a run does while a part that it stands on dies and comes back: PostgreSQL, and the other side of the wire."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from phorest_ghl.assembly import open_runtime
from phorest_ghl.db.embedded import EmbeddedServer
from phorest_ghl.sandbox.server import SandboxProcess, SandboxServer
from phorest_ghl.settings import load_settings
from phorest_ghl.sync.summary import RunResult
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.support.postgres_processes import kill_postmaster, wait_until
from phorest_ghl_tests.sync.rig import RETRY, Rig, environment, opened, options

pytestmark = pytest.mark.crash


class Background:
    """A run in a thread, whose result or error is kept."""

    def __init__(self, run: Callable[[], RunResult]) -> None:
        self.result: RunResult | None = None
        self.error: Exception | None = None
        self._run = run
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    def _keep(self) -> None:
        try:
            self.result = self._run()
        except Exception as error:  # noqa: BLE001 - what it is, is for the test to say
            self.error = error

    def ended(self) -> "Background":
        """Wait for its end."""
        self._thread.join(120)
        assert not self._thread.is_alive()
        return self


@pytest.mark.parametrize("duplicates", [False, True], ids=["refusing duplicates", "allowing duplicates"])
def test_a_run_outlives_a_kill_of_postgresql_and_its_restart(state_dir: Path, duplicates: bool) -> None:  # noqa: FBT001
    wanted = options(clients=150, latency_ms=20, switches={"ghl_allow_duplicate_contact": duplicates})
    with SandboxServer(wanted) as sandbox:
        environ = environment(sandbox, "", PHOREST_GHL_STATE_DIR=str(state_dir), GHL_RATE_LIMIT="20")
        with open_runtime(load_settings(environ, None), retry=RETRY) as runtime:
            rig = Rig(sandbox, runtime)
            rig.load()
            rig.confirm()
            run = Background(rig.apply)
            wait_until(lambda: len(rig.contacts()) >= 10)
            server = EmbeddedServer(state_dir)
            kill_postmaster(server)
            time.sleep(0.3)
            server.start()
            run.ended()
            assert run.error is None
            assert run.result is not None
            assert sum(run.result.outcomes.values()) == run.result.total
            assert run.result.outcomes["failed"] == 0
            second = rig.run()
            assert second.outcomes["failed"] == second.outcomes["rejected"] == 0
            rig.check_everyone_is_on_one_contact(grouped=not duplicates)
            assert rig.plan().changes == ()


@pytest.mark.parametrize("duplicates", [False, True], ids=["refusing duplicates", "allowing duplicates"])
def test_a_run_during_which_ghl_goes_away_is_completed_by_the_next_one(
    database: Database, tmp_path: Path, duplicates: bool  # noqa: FBT001
) -> None:  # fmt: skip
    switches = {"ghl_allow_duplicate_contact": duplicates}
    with (
        SandboxProcess(options(clients=150, latency_ms=20, state=tmp_path / "salon", switches=switches)) as sandbox,
        opened(sandbox, database.url, GHL_RATE_LIMIT="20") as rig,
    ):
        rig.load()
        rig.confirm()
        run = Background(rig.apply)
        wait_until(lambda: len(rig.contacts()) >= 10)
        sandbox.kill()
        run.ended()
        sandbox.start()
        held = len(rig.contacts())
        assert 10 <= held < len({row["truth"]["household"] for row in rig.clients(syncable=True)})
        # The run ended early, in order: every item has its outcome, and why it ended is a sentence.
        assert run.error is None
        assert run.result is not None
        assert sum(run.result.outcomes.values()) == run.result.total
        assert "GoHighLevel gave no answer" in str(run.result.error)
        assert run.result.outcomes["deferred"] > 0
        second = rig.run()
        assert second.outcomes["failed"] == second.outcomes["rejected"] == 0
        rig.check_everyone_is_on_one_contact(grouped=not duplicates)
        assert rig.plan().changes == ()
