"""How commands speak: one JSON object on standard output, or text for people; errors as sentences, never a traceback.

Belongs here: output and exit codes. Does not: what is said.
"""

import logging
import signal
import sys
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

import orjson
import structlog
from rich.console import Console

from phorest_ghl.cures import MET, Cure, cure_of, sentence
from phorest_ghl.http.redaction import redact_event
from phorest_ghl.settings import SettingsError


class Exit(IntEnum):
    """What a command's exit code says (design §10)."""

    WELL = 0
    NEEDS_A_PERSON = 1
    WRONG_USE = 2
    UNREACHABLE = 3


_EXITS = {
    Cure.SETUP: Exit.WRONG_USE,
    Cure.PERSON: Exit.NEEDS_A_PERSON,
    Cure.REPEAT: Exit.NEEDS_A_PERSON,
    Cure.RETURN: Exit.UNREACHABLE,
    Cure.TOMORROW: Exit.UNREACHABLE,
}
_WIDTH = 120


class Out:
    """Where a command writes. With `as_json`, text for people goes to standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.text = Console(stderr=as_json, highlight=False)
        if not self.text.is_terminal:
            self.text.width = _WIDTH  # a pipe has no width; the default cuts tables short

    def say(self, message: str) -> None:
        """A line for people."""
        self.text.print(message)

    def result(self, document: object) -> None:
        """The one JSON object, if it was asked for."""
        if self.as_json:
            sys.stdout.write(
                orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n"
            )
            sys.stdout.flush()


def quiet_logs() -> None:
    """Logs to standard error, warnings and worse, personal values removed."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            redact_event,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        # Asked for at each line: whoever redirects standard error later gets the lines too.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def heed_signals() -> None:
    """Let both Ctrl-C and a polite kill end a command in order, also one that a shell started in the background.

    Such a shell hands SIGINT down ignored, and Python then leaves it so.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def run(command: Callable[[], IntEnum]) -> IntEnum:
    """Run a command; an error that a user can meet becomes its sentence and its exit code."""
    try:
        return command()
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. What was done is in the journal; the next run goes on from there.\n")
        return Exit.NEEDS_A_PERSON
    except MET as error:
        sys.stderr.write(f"{sentence(error)}\n")
        return exit_code(error)


def require_folder(file: Path) -> None:
    """Raises SettingsError where there is no folder to write a file to: before anything else is done."""
    folder = file.resolve().parent
    if not folder.is_dir():
        raise SettingsError(f"There is no folder {folder} to write {file.name} to. Make it, or name another one.")


def exit_code(error: Exception) -> Exit:
    """The exit code that an error stands for."""
    return _EXITS[cure_of(error)]
