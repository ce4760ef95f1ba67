"""Tags: add, remove, bulk, definitions (facts/ghl-api §8)."""

from phorest_ghl_tests.sandbox.driver import V3, Driver


def test_adding_answers_201_and_removing_200_with_the_tags_as_they_are_now(drive: Driver) -> None:
    key = drive.contact(tags=["one"])["id"]
    added = drive.ghl("POST", f"/contacts/{key}/tags", {"tags": ["Two", "one"]})
    assert (added.status, added.json["tags"]) == (201, ["one", "two"])
    removed = drive.ghl("DELETE", f"/contacts/{key}/tags", {"tags": ["ONE", "never"]})
    assert (removed.status, removed.json["tags"]) == (200, ["two"])


def test_re_adding_a_tag_fires_nothing(drive: Driver) -> None:
    key = drive.contact(tags=["one"], email="a@example.com")["id"]
    before = len(drive.runs())
    drive.ghl("POST", f"/contacts/{key}/tags", {"tags": ["One"]})
    assert len(drive.runs()) == before


def _bulk(drive: Driver, kind: str, keys: list[str], version: str = "2021-07-28", **more: object):
    body = {"contacts": keys, "tags": ["New"], "locationId": drive.location, **more}
    return drive.ghl("POST", f"/contacts/bulk/tags/update/{kind}", body, version=version)


def test_bulk_answers_201_even_when_some_contacts_fail_and_says_why_for_each(drive: Driver) -> None:
    good, gone = drive.contact(tags=["old"])["id"], drive.contact()["id"]
    drive.ghl("DELETE", f"/contacts/{gone}")
    answer = _bulk(drive, "add", [good, gone, "abcdef", "A" * 20])
    assert answer.status == 201
    assert (answer.json["succeded"], answer.json["errorCount"]) == (False, 3)
    first, *rest = answer.json["responses"]
    assert first == {
        "contactId": good, "message": "Tags updated", "type": "success", "oldTags": ["old"], "tagsAdded": ["new"],
        "tagsRemoved": [],
    }  # fmt: skip
    assert [row["message"] for row in rest] == [
        "contact is deleted", "contact id is not a valid firebase id", "contact does not belong to location",
    ]  # fmt: skip


def test_bulk_removes_named_tags_or_all(drive: Driver) -> None:
    key = drive.contact(tags=["new", "old", "kept"])["id"]
    assert _bulk(drive, "remove", [key]).json["responses"][0]["tagsRemoved"] == ["new"]
    assert _bulk(drive, "remove", [key], removeAllTags=True).json["responses"][0]["tagsRemoved"] == ["old", "kept"]
    assert _bulk(drive, "add", [key], removeAllTags=True).status == 422
    assert _bulk(drive, "replace", [key]).status == 422
    assert "succeeded" in _bulk(drive, "add", [key], version=V3).json


def test_applied_tags_become_definitions_and_definitions_keep_their_case(drive: Driver) -> None:
    path = f"/locations/{drive.location}/tags"
    made = drive.ghl("POST", path, {"name": "Loyalty:Gold"})
    assert (made.status, made.json["tag"]["name"]) == (200, "Loyalty:Gold")
    drive.contact(tags=["Loyalty:Gold"])
    assert {row["name"] for row in drive.ghl("GET", path).json["tags"]} == {"Loyalty:Gold", "loyalty:gold"}
    one = f"{path}/{made.json['tag']['id']}"
    assert drive.ghl("PUT", one, {"name": "X"}).json["tag"]["name"] == "X"
    assert drive.ghl("DELETE", one).status == 200
    assert drive.ghl("GET", one).status == 400


def test_bulk_business_takes_50_and_null_removes(drive: Driver) -> None:
    key = drive.contact()["id"]
    body = {"locationId": drive.location, "ids": [key], "businessId": "B"}
    assert drive.ghl("POST", "/contacts/bulk/business", body).json["ids"] == [key]
    assert drive.ghl("GET", f"/contacts/{key}").json["contact"]["businessId"] == "B"
    found = drive.ghl("GET", "/contacts/business/B", query={"locationId": drive.location, "limit": "5"}).json
    assert ([row["id"] for row in found["contacts"]], found["count"]) == ([key], 1)
    assert drive.ghl("POST", "/contacts/bulk/business", {**body, "businessId": None}).status == 200
    assert drive.ghl("POST", "/contacts/bulk/business", {**body, "ids": [key] * 51}).status == 422
