"""`bench first-load` at a tiny size: the bound is one of requests that the sandbox has counted; pace is no matter of it."""

import pytest

from benchmarks import first_load
from benchmarks.report import Options

pytestmark = pytest.mark.road


def test_a_first_load_is_held_to_the_requests_that_cannot_be_done_without() -> None:
    said: list[str] = []
    report = first_load.run(Options(clients=120, rate_window_s=0.2), said.append)
    whole, empty, agency = (report.figures[name] for name in ("whole load", "empty location", "an agency's contacts"))
    assert min(int(whole[name]) for name in ("contacts", "events")) > 0
    assert int(whole["requests"]) <= int(whole["bound"])
    assert int(whole["beyond_records"]) == int(whole["requests"]) - sum(
        int(whole[name]) for name in ("contacts", "events", "notes")
    )
    assert whole["rejected_429"] == whole["next_run_writes"] == 0
    assert float(whole["first_to_last_s"]) > float(whole["at_pace_s"]) > 0
    assert (empty["contacts_before"], empty["adopted"], agency["contacts_before"]) == (0, 0, 40)
    assert int(agency["adopted"]) > 0
    for case in (empty, agency):
        assert int(case["requests"]) <= int(case["bound"])
        assert int(case["requests"]) >= int(case["contacts"]), "a contact that nobody asked GHL for"
        assert (case["overwritten"], case["unchanged_writes"]) == (0, 0)
        assert int(case["unchanged_reads"]) <= first_load.UNCHANGED_READS
    assert len(said) == 5
