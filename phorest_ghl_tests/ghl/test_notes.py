"""The notes of contacts: the vendor's schemas of both generations, and answers of odd shapes."""

import inspect
from collections.abc import Callable, Mapping

import httpx
import pytest

from phorest_ghl.ghl.client import GhlClient, private_token
from phorest_ghl.ghl.notes import NotesClient
from phorest_ghl.ghl.versions import ApiVersion, Generation
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.http.session import ApiSession
from phorest_ghl_tests.ghl.test_contract import GENERATIONS, SPECS, check, sent
from phorest_ghl_tests.http.wire import NotingBudget

CALLS: Mapping[str, Callable[[NotesClient], object]] = {
    "notes": lambda client: client.notes("X"),
    "note": lambda client: client.note("X", "N"),
    "create_note": lambda client: client.create_note("X", "Cut / 2026-03-09 14:30 / phorest:A1", bulk=True),
}
needs_specs = pytest.mark.skipif(not SPECS.exists(), reason="the vendor's specs are not here: ../shared/specs/ghl")


@needs_specs
@pytest.mark.shared
@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("name", CALLS)
def test_every_call_about_notes_is_what_the_schema_says(generation: Generation, name: str) -> None:
    check(generation, sent(generation, CALLS[name], NotesClient))


def test_no_method_about_notes_is_left_out() -> None:
    def methods(kind: type[GhlClient]) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}

    assert methods(NotesClient) - methods(GhlClient) == CALLS.keys()


def answered(call: Callable[[NotesClient], object], body: object) -> object:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=body))
    with ApiSession(
        api="ghl",
        base_url="https://services.leadconnectorhq.com",
        auth=private_token("pit-x"),
        budget=NotingBudget(),
        transport=transport,
    ) as session:
        return call(NotesClient(session, "L", ApiVersion("2021")))


@pytest.mark.parametrize("body", [{}, {"note": None}, {"note": {"body": "b"}}])
def test_a_created_note_without_an_id_is_an_unknown_outcome(body: object) -> None:
    with pytest.raises(ApiError) as caught:
        answered(CALLS["create_note"], body)
    assert caught.value.category is Category.UNKNOWN_OUTCOME


@pytest.mark.parametrize("body", [{}, {"notes": {}}, {"notes": [{"body": "phorest:A1"}]}])
def test_a_list_of_notes_that_cannot_be_read_whole_is_no_proof_of_absence(body: object) -> None:
    with pytest.raises(ApiError) as caught:
        answered(CALLS["notes"], body)
    assert caught.value.category is Category.PROTOCOL
