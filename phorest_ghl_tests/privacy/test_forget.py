"""Forgetting a person: everywhere, for good, without a word to anybody, and repeatable wherever it was killed (safety S21)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.commands.forget import forget as commanded
from phorest_ghl.http.errors import ApiError
from phorest_ghl.privacy.people import NobodyFound
from phorest_ghl.sync import mirror
from phorest_ghl_tests.sync.events.diary import Diary, salon
from phorest_ghl_tests.sync.rig import Rig, Row

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database

pytestmark = pytest.mark.road


@pytest.fixture
def book(database: "Database", tmp_path: Path) -> Iterator[Diary]:
    with salon(database.url, clients=40, seed=3, settings={"PHOREST_GHL_STATE_DIR": str(tmp_path)}) as made:
        yield made


def alone(rig: Rig) -> Row:
    """A client that shares no address, with a phone and an email."""
    rows = [row for row in rig.clients(syncable=True) if row["truth"]["phone"] and row["truth"]["email"]]
    homes = [row["truth"]["household"] for row in rig.clients()]
    return next(row for row in rows if homes.count(row["truth"]["household"]) == 1)


def forget(rig: Rig, client_id: str, *, keep_contacts: bool = False) -> None:
    rig.runtime.forgetting().forget(client_id, operator="a test", keep_contacts=keep_contacts)


def everything(rig: Rig) -> dict[str, str]:
    """All that our database holds, as text, by table."""
    with rig.engine.connect() as connection:
        tables = sa.inspect(connection).get_table_names()
        return {
            name: "\n".join(connection.execute(sa.text(f"select t::text from {name} t")).scalars())  # noqa: S608 - a table's name
            for name in tables
        }


def where_found(rig: Rig, *values: str) -> list[str]:
    tables = everything(rig)
    return sorted({name for name, held in tables.items() for value in values if value in held})


def test_a_forgotten_person_is_nowhere_and_does_not_come_back(book: Diary, tmp_path: Path) -> None:
    rig = book.rig
    client = alone(rig)
    client_id = client["clientId"]
    (visit,) = book.book(client)
    rig.run()
    book.tick()
    contact = rig.contact_of(client_id)["id"]
    event = book.event_of(visit)["id"]
    rig.edit_client(client_id, firstName="Xanthippe")
    rig.load()
    log = tmp_path / "runs.log"
    log.write_text(f"client {client_id} on {contact}\nclient {client_id}x is somebody else\n", encoding="utf-8")
    personal = (client_id, contact, event, visit, "Xanthippe", client["truth"]["email"], client["truth"]["phone"])
    assert {"phorest_clients", "phorest_versions", "ghl_contacts", "sync_changes"} <= set(where_found(rig, *personal))
    with rig.engine.begin() as connection:
        connection.execute(
            sa.text(
                "insert into suppressions (location_id, address_key, channel, cause, source_id, batch_id)"
                " values (:location, :key, 'SMS', 'no consent', :client, 'b')"
            ),
            {
                "location": rig.runtime.settings.ghl_location_id,
                "key": mirror.address_key(rig.runtime.keyring(), client["truth"]["phone"]),
                "client": client_id,
            },
        )
    opt_outs = rig.rows("select address_key, channel, cause from suppressions where lifted_at is null order by 1, 2, 3")
    told = len(book.told())

    forget(rig, client_id)

    assert where_found(rig, *personal) == []
    assert log.read_text(encoding="utf-8").count(client_id) == 1, "only an id that is longer stays"
    assert contact not in [row["id"] for row in rig.contacts()]
    assert len(book.told()) == told, "nobody is told"
    assert opt_outs == rig.rows(
        "select address_key, channel, cause from suppressions where lifted_at is null order by 1, 2, 3"
    ), "an opt-out outlives the person's data"
    (tombstone,) = rig.rows("select operator, completed_at, proof from forgotten where kind = 'client'")
    assert tombstone["operator"] == "a test"
    assert tombstone["completed_at"]
    assert tombstone["proof"]["phorest_clients"] == 1

    rig.load(full=True)
    rig.apply()
    book.tick(full=True)
    assert not rig.importer().one_client(client_id), "Phorest still has the person, and is not asked"
    assert where_found(rig, *personal) == []
    assert not [row for row in rig.contacts() if client_id in row["customFields"].values()]
    assert rig.runtime.forgetting().preview(client_id).done_at is not None


def test_a_contact_that_is_kept_is_closed_emptied_of_ours_and_not_read_back(book: Diary) -> None:
    rig, client = book.rig, alone(book.rig)
    client_id, email = client["clientId"], client["truth"]["email"]
    (visit,) = book.book(client)
    book.tick()
    contact, event = rig.contact_of(client_id), book.event_of(visit)
    book.go_live()
    told = len(book.told())

    forget(rig, client_id, keep_contacts=True)

    (held,) = [row for row in rig.contacts() if row["id"] == contact["id"]]
    assert not [value for value in held["customFields"].values() if value not in ("", None)]
    assert {setting["status"] for setting in held["dndSettings"].values()} <= {"active", "permanent"}
    (cancelled,) = [row for row in book.events() if row["id"] == event["id"]]
    assert cancelled["appointmentStatus"] == "cancelled"
    assert len(book.told()) == told, "of the cancelled event nobody is told"
    sync = rig.sync()
    mirror.read_back(rig.engine, rig.runtime.ghl(), keyring=rig.runtime.keyring(), batch_id="b")
    sync.plan(sync.prepare())
    assert where_found(rig, contact["id"], email) == []


def test_a_person_who_shares_a_contact_leaves_it_to_the_others(book: Diary, capsys: pytest.CaptureFixture[str]) -> None:
    rig = book.rig
    first = alone(rig)
    speaker, other = first["clientId"], book.meet(mobile=first["truth"]["phone"])["clientId"]
    rig.load()
    rig.apply()
    pair = rig.rows(
        "select phorest_id, role, ghl_id from entity_mappings where phorest_id = any(:ids) order by role",
        ids=[speaker, other],
    )
    assert [(row["phorest_id"], row["role"]) for row in pair] == [(speaker, "primary"), (other, "secondary")]
    assert pair[0]["ghl_id"] == pair[1]["ghl_id"]
    rig.edit_client(speaker, firstName="Xanthippe")
    rig.load()
    rig.apply()

    work = rig.runtime.forgetting()
    person = work.preview(speaker).person
    assert person is not None

    def command(client_id: str, *, yes: bool) -> tuple[Exit, Row]:
        left = commanded(rig.runtime.settings, Out(as_json=True), client_id=client_id, keep_contact=False, yes=yes)
        said = capsys.readouterr()
        assert first["truth"]["email"] not in said.out + said.err
        return left, json.loads(said.out)

    asked, preview = command(speaker, yes=False)
    assert (asked, preview["rows"]["phorest_clients"]) == (Exit.WRONG_USE, 1)
    assert preview["shared_contacts"] == {pair[0]["ghl_id"]: [other]}
    assert rig.count("forgotten") == 0, "a preview writes nothing"
    ended, document = command(speaker, yes=True)
    assert (ended, document["carrying"]) == (Exit.NEEDS_A_PERSON, [pair[0]["ghl_id"]])
    assert document["others_left"] == {}
    contact = rig.contact_of(other)
    assert contact["firstName"] == "Aoife", "the others are written at once"
    assert command(speaker, yes=True)[0] is Exit.WELL, "a repeat has nothing to do"
    rig.load(full=True)
    rig.apply()

    assert work.still_carrying(person) == [pair[0]["ghl_id"]], "the other has no email that could take its place"
    contact = rig.contact_of(other)
    assert contact["id"] == pair[0]["ghl_id"]
    assert contact["firstName"] == "Aoife"
    assert "Xanthippe" not in contact["customFields"].values()
    assert where_found(rig, speaker, "Xanthippe") == []
    assert "Xanthippe" not in str(rig.contacts())


def test_a_forgetting_that_was_cut_off_brings_nobody_back_and_is_finished_by_a_repeat(book: Diary) -> None:
    rig, client = book.rig, alone(book.rig)
    client_id = client["clientId"]
    contact = rig.contact_of(client_id)["id"]
    rig.fault("502", "DELETE /contacts/{contactId}", count=20)
    with pytest.raises(ApiError):
        forget(rig, client_id)
    rig.calm()
    assert rig.runtime.forgetting().preview(client_id).done_at is None
    rig.load(full=True)
    rig.apply()
    assert rig.rows("select deleted from phorest_clients where phorest_id = :id", id=client_id) == [{"deleted": True}]
    rig.delete_contact(contact)  # as if the first attempt had arrived

    forget(rig, client_id)

    assert where_found(rig, client_id, contact, client["truth"]["email"]) == []
    with pytest.raises(NobodyFound):
        rig.runtime.forgetting().preview("nobody")


def test_s9_what_a_person_refused_before_any_run_looked_outlives_the_forgetting_at_the_address(book: Diary) -> None:
    rig = book.rig
    first = alone(rig)
    rig.edit_client(first["clientId"], smsMarketingConsent=False, emailMarketingConsent=False)
    other = book.meet(mobile=first["truth"]["phone"])["clientId"]
    rig.load()  # and no run looks

    forget(rig, first["clientId"])
    rig.load(full=True)
    rig.apply()

    assert rig.contact_of(other)["dndSettings"]["SMS"]["status"] == "active"
    causes = rig.rows("select distinct cause from suppressions where lifted_at is null and batch_id = 'forget'")
    assert [row["cause"] for row in causes] == ["no consent"]


def test_what_is_said_of_somebody_else_no_longer_names_the_person(book: Diary) -> None:
    rig = book.rig
    client_id, other = alone(rig)["clientId"], rig.clients(syncable=True)[-1]["clientId"]
    contact = rig.contact_of(client_id)["id"]
    assert other != client_id
    with rig.engine.begin() as connection:
        connection.execute(
            sa.text("""insert into work_items (location_id, entity_type, phorest_id, cause, reason, detail)
                       values ('', 'client', :other, 'review', 'its address is on the contact ' || :contact,
                               jsonb_build_object('holder', cast(:client as text)))"""),
            {"other": other, "contact": contact, "client": client_id},
        )

    forget(rig, client_id)

    assert where_found(rig, client_id, contact) == []
    (item,) = rig.rows("select reason, detail from work_items where cause = 'review' and phorest_id = :id", id=other)
    assert item == {"reason": "its address is on the contact forgotten", "detail": {"holder": "forgotten"}}


def test_a_forgetting_that_was_begun_under_one_id_is_closed_under_another_of_the_same_person(book: Diary) -> None:
    rig = book.rig
    winner, loser = alone(rig)["clientId"], book.meet()["clientId"]
    rig.edit_client(loser, mergedToClientId=winner)
    rig.load()
    rig.fault("502", "DELETE /contacts/{contactId}", count=20)
    rig.apply()
    with pytest.raises(ApiError):
        forget(rig, loser)
    rig.calm()

    forget(rig, winner)

    assert rig.rows("select kind from forgotten where completed_at is null or proof = '{}'") == []
    assert rig.runtime.forgetting().preview(loser).done_at is not None


def test_a_plan_from_before_does_not_make_the_contact_of_a_person_who_was_forgotten_since(book: Diary) -> None:
    rig = book.rig
    client_id = book.meet(lastName="Zzyzx")["clientId"]
    rig.load()
    sync = rig.sync()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    assert client_id in {change.desired.phorest_id for change in plan.changes}
    forget(rig, client_id)
    result = rig.carry_out(sync, plan, prepared)
    assert result.outcomes["skipped"]
    assert not [row for row in rig.contacts() if row["lastName"] == "Zzyzx"]
