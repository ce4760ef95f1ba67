"""Whatever happens in a salon and to an import of it: one clean run later we hold what Phorest holds, no more and no less."""

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from phorest_ghl.http.errors import ApiError
from phorest_ghl.phorest.exports import ExportFailed
from phorest_ghl.phorest.importer import ImportResult
from phorest_ghl.phorest.pages import MalformedPage
from phorest_ghl_tests.phorest.salon import ID_FIELDS, Row, Salon, salon, without_nulls

pytestmark = pytest.mark.road  # half a minute of histories

# What people do in Phorest. Points that change are left to full reads: no delta shows them (facts/phorest-api §7.4).
DIARY = ["booked", "moved", "cancelled", "appointment deleted", "checked in", "paid"]
DESK = ["client created", "client edited", "consent changed", "archived", "banned", "client deleted", "merged"]
FAULTS = ["500", "503", "429", "reset", "truncated", "html", "timeout_after_commit", "page_drift"]
LISTS = ["GET /client", "GET /branch/{branchId}/appointment", "GET /branch/{branchId}/product", "*/csvexportjob*", "*"]

HISTORIES = int(os.environ.get("SALON_HISTORIES", "6"))
"""How many histories each of the two tests plays."""


# The salon goes on from one history to the next, so a shorter one would be another one: a failure is shown, not shrunk.
PLAYED = settings(
    max_examples=HISTORIES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Kill(BaseException):
    """The process dies here: nothing of ours gets to see it, as with kill -9."""


@st.composite
def steps(draw: st.DrawFn) -> tuple[str, Any]:
    kind = draw(st.sampled_from(["live", "live", "remove", "archive", "import", "import", "kill", "fault"]))
    match kind:
        case "live":
            return kind, (draw(st.integers(1, 12)), draw(st.integers(0, 1_000)))
        case "remove":
            kinds = ["appointments", "products", "staff", "services", "clients"]
            return kind, (draw(st.sampled_from(kinds)), draw(st.integers(0, 10_000)))
        case "archive":
            return kind, (draw(st.sampled_from(["services", "staff", "products"])), draw(st.integers(0, 10_000)))
        case "kill":
            return kind, draw(st.integers(1, 60))
        case "fault":
            return kind, (draw(st.sampled_from(FAULTS)), draw(st.sampled_from(LISTS)), draw(st.integers(1, 6)))
        case _:
            return kind, draw(st.booleans())


def play(shop: Salon, kind: str, details: Any) -> None:
    if kind == "live":
        count, seed = details
        shop.sandbox.control("POST", "/live", {"count": count, "seed": seed, "kinds": DIARY + DESK, "step_s": 7})
    elif kind == "remove":
        name, number = details
        rows = [row for row in shop.truth(name) if row.get("clientId") != walk_in(shop)]
        if len(rows) > 6:
            shop.delete(name, rows[number % len(rows)][ID_FIELDS[name]])
    elif kind == "archive":
        name, number = details
        rows = shop.truth(name)
        shop.edit(name, rows[number % len(rows)][ID_FIELDS[name]], archived=True)
    elif kind == "fault":
        fault, route, count = details
        if fault != "page_drift" or route == "GET /client":
            shop.fault(fault, route, count=count, ms=50)
    elif kind == "kill":
        killed(shop, details)
    else:
        attempt(lambda: shop.everything(full=details))


def walk_in(shop: Salon) -> str:
    return json.loads(shop.client.walk_in().document)["_embedded"]["clients"][0]["clientId"]


def attempt(run: Callable[[], object]) -> None:
    """A run in bad times: what may end it is known, everything else is a defect."""
    try:
        run()
    except (ApiError, MalformedPage, ExportFailed):
        return


def killed(shop: Salon, after: int) -> None:
    """A run that ends between two requests, with whatever it had not committed lost."""
    left, asked = [after], ("page", "one", "now", "walk_in", "create_export", "read_export")

    def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
        def dying(*args: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] <= 0:
                raise Kill
            return call(*args, **more)

        return dying

    for name in asked:
        setattr(shop.client, name, deadly(getattr(shop.client, name)))
    try:
        attempt(lambda: shop.everything(full=after % 2 == 0))
    except Kill:
        return
    finally:
        for name in asked:
            delattr(shop.client, name)


def shown(name: str, row: Row) -> Row:
    """A row as its list shows it."""
    hidden = {"internetServiceCategories", "notes"} if name == "appointments" else {"truth"}
    return without_nulls({key: value for key, value in row.items() if key not in hidden})  # pyright: ignore[reportReturnType]


def assert_as_in_phorest(shop: Salon) -> None:
    for name, id_field in ID_FIELDS.items():
        rows = [row for row in shop.truth(name) if name != "appointments" or row["appointmentDate"] < "2100"]
        truth = {row[id_field]: shown(name, row) for row in rows}
        held = shop.rows(f"select phorest_id, raw, deleted_at is not null as gone from phorest_{name}")  # noqa: S608
        if name == "services":  # the list hides archived ones: those that we never saw are not ours to hold
            seen = {row["phorest_id"] for row in held}
            truth = {key: row for key, row in truth.items() if key in seen or not row["archived"]}
        flagged = {row["phorest_id"] for row in held if row["raw"].get("deleted")}
        there = {row["phorest_id"]: row["raw"] for row in held if not row["gone"] or row["phorest_id"] in flagged}
        # What was flagged as deleted before it went for good is over already; that it went is no news.
        assert {key: raw for key, raw in there.items() if key in truth or key not in flagged} == truth, name
        over = {row["phorest_id"] for row in held if row["gone"]}
        assert over == flagged | ({row["phorest_id"] for row in held} - truth.keys()), name

    assert_sales_as_in_phorest(shop)


def assert_sales_as_in_phorest(shop: Salon) -> None:
    sold = {item["itemId"]: (sale, item) for sale in shop.truth("purchases") for item in sale["items"]}
    held = shop.held("phorest_purchases")
    assert held.keys() == sold.keys()
    for key, (sale, item) in sold.items():
        found = held[key]["transaction_id"], float(held[key]["total_amount"]), held[key]["client_id"]
        assert found == (sale["transactionNumber"], item["total"], sale["clientId"])


def well(results: list[ImportResult]) -> None:
    assert [result.problem for result in results if not result.complete] == []
    assert sum(result.unsettled for result in results) == 0


@pytest.fixture(scope="module")
def shared(database_server: Any, template_database: str) -> Any:
    """One salon for all examples: each begins with whatever the one before left, which is one more thing to survive."""
    from phorest_ghl_tests.support import databases  # noqa: PLC0415 - as conftest does

    with ExitStack() as stack:
        lent = stack.enter_context(databases.database(database_server, template_database))
        yield stack.enter_context(salon(lent.url, clients=230, branches=2, months_back=1))


@PLAYED
@given(st.lists(steps(), min_size=2, max_size=7))
def test_any_history_followed_by_one_clean_run_leaves_us_with_the_truth(
    shared: Salon, history: list[tuple[str, Any]]
) -> None:
    for kind, details in history:
        play(shared, kind, details)
    shared.calm()
    well(shared.everything(full=True))
    assert_as_in_phorest(shared)


@PLAYED
@given(
    st.lists(
        steps().filter(lambda step: step[0] in {"live", "import", "kill", "fault"}),
        min_size=2,
        max_size=7,
    )
)
def test_without_removals_a_delta_is_enough(shared: Salon, history: list[tuple[str, Any]]) -> None:
    """No full read heals what a delta lost: here everything that happens has to be found by what changed."""
    shared.calm()
    well(shared.everything(full=True))
    for kind, details in history:
        play(shared, kind, False if kind == "import" else details)
    shared.calm()
    well(shared.everything())
    assert_as_in_phorest(shared)
