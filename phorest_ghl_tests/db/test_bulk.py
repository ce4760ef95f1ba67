"""One statement writes a page: what it inserts, updates, leaves alone, and keeps of what was there."""

from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phorest_ghl.db.bulk import RAW_KEY, PageWriter, Written
from phorest_ghl.db.keyed import Keyring
from phorest_ghl.phorest.consent_flags import CONSENT_EVENTS
from phorest_ghl.phorest.specs import BRANCHES, CLIENT_CATEGORIES, CLIENTS, ImportSpec
from phorest_ghl_tests.support.databases import Database

KEYRING = Keyring(b"a key for tests alone, 32 bytes.")


class Books:
    """A database that pages are written to."""

    def __init__(self, database: Database) -> None:
        self.engine = database.engine

    def write(self, *rows: dict[str, Any], spec: ImportSpec = CLIENTS, batch: str = "B") -> Written:
        writer = PageWriter(
            spec.table,
            entity_type=spec.entity_type,
            id_fields=spec.id_fields,
            columns=spec.columns,
            keyring=KEYRING,
            on_change=CONSENT_EVENTS if spec is CLIENTS else "",
        )
        document = orjson.dumps({"_embedded": {spec.embedded_key: rows}}).decode()
        with self.engine.begin() as connection:
            return writer.write(connection, document, path=("_embedded", spec.embedded_key), batch_id=batch)

    def rows(self, statement: str) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(statement)).mappings()]

    def client(self, phorest_id: str = "A") -> dict[str, Any]:
        return self.rows(f"select * from phorest_clients where phorest_id = '{phorest_id}'")[0]  # noqa: S608


@pytest.fixture
def books(database: Database) -> Books:
    return Books(database)


def wire(client_id: str = "A", version: int = 1, **more: Any) -> dict[str, Any]:
    return {"clientId": client_id, "version": version, "firstName": "Aoife", **more}


def counts(written: Written) -> tuple[int, int, int, int]:
    return written.seen, written.inserted, written.updated, written.unchanged


def test_new_rows_are_inserted_and_the_same_page_again_changes_nothing(books: Books) -> None:
    assert counts(books.write(wire("A"), wire("B"))) == (2, 2, 0, 0)
    before = books.rows("select phorest_id, changed_at, xmin::text as written from phorest_clients order by 1")
    assert counts(books.write(wire("B"), wire("A"))) == (2, 0, 0, 2)
    assert books.rows("select phorest_id, changed_at, xmin::text as written from phorest_clients order by 1") == before
    assert books.rows("select * from phorest_versions") == []


def test_every_wire_field_lands_in_its_column_with_its_type(books: Books) -> None:
    books.write(
        wire(
            birthDate="1990-02-28",
            clientSince="2020-01-02T03:04:05.000Z",
            updatedAt="2026-01-02T03:04:05.678+01:00",
            address={"city": "Cork", "country": None},
            loyaltyCard={"serial": "", "points": 12.5},
            creditAccount={"outstandingBalance": -3.10},
            clientCategoryIds=["x", "y"],
            smsMarketingConsent=False,
            banned=None,
        )
    )
    row = books.client()
    assert str(row["birth_date"]) == "1990-02-28"
    assert row["client_since"].isoformat() == "2020-01-02T03:04:05+00:00"
    assert row["phorest_updated_at"].isoformat() == "2026-01-02T02:04:05.678000+00:00"
    assert (row["city"], row["country"]) == ("Cork", None)
    assert (row["loyalty_card_serial"], float(row["loyalty_points"])) == ("", 12.5)
    assert str(row["credit_balance"]) == "-3.1"
    assert row["client_category_ids"] == ["x", "y"]
    assert (row["sms_marketing_consent"], row["email_marketing_consent"]) == (False, None)
    assert (row["banned"], row["archived"], row["walk_in"]) == (False, False, False)


def test_null_and_absent_are_the_same_content(books: Books) -> None:
    books.write(wire(email=None, address={"city": "Cork", "state": None}))
    assert counts(books.write(wire(address={"city": "Cork"}))) == (1, 0, 0, 1)
    assert books.client()["raw"] == {"clientId": "A", "version": 1, "firstName": "Aoife", "address": {"city": "Cork"}}


def test_a_change_is_written_and_what_was_there_is_kept(books: Books) -> None:
    books.write(wire(version=1))
    was = books.client()
    assert counts(books.write(wire(version=2, firstName="Ada"), batch="second")) == (1, 0, 1, 0)
    now = books.client()
    assert (now["first_name"], now["version"]) == ("Ada", 2)
    assert now["first_seen_at"] == was["first_seen_at"]
    assert now["changed_at"] > was["changed_at"]
    (kept,) = books.rows("select * from phorest_versions")
    assert (kept["entity_type"], kept["phorest_id"], kept["version"], kept["batch_id"]) == ("client", "A", 1, "second")
    assert (kept["raw"], kept["content_hash"]) == (was["raw"], was["content_hash"])
    assert (kept["valid_from"], kept["valid_to"]) == (was["changed_at"], now["changed_at"])


