"""`bench first-load` at a tiny size: the bound is one of requests that the sandbox has counted."""

import pytest

from benchmarks import first_load
from benchmarks.report import Options

pytestmark = pytest.mark.e2e


def test_a_first_load_is_held_to_the_requests_that_cannot_be_done_without() -> None:
    said: list[str] = []
    report = first_load.run(Options(clients=120), said.append)
    empty, agency = report.figures["empty location"], report.figures["an agency's contacts"]
    assert (empty["contacts_before"], empty["adopted"], agency["contacts_before"]) == (0, 0, 40)
    assert int(agency["adopted"]) > 0
    for case in (empty, agency):
        assert int(case["requests"]) <= int(case["bound"])
        assert int(case["requests"]) >= int(case["contacts"]), "a contact that nobody asked GHL for"
        assert (case["overwritten"], case["unchanged_writes"]) == (0, 0)
        assert int(case["unchanged_reads"]) <= first_load.UNCHANGED_READS
    assert report.ratio >= report.bar
    assert len(said) == 4
