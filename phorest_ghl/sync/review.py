"""What waits for a person, and what becomes of a person's answer.

Belongs here: listing open work items and findings, the two sides of a doubtful adoption, recording an answer. Does not:
the decisions' rows (`decisions`), acting on them (`plan`), showing them (`phorest_ghl.commands.review`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.work_items import NO_LOCATION, WorkItem, open_items, resolve_items
from phorest_ghl.sync import decisions
from phorest_ghl.sync.consent_ledger import OPT_IN
from phorest_ghl.sync.decisions import Kind, side_hash
from phorest_ghl.sync.keeper import ADOPTION, GONE
from phorest_ghl.sync.outcomes import Rejected
from phorest_ghl.sync.plan import ADDRESS, Plan

CLIENT = "client"

EFFECTS: Mapping[Kind, str] = {
    Kind.ADOPT: "the next run takes the contact for this client; only fields that are empty in it are filled",
    Kind.REFUSE_ADOPTION: "the client stays without a contact, and is not asked about again while both sides stay as they are",
    Kind.IDENTITY: "from the next run on, Phorest's values replace what the contact holds",
    Kind.RECREATE: "the next run makes the contact again, with the strictest consent ever seen",
    Kind.OPT_IN: "the next run opens the channels that waited, unless an opt-out has come since",
}

_ANSWERS: Mapping[str, tuple[Kind, ...]] = {
    ADOPTION: (Kind.ADOPT, Kind.REFUSE_ADOPTION),
    GONE: (Kind.RECREATE,),
    OPT_IN: (Kind.OPT_IN,),
}


class NothingToDecide(Exception):
    """Nothing waits for this answer: a sentence says what does, or where to look."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """Who one side says it is. Personal; for the terminal alone."""

    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """An open work item. `answers` are the decisions that it can be given; `decided` is the one that a run will act on."""

    entity_type: str
    phorest_id: str
    cause: str
    reason: str
    ghl_id: str | None
    attempts: int
    since: datetime
    answers: tuple[Kind, ...]
    decided: Kind | None


@dataclass(frozen=True, kw_only=True)
class Found:
    """An open finding."""

    kind: str
    entity_type: str
    phorest_id: str | None
    ghl_id: str | None
    since: datetime
    detail: Mapping[str, Any]


def waiting(connection: Connection, location_id: str) -> list[Waiting]:
    """Open work items of a location, and of imports, by cause and then by age."""
    rows = connection.execute(
        text("""
            select item.entity_type, item.phorest_id, cause, reason, item.detail ->> 'ghl_id' as ghl_id, attempts,
                   created_at, array_remove(array_agg(decision.kind), null) as kinds
            from work_items item left join review_decisions decision
                on decision.location_id = item.location_id and decision.entity_type = item.entity_type
                   and decision.phorest_id = item.phorest_id and decision.used_at is null
            where state = 'open' and item.location_id in (:location_id, :none)
            group by item.id order by cause, created_at, item.phorest_id
        """),
        {"location_id": location_id, "none": NO_LOCATION},
    )
    found: list[Waiting] = []
    for row in rows:
        answers = _ANSWERS.get(row.cause, ())
        found.append(
            Waiting(
                entity_type=row.entity_type,
                phorest_id=row.phorest_id,
                cause=row.cause,
                reason=row.reason,
                ghl_id=row.ghl_id,
                attempts=row.attempts,
                since=row.created_at,
                answers=answers,
                decided=next((kind for kind in answers if kind.value in row.kinds), None),
            )
        )
    return found


def findings(connection: Connection, location_id: str) -> list[Found]:
    """Open findings of a location, by kind and then by age."""
    rows = connection.execute(
        text("""select kind, entity_type, phorest_id, ghl_id, found_at, detail from audit_findings
                where location_id = :location_id and resolved_at is null order by kind, found_at, id"""),
        {"location_id": location_id},
    )
    return [
        Found(
            kind=row.kind,
            entity_type=row.entity_type,
            phorest_id=row.phorest_id,
            ghl_id=row.ghl_id,
            since=row.found_at,
            detail=row.detail,
        )
        for row in rows
    ]


def client_side(connection: Connection, phorest_id: str) -> Side | None:
    """A client as imported, or None."""
    row = (
        connection.execute(
            text("""select first_name, last_name, email, mobile as phone from phorest_clients
                where phorest_id = :id"""),
            {"id": phorest_id},
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else Side(**row)


def contact_side(connection: Connection, location_id: str, ghl_id: str) -> Side | None:
    """A contact as the mirror last saw it, or None."""
    row = (
        connection.execute(
            text("""select first_name, last_name, email, phone from ghl_contacts
                where location_id = :location_id and ghl_id = :id"""),
            {"location_id": location_id, "id": ghl_id},
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else Side(**row)


def decide(
    connection: Connection, keyring: Keyring, *, location_id: str, kind: Kind, phorest_id: str, operator: str
) -> int:
    """Record a person's answer about a client; the decision's id.

    A refused adoption stops waiting at once; whatever else was decided waits for the run that acts on it.
    Raises NothingToDecide where nothing waits for it.
    """
    item = _item(connection, location_id, kind, phorest_id)
    ghl_id = item["ghl_id"]
    if kind in (Kind.ADOPT, Kind.REFUSE_ADOPTION) and ghl_id is None:
        raise NothingToDecide(
            f"It is not known which contact client {phorest_id} would share. Run `phorest-ghl sync clients`, then look "
            "into `phorest-ghl review` again."
        )
    client = client_side(connection, phorest_id)
    contact = contact_side(connection, location_id, ghl_id) if ghl_id else None
    detail = {
        **item["detail"],
        "client_hash": client and _hash(keyring, client),
        "contact_hash": contact and _hash(keyring, contact),
    }
    number = decisions.record(
        connection,
        location_id=location_id,
        entity_type=CLIENT,
        phorest_id=phorest_id,
        kind=kind,
        operator=operator,
        ghl_id=ghl_id,
        detail=detail,
    )
    if kind is Kind.REFUSE_ADOPTION:
        resolve_items(
            connection, entity_type=CLIENT, phorest_ids=[phorest_id], causes=[ADOPTION], location_id=location_id
        )
    return number


def note_reviews(connection: Connection, location_id: str, plan: Plan) -> None:
    """Open a work item for every record that a plan leaves to a person, and close those that it no longer does."""
    open_items(
        connection,
        [
            WorkItem(
                entity_type=CLIENT,
                phorest_id=review.desired.phorest_id,
                cause=review.cause,
                reason=review.reason,
                location_id=location_id,
                source_hash=review.desired.source_hash,
                detail={"ghl_id": review.ghl_id} if review.ghl_id else {},
            )
            for review in plan.reviews
        ],
    )
    for cause in (ADOPTION, GONE, ADDRESS):
        asked = {review.desired.phorest_id for review in plan.reviews if review.cause == cause}
        over = _settled_otherwise(plan, asked)
        resolve_items(connection, entity_type=CLIENT, phorest_ids=over, causes=[cause], location_id=location_id)


def opt_ins_waiting(connection: Connection, location_id: str) -> Sequence[str]:
    """Clients whose opening waits, oldest first."""
    return [
        row.phorest_id for row in waiting(connection, location_id) if row.cause == OPT_IN and row.entity_type == CLIENT
    ]


def _settled_otherwise(plan: Plan, asked: Collection[str]) -> list[str]:
    return [
        phorest_id
        for phorest_id, outcome in plan.settled.items()
        if phorest_id not in asked and not isinstance(outcome, Rejected)
    ]


def _item(connection: Connection, location_id: str, kind: Kind, phorest_id: str) -> Mapping[str, Any]:
    """What waits for this answer: the contact that it is about, and what was shown."""
    if kind is Kind.IDENTITY:
        return {"ghl_id": _contact_of(connection, location_id, phorest_id), "detail": {}}
    cause = next(cause for cause, kinds in _ANSWERS.items() if kind in kinds)
    row = connection.execute(
        text("""select detail, source_hash from work_items
                where location_id = :location_id and entity_type = :entity and phorest_id = :id and cause = :cause
                      and state = 'open'"""),
        {"location_id": location_id, "entity": CLIENT, "id": phorest_id, "cause": cause},
    ).one_or_none()
    if row is None:
        raise NothingToDecide(
            f"No {cause} of client {phorest_id} waits for an answer. `phorest-ghl review` lists what does."
        )
    return {"ghl_id": row.detail.get("ghl_id"), "detail": {**row.detail, "source_hash": row.source_hash}}


def _contact_of(connection: Connection, location_id: str, phorest_id: str) -> str:
    found = connection.execute(
        text("""select ghl_id from entity_mappings
                where location_id = :location_id and entity_type = :entity and phorest_id = :id and role = 'primary'
                      and removed_at is null"""),
        {"location_id": location_id, "entity": CLIENT, "id": phorest_id},
    ).scalar_one_or_none()
    if found is None:
        raise NothingToDecide(
            f"Client {phorest_id} owns no contact in GHL, so there is none whose fields could follow Phorest. Accept the "
            "adoption first, or name the household's primary client."
        )
    return found


def _hash(keyring: Keyring, side: Side) -> str:
    return side_hash(keyring, first_name=side.first_name, last_name=side.last_name, email=side.email, phone=side.phone)
