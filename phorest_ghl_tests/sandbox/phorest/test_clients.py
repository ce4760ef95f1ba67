"""The client resource (facts/phorest-api §7.2, §13 items 3-6 and 9-11)."""

from datetime import timedelta
from typing import Any

import pytest

from phorest_ghl.sandbox.clock import phorest_instant
from phorest_ghl_tests.sandbox.driver import Driver


def _all(drive: Driver, **query: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = 0
    while True:
        answer = drive.phorest("GET", "/client", query={"size": 17, "page": page, **query})
        assert answer.status == 200, answer.json
        found += answer.json.get("_embedded", {}).get("clients", [])
        page += 1
        if page >= answer.json["page"]["totalPages"]:
            assert len(found) == answer.json["page"]["totalElements"]
            return found


def test_all_pages_together_are_all_clients_once(drive: Driver) -> None:
    rows = _all(drive, includeArchived="true", includeDeleted="true")
    assert len(rows) == len({row["clientId"] for row in rows}) == 61


def test_archived_and_deleted_clients_are_left_out_by_default(drive: Driver) -> None:
    assert not any(row["archived"] or row["deleted"] for row in _all(drive))
    assert any(row["archived"] and not row["deleted"] for row in _all(drive, includeArchived="true"))
    assert any(row["deleted"] for row in _all(drive, includeDeleted="true"))


def test_an_empty_page_has_no_embedded_object(drive: Driver) -> None:
    for query in ({"page": 99}, {"email": "nobody@example.com"}):
        answer = drive.phorest("GET", "/client", query=query)
        assert answer.status == 200
        assert "_embedded" not in answer.json
    assert answer.json["page"] == {"size": 20, "totalElements": 0, "totalPages": 0, "number": 0}


def test_the_page_size_is_20_by_default_and_200_at_most() -> None:
    drive = Driver(clients=300)
    assert len(drive.phorest("GET", "/client").json["_embedded"]["clients"]) == 20
    assert drive.phorest("GET", "/client", query={"size": 900}).json["page"]["size"] == 200
    drive.switch(phorest_over_max="reject400")
    assert drive.phorest("GET", "/client", query={"size": 201}).status == 400


@pytest.mark.parametrize(
    "query",
    [
        {"page": "-1"}, {"page": "x"}, {"size": "0"}, {"updatedAfter": "yesterday"}, {"updatedAfter": "2025-01-31"},
        {"updatedAfter": "2025-01-31T00:00:00+00:00"}, {"includeArchived": "maybe"},
    ],
)  # fmt: skip
def test_malformed_known_parameters_are_400_in_the_error_shape(drive: Driver, query: dict[str, str]) -> None:
    answer = drive.phorest("GET", "/client", query=query)
    assert answer.status == 400
    assert set(answer.json) == {"statusCode", "id", "detail", "errorCode"}


@pytest.mark.parametrize("name", ["updatedSince", "updatedAt", "mobile", "updated_after", "first_name"])
def test_unknown_parameters_are_ignored_and_return_everything(drive: Driver, name: str) -> None:
    assert len(_all(drive, **{name: "2199-01-01T00:00:00.000Z"})) == len(_all(drive))


def test_updated_after_filters_and_a_far_future_bound_returns_nothing(drive: Driver) -> None:
    rows = sorted(_all(drive), key=lambda row: row["updatedAt"])
    bound = rows[30]["updatedAt"]
    assert {row["clientId"] for row in _all(drive, updatedAfter=bound)} == {
        r["clientId"] for r in rows if r["updatedAt"] > bound
    }
    assert _all(drive, updatedAfter="2199-01-01T00:00:00.000Z") == []
    between = _all(drive, updatedAfter=rows[10]["updatedAt"], updatedBefore=bound)
    assert {row["updatedAt"] for row in between} == {row["updatedAt"] for row in rows[11:30]}
    drive.switch(phorest_updated_after="inclusive")
    assert bound in {row["updatedAt"] for row in _all(drive, updatedAfter=bound)}


def test_names_are_matched_exactly_or_by_prefix(drive: Driver) -> None:
    name = _all(drive)[0]["firstName"]
    assert {row["firstName"] for row in _all(drive, firstName=name)} == {name}
    assert all(row["firstName"].lower().startswith(name[:2].lower()) for row in _all(drive, firstName=f"~{name[:2]}%"))
    assert _all(drive, firstName=f"{name[:1]}%") == []


def test_a_phone_is_found_by_its_stored_digits_with_or_without_plus(drive: Driver) -> None:
    row = next(row for row in _all(drive) if (row.get("mobile") or "").startswith("+353"))
    for typed in (row["mobile"], row["mobile"].lstrip("+")):
        assert row["clientId"] in {found["clientId"] for found in _all(drive, phone=typed)}


def test_one_client_is_read_even_when_archived_or_deleted(drive: Driver) -> None:
    for row in _all(drive, includeArchived="true", includeDeleted="true"):
        assert drive.phorest("GET", f"/client/{row['clientId']}").json == row
    assert drive.phorest("GET", "/client/unknown").status == 404


def test_a_batch_drops_unknown_ids_and_takes_1_to_100(drive: Driver) -> None:
    keys = list(drive.world.phorest["clients"].rows)[:5]
    answer = drive.phorest("GET", "/client-batch", query=[("client_id", key) for key in (*keys, "unknown")])
    assert [row["clientId"] for row in answer.json["_embedded"]["clients"]] == keys
    assert "_embedded" not in drive.phorest("GET", "/client-batch", query={"client_id": "unknown"}).json
    assert drive.phorest("GET", "/client-batch").status == 400
    assert (
        drive.phorest("GET", "/client-batch", query=[("client_id", str(number)) for number in range(101)]).status == 400
    )


def test_the_walk_in_record_is_an_ordinary_client(drive: Driver) -> None:
    row = drive.phorest("GET", "/client/walk-in").json
    assert row["clientId"] == drive.world.walk_in
    assert row["clientId"] in {found["clientId"] for found in _all(drive)}
    drive.switch(phorest_walk_in_listed=False)
    assert row["clientId"] not in {found["clientId"] for found in _all(drive)}


def test_a_created_client_has_version_0_and_both_dates_now(drive: Driver) -> None:
    answer = drive.phorest("POST", "/client", {"firstName": "Zoë", "lastName": "New", "mobile": "0855550000"})
    assert answer.status == 201
    assert answer.json["version"] == 0
    assert answer.json["createdAt"] == answer.json["updatedAt"]
    assert answer.json["updatedAt"].endswith(".000Z")
    assert drive.phorest("GET", f"/client/{answer.json['clientId']}").json == answer.json


@pytest.mark.parametrize("body", [{"firstName": "A"}, {"firstName": " ", "lastName": "B"}, {"lastName": "B"}, [], "x"])
def test_a_client_without_both_names_is_refused(drive: Driver, body: object) -> None:
    assert drive.phorest("POST", "/client", body).status == 400


def test_duplicates_are_allowed_or_409_without_an_id_by_switch(drive: Driver) -> None:
    body = {"firstName": "A", "lastName": "B", "email": "twin@example.com"}
    assert [drive.phorest("POST", "/client", body).status for _ in range(2)] == [201, 201]
    drive.switch(phorest_duplicate_policy="reject409")
    answer = drive.phorest("POST", "/client", body)
    assert answer.status == 409
    assert "clientId" not in answer.json


def test_an_update_needs_the_current_version_and_raises_it(drive: Driver) -> None:
    row = _all(drive)[0]
    body = {**row, "notes": "changed"}
    drive.world.clock.advance(timedelta(hours=1))
    first = drive.phorest("PUT", f"/client/{row['clientId']}", body)
    assert (first.status, first.json["version"], first.json["notes"]) == (200, row["version"] + 1, "changed")
    assert first.json["updatedAt"] == phorest_instant(drive.world.clock.now())
    stale = drive.phorest("PUT", f"/client/{row['clientId']}", body)
    assert stale.status == 409
    assert set(stale.json) == {"statusCode", "id", "detail", "errorCode"}
    again = drive.phorest("PUT", f"/client/{row['clientId']}", {**body, "version": first.json["version"]})
    assert again.status == 200


def test_path_and_body_must_name_the_same_client(drive: Driver) -> None:
    one, two = _all(drive)[:2]
    assert drive.phorest("PUT", f"/client/{one['clientId']}", two).status == 400


def test_a_put_body_is_the_whole_record_or_a_part_by_switch(drive: Driver) -> None:
    row = next(row for row in _all(drive) if row.get("mobile"))
    body = {name: row[name] for name in ("clientId", "version", "firstName", "lastName")}
    assert drive.phorest("PUT", f"/client/{row['clientId']}", body).json["mobile"] is None
    other = next(row for row in _all(drive) if row.get("mobile"))
    drive.switch(phorest_put="partial")
    body = {name: other[name] for name in ("clientId", "version", "firstName", "lastName")}
    assert drive.phorest("PUT", f"/client/{other['clientId']}", body).json["mobile"] == other["mobile"]


def test_loyalty_and_deletion_cannot_be_written(drive: Driver) -> None:
    row = _all(drive)[0]
    changed = {**row, "deleted": True, "loyaltyCard": {"serial": "", "points": 99_999.0}, "mergedToClientId": "x"}
    answer = drive.phorest("PUT", f"/client/{row['clientId']}", changed).json
    assert (answer["deleted"], answer["loyaltyCard"]) == (False, row["loyaltyCard"])
    assert answer.get("mergedToClientId") == row.get("mergedToClientId")
