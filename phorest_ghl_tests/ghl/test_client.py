"""Reads and fields of the client against the sandbox: the opt-out poll (safety S11), workflows, addresses and birthdays."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from phorest_ghl.ghl.client import GhlClient, private_token
from phorest_ghl.ghl.models import ContactWrite, DndSetting, utc_now
from phorest_ghl.ghl.versions import ApiVersion
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.http.session import ApiSession
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl_tests.http.wire import NotingBudget
from phorest_ghl_tests.sync.rig import options

LOCAL = {"ghl_search_lag_s": 0}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(options(clients=1, switches=LOCAL)) as server:
        yield server


@pytest.fixture(params=["2021", "v3"])
def ghl(sandbox: SandboxServer, request: pytest.FixtureRequest) -> Iterator[GhlClient]:
    settings = sandbox.settings
    with ApiSession(
        api="ghl",
        base_url=settings["GHL_API_BASE_URL"],
        auth=private_token(settings["GHL_PRIVATE_TOKEN"]),
        budget=NotingBudget(),
    ) as session:
        yield GhlClient(session, settings["GHL_LOCATION_ID"], ApiVersion(request.param))


def test_the_poll_finds_every_blocked_channel_that_search_knows_and_asks_once_when_nothing_changed(
    ghl: GhlClient,
) -> None:

    def made(channel: str, status: str) -> str:
        settings = {channel: DndSetting(status=status)}
        return ghl.create_contact(ContactWrite(identity={"first_name": channel}, dnd_settings=settings)).contact.id

    blocked = {made(*pair) for pair in (("SMS", "active"), ("Email", "permanent"), ("Call", "active"))}
    whole = ContactWrite(identity={"first_name": "Closed"}, dnd=True, dnd_settings={})
    blocked |= {ghl.create_contact(whole).contact.id}
    open_one = made("SMS", "inactive")
    found = {contact.id for page in ghl.opted_out(None) for contact in page}
    assert blocked <= found
    assert open_one not in found
    recent = {contact.id for page in ghl.opted_out(utc_now() - timedelta(minutes=1)) for contact in page}
    assert blocked <= recent
    assert len(recent) == len(found)
    before = ghl.requests
    assert [page for page in ghl.opted_out(utc_now() + timedelta(minutes=1)) if page] == []
    assert ghl.requests == before + 1


def test_the_further_standard_fields_read_back_as_they_were_written_from_every_call(
    ghl: GhlClient,
) -> None:
    sent = {
        "street_address": "1 Main St", "city": "Cork", "state": "Cork", "postal_code": "T12", "country": "IE",
        "date_of_birth": "1990-04-02",
    }  # fmt: skip
    made = ghl.create_contact(ContactWrite(identity={"first_name": "Aoife", **sent})).contact
    searched = [c for page in ghl.search([{"field": "id", "operator": "eq", "value": made.id}]) for c in page]
    for seen in (made, ghl.contact(made.id), *searched):
        assert {name: getattr(seen, name) for name in sent} == sent
    assert len(searched) == 1
    cleared = ghl.update_contact(made.id, ContactWrite(identity=dict.fromkeys(sent, "")))
    assert {getattr(cleared.contact, name) for name in sent} == {None}


def test_the_poll_says_so_where_the_vendor_does_not_know_its_filters(sandbox: SandboxServer, ghl: GhlClient) -> None:
    sandbox.control("POST", "/switches", {"ghl_dnd_filters": False})
    try:
        with pytest.raises(ApiError) as caught:
            list(ghl.opted_out(None))
    finally:
        sandbox.control("POST", "/switches", {"ghl_dnd_filters": True})
    assert caught.value.category is Category.INVALID


def test_workflows_are_listed_and_a_paused_one_is_not_published(sandbox: SandboxServer, ghl: GhlClient) -> None:
    assert all(workflow.published and workflow.name for workflow in ghl.workflows())
    sandbox.control("POST", "/workflows", {"unfiltered": "paused"})
    try:
        found = ghl.workflows()
    finally:
        sandbox.control("POST", "/workflows", {"unfiltered": "published"})
    paused = {workflow.name for workflow in found if not workflow.published}
    assert len(paused) == len(found) / 2 > 0
