"""`python -m phorest_ghl_tests` is what `make test` runs: all tests in stages, and one line that adds them up.

Belongs here: which stages there are, and their order. Does not belong here: how tests are set up (`conftest`).

All but the browser's share the cores. End-to-end and crash tests wait more than they compute, and those of a file run one
after the other: they share what the file sets up. Coverage is measured over the stages before the crash tests together.
"""

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[1]
COVERAGE_FLOOR = 85
_NO_TESTS = 5  # pytest's exit code where nothing was selected


@dataclasses.dataclass(frozen=True)
class Stage:
    """Some of the tests, by pytest's marker expression."""

    name: str
    markers: str
    options: tuple[str, ...] = ()
    measured: bool = False


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How many tests of a stage passed, failed and were skipped, and how long it took."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        """Add two stages up."""
        return Outcome(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.seconds + other.seconds,
        )

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


_BY_FILE = ("-n", "2", "--dist", "loadfile")
_A_FILE_EACH = ("-n", "3", "--dist", "loadfile")
"""There are three files, and each of them mostly waits."""
# A test with two of the marks runs in the first stage that names one.
STAGES = (
    Stage("fast", "not road and not e2e and not crash and not browser", ("-n", "2"), measured=True),
    Stage("road", "road", ("-n", "2"), measured=True),
    Stage("e2e", "e2e and not road", _A_FILE_EACH, measured=True),
    Stage("crash", "crash and not e2e and not road", _BY_FILE),
    Stage("browser", "browser and not e2e and not crash and not road"),
)


def main() -> int:
    """Run all stages, whatever the earlier ones said, and return the exit code."""
    # A shell that starts us in the background hands SIGINT down ignored; tests that press Ctrl-C would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    total, well = Outcome(), True
    with tempfile.TemporaryDirectory(prefix="phorest_ghl-reports-") as reports:
        environment = {**os.environ, "COVERAGE_FILE": str(Path(reports, "coverage"))}
        for stage in STAGES:
            outcome, code = run(stage, Path(reports, f"{stage.name}.xml"), environment)
            total += outcome
            well = well and code in {0, _NO_TESTS} and outcome.failed == 0
            ran = "no tests" if code == _NO_TESTS else str(outcome)
            say(
                f"== {stage.name}: {ran} in {outcome.seconds:.1f} s{'' if code in {0, 1, 5} else f' (exit code {code})'}"
            )
        well = coverage_holds(environment) and well
    say(str(total))
    return 0 if well and total.passed else 1


def run(stage: Stage, report: Path, environment: dict[str, str]) -> tuple[Outcome, int]:
    """Run one stage; where pytest itself broke off, its exit code says so and the counts are those it reached."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", stage.markers, f"--junitxml={report}", *stage.options]
    if stage.measured:
        command += ["--cov=phorest_ghl", "--cov-append", "--cov-report="]
    began = time.monotonic()
    code = call(command, environment)
    seconds = time.monotonic() - began
    return dataclasses.replace(counts(report), seconds=seconds), code


def counts(report: Path) -> Outcome:
    """Read the counts of a JUnit report; none was written if pytest never got that far."""
    if not report.exists():
        return Outcome()
    passed = failed = skipped = 0
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written by our own pytest a moment ago
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed += 1
        elif "skipped" in kinds:
            skipped += 1
        else:
            passed += 1
    return Outcome(passed, failed, skipped)


def coverage_holds(environment: dict[str, str]) -> bool:
    """Compare the coverage of the measured stages with the floor; where it is too low, list what is not covered."""
    coverage = [sys.executable, "-m", "coverage", "report"]
    total = subprocess.run(
        [*coverage, "--format=total", "--fail-under=0"],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if total.returncode != 0:
        say(f"== coverage: could not be measured. {total.stdout.strip()} {total.stderr.strip()}")
        return False
    percent = float(total.stdout)
    if percent < COVERAGE_FLOOR:
        call([*coverage, "--fail-under=0"], environment)
    say(f"== coverage: {percent:g} % of phorest_ghl; the floor is {COVERAGE_FLOOR} %")
    return percent >= COVERAGE_FLOOR


def call(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run a command with our own output."""
    return subprocess.run(command, check=False, cwd=ROOT, env=environment).returncode


def say(line: str) -> None:
    """Print a line at once, so that it stands after what the stage printed."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
