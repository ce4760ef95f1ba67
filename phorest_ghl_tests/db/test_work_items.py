"""The one queue: one open row for each record and cause."""

from typing import Any

import pytest
import sqlalchemy as sa

from phorest_ghl.db.work_items import WorkItem, open_items, resolve_items
from phorest_ghl_tests.support.databases import Database


def item(phorest_id: str = "A", cause: str = "rejected", **more: Any) -> WorkItem:
    return WorkItem(
        **{
            "entity_type": "client",
            "phorest_id": phorest_id,
            "cause": cause,
            "reason": "why",
            "location_id": "L",
            **more,
        }
    )


def put(database: Database, *items: WorkItem) -> None:
    with database.engine.begin() as connection:
        open_items(connection, items)


def resolve(database: Database, *ids: str, causes: tuple[str, ...] = ("rejected",), location: str = "L") -> int:
    with database.engine.begin() as connection:
        return resolve_items(connection, entity_type="client", phorest_ids=ids, causes=causes, location_id=location)


def rows(database: Database) -> list[tuple[Any, ...]]:
    with database.engine.connect() as connection:
        found = connection.execute(
            sa.text(
                "select phorest_id, cause, reason, state, attempts, source_hash, detail from work_items order by id"
            )
        )
        return [tuple(row) for row in found]


def test_an_item_that_comes_again_is_one_more_attempt_with_the_newest_reason(database: Database) -> None:
    put(database, item(reason="first", source_hash="1", detail={"ghl_id": "X"}))
    put(database, item(reason="second", source_hash="2"))
    assert rows(database) == [("A", "rejected", "second", "open", 2, "2", {})]


def test_causes_records_and_locations_are_told_apart(database: Database) -> None:
    put(database, item(), item(cause="gone"), item("B"), item(location_id="M"))
    assert len(rows(database)) == 4


def test_the_last_of_two_equal_items_of_one_call_wins(database: Database) -> None:
    put(database, item(reason="first"), item(reason="last"))
    assert [row[2:5] for row in rows(database)] == [("last", "open", 1)]


def test_nothing_to_open_and_nothing_to_resolve_is_no_error(database: Database) -> None:
    put(database)
    assert resolve(database) == 0
    assert rows(database) == []


def test_success_resolves_these_records_and_causes_only(database: Database) -> None:
    put(database, item(), item(cause="gone"), item("B"), item(location_id="M"))
    assert resolve(database, "A", "Z") == 1
    assert [row[3] for row in rows(database)] == ["resolved", "open", "open", "open"]
    assert resolve(database, "A") == 0


def test_a_resolved_item_that_comes_back_is_a_new_one(database: Database) -> None:
    put(database, item())
    resolve(database, "A")
    put(database, item(reason="again"))
    assert [row[2:5] for row in rows(database)] == [("why", "resolved", 1), ("again", "open", 1)]


@pytest.mark.parametrize("state", ["done", "", "OPEN"])
def test_the_database_knows_the_states_there_are(database: Database, state: str) -> None:
    put(database, item())
    with pytest.raises(sa.exc.IntegrityError), database.engine.begin() as connection:
        connection.execute(sa.text("update work_items set state = :state"), {"state": state})
