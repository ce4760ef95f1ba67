"""`bench` answers with one report or one sentence, and each benchmark runs through at a tiny size."""

import json
import sys
from types import ModuleType

import pytest

from benchmarks import budget, import_clients
from benchmarks.report import Report, rounded_down
from phorest_ghl.commands.bench import run_bench


def _use(monkeypatch: pytest.MonkeyPatch, report: Report) -> None:
    """Let `bench import` find this report instead of measuring."""
    monkeypatch.setattr(import_clients, "run", lambda options, say: say("measuring") or report)


def _report(*, holds: bool) -> Report:
    figures = {"0 ms": {"ours_s": 1.5, "clients": 50_001}, "asking": {"median_ms": 0.2}}
    return Report(name="import", figures=figures, ratio=0.812, bar=0.8, holds=holds)


def test_a_name_that_is_none_is_a_sentence_with_the_nearest_and_all_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_bench("budgt") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "There is no benchmark 'budgt' yet. Did you mean budget? "
        "Benchmarks: budget, chaos, first-load, import, product-tags, repair, shared-budget, tick, unchanged.\n"
    )


@pytest.mark.parametrize("name", ["audit", "webhooks"])
def test_a_reserved_name_is_a_sentence_until_its_benchmark_exists(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_bench(name) == 2
    assert f"There is no benchmark '{name}' yet." in capsys.readouterr().err


def test_with_json_the_report_is_all_there_is_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _use(monkeypatch, _report(holds=True))
    assert run_bench("import", as_json=True) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "name": "import",
        "figures": {"0 ms": {"ours_s": 1.5, "clients": 50_001}, "asking": {"median_ms": 0.2}},
        "ratio": 0.812,
        "bar": 0.8,
        "holds": True,
    }
    assert err.startswith("measuring\n")


def test_a_bar_that_does_not_hold_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _use(monkeypatch, _report(holds=False))
    assert run_bench("import") == 1
    shown = capsys.readouterr().out
    assert "ratio 0.812, bar 0.80: does not hold" in shown
    assert "50,001" in shown
    assert "median ms" in shown


@pytest.mark.parametrize(("name", "module"), [("import", "aiohttp"), ("import", "uvloop"), ("budget", "highlevel")])
def test_a_missing_extra_is_a_sentence_that_says_how_to_install_it(
    name: str, module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for other in ("aiohttp", "uvloop", "highlevel"):  # there or not, so that the test says the same everywhere
        monkeypatch.setitem(sys.modules, other, ModuleType(other))
    monkeypatch.setitem(sys.modules, module, None)  # what the import system takes for "not installed"
    assert run_bench(name) == 2
    err = capsys.readouterr().err
    assert f"`{module}`" in err
    assert "pip install -e '.[bench]' -c constraints.txt" in err


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("import", {"requests": 10}, "bench import takes no --requests; it takes --clients and --rounds."),
        ("budget", {"clients": 10}, "bench budget takes no --clients; it takes --rate-window-s and --requests."),
        ("import", {"rounds": 0}, "--rounds needs a number above 0."),
        ("budget", {"requests": 200}, "--requests must be at least 300"),
        ("shared-budget", {"requests": 200}, "--requests must be at least 300"),
        ("import", {"clients": 1_000_000}, "150,000"),
    ],
)
def test_an_option_that_cannot_be_is_a_sentence(
    name: str, options: dict[str, int], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_bench(name, **options) == 2
    assert sentence in capsys.readouterr().err


def test_a_ratio_never_looks_better_than_it_is() -> None:
    assert rounded_down(0.9499999) == 0.949


def test_the_first_and_the_last_window_do_not_count() -> None:
    moments = [*(number * 0.1 for number in range(250)), 25.05]  # 10 a second for 25 s, a window of 10 s holds 100
    assert budget.shares(moments, 10.0, 100) == [1.0]
    assert budget.shares(moments, 5.0, 50) == [1.0] * 4


def test_a_window_in_which_nothing_was_sent_counts_as_nothing() -> None:
    assert budget.shares([0.0, 25.0, 31.0], 10.0, 100) == [0.0, 0.01]
