"""Why a record is as it is: every part of the answer, by id and masked, without a request to GHL unless one is asked for."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from phorest_ghl.explain.client import NotKnown
from phorest_ghl.explain.document import markdown
from phorest_ghl.explaining import document_of
from phorest_ghl_tests.sync.rig import Rig, Row, installation

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database

pytestmark = pytest.mark.road


@pytest.fixture
def rig(database: "Database") -> Iterator[Rig]:
    with installation(database.url, clients=60, seed=3) as made:
        yield made


def explained(rig: Rig, client_id: str, *, live: bool = False, values: bool = False) -> dict[str, Any]:
    return document_of(rig.runtime, "client", client_id, live=live, values=values)


def line(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(line for line in document["fields"] if line["field"] == name)


def alone(rig: Rig) -> Row:
    """A client that shares no address, with a phone and an email."""
    rows = [row for row in rig.clients(syncable=True) if row["truth"]["phone"] and row["truth"]["email"]]
    homes = [row["truth"]["household"] for row in rig.clients()]
    return next(row for row in rows if homes.count(row["truth"]["household"]) == 1)


def test_a_client_is_explained_from_its_versions_to_what_was_sent(rig: Rig) -> None:
    rig.run()
    client = alone(rig)["clientId"]
    rig.edit_client(client, firstName="Hildegard")
    rig.load()
    waiting = explained(rig, client)
    rig.forget_requests()
    assert line(waiting, "first_name")["verdict"].startswith("to be written (update): three-way")
    assert waiting["next_run"]["action"] == "update"
    result = rig.apply()
    rig.forget_requests()
    document = explained(rig, client)
    assert rig.sandbox.control("GET", "/requests")["requests"] == [], "an explanation asks nobody"

    assert "firstName" in document["versions"][0]["changed"]
    assert document["versions"][1]["until"] is not None
    name = line(document, "first_name")
    assert (name["verdict"], name["acknowledged"]) == ("as it should be", True)
    assert name["sent"]["run"] == result.batch_id
    assert [sent["action"] for sent in document["sent"]] == ["update", "create"]
    assert [one["rule"].partition(":")[0] for one in document["sent"][0]["fields"]] == ["three-way"]
    assert document["contact"]["id"] == rig.contact_of(client)["id"]
    assert document["contact"]["seen_by"] == "answer"
    assert document["group"]["why"] == "the only client of its contact"
    assert document["creates"][0]["state"] == "confirmed"


def test_an_explanation_shows_values_only_where_they_are_asked_for(rig: Rig) -> None:
    rig.run()
    row = alone(rig)
    masked, plain = explained(rig, row["clientId"]), explained(rig, row["clientId"], values=True)
    personal = (row["truth"]["phone"], row["truth"]["email"], row["firstName"], row["lastName"])
    shown = json.dumps(masked) + markdown(masked)
    assert not [value for value in personal if value in shown]
    assert line(plain, "phone")["held"] == row["truth"]["phone"]
    assert line(masked, "phorest_id")["desired"] == row["clientId"]


def test_a_persons_edit_in_ghl_is_seen_live_and_said_to_stand(rig: Rig) -> None:
    rig.run()
    client = alone(rig)["clientId"]
    contact = rig.contact_of(client)["id"]
    rig.edit_contact(contact, firstName="Somebody")
    assert line(explained(rig, client), "first_name")["verdict"] == "as it should be", "the mirror does not know yet"
    document = explained(rig, client, live=True)
    assert line(document, "first_name")["verdict"].startswith("changed in GHL by a person")
    assert document["contact"]["seen_by"] == "read"
    rig.delete_contact(contact)
    assert explained(rig, client, live=True)["contact"]["gone_at"] is not None


def test_what_closes_a_channel_is_named_with_its_causes_and_since_when(rig: Rig) -> None:
    rig.run()
    client = next(
        row
        for row in rig.clients(syncable=True)
        if row["truth"]["phone"] and row.get("smsMarketingConsent") is not True
    )["clientId"]
    document = explained(rig, client)
    channel = line(document, "SMS")
    assert channel["desired"] == "blocked"
    assert "no consent" in channel["causes"]
    assert channel["held"] == "blocked by us"
    assert any(cause["channel"] == "SMS" and cause["since"] for cause in document["consent"]["causes"])


def test_who_shares_a_contact_and_by_what_is_said_by_id(rig: Rig) -> None:
    rig.run()
    homes: dict[str, list[Row]] = {}
    for row in rig.clients(syncable=True):
        homes.setdefault(row["truth"]["household"], []).append(row)
    shared = next(rows for rows in homes.values() if len(rows) > 1)
    document = explained(rig, shared[0]["clientId"])
    members = {member["phorest_id"]: member for member in document["group"]["members"]}
    assert {row["clientId"] for row in shared} <= members.keys()
    assert sorted(member["role"] for member in members.values()).count("primary") == 1
    assert all(member["by"] for member in members.values())
    assert len({members[row["clientId"]]["contact"] for row in shared}) == 1


def test_a_client_without_contact_and_one_that_nobody_knows_are_answered(rig: Rig) -> None:
    rig.load()
    row = next(row for row in rig.clients() if not row["truth"]["syncable"] and not row["truth"].get("walk_in"))
    document = explained(rig, row["clientId"])
    assert document["contact"] is None
    assert document["next_run"]["outcome"] == "skipped"
    assert document["next_run"]["reason"]
    with pytest.raises(NotKnown, match="There is no client nobody here"):
        explained(rig, "nobody")
