"""The desired contact: pure, stable, and dirty exactly when something that it shows changes."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.sync.consent import Channel
from phorest_ghl.sync.identity import households, people
from phorest_ghl.sync.projection import Projector
from phorest_ghl.sync.rules import Rules
from phorest_ghl.sync.source import ClientRow
from phorest_ghl_tests.sync.builders import COUNTRIES, client, desired, salons

BASE: dict[str, Any] = {"email": "a@example.com", "mobile": "087 123 4567"}


@given(salons())
def test_the_same_rows_always_give_the_same_records(clients: list[ClientRow]) -> None:
    assert desired(*clients) == desired(*clients)


def test_a_contact_shows_the_normalised_values_of_the_client_that_speaks_for_it() -> None:
    (contact,) = desired(
        client("A", first_name=" Mary  Ann ", last_name="-", email="A@Example.com", mobile="087 123 4567")
    )
    assert contact.identity == {"first_name": "Mary Ann", "email": "a@example.com", "phone": "+353871234567"}
    assert contact.sent_custom == {"phorest_id": "A", "branch": "Main Street"}
    assert contact.addresses == ("a@example.com", "+353871234567")


@pytest.mark.parametrize("flag", ["archived", "banned", "deleted"])
def test_a_client_that_is_not_live_keeps_its_identity_in_ghl_as_it_stands(flag: str) -> None:
    (contact,) = desired(client(**{flag: True}, **BASE))
    assert contact.identity == {}
    assert contact.sent_custom == {"phorest_id": "A"}
    # Only a deleted client's fields are emptied, and the id stays: it finds the contact again (design §6).
    assert (len(contact.custom) > 1) is (flag == "deleted")
    assert contact.tags == {f"phorest:{flag}"}


def test_a_contact_carries_what_a_salon_calls_by_its_name() -> None:
    (contact,) = desired(
        client(
            email="a@example.com",
            street=" 1  High Street",
            city="Dublin",
            postal_code="D01",
            country="ireland",
            birth_date=date(1990, 4, 2),
            category_ids=("COLOUR", "gone"),
            preferred_staff_id="STYLIST",
            external_id="E 1",
            credit_balance=Decimal("12.50"),
            client_since=datetime(2020, 6, 30, 23, 30, tzinfo=UTC),
            notes="allergic to latex",
        )
    )
    assert {k: contact.identity[k] for k in ("street_address", "city", "postal_code", "country", "date_of_birth")} == {
        "street_address": "1 High Street", "city": "Dublin", "postal_code": "D01", "country": "IE",
        "date_of_birth": "1990-04-02"}  # fmt: skip
    assert contact.custom == {
        "phorest_id": "A", "branch": "Main Street", "client_since": "2020-07-01", "preferred_stylist": "Siobhan Kelly",
        "external_id": "E 1", "credit_balance": "12.5"}  # fmt: skip
    assert contact.tags == {"phorest:colour-club"}


def test_notes_go_to_ghl_only_where_a_salon_switched_them_on() -> None:
    row = client(email="a@example.com", notes="allergic to latex")
    assert "notes" not in desired(row)[0].custom
    assert desired(row, rules=Rules(notes=True))[0].custom["notes"] == "allergic to latex"


def test_a_birthday_that_stands_for_unknown_is_none() -> None:
    assert "date_of_birth" not in desired(client(email="a@example.com", birth_date=date(1850, 1, 1)))[0].identity


@pytest.mark.parametrize(
    "changed",
    [
        {"first_name": "Ada"}, {"last_name": "Quinn"}, {"email": "b@example.com"}, {"mobile": "086 555 2000"},
        {"email": None}, {"sms_marketing": False}, {"email_marketing": None}, {"banned": True}, {"archived": True},
    ],
)  # fmt: skip
def test_whatever_the_record_shows_is_in_its_hash(changed: dict[str, object]) -> None:
    before = client(**BASE)
    assert desired(before)[0].source_hash != desired(replace(before, **changed))[0].source_hash


@pytest.mark.parametrize(
    "changed",
    [
        {"first_name": " Aoife "}, {"email": "A@EXAMPLE.com"}, {"mobile": "+353 87 1234567"},
        {"last_visit": date(2026, 1, 1)}, {"created_at": datetime(2020, 1, 1, tzinfo=UTC)}, {"linked_to": "Z"},
    ],
)  # fmt: skip
def test_what_the_record_does_not_show_is_not_in_its_hash(changed: dict[str, object]) -> None:
    before = client(**BASE)
    assert desired(before)[0].source_hash == desired(replace(before, **changed))[0].source_hash


def test_a_member_more_or_a_suppression_makes_the_household_dirty_as_a_whole() -> None:
    one, other = client("A", **BASE), client("B", **BASE)
    hashes = {
        desired(one)[0].source_hash,
        desired(one, other)[0].source_hash,
        desired(one, on_record={("a@example.com", Channel.EMAIL): frozenset({"GHL"})})[0].source_hash,
    }
    assert len(hashes) == 3


def test_hashes_of_personal_values_are_keyed() -> None:
    (household,) = households(people([client(**BASE)], COUNTRIES), {})
    keys = [Keyring(b"one key of 16 b."), Keyring(b"another of 16 b.")]
    assert len({Projector(key).contact(household).source_hash for key in keys}) == 2
