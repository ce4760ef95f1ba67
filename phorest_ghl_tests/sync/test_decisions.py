"""Decisions of people: one holds at a time, a run uses it up, and a refusal stands only while nothing changes."""

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.sync.decisions import Decisions, Kind, load, mark_used, record, side_hash

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database

LOCATION, ENTITY = "LOC1", "client"
KEYRING = Keyring(b"a key for tests alone")


def decide(connection: sa.Connection, kind: Kind, phorest_id: str = "C1", **more: Any) -> int:
    more = {"location_id": LOCATION, "operator": "sinead", **more}
    return record(connection, entity_type=ENTITY, phorest_id=phorest_id, kind=kind, **more)


def held(connection: sa.Connection) -> Decisions:
    return load(connection, LOCATION, ENTITY)


def test_a_decision_holds_until_a_run_has_used_it_and_says_who_made_it(database: "Database") -> None:
    with database.engine.begin() as connection:
        decide(connection, Kind.ADOPT, ghl_id="G1", detail={"client_hash": "a"})
        decide(connection, Kind.OPT_IN, "C2")
        decide(connection, Kind.RECREATE, "C3", location_id="LOC2")
        found = held(connection)
        adoption = found.of(Kind.ADOPT, ["C0", "C1"])
        assert adoption is not None
        assert (adoption.ghl_id, adoption.operator, adoption.detail) == ("G1", "sinead", {"client_hash": "a"})
        assert found.of(Kind.OPT_IN, ["C1"]) is None
        assert found.clients(Kind.OPT_IN) == {"C2"}
        assert found.clients(Kind.RECREATE) == frozenset()
        used = [mark_used(connection, rows, batch_id="B1") for rows in ([adoption], [adoption], [])]
        assert used == [1, 0, 0]
        assert held(connection).clients(Kind.ADOPT) == frozenset()
        kept = connection.execute(sa.text("select detail from review_decisions order by id")).scalars().all()
        assert kept == [{"client_hash": "a", "batch_id": "B1"}, {}, {}]


def test_a_person_who_thinks_again_is_heard(database: "Database") -> None:
    with database.engine.begin() as connection:
        decide(connection, Kind.REFUSE_ADOPTION)
        decide(connection, Kind.ADOPT)
        assert [row.kind for row in held(connection).rows] == [Kind.ADOPT]
        last = decide(connection, Kind.REFUSE_ADOPTION)
        assert [(row.kind, row.id) for row in held(connection).rows] == [(Kind.REFUSE_ADOPTION, last)]
        decide(connection, Kind.IDENTITY)
        assert {row.kind for row in held(connection).rows} == {Kind.REFUSE_ADOPTION, Kind.IDENTITY}


def test_two_decisions_of_a_kind_cannot_both_hold(database: "Database") -> None:
    twice = sa.text("""insert into review_decisions (location_id, entity_type, phorest_id, kind, operator)
                       values ('LOC1', 'client', 'C1', 'adopt', 'a'), ('LOC1', 'client', 'C1', 'adopt', 'b')""")
    with database.engine.connect() as connection, pytest.raises(IntegrityError):
        connection.execute(twice)


def test_a_refusal_is_about_two_sides_as_they_were(database: "Database") -> None:
    client, contact, other = (
        side_hash(KEYRING, first_name=first, last_name="Byrne", email="a@example.com", phone=None)
        for first in ("Aoife", "Grace", "Grainne")
    )
    with database.engine.begin() as connection:
        decide(connection, Kind.REFUSE_ADOPTION, detail={"client_hash": client, "contact_hash": contact})
        refusal = held(connection).of(Kind.REFUSE_ADOPTION, ["C1"])
    assert refusal is not None
    assert refusal.still_about(client=client, contact=contact)
    assert not refusal.still_about(client=client, contact=other)
    assert not refusal.still_about(client=other, contact=contact)


def test_a_name_that_a_search_answers_in_lower_case_is_the_same_side() -> None:
    kept = {"email": "A@example.com", "phone": "+353871234567"}
    seen = side_hash(KEYRING, first_name="Aoife  Mary", last_name="Byrne", **kept)
    assert seen == side_hash(KEYRING, first_name="aoife mary", last_name="byrne", **{**kept, "email": "a@example.com"})
    assert seen != side_hash(KEYRING, first_name="Aoife", last_name="Mary Byrne O", **kept)
