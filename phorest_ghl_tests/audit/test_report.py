"""The report over time: what its charts say, and that its page needs nothing from elsewhere and shows no value."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from phorest_ghl import page
from phorest_ghl.audit.report import Chart, load, report_markdown, report_page
from phorest_ghl.page import Series

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database

HERE = "location"
NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)


@pytest.fixture
def connection(database: "Database") -> sa.Connection:
    return database.engine.connect()


def found(connection: sa.Connection, kind: str, days_ago: float, resolved: float | None = None) -> None:
    connection.execute(
        sa.text("""insert into audit_findings (location_id, entity_type, phorest_id, kind, detail, batch_id, found_at,
                                               resolved_at)
                   values (:here, 'client', :id, :kind, '{"fields": ["first_name"]}', 'b', :at, :resolved)"""),
        {
            "here": HERE,
            "id": f"<b>{kind}</b>",
            "kind": kind,
            "at": NOW - timedelta(days=days_ago),
            "resolved": None if resolved is None else NOW - timedelta(days=resolved),
        },
    )


def ran(connection: sa.Connection, entity_type: str, ago: timedelta, requests: int, status: str = "completed") -> None:
    connection.execute(
        sa.text("""insert into sync_run_summaries (batch_id, direction, entity_type, total_count, success_count,
                       failed_count, skipped_count, status, started_at, completed_at, requests)
                   values (:batch, 'd', :type, 1, 1, 0, 0, :status, :at, :at, :requests)"""),
        {"batch": str(ago), "type": entity_type, "status": status, "at": NOW - ago, "requests": requests},
    )


def charts(connection: sa.Connection) -> tuple[Chart, Chart, Chart]:
    findings, ages, requests = load(connection, HERE, NOW).charts
    return findings, ages, requests


def values(chart: Chart, name: str) -> list[float | None]:
    return next(list(one.values) for one in chart.series if one.name == name)


def test_findings_are_counted_on_each_day_that_they_were_open(connection: sa.Connection) -> None:
    found(connection, "there twice", 5.5)
    found(connection, "there twice", 2.5, resolved=0.5)
    found(connection, "long over", 60, resolved=40)
    chart, _, _ = charts(connection)
    assert values(chart, "there twice")[-7:] == [0, 1, 1, 1, 2, 2, 1]
    assert [one.name for one in chart.series] == ["there twice"]
    assert chart.moments[-1] == "2026-03-10"


def test_the_age_of_the_last_good_run_grows_until_the_next_one(connection: sa.Connection) -> None:
    ran(connection, "client", timedelta(hours=10), 5)
    ran(connection, "client", timedelta(hours=3), 5, status="failed")
    ran(connection, "client", timedelta(hours=1), 5)
    _, chart, _ = charts(connection)
    assert values(chart, "client")[-4:] == [None, 2, 6, 1]


def test_requests_are_summed_up_by_the_hour_and_entity(connection: sa.Connection) -> None:
    ran(connection, "client", timedelta(minutes=5), 7)
    ran(connection, "client", timedelta(minutes=10), 2)
    ran(connection, "loyalty", timedelta(hours=1), 3)
    ran(connection, "client", timedelta(days=5), 1000)
    _, _, chart = charts(connection)
    assert values(chart, "client")[-2:] == [0, 9]
    assert values(chart, "loyalty")[-2:] == [3, 0]


def test_the_page_is_whole_in_itself_and_escapes_what_it_shows(connection: sa.Connection) -> None:
    found(connection, "there twice", 5)
    ran(connection, "client", timedelta(hours=1), 5)
    report = load(connection, HERE, NOW)
    html = report_page(report, ["degraded: 1 < 2 & so on"])
    assert not [mark for mark in ("http:", "https:", "<script", "<link", "src=", "<b>there") if mark in html]
    assert "&lt;b&gt;there twice&lt;/b&gt;" in html
    assert "1 &lt; 2 &amp; so on" in html
    assert html.count("<svg") == 3
    assert "Merge or delete the other one in GHL" in html
    words = report_markdown(report)
    assert "| there twice |" in words
    assert "| 1 | 1 |" in words


def test_a_chart_draws_what_is_known_within_its_bounds_and_leaves_gaps_open() -> None:
    drawn = page.chart(["a", "b", "c", "d"], [Series("x & y", [1.0, None, 4.0, 2.0])], unit="hours")
    svg = ET.fromstring(drawn[drawn.index("<svg") :])  # noqa: S314 - our own
    points = [point for line in svg.iter("polyline") for point in line.attrib["points"].split()]
    assert (len(points), len(list(svg.iter("circle")))) == (2, 1)
    assert all(0 <= float(y) <= 220 and 0 <= float(x) <= 720 for x, y in (point.split(",") for point in points))
    assert "x &amp; y" in drawn
    assert page.chart([], []) == page.sentence("Nothing to draw yet.")
