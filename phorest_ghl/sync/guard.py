"""The guard tag on contacts that were there before us: on each of them before any other write to it (safety S1).

Belongs here: adding it, and the record that go-live releases it by. Does not: contacts that we create, which carry it in
their own body; taking it off again (`going_live`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.ghl.client import GhlClient
from phorest_ghl.ghl.fields import GUARD_TAG
from phorest_ghl.http.budget import Lane
from phorest_ghl.http.errors import MEETS_EVERY_CALL, ApiError
from phorest_ghl.sync.journal import Ledger
from phorest_ghl.sync.tags import in_calls


@dataclass(frozen=True)
class Guarded:
    """Contacts that carry the guard tag and may be written to, and those that must not be, with the reason."""

    confirmed: frozenset[str]
    refused: Mapping[str, str]


def guard(
    engine: Engine,
    client: GhlClient,
    ledger: Ledger,
    ghl_ids: Collection[str],
    *,
    lane: Lane = Lane.CONTACTS,
    bulk: bool = False,
    trusting: bool = True,
) -> Guarded:
    """Put the guard tag on contacts of a quiet location, 500 a call, and record each one that GHL confirmed.

    A contact of which the record and the mirror both say that it is guarded costs no request, unless `trusting` is off.
    What a call confirmed is committed before the next leaves; killed in between, the next run repeats the call, which
    changes nothing.

    Raises ApiError where it would meet every further call too; what was confirmed before is kept.
    """
    confirmed: set[str] = set()
    if trusting:
        confirmed = in_transaction(engine, lambda connection: guarded_already(connection, ledger.location_id, ghl_ids))
    refused: dict[str, str] = {}
    for part in in_calls(set(ghl_ids) - confirmed):
        try:
            answer = client.bulk_tags(part, [GUARD_TAG], lane=lane, bulk=bulk)
        except ApiError as error:
            if error.category in MEETS_EVERY_CALL:
                raise
            refused |= dict.fromkeys(part, str(error))
            continue
        done = answer.confirmed
        if done:
            in_transaction(engine, lambda connection, done=done: _keep(connection, ledger, done))
        confirmed |= done
        refused |= answer.refused
    return Guarded(frozenset(confirmed), refused)


def guarded_already(connection: Connection, location_id: str, ghl_ids: Collection[str]) -> set[str]:
    """Those of the contacts that we have guarded and not released, and that were last seen with the tag."""
    rows = connection.execute(
        text("""select ghl_id from guarded_contacts join ghl_contacts using (location_id, ghl_id)
                where location_id = :location_id and ghl_id = any(:ghl_ids) and released_at is null and gone_at is null
                      and tags ? :tag"""),
        {"location_id": location_id, "ghl_ids": list(ghl_ids), "tag": GUARD_TAG},
    )
    return {row.ghl_id for row in rows}


def calls_to_guard(connection: Connection, location_id: str, ghl_ids: Collection[str]) -> int:
    """How many requests guarding these contacts would take, for the plan."""
    return len(in_calls(set(ghl_ids) - guarded_already(connection, location_id, ghl_ids)))


def _keep(connection: Connection, ledger: Ledger, ghl_ids: Collection[str]) -> None:
    """Record the guard, and let the mirror show the tag: it stands in GHL now, though no search may show it yet."""
    ledger.guard(connection, *ghl_ids)
    connection.execute(
        text("""update ghl_contacts set tags = tags || to_jsonb(cast(:tag as text))
                where location_id = :location_id and ghl_id = any(:ghl_ids) and not tags ? :tag"""),
        {"location_id": ledger.location_id, "ghl_ids": list(ghl_ids), "tag": GUARD_TAG},
    )
