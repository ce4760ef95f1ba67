"""`phorest-ghl go-live`: shows first, asks, and says what it did."""

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from phorest_ghl.cli import app
from phorest_ghl.ghl.fields import GUARD_TAG
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import Rig, environment, installation


@pytest.fixture
def rig(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    with installation(database.url, clients=12) as made:
        for name, value in environment(made.sandbox, database.url).items():
            monkeypatch.setenv(name, value)
        yield made


def call(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, ["go-live", *arguments], input=answer)


def tagged(rig: Rig) -> int:
    return sum(GUARD_TAG in contact["tags"] for contact in rig.contacts())


def test_go_live_before_a_sync_is_a_sentence(rig: Rig) -> None:
    done = call("--yes")
    assert done.exit_code == 1
    assert "Nothing was written to location" in done.stderr


def test_go_live_shows_asks_and_ends_the_quiet_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.run()
    contacts = tagged(rig)
    unasked = call("--json")
    assert unasked.exit_code == 2
    assert "--yes" in unasked.stderr
    shown = json.loads(unasked.stdout)
    assert (shown["ok"], shown["contacts"], shown["calls"], shown["released"]) == (False, contacts, 1, 0)

    monkeypatch.setattr("phorest_ghl.commands.going_live._is_terminal", lambda: True)
    assert call(answer="").exit_code == 1  # Ctrl-D
    declined = call(answer="n\n")
    assert declined.exit_code == 1
    assert f"carry {GUARD_TAG} because of us: {contacts}." in declined.stdout
    assert "may start" in declined.stdout
    assert (tagged(rig), rig.rows("select mode from ghl_locations")) == (contacts, [{"mode": "quiet"}])

    gone = rig.contacts()[0]["id"]
    rig.delete_contact(gone)
    done = call("--json", answer="y\n")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["ok"], document["mode"], document["released"], document["gone"]) == (
        True,
        "live",
        contacts - 1,
        [gone],
    )
    assert tagged(rig) == 0

    again = call("--yes")
    assert again.exit_code == 0
    assert "is live since" in again.stdout
