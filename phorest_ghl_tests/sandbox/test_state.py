"""What a sandbox was is what it is after a restart, whatever happened in it, and wherever the journal was cut off."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.world import World
from phorest_ghl_tests.sandbox import contract
from phorest_ghl_tests.sandbox.driver import V2

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)


def _everything(world: World) -> dict[str, Any]:
    stores = {**world.phorest, **{f"ghl {name}": store for name, store in world.ghl.items()}, "live": world.log}
    found: dict[str, Any] = {name: dict(store.rows) for name, store in stores.items()}
    found["automations"] = list(world.automations.runs())
    found["summary"] = world.automations.summary()
    found["workflows"] = world.automations.workflows()
    return found


def _busy(folder: Path) -> contract.Recorder:
    drive = contract.tour(V2, clients=40, months=1, now=NOW, state=folder)
    for turn in range(8):
        drive.contact(firstName=f"C{turn}", email=f"c{turn}@example.com", tags=["vip"])
    drive.control("POST", "/live", {"count": 60, "seed": 3})
    drive.control("POST", "/workflows", {"unfiltered": "paused"})
    drive.contact(firstName="Paused", tags=["vip"])
    return drive


def test_everything_is_the_same_after_a_restart(tmp_path: Path) -> None:
    drive = _busy(tmp_path)
    before = _everything(drive.world)
    drive.world.close()
    after = World(drive.world.options)
    assert _everything(after) == before
    assert after.switches == drive.world.switches
    assert [row["id"] for row in after.contacts.catch_up(0).values()] == list(after.contacts.rows), (
        "search has caught up meanwhile"
    )
    after.close()


def test_a_second_restart_reads_the_compacted_journal_just_as_well(tmp_path: Path) -> None:
    drive = _busy(tmp_path)
    drive.world.close()
    World(drive.world.options).close()
    size = (tmp_path / "journal.jsonl").stat().st_size
    again = World(drive.world.options)
    assert _everything(again) == _everything(drive.world)
    assert (tmp_path / "journal.jsonl").stat().st_size == size
    again.close()


@given(cut=st.integers(1, 1_500))
@settings(max_examples=12, deadline=None)
def test_a_journal_cut_off_anywhere_in_its_last_write_loses_that_write_at_most(tmp_path_factory: Any, cut: int) -> None:
    folder = tmp_path_factory.mktemp("cut")
    drive = contract.Recorder(clients=5, months=0, now=NOW, state=folder)
    for turn in range(6):
        drive.contact(firstName=f"C{turn}")
    drive.world.close()
    journal = folder / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-cut])
    after = World(SandboxOptions(clients=5, months=0, now=NOW, state=folder))
    assert len(after.contacts) in {5, 6}
    assert len({run["contact"] for run in after.automations.runs()} - set(after.contacts.rows)) == 0
    after.close()
