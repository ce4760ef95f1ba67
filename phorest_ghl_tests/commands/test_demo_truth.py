"""The judge of the demo: it can say no."""

from dataclasses import replace
from typing import Any

import pytest

from phorest_ghl.commands.demo_truth import Truth, judge

AGREED = {"Email": {"status": "inactive"}, "SMS": {"status": "inactive"}}


def client(client_id: str, household: str, *, syncable: bool = True, **more: Any) -> dict[str, Any]:
    addresses = {"email": None, "phone": None, **{k: v for k, v in more.items() if k in ("email", "phone")}}
    flags = {"emailMarketingConsent": True, "smsMarketingConsent": True}
    rest = {k: v for k, v in more.items() if k not in addresses}
    return {
        "clientId": client_id,
        **flags,
        "truth": {"syncable": syncable, "household": household, **addresses},
        **rest,
    }


def contact(number: str, client_id: str | None = None, **more: Any) -> dict[str, Any]:
    carried = {"F": client_id} if client_id else {}
    return {"id": number, "customFields": carried, "tags": [], "dndSettings": AGREED, **more}


ONE = client("A", "a", email="a@example.com")
FAMILY = [client("A", "a", phone="+353861"), client("B", "a", phone="+353861"), client("C", "c", phone="+353862")]


def test_every_client_on_one_contact_is_what_it_wants() -> None:
    truth = judge(FAMILY, [contact("1", "A", phone="+353861"), contact("2", "C", phone="+353862")])
    assert truth == Truth(syncable=3, on_one_contact=3, families=1)
    assert truth.holds


@pytest.mark.parametrize(
    ("contacts", "wrong"),
    [
        ([contact("1", "A"), contact("2", "A")], {"twice": 1, "on_one_contact": 0}),
        ([contact("1", None, email="a@example.com")], {"missing": 1, "on_one_contact": 0, "unasked": 1}),
        ([contact("1", "A"), contact("2", "Z")], {"unasked": 1}),
        ([contact("1", "A"), contact("2", "Q")], {"unasked": 1}),
    ],
    ids=["on two", "on none, beside a stray one", "of nobody", "of one who is not to be synced"],
)
def test_it_says_no(contacts: list[dict[str, Any]], wrong: dict[str, int]) -> None:
    truth = judge([ONE, client("Q", "q", phone="+353869", syncable=False)], contacts)
    assert truth == replace(Truth(syncable=1, on_one_contact=1), **wrong)
    assert not truth.holds


def test_an_address_that_can_be_reached_without_everybodys_consent_is_found() -> None:
    refusing = client("B", "a", phone="+353861", smsMarketingConsent=None)
    held = contact("1", "A", phone="+353861")
    assert judge([FAMILY[0], refusing], [held]).reachable == 1
    silent = {**held, "dndSettings": {**AGREED, "SMS": {"status": "active"}}}
    assert judge([FAMILY[0], refusing], [silent]).holds


def theirs(is_client: str | None, **more: Any) -> dict[str, Any]:
    values = {"email": "A@Example.com", "firstName": "Aoife", "tags": ["vip"], "dndSettings": {}, **more}
    return contact("1", **values, agency={"kind": "some", "clients": ["A"], "is": is_client})


def taken(old: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**old, "customFields": {"F": "A"}, "dndSettings": AGREED, **more}


def test_a_contact_of_the_same_person_is_to_be_taken_over_and_another_ones_is_not() -> None:
    same, stranger = theirs("A"), theirs(None)
    adopted = judge([ONE], [taken(same)], [same])
    assert (adopted.adopted, adopted.on_one_contact, adopted.holds) == (1, 1, True)
    left = judge([ONE], [stranger], [stranger])
    assert (left.for_review, left.syncable, left.holds) == (1, 0, True)
    wrong = judge([ONE], [taken(stranger)], [stranger])
    assert (wrong.wrongly_adopted, wrong.holds) == (1, False)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"firstName": "Ada"}, "overwritten"),
        ({"tags": []}, "overwritten"),
        ({"customFields": {"F": "A", "G": "other"}}, "overwritten"),
        ({"dndSettings": {**AGREED, "SMS": {"status": "inactive"}}}, "loosened"),
        ({"dnd": False}, "loosened"),
    ],
)
def test_what_the_agency_had_must_be_as_it_was(change: dict[str, Any], wrong: str) -> None:
    closed = {"dndSettings": {"SMS": {"status": "permanent"}}, "dnd": True}
    old = {**theirs("A", **closed), "customFields": {"G": "theirs"}}
    kept = {"customFields": {"F": "A", "G": "theirs"}, "dndSettings": {**AGREED, "SMS": {"status": "permanent"}}}
    assert judge([ONE], [taken(old, **kept)], [old]).holds
    found = judge([ONE], [taken(old, **{**kept, **change})], [old])
    assert getattr(found, wrong) == 1
    assert not found.holds
