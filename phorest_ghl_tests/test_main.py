"""The runner behind `make test`: nothing that failed may be counted as passed."""

import os
import sys
from pathlib import Path

import pytest

from phorest_ghl_tests import __main__ as runner

TESTS = """
import pytest

def test_that_passes():
    pass

def test_that_fails():
    assert False

@pytest.mark.skip(reason="to be counted")
def test_that_is_skipped():
    pass

@pytest.fixture
def broken():
    raise RuntimeError

def test_whose_fixture_breaks(broken):
    pass

@pytest.fixture
def breaks_at_the_end():
    yield
    raise RuntimeError

def test_that_passes_but_whose_fixture_breaks(breaks_at_the_end):
    pass
"""


def test_failures_errors_and_skips_of_a_real_report_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    code = runner.call([*command, f"--rootdir={tmp_path}", "-c", os.devnull, str(tmp_path)], dict(os.environ))
    assert code == 1
    assert runner.counts(report) == runner.Outcome(passed=1, failed=3, skipped=1)


def test_a_stage_that_wrote_no_report_counts_nothing(tmp_path: Path) -> None:
    assert runner.counts(tmp_path / "none.xml") == runner.Outcome()


@pytest.mark.parametrize(
    ("outcomes", "codes", "covered", "expected"),
    [
        ([(3, 0, 1)] * 5, [0] * 5, True, 0),
        ([(3, 0, 1), *[(0, 0, 0)] * 4], [0, 5, 5, 5, 5], True, 0),
        ([(3, 1, 0), *[(1, 0, 0)] * 4], [1, 0, 0, 0, 0], True, 1),
        ([(3, 0, 0), (0, 0, 0), *[(1, 0, 0)] * 3], [0, 3, 0, 0, 0], True, 1),
        ([(3, 0, 0)] * 5, [0] * 5, False, 1),
        ([(0, 0, 0)] * 5, [5] * 5, True, 1),
    ],
    ids=["all well", "only fast tests", "one failed", "pytest broke off", "not covered", "no test at all"],
)
def test_the_exit_code_is_zero_only_if_tests_ran_and_all_was_well(
    outcomes: list[tuple[int, int, int]],
    codes: list[int],
    covered: bool,  # noqa: FBT001 - a column of the table
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = iter([(runner.Outcome(*outcome), code) for outcome, code in zip(outcomes, codes, strict=True)])
    monkeypatch.setattr(runner, "run", lambda stage, report, environment: next(results))
    monkeypatch.setattr(runner, "coverage_holds", lambda environment: covered)
    assert runner.main() == expected
    last = capsys.readouterr().out.splitlines()[-1]
    passed, failed, skipped = (sum(column) for column in zip(*outcomes, strict=True))
    assert last == f"{passed} passed, {failed} failed, {skipped} skipped"


def test_the_stages_share_out_every_combination_of_marks() -> None:
    for number in range(16):
        marks = {mark for bit, mark in enumerate(("road", "e2e", "crash", "browser")) if number >> bit & 1}
        names = {mark: mark in marks for mark in ("road", "e2e", "crash", "browser")}
        chosen = [stage.name for stage in runner.STAGES if eval(stage.markers, {}, names)]  # noqa: S307 - our own text
        assert len(chosen) == 1, marks
