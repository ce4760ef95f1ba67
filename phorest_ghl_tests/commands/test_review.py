"""What waits for a person, and the answers: recorded with name and effect, personal values only where asked for."""

import getpass
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from phorest_ghl.cli import app
from phorest_ghl.commands.console import Out
from phorest_ghl.commands.review import decide, show
from phorest_ghl.db.work_items import WorkItem, open_items
from phorest_ghl.sync.decisions import Decision, Kind, load
from phorest_ghl.sync.review import OPT_IN, note_reviews
from phorest_ghl_tests.sync.rig import Rig, installation

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database


@pytest.fixture
def rig(database: "Database") -> Iterator[Rig]:
    with installation(database.url, clients=20) as made:
        yield made


@pytest.fixture
def doubtful(rig: Rig) -> tuple[Rig, str, str]:
    """A client of Phorest, and a contact of the agency's with her phone and another name; planned, so that it waits."""
    client = next(row for row in rig.clients(syncable=True) if row["truth"]["phone"])
    contact = rig.make_contact(firstName="Zebedee", lastName="Quill", phone=client["truth"]["phone"])
    rig.load()
    note(rig)
    waiting = rig.rows("select phorest_id from work_items where cause = 'adoption'")
    return rig, waiting[0]["phorest_id"], contact["id"]


def note(rig: Rig) -> None:
    with rig.engine.begin() as connection:
        plan = rig.plan()
        note_reviews(connection, location(rig), plan)


def location(rig: Rig) -> str:
    return str(rig.runtime.settings.ghl_location_id)


def held(rig: Rig) -> tuple[Decision, ...]:
    with rig.engine.connect() as connection:
        return load(connection, location(rig), "client").rows


def listed(rig: Rig, capsys: pytest.CaptureFixture[str], *, values: bool = False) -> dict[str, Any]:
    capsys.readouterr()
    show(rig.runtime.settings, Out(as_json=True), values=values)
    return json.loads(capsys.readouterr().out)


def answer(rig: Rig, kind: Kind, client: str) -> int:
    return decide(rig.runtime.settings, Out(as_json=False), kind=kind, client=client)


def test_what_waits_is_listed_by_id_and_the_two_sides_only_where_asked_for(
    doubtful: tuple[Rig, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    rig, client, contact = doubtful
    document = listed(rig, capsys)
    (item,) = document["waiting"]
    assert (item["client"], item["contact"], item["cause"]) == (client, contact, "adoption")
    assert item["answers"] == ["accept adoption", "refuse adoption"]
    assert "Quill" not in json.dumps(document)
    assert listed(rig, capsys, values=True)["waiting"][0]["sides"]["ghl"]["last_name"].lower() == "quill"
    assert show(rig.runtime.settings, Out(as_json=False), values=False) == 1
    assert "quill" not in capsys.readouterr().out.lower()
    show(rig.runtime.settings, Out(as_json=False), values=True)
    shown = capsys.readouterr().out.lower()
    assert "quill" in shown
    assert "review accept adoption" in shown


def test_an_adoption_that_is_accepted_waits_for_the_run_and_says_who_did_it(
    doubtful: tuple[Rig, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    rig, client, contact = doubtful
    assert answer(rig, Kind.ADOPT, client) == 0
    assert "the next run takes the contact for this client" in capsys.readouterr().out
    (decision,) = held(rig)
    assert (decision.kind, decision.phorest_id, decision.ghl_id) == (Kind.ADOPT, client, contact)
    assert decision.operator == getpass.getuser()
    assert listed(rig, capsys)["waiting"][0]["decided"] == "adopt"


def test_an_adoption_that_is_refused_stops_waiting_and_is_about_both_sides_as_they_were(
    doubtful: tuple[Rig, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    rig, client, contact = doubtful
    assert answer(rig, Kind.REFUSE_ADOPTION, client) == 0
    assert listed(rig, capsys) == {"waiting": [], "findings": []}
    (decision,) = held(rig)
    assert (decision.kind, decision.ghl_id) == (Kind.REFUSE_ADOPTION, contact)
    assert decision.detail["client_hash"] != decision.detail["contact_hash"]
    assert answer(rig, Kind.REFUSE_ADOPTION, client) == 2
    assert "No adoption of client" in capsys.readouterr().err


def test_a_record_that_no_longer_waits_is_no_longer_listed(
    doubtful: tuple[Rig, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    rig, client, _ = doubtful
    note(rig)
    assert listed(rig, capsys)["waiting"][0]["attempts"] == 2
    rig.edit_client(client, archived=True)
    rig.load()
    note(rig)
    assert all(item["client"] != client for item in listed(rig, capsys)["waiting"])


def test_a_contact_that_is_gone_is_made_again_only_where_one_is_gone(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.run()
    client = next(row["clientId"] for row in rig.clients(syncable=True))
    primary = rig.rows("select phorest_id, ghl_id from entity_mappings where role = 'primary' limit 1")[0]
    assert answer(rig, Kind.RECREATE, client) == 2
    with rig.engine.begin() as connection:
        gone = WorkItem(
            entity_type="client",
            phorest_id=primary["phorest_id"],
            cause="gone",
            reason="the contact is gone from GHL",
            location_id=location(rig),
            detail={"ghl_id": primary["ghl_id"]},
        )
        open_items(connection, [gone])
    assert answer(rig, Kind.RECREATE, primary["phorest_id"]) == 0
    assert answer(rig, Kind.IDENTITY, primary["phorest_id"]) == 0
    assert answer(rig, Kind.IDENTITY, "nobody") == 2
    assert {(row.kind, row.ghl_id) for row in held(rig)} == {
        (Kind.RECREATE, primary["ghl_id"]),
        (Kind.IDENTITY, primary["ghl_id"]),
    }
    capsys.readouterr()


def test_all_opt_ins_that_wait_are_answered_at_once_and_import_items_are_listed(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(rig, Kind.OPT_IN, "all") == 2
    with rig.engine.begin() as connection:
        waiting: dict[str, Any] = {"entity_type": "client", "cause": OPT_IN, "reason": "30 clients opted in at once"}
        items = [WorkItem(phorest_id=name, location_id=location(rig), **waiting) for name in ("-a", "B")]
        other = WorkItem(phorest_id="C", location_id="another location", **waiting)
        aside = WorkItem(entity_type="appointment", phorest_id="P", cause="import", reason="the record has no date")
        open_items(connection, [*items, other, aside])
    assert answer(rig, Kind.OPT_IN, "all") == 0
    assert {row.phorest_id for row in held(rig)} == {"-a", "B"}
    assert {item["client"] for item in listed(rig, capsys)["waiting"]} == {"-a", "B", "P"}


def call(rig: Rig, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setattr("phorest_ghl.cli.load_settings", lambda: rig.runtime.settings)
    return CliRunner().invoke(app, ["review", *arguments])


def test_the_words_of_an_answer_are_checked_and_an_id_may_begin_with_a_hyphen(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = call(rig, monkeypatch, "accept", "adoptoin", "A")
    assert wrong.exit_code == 2
    assert "accept adoption" in wrong.stderr
    unknown = call(rig, monkeypatch, "recreate", "-bZ2yQ3uHkL5wT_1fSwAAA")
    assert unknown.exit_code == 2
    assert "of client -bZ2yQ3uHkL5wT_1fSwAAA waits" in unknown.stderr
