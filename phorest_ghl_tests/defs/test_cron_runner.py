"""Which lines of the cron table are due in a stretch of time: each once, none of another stretch."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from phorest_ghl.defs.cron_runner import due
from phorest_ghl.defs.schedules import CRON_TABLE

MIDNIGHT = datetime(2026, 7, 1, tzinfo=UTC)


def test_a_line_that_is_due_several_times_runs_once_at_its_first_tick() -> None:
    found = due(MIDNIGHT, MIDNIGHT + timedelta(hours=1), "UTC")
    assert [(tick.minute, name) for tick, name in found if name in {"appointments", "check_ins"}] == [
        (5, "appointments"),
        (8, "check_ins"),
    ]
    assert found == sorted(found)


def test_stretches_that_touch_have_each_tick_once() -> None:
    five = MIDNIGHT + timedelta(minutes=5)
    assert [name for _, name in due(MIDNIGHT, five, "UTC") if name == "appointments"] == ["appointments"]
    assert due(five, five + timedelta(minutes=1), "UTC") == []


def test_a_day_has_every_line_of_the_table_and_follows_the_zone() -> None:
    hours = [MIDNIGHT + timedelta(hours=hour) for hour in range(25)]
    ticks = [one for start, end in pairwise(hours) for one in due(start, end, "Europe/Dublin")]
    assert {name for _, name in ticks} == {entry.name for entry in CRON_TABLE}
    (products,) = (tick for tick, name in ticks if name == "products")
    assert (products.hour, products.astimezone(UTC).hour) == (5, 4)
