"""Facts of clients: the SQL says what the plainest Python says, whatever the diary holds; and the edges by name."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phorest_ghl.db.tables import (
    entity_mappings,
    ghl_events,
    import_cursors,
    phorest_appointments,
    phorest_branches,
    phorest_purchases,
    phorest_services,
    phorest_versions,
)
from phorest_ghl.sync.facts.bookings import online_bookings
from phorest_ghl.sync.facts.diary import Moment
from phorest_ghl.sync.facts.loading import load_facts, tier
from phorest_ghl.sync.facts.sales import product_tags, spend
from phorest_ghl.sync.facts.visits import Visits, visits
from phorest_ghl.sync.rules import TIERS, FacetRules
from phorest_ghl.sync.source import Names
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.facts_by_hand import CATEGORIES, STYLISTS, ZONES, Row, by_hand, online_by_hand

NOW = datetime(2026, 3, 29, 10, 30, tzinfo=UTC)  # the day on which Dublin's clocks go forward
NAMES = Names(
    zones={branch: zone.key for branch, zone in ZONES.items()},
    staff={**STYLISTS, "NOBODY": "no  SHOW", "ROOM": "Room 1"},
    nobody=frozenset({"NOBODY", "ROOM"}),
)
AT = Moment(now=NOW, names=NAMES, rules=FacetRules(excluded_services=("scalp treatment",)))
ROW = Row(
    phorest_id="R", client="A", branch="DUBLIN", starts_at=NOW - timedelta(days=1), service_id="CUT", service="Cut",
    staff="S1", state="PAID", activation="ACTIVE", deleted=False, source="PHOREST", booking=None,
    touched=NOW - timedelta(days=30), was_active=False,
)  # fmt: skip


SHORT = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def store(connection: sa.Connection, rows: Sequence[Row]) -> None:
    """The rows as an import leaves them, with what they were before."""
    common = {"raw": {}, "content_hash": b"", "version": 1}
    connection.execute(
        sa.insert(phorest_services),
        [
            {**common, "branch_id": branch, "phorest_id": key, "name": key, "category_name": name, "archived": False}
            for branch in ZONES
            for key, name in CATEGORIES.items()
        ],
    )
    seen = [row for row in rows if row.was_active]
    edited_since = {row.phorest_id for row in seen if row.phorest_id.endswith(("1", "3", "5"))}
    if rows:
        connection.execute(sa.insert(phorest_appointments), [_appointment(row, edited_since) for row in rows])
    missed = [row.phorest_id for row in rows if row.missed_in_ghl]
    if missed:
        event = {"location_id": "L", "status": "noshow", "starts_at": NOW}
        connection.execute(sa.insert(ghl_events), [{**event, "ghl_id": f"E{key}"} for key in missed])
        mapped = {"location_id": "L", "entity_type": "appointment"}
        connection.execute(
            sa.insert(entity_mappings), [{**mapped, "phorest_id": key, "ghl_id": f"E{key}"} for key in missed]
        )
    if seen:
        versions = [
            {
                "entity_type": "appointment",
                "phorest_id": row.phorest_id,
                "raw": {"activationState": state, "updatedAt": f"{at:%Y-%m-%dT%H:%M:%S}.000Z"},
                "content_hash": b"",
                "valid_from": NOW + timedelta(minutes=turn),
                "valid_to": NOW + timedelta(minutes=turn + 1),
                "batch_id": "B",
            }
            for row in seen
            for turn, (state, at) in enumerate((("ACTIVE", NOW - timedelta(days=90)), (row.activation, row.touched)))
            if turn == 0 or row.phorest_id in edited_since
        ]
        connection.execute(sa.insert(phorest_versions), versions)


def _appointment(row: Row, edited_since: set[str]) -> dict[str, object]:
    local = row.starts_at.astimezone(ZONES[row.branch])
    return {
        "raw": {}, "content_hash": b"", "version": 1, "phorest_id": row.phorest_id, "branch_id": row.branch,
        "client_id": row.client, "staff_id": row.staff, "service_id": row.service_id, "service_name": row.service,
        "booking_id": row.booking, "appointment_date": local.date(), "start_time": local.time(), "end_time": local.time(),
        "starts_at": row.starts_at, "ends_at": row.starts_at, "state": row.state, "activation_state": row.activation,
        "confirmed": False, "deleted": row.deleted, "is_finish_appointment": False, "source": row.source,
        "phorest_updated_at": NOW if row.phorest_id in edited_since else row.touched,
    }  # fmt: skip


def of_diary(database: Database, rows: Sequence[Row], at: Moment = AT) -> dict[str, Visits]:
    """What the SQL says of these rows; nothing of them stays."""
    with database.engine.connect() as connection, connection.begin() as transaction:
        store(connection, rows)
        found = dict(visits(connection, at))
        transaction.rollback()
    return found


def numbered(rows: Sequence[Row]) -> list[Row]:
    return [replace(row, phorest_id=f"R{number}") for number, row in enumerate(rows)]


def a_row(pick: Callable[[Sequence[Any]], Any], clients: Sequence[str | None]) -> Row:
    """A row of few days, services and people, so that days, bookings and gaps meet; `pick` takes one of several."""
    start = NOW + timedelta(
        days=pick([-200, -160, -120, -80, -43, -42, -37, -36, -21, -7, -1, 0, 1, 9]),
        hours=pick([-12, -1, 0, 0, 1, 2, 13]),
    )
    return Row(
        phorest_id="",
        client=pick(clients),
        branch=pick(["DUBLIN", "DUBLIN", "AUCKLAND"]),
        starts_at=start,
        service_id=pick(["CUT", "COLOUR", "FACIAL", "UNKNOWN", None]),
        service=pick(["Cut", "Cut", "Facial", "No show", "Storno", "Scalp treatment", None]),
        staff=pick(["S1", "S2", "S3", "S1", "NOBODY", "ROOM", "GONE", None]),
        state=pick(["PAID", "PAID", "PAID", "CHECKED_IN", "BOOKED", "SOMETHING"]),
        activation=pick(["ACTIVE", "ACTIVE", "ACTIVE", "CANCELED", "CANCELED", "RESERVED", "ARCHIVED"]),
        deleted=pick([False, False, False, False, True]),
        source=pick(["PHOREST", "WIDGET"]),
        booking=pick([None, "B1", "B2"]),
        touched=start - timedelta(seconds=pick([-3600, 0, 1, 3600, 86_399, 86_400, 86_401, 900_000])),
        was_active=pick([True, True, False]),
        missed_in_ghl=pick([False, False, False, True]),
    )


@st.composite
def diaries(draw: st.DrawFn) -> list[Row]:
    """A few rows, to be made fewer where something is wrong."""
    number = draw(st.integers(0, 12))
    return numbered(
        [a_row(lambda some: draw(st.sampled_from(some)), ["A", "A", "A", "B", None]) for _ in range(number)]
    )


@pytest.mark.parametrize("seed", range(8))
def test_the_facts_of_a_full_diary_are_what_they_are_counted_by_hand(database: Database, seed: int) -> None:
    rng = Random(seed)
    clients = [f"C{number % 60}" for number in range(80)] + ["MANY"] * 8
    rows = numbered([a_row(rng.choice, clients) for _ in range(600)])
    found = of_diary(database, rows)
    assert found == {client: by_hand(rows, client, NOW) for client in {row.client for row in rows if not row.deleted}}
    assert any(one.late_cancels for one in found.values())


@SHORT
@given(rows=diaries())
def test_the_facts_of_the_diary_are_what_they_are_counted_by_hand(database: Database, rows: list[Row]) -> None:
    found = of_diary(database, rows)
    clients = {row.client for row in rows if row.client and not row.deleted}
    assert found == {client: by_hand(rows, client, NOW) for client in clients}


@SHORT
@given(rows=diaries())
def test_online_bookings_are_what_they_are_counted_by_hand(database: Database, rows: list[Row]) -> None:
    with database.engine.connect() as connection, connection.begin() as transaction:
        store(connection, rows)
        found = online_bookings(connection, AT)
        transaction.rollback()
    assert {client: one.count for client, one in found.items()} == dict(online_by_hand(rows))


def visits_at(*days_ago: int, service_id: str = "CUT") -> list[Row]:
    return [replace(ROW, starts_at=NOW - timedelta(days=ago), service_id=service_id) for ago in days_ago]


def test_below_three_visits_of_a_kind_the_next_one_is_due_after_the_salon_s_own_days(database: Database) -> None:
    rows = numbered([*visits_at(30, 10), *visits_at(60, service_id="FACIAL")])
    assert of_diary(database, rows)["A"].rebook_due == date(2026, 3, 19) + timedelta(days=42)
    later = replace(AT, rules=FacetRules(rebook_days=60))
    assert of_diary(database, rows, later)["A"].rebook_due == date(2026, 3, 19) + timedelta(days=60)


def test_from_three_visits_of_a_kind_the_average_gap_says_it_and_five_days_before_the_client_is_at_risk(
    database: Database,
) -> None:
    found = of_diary(database, numbered(visits_at(75, 45, 15)))["A"]
    assert (found.rebook_due, found.at_risk) == (date(2026, 3, 14) + timedelta(days=30), False)
    found = of_diary(database, numbered(visits_at(85, 55, 25)))["A"]
    assert (found.rebook_due, found.at_risk) == (date(2026, 3, 4) + timedelta(days=30), True)
    found = of_diary(database, numbered(visits_at(84, 54, 24)))["A"]
    assert found.at_risk is False, "six days before"


def test_the_habits_of_long_ago_do_not_say_when_the_next_visit_is_due(database: Database) -> None:
    found = of_diary(database, numbered(visits_at(900, 600, 110, 90, 70, 50, 30, 10)))["A"]
    assert found.rebook_due == date(2026, 3, 19) + timedelta(days=20)


def test_who_did_not_come_as_a_person_says_in_ghl_is_counted_until_phorest_says_that_the_visit_was(
    database: Database,
) -> None:
    row = replace(ROW, state="BOOKED", missed_in_ghl=True)
    assert of_diary(database, [row])["A"].no_shows == 1
    came = of_diary(database, [replace(row, state="PAID")])["A"]
    assert (came.no_shows, came.visits) == (0, 1)
    ahead = of_diary(database, [replace(row, starts_at=NOW + timedelta(hours=1))])["A"]
    assert (ahead.no_shows, ahead.next_at) == (0, NOW + timedelta(hours=1))


def test_what_a_merged_client_did_is_the_other_s(database: Database) -> None:
    rows = numbered([ROW, replace(ROW, client="OLD", starts_at=NOW - timedelta(days=9))])
    assert of_diary(database, rows, replace(AT, winners={"OLD": "A"}))["A"].visits == 2


def test_today_is_the_branch_s_own_day(database: Database) -> None:
    """At 10:30 in London it is nearly midnight in Auckland; an hour later the client there is at risk, and here not."""
    due_in_6 = NOW - timedelta(days=36)
    rows = numbered([replace(ROW, branch=b, client=b, starts_at=due_in_6) for b in ZONES])
    later = replace(AT, now=NOW + timedelta(hours=1))
    assert {key: one.at_risk for key, one in of_diary(database, rows).items()} == {"DUBLIN": False, "AUCKLAND": False}
    assert {key: one.at_risk for key, one in of_diary(database, rows, later).items()} == {
        "DUBLIN": False,
        "AUCKLAND": True,
    }


# --- sales

SALE = {
    "raw": {}, "content_hash": b"", "version": 1, "branch_id": "DUBLIN", "transaction_id": "T1", "client_id": "A",
    "purchased_date": date(2026, 3, 1), "item_type": "PRODUCT", "product_name": "Shine Oil", "quantity": 1,
    "product_category_name": "Care", "total_amount": Decimal("10.05"), "online_booking": False, "voided": False,
    "open_sale": False,
}  # fmt: skip


def of_sales(
    database: Database, *sales: dict[str, object], at: Moment = AT, since: datetime | None = None
) -> tuple[dict[str, set[str]], dict[str, dict[str, Decimal]]]:
    """Tags and spend by client."""
    with database.engine.connect() as connection, connection.begin() as transaction:
        currencies = {"DUBLIN": "EUR", "AUCKLAND": "NZD"}
        connection.execute(
            sa.insert(phorest_branches),
            [
                {"raw": {}, "content_hash": b"", "phorest_id": key, "currency_code": code}
                for key, code in currencies.items()
            ],
        )
        for number, sale in enumerate(sales):
            connection.execute(sa.insert(phorest_purchases), {**SALE, "phorest_id": f"P{number}", **sale})
        tags = {client: set(found) for client, found in product_tags(connection, at, since=since).items()}
        spent = {client: dict(found) for client, found in spend(connection, at).items()}
        transaction.rollback()
    return tags, spent


def test_what_was_bought_makes_a_tag_until_it_is_voided_or_given_back(database: Database) -> None:
    assert of_sales(database, {})[0] == {"A": {"product:shine-oil"}}
    assert of_sales(database, {"voided": True}) == ({}, {})
    reversed_by = {"transaction_id": "T2", "voided_transaction_id": "T1", "quantity": -1}
    assert of_sales(database, {}, reversed_by) == ({}, {})
    elsewhere = {**reversed_by, "branch_id": "AUCKLAND"}
    assert of_sales(database, {}, elsewhere)[0] == {"A": {"product:shine-oil"}}, "numbers are a branch's own"
    assert of_sales(database, {}, {"transaction_id": "T3", "quantity": -1})[0] == {}
    assert of_sales(database, {"open_sale": True}) == ({}, {})


def test_s19_products_and_categories_that_are_excluded_make_no_tag(database: Database) -> None:
    for hidden in ("shine  OIL", "care"):
        at = replace(AT, rules=FacetRules(excluded_products=(hidden,)))
        tags, spent = of_sales(database, {}, {"product_name": "Comb", "product_category_name": None}, at=at)
        assert tags == {"A": {"product:comb"}}
        assert spent["A"] == {"EUR": Decimal("20.10")}


def test_s19_what_was_bought_before_go_live_makes_no_tag(database: Database) -> None:
    live = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    early, late = {"purchase_time": datetime(2026, 1, 1, 11, 59).time()}, {"purchase_time": live.time()}  # noqa: DTZ001
    assert of_sales(database, early, since=live)[0] == {}
    assert of_sales(database, late, since=live)[0] == {"A": {"product:shine-oil"}}
    assert of_sales(database, {"purchase_time": None}, since=live)[0] == {}, "in doubt it was before"


def test_s18_money_is_never_added_up_across_currencies(database: Database) -> None:
    _, spent = of_sales(database, {}, {}, {"branch_id": "AUCKLAND", "total_amount": Decimal(7)})
    assert spent == {"A": {"EUR": Decimal("20.10"), "NZD": Decimal(7)}}


def test_spend_is_of_the_last_twelve_months_and_of_no_balance_that_was_paid(database: Database) -> None:
    days = [date(2025, 3, 29), date(2025, 3, 30), date(2026, 3, 29), date(2026, 3, 30)]
    _, spent = of_sales(database, *({"purchased_date": day} for day in days))
    assert spent == {"A": {"EUR": Decimal("20.10")}}
    assert of_sales(database, {"item_type": "OUTSTANDING_BALANCE_PMT", "product_name": None}) == ({}, {})


@pytest.mark.parametrize(
    ("points", "serial", "reached"),
    [
        (None, None, None), (None, "L1", "member"), (Decimal(0), None, "member"), (Decimal(-3), None, "member"),
        (Decimal("99.9"), None, "member"), (Decimal(100), None, "bronze"), (Decimal(500), None, "silver"),
        (Decimal("999.99"), None, "silver"), (Decimal(1000), None, "gold"), (Decimal("1e9"), None, "gold"),
    ],
)  # fmt: skip
def test_a_tier_is_the_highest_that_the_points_reach(points: Decimal | None, serial: str | None, reached: str) -> None:
    assert tier(points, serial, TIERS) == reached


def test_without_a_tier_for_everybody_few_points_make_none() -> None:
    assert tier(Decimal(10), "L1", {"gold": 1000}) is None


def test_a_facet_is_known_once_every_branch_that_is_read_was_read_whole(database: Database) -> None:
    """A branch that is no longer read, or is gone, is not waited for."""
    months = ["2026-02", "2026-03", "2026-04", "2026-05", "2026-06", "2026-07"]

    def known(connection: sa.Connection, *branch_ids: str) -> set[str]:
        at = replace(AT, rules=FacetRules(branch_ids=branch_ids))
        return {facet.value for facet in load_facts(connection, [], at).known} - {"loyalty"}

    with database.engine.connect() as connection, connection.begin() as transaction:
        assert known(connection) == set()
        rows = [("appointment", f"DUBLIN/{month}") for month in months]
        for entity, scope in rows[:-1]:
            read(connection, entity, scope)
        assert known(connection) == set(), "a month that nobody read may hold the next appointment"
        read(connection, *rows[-1])
        assert known(connection) == {"visits", "bookings"}
        read(connection, "purchase", "DUBLIN")
        assert known(connection) == {"visits", "bookings", "products"}
        read(connection, "appointment", "AUCKLAND/2026-01")
        assert known(connection) == set()
        assert known(connection, "DUBLIN") == {"visits", "bookings", "products"}
        connection.execute(
            sa.insert(phorest_branches),
            {"raw": {}, "content_hash": b"", "phorest_id": "AUCKLAND", "deleted_at": NOW},
        )
        assert known(connection) == {"visits", "bookings", "products"}
        transaction.rollback()


def read(connection: sa.Connection, entity: str, scope: str) -> None:
    connection.execute(sa.insert(import_cursors), {"entity_type": entity, "scope": scope, "full_read_at": NOW})
