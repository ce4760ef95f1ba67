"""A client that tells how far a list has been read, for somebody who waits.

Belongs here: telling. Does not: reading (`client`), showing (`phorest_ghl.commands`).
"""

from collections.abc import Callable, Mapping

from phorest_ghl.http.session import ApiSession
from phorest_ghl.phorest.client import PhorestClient
from phorest_ghl.phorest.pages import Page
from phorest_ghl.phorest.specs import ImportSpec

Seen = Callable[[str, int, int], None]
"""Takes an entity, the number of a page that was read (from 1), and how many there are; may be called by any thread."""


class WatchedClient(PhorestClient):
    """Reads as `PhorestClient` does, and tells `seen` of every page."""

    def __init__(self, session: ApiSession, business_id: str, seen: Seen) -> None:
        super().__init__(session, business_id)
        self._seen = seen

    def page(
        self, spec: ImportSpec, number: int, *, params: Mapping[str, str] | None = None, branch_id: str = ""
    ) -> Page:
        """As the client's."""
        page = super().page(spec, number, params=params, branch_id=branch_id)
        self._seen(spec.entity_type, number + 1, page.total_pages)
        return page
