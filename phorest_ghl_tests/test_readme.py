"""The README is true where it repeats what the code says."""

import re
from pathlib import Path

from typer.main import get_command

from phorest_ghl.cli import app
from phorest_ghl.defs.schedules import CRON_TABLE

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_cron_table_is_the_one_that_runs() -> None:
    listed = re.findall(r"^\| (\w+) \| `([^`]+)` \| (.+) \|$", README, flags=re.MULTILINE)
    assert listed == [(entry.name, entry.cron, entry.description) for entry in CRON_TABLE]


def test_every_command_it_names_exists() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    named = set(re.findall(r"phorest-ghl ([a-z][a-z-]+)", README))
    assert named
    assert named <= set(commands)


def test_every_file_and_picture_it_links_to_exists() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_test_that_the_reliability_page_names_exists() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    defined = {
        name
        for file in Path(__file__).parent.rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert len(named) > 40
    assert named <= defined
