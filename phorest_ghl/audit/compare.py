"""From the plans of the entities' own roads to findings: what a plan would change is what is wrong.

Belongs here: which kind of finding a planned change is, and what plans do not show (doubles, orphans). Does not: what is
right, which only `phorest_ghl.sync` says; reading GHL (`read_back`).
"""

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, text

from phorest_ghl.audit.findings import MEANINGS, Act, Finding, Kind
from phorest_ghl.ghl.fields import Facet
from phorest_ghl.sync import consent
from phorest_ghl.sync.events.plan import GONE as EVENT_GONE
from phorest_ghl.sync.events.plan import EventAction, EventPlan
from phorest_ghl.sync.events.projection import STATUS
from phorest_ghl.sync.mirror import MirrorContact
from phorest_ghl.sync.notes.planning import NoteAction, NotePlan
from phorest_ghl.sync.outcomes import Skipped
from phorest_ghl.sync.plan import BLOCKED, PRESENT, Action, FieldDiff, Plan, PlannedChange

CLIENT, APPOINTMENT, CHECK_IN, FIELD = "client", "appointment", "checkin", "custom_field"
_NEW = frozenset({Action.CREATE, Action.ADOPT, Action.REMAP})


def contact_findings(plan: Plan, held: dict[str, MirrorContact]) -> Iterator[Finding]:
    """What is wrong with contacts by their plan, made against the mirror as `held`."""
    for change in plan.changes:
        yield from _of_change(change, held.get(change.ghl_id or ""))
    for phorest_id in plan.mornings:
        waiting = {"waits": "until the permitted hours"}
        yield Finding(entity_type=CLIENT, kind=Kind.MISSING, phorest_id=phorest_id, act=Act.HEALED, detail=waiting)
    for review in plan.reviews:
        if review.cause == "gone":
            yield _finding(CLIENT, Kind.WITHOUT_OBJECT, review.desired.phorest_id, review.ghl_id, [])
    by_people: dict[tuple[Kind, str, str], list[str]] = {}
    for edit in plan.edited:
        by_people.setdefault((Kind.EDITED, edit.phorest_id, edit.ghl_id), []).append(edit.field)
    for tag in plan.astray:
        kind = Kind.TAG_MISSING if tag.removed else Kind.TAG_FOREIGN
        by_people.setdefault((kind, tag.phorest_id, tag.ghl_id), []).append(tag.tag)
    for (kind, phorest_id, ghl_id), names in by_people.items():
        yield _finding(CLIENT, kind, phorest_id, ghl_id, names, act=MEANINGS[kind].act)


def _of_change(change: PlannedChange, held: MirrorContact | None) -> Iterator[Finding]:
    if change.action in _NEW:
        yield _client(Kind.MISSING, change, [])
        return
    by_kind: dict[Kind, list[str]] = {}
    for diff in change.diffs:
        kind = _kind_of(diff)
        if kind is not Kind.LOOSER or not _closed_by_search(diff, held):
            by_kind.setdefault(kind, []).append(diff.name)
    for kind, names in by_kind.items():
        yield _client(kind, change, names)


def doubtful_contacts(plan: Plan, held: dict[str, MirrorContact]) -> set[str]:
    """Contacts that a finding would be about and that only a search has shown as they are: it lags (facts/ghl-api §7.1)."""
    named = {change.ghl_id for change in plan.changes} | {edit.ghl_id for edit in plan.edited}
    named |= {tag.ghl_id for tag in plan.astray}
    found = {ghl_id for ghl_id in named if ghl_id in held and held[ghl_id].seen_by == "search"}
    # A block that only search showed is no cause on record yet; the read makes it one (S10, S11).
    return found | {
        ghl_id for ghl_id, one in held.items() if one.seen_by == "search" and consent.foreign_blocks(one.dnd_settings)
    }


def event_findings(plan: EventPlan) -> Iterator[Finding]:
    """What is wrong with events by their plan. A status that a person set is the salon's work there, and no finding."""
    kinds = {EventAction.CREATE: Kind.MISSING, EventAction.MOVE: Kind.WRONG_CONTACT}
    for change in plan.changes:
        if change.action is not EventAction.SETTLE:
            kind = kinds.get(change.action, Kind.DRIFTED)
            names = change.field_names if kind is Kind.DRIFTED else []
            yield _finding(APPOINTMENT, kind, change.phorest_id, change.ghl_id, names, act=Act.HEALED)
    for phorest_id, outcome in plan.settled.items():
        if outcome == Skipped(EVENT_GONE):
            yield _finding(APPOINTMENT, Kind.WITHOUT_OBJECT, phorest_id, None, [])
    for edit in plan.edited:
        if names := [name for name in edit.fields if name != STATUS]:
            yield _finding(APPOINTMENT, Kind.EDITED, edit.phorest_id, edit.ghl_id, names, act=Act.STANDS)


