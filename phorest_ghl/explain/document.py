"""An explanation for reading: a JSON document, and Markdown. Ids, rules, names of fields; values masked unless asked for.

Belongs here: shapes and words. Does not: finding out (`client`, `appointment`), tables for the terminal.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from phorest_ghl.explain.appointment import EventLine, ExplainedAppointment
from phorest_ghl.explain.client import ExplainedClient
from phorest_ghl.explain.lines import Line
from phorest_ghl.explain.record import Record
from phorest_ghl.ghl.fields import PERSONAL
from phorest_ghl.http.redaction import mask
from phorest_ghl.sync.events.projection import DESCRIPTION, TITLE
from phorest_ghl.sync.outcomes import Outcome

_PERSONAL_OF_EVENTS = frozenset({TITLE, DESCRIPTION})
_SHOWN = 20


def client_document(explained: ExplainedClient, *, values: bool = False) -> dict[str, Any]:
    """A client's explanation as JSON."""
    held, location = explained.mirror, explained.location
    return {
        "client": explained.phorest_id,
        "as_of": _text(explained.as_of),
        "versions": _versions(explained.record),
        "deleted_at": _text(explained.record.deleted_at),
        "group": {
            "primary": explained.primary,
            "why": explained.why_primary,
            "members": [{**vars(member), "by": list(member.by)} for member in explained.members],
        },
        "contact": None
        if explained.contact is None
        else {
            "id": explained.contact,
            "adopted": explained.adopted,
            "seen_at": None if held is None else _text(held.seen_at),
            "seen_by": None if held is None else held.seen_by,
            "age_minutes": None if held is None else _minutes(held.seen_at),
            "gone_at": None if held is None else _text(held.gone_at),
        },
        "location": {"id": location.location_id, "mode": location.mode, "mirrored_at": _text(location.mirrored_at)},
        "next_run": _next(explained.change, explained.outcome),
        "fields": [_line(line, values=values) for line in explained.lines],
        "consent": {
            "causes": [{**vars(cause), **_times(cause, "since", "lifted_at")} for cause in explained.causes],
            "observed": [_plain(event) for event in explained.consent_events],
        },
        "appointments": dict(explained.appointments),
        **_record(explained.record),
    }


def appointment_document(explained: ExplainedAppointment, *, values: bool = False) -> dict[str, Any]:
    """An appointment's explanation as JSON."""
    row = explained.row
    change = explained.change
    return {
        "appointment": explained.phorest_id,
        "as_of": _text(explained.as_of),
        "versions": _versions(explained.record),
        "deleted_at": _text(explained.record.deleted_at),
        "phorest": {
            "branch": row.branch_id,
            "client": row.client_id,
            "client_now": explained.client_now,
            "staff": row.staff_id,
            "starts_at": _text(row.starts_at),
            "state": row.state,
            "activation_state": row.activation_state,
            "cancelled": row.cancelled,
            "vanished": row.vanished,
            "in_window": row.in_window,
        },
        "contact": explained.contact,
        "event": None
        if explained.event is None
        else {
            "id": explained.event,
            "seen_at": _text(explained.seen_at),
            "age_minutes": None if explained.seen_at is None else _minutes(explained.seen_at),
            "gone_at": _text(explained.gone_at),
        },
        "next_run": {
            **_next(change, explained.outcome),
            "tells": None if change is None else change.decision.notify,
            "why": None if change is None else change.decision.reason,
        },
        "fields": [_line(line, values=values) for line in explained.lines],
        **_record(explained.record),
    }


def markdown(document: Mapping[str, Any]) -> str:
    """A document of one of the two, as Markdown for Dagster's UI."""
    record = document["client"] if "client" in document else document["appointment"]
    parts = [f"**{'Client' if 'client' in document else 'Appointment'} {record}**, as of {document['as_of']}."]
    if "group" in document:
        group = document["group"]
        parts.append(f"Primary: {group['primary']}, {group['why']}.")
        parts.append(_table(("client", "role", "by", "contact", "not live"), map(_member_cells, group["members"])))
    parts.append(f"Next run: {next_words(document['next_run'])}")
    if document["fields"]:
        parts.append(
            _table(("field", "rule", "desired", "GHL holds", "verdict", "last sent"), map(cells, document["fields"]))
        )
    for name, columns, rows in lists(document):
        more = f" (the first {_SHOWN} of {len(rows)})" if len(rows) > _SHOWN else ""
        parts += [f"**{name}**{more}", _table(columns, rows[:_SHOWN])]
    return "\n\n".join(parts)


