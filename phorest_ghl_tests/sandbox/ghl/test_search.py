"""Contact search: lag, paging, cursors, filters, sorting (facts/ghl-api §7)."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phorest_ghl_tests.sandbox.driver import Driver


def _status(drive: Driver, **body: object) -> int:
    return drive.ghl("POST", "/contacts/search", {"locationId": drive.location, "pageLimit": 10, **body}).status


def test_a_write_shows_in_search_only_after_the_lag() -> None:
    drive = Driver(switches={"ghl_search_lag_s": 3.0})
    key = drive.contact(firstName="Before")["id"]
    assert drive.search() == []
    drive.world.clock.advance(timedelta(seconds=3.1))
    assert [row["firstName"] for row in drive.search()] == ["Before"]
    drive.ghl("PUT", f"/contacts/{key}", {"firstName": "After"})
    assert [row["firstName"] for row in drive.search()] == ["Before"], "an old state is served meanwhile"
    drive.ghl("DELETE", f"/contacts/{key}")
    drive.world.clock.advance(timedelta(seconds=3.1))
    assert drive.search() == []


def test_a_shorter_lag_counts_for_what_is_waiting_and_a_long_queue_is_worked_off() -> None:
    drive = Driver(clients=1, switches={"ghl_search_lag_s": 1_000.0})
    drive.contact(firstName="Early")
    drive.control("POST", "/switches", {"ghl_search_lag_s": 0.0})
    assert len(drive.search()) == 1
    for turn in range(1_200):
        drive.contact(firstName=f"C{turn}")
    assert len(drive.world.contacts._pending) <= 1_000


def test_page_limit_is_needed_and_at_most_500(drive: Driver) -> None:
    assert drive.ghl("POST", "/contacts/search", {"locationId": drive.location}).status == 422
    assert _status(drive, pageLimit=501) == 422
    assert _status(drive, pageLimit=500) == 200


def test_pages_by_number_end_at_10_000_records_and_do_not_mix_with_cursors(drive: Driver) -> None:
    assert _status(drive, pageLimit=500, page=20) == 200
    assert _status(drive, pageLimit=500, page=21) == 400
    assert _status(drive, page=1, searchAfter=[1, "x"]) == 400


@pytest.mark.parametrize(
    "body",
    [
        {"filters": [{"field": "nonsense", "operator": "eq", "value": 1}]},
        {"filters": [{"field": "email", "operator": "contains", "value": "a"}]},
        {"filters": [{"field": "phone", "operator": "eq", "value": "x" * 76}]},
        {"filters": [{"field": "dateAdded", "operator": "eq", "value": "x"}]},
        {"filters": [{"field": "customFields.nope", "operator": "eq", "value": "x"}]},
        {"filters": [{"group": "XOR", "filters": []}]},
        {"sort": [{"field": "city", "direction": "asc"}]},
        {"query": "x" * 76},
        {"searchAfter": ["wrong", "types"]},
    ],
)
def test_what_search_does_not_know_is_400(drive: Driver, body: dict[str, Any]) -> None:
    drive.contact(firstName="A")
    assert _status(drive, **body) == 400


def test_the_cursor_of_the_last_contact_leads_through_all_contacts_once(drive: Driver) -> None:
    for turn in range(23):
        drive.contact(firstName=f"N{turn % 4}")
    for sort in (
        None,
        [{"field": "firstNameLowerCase", "direction": "asc"}],
        [{"field": "dateUpdated", "direction": "asc"}],
    ):
        seen: list[str] = []
        body: dict[str, Any] = {"pageLimit": 5} | ({} if sort is None else {"sort": sort})
        while page := drive.search(**body):
            seen += [row["id"] for row in page]
            body["searchAfter"] = page[-1]["searchAfter"]
        assert len(seen) == len(set(seen)) == 23


FILTERS = {
    "eq": ({"field": "city", "operator": "eq", "value": "Cork"}, {"cork"}),
    "not_eq": ({"field": "city", "operator": "not_eq", "value": "Cork"}, {"dublin", "none"}),
    "contains": ({"field": "firstNameLowerCase", "operator": "contains", "value": "ub"}, {"dublin"}),
    "exists": ({"field": "city", "operator": "exists"}, {"cork", "dublin"}),
    "not_exists": ({"field": "city", "operator": "not_exists"}, {"none"}),
    "tag": ({"field": "tags", "operator": "eq", "value": "vip"}, {"dublin"}),
    "blocked": ({"field": "dndSettings.SMS.status", "operator": "eq", "value": "active"}, {"cork"}),
    "range": (
        {"field": "dateAdded", "operator": "range", "value": {"gte": "2000-01-01", "lt": "2199-01-01"}},
        {"cork", "dublin", "none"},
    ),
    "or": (
        {
            "group": "OR",
            "filters": [
                {"field": "city", "operator": "eq", "value": "Cork"},
                {"field": "city", "operator": "not_exists"},
            ],
        },
        {"cork", "none"},
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_finds_what_it_says(drive: Driver, name: str) -> None:
    drive.contact(firstName="cork", city="Cork", dndSettings={"SMS": {"status": "active"}})
    drive.contact(firstName="dublin", city="Dublin", tags=["vip"])
    drive.contact(firstName="none")
    wish, expected = FILTERS[name]
    assert {row["firstName"] for row in drive.search(filters=[wish])} == expected


def test_a_custom_field_can_be_searched(drive: Driver) -> None:
    body = {"name": "Phorest ID", "dataType": "TEXT"}
    field = drive.ghl("POST", f"/locations/{drive.location}/customFields", body).json["customField"]["id"]
    key = drive.contact(customFields=[{"id": field, "value": "-abc"}])["id"]
    drive.contact(customFields=[{"id": field, "value": "other"}])
    found = drive.search(filters=[{"field": f"customFields.{field}", "operator": "eq", "value": "-abc"}])
    assert [row["id"] for row in found] == [key]


def test_search_289_a_phone_of_a_contact_with_a_second_email_is_not_found(drive: Driver) -> None:
    key = drive.contact(phone="+353875551234")["id"]
    wish = [{"field": "phone", "operator": "eq", "value": "+353875551234"}]
    assert len(drive.search(filters=wish)) == 1
    drive.control("PATCH", f"/ghl/contacts/{key}", {"additionalEmails": ["two@example.com"]})
    assert drive.search(filters=wish) == []
    drive.switch(ghl_search_misses_additional=False)
    assert len(drive.search(filters=wish)) == 1


def test_search_43_can_lack_dnd_settings_by_switch(drive: Driver) -> None:
    drive.contact(dndSettings={"SMS": {"status": "active"}})
    assert drive.search()[0]["dndSettings"] == {"SMS": {"status": "active"}}
    drive.switch(ghl_search_shows_dnd=False)
    assert "dndSettings" not in drive.search()[0]


@given(st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=12), st.booleans(), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_paging_by_cursor_and_by_number_agree(names: list[str], descending: bool, size: int) -> None:  # noqa: FBT001
    drive = Driver(clients=1)
    for name in names:
        drive.contact(firstName=name or None)
    sort = [{"field": "firstNameLowerCase", "direction": "desc" if descending else "asc"}]
    by_number = [row["id"] for page in range(1, 14) for row in drive.search(pageLimit=size, page=page, sort=sort)]
    by_cursor: list[str] = []
    body: dict[str, Any] = {"pageLimit": size, "sort": sort}
    while page := drive.search(**body):
        by_cursor += [row["id"] for row in page]
        body["searchAfter"] = page[-1]["searchAfter"]
    assert by_number == by_cursor
    assert len(by_cursor) == len(names)
