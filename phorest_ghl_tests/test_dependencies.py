"""What is installed is what is pinned, from the index, under licences that were looked at."""

from importlib.metadata import distributions
from pathlib import Path

import pytest

from phorest_ghl_tests.dependencies import CONSTRAINTS, disagreements, ours, pinned


def test_everything_installed_is_pinned_to_its_very_version_under_a_licence_that_was_looked_at() -> None:
    installed = ours(distributions())
    assert len(installed) > 100
    assert disagreements(installed, pinned(CONSTRAINTS.read_text(encoding="utf-8"))) == []


def test_what_is_not_pinned_or_pinned_otherwise_or_unlicensed_or_from_elsewhere_is_said(tmp_path: Path) -> None:
    info = tmp_path / "strange_thing-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange.thing\nVersion: 2.0\n", encoding="utf-8")
    found = list(distributions(path=[str(tmp_path)]))
    assert [line.partition(";")[0] for line in disagreements(found, {})] == [
        "strange-thing 2.0 is installed and not pinned",
        "strange-thing is under no stated licence",
    ]
    (info / "direct_url.json").write_text("{}", encoding="utf-8")
    said = disagreements(found, {"strange-thing": "1.9"})
    assert said[0] == "strange-thing 2.0 is installed, constraints.txt says 1.9; run make setup."
    assert len(said) == 3


def test_a_constraint_that_pins_nothing_is_refused() -> None:
    assert pinned("A_b.c==1.0  # why\n\n# nothing\n") == {"a-b-c": "1.0"}
    with pytest.raises(ValueError, match="pins nothing"):
        pinned("thing>=2\n")
