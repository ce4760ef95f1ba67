"""Answers of a shape that nobody documents: nothing else is lost, and no value is shown."""

from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter
from structlog.testing import capture_logs

from phorest_ghl.ghl import answers
from phorest_ghl.ghl.models import CustomField
from phorest_ghl.http.answer import Answer
from phorest_ghl.http.errors import ApiError, Category

WELL = {"id": "c1", "email": "a@example.com", "address1": "1 Main St", "dateAdded": "2026-01-01T00:00:00Z"}


def answer(body: object) -> Answer:
    headers = {"content-type": "application/json"}
    return Answer(200, headers, orjson.dumps(body), trace_id="t1", operation="GET /x")


@pytest.mark.parametrize(
    ("member", "odd", "name"),
    [
        ("dateAdded", "yesterday", "date_added"),
        ("email", {"value": "a@example.com"}, "email"),
        ("address1", ["1 Main St"], "street_address"),
        ("tags", [["vip"]], None),
        ("customFields", ["phorest_id", {"value": 1}, {"id": ["f1"]}], None),
        ("dndSettings", ["SMS"], "dnd_settings"),
    ],
)
def test_a_contact_is_read_without_its_odd_members(member: str, odd: object, name: str | None) -> None:
    with capture_logs() as lines:
        found = answers.contact(answer({"contact": {**WELL, member: odd}}))
    assert found.id == "c1"
    if name is not None:
        assert getattr(found, name) is None
        assert [line["members"] for line in lines] == [[member]]
    assert "example.com" not in str(lines)
    left = {"dateAdded", "email", "address1"} - {member}
    assert ("email" in left) == (found.email == "a@example.com")


def test_a_page_sets_a_contact_without_an_id_aside_and_counts_it() -> None:
    with capture_logs() as lines:
        found, listed = answers.contacts(answer({"contacts": [WELL, {"email": "b@example.com"}, None, {"id": "c2"}]}))
    assert ([contact.id for contact in found], listed) == (["c1", "c2"], 4)
    assert [line["contacts"] for line in lines] == [2]
    assert "example.com" not in str(lines)


@pytest.mark.parametrize("body", [{}, [], {"contact": None}, {"contact": {"email": "a@example.com"}}, {"contact": []}])
def test_an_answer_without_its_contact_tells_what_became_of_the_call(body: Any) -> None:
    for wrote, category in ((False, Category.PROTOCOL), (True, Category.UNKNOWN_OUTCOME)):
        with pytest.raises(ApiError) as raised:
            answers.contact(answer(body), wrote=wrote)
        assert raised.value.category is category
        assert raised.value.trace_id == "t1"
        assert "example.com" not in str(raised.value)


@pytest.mark.parametrize(
    "body", [{"location": {}}, {"location": None}, {"location": {"id": "l", "settings": "none"}}, {}]
)
def test_a_location_of_an_odd_shape_is_a_sentence(body: Any) -> None:
    with pytest.raises(ApiError, match="location") as raised:
        answers.location(answer(body))
    assert raised.value.category is Category.PROTOCOL


def test_definitions_of_an_odd_shape_are_refused_without_their_values() -> None:
    fields = TypeAdapter(list[CustomField])
    odd = [{"id": "f1", "name": "Phorest id", "fieldKey": ["secret"], "dataType": "TEXT"}]
    with pytest.raises(ApiError, match=r"customFields is odd at 0\.fieldKey") as raised:
        answers.typed(fields, answer({"customFields": odd}), "customFields")
    assert "secret" not in str(raised.value)
