"""Tags on many contacts: as few calls as there can be, each change answered for."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.ghl.client import GhlClient, private_token
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.http.session import ApiSession
from phorest_ghl.sync.tags import TagChange, send_tags, tag_calls
from phorest_ghl_tests.http.wire import Clock, NotingBudget, policy

changes = st.builds(
    TagChange,
    phorest_id=st.sampled_from("pqr"),
    ghl_id=st.sampled_from("ABCDE"),
    tag=st.sampled_from(["vip", " VIP ", "phorest:banned"]),
    add=st.sampled_from([True]),
)


def client(answer: Callable[[list[str], str], httpx.Response]) -> GhlClient:
    """A client whose bulk calls are answered by contacts and tag."""

    def serve(request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        (tag,) = body["tags"]
        return answer(body["contacts"], tag)

    session = ApiSession(
        api="ghl",
        base_url="https://ghl.example",
        auth=private_token("pit-x"),
        budget=NotingBudget(),
        retry=policy(Clock(), attempts=2),
        transport=httpx.MockTransport(serve),
    )
    return GhlClient(session, "L")


def done(contacts: list[str], tag: str) -> httpx.Response:
    parts = [{"contactId": key, "type": "success", "message": "Tags updated"} for key in contacts]
    return httpx.Response(201, json={"responses": parts})


CONFIRMING = client(done)


def change(number: int, tag: str = "vip", **more: Any) -> TagChange:
    return TagChange(phorest_id=f"p{number}", ghl_id=f"c{number:05}", tag=tag, add=more.get("add", True))


@pytest.mark.parametrize("contacts", [0, 1, 499, 500, 501, 1000, 1001])
def test_a_tag_takes_one_call_for_every_500_contacts_begun_and_not_one_more(contacts: int) -> None:
    calls = tag_calls(change(number) for number in range(contacts))
    assert len(calls) == math.ceil(contacts / 500)
    assert sum(len(call.contacts) for call in calls) == contacts


@given(st.lists(changes))
def test_the_calls_do_not_depend_on_the_order_and_spelling_and_no_contact_stands_twice(wanted: list[TagChange]) -> None:
    calls = tag_calls(wanted)
    assert calls == tag_calls(reversed(wanted))
    stands = Counter((call.tag, call.add, ghl_id) for call in calls for ghl_id in call.contacts)
    assert set(stands.values()) <= {1}
    assert {c for call in calls for behind in call.contacts.values() for c in behind} == set(wanted)
    assert send_tags(CONFIRMING, wanted) == dict.fromkeys(wanted)


def test_what_a_contact_loses_comes_before_what_it_gains_and_never_both_at_once() -> None:
    calls = tag_calls([change(1, "a"), change(1, "b", add=False), change(2, "b", add=True)])
    assert [(call.tag, call.add) for call in calls] == [("b", False), ("a", True), ("b", True)]
    with pytest.raises(ValueError, match="gain and to lose"):
        tag_calls([change(1, "VIP"), change(1, "vip", add=False)])


def test_each_call_is_answered_for_before_the_next_one_leaves_and_a_failed_one_fails_alone() -> None:
    def answer(contacts: list[str], tag: str) -> httpx.Response:
        if tag == "b":
            return httpx.Response(500, json={"message": "no"})
        refused = {"contactId": contacts[0], "type": "error", "message": "contact is deleted"}
        return httpx.Response(
            201, json={"responses": [refused, *orjson.loads(done(contacts[1:], tag).content)["responses"]]}
        )

    kept: list[int] = []
    wanted = [change(number, tag) for tag in "abc" for number in range(2)]
    answers = send_tags(client(answer), wanted, answered=lambda proved: kept.append(len(proved)))
    assert kept == [2, 2, 2]
    assert [answers[c] for c in wanted if c.tag != "b"] == ["contact is deleted", None] * 2
    assert all("answered 500" in str(answers[c]) for c in wanted if c.tag == "b")


def test_a_failure_that_would_meet_every_call_ends_it_at_the_first() -> None:
    asked: list[str] = []

    def answer(_: list[str], tag: str) -> httpx.Response:
        asked.append(tag)
        return httpx.Response(401, json={"message": "Invalid JWT"})

    with pytest.raises(ApiError) as caught:
        send_tags(client(answer), [change(1, "a"), change(1, "b")])
    assert caught.value.category is Category.AUTH
    assert asked == ["a"]