def test_every_change_appends_a_version(books: Books) -> None:
    for version in range(1, 5):
        books.write(wire(version=version, firstName=f"Name {version}"))
    assert [row["version"] for row in books.rows("select version from phorest_versions order by id")] == [1, 2, 3]


def test_a_change_without_a_new_version_is_written_too(books: Books) -> None:
    """Loyalty points change without one (facts/phorest-api)."""
    books.write(wire(loyaltyCard={"points": 1}))
    assert counts(books.write(wire(loyaltyCard={"points": 2}))) == (1, 0, 1, 0)


def test_a_page_that_comes_late_does_not_undo_a_newer_one(books: Books) -> None:
    books.write(wire(version=7, firstName="New"))
    assert counts(books.write(wire(version=6, firstName="Old"))) == (1, 0, 0, 1)
    assert books.client()["first_name"] == "New"
    assert books.rows("select * from phorest_versions") == []
    assert books.rows("select * from consent_events") == []


def test_an_id_twice_on_a_page_counts_once_and_the_newest_wins(books: Books) -> None:
    for _ in range(2):
        written = books.write(wire(version=1, firstName="Old"), wire(version=3, firstName="New"), wire(version=2))
        assert written.seen == 1
        assert books.client()["first_name"] == "New"


CONSENT = ("smsMarketingConsent", "emailMarketingConsent", "smsReminderConsent", "emailReminderConsent")


def events(books: Books) -> list[tuple[Any, ...]]:
    rows = books.rows("select channel, purpose, before, after, detail from consent_events order by channel, purpose")
    return [(*list(row.values())[:4], row["detail"]["same_address"]) for row in rows]


def test_s7_a_consent_that_changes_is_an_event_with_what_it_was_and_at_which_address(books: Books) -> None:
    books.write(wire(version=1, mobile="1", email="a", **dict.fromkeys(CONSENT, False)))
    assert events(books) == []  # nothing changed: it is the first that was seen
    books.write(wire(version=2, mobile="1", email="b", smsMarketingConsent=True, emailMarketingConsent=None))
    assert events(books) == [
        ("Email", "marketing", False, None, False),
        ("Email", "reminder", False, None, False),
        ("SMS", "marketing", False, True, True),
        ("SMS", "reminder", False, None, True),
    ]
    (source,) = books.rows(
        "select distinct source, phorest_id, batch_id, detail ->> 'version' as v from consent_events"
    )
    assert source == {"source": "phorest", "phorest_id": "A", "batch_id": "B", "v": "2"}


def test_s7_null_to_false_is_seen_and_told_from_false(books: Books) -> None:
    books.write(wire(version=1))
    books.write(wire(version=2, smsMarketingConsent=False))
    assert events(books) == [("SMS", "marketing", None, False, True)]


def test_a_client_that_phorest_deletes_gets_a_tombstone_that_keeps_its_time_and_goes_with_a_restore(
    books: Books,
) -> None:
    books.write(wire(version=1))
    assert books.client()["deleted_at"] is None
    books.write(wire(version=2, deleted=True))
    died = books.client()["deleted_at"]
    assert died is not None
    books.write(wire(version=3, deleted=True, firstName="Late edit"))
    assert books.client()["deleted_at"] == died
    books.write(wire(version=4, deleted=False))
    assert books.client()["deleted_at"] is None
    books.write(wire("B", deleted=True))
    assert books.client("B")["deleted_at"] is not None


def test_a_row_without_versions_that_was_tombstoned_lives_again_when_it_is_listed_again(books: Books) -> None:
    books.write({"branchId": "D", "name": "Dublin"}, spec=BRANCHES)
    with books.engine.begin() as connection:
        connection.exec_driver_sql("update phorest_branches set deleted_at = now()")
    assert counts(books.write({"branchId": "D", "name": "Dublin"}, spec=BRANCHES)) == (1, 0, 1, 0)
    assert books.rows("select deleted_at from phorest_branches") == [{"deleted_at": None}]


def test_an_id_is_found_under_either_of_its_names(books: Books) -> None:
    rows = ({"clientCategoryId": "X", "name": "a"}, {"categoryId": "Y", "name": "b"})
    assert books.write(*rows, spec=CLIENT_CATEGORIES).ids == ("X", "Y")


def test_what_was_patched_for_the_columns_is_kept_raw_as_it_was_sent(books: Books) -> None:
    books.write({**wire(birthDate=None), RAW_KEY: wire(birthDate="31/12/1990")})
    row = books.client()
    assert (row["birth_date"], row["raw"]["birthDate"]) == (None, "31/12/1990")


def test_an_empty_page_writes_nothing(books: Books) -> None:
    assert counts(books.write()) == (0, 0, 0, 0)


def test_two_writes_add_up() -> None:
    assert Written(2, 1, 0, ("A", "B")) + Written(1, 0, 1, ("C",)) == Written(3, 1, 1, ("A", "B", "C"))
    assert Written.nothing() + Written(1, 1, 0, ("A",)) == Written(1, 1, 0, ("A",))


