"""Schemathesis as a judge: cases made from the vendor's specs, sent to a sandbox over HTTP.

It reads the specs loosely, `contract.py` as strictly as they can be. Whatever either says against an answer, the
reviewed overlay has to explain. The same seed makes the same cases: some 1,800 of them, in half a minute.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl_tests.sandbox import contract, spec_cases
from phorest_ghl_tests.sandbox.driver import Driver
from phorest_ghl_tests.sandbox.test_contract import OVERLAY, needs_specs

pytestmark = [pytest.mark.shared, pytest.mark.road, pytest.mark.timeout(60), needs_specs]

PATTERNS = [entry["deviation"] for entry in OVERLAY]
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
CASES = {GenerationMode.POSITIVE: 6, GenerationMode.NEGATIVE: 5}
SPECS = [(version, name) for version in spec_cases.VERSION_HEADERS for name in spec_cases.FILES]
GET_EVENT = "GET /calendars/events/appointments/{eventId}"


@dataclass
class Verdict:
    """What was found over all cases of one spec file."""

    cases: int = 0
    accepted: set[str] = field(default_factory=set)
    complaints: set[str] = field(default_factory=set)

    def judge(self, case: schemathesis.Case, response: schemathesis.Response, exchange: contract.Exchange) -> None:
        """Take one answer into account."""
        self.cases += 1
        if response.status_code < 300:
            self.accepted.add(case.operation.label)
        lines = list(contract.deviations(exchange))
        strange = [line for line in lines if not any(fnmatchcase(line, pattern) for pattern in PATTERNS)]
        self.complaints.update(strange)
        excused = response.status_code < 500 and lines and not strange
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as group:
            named = {f"{case.operation.label}: {failure}" for failure in group.exceptions}
            self.complaints.update(set() if excused else named)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A small salon without search lag and tight limits."""
    calm = {"ghl_search_lag_s": 0.0, "ghl_rate_max": 1_000_000, "ghl_daily_max": 1_000_000}
    with SandboxServer(SandboxOptions(clients=20, months=0, switches=calm)) as running:
        yield running


def _served(version: str, name: str) -> list[Any]:
    """The operations of a spec that the sandbox has a route for."""
    routes = {(route.method, _shape(route.template)) for route in Driver(clients=1).app.ghl.router.routes}
    found = [result.ok() for result in spec_cases.load(version, name).get_all_operations()]
    return [operation for operation in found if (operation.method.upper(), _shape(operation.path)) in routes]


def _shape(template: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in template.strip("/").split("/"))


def _cases(operation: Any, mode: GenerationMode, most: int, run: Callable[[schemathesis.Case], None]) -> None:
    """Call `run` with at most this many cases of one operation, the same ones each time."""

    @seed(7)
    @settings(
        max_examples=most,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def each(case: schemathesis.Case) -> None:
        run(case)

    each()


def _trial(server: SandboxServer, version: str, operations: list[Any]) -> Verdict:
    target, verdict = spec_cases.Target(server, version), Verdict()
    with httpx.Client(base_url=server.url) as http:
        for operation in operations:
            target.furnish(http)
            for mode, most in CASES.items():

                def run(case: schemathesis.Case, mode: GenerationMode = mode) -> None:
                    target.aim(case, valid=mode is GenerationMode.POSITIVE)
                    response = case.call(base_url=server.url)
                    verdict.judge(case, response, target.exchange(response))

                _cases(operation, mode, most, run)
    return verdict


@pytest.mark.parametrize(("version", "name"), SPECS)
def test_answers_to_cases_from_the_spec_are_as_it_says_or_as_the_overlay_explains(
    sandbox: SandboxServer, version: str, name: str
) -> None:
    operations = _served(version, name)
    verdict = _trial(sandbox, version, operations)
    assert sorted(verdict.complaints) == []
    assert verdict.cases >= 5 * len(operations) > 0
    assert {operation.label for operation in operations} - verdict.accepted == set(), "refusals alone prove little"


@pytest.mark.parametrize(("version", "name"), SPECS)
def test_no_operation_takes_a_bad_token_or_a_missing_or_unknown_version(
    sandbox: SandboxServer, version: str, name: str
) -> None:
    target = spec_cases.Target(sandbox, version)
    wrong: list[dict[str, str | None]] = [
        {"Authorization": None},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer pit-00000000-0000-0000-0000-000000000000"},
        {"Authorization": target.headers["Authorization"].replace("Bearer", "Basic")},
        {"Version": None},
        {"Version": "2020-01-01"},
    ]
    taken: set[tuple[str, str, int]] = set()

    def run(case: schemathesis.Case) -> None:
        target.aim(case, valid=True)
        for change in wrong:
            case.headers = {key: value for key, value in (target.headers | change).items() if value is not None}
            status = case.call(base_url=sandbox.url).status_code
            if status != 401:
                taken.add((case.operation.label, str(change), status))

    with httpx.Client(base_url=sandbox.url) as http:
        target.furnish(http)
    for operation in _served(version, name):
        _cases(operation, GenerationMode.POSITIVE, 1, run)
    assert taken == set()


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/faults", {"route": GET_EVENT, "kind": "500", "rate": 1.0}, "Server error"),
        ("/faults", {"route": GET_EVENT, "kind": "html", "rate": 1.0}, "Server error"),
        ("/switches", {"ghl_appointment_wrapper": "appointment"}, "200 appointment is not declared"),
    ],
)
def test_the_judge_sees_a_planted_defect(sandbox: SandboxServer, path: str, body: dict[str, Any], words: str) -> None:
    sandbox.control("POST", path, body)
    operations = [operation for operation in _served("v2", "calendars") if operation.label == GET_EVENT]
    complaints = _trial(sandbox, "v2", operations).complaints
    assert any(words in line for line in complaints), complaints
