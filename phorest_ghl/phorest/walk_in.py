"""The walk-in placeholder: the client that stands for nobody (facts/phorest-api §7.2.4).

Belongs here: importing and marking it. Does not: leaving it out of a sync.
"""

from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.bulk import PageWriter
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.phorest.client import PhorestClient

_MARK = text("""
    update phorest_clients set walk_in = not walk_in where walk_in <> (phorest_id is not distinct from :id)
""")


def mark_walk_in(engine: Engine, client: PhorestClient, writer: PageWriter, *, batch_id: str) -> str | None:
    """Import the placeholder and mark it, and nobody else; its id, or None for a business without one (404)."""
    try:
        page = client.walk_in()
    except ApiError as error:
        if error.category is Category.GONE:
            return None
        raise

    def work(connection: Connection) -> str | None:
        written = writer.write(connection, page.document, path=page.path, batch_id=batch_id)
        walk_in = written.ids[0] if written.ids else None
        connection.execute(_MARK, {"id": walk_in})
        return walk_in

    return in_transaction(engine, work)
