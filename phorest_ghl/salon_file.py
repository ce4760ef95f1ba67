"""`salon.toml`: what a person has reviewed of a salon, by Phorest id.

Belongs here: reading and checking the file. Does not: proposing what stands in it, settings (`settings`).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from phorest_ghl.settings import SettingsError

FILE = Path("salon.toml")


@dataclass(frozen=True)
class SalonFile:
    """`calendars`: GHL calendar id by Phorest branch id. `staff`: GHL user id by Phorest staff id."""

    calendars: Mapping[str, str] = field(default_factory=dict[str, str])
    staff: Mapping[str, str] = field(default_factory=dict[str, str])


def read_salon_file(path: Path = FILE) -> SalonFile:
    """What the file says; nothing where there is none. Raises SettingsError where it cannot be read."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return SalonFile()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {type(error).__name__}. Make it a readable UTF-8 file.") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}. Correct that line.") from None
    return SalonFile(_ids(content, "calendars", path), _ids(content, "staff", path))


def _ids(content: Mapping[str, object], name: str, path: Path) -> Mapping[str, str]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f'[{name}] in {path} should be a table of ids, as in "Phorest id" = "GHL id".')
    found = cast("dict[str, object]", table)
    odd = sorted(key for key, value in found.items() if not isinstance(value, str))
    if odd:
        raise SettingsError(f"[{name}] in {path} has no GHL id as text for {', '.join(odd)}.")
    return {key: str(value) for key, value in found.items() if value}
