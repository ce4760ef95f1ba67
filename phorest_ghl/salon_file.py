"""salon.toml: what a person reviews. What stands in it is a person's; a command only adds lines.

Belongs here: reading the file, adding proposals to it. Does not: settings (`settings`), making a proposal.
"""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from phorest_ghl.settings import SettingsError

FILE = Path("salon.toml")
SECTION = "staff_users"
CALENDARS = ("calendars", "staff_calendars", "category_calendars")
"""Tables of GHL calendar ids, by Phorest branch id, by staff id, and by name of a category of services."""
_HEADER = re.compile(rf"^[ \t]*\[{SECTION}\][ \t]*(?:#.*)?$", re.MULTILINE)
_WORDS = """# Which user of GoHighLevel each member of the staff is, by Phorest's staff id: who appointments are assigned to.
# Proposed by `phorest-ghl staff-map`. Nothing of it counts until a person has looked and set reviewed = true.
"""


@dataclass(frozen=True)
class StaffUser:
    """One line of the map. `user_id` None: nobody was found. `note` says to a person who it is, and why."""

    staff_id: str
    user_id: str | None
    note: str


def staff_users(path: Path) -> Mapping[str, str]:
    """The user of each staff id; empty while the file or the section is not there, or nobody has reviewed it.

    Raises SettingsError where the file cannot be read.
    """
    section = _section(_text(path), path)
    if section.get("reviewed") is not True:
        return {}
    found = {name: value for name, value in section.items() if name != "reviewed"}
    odd = sorted(name for name, value in found.items() if not isinstance(value, str))
    if odd:
        raise SettingsError(
            f"{path}, [{SECTION}]: the user of staff {', '.join(odd)} is no text. Put the user's id between quotes."
        )
    return {name: value for name, value in cast("dict[str, str]", found).items() if value}


def add_staff_users(path: Path, proposed: Sequence[StaffUser]) -> int:
    """Add lines for staff that the file does not mention yet; how many were added. Nothing that stands there is changed.

    In a section that a person has reviewed new lines are commented out, so that nothing counts that nobody has looked at.
    Raises SettingsError where the file cannot be read.
    """
    before = _text(path)
    section = _section(before, path)
    new = [line for line in proposed if f'"{line.staff_id}"' not in before]
    if not new:
        return 0
    lines = "".join(_line(line, counts=section.get("reviewed") is not True) for line in new)
    header = _HEADER.search(before)
    if header is None:
        gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
        after = f"{before}{gap}[{SECTION}]\n{_WORDS}reviewed = false\n{lines}"
    else:
        after = f"{before[: header.end()]}\n{lines.rstrip()}{before[header.end() :]}"
    _section(after, path)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(after, encoding="utf-8")
    os.replace(beside, path)  # noqa: PTH105 - in one step, so that no kill leaves half a file
    return len(new)


def _line(line: StaffUser, *, counts: bool) -> str:
    note = " ".join(line.note.split())
    off = "" if counts and line.user_id else "# "
    return f'{off}"{line.staff_id}" = "{line.user_id or ""}"  # {note}\n'


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {type(error).__name__}. Make it a readable UTF-8 file.") from None


def _parsed(written: str, path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(written)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is no TOML: {error}. Correct that line, or take it out.") from None


def _section(written: str, path: Path) -> Mapping[str, object]:
    found = _parsed(written, path).get(SECTION, {})
    if not isinstance(found, dict):
        raise SettingsError(f"{path}: {SECTION} should be a section, [{SECTION}], with a line for each staff id.")
    return cast("dict[str, object]", found)


@dataclass(frozen=True)
class SalonFile:
    """What a person has decided.

    Attributes:
        calendars: GHL calendar id by Phorest branch id.
        staff_calendars: GHL calendar id by Phorest staff id.
        category_calendars: GHL calendar id by the name of a category of services.
        staff: GHL user id by Phorest staff id, once reviewed.
    """

    calendars: Mapping[str, str] = field(default_factory=dict[str, str])
    staff_calendars: Mapping[str, str] = field(default_factory=dict[str, str])
    category_calendars: Mapping[str, str] = field(default_factory=dict[str, str])
    staff: Mapping[str, str] = field(default_factory=dict[str, str])


def read_salon_file(path: Path = FILE) -> SalonFile:
    """What the file says and a person has reviewed; nothing where there is none. Raises SettingsError."""
    content = _parsed(_text(path), path)
    calendars, by_staff, by_category = (_ids(content, name, path) for name in CALENDARS)
    return SalonFile(calendars, by_staff, by_category, staff_users(path))


def _ids(content: Mapping[str, object], name: str, path: Path) -> Mapping[str, str]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f'[{name}] in {path} should be a table of ids, as in "Phorest id" = "GHL id".')
    found = cast("dict[str, object]", table)
    odd = sorted(key for key, value in found.items() if not isinstance(value, str))
    if odd:
        raise SettingsError(f"[{name}] in {path} has no GHL id as text for {', '.join(odd)}.")
    return {key: str(value) for key, value in found.items() if value}
