"""A bulk call's answer says 201 whatever happened: only what it proves for a contact counts (facts/ghl-api §8.2)."""

from typing import Any

import pytest

from phorest_ghl.ghl.bulk_tags import NOT_ANSWERED, NOT_SHOWN, bulk_body, read_bulk


def row(contact_id: str, **more: Any) -> dict[str, Any]:
    """A contact's part of an answer."""
    done = {"message": "Tags updated", "type": "success", "oldTags": [], "tagsAdded": ["vip"], "tagsRemoved": []}
    return {"contactId": contact_id, **done, **more}


def read(*rows: Any, remove: bool = False) -> dict[str, str | None]:
    return dict(read_bulk({"responses": list(rows)}, ["A", "B"], ["VIP "], remove=remove).answers)


def test_a_contact_is_confirmed_only_where_the_answer_names_it_as_done() -> None:
    refused = {"contactId": "B", "type": "error", "message": "contact is deleted"}
    assert read(row("A"), refused) == {"A": None, "B": "contact is deleted"}
    assert read(row("B"), refused)["B"] == "contact is deleted"
    assert read(row("A")) == {"A": None, "B": NOT_ANSWERED}
    assert read(row("A", type=None, message=None))["A"] == "GHL gave no reason"


@pytest.mark.parametrize("answer", [{}, {"responses": None}, {"responses": ["A"]}, [], None, {"succeded": True}])
def test_an_answer_without_parts_confirms_nobody(answer: Any) -> None:
    assert read_bulk(answer, ["A"], ["vip"], remove=False).confirmed == frozenset()


def test_a_success_that_shows_the_tag_missing_is_none() -> None:
    assert read(row("A", tagsAdded=[]), row("B", oldTags=["Vip"], tagsAdded=[])) == {"A": NOT_SHOWN, "B": None}
    gone = row("B", oldTags=["vip"], tagsAdded=[], tagsRemoved=["vip"])
    assert read(row("A", oldTags=["vip"], tagsAdded=[]), gone, remove=True) == {"A": NOT_SHOWN, "B": None}
    bare = {"contactId": "A", "type": "success"}
    assert read(bare)["A"] is None  # nothing but the vendor's word, and it says so


def test_a_vendors_message_shows_nothing_personal() -> None:
    said = read({"contactId": "A", "type": "error", "message": "aoife@example.ie has no +353871234567"})["A"]
    assert "aoife" not in str(said)
    assert "871234567" not in str(said)


def test_a_call_that_is_too_large_or_without_a_tag_is_a_defect_of_ours() -> None:
    assert bulk_body(["A"], [" VIP", "vip "], "L") == {"contacts": ["A"], "tags": ["vip"], "locationId": "L"}
    with pytest.raises(ValueError, match="501"):
        bulk_body(["A"] * 501, ["vip"], "L")
    with pytest.raises(ValueError, match="tag"):
        bulk_body(["A"], [" "], "L")