_LISTS: Mapping[str, Sequence[str]] = {
    "versions": ("number", "since", "until", "run", "changed"),
    "sent": ("at", "run", "entity_type", "action", "phorest_id", "ghl_id", "fields", "run_status"),
    "causes": ("channel", "cause", "source_id", "since", "lifted_at"),
    "creates": ("kind", "state", "attempts", "ghl_id", "batch_id", "sent_at"),
    "log": ("at", "batch_id", "entity_type", "action", "outcome", "reason"),
    "work_items": ("entity_type", "phorest_id", "cause", "reason", "attempts", "since", "next_try_at"),
    "findings": ("kind", "entity_type", "phorest_id", "ghl_id", "detail", "since", "advice"),
    "decisions": ("kind", "phorest_id", "ghl_id", "operator", "decided_at", "used_at"),
}
"""The lists of a document, each with the columns that tables show."""


def cells(line: Mapping[str, Any]) -> tuple[str, ...]:
    """A field's line as a table shows it."""
    sent = line["sent"]["at"][:16].replace("T", " ") if line["sent"] else ""
    verdict = line["verdict"] + (f" ({', '.join(line['causes'])})" if line.get("causes") else "")
    return line["field"], line["rule"].partition(":")[0], line["desired"] or "", line["held"] or "", verdict, sent


def next_words(coming: Mapping[str, Any]) -> str:
    """What a run would do, in words."""
    words = coming["action"] or coming["outcome"] or "nothing"
    return f"{words}: {coming['reason']}." if coming["reason"] else f"{words}."


def lists(document: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str], list[list[str]]]]:
    """The lists of a document that are not empty: name, columns, cells."""
    for name, columns in _LISTS.items():
        rows: list[dict[str, Any]] = document.get(name) or document.get("consent", {}).get(name) or []
        if rows:
            yield name.replace("_", " "), columns, [[_cell(row.get(column)) for column in columns] for row in rows]


def _record(known: Record) -> dict[str, Any]:
    return {
        "sent": [
            {
                "run": sent.batch_id,
                "at": _text(sent.at),
                "entity_type": sent.entity_type,
                "action": sent.action,
                "phorest_id": sent.phorest_id,
                "ghl_id": sent.ghl_id,
                "run_status": sent.run_status,
                "fields": [dict(one) for one in sent.fields],
            }
            for sent in known.sent
        ],
        "sent_in_all": known.sent_in_all,
        **{
            name: [_plain(row) for row in rows]
            for name, rows in (
                ("creates", known.creates),
                ("log", known.log),
                ("work_items", known.work_items),
                ("findings", known.findings),
                ("decisions", known.decisions),
            )
        },
    }


def _versions(known: Record) -> list[dict[str, Any]]:
    return [
        {
            "number": version.number,
            "since": _text(version.since),
            "until": _text(version.until),
            "run": version.batch_id,
            "changed": list(version.changed),
        }
        for version in known.versions
    ]


def _line(line: Line | EventLine, *, values: bool) -> dict[str, Any]:
    personal = _PERSONAL_OF_EVENTS if isinstance(line, EventLine) else PERSONAL

    def shown(value: str | None) -> str | None:
        return value if values or not value or line.name not in personal else mask(value)

    return {
        "field": line.name,
        **({"facet": line.facet.value, "causes": list(line.causes)} if isinstance(line, Line) else {}),
        "rule": line.rule.value,
        "desired": shown(line.desired),
        "held": shown(line.held),
        "acknowledged": line.acknowledged,
        "verdict": line.verdict,
        "sent": {"run": line.sent[0], "at": _text(line.sent[1])} if line.sent else None,
    }


def _next(change: Any, outcome: Outcome | None) -> dict[str, Any]:
    return {
        "action": None if change is None else change.action.value,
        "outcome": None if outcome is None else outcome.kind,
        "reason": change.reason if change is not None else None if outcome is None else outcome.reason,
    }


def _member_cells(member: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        member["phorest_id"],
        member["role"],
        "; ".join(member["by"]),
        member["contact"] or "",
        member["not_live"] or "",
    )


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _text(value) if isinstance(value, datetime) else value for name, value in row.items()}


def _times(one: object, *names: str) -> dict[str, str | None]:
    return {name: _text(getattr(one, name)) for name in names}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")


def _minutes(since: datetime) -> int:
    return max(0, int((datetime.now(UTC) - since).total_seconds() // 60))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(_cell(one) for one in cast("list[object]", value))
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return str(members.get("field") or ", ".join(f"{name} {one}" for name, one in sorted(members.items())))
    return str(value)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
