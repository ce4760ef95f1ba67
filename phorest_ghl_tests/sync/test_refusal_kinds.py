"""Every kind of refusal that GHL is known for is recognised, and read with the vendor's words but no personal value."""

from typing import Any

import orjson
import pytest

from phorest_ghl.http.answer import read_complaint
from phorest_ghl.http.errors import MEETS_EVERY_CALL, ApiError, classify
from phorest_ghl.sync.refusals import Refusal, kind_of, told

_OTHERS = {"contactId": "ocQHyuzHvysMo5N5VsXc", "contactName": "Aoife Byrne", "matchingField": "phone"}
_TAKEN = {"statusCode": 400, "message": "This location does not allow duplicated contacts.", "meta": _OTHERS}


def answered(status: int, body: dict[str, Any], method: str = "PUT") -> ApiError:
    """The error of an answer as the session makes it."""
    content = orjson.dumps(body)
    complaint = read_complaint(content, {})
    category = classify("ghl", method, status, content.decode(), repeatable=True)
    return ApiError(
        category,
        api="ghl",
        operation=f"{method} /contacts/",
        status=status,
        body=body,
        vendor_message=complaint.message,
    )


def invalid(*message: str, status: int = 422) -> ApiError:
    return answered(status, {"statusCode": status, "message": list(message)})


@pytest.mark.parametrize(
    ("error", "ours", "kind", "words"),
    [
        (answered(400, _TAKEN), True, Refusal.IDENTITY_CONFLICT, "contact ocQHyuzHvysMo5N5VsXc"),
        (answered(400, _TAKEN), False, Refusal.FOREIGN_DUPLICATE, "contact ocQHyuzHvysMo5N5VsXc"),
        (
            answered(400, {"statusCode": 401, "message": "Not authorized to update permanent dnd setting for SMS"}),
            False,
            Refusal.PERMANENT_DND,
            "Not authorized to update permanent dnd setting for SMS",
        ),
        (
            answered(401, {"statusCode": 401, "message": "The token is not authorized for this scope."}),
            False,
            Refusal.MISSING_SCOPE,
            "The token is not authorized for this scope",
        ),
        (
            answered(400, {"statusCode": 400, "message": "Contact with id ocQHyuzHvysMo5N5VsXc not found"}),
            False,
            Refusal.STALE_MAPPING,
            "Contact with id ocQHyuzHvysMo5N5VsXc not found",
        ),
        (
            answered(400, {"message": "The event id is invalid"}),
            False,
            Refusal.STALE_MAPPING,
            "The event id is invalid",
        ),
        (invalid("email must be an email"), False, Refusal.BAD_ADDRESS, "email must be an email"),
        (invalid("phone number is invalid", status=400), False, Refusal.BAD_ADDRESS, ""),
        (
            invalid("The slot you have selected is no longer available.", status=400),
            False,
            Refusal.SLOT_TAKEN,
            "The slot you have selected is no longer available",
        ),
        (
            invalid("A team member needs to be selected. assignedUserId is missing"),
            False,
            Refusal.NO_TEAM_MEMBER,
            "assignedUserId is missing",
        ),
        (invalid("property gender should not exist"), False, Refusal.CONTENT, "property gender should not exist"),
        (invalid("Aoife Byrne is no good"), False, Refusal.CONTENT, ""),
        (answered(409, {"message": "changed meanwhile"}), False, Refusal.OTHER, ""),
    ],
)
def test_a_refusal_is_recognised_and_read_with_the_vendors_words(
    error: ApiError, *, ours: bool, kind: Refusal, words: str
) -> None:
    read = told(error, ours=ours)
    assert (read.kind, kind_of(error, ours=ours)) == (kind, kind)
    assert read.reason == f"{kind.value} ({error.status}, {error.category.value})"
    assert words in read.detail
    assert read.detail.startswith(read.reason)
    assert "Byrne" not in read.detail
    # All but a missing scope leave the run going: it succeeds with its rejections counted, and nobody is alarmed.
    assert (error.category in MEETS_EVERY_CALL) == (kind is Refusal.MISSING_SCOPE)
