"""Names, emails and phones in the one form in which they are compared and sent. Never truncated, never guessed.

Belongs here: pure functions of a value. Does not: which client owns it (`identity`).
"""

import re
import unicodedata
from functools import cache, lru_cache
from importlib.resources import files

import phonenumbers
from email_validator import EmailNotValidError, validate_email

_PHONE = re.compile(r"\+?[\d\s().\-\u2010-\u2015\u00a0/]*\d[\d\s().\-\u2010-\u2015\u00a0]*")
_PLACEHOLDER = re.compile(r"[\W_]*")


def name(value: str | None) -> str:
    """A name in NFC with single spaces; a placeholder without a letter or digit ("-", ".") is no name."""
    tidy = line(value)
    return "" if _PLACEHOLDER.fullmatch(tidy) else tidy


def line(value: str | None) -> str:
    """A line of text in NFC with single spaces; empty where there is none."""
    if not value:
        return ""
    return " ".join((value if value.isascii() else unicodedata.normalize("NFC", value)).split())


def folded_name(first: str | None, last: str | None) -> str:
    """A full name for comparison: normalised, without case."""
    return f"{name(first)} {name(last)}".strip().casefold()


@lru_cache(maxsize=100_000)
def email(value: str | None) -> str | None:
    """A syntactically valid address in lower case, or None. Deliverability is not looked up."""
    tidy = (value or "").strip()
    if not tidy:
        return None
    try:
        # test_environment lets the reserved domain .test pass, which GHL takes and every rehearsal uses.
        return validate_email(tidy, check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError:
        return None


@lru_cache(maxsize=100_000)  # a daemon plans the same salon again and again
def phone(value: str | None, country: str | None) -> str | None:
    """A valid number as E.164 (`+353871234567`), or None. `country` is the branch's ISO code, for national forms.

    Letters, extensions and two numbers in one field are no number: which one was meant would be a guess.
    """
    tidy = unicodedata.normalize("NFKC", value or "").strip()
    if not tidy or not _PHONE.fullmatch(tidy) or tidy.count("/") > 1:
        return None
    if tidy.startswith("00"):
        tidy = "+" + tidy[2:]
    try:
        parsed = phonenumbers.parse(tidy, country)
    except phonenumbers.NumberParseException:
        return None
    if parsed.extension or not phonenumbers.is_valid_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def country(value: str | None, zone: str | None) -> str | None:
    """A branch's ISO country code from its `country` (a code or an English name), else from its IANA zone."""
    tidy = (value or "").strip()
    if len(tidy) == 2 and tidy.upper() in phonenumbers.SUPPORTED_REGIONS:
        return tidy.upper()
    return _countries_by_name().get(tidy.casefold()) or _countries_by_zone().get(zone or "")


@cache
def _countries_by_name() -> dict[str, str]:
    rows = _rows("iso3166.tab")
    return {english.casefold(): code for code, english in rows} | {"united kingdom": "GB", "uk": "GB", "usa": "US"}


@cache
def _countries_by_zone() -> dict[str, str]:
    return {row[2]: row[0] for row in _rows("zone.tab")}


def _rows(table: str) -> list[list[str]]:
    lines = (files("tzdata") / "zoneinfo" / table).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]
