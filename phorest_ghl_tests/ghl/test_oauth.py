"""The app's tokens, end to end against the sandbox: authorized, renewed once for all, lost, revoked, exchanged, sealed."""

import logging
import pickle
import re
import threading
import traceback
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import sqlalchemy as sa
import structlog

from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.commands import auth
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.commands.keys import new_key
from phorest_ghl.db.sealing import UnusableSecretKey
from phorest_ghl.doctor import ghl_side
from phorest_ghl.doctor.examine import examine
from phorest_ghl.ghl.callback import CallbackFailed
from phorest_ghl.ghl.credentials import NotAuthorized
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.sandbox.ghl.gate import GhlApi
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl.settings import Settings, SettingsError, load_settings
from phorest_ghl_tests.ghl import oauth_process
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.support.salons import SECRET_KEY
from phorest_ghl_tests.sync.rig import RETRY, environment, opened, options

pytestmark = pytest.mark.road

DAY_S = 86_400
LONG_S = 30.0
TOKEN = re.compile(r"(?:access|refresh)-[0-9a-f-]{30,}")
"""What the sandbox's tokens look like."""


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(options(clients=12)) as server:
        yield server


@pytest.fixture
def environ(sandbox: SandboxServer, database: Database) -> dict[str, str]:
    own = environment(sandbox, database.url, PHOREST_GHL_SECRET_KEY=SECRET_KEY, GHL_CALLBACK_PORT="0")
    return {name: value for name, value in own.items() if name != "GHL_PRIVATE_TOKEN"}


def settings_of(environ: dict[str, str]) -> Settings:
    return load_settings(environ, None)


def browser(url: str) -> None:
    """A person who agrees at once."""

    def visit() -> None:
        page = httpx.get(url, timeout=LONG_S)
        httpx.get(page.headers["location"], timeout=LONG_S)

    threading.Thread(target=visit).start()


def authorize(environ: dict[str, str]) -> Exit:
    return auth.authorize(settings_of(environ), Out(as_json=True), timeout_s=LONG_S, browse=True, opener=browser)


