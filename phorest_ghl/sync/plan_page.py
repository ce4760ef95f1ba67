"""A plan as a page for a browser: ids, names of fields, rules and masked values, never a value.

Belongs here: what of a plan's document is shown. Does not: the document (`plan_document`), how a page is drawn
(`phorest_ghl.page`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from phorest_ghl import page

SHOWN = 2000
"""Changes that a page lists with their fields; it says how many further ones there are, and the JSON file has all."""


def plan_page(document: Mapping[str, Any]) -> str:
    """A sealed document, made without values, as HTML in one file."""
    changes: Sequence[Mapping[str, Any]] = document["changes"]
    return page.page(
        f"Plan of {document['entity']}",
        page.sentence(
            f"Location {document['location']}, made at {document['made_at']}, hash {str(document['hash'])[:16]}. "
            "Nothing was written. Values are masked."
        ),
        *(page.sentence(f"An apply would be refused: {guard}.", stops=True) for guard in document.get("guards", ())),
        page.figures(dict(_figures(document))),
        *_counted(document),
        *_listed(
            document, "overwrites", "Fields that a person may have written in GHL, and that Phorest's value replaces"
        ),
        *_listed(document, "reviews", "Contacts that a person has to look at; they are left alone"),
        *_listed(document, "findings", "Findings"),
        page.heading(f"Changes: {len(changes)}"),
        *([page.sentence(f"The first {SHOWN} of them; the JSON file lists all.")] if len(changes) > SHOWN else []),
        page.table(
            ("action", "record", "GHL id", "why", "field", "now", "then", "rule"),
            (row for change in changes[:SHOWN] for row in _rows(change)),
        ),
    )


def _figures(document: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Counts of what was planned, requests and how long they take."""
    for counts in document["entities"].values():
        for name, value in {**counts, **counts.get("changes", {}), **counts.get("outcomes", {})}.items():
            if not isinstance(value, Mapping):
                yield name, value
    for name in ("requests", "minutes", "days", "future_without_reminder"):
        if name in document:
            yield name.replace("_", " "), document[name]


def _counted(document: Mapping[str, Any]) -> Iterator[str]:
    titles = {
        "consent_changes": "What becomes of consent",
        "automations": "What workflows could react to",
        "announcements": "Whom GHL tells, and why not",
        "requests_by_kind": "Requests by what they are for",
        "fields": "Changes by field",
    }
    for name, title in titles.items():
        counts: Mapping[str, Any] = document.get(name) or {}
        if counts:
            yield page.heading(title)
            yield page.table(("what", "how many"), _flat(counts))


def _flat(counts: Mapping[str, Any], of: str = "") -> Iterator[tuple[str, object]]:
    for name, value in counts.items():
        words = f"{of}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{words}: ")  # pyright: ignore[reportUnknownArgumentType]
        else:
            yield words, value


def _listed(document: Mapping[str, Any], name: str, title: str) -> Iterator[str]:
    rows: Sequence[Mapping[str, Any]] = document.get(name) or ()
    if not rows:
        return
    yield page.heading(f"{title}: {len(rows)}")
    if len(rows) > SHOWN:
        yield page.sentence(f"The first {SHOWN} of them; the JSON file lists all.")
    columns = list(dict.fromkeys(column for row in rows[:SHOWN] for column in row))
    yield page.table(columns, ([row.get(column) for column in columns] for row in rows[:SHOWN]))


def _rows(change: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    head = (
        change["action"],
        change["record"],
        change.get("contact") or change.get("event"),
        ". ".join(str(change[name]) for name in ("reason", "why") if change.get(name)),
    )
    fields: Sequence[Mapping[str, Any]] = change.get("fields") or ()
    if not fields:
        yield (*head, None, None, None, None)
    for place, field in enumerate(fields):
        said = (field["field"], field["before"], field["after"], str(field["rule"]).partition(":")[0])
        yield (*(head if place == 0 else (None,) * len(head)), *said)
