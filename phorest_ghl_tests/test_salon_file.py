"""salon.toml: which calendar an appointment is in, as a person has written it down."""

from pathlib import Path

import pytest

from phorest_ghl.assembly import event_rules
from phorest_ghl.salon_file import SalonFile, read_salon_file
from phorest_ghl.settings import SettingsError, load_settings

WRITTEN = """
[calendars]
"B1" = "of the branch"
[staff_calendars]
"S1" = "of the stylist"
[category_calendars]
"Skin  Clinic" = "of the category"
"Nothing yet" = ""
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "salon.toml"
    path.write_text(WRITTEN, encoding="utf-8")
    return path


def test_the_stylists_calendar_goes_before_the_categorys_and_that_before_the_branchs(file: Path) -> None:
    settings = load_settings({"GHL_DEFAULT_CALENDAR_ID": "of nobody"}, env_file=None)
    rules = event_rules(settings, read_salon_file(file), None)
    assert rules.calendar_of("B1", "S1", "Skin clinic") == "of the stylist"
    assert rules.calendar_of("B1", "S2", "skin CLINIC") == "of the category"
    assert rules.calendar_of("B1", "S2", "Nothing yet") == rules.calendar_of("B1") == "of the branch"
    assert rules.calendar_of("B2", None, None) == "of nobody"
    assert rules.all_calendars == ("of nobody", "of the branch", "of the category", "of the stylist")


def test_without_a_file_there_is_no_calendar_of_its_own(tmp_path: Path) -> None:
    assert read_salon_file(tmp_path / "salon.toml") == SalonFile()


def test_a_calendar_that_is_no_text_is_named(file: Path) -> None:
    file.write_text('[staff_calendars]\n"S1" = 7\n', encoding="utf-8")
    with pytest.raises(SettingsError, match=r"\[staff_calendars\].*S1"):
        read_salon_file(file)