@pytest.fixture
def authorized(environ: dict[str, str], sandbox: SandboxServer, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    assert authorize(environ) is Exit.WELL
    capsys.readouterr()
    sandbox.control("DELETE", "/requests")
    return environ


@pytest.fixture
def runtime(authorized: dict[str, str]) -> Iterator[Runtime]:
    with open_runtime(settings_of(authorized), retry=RETRY) as held:
        yield held


def asked(sandbox: SandboxServer, route: str = "/oauth/token") -> int:
    rows = sandbox.control("GET", "/requests")["requests"]
    return sum(row["count"] for row in rows if row["method"] == "POST" and row["route"] == route)


def leave(database: Database, seconds: int) -> None:
    """Let the stored tokens have so much life left, by our reckoning."""
    with database.engine.begin() as connection:
        connection.execute(
            sa.text("""
                update ghl_oauth_tokens set expires_at = clock_timestamp() + make_interval(secs => :left),
                                            updated_at = clock_timestamp() + make_interval(secs => :left - 86399)"""),
            {"left": seconds},
        )


def expire(sandbox: SandboxServer, database: Database) -> None:
    """Let the access token end, by everybody's reckoning."""
    sandbox.control("POST", "/clock", {"advance_s": DAY_S})
    leave(database, -1)


def test_auth_brings_a_sealed_token_that_works_and_doctor_says_how_long_it_holds(
    authorized: dict[str, str], runtime: Runtime, database: Database, sandbox: SandboxServer
) -> None:
    assert runtime.ghl_reader().location().id == authorized["GHL_LOCATION_ID"]
    assert asked(sandbox) == 0
    with database.engine.connect() as connection:
        stored = str(connection.execute(sa.text("select * from ghl_oauth_tokens")).all())
    assert not TOKEN.search(stored)
    found = {check.name: check.finding for check in examine(Path("none.env"), authorized).checks}
    assert found[ghl_side.CREDENTIALS].found.startswith("a marketplace app's token, which holds until ")
    assert found[ghl_side.TOKEN].found.startswith("accepted")
    assert auth.status(settings_of(authorized), Out(as_json=True)) is Exit.WELL


def test_a_code_that_comes_with_a_wrong_state_is_never_spent(environ: dict[str, str], sandbox: SandboxServer) -> None:
    def impostor(url: str) -> None:
        def visit() -> None:
            back = parse_qs(urlsplit(url).query)["redirect_uri"][0]
            httpx.get(back, params={"code": "evil", "state": "guessed"}, timeout=LONG_S)
            browser(url)

        threading.Thread(target=visit).start()

    done = auth.authorize(settings_of(environ), Out(as_json=True), timeout_s=LONG_S, browse=True, opener=impostor)
    assert done is Exit.WELL
    assert asked(sandbox) == 1


def test_nobody_coming_back_is_a_sentence_and_buys_nothing(environ: dict[str, str], sandbox: SandboxServer) -> None:
    with pytest.raises(CallbackFailed, match="Run `phorest-ghl auth` again"):
        auth.authorize(settings_of(environ), Out(as_json=True), timeout_s=0.05, browse=False)
    assert asked(sandbox) == 0


def test_the_app_of_another_location_is_refused_and_nothing_is_stored(
    environ: dict[str, str], database: Database
) -> None:
    with pytest.raises(SettingsError, match="Nothing was stored"):
        authorize({**environ, "GHL_LOCATION_ID": "ve9EPM428h8vShlRW1KT"})
    with database.engine.connect() as connection:
        assert connection.execute(sa.text("select count(*) from ghl_oauth_tokens")).scalar_one() == 0


def test_eight_processes_on_an_expired_token_make_one_refresh(
    authorized: dict[str, str], sandbox: SandboxServer, database: Database
) -> None:
    expire(sandbox, database)
    together = oauth_process.FORKS.Barrier(8)
    processes = [oauth_process.start(authorized, together) for _ in range(8)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    assert asked(sandbox) == 1


def test_a_process_killed_between_the_answer_and_the_commit_costs_nothing_while_the_token_holds(
    authorized: dict[str, str], sandbox: SandboxServer, database: Database
) -> None:
    """The vendor takes a refresh token once: what is lost is lost, and it is said before it hurts."""
    leave(database, 600)
    process = oauth_process.start(authorized, dies=True)
    process.join()
    assert process.exitcode == -9
    with open_runtime(settings_of(authorized), retry=RETRY) as runtime:
        assert runtime.ghl_reader().location().id == authorized["GHL_LOCATION_ID"]
    found = {check.name: check.finding for check in examine(Path("none.env"), authorized).checks}
    assert "Run `phorest-ghl auth`" in found[ghl_side.CREDENTIALS].advice
    expire(sandbox, database)
    with (
        open_runtime(settings_of(authorized), retry=RETRY) as runtime,
        pytest.raises(NotAuthorized, match=r"answer to the last renewal .* was lost.* run `phorest-ghl auth`"),
    ):
        runtime.ghl_reader().location()
    assert authorize(authorized) is Exit.WELL
    with open_runtime(settings_of(authorized), retry=RETRY) as runtime:
        assert runtime.ghl_reader().location().id == authorized["GHL_LOCATION_ID"]


@pytest.mark.parametrize("kind", ["503", "429"])
def test_a_refresh_that_did_not_arrive_is_sent_again(
    runtime: Runtime, sandbox: SandboxServer, database: Database, kind: str
) -> None:
    expire(sandbox, database)
    sandbox.control("POST", "/faults", {"api": "ghl", "route": "POST /oauth/token", "kind": kind})
    assert runtime.ghl_reader().location()


@pytest.mark.parametrize("fault", [{"kind": "truncated"}, {"kind": "reset", "after_commit": True}])
def test_a_refresh_whose_answer_was_lost_says_so_and_is_not_tried_for_ever(
    runtime: Runtime, sandbox: SandboxServer, database: Database, fault: dict[str, object]
) -> None:
    expire(sandbox, database)
    sandbox.control("POST", "/faults", {"api": "ghl", "route": "POST /oauth/token", **fault})
    with pytest.raises(NotAuthorized, match="was lost"):
        runtime.ghl_reader().location()
    before = asked(sandbox)
    with pytest.raises(NotAuthorized, match="was lost"):
        runtime.ghl_reader().location()
    assert asked(sandbox) == before


def test_a_refresh_ahead_of_time_that_fails_ends_nothing(
    runtime: Runtime, sandbox: SandboxServer, database: Database
) -> None:
    leave(database, 600)
    sandbox.control("POST", "/faults", {"api": "ghl", "route": "POST /oauth/token", "kind": "503", "rate": 1.0})
    assert runtime.ghl_reader().location()
    sandbox.control("DELETE", "/faults")
    with open_runtime(runtime.settings, retry=RETRY) as later:
        sandbox.control("DELETE", "/requests")
        assert later.ghl_reader().location()
        assert asked(sandbox) == 1


def test_a_token_that_ends_in_the_middle_of_a_sync_is_renewed_once_and_nobody_is_missed(
    authorized: dict[str, str], sandbox: SandboxServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, left = GhlApi.answer, [6]

    def ends(self: GhlApi, request: object, found: object) -> object:
        left[0] -= 1
        if left[0] == 0:
            self.world.clock.advance(timedelta(seconds=DAY_S))
        return honest(self, request, found)  # pyright: ignore[reportArgumentType]

    more = {
        name: value for name, value in authorized.items() if name in ("PHOREST_GHL_SECRET_KEY", "GHL_CALLBACK_PORT")
    }
    with opened(sandbox, database.url, GHL_PRIVATE_TOKEN="", **more) as rig:
        rig.load()
        rig.confirm()
        sync = rig.sync()
        prepared = sync.prepare()
        plan = sync.plan(prepared)
        with monkeypatch.context() as patched:
            patched.setattr(GhlApi, "answer", ends)
            result = rig.carry_out(sync, plan, prepared)
        assert left[0] < 0
        assert result.outcomes["failed"] == 0
        assert asked(sandbox) == 1
        rig.check_everyone_is_on_one_contact()


def test_an_app_that_was_uninstalled_stops_with_a_sentence_and_asks_no_more(
    runtime: Runtime, sandbox: SandboxServer
) -> None:
    sandbox.control("DELETE", "/app")
    for _ in range(2):
        with pytest.raises(NotAuthorized, match=r"uninstalled.* run `phorest-ghl auth`") as raised:
            runtime.ghl_reader().location()
    assert raised.value.category is Category.AUTH
    assert asked(sandbox) == 1
    assert auth.status(runtime.settings, Out(as_json=True)) is Exit.NEEDS_A_PERSON


def test_a_wrong_secret_of_the_app_leaves_the_refresh_token_alone(
    authorized: dict[str, str], sandbox: SandboxServer, database: Database
) -> None:
    expire(sandbox, database)
    wrong = settings_of({**authorized, "GHL_CLIENT_SECRET": "mistyped"})
    with open_runtime(wrong, retry=RETRY) as runtime, pytest.raises(ApiError, match="correct GHL_CLIENT_ID"):
        runtime.ghl_reader().location()
    with open_runtime(settings_of(authorized), retry=RETRY) as runtime:
        assert runtime.ghl_reader().location()


def test_a_private_token_is_never_renewed(environ: dict[str, str], sandbox: SandboxServer) -> None:
    wrong = settings_of({**environ, "GHL_PRIVATE_TOKEN": "pit-00000000-0000-0000-0000-000000000000"})
    with (
        open_runtime(wrong, retry=RETRY) as runtime,
        pytest.raises(ApiError, match="Invalid Private Integration token"),
    ):
        runtime.ghl_reader().location()
    assert asked(sandbox) == 0


def test_a_missing_scope_is_named_and_renews_nothing(environ: dict[str, str], sandbox: SandboxServer) -> None:
    token = sandbox.control("POST", "/tokens", {"scopes": ["locations.readonly"]})["token"]
    poor = settings_of({**environ, "GHL_PRIVATE_TOKEN": token})
    with (
        open_runtime(poor, retry=RETRY) as runtime,
        pytest.raises(ApiError, match=r"lacks the scope contacts\.readonly"),
    ):
        runtime.ghl_reader().duplicate(email="nobody@example.com")


def test_an_agencys_token_is_exchanged_again_and_again(
    environ: dict[str, str], sandbox: SandboxServer, database: Database
) -> None:
    sandbox.control("POST", "/switches", {"ghl_installed_by": "Company", "ghl_location_token_refresh": True})
    assert authorize(environ) is Exit.WELL
    sandbox.control("DELETE", "/requests")
    with open_runtime(settings_of(environ), retry=RETRY) as runtime:
        assert runtime.ghl_reader().location()
        expire(sandbox, database)
        sandbox.control("POST", "/faults", {"api": "ghl", "route": "POST /oauth/locationToken", "kind": "truncated"})
        assert runtime.ghl_reader().location()
    assert (asked(sandbox), asked(sandbox, "/oauth/locationToken")) == (1, 2)
    found = {check.name: check.finding for check in examine(Path("none.env"), environ).checks}
    assert "from the agency's" in found[ghl_side.CREDENTIALS].found


def test_v3_is_spoken_too(environ: dict[str, str], sandbox: SandboxServer, database: Database) -> None:
    sandbox.control("POST", "/switches", {"ghl_installed_by": "Company"})
    modern = {**environ, "GHL_API_VERSION": "v3"}
    assert authorize(modern) is Exit.WELL
    expire(sandbox, database)
    with open_runtime(settings_of(modern), retry=RETRY) as runtime:
        assert runtime.ghl_reader().location()


def test_the_key_is_changed_in_two_steps_and_no_token_is_lost(
    authorized: dict[str, str], sandbox: SandboxServer, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text(f"A=1\nPHOREST_GHL_SECRET_KEY={SECRET_KEY}\nB=2\n", encoding="utf-8")

    def keys() -> str:
        return file.read_text(encoding="utf-8").splitlines()[1].partition("=")[2]

    def rotate(*, finish: bool) -> Exit:
        current = settings_of({**authorized, "PHOREST_GHL_SECRET_KEY": keys()})
        return auth.rotate_key(current, Out(as_json=True), env_file=file, finish=finish)

    assert rotate(finish=False) is Exit.WELL
    assert keys().endswith(f",{SECRET_KEY}")
    with open_runtime(settings_of(authorized), retry=RETRY) as old, pytest.raises(UnusableSecretKey, match="restart"):
        old.ghl_reader().location()
    assert rotate(finish=True) is Exit.WELL
    assert "," not in keys()
    assert SECRET_KEY not in file.read_text(encoding="utf-8")
    expire(sandbox, database)
    with open_runtime(settings_of({**authorized, "PHOREST_GHL_SECRET_KEY": keys()}), retry=RETRY) as fresh:
        assert fresh.ghl_reader().location()
    with pytest.raises(SettingsError, match="does not come from"):
        auth.rotate_key(
            settings_of({**authorized, "PHOREST_GHL_SECRET_KEY": new_key()}),
            Out(as_json=True),
            env_file=file,
            finish=False,
        )


def test_no_token_secret_or_code_shows_in_logs_output_or_exceptions(
    environ: dict[str, str],
    sandbox: SandboxServer,
    database: Database,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(shown))
    authorize(environ)
    expire(sandbox, database)
    with open_runtime(settings_of(environ), retry=RETRY) as runtime:
        runtime.ghl_reader().location()
        held = runtime.token_store().read(environ["GHL_LOCATION_ID"])
        sandbox.control("DELETE", "/app")
        with pytest.raises(NotAuthorized) as raised:
            runtime.ghl_reader().location()
    error = raised.value
    rendered = "".join(traceback.format_exception(error))
    printed = capsys.readouterr()
    text = "".join(
        (
            shown.getvalue(),
            caplog.text,
            printed.out,
            printed.err,
            rendered,
            repr(held),
            repr(error.__dict__),
            str(error),
        )
    )
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own
    assert not TOKEN.search(text)
    assert "code=" not in text
    secret = environ["GHL_CLIENT_SECRET"]
    assert secret not in text
    assert SECRET_KEY not in text
