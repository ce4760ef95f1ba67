"""What may be shown: personal data and secrets taken out of text before it reaches a log, an exception or metadata.

Belongs here: patterns and the structlog processor. Does not: deciding what to log. Errs on the side of hiding: a number
that might be a phone goes, even if it was a count of milliseconds. Ids of both vendors stay readable, for they are what
a person looks a problem up by; only the few with seven digits in a row do not.
"""

import re
from collections.abc import Mapping, MutableMapping
from datetime import date, time, timedelta
from typing import Any, cast

EMAIL = "[email]"
PHONE = "[phone]"
TOKEN = "[token]"  # noqa: S105 - the text that stands in for one
VALUE = "[…]"
HIDDEN = "[hidden]"

_CREDENTIAL_NAMES = (
    "access_token|refresh_token|client_secret|accesstoken|refreshtoken|clientsecret|api_key|apikey|password|passwd|secret"
    "|token|authorization"
)
_BASIC_OR_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=:-]{4,}", re.IGNORECASE)
_SECRET_PAIR = re.compile(rf"\b({_CREDENTIAL_NAMES})(\W{{1,4}}?(?<=[:=\"' ]))(?!\[)[^\s\"'&,;}}]{{6,}}", re.IGNORECASE)
_PRIVATE_TOKEN = re.compile(r"pit-[0-9A-Za-z-]{4,}", re.IGNORECASE)
_JWT = re.compile(r"eyJ[\w-]{5,}(?:\.[\w-]*)+")
_USERINFO = re.compile(r"(://)[^\s/@\"'<>]+(?:/[^\s/@\"'<>]+)?@")
_QUERY_VALUE = re.compile(r"([?&][\w.\[\]%~-]+=)[^&#\s\"'<>]*")
_ADDRESS_PART = r"[^\s<>()\[\],;:\"\\@]{1,320}"
_EMAIL = re.compile(rf"{_ADDRESS_PART}(?:(?:@|%40)+{_ADDRESS_PART})+")

# What looks like a phone but is looked up by people: a UUID, an id of GHL (20) or Phorest (22), a date.
_KEEP = (
    r"(?<![\w-])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![\w-])"
    r"|(?<![\w+-])(?=\w*[a-z])(?=\w*[A-Z])(?!\w*\d{7})[A-Za-z0-9]{20}(?!\w)"
    r"|(?<![\w+-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?![\w-]*(?:\d-?){7})[A-Za-z0-9_-]{22}(?![\w-])"
    r"|(?<![\w+-])(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
    r"(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?(?![\w-])"
)
_GAP = r"[\s.()/\u00a0\u2010-\u2015-]{0,3}"
_PHONE = re.compile(rf"({_KEEP})|\+?(?:\d{_GAP}){{6,}}\d(?:{_GAP}\d)*")

_HIDDEN_KEYS = frozenset(
    {
        "authorization",
        "access_token",
        "accesstoken",
        "refresh_token",
        "refreshtoken",
        "client_secret",
        "clientsecret",
        "password",
        "secret",
        "token",
        "api_key",
        "email",
        "emails",
        "phone",
        "phones",
        "mobile",
        "landline",
        "landlinenumber",
        "first_name",
        "firstname",
        "last_name",
        "lastname",
        "full_name",
        "fullname",
        "contactname",
        "contact_name",
        "client_name",
        "clientname",
        "address",
        "address1",
        "birth_date",
        "birthdate",
        "dateofbirth",
        "notes",
        "headers",
        "params",
        "body",
        "json",
        "content",
        "vendor_message",
    }
)


def redact(text: str) -> str:
    """The text without emails, phone numbers, credentials, tokens and the values of URL queries.

    Names of people cannot be recognised, so free text of a vendor is not made harmless by this; ids, dates and field
    names stay. Applying it twice changes nothing.
    """
    text = _USERINFO.sub(rf"\1{HIDDEN}", text)
    text = _QUERY_VALUE.sub(rf"\1{VALUE}", text)
    text = _BASIC_OR_BEARER.sub(rf"\1 {TOKEN}", text)
    text = _JWT.sub(TOKEN, _PRIVATE_TOKEN.sub(TOKEN, text))
    text = _SECRET_PAIR.sub(rf"\1\2{TOKEN}", text)
    text = _EMAIL.sub(EMAIL, text)
    return _PHONE.sub(lambda found: found.group(1) or PHONE, text)


def mask(value: str | None) -> str:
    """A hint for somebody who knows the value: `a…@…` for an email, `+353…67` for a phone, `J…` for anything else."""
    value = (value or "").strip()
    if not value:
        return ""
    if "@" in value:
        return f"{value[0]}…@…" if value[0] != "@" else "…@…"
    digits = [character for character in value if character.isdigit()]
    if len(digits) >= 7:
        start = "+" + "".join(digits[:3]) if value.startswith("+") else ""
        # Of a short number three leading and two trailing digits would be most of it.
        return f"{start if len(digits) >= 10 else ''}…{''.join(digits[-2:])}"
    return f"{value[0]}…" if not digits else "…"


def redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: every text in the event redacted, members named like personal data hidden altogether.

    Put it after the processor that formats exceptions, so that tracebacks pass through it too.
    """
    for key in list(event):
        event[key] = HIDDEN if _hides(key) and event[key] is not None else _redacted(event[key])
    return event


def _hides(key: object) -> bool:
    return str(key).lower().replace("-", "_") in _HIDDEN_KEYS


def _redacted(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | date | time | timedelta):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value)
        return {
            redact(str(key)): HIDDEN if _hides(key) and member is not None else _redacted(member)
            for key, member in members.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(member) for member in cast("list[object]", value)]
    if isinstance(value, bytes):
        return redact(value.decode("utf-8", "replace"))
    return redact(str(value))
