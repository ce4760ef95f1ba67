"""How it went over time: findings by kind, the age of each entity's last good run, requests by the hour; a page, and Markdown.

Belongs here: reading these figures from our own tables, and their charts. Does not: auditing (`run`), how a page is drawn
(`phorest_ghl.page`). Ids, kinds and counts only.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

from phorest_ghl import page
from phorest_ghl.audit.findings import Finding, open_findings
from phorest_ghl.page import Series

DAYS, AGE_DAYS, HOURS = 30, 7, 48
"""How far back the charts go: findings, ages of runs, requests."""
_AGE_STEP_H = 4
LISTED = 500
"""Open findings that a page lists; it says how many further ones there are, and `audit --json` has all."""
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Lines over the same moments, which are texts in UTC. `unit` is what is counted."""

    title: str
    unit: str
    moments: Sequence[str]
    series: Sequence[Series]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All of it, as of `now` (aware)."""

    location_id: str
    now: datetime
    charts: Sequence[Chart]
    findings: Sequence[Finding]


def load(connection: Connection, location_id: str, now: datetime | None = None) -> Report:
    """What our tables say of a location."""
    now = now or datetime.now(UTC)
    charts = [_findings(connection, location_id, now), _ages(connection, now), _requests(connection, now)]
    return Report(
        location_id=location_id,
        now=now,
        charts=charts,
        findings=open_findings(connection, location_id=location_id),
    )


def report_page(report: Report, said: Sequence[str] = ()) -> str:
    """The report in one file that a browser opens; `said` are sentences to begin with."""
    found = report.findings
    return page.page(
        "Phorest and GoHighLevel",
        page.sentence(f"Location {report.location_id}, {report.now:%Y-%m-%d %H:%M} UTC."),
        *(page.sentence(one) for one in said),
        *(part for chart in report.charts for part in _drawn(chart)),
        page.heading(f"Open findings: {len(found)}"),
        *(
            [page.sentence(f"The first {LISTED} of them; `phorest-ghl audit --json` lists all.")]
            if len(found) > LISTED
            else []
        ),
        page.table(
            ("since", "what", "entity", "in Phorest", "in GHL", "fields", "who acts", "what to do"),
            (
                (
                    "" if one.since is None else f"{one.since:%Y-%m-%d %H:%M}",
                    one.kind,
                    one.entity_type,
                    one.phorest_id,
                    one.ghl_id,
                    ", ".join(one.fields),
                    one.act.value,
                    one.advice,
                )
                for one in found[:LISTED]
            ),
        ),
    )


def report_markdown(report: Report) -> str:
    """The charts for a place that shows no pictures: a line a series with small bars, its last value and its most."""
    parts: list[str] = []
    for chart in report.charts:
        lines = [f"**{chart.title}** ({chart.unit})", ""]
        if chart.series:
            lines += ["| | | now | most |", "|---|---|---|---|"]
        else:
            lines += ["Nothing yet."]
        for one in chart.series:
            known = [value for value in one.values if value is not None]
            now = one.values[-1] if one.values else None
            most = max(known, default=0)
            lines.append(f"| {one.name} | {_bars(one.values)} | {'' if now is None else f'{now:g}'} | {most:g} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _drawn(chart: Chart) -> tuple[str, str]:
    return page.heading(chart.title), page.chart(chart.moments, chart.series, unit=chart.unit, label=chart.title)


def _findings(connection: Connection, location_id: str, now: datetime) -> Chart:
    """Findings that were open at the end of each day, and now."""
    rows = connection.execute(
        text("""select kind, found_at, resolved_at from audit_findings
                where location_id = :location_id and (resolved_at is null or resolved_at > :since)"""),
        {"location_id": location_id, "since": now - timedelta(days=DAYS)},
    ).all()
    moments = [now - timedelta(days=days) for days in range(DAYS, -1, -1)]
    counts = [
        Counter(r.kind for r in rows if r.found_at <= at and (r.resolved_at is None or r.resolved_at > at))
        for at in moments
    ]
    kinds = sorted({row.kind for row in rows}, key=lambda kind: (-max(count[kind] for count in counts), kind))
    return Chart(
        title="Findings by kind, open on each of the last days",
        unit="findings",
        moments=[f"{at:%Y-%m-%d}" for at in moments],
        series=[Series(kind, [float(count[kind]) for count in counts]) for kind in kinds],
    )


def _ages(connection: Connection, now: datetime) -> Chart:
    """How old the last good run of each entity was; unknown before its first."""
    rows = connection.execute(
        text("""select entity_type, completed_at from sync_run_summaries
                where status = 'completed' and completed_at is not null and completed_at > :since
                order by completed_at"""),
        {"since": now - timedelta(days=2 * AGE_DAYS)},
    ).all()
    ended: dict[str, list[datetime]] = {}
    for row in rows:
        ended.setdefault(row.entity_type, []).append(row.completed_at)
    steps = AGE_DAYS * 24 // _AGE_STEP_H
    moments = [now - timedelta(hours=_AGE_STEP_H * step) for step in range(steps, -1, -1)]
    return Chart(
        title="Age of each entity's last good run",
        unit="hours",
        moments=[f"{at:%Y-%m-%d %H:%M}" for at in moments],
        series=[Series(name, _age_at(moments, ends)) for name, ends in sorted(ended.items())],
    )


def _age_at(moments: Sequence[datetime], ends: Sequence[datetime]) -> list[float | None]:
    found: list[float | None] = []
    place = 0
    for at in moments:
        while place < len(ends) and ends[place] <= at:
            place += 1
        found.append(round((at - ends[place - 1]).total_seconds() / 3600, 2) if place else None)
    return found


def _requests(connection: Connection, now: datetime) -> Chart:
    """Requests of runs that ended in each hour, by entity."""
    first = (now - timedelta(hours=HOURS)).replace(minute=0, second=0, microsecond=0)
    rows = connection.execute(
        text("""select entity_type, date_trunc('hour', completed_at) as hour, sum(requests) as requests
                from sync_run_summaries where completed_at >= :first group by entity_type, hour"""),
        {"first": first},
    ).all()
    hours = [first + timedelta(hours=number) for number in range(HOURS + 1)]
    sums: Mapping[tuple[str, datetime], int] = {(row.entity_type, row.hour): int(row.requests) for row in rows}
    return Chart(
        title="Requests to GHL by the hour",
        unit="requests of runs that ended in the hour",
        moments=[f"{hour:%Y-%m-%d %H:%M}" for hour in hours],
        series=[
            Series(name, [float(sums.get((name, hour), 0)) for hour in hours])
            for name in sorted({row.entity_type for row in rows})
        ],
    )


def _bars(values: Sequence[float | None]) -> str:
    top = max((value for value in values if value is not None), default=0) or 1
    return "".join(" " if value is None else _BARS[round(value / top * (len(_BARS) - 1))] for value in values)
