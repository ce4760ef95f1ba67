"""The judge of the demo's staff: it can say no."""

from typing import Any

import pytest

from phorest_ghl.commands.demo_staff import judge_staff

CLOSED = {"Email": {"status": "active"}, "SMS": {"status": "active"}}
ONE = {"userId": "U", "archived": False, "email": "a@example.com", "mobile": "0000"}


def made(number: str = "1", **more: Any) -> dict[str, Any]:
    held = {"email": "a@example.com", "customFields": {}, "tags": ["role:staff"], "dnd": True, "dndSettings": CLOSED}
    return {"id": number, **held, **more}


def test_one_closed_contact_a_human_is_what_it_wants() -> None:
    nobody = [{**ONE, "userId": None}, {**ONE, "userId": "V", "archived": True}, {**ONE, "userId": "W", "email": "w@"}]
    truth = judge_staff([ONE, {**ONE, "email": None, "mobile": "+353861"}, *nobody], [made()])
    assert (truth.people, truth.on_one_contact, truth.made, truth.holds) == (1, 1, {"1"}, True)


@pytest.mark.parametrize(
    "contacts",
    [
        [],
        [made(tags=[])],
        [made(), made("2")],
        [made(dnd=False)],
        [made(dndSettings={**CLOSED, "SMS": {"status": "inactive"}})],
    ],
    ids=["none", "not tagged", "two", "open", "a channel open"],
)
def test_it_says_no(contacts: list[dict[str, Any]]) -> None:
    assert not judge_staff([ONE], contacts).holds


def test_a_contact_that_is_a_clients_or_was_there_is_not_made_for_the_staff() -> None:
    theirs, clients = made(dnd=False), made(dnd=False, customFields={"F": "C"})
    assert judge_staff([ONE], [theirs], [theirs]).holds
    assert judge_staff([ONE], [clients]).made == frozenset()
