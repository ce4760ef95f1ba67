"""The README names every switch, option, control call and fault kind there is, and no other switch."""

import re
from dataclasses import fields
from pathlib import Path

from phorest_ghl.sandbox import faults
from phorest_ghl.sandbox.options import SandboxOptions, Switches
from phorest_ghl_tests.sandbox.driver import Driver

TEXT = (Path(faults.__file__).parent / "README.md").read_text()


def test_every_switch_is_explained_and_every_explained_switch_exists() -> None:
    named = set(re.findall(r"`((?:phorest|ghl)_[a-z0-9_]+)`", TEXT)) - {"phorest_secret", "ghl_token"}
    assert named == {field.name for field in fields(Switches)}


def test_every_option_is_explained() -> None:
    missing = [name for name in SandboxOptions().names() if f"`--{name.replace('_', '-')}`" not in TEXT]
    assert missing == []


def test_every_control_call_is_explained(drive: Driver) -> None:
    calls = [
        f"{route.method} {route.template.removeprefix('/__sandbox__')}" for route in drive.app.control.router.routes
    ]
    assert [call for call in calls if f"`{call}`" not in TEXT] == []


def test_every_fault_kind_is_explained() -> None:
    assert [kind for kind in faults.KINDS if f"`{kind}`" not in TEXT] == []
