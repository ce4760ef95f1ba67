"""Fixtures of the sandbox's own tests."""

from collections.abc import Iterator

import pytest

from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl_tests.sandbox.driver import Driver


@pytest.fixture
def drive() -> Driver:
    """A small salon without sockets, search lag and tight limits."""
    return Driver()


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    """A small salon over real HTTP, shared by the tests of one module."""
    with SandboxServer(SandboxOptions(clients=60, months=0)) as running:
        yield running
