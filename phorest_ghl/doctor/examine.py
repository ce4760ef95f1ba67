"""The whole checkup, in order: this installation, Phorest, GoHighLevel, the budget.

Belongs here: which checks are made and what each of them needs. Does not: any check.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from phorest_ghl.assembly import GHL_NAMES, PHOREST_NAMES, Runtime, Unpaced, ghl_names, rules, uses_app
from phorest_ghl.db.migrate import NewerDatabase
from phorest_ghl.doctor import ghl_side, here, phorest_side
from phorest_ghl.doctor.checkup import Checkup, Finding, State, red
from phorest_ghl.ghl.fields import enabled
from phorest_ghl.http.retry import RetryPolicy
from phorest_ghl.settings import Settings

RETRY = RetryPolicy(attempts=2, elapsed_s=20.0, first_s=0.5)
"""Somebody waits for the answer, so a side that is away is not asked for minutes."""


def examine(
    env_file: Path = Path(".env"), environ: Mapping[str, str] | None = None, *, retry: RetryPolicy = RETRY
) -> Checkup:
    """Make every check that can be made. Nothing is written but an empty database's tables and the key's fingerprint."""
    checkup = Checkup()
    settings = here.settings(checkup, env_file, environ)
    with _opened(checkup, settings, retry) as runtime:
        checkup.look(here.HASH_KEY, lambda: here.hash_key(settings, runtime.engine if runtime else None))
        parts = runtime or Unpaced(settings, retry=retry)
        try:
            _remote(checkup, settings, parts, runtime)
        finally:
            if runtime is None:
                parts.close()
        _local(checkup, settings, runtime)
    return checkup


def _remote(checkup: Checkup, settings: Settings, parts: Runtime | Unpaced, runtime: Runtime | None) -> None:
    if missing := _missing(settings, PHOREST_NAMES):
        checkup.skip(missing, *phorest_side.NAMES)
    else:
        phorest_side.examine(checkup, parts.phorest(), wanted=settings.branch_ids)
    if missing := _missing(settings, ghl_names(settings)):
        checkup.skip(missing, *ghl_side.NAMES)
        return
    if runtime is None and uses_app(settings):
        checkup.skip("the app's tokens are in the database, which could not be opened", *ghl_side.NAMES)
        return
    if not _holds(checkup, settings, runtime):
        checkup.skip("GHL needs a token first", *ghl_side.NAMES[1:])
        return
    known = here.location_mode(runtime.engine, str(settings.ghl_location_id)) if runtime else None
    ghl_side.examine(
        checkup,
        parts.ghl_reader(),
        zone=settings.zone,
        fields=enabled(rules(settings).switches),
        quiet=known is None or not known.confirmed,
        engine=runtime.engine if runtime else None,
    )


def _holds(checkup: Checkup, settings: Settings, runtime: Runtime | None) -> bool:
    """Say what GHL is called with and how long it holds; whether there is anything to call it with."""

    def look() -> Finding:
        if runtime is None or not uses_app(settings):
            return ghl_side.private()
        return ghl_side.of_app(runtime.token_store(), str(settings.ghl_location_id))

    return checkup.look(ghl_side.CREDENTIALS, look).state is not State.RED


def _local(checkup: Checkup, settings: Settings, runtime: Runtime | None) -> None:
    checkup.look(here.SHARE, lambda: here.share(settings))
    missing = _missing(settings, GHL_NAMES[:1])
    if runtime is None or missing:
        checkup.skip(missing or "the database could not be opened", here.OTHERS, here.MODE)
        return
    engine = runtime.engine
    checkup.look(here.OTHERS, lambda: here.others(engine, settings))
    checkup.look(here.MODE, lambda: here.mode(here.location_mode(engine, str(settings.ghl_location_id))))


@contextmanager
def _opened(checkup: Checkup, settings: Settings, retry: RetryPolicy) -> Generator[Runtime | None]:
    """The runtime, or None where the database cannot be opened."""
    held: list[Runtime] = []

    def look() -> Finding:
        try:
            held.append(Runtime(settings, retry=retry))
        except NewerDatabase as error:
            return red("it was migrated by a newer version of phorest_ghl", str(error))
        return here.database(held[0].engine)

    checkup.look(here.DATABASE, look)
    try:
        yield held[0] if held else None
    finally:
        for runtime in held:
            runtime.close()


def _missing(settings: Settings, names: tuple[str, ...]) -> str:
    missing = [name for name in names if getattr(settings, name.lower()) is None]
    return f"{', '.join(missing)} is not set, or not usable" if missing else ""
