"""What a person sees in a browser: the asset graph, and the contacts asset with its numbers.

`make screenshots` runs this with PHOREST_GHL_TEST_SCREENSHOTS set to docs/images, where the README takes its pictures from.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

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
    with Command("demo", "--clients", "200", "--port", "0", cwd=folder) as demo:
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


def test_the_asset_graph_shows_both_sides_and_the_way_between_them(ui: str, page: Page) -> None:
    page.goto(f"{ui}/asset-groups")
    graph = page.locator("svg")
    for group, asset in (("phorest", "clients"), ("ghl", "contacts")):
        graph.get_by_text(group, exact=True).first.click(timeout=60_000)
        expect(graph.get_by_text(asset, exact=True).first).to_be_visible(timeout=60_000)
    expect(graph.get_by_text("1 / 1 Passed")).to_have_count(1, timeout=60_000)  # the contacts' own check
    expect(graph.get_by_text("Never materialized")).to_have_count(0, timeout=60_000)
    page.set_viewport_size({"width": 1500, "height": 1450})
    page.mouse.dblclick(600, 140)  # on the ground: all of it into view
    page.wait_for_timeout(1500)  # it glides there
    picture(page, "asset-graph")


def test_the_contacts_asset_shows_what_the_last_run_did(ui: str, page: Page) -> None:
    page.goto(f"{ui}/assets/ghl/contacts?view=events")
    page.get_by_text("Materialized in run").first.wait_for(timeout=60_000)
    for label in ("outcome_applied", "outcome_unchanged", "share_of_daily_budget", "reasons"):
        expect(page.get_by_text(label).first).to_be_visible(timeout=60_000)
    picture(page, "contacts-asset")


def test_the_checks_of_the_contacts_asset_passed(ui: str, page: Page) -> None:
    page.goto(f"{ui}/assets/ghl/contacts?view=checks")
    expect(page.get_by_text("outcomes_add_up").first).to_be_visible(timeout=60_000)
