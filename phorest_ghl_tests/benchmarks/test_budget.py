"""`bench budget` at a tiny size: ours and the official SDK send creates, and refusals are counted."""

import pytest

from benchmarks import budget
from benchmarks.official_sdk import Location, create_contacts
from benchmarks.report import Options
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.server import SandboxServer

pytest.importorskip("highlevel", reason="the bench extra is not installed")


@pytest.mark.e2e
def test_every_window_is_measured_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "LATENCIES_MS", (50,))
    monkeypatch.setattr(budget, "LIMIT", 20)
    monkeypatch.setattr(budget, "_ACQUIRES", 50)
    monkeypatch.setattr(budget, "_SDK_REQUESTS", 120)
    report = budget.run(Options(requests=70, rate_window_s=0.25), lambda line: None)
    assert {"50 ms, fixed", "50 ms, sliding", "asking, 1 at once", "asking, 8 at once"} == set(report.figures)
    for kind in ("fixed", "sliding"):
        figures = report.figures[f"50 ms, {kind}"]
        assert figures["window_s"] == 0.25
        assert float(figures["sdk_10_accepted"]) + float(figures["sdk_10_refused"]) == 120
        assert report.ratio <= float(figures["share"])


def test_what_the_official_sdk_is_refused_is_counted_and_nothing_is_lost() -> None:
    options = SandboxOptions(clients=1, months=0, rate_window_s=60, switches={"ghl_rate_max": 7})
    with SandboxServer(options) as served:
        at = Location(
            url=served.url,
            token=served.settings["GHL_PRIVATE_TOKEN"],
            location_id=served.settings["GHL_LOCATION_ID"],
        )
        bodies = [{"firstName": "Aoife", "email": f"client{number}@example.com"} for number in range(12)]
        done = create_contacts(at, bodies, at_once=3)
        assert (len(done.accepted), done.refused) == (7, 5)
        assert {row["email"] for row in served.truth("ghl/contacts")} <= {body["email"] for body in bodies}
        assert len(served.truth("ghl/contacts")) == 7


def test_the_official_sdk_stops_when_its_time_is_over() -> None:
    with SandboxServer(SandboxOptions(clients=1, months=0, latency_ms=20)) as served:
        at = Location(
            url=served.url,
            token=served.settings["GHL_PRIVATE_TOKEN"],
            location_id=served.settings["GHL_LOCATION_ID"],
        )
        bodies = [{"email": f"client{number}@example.com"} for number in range(90)]
        done = create_contacts(at, bodies, at_once=1, seconds=0.1)
    assert 1 <= len(done.accepted) < 90
