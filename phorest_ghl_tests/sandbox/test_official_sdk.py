"""An independent witness: the vendor's own Python SDK, made from the v3 specs, works against the sandbox."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxServer

highlevel = pytest.importorskip("highlevel", reason="the vendor's SDK comes with the bench extra")


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A small salon, and the SDK pointed at it."""
    with SandboxServer(SandboxOptions(clients=5, months=0, switches={"ghl_search_lag_s": 0.0})) as server:
        monkeypatch.setattr(highlevel.HighLevel, "BASE_URL", server.url)
        yield server


def _run(server: SandboxServer, story: Callable[[Any], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        client = highlevel.HighLevel(private_integration_token=server.settings["GHL_PRIVATE_TOKEN"], log_level="error")
        return await story(client)

    return asyncio.run(main())


def test_the_sdk_creates_reads_changes_finds_tags_and_deletes_a_contact(shop: SandboxServer) -> None:
    where = {"locationId": shop.settings["GHL_LOCATION_ID"]}

    async def story(sdk: Any) -> None:
        made = (await sdk.contacts.create_contact(where | {"firstName": "Aoife", "email": "A@Example.com"}))["contact"]
        assert made["email"] == "a@example.com"
        changed = await sdk.contacts.update_contact(made["id"], {"dndSettings": {"sms": {"status": "active"}}})
        assert (changed["succeeded"], changed["contact"]["dndSettings"]) == (True, {"sms": {"status": "active"}})
        assert (await sdk.contacts.upsert_contact(where | {"email": "a@example.com"}))["new"] is False
        assert (await sdk.contacts.add_tags(made["id"], {"tags": ["VIP"]}))["tags"] == ["vip"]
        found = await sdk.contacts.search_contacts_advanced(where | {"pageLimit": 5, "query": "aoife"})
        assert [row["id"] for row in found["contacts"]] == [made["id"]]
        note = (await sdk.contacts.create_note(made["id"], {"body": "n"}))["note"]
        assert [row["id"] for row in (await sdk.contacts.get_all_notes(made["id"]))["notes"]] == [note["id"]]
        with pytest.raises(highlevel.GHLError) as refused:
            await sdk.contacts.create_contact(where | {"email": "a@example.com"})
        assert refused.value.status_code == 400
        assert (await sdk.contacts.delete_contact(made["id"]))["succeeded"] is True

    _run(shop, story)


def test_the_sdk_books_lists_and_removes_an_appointment(shop: SandboxServer) -> None:
    where = {"locationId": shop.settings["GHL_LOCATION_ID"]}
    calendar, user = shop.settings["GHL_DEFAULT_CALENDAR_ID"], shop.settings["GHL_DEFAULT_USER_ID"]

    async def story(sdk: Any) -> None:
        contact = (await sdk.contacts.create_contact(where | {"firstName": "A"}))["contact"]["id"]
        body = where | {"calendarId": calendar, "contactId": contact, "assignedUserId": user, "toNotify": False}
        body |= {"startTime": "2030-06-03T10:00:00+01:00", "ignoreFreeSlotValidation": True}
        event = await sdk.calendars.create_appointment(body)
        assert (await sdk.calendars.get_appointment(event["id"]))["event"]["contactId"] == contact
        span = {"start_time": "1900000000000", "end_time": "1910000000000"}
        listed = await sdk.calendars.get_calendar_events(location_id=where["locationId"], calendar_id=calendar, **span)
        assert [row["id"] for row in listed["events"]] == [event["id"]]
        assert (await sdk.calendars.delete_event(event["id"], {}))["succeeded"] is True
        assert (await sdk.users.get_user(user))["id"] == user
        assert (await sdk.locations.get_location(where["locationId"]))["location"]["timezone"] == "Europe/Dublin"

    _run(shop, story)


def test_the_sdk_verifies_the_sandboxs_signature(shop: SandboxServer) -> None:
    body = '{"type":"ContactCreate"}'
    keys = shop.control("GET", "/webhooks")
    signature = shop.world.webhooks.signatures(body.encode())["X-GHL-Signature"]

    async def story(sdk: Any) -> tuple[bool, bool]:
        check = sdk.webhooks.verify_ed25519_signature
        return check(body, signature, keys["ed25519_public_key"]), check(
            body + " ", signature, keys["ed25519_public_key"]
        )

    assert _run(shop, story) == (True, False)
