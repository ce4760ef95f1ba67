"""Going live: the guard tag taken off every contact that we put it on, and then the location is `live` (safety S1).

Belongs here: the order of it, what may stand in its way, what each answer proves. Does not: asking the operator
(`commands`), putting the tag on (`guard`, and the body of each create).

It may be killed anywhere. A removal is repeated harmlessly; each contact is marked released with the answer that proves
it; the location becomes live in the transaction that finds no contact left.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.run_lock import alone
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.ghl.client import GhlClient
from phorest_ghl.ghl.fields import GUARD_TAG
from phorest_ghl.sync import mirror
from phorest_ghl.sync.lookup import read_contact
from phorest_ghl.sync.tags import in_calls

_SHOWN = 5


class NotReady(Exception):
    """The location cannot go live yet; the text is a sentence for people."""


@dataclass(frozen=True)
class Preview:
    """What going live would do: contacts that still carry the tag because of us, and the calls that release them.

    `others` were last seen with the tag, but not from us: put on by hand, or come over with a contact that was merged in
    GHL. They keep it.
    """

    location_id: str
    contacts: int
    calls: int
    others: tuple[str, ...]
    live_at: datetime | None


@dataclass
class WentLive:
    """What going live did: contacts released, those gone from GHL, and those whose tag GHL did not take off, with why.

    `live_at` is None while something is left: the location stays quiet, and the next call goes on from there.
    """

    location_id: str
    released: int = 0
    gone: set[str] = field(default_factory=set[str])
    refused: dict[str, str] = field(default_factory=dict[str, str])
    live_at: datetime | None = None


def preview(engine: Engine, location_id: str) -> Preview:
    """What `go_live` would do now; reads our own tables alone. Raises NotReady, LocationBusy."""
    with alone(engine, location_id):
        return in_transaction(engine, lambda connection: _preview(connection, location_id))


def go_live(
    engine: Engine, client: GhlClient, *, progress: Callable[[int, int], object] = lambda _done, _all: None
) -> WentLive:
    """Release every guarded contact, 500 a call, then make the location live. Nothing else may write to it meanwhile.

    `progress` is told contacts done and contacts in all. On a location that is live already, what is left is released.
    Raises NotReady, LocationBusy, ApiError; what was released until then stays so.
    """
    location_id = client.location_id
    with alone(engine, location_id):
        in_transaction(engine, lambda connection: _require_ready(connection, location_id))
        guarded = in_transaction(engine, lambda connection: _guarded(connection, location_id))
        done = WentLive(location_id)
        parts = in_calls(guarded)
        for number, part in enumerate(parts, 1):
            _release(engine, client, part, guarded, done)
            progress(min(number * len(parts[0]), len(guarded)), len(guarded))
        now = client.now()
        done.live_at = in_transaction(engine, lambda connection: _become_live(connection, location_id, now))
    return done


def release(engine: Engine, client: GhlClient, entity_type: str, phorest_ids: Collection[str]) -> set[str]:
    """Take the guard tag off these records' contacts of a live location, made at night with it (S5); who still carries it.

    Raises ApiError; what was released until then stays so.
    """
    location_id = client.location_id
    found = in_transaction(
        engine, lambda connection: _guarded(connection, location_id, of=(entity_type, list(phorest_ids)))
    )
    done = WentLive(location_id)
    for part in in_calls(found):
        _release(engine, client, part, found, done)
    return set(done.refused)


def _preview(connection: Connection, location_id: str) -> Preview:
    _require_ready(connection, location_id)
    guarded = _guarded(connection, location_id)
    live_at = connection.execute(
        text("select live_at from ghl_locations where location_id = :location_id and mode = 'live'"),
        {"location_id": location_id},
    ).scalar_one_or_none()
    others = connection.execute(
        text("""select ghl_id from ghl_contacts
                where location_id = :location_id and gone_at is null and tags ? :tag and not exists (
                    select from guarded_contacts g
                    where g.location_id = ghl_contacts.location_id and g.ghl_id = ghl_contacts.ghl_id
                          and released_at is null)
                order by ghl_id"""),
        {"location_id": location_id, "tag": GUARD_TAG},
    )
    return Preview(location_id, len(guarded), len(in_calls(guarded)), tuple(row.ghl_id for row in others), live_at)


def _require_ready(connection: Connection, location_id: str) -> None:
    written = connection.execute(
        text("""select exists (select from entity_mappings where location_id = :location_id)
                       or exists (select from guarded_contacts where location_id = :location_id)"""),
        {"location_id": location_id},
    ).scalar_one()
    state = mirror.location_state(connection, location_id)
    if state is None or state.workflows_confirmed_at is None or not written:
        raise NotReady(
            f"Nothing was written to location {location_id} yet, so there is nothing to go live with. Run "
            "`phorest-ghl plan`, then `phorest-ghl sync clients`, look at the contacts in GHL, and go live then."
        )
    unsettled = _unsettled(connection, location_id)
    if unsettled:
        named = ", ".join(unsettled[:_SHOWN]) + (" and others" if len(unsettled) > _SHOWN else "")
        raise NotReady(
            f"Location {location_id} has creates that are not settled: whether GHL made the contacts of these Phorest "
            f"clients is not known: {named}. Run `phorest-ghl sync clients`, which looks them up, and go live then."
        )


def _unsettled(connection: Connection, location_id: str) -> list[str]:
    rows = connection.execute(
        text("""select phorest_id from sync_intents where location_id = :location_id
                       and state in ('planned', 'sent', 'unknown') order by phorest_id"""),
        {"location_id": location_id},
    )
    return [row.phorest_id for row in rows]


def _guarded(connection: Connection, location_id: str, *, of: tuple[str, list[str]] | None = None) -> dict[str, bool]:
    """Contacts that are not released, all or those of some records, with whether we know already that they are gone."""
    entity_type, phorest_ids = (None, None) if of is None else of
    rows = connection.execute(
        text("""select ghl_id, gone_at is not null as gone
                from guarded_contacts left join ghl_contacts using (location_id, ghl_id)
                where location_id = :location_id and released_at is null
                      and (cast(:entity_type as text) is null or ghl_id in (
                          select m.ghl_id from entity_mappings m
                          where m.location_id = :location_id and m.entity_type = :entity_type
                                and m.phorest_id = any(:phorest_ids) and m.removed_at is null))
                order by ghl_id"""),
        {"location_id": location_id, "entity_type": entity_type, "phorest_ids": phorest_ids},
    )
    return {row.ghl_id: row.gone for row in rows}


def _release(
    engine: Engine, client: GhlClient, part: list[str], known_gone: Mapping[str, bool], done: WentLive
) -> None:
    """One call, and what it proves; where it proves nothing of a contact, the contact read by id does."""
    answer = client.bulk_tags(part, [GUARD_TAG], remove=True)
    released, gone = set(answer.confirmed), set[str]()
    for ghl_id, message in answer.refused.items():
        contact = None if known_gone[ghl_id] else read_contact(client, ghl_id)
        if contact is None:
            gone.add(ghl_id)
        elif GUARD_TAG in contact.tags:
            done.refused[ghl_id] = message
        else:
            released.add(ghl_id)
    in_transaction(engine, lambda connection: _keep(connection, client.location_id, released, gone))
    done.released += len(released)
    done.gone |= gone


def _keep(connection: Connection, location_id: str, released: Collection[str], gone: Collection[str]) -> None:
    for ghl_id in sorted(gone):
        mirror.mark_gone(connection, location_id, ghl_id)
    connection.execute(
        text("""update guarded_contacts set released_at = now()
                where location_id = :location_id and ghl_id = any(:ghl_ids) and released_at is null"""),
        {"location_id": location_id, "ghl_ids": [*released, *gone]},
    )
    connection.execute(
        text("""update ghl_contacts set tags = tags - cast(:tag as text)
                where location_id = :location_id and ghl_id = any(:ghl_ids) and tags ? :tag"""),
        {"location_id": location_id, "ghl_ids": list(released), "tag": GUARD_TAG},
    )


def _become_live(connection: Connection, location_id: str, now: datetime | None) -> datetime | None:
    """Make the location live if no contact of it is left guarded and no create unsettled; since when it is, or None.

    `now` is GHL's clock, which Phorest's changes are compared with; where it does not say, the database's.
    """
    key = {"location_id": location_id, "now": now}
    connection.execute(text("select from ghl_locations where location_id = :location_id for update"), key)
    if _guarded(connection, location_id) or _unsettled(connection, location_id):
        return None
    return connection.execute(
        text("""update ghl_locations set mode = 'live', live_at = case mode when 'live' then live_at
                                                     else coalesce(cast(:now as timestamptz), now()) end
                where location_id = :location_id returning live_at"""),
        key,
    ).scalar_one()
