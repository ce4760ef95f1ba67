"""`dev`: the database and Dagster's UI for the settings there are, until Ctrl-C.

Belongs here: the command's flow. Does not: the processes (`dagster_ui`).
"""

import os
from pathlib import Path

from phorest_ghl.assembly import open_runtime
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.commands.dagster_ui import DagsterUi, dagster_environment
from phorest_ghl.settings import Settings


def dev(settings: Settings, out: Out, *, port: int) -> Exit:
    """Start everything and wait. The embedded database goes on afterwards; `phorest-ghl stop-database` ends it."""
    state = settings.phorest_ghl_state_dir
    state.mkdir(parents=True, exist_ok=True)
    with open_runtime(settings) as runtime:
        env = dagster_environment(state / "dagster", runtime.urls.dagster, os.environ)
    ui = DagsterUi(port=port, env=env, cwd=Path.cwd(), log=state / "dagster.log")
    try:
        out.say("Starting Dagster; this takes some 20 seconds.")
        ui.wait_until_ready()
        out.say(f"Dagster's UI: {ui.url}   (Ctrl-C ends it; log: {state / 'dagster.log'})")
        ui.wait()
    except KeyboardInterrupt:
        out.say("Ending Dagster.")
    finally:
        ui.stop()
    return Exit.WELL
