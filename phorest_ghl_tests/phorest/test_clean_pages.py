"""The first look at a page: what it passes, the models pass, with the same result; a page as Phorest sends it has one."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from phorest_ghl.phorest import pages
from phorest_ghl.phorest.clean_pages import first_look
from phorest_ghl.phorest.pages import MalformedPage, Page, keeps_records, parse_page
from phorest_ghl.phorest.specs import CLIENTS, IMPORTS
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxServer

ROW: dict[str, Any] = {
    "clientId": "A1",
    "version": 3,
    "firstName": "Zoë",
    "mobile": "0871234567",
    "landLine": 14960000,
    "address": {"city": "Bray", "country": None},
    "birthDate": "1990-02-28",
    "clientSince": "2024-02-29T10:00:00.000Z",
    "updatedAt": "2025-03-04T10:15:30.000Z",
    "emailMarketingConsent": None,
    "clientCategoryIds": ["c1"],
    "creditAccount": {"outstandingBalance": 12.5, "creditDays": 3, "creditLimit": 0},
    "loyaltyCard": {"serial": "", "points": 7},
    "somethingNew": {"deep": [1, 2.5e3, "x", None]},
}
BODY = json.dumps(
    {
        "_embedded": {"clients": [ROW, {"clientId": "B2", "version": 0}]},
        "page": {"number": 0, "size": 2, "totalElements": 2, "totalPages": 1},
    }
).encode()
LOOK = first_look(CLIENTS)


def by_the_models(body: bytes) -> Page | None:
    """The page as validation alone reads it, or None where that finds anything odd about it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "first_look", lambda _: None)
        try:
            page = parse_page(CLIENTS, body)
        except MalformedPage:
            return None
    return None if page.document is not body else page


def agrees(body: bytes) -> None:
    assert LOOK is not None
    clean = LOOK(body)
    if clean is None or not clean.changed:
        return
    page = by_the_models(body)
    assert page is not None, "the first look passed a page that the models do not"
    looked = parse_page(CLIENTS, body)
    assert replace(looked, changed=()) == replace(page, changed=())
    for one, other in zip(looked.changed, page.changed, strict=True):
        assert one == other or (one and other and abs(one - other) <= timedelta(microseconds=1))  # one of them rounds


def test_only_lists_of_whose_rows_the_change_alone_is_kept_have_a_first_look() -> None:
    assert [spec.entity_type for spec in IMPORTS if first_look(spec) and not keeps_records(spec)] == ["client"]


def test_a_page_as_phorest_sends_it_passes_the_first_look() -> None:
    assert LOOK is not None
    with SandboxServer(SandboxOptions(clients=120, months=0)) as served:
        rows = list(served.truth("phorest/clients"))
    meta = {"number": 0, "size": 200, "totalElements": len(rows), "totalPages": 1}
    body = json.dumps({"_embedded": {"clients": rows}, "page": meta}).encode()
    clean = LOOK(body)
    assert clean is not None
    assert len(clean.changed) == len(rows)
    agrees(body)
    agrees(BODY)
    assert LOOK(BODY)


_PIECES = st.one_of(
    st.binary(max_size=3),
    st.sampled_from(
        rb"""\ud83d \u0000 \uDE00 \x " null 1e400 -0 01 NaN {} [] true 1.5 "x" 99999999999999999999999 Infinity 12
        "2025-02-30" "24:00" +01:00""".split()
    ),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(BODY)), st.integers(0, 6), _PIECES), min_size=1, max_size=2))
def test_what_the_first_look_passes_the_models_pass_with_the_same_result(
    cuts: list[tuple[int, int, bytes]],
) -> None:
    body = BODY
    for start, length, piece in cuts:
        body = body[:start] + piece + body[start + length :]
    agrees(body)


_ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.just([]), st.just({}),
    st.dates().map(str), st.datetimes().map(str), st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.sampled_from(["2025-03-04T10:15:60Z", "2025-03-04T24:00:00Z", "2025-03-04 10:15Z", "2025-03-04T10:15:30+0100",
                     "2025-03-04T10:15:30.123456789Z", "2025-03-04", "0000-01-01", "2025-3-4", "1741083330", "NaN", "7"]),
)  # fmt: skip


@settings(max_examples=100)
@given(
    st.dictionaries(st.sampled_from(sorted(ROW)), _ODD, max_size=3), st.sampled_from(["row", "page", "address"]), _ODD
)
@example({"updatedAt": "2025-03-04T10:15:60Z"}, "row", None)
def test_whatever_a_field_holds_the_two_agree(changes: dict[str, Any], where: str, value: Any) -> None:
    document = json.loads(BODY)
    row = document["_embedded"]["clients"][0]
    row.update(changes)
    if where == "page":
        document["page"]["totalPages"] = value
    if where == "address":
        row["loyaltyCard"], row["creditAccount"] = {"points": value, "serial": value}, {"creditDays": value}
    agrees(json.dumps(document).encode())


@pytest.mark.parametrize("deep", [2_000, 200_000])
def test_json_that_is_too_deep_is_no_clean_page_or_the_models_read_it_too(deep: int) -> None:
    agrees(BODY.replace(b'"A1"', b'"A1", "more": ' + b"[" * deep + b"]" * deep))
