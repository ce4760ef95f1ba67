"""Fixtures for all tests. Heavy imports happen inside them, so that a test without a database does not pay for one."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import structlog

from phorest_ghl_tests.support import session_folder

if TYPE_CHECKING:
    from phorest_ghl.db.embedded import EmbeddedServer
    from phorest_ghl_tests.support.databases import Database

_FOLDER = pytest.StashKey[Path]()


def _databases() -> ModuleType:
    from phorest_ghl_tests.support import databases  # noqa: PLC0415 - costs what tests without a database need not pay

    return databases


@pytest.fixture(autouse=True)
def log_settings_are_put_back() -> Iterator[None]:
    """A command quiets its process's logs; the tests after it in the same process see theirs."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def pytest_configure(config: pytest.Config) -> None:
    """Agree on one folder for the shared server: the controller names it, xdist hands the name to its workers."""
    workerinput = getattr(config, "workerinput", None)
    if workerinput is None:
        config.stash[_FOLDER] = session_folder.new_folder()
    else:
        config.stash[_FOLDER] = Path(workerinput["database_folder"])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell an xdist worker where the shared server is."""
    node.workerinput["database_folder"] = str(node.config.stash[_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the shared server if any test started it; the workers have gone by now."""
    folder = config.stash.get(_FOLDER, None)
    if folder is not None and folder.exists() and not hasattr(config, "workerinput"):
        _databases().end(folder)


@pytest.fixture(scope="session")
def database_server(request: pytest.FixtureRequest) -> "EmbeddedServer":
    """The server that all tests of a session share, with fsync off. A test that stops one takes `state_dir` instead."""
    return _databases().start(request.config.stash[_FOLDER])


@pytest.fixture(scope="session")
def template_database(request: pytest.FixtureRequest, database_server: "EmbeddedServer") -> str:
    """Name of a database with all migrations, from which `database` is copied. Never connect to it."""
    return _databases().make_template(database_server, request.config.stash[_FOLDER])


@pytest.fixture
def database(database_server: "EmbeddedServer", template_database: str) -> Iterator["Database"]:
    """A database of the test's own with all tables and no rows."""
    with _databases().database(database_server, template_database) as lent:
        yield lent


@pytest.fixture
def scratch_database(database_server: "EmbeddedServer") -> Iterator["Database"]:
    """A database of the test's own with nothing in it."""
    with _databases().database(database_server, "template1") as lent:
        yield lent


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """An empty state folder that any user can enter; a server started in it is stopped and removed afterwards."""
    # Not under tmp_path: pytest keeps that to its own user, and as root the server's files would move away from it.
    parent = Path(tempfile.mkdtemp(prefix="phorest_ghl-state-", dir=session_folder.fast_parent()))
    parent.chmod(0o755)
    folder = parent / "state"
    yield folder
    if folder.exists():
        _databases().end(folder)
    shutil.rmtree(parent)