pages = st.lists(
    st.builds(
        wire,
        st.sampled_from("ABC"),
        st.integers(0, 4),
        firstName=st.sampled_from(["Ada", "Eva", None]),
        deleted=st.sampled_from([None, True, False]),
        smsMarketingConsent=st.sampled_from([None, True, False]),
    ),
    max_size=5,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(pages, max_size=5))
def test_whatever_pages_come_the_newest_version_stands_and_every_page_twice_changes_nothing(
    books: Books, history: list[list[dict[str, Any]]]
) -> None:
    with books.engine.begin() as connection:
        connection.exec_driver_sql("truncate phorest_clients, phorest_versions, consent_events")
    newest: dict[str, int] = {}
    for page in history:
        written = books.write(*page)
        assert written.seen == len({row["clientId"] for row in page})
        for row in page:
            newest[row["clientId"]] = max(newest.get(row["clientId"], 0), row["version"])
        if len({(row["clientId"], row["version"]) for row in page}) == len(page):
            assert books.write(*page).inserted == books.write(*page).updated == 0
    held = {
        row["phorest_id"]: row
        for row in books.rows("select phorest_id, version, raw, content_hash from phorest_clients")
    }
    assert {key: row["version"] for key, row in held.items()} == newest
    assert all(row["raw"]["version"] == row["version"] for row in held.values())
    for row in books.rows("select phorest_id, version from phorest_versions"):
        assert row["version"] <= newest[row["phorest_id"]]


def digests(document: bytes, rows: int) -> list[bytes]:
    writer = PageWriter(
        CLIENTS.table, entity_type="client", id_fields=CLIENTS.id_fields, columns=CLIENTS.columns, keyring=KEYRING
    )
    found = writer.hashed(document, ("_embedded", "clients"), rows=rows).digests
    return [found[place : place + 32] for place in range(0, len(found), 32)]


@pytest.mark.parametrize(
    "rows",
    [
        [wire("A"), wire("B"), wire("C")],
        [wire("A", notes='},{"clientId":'), wire("B"), wire("C", notes="}]")],
        [wire("A", linked=[{"clientId": "X"}, {"clientId": "Y"}]), wire("B"), wire("C")],
        [{"version": 1, "clientId": "A"}, wire("B", linked=[{"clientId": "X"}]), wire("C")],
    ],
    ids=[
        "plain",
        "what looks like a row in a text",
        "objects like rows within a row",
        "an id that does not come first",
    ],
)
def test_however_a_page_looks_a_row_s_hash_changes_with_that_row_alone(rows: list[dict[str, Any]]) -> None:
    def made(of: list[dict[str, Any]]) -> list[bytes]:
        return digests(orjson.dumps({"_embedded": {"clients": of}, "page": {"number": 0}}), len(of))

    before = made(rows)
    assert len(before) == len(set(before)) == 3
    for changed in range(3):
        after = made([{**row, "firstName": "Ada"} if place == changed else row for place, row in enumerate(rows)])
        assert [old != new for old, new in zip(before, after, strict=True)] == [place == changed for place in range(3)]


def test_a_row_s_hash_is_the_keyring_s_hmac_of_its_bytes() -> None:
    (found,) = digests(b'{"_embedded": {"clients": [{"clientId": "A"}]}}', 0)
    assert found.hex() == KEYRING.digest('{"clientId":"A"}')


def test_content_that_comes_in_another_form_is_no_change_though_its_hash_is_another(books: Books) -> None:
    books.write({"clientId": "A", "version": 1, "loyaltyCard": {"points": 1.0}})
    assert counts(books.write({"loyaltyCard": {"points": 1}, "version": 1, "clientId": "A"})) == (1, 0, 0, 1)
    assert books.rows("select * from phorest_versions") == []


def test_pages_written_together_count_each_id_once_and_its_newest_version_wins(books: Books) -> None:
    writer = PageWriter(
        CLIENTS.table, entity_type="client", id_fields=CLIENTS.id_fields, columns=CLIENTS.columns, keyring=KEYRING
    )
    pages = ([wire("A", firstName="Old"), wire("B")], [wire("C"), wire("A", version=2, firstName="New")], [])
    with books.engine.begin() as connection:
        written = writer.write(connection, *map(orjson.dumps, pages), batch_id="B")
    assert (counts(written), sorted(written.ids)) == ((3, 3, 0, 0), ["A", "B", "C"])
    assert books.client("A")["first_name"] == "New"
    with books.engine.begin() as connection:
        assert counts(writer.write(connection, *map(orjson.dumps, reversed(pages)), batch_id="B")) == (3, 0, 0, 3)


@pytest.mark.parametrize("read", [None, ("R", 1)])
def test_only_the_pages_of_a_read_are_committed_without_waiting_for_the_disk(
    read: tuple[str, int] | None, books: Books
) -> None:
    writer = PageWriter(
        CLIENTS.table, entity_type="client", id_fields=CLIENTS.id_fields, columns=CLIENTS.columns, keyring=KEYRING
    )
    with books.engine.begin() as connection:
        connection.exec_driver_sql("set local synchronous_commit = on")
        writer.write(connection, orjson.dumps([wire()]), batch_id="B", read=read)
        during = connection.exec_driver_sql("show synchronous_commit").scalar_one()
    assert during == ("on" if read is None else "off")
