"""Names, emails, phones and countries in their one form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.sync import normalise


@pytest.mark.parametrize(
    ("written", "country", "e164"),
    [
        ("087 123 4567", "IE", "+353871234567"),
        ("+353 (0)87 123 4567", "IE", "+353871234567"),
        ("00353871234567", "IE", "+353871234567"),
        ("00353 87 123 4567", None, "+353871234567"),
        ("+353 87 123 4567", None, "+353871234567"),
        ("087\u2011123\u20114567", "IE", "+353871234567"),
        ("\uff10\uff18\uff17 123 4567", "IE", "+353871234567"),
        ("087\u00a0123\u00a04567", "IE", "+353871234567"),
        ("416 555 0100", "CA", "+14165550100"),
        ("+44 7911 123456", "IE", "+447911123456"),
    ],
)
def test_a_phone_becomes_e164_by_the_country_of_its_branch(written: str, country: str | None, e164: str) -> None:
    assert normalise.phone(written, country) == e164


@pytest.mark.parametrize(
    "written",
    [
        None, "", "  ", "n/a", "0", "12345", "087 123 4567 or 086 765 4321", "087 123 4567 / 086 765 4321", "ask her sister",
        "087 123 4567 ext 5", "0871234567x5", "1800-FLOWERS", "+", "()", "00", "+999 123 4567", "087 123 456 789 012",
    ],
)  # fmt: skip
def test_what_is_no_single_number_is_no_phone_and_never_guessed_at(written: str | None) -> None:
    assert normalise.phone(written, "IE") is None


def test_a_national_number_of_an_unknown_country_is_no_phone() -> None:
    assert normalise.phone("087 123 4567", None) is None


@given(st.text(max_size=40), st.sampled_from(["IE", "CA", "GB", None]))
def test_a_phone_is_none_or_stays_as_it_is_when_normalised_again(written: str, country: str | None) -> None:
    once = normalise.phone(written, country)
    assert once is None or (once.startswith("+") and normalise.phone(once, None) == once)


@given(st.integers(0, 9_999_999), st.sampled_from(["{0}", "+353{0}", "00353{0}", " 0{0} ", "({0})"]))
def test_spelling_does_not_matter_to_a_phone(number: int, spelling: str) -> None:
    national = f"87{number:07d}"
    spelt = normalise.phone(spelling.format(national), "IE")
    plain = normalise.phone(f"+353{national}", None)
    assert spelt == plain


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("Aoife@Example.COM", "aoife@example.com"),
        ("  aoife@example.com\t", "aoife@example.com"),
        ("aoife+salon@example.com", "aoife+salon@example.com"),
        ("rehearsal@salon.test", "rehearsal@salon.test"),
    ],
)
def test_an_email_is_trimmed_and_in_lower_case(written: str, address: str) -> None:
    assert normalise.email(written) == address


@pytest.mark.parametrize(
    "written", [None, "", " ", "aoife", "aoife@", "@example.com", "a b@example.com", "a@b", "a@b@c.ie", "a..b@c.ie"]
)
def test_what_is_no_address_is_no_email(written: str | None) -> None:
    assert normalise.email(written) is None


@given(st.emails())
def test_an_email_normalised_twice_is_the_email_normalised_once(address: str) -> None:
    once = normalise.email(address)
    assert once is None or normalise.email(once) == once


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("  Mary \t Ann  ", "Mary Ann"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("O'Brien-Smith", "O'Brien-Smith"),
        ("-", ""), (".", ""), ("___", ""), ("?!", ""), (None, ""), ("  ", ""),
        ("\u738b", "\u738b"), ("3", "3"),
    ],
)  # fmt: skip
def test_a_name_has_single_spaces_and_a_placeholder_is_none(written: str | None, name: str) -> None:
    assert normalise.name(written) == name


@given(st.text(max_size=30))
def test_a_name_normalised_twice_is_the_name_normalised_once(written: str) -> None:
    assert normalise.name(normalise.name(written)) == normalise.name(written)


@pytest.mark.parametrize(
    ("country", "zone", "code"),
    [
        ("IE", None, "IE"), ("ie", None, "IE"), ("Ireland", None, "IE"), ("united kingdom", None, "GB"), ("UK", None, "GB"),
        ("", "America/Toronto", "CA"), ("Atlantis", "Europe/Dublin", "IE"), (None, None, None), ("ZZ", None, None),
    ],
)  # fmt: skip
def test_a_branch_says_its_country_by_code_name_or_zone(
    country: str | None, zone: str | None, code: str | None
) -> None:
    assert normalise.country(country, zone) == code
