"""What a person sees in a browser: the asset graph, the contacts asset with its numbers, a backfill of appointments.

`make screenshots` runs this with PHOREST_GHL_TEST_SCREENSHOTS set to docs/images, where the README takes its pictures from.
"""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from phorest_ghl.phorest.scopes import Month
from phorest_ghl_tests.e2e.stack import Command, eventually

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium on this machine; CI installs one"
    ),
]

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo's Dagster."""
    folder = tmp_path_factory.mktemp("browser")
    with Command("demo", "--no-day", "--clients", "200", "--port", "0", cwd=folder) as demo:
        yield eventually(lambda: demo.said(r"Dagster's UI: (\S+?)/asset-groups"), seconds=180, what="the UI's address")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        try:
            yield browser.new_page(viewport={"width": 1500, "height": 950})
        finally:
            browser.close()


def picture(page: Page, name: str) -> None:
    """Keep a picture where one was asked for."""
    folder = os.environ.get("PHOREST_GHL_TEST_SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def at_rest(page: Page, what: Locator) -> None:
    """Wait until it has stopped to glide."""
    places: list[object] = [None]
    while places[-1] != what.bounding_box():
        places.append(what.bounding_box())
        assert len(places) < 60, "it never came to rest"
        page.wait_for_timeout(1000)


def test_the_asset_graph_shows_both_sides_and_the_way_between_them(ui: str, page: Page) -> None:
    page.set_viewport_size({"width": 1700, "height": 1450})
    page.goto(f"{ui}/asset-groups")
    graph = page.locator("svg")
    for group, asset in (("phorest", "clients"), ("ghl", "contacts")):
        graph.get_by_text(group, exact=True).first.click(timeout=60_000)
        page.wait_for_timeout(2000)
        page.mouse.dblclick(600, 140)  # on the ground: all of it into view, for what is outside is not drawn
        expect(graph.get_by_text(asset, exact=True).first).to_be_visible(timeout=60_000)
    for asset in ("appointments", "loyalty", "bookings", "product_tags", "check_in_notes"):
        expect(graph.get_by_text(asset, exact=True).first).to_be_visible(timeout=60_000)
    at_rest(page, graph.get_by_text("service_categories", exact=True).first)
    picture(page, "asset-graph")


def test_the_graph_of_the_imports_shows_each_of_them_and_that_its_checks_passed(ui: str, page: Page) -> None:
    page.set_viewport_size({"width": 1400, "height": 1450})  # all of it, as it opens
    page.goto(f"{ui}/locations/phorest_ghl/asset-groups/phorest/lineage")
    graph = page.locator("svg")
    for asset in (
        "branches",
        "client_categories",
        "clients",
        "staff",
        "services",
        "products",
        "appointments",
        "purchases",
    ):
        expect(graph.get_by_text(asset, exact=True).first).to_be_visible(timeout=60_000)
    expect(graph.get_by_text("3 / 3 Passed")).to_have_count(3, timeout=60_000)  # those that name other records
    expect(graph.get_by_text("2 / 2 Passed")).to_have_count(6, timeout=60_000)
    at_rest(page, graph.get_by_text("products", exact=True).first)
    picture(page, "import-graph")


def test_the_contacts_asset_shows_what_the_last_run_did(ui: str, page: Page) -> None:
    page.set_viewport_size({"width": 1500, "height": 1450})
    page.goto(f"{ui}/assets/ghl/contacts?view=events")
    page.get_by_text("Materialized in run").first.wait_for(timeout=60_000)
    for label in ("outcome_applied", "outcome_unchanged", "share_of_daily_budget", "reasons"):
        expect(page.get_by_text(label).first).to_be_visible(timeout=60_000)
    picture(page, "contacts-asset")


def test_the_checks_of_the_contacts_asset_passed(ui: str, page: Page) -> None:
    page.goto(f"{ui}/assets/ghl/contacts?view=checks")
    expect(page.get_by_text("outcomes_add_up").first).to_be_visible(timeout=60_000)


def backfilled(ui: str, page: Page, asset: str, first: Month, last: Month, count: int, name: str) -> None:
    """Pick months of an asset, launch their backfill, and see it succeed."""
    page.set_viewport_size({"width": 1500, "height": 950})
    page.goto(f"{ui}/assets/{asset}")
    page.get_by_role("button", name="Materialize").first.click(timeout=60_000)
    dialog = page.get_by_role("dialog")
    months = dialog.get_by_placeholder("ex: 2015-01")
    months.fill(f"[{first}...{last}]")
    months.press("Enter")
    expect(dialog.get_by_text(f"{count} partitions", exact=True)).to_be_visible(timeout=60_000)
    expect(dialog.get_by_text("Backfills all partitions in a single run.")).to_be_visible()
    picture(page, f"{name}-months")
    dialog.get_by_role("button", name="Launch backfill").click()
    page.get_by_role("link", name="View", exact=True).click(timeout=60_000)
    expect(page.get_by_text("100% completed")).to_be_visible(timeout=180_000)
    expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=60_000)
    page.set_viewport_size({"width": 1500, "height": 420})
    page.get_by_text("Created backfill").wait_for(state="hidden", timeout=60_000)
    picture(page, name)


def test_months_of_appointments_are_picked_and_backfilled_in_one_run(ui: str, page: Page) -> None:
    this = Month.of(datetime.now(UTC).date())
    backfilled(ui, page, "phorest/appointments", this, this.next().next(), 3, "backfill")


def test_the_first_load_is_started_by_picking_its_months_and_runs_to_its_end(ui: str, page: Page) -> None:
    this = Month.of(datetime.now(UTC).date())
    backfilled(ui, page, "ghl/first_load", this, this.next(), 2, "first-load")
