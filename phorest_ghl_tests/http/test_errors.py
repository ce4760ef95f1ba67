"""Which answer means what, and what a person reads of it."""

import pickle

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.http.errors import TABLE, Api, ApiError, Category, classify
from phorest_ghl_tests.http import wire

C = Category
GHL_DUPLICATE = (
    '{"statusCode":400,"message":"This location does not allow duplicated contacts.",'
    '"meta":{"contactName":"Nobody} is invalid","matchingField":"email","contactId":"CON1"},"traceId":"t"}'
)

GHL = [
    (401, "GET", '{"message":"Invalid JWT"}', C.AUTH),
    (
        401,
        "GET",
        '{"statusCode":401,"message":"Invalid token: access token is invalid","error":"Unauthorized"}',
        C.AUTH,
    ),
    (401, "GET", '{"message":"Invalid Private Integration token"}', C.AUTH),
    (401, "GET", '{"message":"The token is not authorized for this scope."}', C.SCOPE),
    (401, "GET", '{"message":"This AuthClass is not yet supported by the IAM Service"}', C.FORBIDDEN),
    (401, "GET", '{"message":"version header was not found."}', C.PROTOCOL),
    (401, "GET", '{"message":"version header is invalid"}', C.PROTOCOL),
    (400, "POST", '{"error":"invalid_grant","error_description":"This refresh token is invalid"}', C.AUTH),
    (403, "GET", '{"message":"The token does not have access to this location."}', C.FORBIDDEN),
    (400, "GET", '{"message":"Contact with id CON1 not found"}', C.GONE),
    (400, "PUT", '{"message":"The event id is invalid"}', C.GONE),
    (404, "GET", '{"statusCode":404,"message":"Contact not found"}', C.GONE),
    (404, "GET", '{"message":"Cannot GET /contacts/x","error":"Not Found","statusCode":404}', C.PROTOCOL),
    (400, "POST", GHL_DUPLICATE, C.DUPLICATE),
    (409, "PUT", GHL_DUPLICATE, C.DUPLICATE),
    (422, "POST", GHL_DUPLICATE, C.DUPLICATE),
    (400, "POST", '{"message":"Custom field already exists"}', C.DUPLICATE),
    (409, "PUT", "{}", C.CONFLICT),
    (400, "PUT", '{"statusCode":401,"message":"Not authorized to update permanent dnd setting for SMS"}', C.INVALID),
    (400, "PUT", '{"message":"phone number is invalid"}', C.INVALID),
    (422, "PUT", '{"statusCode":422,"message":["property locationId should not exist"]}', C.INVALID),
    (429, "POST", '{"statusCode":429,"message":"Too Many Requests"}', C.RATE_LIMITED),
    (301, "GET", "", C.PROTOCOL),
]
PHOREST = [
    (301, "POST", "", C.WRONG_REGION),
    (302, "PUT", "", C.WRONG_REGION),
    (401, "GET", "Bad credentials", C.AUTH),
    (401, "GET", "", C.AUTH),
    (403, "GET", "", C.FORBIDDEN),
    (404, "GET", '{"statusCode":404,"id":"e1","detail":"BRANCH_NOT_FOUND"}', C.GONE),
    (409, "PUT", "{}", C.CONFLICT),
    (412, "PUT", "{}", C.CONFLICT),
    (400, "PUT", '{"detail":"version is out of date"}', C.CONFLICT),
    (409, "POST", "{}", C.DUPLICATE),
    (400, "GET", '{"detail":"DATE_RANGE_TOO_LARGE"}', C.INVALID),
    (500, "DELETE", '{"message":"Request method DELETE not supported"}', C.PROTOCOL),
    (405, "DELETE", "", C.PROTOCOL),
    (429, "GET", "", C.RATE_LIMITED),
]


@pytest.mark.parametrize(("status", "method", "body", "category"), GHL)
def test_ghl_says_it_in_its_own_way(status: int, method: str, body: str, category: Category) -> None:
    assert classify("ghl", method, status, body, repeatable=True) is category


@pytest.mark.parametrize(("status", "method", "body", "category"), PHOREST)
def test_phorest_says_it_in_its_own_way(status: int, method: str, body: str, category: Category) -> None:
    assert classify("phorest", method, status, body, repeatable=True) is category


@pytest.mark.parametrize("api", ["ghl", "phorest"])
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 520])
def test_a_failure_of_the_vendors_side_leaves_a_write_unknown_and_a_repeatable_call_transient(
    api: Api, status: int
) -> None:
    assert classify(api, "POST", status, "", repeatable=False) is C.UNKNOWN_OUTCOME
    assert classify(api, "GET", status, "", repeatable=True) is C.TRANSIENT


