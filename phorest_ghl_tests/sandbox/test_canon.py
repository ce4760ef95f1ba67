"""The judge's own idea of addresses and households."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phorest_ghl.sandbox.canon import Truths, canonical_email, canonical_phone


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ("+353 85 551 2345", "+353855512345"),
        ("0855512345", "+353855512345"),
        ("353855512345", "+353855512345"),
        ("00353855512345", "+353855512345"),
        ("+353 (0)85 5512345", "+353855512345"),
        ("0000000000", None),
        ("085 551 2345 / 01 555 0123", None),
        ("", None),
        (None, None),
    ],
)
def test_a_typed_number_means_what_a_person_would_read(typed: str | None, means: str | None) -> None:
    assert canonical_phone(typed, "IE") == means


@pytest.mark.parametrize("bad", ["", "none", "a@b", "a b@example.com", "a@@example.com", "a..b@example.com", None])
def test_what_is_no_address_is_none(bad: str | None) -> None:
    assert canonical_email(bad) is None


def test_an_address_is_trimmed_and_lower_case() -> None:
    assert canonical_email(" Aoife@Example.COM ") == "aoife@example.com"


def _client(key: str, **values: Any) -> dict[str, Any]:
    return {
        "clientId": key,
        "firstName": "A",
        "lastName": "B",
        "archived": False,
        "deleted": False,
        "banned": False,
        **values,
    }


def _truths(*rows: dict[str, Any], staff: tuple[dict[str, Any], ...] = ()) -> Truths:
    return Truths({row["clientId"]: row for row in rows}, staff, {"branch": "IE"}, "walk-in")


def test_a_value_on_more_than_five_clients_is_no_contact_point() -> None:
    rows = [_client(f"c{turn}", mobile="0855512345") for turn in range(6)]
    assert _truths(*rows[:5]).of("c0")["syncable"]
    assert _truths(*rows).of("c0") == {
        "syncable": False, "why_not": "no contact point", "email": None, "phone": None, "household": "c0",
    }  # fmt: skip


def test_a_staff_members_number_counts_only_for_a_client_of_that_name() -> None:
    staff = ({"firstName": "A", "lastName": "B", "mobile": "0855512345", "branchId": "branch"},)
    truths = _truths(
        _client("same", mobile="0855512345"), _client("other", firstName="Z", mobile="0855512345"), staff=staff
    )
    assert truths.of("same")["syncable"]
    assert truths.of("other")["why_not"] == "no contact point"


@given(st.lists(st.tuples(st.sampled_from([None, *range(8)]), st.sampled_from([None, *range(8)])), max_size=30))
@settings(max_examples=60, deadline=None)
def test_two_clients_are_of_one_household_exactly_when_a_chain_of_shared_addresses_joins_them(
    pairs: list[tuple[Any, Any]],
) -> None:
    rows = [
        _client(
            f"c{turn:02d}",
            email=None if email is None else f"x{email}@example.com",
            mobile=None if phone is None else f"08555123{phone}0",
        )
        for turn, (email, phone) in enumerate(pairs)
    ]
    truths = _truths(*rows)
    usable = {
        row["clientId"]: {truths.of(row["clientId"])["email"], truths.of(row["clientId"])["phone"]} - {None}
        for row in rows
    }
    for key in usable:
        reached, grew = {key}, True
        while grew:
            more = {other for other in usable if any(usable[other] & usable[known] for known in reached)} | reached
            grew, reached = more != reached, more
        same = {other for other in usable if truths.of(other)["household"] == truths.of(key)["household"]}
        assert same == reached
