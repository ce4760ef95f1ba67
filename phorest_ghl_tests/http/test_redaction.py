"""Nothing personal and no secret survives; what people look problems up by does."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.http.redaction import mask, redact, redact_event

digits = st.text("0123456789", min_size=7, max_size=15)
gaps = st.sampled_from(["", " ", "-", ".", "/", ") ", "\u00a0", "\u2011"])
around = st.text(max_size=20)
boundary = st.sampled_from([" ", ":", "=", '"', "'", "(", ",", ";", "\n", "tel:", "<", "a"])


@st.composite
def phones(draw: Callable[[st.SearchStrategy[str]], str]) -> str:
    """National or international, in groups of any length."""
    number, gap = draw(digits), draw(gaps)
    size = draw(st.sampled_from(["1", "2", "3", "4", "15"]))
    groups = [number[i : i + int(size)] for i in range(0, len(number), int(size))]
    return draw(st.sampled_from(["", "+", "00", "("])) + gap.join(groups)


@given(around, boundary, phones(), boundary, around)
def test_no_phone_survives(before: str, left: str, phone: str, right: str, after: str) -> None:
    shown = redact(before + left + phone + right + after)
    assert phone not in shown
    assert "".join(filter(str.isdigit, phone)) not in "".join(filter(str.isdigit, shown)) or _made_of(
        before, after, phone
    )


def _made_of(before: str, after: str, phone: str) -> bool:
    """Whether the text around holds the same digits in short runs, which are no phone."""
    return "".join(filter(str.isdigit, phone)) in "".join(filter(str.isdigit, before + " " + after))


@given(
    around,
    st.sampled_from([" ", "<", '"', ":", "=", ",", "(", ""]),
    st.emails(),
    st.sampled_from([" ", ">", '"', ",", ")"]),
    around,
)
def test_no_email_survives(before: str, left: str, email: str, right: str, after: str) -> None:
    shown = redact(before + left + email + right + after)
    assert email not in shown
    assert "@" + email.split("@", maxsplit=1)[1] not in shown


@given(st.text() | phones() | st.emails())
def test_redacting_twice_changes_nothing(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abc.def-123", "abc.def"),
        ("authorization: basic Z2xvYmFsL2E6Yg==", "Z2xv"),
        ("token pit-0f0e1d2c-aaaa-bbbb-cccc-123456789abc leaked", "pit-"),
        ("jwt eyJhbGciOi.eyJzdWIiOiIx.c2ln", "eyJ"),
        ('{"refresh_token":"r3fr3sh-value","x":1}', "r3fr3sh"),
        ("client_secret=hush-hush&grant_type=x", "hush"),
        ("postgresql://salon:p4ssw0rd@db.example/phorest", "p4ssw0rd"),
        ("https://global/me@salon.example:pw12@api.example/x", "pw12"),
        ("GET https://api.example/contacts?query=Aoife%20Example&x=1", "Aoife"),
        ("/contacts/search/duplicate?number=%2B353871234567", "353"),
        ("mail aoife%40example.com", "example.com"),
        ("phone-shaped text as long as an id: tel-087-123-4567-Aoife", "123-4567"),
        ("phone-shaped text as long as an id: Aoife008712345678901", "7123"),
    ],
)
def test_no_credential_and_no_query_value_survives(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Contact with id ocQHyuzHvysMo5N5VsXc not found",
        "client pK8sD1fGR0yB-uN3_vWxEQ and -Zt3kV0mQS7h_2cX9eYbLg",
        "trace 6f2b8f5e-1111-2222-3333-444455556666",
        "window 2026-11-24 to 2026-12-01T10:15:30.000Z, cursor 2026-11-24T10:15:30+00:00",
        "property locationId should not exist",
        "answered 422 after 3 of 5 attempts in 1234 ms",
        "0 of 200000 requests are left today",
    ],
)
def test_what_a_problem_is_looked_up_by_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("aoife@example.com", "a…@…"),
        ("@", "…@…"),
        ("+353 87 123 4567", "+353…67"),
        ("0871234567", "…67"),
        ("1234567", "…67"),
        ("12345", "…"),
        ("Aoife Example", "A…"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_hint_is_enough_for_who_knows_the_value(value: str | None, hint: str) -> None:
    assert mask(value) == hint


@given(phones() | st.emails())
def test_a_hint_never_gives_a_value_away(value: str) -> None:
    hint = mask(value)
    assert sum(character.isdigit() for character in hint) <= 5
    assert len(hint) <= 7
    assert value not in hint


def test_log_events_are_redacted_wherever_the_value_hides() -> None:
    when = datetime(2026, 11, 24, tzinfo=UTC)
    event = redact_event(
        None,
        "info",
        {
            "event": "call 087 123 4567",
            "contact_id": "ocQHyuzHvysMo5N5VsXc",
            "duration_ms": 1234567890,
            "at": when,
            "missing": None,
            "email": "a@example.com",
            "first_name": "Aoife",
            "nested": {"phone": "1", "text": ["x@example.com", ("y@example.com",)], "lastName": None},
            "raw": b"z@example.com",
            "headers_seen": {"x-ratelimit-limit-global_me@example.com": "500"},
            "error": ValueError("w@example.com"),
        },
    )
    assert event == {
        "event": "call [phone]",
        "contact_id": "ocQHyuzHvysMo5N5VsXc",
        "duration_ms": 1234567890,
        "at": when,
        "missing": None,
        "email": "[hidden]",
        "first_name": "[hidden]",
        "nested": {"phone": "[hidden]", "text": ["[email]", ["[email]"]], "lastName": None},
        "raw": "[email]",
        "headers_seen": {"[email]": "500"},
        "error": "[email]",
    }


def test_it_works_as_a_processor_behind_tracebacks() -> None:
    lines: list[str] = []

    def keep(_logger: object, _method: str, event: dict[str, object]) -> dict[str, object]:
        lines.append(str(event))
        raise structlog.DropEvent

    logger = structlog.wrap_logger(
        structlog.PrintLogger(), processors=[structlog.processors.format_exc_info, redact_event, keep]
    )
    try:
        int("a@example.com")
    except ValueError:
        logger.exception("failed")
    assert "ValueError: invalid literal" in lines[0]
    assert "example.com" not in lines[0]
