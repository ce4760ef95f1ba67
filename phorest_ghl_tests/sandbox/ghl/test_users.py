"""Users (facts/ghl-api §13)."""

import pytest

from phorest_ghl_tests.sandbox.driver import Driver


def test_users_are_searched_by_words_and_in_pages(drive: Driver) -> None:
    where = {"companyId": drive.world.location["companyId"]}
    everybody = drive.ghl("GET", "/users/search", query=where).json
    page = drive.ghl("GET", "/users/search", query=where | {"skip": "1", "limit": "2"}).json
    assert page["users"] == everybody["users"][1:3]
    assert page["count"] == everybody["count"] == len(drive.world.ghl["users"])
    one = everybody["users"][0]
    assert [
        row["id"] for row in drive.ghl("GET", "/users/search", query=where | {"query": one["email"]}).json["users"]
    ] == [one["id"]]


@pytest.mark.parametrize("wrong", ["x", "-1", "²", "", "1.5"])
@pytest.mark.parametrize("name", ["skip", "limit"])
def test_a_page_that_is_no_number_is_a_complaint_not_a_crash(drive: Driver, name: str, wrong: str) -> None:
    query = {"companyId": drive.world.location["companyId"], name: wrong}
    answer = drive.ghl("GET", "/users/search", query=query)
    assert (answer.status, answer.json["message"]) == (422, [f"{name} must be a number string"])


def test_another_company_is_forbidden(drive: Driver) -> None:
    assert drive.ghl("GET", "/users/search", query={"companyId": "x"}).status == 403
