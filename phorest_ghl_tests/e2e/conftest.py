"""Fixtures of the end-to-end tests."""

from pathlib import Path

import pytest


@pytest.fixture
def desk(state_dir: Path) -> Path:
    """An empty folder to run commands in, that any user can enter."""
    state_dir.mkdir(parents=True, exist_ok=True)
    return state_dir
