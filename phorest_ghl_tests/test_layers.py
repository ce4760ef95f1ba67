"""The layers are rules that a tool enforces: each forbidden import, written into its layer, is refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FORBIDDEN = [
    ("http", "import dagster"),
    ("http", "from phorest_ghl.sync.plan import Plan"),
    ("http", "from phorest_ghl.phorest.client import PhorestClient"),
    ("http", "from phorest_ghl.ghl.client import GhlClient"),
    ("http", "from phorest_ghl.sandbox.server import SandboxServer"),
    ("phorest", "import dagster as dg"),
    ("phorest", "from phorest_ghl.ghl.client import GhlClient"),
    ("phorest", "from phorest_ghl.sync.plan import Plan"),
    ("phorest", "from phorest_ghl.sandbox.server import SandboxServer"),
    ("ghl", "from dagster import asset"),
    ("ghl", "from phorest_ghl.phorest.client import PhorestClient"),
    ("ghl", "from phorest_ghl.sync import plan"),
    ("ghl", "from phorest_ghl.sandbox.server import SandboxServer"),
    ("db", "import dagster"),
    ("db", "import httpx"),
    ("db", "from phorest_ghl.sync import plan"),
    ("db", "from phorest_ghl.phorest import pages"),
    ("db", "from phorest_ghl.ghl import models"),
    ("sync", "import dagster"),
    ("sync", "import httpx"),
    ("sync", "from httpx import Client"),
    ("sync", "from phorest_ghl.defs import assets"),
    ("sync", "from phorest_ghl.sandbox.server import SandboxServer"),
    ("sandbox", "from phorest_ghl.ghl import models"),
    ("sandbox", "from phorest_ghl.phorest import models"),
    ("sandbox", "from phorest_ghl.sync import plan"),
    ("sandbox", "from phorest_ghl.http import session"),
    ("sandbox", "import dagster"),
    ("defs", "from phorest_ghl.sandbox.server import SandboxServer"),
    ("defs", "from __future__ import annotations"),
    ("privacy", "import dagster"),
    ("privacy", "import httpx"),
    ("doctor", "import dagster"),
    ("doctor", "import httpx"),
    ("doctor", "from phorest_ghl.sandbox.server import SandboxServer"),
    ("commands", "import dagster"),
    ("", "from phorest_ghl.sandbox.server import SandboxServer"),
]
ALLOWED = [
    ("http", "import httpx"),
    ("phorest", "from phorest_ghl.http import session"),
    ("ghl", "from phorest_ghl.http import session"),
    ("sync", "from phorest_ghl.ghl import models"),
    ("sync", "from phorest_ghl.db import keyed"),
    ("defs", "import dagster as dg"),
    ("defs", "from phorest_ghl.sync import plan"),
    ("commands", "from phorest_ghl.sandbox.server import SandboxServer"),
]


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Modules of a copy of the layers, each with one import, that ruff refuses for what they import."""
    copy = tmp_path_factory.mktemp("layers")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for rules in (ROOT / "phorest_ghl").glob("*/ruff.toml"):
        target = copy / rules.relative_to(ROOT)
        target.parent.mkdir(parents=True)
        shutil.copy(rules, target)
    for name, (layer, line) in named(FORBIDDEN + ALLOWED).items():
        (copy / "phorest_ghl" / layer / f"{name}.py").write_text(f"{line}\n")
    ruff = Path(sys.executable).with_name("ruff")
    checked = subprocess.run(
        [ruff, "check", "--no-cache", "--output-format=concise", "--select=TID251", "phorest_ghl"],
        cwd=copy, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert checked.returncode in (0, 1), checked.stderr
    return {Path(line.partition(":")[0]).stem for line in checked.stdout.splitlines() if "TID251" in line}


def named(imports: list[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    return {f"module_{place}": pair for place, pair in enumerate(imports)}


NAMES = {pair: name for name, pair in named(FORBIDDEN + ALLOWED).items()}


@pytest.mark.parametrize(("layer", "line"), FORBIDDEN)
def test_an_import_across_the_layers_is_refused(refused: set[str], layer: str, line: str) -> None:
    assert NAMES[layer, line] in refused


@pytest.mark.parametrize(("layer", "line"), ALLOWED)
def test_an_import_within_the_layers_is_let_through(refused: set[str], layer: str, line: str) -> None:
    assert NAMES[layer, line] not in refused


def test_every_folder_of_the_package_says_what_it_may_not_import() -> None:
    folders = {path.parent for path in (ROOT / "phorest_ghl").glob("*/__init__.py")}
    assert {folder for folder in folders if not (folder / "ruff.toml").exists()} == set()
