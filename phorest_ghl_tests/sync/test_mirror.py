"""The mirror: what GHL was last seen to hold, and which sight of it counts."""

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from phorest_ghl.ghl.models import Contact, Location
from phorest_ghl.sync import consent_ledger, mirror
from phorest_ghl.sync.consent import Channel
from phorest_ghl.sync.mirror import MirrorContact, SeenBy
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.builders import KEYRING

BLOCKED: dict[str, Any] = {"Email": {"status": "active", "code": "101"}}


def seen(database: Database, by: SeenBy, day: int = 1, **more: Any) -> MirrorContact:
    """Store a contact as seen, changed on this day of the month; the mirror's row afterwards."""
    changed = datetime(2026, 1, day, tzinfo=UTC).isoformat()
    contact = Contact.model_validate({"id": "X", "firstName": "Aoife", "dateUpdated": changed, **more})
    with database.engine.begin() as connection:
        mirror.store(connection, "L", [contact], seen_by=by, keyring=KEYRING, batch_id="B")
        return mirror.load(connection, "L")["X"]


def ledger(database: Database) -> list[tuple[Any, ...]]:
    with database.engine.connect() as connection:
        return [
            tuple(row)
            for row in connection.execute(sa.text("select channel, cause, source_id, address_key from suppressions"))
        ]


def test_a_later_sight_replaces_an_earlier_one(database: Database) -> None:
    seen(database, "search", email="a@example.com", dndSettings=BLOCKED)
    row = seen(database, "read", email="B@example.com", dndSettings={"SMS": {"status": "inactive"}})
    assert (row.email, row.seen_by, set(row.dnd_settings or {})) == ("b@example.com", "read", {"SMS"})


@pytest.mark.parametrize("by", ["read", "answer"])
def test_s10_a_search_never_replaces_what_a_read_or_an_answer_showed_of_the_same_state(
    database: Database, by: SeenBy
) -> None:
    seen(database, by, firstName="Aoife", dndSettings=BLOCKED)
    row = seen(database, "search", firstName="aoife")
    assert (row.first_name, row.seen_by, set(row.dnd_settings or {})) == ("Aoife", by, {"Email"})


def test_a_search_that_shows_a_newer_state_counts(database: Database) -> None:
    seen(database, "answer", day=1, firstName="Aoife", dndSettings=BLOCKED)
    row = seen(database, "search", day=2, firstName="eva")
    assert (row.first_name, row.seen_by, row.dnd_settings) == ("eva", "search", None)


def test_a_contact_that_is_seen_again_is_no_longer_gone(database: Database) -> None:
    seen(database, "answer")
    with database.engine.begin() as connection:
        mirror.mark_gone(connection, "L", "X")
        assert mirror.load(connection, "L")["X"].gone_at is not None
    assert seen(database, "read").gone_at is None


def test_s9_a_block_of_somebody_else_goes_to_the_ledger_once_and_under_a_keyed_hash(database: Database) -> None:
    for _ in range(2):
        seen(
            database,
            "read",
            email="A@Example.com",
            phone="+353871234567",
            dndSettings={**BLOCKED, "SMS": {"status": "permanent"}},
        )
    email, phone = (mirror.address_key(KEYRING, value) for value in ("a@example.com", "+353871234567"))
    assert sorted(ledger(database)) == [("Email", "GHL", "X", email), ("SMS", "GHL", "X", phone)]
    with database.engine.connect() as connection:
        here, there = (consent_ledger.load(connection, location).causes for location in ("L", "M"))
    assert {(c.address_key, c.channel, c.cause, c.source_id) for c in here} == {
        (email, Channel.EMAIL, "GHL", "X"), (phone, Channel.SMS, "GHL", "X")}  # fmt: skip
    assert there == frozenset()


def test_s7_a_block_of_ghls_goes_off_record_when_a_read_shows_it_lifted_and_not_before(database: Database) -> None:
    def blocks() -> int:
        with database.engine.connect() as connection:
            return len(consent_ledger.load(connection, "L").causes)

    address: dict[str, Any] = {"email": "a@example.com"}
    seen(database, "read", **address, dndSettings=BLOCKED, dateUpdated="2026-01-01T10:00:00Z")
    assert blocks() == 1
    lifted: dict[str, Any] = {"dndSettings": {"Email": {"status": "inactive"}}}
    seen(database, "search", **address, **lifted, dateUpdated="2026-01-01T11:00:00Z")
    seen(database, "answer", **address, **lifted, dateUpdated="2026-01-01T11:00:00Z")
    seen(database, "read", **address, dateUpdated="2026-01-01T11:00:00Z")
    assert blocks() == 1
    # A read that was under way while somebody saw a newer state proves nothing.
    seen(database, "read", **address, **lifted, dateUpdated="2026-01-01T09:00:00Z")
    assert blocks() == 1
    seen(database, "read", **address, **lifted, dateUpdated="2026-01-01T12:00:00Z")
    assert blocks() == 0


