"""What waited for the morning, carried out by the first run of appointments after it (safety S5).

Belongs here: the order of it. Does not: what waits (`quiet_hours`), who is due (`mornings`), the clients' road itself.
"""

from datetime import datetime, timedelta

from sqlalchemy import Engine

from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.ghl.client import GhlClient, GhlReader
from phorest_ghl.sync import going_live, mornings
from phorest_ghl.sync.clients import ENTITY, ClientsSync
from phorest_ghl.sync.mirror import LocationState
from phorest_ghl.sync.registry import ForeignField
from phorest_ghl.sync.summary import RunResult

_FEW = 500
"""Up to so many clients are planned by themselves; more of them together with everybody, which is faster then."""
_ONCE_MORE = timedelta(hours=1)
"""When a contact from which GHL did not take the guard tag is tried again."""


class CatchUp:
    """Goes on with clients of one location of whom something waited."""

    def __init__(self, engine: Engine, clients: ClientsSync, client: GhlReader) -> None:
        self._engine = engine
        self._clients = clients
        self._client = client

    def run(
        self, location: LocationState, now: datetime, *, started_at: datetime, job_id: str | None = None
    ) -> RunResult | None:
        """Release the contacts that were made at night, and sync whoever is due; None where nobody is.

        Raises ApiError, and what `ClientsSync.apply` raises; who was not come to is due in the next run too.
        """
        if location.quiet or not isinstance(self._client, GhlClient):
            return None
        with self._engine.connect() as connection:
            due = mornings.due(connection, location.location_id, ENTITY, now)
        if not due:
            return None
        try:
            prepared = self._clients.prepared_by(location, now)
        except ForeignField:
            return None  # nothing is written to contacts until a person decides, and the clients' own run says so
        kept = going_live.release(self._engine, self._client, ENTITY, due)
        made = self._clients.plan(prepared, of=due if len(due) <= _FEW else None)
        result = self._clients.apply(made, prepared, started_at=started_at, job_id=job_id)
        if kept:
            in_transaction(
                self._engine,
                lambda connection: mornings.guarded_still(
                    connection, location.location_id, ENTITY, kept, now + _ONCE_MORE
                ),
            )
        return result
