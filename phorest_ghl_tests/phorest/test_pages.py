"""A page of a Phorest list: what is wrong with it costs a field or a row, and only a body that is no page costs the page."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phorest_ghl.db.bulk import RAW_KEY
from phorest_ghl.phorest.pages import MalformedPage, Page, parse_one, parse_page, rows_of
from phorest_ghl.phorest.specs import BRANCHES, CLIENT_CATEGORIES, CLIENTS, IMPORTS, ImportSpec

META = {"number": 0, "size": 200, "totalElements": 3, "totalPages": 1}


def body(*rows: Any, spec: ImportSpec = CLIENTS, **more: Any) -> bytes:
    return json.dumps({"_embedded": {spec.embedded_key: rows}, "page": META, **more}).encode()


def wire(client_id: Any = "A", **more: Any) -> dict[str, Any]:
    return {"clientId": client_id, "version": 1, **more}


def kept(page: Page) -> list[Any]:
    found: Any = json.loads(page.document)
    for part in page.path:
        found = found[part]
    return found


def test_a_clean_page_is_handed_on_byte_for_byte() -> None:
    sent = body(wire("A"), wire("B"))
    page = parse_page(CLIENTS, sent)
    assert page.document == sent
    assert (page.rows, page.path, page.set_aside, dict(page.odd_fields)) == (2, ("_embedded", "clients"), (), {})
    assert (page.number, page.total_pages, page.total_elements) == (0, 1, 3)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"<html><body>502 Bad Gateway</body></html>",
        b'{"_embedded": {"clients": [{"clientId"',
        b"nonsense",
        b"\xff\xfe",
    ],
)
def test_what_is_no_json_is_no_page_and_says_so(sent: bytes) -> None:
    with pytest.raises(
        MalformedPage, match=r"the answer of GET /client is not JSON; it may be cut off or an error page"
    ):
        parse_page(CLIENTS, sent)


@pytest.mark.parametrize(
    "sent", [b"{}", b"[]", b"null", b'"text"', b'{"page": null}', b'{"page": {"number": 0}}', b'{"page": []}']
)
def test_a_page_without_counts_has_no_known_end(sent: bytes) -> None:
    with pytest.raises(MalformedPage, match=r"has no page counts, so its end cannot be known"):
        parse_page(CLIENTS, sent)


@pytest.mark.parametrize(
    "embedded",
    [{}, {"_embedded": None}, {"_embedded": {}}, {"_embedded": {"clients": []}}, {"_embedded": {"clients": None}}],
)
def test_nothing_is_embedded_where_nothing_matches(embedded: dict[str, Any]) -> None:
    page = parse_page(CLIENTS, json.dumps({**embedded, "page": META}).encode())
    assert (page.rows, kept(page), page.set_aside) == (0, [], ())


def test_an_embedded_array_is_read_as_the_list_itself() -> None:
    page = parse_page(CLIENTS, json.dumps({"_embedded": [wire("A"), 7], "page": META}).encode())
    assert [row["clientId"] for row in kept(page)] == ["A"]
    assert len(page.set_aside) == 1


@pytest.mark.parametrize("embedded", [{"clients": 7}, {"clients": {"a": 1}}, {"clients": "x"}])
def test_something_else_in_the_place_of_the_list_is_no_page(embedded: object) -> None:
    with pytest.raises(MalformedPage, match="holds no list under clients"):
        parse_page(CLIENTS, json.dumps({"_embedded": embedded, "page": META}).encode())


@pytest.mark.parametrize(
    ("row", "phorest_id", "reason"),
    [
        (7, None, "the record is no object"),
        (None, None, "the record is no object"),
        ([], None, "the record is no object"),
        ({}, None, "the record has no clientId"),
        (wire(""), None, "the record has no clientId"),
        (wire(None), None, "the record has no clientId"),
        (wire(7), None, "the record has no clientId"),
        ({"clientId": "A"}, "A", "the record's version is missing or of another type than Phorest documents"),
        (wire(version=None), "A", "the record's version is missing or of another type than Phorest documents"),
        (wire(version="1"), "A", "the record's version is missing or of another type than Phorest documents"),
        (wire(version=1.5), "A", "the record's version is missing or of another type than Phorest documents"),
    ],
)
def test_a_row_that_cannot_be_kept_is_set_aside_and_the_others_are_not(
    row: Any, phorest_id: str | None, reason: str
) -> None:
    page = parse_page(CLIENTS, body(wire("B"), row, wire("C")))
    assert [r["clientId"] for r in kept(page)] == ["B", "C"]
    (aside,) = page.set_aside
    assert (aside.phorest_id, aside.position, aside.reason) == (phorest_id, 1, reason)


@pytest.mark.parametrize(
    ("odd", "field"),
    [
        ({"birthDate": "31/12/1990"}, "birthDate"),
        ({"birthDate": 19900101}, "birthDate"),
        ({"birthDate": "1990-02-30"}, "birthDate"),
        ({"updatedAt": "2026-01-01T00:00:00"}, "updatedAt"),
        ({"updatedAt": "yesterday"}, "updatedAt"),
        ({"archived": "true"}, "archived"),
        ({"smsMarketingConsent": "yes"}, "smsMarketingConsent"),
        ({"smsMarketingConsent": 1}, "smsMarketingConsent"),
        ({"mobile": ["1", "2"]}, "mobile"),
        ({"email": {"a": 1}}, "email"),
        ({"loyaltyCard": "none"}, "loyaltyCard"),
        ({"loyaltyCard": {"points": "many"}}, "loyaltyCard.points"),
        ({"creditAccount": {"outstandingBalance": "NaN"}}, "creditAccount.outstandingBalance"),
        ({"address": {"city": 7}}, "address.city"),
        ({"clientCategoryIds": "x"}, "clientCategoryIds"),
        ({"clientCategoryIds": ["x", 7]}, "clientCategoryIds"),
    ],
)
def test_an_odd_optional_value_is_null_in_the_columns_and_kept_in_the_payload(odd: dict[str, Any], field: str) -> None:
    page = parse_page(CLIENTS, body(wire("A", firstName="Aoife", **odd), wire("B")))
    assert page.set_aside == ()
    assert dict(page.odd_fields) == {field: 1}
    first, second = kept(page)
    assert first[RAW_KEY] == wire("A", firstName="Aoife", **odd)
    here: Any = first
    for part in field.split("."):
        here = here[part]
    assert here is None
    assert (first["clientId"], first["firstName"]) == ("A", "Aoife")
    assert second == wire("B")


@pytest.mark.parametrize(
    "odd", [{"mobile": 871234567}, {"favouriteColour": "teal"}, {"gender": "NEW"}, {"loyaltyCard": {"points": "12.5"}}]
)
def test_what_facts_and_time_bring_is_not_odd(odd: dict[str, Any]) -> None:
    page = parse_page(CLIENTS, body(wire(**odd)))
    assert (page.set_aside, dict(page.odd_fields)) == ((), {})


def test_a_nul_is_replaced_in_the_columns_and_in_the_payload_since_postgresql_has_no_place_for_it() -> None:
    page = parse_page(CLIENTS, body(wire(notes="a\0b", **{"odd\0key": "\0"})))
    (row,) = kept(page)
    assert row["notes"] == row[RAW_KEY]["notes"] == "a\ufffdb"
    assert b"\\u0000" not in page.document
    # A backslash and the letters u0000 are none.
    harmless = wire(notes="\\u0000")
    assert kept(parse_page(CLIENTS, body(harmless))) == [harmless]


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00", "\\ude00\\ud83d"])
def test_half_an_emoji_costs_a_character_and_not_the_page(half: str) -> None:
    sent = body(wire(notes="HALF"), wire("B", notes="whole \U0001f600")).replace(b"HALF", half.encode())
    first, second = kept(parse_page(CLIENTS, sent))
    assert set(first["notes"]) == {"\ufffd"}
    assert second["notes"] == "whole \U0001f600"


def test_bytes_that_are_no_utf8_cost_a_character_and_not_the_page() -> None:
    sent = body(wire(notes="HERE"), wire("B")).replace(b"HERE", b"caf\xe9")
    first, second = kept(parse_page(CLIENTS, sent))
    assert first["notes"] == "caf\ufffd"
    assert second == wire("B")


def test_a_number_beyond_all_doubles_does_no_harm_beside_an_odd_value() -> None:
    sent = body(wire(notes=7), wire("B", externalScore="HERE")).replace(b'"HERE"', b"1e400")
    page = parse_page(CLIENTS, sent)
    assert page.rows == 2


def test_an_integer_beyond_64_bits_stays_one_beside_an_odd_value() -> None:
    page = parse_page(CLIENTS, body(wire(version=2**70, notes=7), wire("B")))
    assert [row["version"] for row in kept(page)] == [2**70, 1]
    assert page.set_aside == ()


def test_either_name_of_a_categorys_id_will_do_but_one_of_them_must_be_there() -> None:
    rows = ({"clientCategoryId": "X"}, {"categoryId": "Y"}, {"name": "nobody"})
    page = parse_page(CLIENT_CATEGORIES, body(*rows, spec=CLIENT_CATEGORIES))
    assert page.rows == 2
    (aside,) = page.set_aside
    assert aside.reason == "the record has no clientCategoryId or categoryId"


def test_a_single_record_is_a_page_of_one() -> None:
    page = parse_one(CLIENTS, json.dumps(wire("A")).encode())
    assert (page.rows, page.total_pages, kept(page)) == (1, 1, [wire("A")])
    with pytest.raises(MalformedPage, match="of a single read below /client is not JSON"):
        parse_one(CLIENTS, b"<html>")


def test_rows_can_be_taken_one_by_one_from_a_page_of_either_kind() -> None:
    clean = parse_page(CLIENTS, body(wire("A"), wire("B")))
    patched = parse_page(CLIENTS, body(wire("A"), wire("B", birthDate="soon")))
    for page in (clean, patched):
        rows = rows_of(page)
        assert [row.phorest_id(CLIENTS) for row in rows] == ["A", "B"]
        assert [json.loads(row.document)[0]["clientId"] for row in rows] == ["A", "B"]


def test_nothing_of_a_records_content_is_in_what_is_said_of_it() -> None:
    page = parse_page(CLIENTS, body(wire(version="secret@example.com", email="secret@example.com")))
    assert "secret" not in page.set_aside[0].reason
    with pytest.raises(MalformedPage) as raised:
        parse_page(CLIENTS, b'{"email": "secret@example.com"')
    assert "secret" not in str(raised.value)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
odd_rows = st.fixed_dictionaries(
    {"clientId": st.sampled_from(["A", "B"]) | anything, "version": st.integers(0, 5) | anything},
    optional=dict.fromkeys(CLIENTS.model.model_fields.keys() - {"clientId", "version"}, anything),
)


@settings(max_examples=60)
@given(st.lists(odd_rows | anything, max_size=4))
def test_whatever_the_rows_are_good_ones_among_them_are_kept_whole(rows: list[Any]) -> None:
    good = wire("GOOD", firstName="Aoife", email="a@example.com")
    page = parse_page(CLIENTS, body(*rows[:2], good, *rows[2:]))
    assert page.rows + len(page.set_aside) == len(rows) + 1
    assert good in kept(page)


@given(st.sampled_from(IMPORTS), anything)
def test_whatever_the_body_is_it_is_a_page_or_said_to_be_none(spec: ImportSpec, content: Any) -> None:
    for sent in (json.dumps(content).encode(), json.dumps({"_embedded": content, "page": META}).encode()):
        try:
            page = parse_page(spec, sent)
        except MalformedPage:
            continue
        assert isinstance(kept(page), list)


@given(st.binary(max_size=40))
def test_bytes_are_never_an_error_of_another_kind(sent: bytes) -> None:
    with pytest.raises(MalformedPage):
        parse_page(BRANCHES, sent + b"\x01")


def test_the_document_of_a_patched_page_is_json_that_anybody_reads() -> None:
    page = parse_page(CLIENTS, body(wire(birthDate="soon")))
    assert orjson.loads(page.document)[0][RAW_KEY]["birthDate"] == "soon"


def test_a_row_whose_very_id_holds_a_nul_is_set_aside_under_a_name_that_postgresql_can_keep() -> None:
    page = parse_page(CLIENTS, body({"clientId": "\0", "version": None}))
    assert [row.phorest_id for row in page.set_aside] == ["\ufffd"]
