"""The Phorest Third-Party API, read side (facts/phorest-api §2, §3, §6, §7).

Belongs here: which call, with which parameters, and what its answer is. Does not: retries and pacing
(`phorest_ghl.http`), rows and tables (`importer`).
"""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from phorest_ghl.http.session import Answer, ApiSession
from phorest_ghl.phorest.pages import MalformedPage, Page, parse_one, parse_page
from phorest_ghl.phorest.specs import BRANCHES, CLIENTS, ImportSpec


def basic_auth(user: str, password: str) -> Callable[[], dict[str, str]]:
    """HTTP Basic headers; the user is `global/` and the API user's email (§2.2)."""
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Accept": "application/json"}
    return lambda: dict(headers)


def wire_instant(moment: datetime) -> str:
    """An aware instant as query parameters want it: `2025-03-04T10:15:30.000Z` (§2.5)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class PhorestClient:
    """Reads of one business. Every method raises `ApiError`; list reads raise `MalformedPage` for an answer that is none."""

    def __init__(self, session: ApiSession, business_id: str) -> None:
        self._session = session
        self._prefix = f"/{business_id}"

    @property
    def requests(self) -> int:
        """Requests sent so far, retries included."""
        return self._session.requests

    def page(
        self, spec: ImportSpec, number: int, *, params: Mapping[str, str] | None = None, branch_id: str = ""
    ) -> Page:
        """Page `number` (from 0) of an entity's list (§3); of one branch where the list is a branch's."""
        query = {**spec.params, **(params or {}), "page": str(number), "size": str(spec.page_size)}
        answer = self._get(spec.path, query, reader=lambda body: parse_page(spec, body), branch_id=branch_id)
        return answer.parsed if isinstance(answer.parsed, Page) else parse_page(spec, answer.content)

    def one(self, spec: ImportSpec, phorest_id: str, *, branch_id: str = "") -> Page:
        """One record by id, as a page of one. Raises ApiError of category GONE where Phorest has none (404)."""
        if spec.by_id is None:
            raise ValueError(f"Phorest offers no read by id of {spec.entity_type}")
        return parse_one(spec, self._get(spec.by_id, {}, id=phorest_id, branch_id=branch_id).content)

    def client(self, client_id: str) -> Page:
        """One client by id, archived and deleted ones included, as a page of one (§6)."""
        return self.one(CLIENTS, client_id)

    def walk_in(self) -> Page:
        """The placeholder client of unnamed visits, as a page of one (§7.2.4). It is nobody, and never synced."""
        return parse_one(CLIENTS, self._get("/client/walk-in", {}).content)

    def create_export(self, branch_id: str, body: Mapping[str, str]) -> bytes:
        """Ask for a CSV export of a branch; the job as JSON (§8.5). Asking twice makes a file too many and no harm."""
        template = "/branch/{branch_id}/csvexportjob"
        return self._session.send(
            "POST",
            self._prefix + template.format(branch_id=quote(branch_id, safe="")),
            operation=f"POST {template}",
            json=dict(body),
            repeatable=True,
        ).content

    def read_export(self, branch_id: str, job_id: str) -> bytes:
        """An export job as it stands, as JSON."""
        return self._get("/branch/{branch_id}/csvexportjob/{job_id}", {}, branch_id=branch_id, job_id=job_id).content

    def now(self) -> datetime:
        """The vendor's clock, from a cheap answer's `Date` header: the only clock that bounds a delta (design §5)."""
        answer = self._get(BRANCHES.path, {"page": "0", "size": "1"})
        if answer.date is None:
            raise MalformedPage(
                "Phorest's answer carries no Date header, so the upper bound of a delta cannot be frozen"
            )
        return answer.date

    def _get(
        self,
        template: str,
        params: Mapping[str, str],
        *,
        reader: Callable[[bytes], object] | None = None,
        **ids: str,
    ) -> Answer:
        path = template.format(**{name: quote(value, safe="") for name, value in ids.items()})
        return self._session.send("GET", self._prefix + path, operation=f"GET {template}", params=params, reader=reader)
