"""The users of a location, as the vendor's schemas of both generations have them."""

import pytest

from phorest_ghl.ghl.users import UsersReader
from phorest_ghl.ghl.versions import Generation
from phorest_ghl_tests.ghl.test_contract import GENERATIONS, SPECS, check, sent

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not SPECS.exists(), reason="the vendor's specs are not here: ../shared/specs/ghl is absent"),
]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_users_are_asked_for_as_the_schema_says_and_deleted_ones_left_out(generation: Generation) -> None:
    found: list[str] = []

    def call(client: UsersReader) -> None:
        found.extend(user.id for user in client.users("C"))

    check(generation, sent(generation, call, UsersReader))
    assert found == ["U"]
