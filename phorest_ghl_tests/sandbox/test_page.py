"""The page for people at `/`."""

import re

import httpx
import pytest

from phorest_ghl.sandbox.server import SandboxServer


@pytest.fixture
def text(server: SandboxServer) -> str:
    """The page after a contact was made, asked for, and looked for in vain."""
    headers = {"Authorization": f"Bearer {server.settings['GHL_PRIVATE_TOKEN']}", "Version": "2021-07-28"}
    body = {"locationId": server.settings["GHL_LOCATION_ID"], "firstName": "Aoife", "email": "aoife@example.com"}
    httpx.post(f"{server.url}/contacts/", headers=headers, json=body)
    httpx.get(f"{server.url}/contacts/<b>none", headers=headers)
    answer = httpx.get(f"{server.url}/")
    assert answer.headers["content-type"].startswith("text/html")
    return answer.text


def test_the_page_shows_counts_requests_and_what_would_have_been_sent(text: str) -> None:
    assert re.search(r">clients</a><td class=n>60", text)
    assert re.search(r">contacts</a><td class=n>1", text)
    assert re.search(r"<td>GET<td>/contacts/\{contactId\}<td class=bad>400", text)
    assert re.search(r"<td>Email<td>contact created, unfiltered<td>", text)
    assert re.search(r"would have been sent<td class=n>2", text), "by a workflow with a filter and by one without"


def test_the_page_shows_nobodys_name_or_address_and_no_markup_of_strangers(text: str) -> None:
    assert "aoife" not in text.lower()
    assert "<b>none" not in text


def test_every_link_of_the_page_leads_to_rows(server: SandboxServer, text: str) -> None:
    links = re.findall(r"href=(\S+?)>", text)
    assert len(links) >= 10
    for link in links:
        answer = httpx.get(server.url + link)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