def note_findings(plan: NotePlan, twice: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """What is wrong with notes by their plan, and visits noted twice."""
    for change in plan.changes:
        if change.action is NoteAction.CREATE:
            yield _finding(CHECK_IN, Kind.MISSING, change.phorest_id, change.ghl_id, [], act=Act.HEALED)
    for phorest_id, ghl_id in twice:
        yield _finding(CHECK_IN, Kind.DUPLICATE, phorest_id, ghl_id, [])


def notes_gone(connection: Connection, location_id: str) -> Iterator[Finding]:
    """Notes of ours that people deleted."""
    rows = connection.execute(
        text("select phorest_id, ghl_id from ghl_notes where location_id = :location_id and gone_at is not null"),
        {"location_id": location_id},
    )
    for row in rows:
        yield _finding(CHECK_IN, Kind.NOTE_MISSING, row.phorest_id, row.ghl_id, [], act=Act.STANDS)


def fields_changed(keys: Iterable[str]) -> Iterator[Finding]:
    """Custom fields of ours that are no longer what they were made as."""
    for key in keys:
        yield _finding(FIELD, Kind.FIELD_CHANGED, None, key, [key])


def strange_contacts(connection: Connection, location_id: str, id_field: str) -> list[tuple[str, str, bool, str]]:
    """Contacts that carry a Phorest id and are nobody's: contact, client, whether the client has one, how it was seen."""
    rows = connection.execute(
        text("""
            select c.ghl_id, c.custom_fields ->> :field as phorest_id, m.id is not null as has_one, c.seen_by
            from ghl_contacts c
            left join entity_mappings m on m.location_id = c.location_id and m.entity_type = 'client'
                 and m.phorest_id = c.custom_fields ->> :field and m.removed_at is null
            where c.location_id = :location_id and c.gone_at is null and coalesce(c.custom_fields ->> :field, '') <> ''
                  and not exists (select from entity_mappings o where o.location_id = c.location_id
                                  and o.ghl_id = c.ghl_id and o.removed_at is null)
                  and not exists (select from former_contacts f where f.location_id = c.location_id and f.ghl_id = c.ghl_id)
            order by c.ghl_id"""),
        {"location_id": location_id, "field": id_field},
    )
    return [(row.ghl_id, row.phorest_id, row.has_one, row.seen_by) for row in rows]


def strangers(rows: Iterable[tuple[str, str, bool, str]], known: set[str]) -> Iterator[Finding]:
    """Findings of `strange_contacts`; of clients in `known` that have no contact, the plan takes theirs up itself."""
    for ghl_id, phorest_id, has_one, _ in rows:
        if has_one:
            yield _finding(CLIENT, Kind.DUPLICATE, phorest_id, ghl_id, [])
        elif phorest_id not in known:
            yield _finding(CLIENT, Kind.ORPHANED, None, ghl_id, [])


_EVENT_DOUBLES = text("""
    select e.ghl_id, m.phorest_id
    from ghl_events e
    join ghl_events o on o.location_id = e.location_id and o.contact_id = e.contact_id and o.calendar_id = e.calendar_id
         and o.starts_at = e.starts_at and o.title = e.title and o.ghl_id <> e.ghl_id and o.gone_at is null
         and o.status <> 'cancelled'
    join entity_mappings m on m.location_id = e.location_id and m.ghl_id = o.ghl_id and m.entity_type = 'appointment'
         and m.removed_at is null
    where e.location_id = :location_id and e.gone_at is null and e.status <> 'cancelled'
          and not exists (select from entity_mappings x where x.location_id = e.location_id and x.ghl_id = e.ghl_id
                                 and x.entity_type = 'appointment' and x.removed_at is null)
    order by e.ghl_id, m.phorest_id
""")
_EVENT_ORPHANS = text("""
    select distinct e.ghl_id from ghl_events e join sync_changes s on s.location_id = e.location_id
        and s.entity_type = 'appointment' and s.ghl_id = e.ghl_id
    where e.location_id = :location_id and e.gone_at is null and e.status <> 'cancelled'
          and not exists (select from entity_mappings x where x.location_id = e.location_id and x.ghl_id = e.ghl_id
                                 and x.entity_type = 'appointment' and x.removed_at is null)
    order by e.ghl_id
""")


def strange_events(connection: Connection, location_id: str) -> list[Finding]:
    """Events beside ours for the same appointment, and events of ours that are no appointment's any more."""
    values = {"location_id": location_id}
    orphans = [row.ghl_id for row in connection.execute(_EVENT_ORPHANS, values)]
    doubles = {
        row.ghl_id: row.phorest_id for row in connection.execute(_EVENT_DOUBLES, values) if row.ghl_id not in orphans
    }
    return [
        *(_finding(APPOINTMENT, Kind.DUPLICATE, phorest_id, ghl_id, []) for ghl_id, phorest_id in doubles.items()),
        *(_finding(APPOINTMENT, Kind.ORPHANED, None, ghl_id, []) for ghl_id in orphans),
    ]


def _kind_of(diff: FieldDiff) -> Kind:
    if diff.facet is Facet.CONSENT:
        return Kind.LOOSER if diff.after == BLOCKED else Kind.DRIFTED
    if diff.facet is Facet.TAGS:
        return Kind.DRIFTED if diff.after == PRESENT else Kind.TAG_LEFT_OVER
    return Kind.DRIFTED


def _closed_by_search(diff: FieldDiff, held: MirrorContact | None) -> bool:
    """Whether a search showed the channel closed: no ground for a write, and none for a finding either."""
    if held is None or held.seen_by != "search":
        return False
    setting = (held.dnd_settings or {}).get(diff.name)
    return setting is not None and setting.blocked


def _client(kind: Kind, change: PlannedChange, names: list[str]) -> Finding:
    return _finding(CLIENT, kind, change.phorest_id, change.ghl_id, names, act=Act.HEALED)


def _finding(
    entity: str, kind: Kind, phorest_id: str | None, ghl_id: str | None, names: list[str], *, act: Act = Act.PERSON
) -> Finding:
    detail = {"fields": sorted(names)} if names else {}
    return Finding(entity_type=entity, kind=kind, phorest_id=phorest_id, ghl_id=ghl_id, act=act, detail=detail)
