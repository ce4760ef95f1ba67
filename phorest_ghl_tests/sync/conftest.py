"""Fixtures of the tests that drive the product against a sandbox."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from phorest_ghl_tests.sync.rig import Rig, installation

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database


@pytest.fixture
def rig(database: "Database") -> Iterator[Rig]:
    """A small salon and an empty database; nothing imported."""
    with installation(database.url) as made:
        yield made