def test_a_spent_day_is_told_from_a_busy_moment() -> None:
    headers = {"x-ratelimit-daily-remaining": "0"}
    assert classify("ghl", "GET", 429, "", repeatable=True, headers=headers) is C.QUOTA_EXHAUSTED
    assert (
        classify("ghl", "GET", 429, "", repeatable=True, headers={"x-ratelimit-daily-remaining": "7"}) is C.RATE_LIMITED
    )


@given(
    api=st.sampled_from(["ghl", "phorest"]),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    status=st.integers(100, 599),
    body=st.sampled_from(["", "<html>", GHL_DUPLICATE, '{"message":"Contact not found"}', '{"detail":"old version"}'])
    | st.text(max_size=40),
    repeatable=st.booleans(),
)
def test_every_answer_has_a_category_and_an_uncertain_write_is_never_called_repeatable(
    api: Api, method: str, status: int, body: str, *, repeatable: bool
) -> None:
    category = classify(api, method, status, body, repeatable)
    if not repeatable:
        assert category not in {C.TRANSIENT, C.UNREACHABLE}


def test_every_row_names_its_source_and_can_be_reached() -> None:
    assert all(rule.source for rule in TABLE)
    for place, rule in enumerate(TABLE):
        plain = [r for r in TABLE[:place] if not (r.words or r.methods or r.daily_spent is not None)]
        hidden = [
            r
            for r in plain
            if r.api in {None, rule.api}
            and r.repeatable in {None, rule.repeatable}
            and set(rule.statuses) <= set(r.statuses)
        ]
        assert not hidden, (rule, hidden)


def _error(**more: object) -> ApiError:
    return ApiError(C.INVALID, api="ghl", operation="PUT /contacts/{contactId}", status=422, **more)  # pyright: ignore[reportArgumentType]


def test_an_error_is_a_sentence_with_operation_status_category_and_what_to_do() -> None:
    error = _error(trace_id="t-1", vendor_message="property locationId should not exist")
    assert str(error) == (
        "PUT /contacts/{contactId}: GoHighLevel answered 422 (invalid), property locationId should not exist [trace t-1]"
        "; correct the record at its source; it is not sent again until it changes."
    )


@pytest.mark.parametrize("category", Category)
def test_every_category_tells_what_to_do(category: Category) -> None:
    text = str(ApiError(category, api="phorest", operation="GET /client"))
    assert text.startswith("GET /client: Phorest gave no answer (")
    assert len(text.split("; ", 1)[1]) > 20


def test_words_that_may_hold_a_name_stay_out_of_the_sentence_but_not_out_of_reach() -> None:
    error = _error(vendor_message="Aoife Example is already booked at this time, call 0871234567")
    assert "Aoife" not in str(error)
    assert error.vendor_message == "Aoife Example is already booked at this time, call [phone]"


@pytest.mark.parametrize(
    "message",
    [
        "SLOT_UNAVAILABLE: STAFF_NOT_WORKING",
        "Contact with id CONaaa1 not found",
        "email must be an email",
        "Invalid JWT",
    ],
)
def test_the_vendors_fixed_phrases_are_shown(message: str) -> None:
    assert message in str(_error(vendor_message=message))


def test_an_error_survives_the_way_to_another_process() -> None:
    error = _error(trace_id="t-1", retry_after=2.5, body={"meta": {"contactId": "CON1"}})
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (str(copy), copy.category, copy.retry_after, copy.body) == (str(error), C.INVALID, 2.5, error.body)


def test_a_body_never_shows() -> None:
    error = _error(body={"email": "a@example.com"})
    assert "example" not in str(error) + repr(error)


def test_shapes_of_error_bodies_are_all_read() -> None:
    assert wire.complaint({"detail": "STAFF_NOT_WORKING", "errorCode": "SLOT_UNAVAILABLE", "id": "e-1"}).message == (
        "SLOT_UNAVAILABLE: STAFF_NOT_WORKING"
    )
    assert wire.complaint({"detail": "X", "id": "e-1"}).error_id == "e-1"
    assert wire.complaint({"message": ["a", "b"], "traceId": "t"}).message == "a; b"
    assert wire.complaint({"message": "m", "traceId": "t"}).trace_id == "t"
    assert wire.complaint({"error": {"code": 3, "message": "v3"}}).message == "v3"
    assert wire.complaint({"error": "Not Found"}).message == "Not Found"
    assert wire.complaint(["x"]).body == ["x"]
    assert wire.complaint_text("Bad credentials").message == "Bad credentials"
    assert wire.complaint_text("<html>502</html>").message == ""
    assert wire.complaint_text("").message == ""
    assert wire.complaint({"traceId": "t\n\x1b[31m"}).trace_id is None
    assert wire.complaint_text(orjson.dumps({"message": "x" * 9000}).decode()).message == "x" * 2000
