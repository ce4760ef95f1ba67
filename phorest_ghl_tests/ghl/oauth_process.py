"""A process that needs the app's token, for tests of many of them and of one that is killed.

Belongs here: starting it quickly, at one moment with the others. Does not: what a test is about.
"""

import multiprocessing
import os
import signal
import sys
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier

import structlog

from phorest_ghl.assembly import open_runtime
from phorest_ghl.db.oauth_tokens import NewTokens, TokenStore
from phorest_ghl.settings import load_settings
from phorest_ghl_tests.sync.rig import RETRY

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def _call(environ: dict[str, str], together: Barrier | None, *, dies: bool) -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    if dies:
        TokenStore.keep = _die
    with open_runtime(load_settings(environ, None), retry=RETRY) as runtime:
        ghl = runtime.ghl_reader()
        if together is not None:
            together.wait(60)
        sys.exit(0 if ghl.location().id == ghl.location_id else 1)


def _die(self: TokenStore, *given: NewTokens) -> None:
    """The answer is here and not yet committed."""
    del self, given
    os.kill(os.getpid(), signal.SIGKILL)


def start(environ: dict[str, str], together: Barrier | None = None, *, dies: bool = False) -> BaseProcess:
    """Start one that reads the location; where it `dies`, between the answer to a refresh and its commit."""
    process = FORKS.Process(target=_call, args=(environ, together), kwargs={"dies": dies})
    process.start()
    return process