@pytest.mark.parametrize(
    ("by", "more"),
    [
        ("search", {"email": "a@example.com", "dndSettings": BLOCKED}),
        ("read", {"email": "a@example.com", "dndSettings": {"Email": {"status": "active", "code": "phorest_ghl"}}}),
        ("read", {"email": "a@example.com", "dndSettings": {"Email": {"status": "inactive"}}}),
        ("read", {"phone": "+353871234567", "dndSettings": BLOCKED}),
        ("read", {"email": "a@example.com"}),
    ],
    ids=["only a search", "our own", "open", "no address of the channel", "unknown"],
)
def test_s9_what_is_no_block_of_somebody_else_does_not(database: Database, by: SeenBy, more: dict[str, Any]) -> None:
    seen(database, by, **more)
    assert ledger(database) == []


def test_a_location_starts_quiet_and_its_confirmation_is_kept_from_the_first_time_on(database: Database) -> None:
    with database.engine.begin() as connection:
        assert mirror.location_state(connection, "L") is None
        mirror.store_location(connection, Location(id="L", allows_duplicates=False, unique_identifiers=("email",)))
        state = mirror.location_state(connection, "L")
        assert state is not None
        assert (state.mode, state.mirrored_at, state.workflows_confirmed_at) == ("quiet", None, None)
        assert state.refuses_duplicates_by == {"email"}
        mirror.confirm_workflows(connection, "L", "first")
    with database.engine.begin() as connection:
        before = mirror.location_state(connection, "L")
        mirror.confirm_workflows(connection, "L", "second")
        mirror.store_location(connection, Location(id="L", allows_duplicates=True, unique_identifiers=("email",)))
        after = mirror.location_state(connection, "L")
        assert before is not None
        assert after is not None
        assert after.workflows_confirmed_at == before.workflows_confirmed_at
        assert after.refuses_duplicates_by == frozenset()
        operators = connection.execute(sa.text("select workflows_confirmed_by from ghl_locations")).scalars().all()
        assert operators == ["first"]


@pytest.mark.parametrize(
    ("allows", "identifiers", "refuses_by"),
    [
        (False, ("email", "phone"), {"email", "phone"}),
        (False, ("phone",), {"phone"}),
        (False, (), set()),
        (False, None, set()),
        (None, ("email",), set()),
        (True, ("email",), set()),
    ],
)
def test_s15_only_a_location_that_says_so_refuses_a_second_contact(
    allows: bool | None, identifiers: tuple[str, ...] | None, refuses_by: set[str]  # noqa: FBT001
) -> None:  # fmt: skip
    state = mirror.LocationState("L", "quiet", allows, identifiers, None, None)
    assert state.refuses_duplicates_by == refuses_by


def active(database: Database) -> set[tuple[str, str, str]]:
    """Active causes: channel, cause, and whose address it is by what was hashed."""
    names = {mirror.address_key(KEYRING, value): value for value in ("a@example.com", "b@example.com", "+353871234567")}
    with database.engine.connect() as connection:
        causes = consent_ledger.load(connection, "L").causes
    return {(cause.channel.value, cause.cause, names[cause.address_key]) for cause in causes}


def test_s7_a_block_that_is_lifted_at_another_address_stays_on_record_where_it_was_set(database: Database) -> None:
    seen(database, "read", 1, email="a@example.com", dndSettings=BLOCKED)
    seen(database, "answer", 2, email="b@example.com", dndSettings=BLOCKED)
    assert active(database) == {("Email", "GHL", "a@example.com"), ("Email", "GHL", "b@example.com")}
    opened = {"Email": {"status": "inactive"}}
    seen(database, "read", 3, email="b@example.com", dndSettings=opened)
    assert active(database) == {("Email", "GHL", "a@example.com")}
    seen(database, "read", 4, email="a@example.com", dndSettings=opened)
    assert active(database) == set()


WHOLE = {("Email", "GHL, all channels", "a@example.com")} | {
    (channel, "GHL, all channels", "+353871234567") for channel in ("SMS", "Call", "WhatsApp")
}


@pytest.mark.parametrize("settings", [None, {}, {"Email": {"status": "inactive"}, "SMS": {"status": "inactive"}}])
def test_s7_a_contact_that_is_closed_as_a_whole_is_closed_on_all_channels_until_a_read_shows_it_off(
    database: Database, settings: dict[str, Any] | None
) -> None:
    addresses: dict[str, Any] = {"email": "a@example.com", "phone": "+353871234567"}
    seen(database, "search", 1, **addresses, dnd=True, dndSettings=settings)
    assert active(database) == set()
    seen(database, "read", 2, **addresses, dnd=True, dndSettings=settings)
    assert active(database) == WHOLE
    # Neither open channels, nor an answer, nor a read that does not say takes it off.
    seen(database, "read", 3, **addresses, dndSettings=settings)
    seen(database, "answer", 4, **addresses, dnd=False, dndSettings=settings)
    assert active(database) == WHOLE
    seen(database, "read", 5, **addresses, dnd=False, dndSettings=settings)
    assert active(database) == set()
