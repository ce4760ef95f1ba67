"""The GoHighLevel API: one method a call (facts/ghl-api §5–§9, §13). The reader has no write verb at all.

Belongs here: paths, bodies, versions, unwrapping. Does not: retries and pacing (`phorest_ghl.http`), decisions (`sync`).
Every method raises `ApiError`.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from phorest_ghl.ghl import answers
from phorest_ghl.ghl.bulk_tags import BulkTags, bulk_body, read_bulk
from phorest_ghl.ghl.models import Acknowledged, Contact, ContactWrite, CustomField, Location, Workflow
from phorest_ghl.ghl.versions import ApiVersion, Module
from phorest_ghl.http.budget import Lane
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.http.paging import iterate_cursor
from phorest_ghl.http.session import Answer, ApiSession

PAGE_LIMIT = 500
"""The most that a contact search answers at once (§7.1)."""

_field = TypeAdapter(CustomField)
_fields = TypeAdapter(list[CustomField])
_workflows = TypeAdapter(list[Workflow])

_FILTERED_CHANNELS = ("SMS", "Email", "Call")
"""Channels that search can filter by (§7.1); the others are seen by the nightly audit (safety S11)."""
_BLOCKED = ("active", "permanent")


def private_token(token: str) -> Callable[[], dict[str, str]]:
    """Headers of a private integration token (§2.1)."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    return lambda: dict(headers)


class GhlReader:
    """Reads of one location."""

    def __init__(self, session: ApiSession, location_id: str, version: ApiVersion = ApiVersion()) -> None:  # noqa: B008 - frozen
        self._session = session
        self._version = version
        self.location_id = location_id

    @property
    def requests(self) -> int:
        """Requests sent so far, retries included."""
        return self._session.requests

    def location(self) -> Location:
        """The location, with its duplicate settings (`get-location`)."""
        answer = self._send("GET", "/locations/{locationId}", "locations", locationId=self.location_id)
        return answers.location(answer)

    def now(self) -> datetime | None:
        """GHL's clock, from a cheap answer's `Date` header (aware UTC); None where it does not say."""
        return self._send("GET", "/locations/{locationId}", "locations", locationId=self.location_id).date

    def custom_fields(self) -> list[CustomField]:
        """The contact fields defined in the location; not paged (`get-custom-fields`)."""
        answer = self._send(
            "GET",
            "/locations/{locationId}/customFields",
            "locations",
            params={"model": "contact"},
            locationId=self.location_id,
        )
        return answers.typed(_fields, answer, "customFields")

    def contact(self, contact_id: str, *, lane: Lane = Lane.CONTACTS) -> Contact:
        """A contact by id, never stale (`get-contact`). An ApiError of category GONE where it no longer exists."""
        answer = self._send("GET", "/contacts/{contactId}", "contacts", lane=lane, contactId=contact_id)
        contact = answers.contact(answer)
        contact.asked_at = answer.asked_at
        return contact

    def workflows(self) -> list[Workflow]:
        """The location's workflows; not paged (`get-workflow` of the vendor's workflows API; scope workflows.readonly)."""
        answer = self._send("GET", "/workflows/", "workflows", params={"locationId": self.location_id})
        return answers.typed(_workflows, answer, "workflows")

    def all_contacts(self, *, counted: Callable[[int], object] | None = None) -> Iterator[list[Contact]]:
        """Every contact of the location, a page at a time. Search lags behind writes by seconds (§7.1).

        `counted` is told with each page how many GHL says there are.
        """
        return self.search([], counted=counted)

    def search(
        self,
        filters: list[dict[str, Any]],
        *,
        lane: Lane = Lane.CONTACTS,
        counted: Callable[[int], object] | None = None,
    ) -> Iterator[list[Contact]]:
        """Pages of contacts that match all filters (`search-contacts-advanced`). Stale by seconds; never proof of absence."""

        def fetch(after: list[Any] | None) -> tuple[list[Contact], list[Any] | None]:
            body: dict[str, Any] = {"locationId": self.location_id, "pageLimit": PAGE_LIMIT, "filters": filters}
            if after is not None:
                body["searchAfter"] = after
            answer = self._send("POST", "/contacts/search", "contacts", json=body, lane=lane, repeatable=True)
            found, listed = answers.contacts(answer)
            if counted is not None and type(total := answer.json().get("total")) is int:
                counted(total)
            return found, _next_page(answer, found) if listed == PAGE_LIMIT else None

        return iterate_cursor(fetch)

    def opted_out(self, since: datetime | None, *, lane: Lane = Lane.CONTACTS) -> Iterator[list[Contact]]:
        """Pages of contacts with SMS, Email, Call or all channels (`dnd`) blocked, changed since then (aware), or all.

        One request if none is.

        A hit only nominates: search is stale by seconds and may leave consent out, so the read by id decides (S10, S11).
        Allow for its lag in `since`. That `dateUpdated` moves with a change of DND is assumed; the nightly audit looks too.
        """
        blocked = [
            {"field": f"dndSettings.{channel}.status", "operator": "eq", "value": status}
            for channel in _FILTERED_CHANNELS
            for status in _BLOCKED
        ]
        closed = {"field": "dnd", "operator": "eq", "value": True}
        filters: list[dict[str, Any]] = [{"group": "OR", "filters": [*blocked, closed]}]
        if since is not None:
            moment = since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            filters.append({"field": "dateUpdated", "operator": "range", "value": {"gte": moment}})
        return self.search(filters, lane=lane)

    def duplicate(self, *, email: str | None = None, phone: str | None = None) -> Contact | None:
        """The contact that GHL itself would match to this address (`get-duplicate-contact`, §7.3)."""
        params = {"locationId": self.location_id, "email": email, "number": phone}
        answer = self._send(
            "GET", "/contacts/search/duplicate", "contacts", params={k: v for k, v in params.items() if v is not None}
        )
        return answers.contact(answer) if answer.json().get("contact") else None

    def _send(
        self,
        method: str,
        template: str,
        module: Module,
        *,
        params: dict[str, str] | None = None,
        json: object | None = None,
        lane: Lane = Lane.CONTACTS,
        bulk: bool = False,
        repeatable: bool | None = None,
        still: Callable[[], bool] | None = None,
        **ids: str,
    ) -> Answer:
        return self._session.send(
            method,
            template.format(**ids),
            operation=f"{method} {template}",
            params=params,
            json=json,
            headers=self._version.header(module),
            lane=lane,
            bulk=bulk,
            repeatable=repeatable,
            still=still,
        )


class GhlClient(GhlReader):
    """Reads and writes of one location. Only apply holds one."""

    def create_contact(self, write: ContactWrite, *, lane: Lane = Lane.CONTACTS, bulk: bool = False) -> Acknowledged:
        """Create a contact (`create-contact`). Never repeated blindly: UNKNOWN_OUTCOME where no answer came."""
        body = write.body(self._version, location_id=self.location_id)
        answer = self._send("POST", "/contacts/", "contacts", json=body, lane=lane, bulk=bulk)
        return _acknowledged(answer)

    def update_contact(
        self,
        contact_id: str,
        write: ContactWrite,
        *,
        lane: Lane = Lane.CONTACTS,
        repeatable: bool = True,
        still: Callable[[], bool] | None = None,
    ) -> Acknowledged:
        """Change the named members of a contact, the others stay (`update-contact`).

        Where it is not `repeatable`, an answer that is lost is an UNKNOWN_OUTCOME. `still` is asked when its turn in the
        budget has come; NotSent is raised where it says no.
        """
        answer = self._send(
            "PUT",
            "/contacts/{contactId}",
            "contacts",
            json=write.body(self._version),
            lane=lane,
            repeatable=repeatable,
            still=still,
            contactId=contact_id,
        )
        return _acknowledged(answer)

    def delete_contact(self, contact_id: str, *, lane: Lane = Lane.CONTACTS) -> None:
        """Delete a contact with its notes, tasks and events (`delete-contact`). Raises ApiError: GONE where it is no more."""
        self._send("DELETE", "/contacts/{contactId}", "contacts", lane=lane, contactId=contact_id)

    def bulk_tags(
        self,
        contact_ids: Sequence[str],
        tags: Sequence[str],
        *,
        remove: bool = False,
        lane: Lane = Lane.CONTACTS,
        bulk: bool = False,
    ) -> BulkTags:
        """Add tags to up to `BULK_LIMIT` contacts, or remove them (§8.2); answered for contact by contact.

        Safe to repeat: a contact that has the tag already does not get it again, and no trigger fires. None is sent for no
        contacts. Raises ValueError for too many contacts, or for no tag.
        """
        ids = list(dict.fromkeys(contact_ids))
        body = bulk_body(ids, tags, self.location_id)
        if not ids:
            return BulkTags({})
        answer = self._send(
            "POST",
            "/contacts/bulk/tags/update/{type}",
            "contacts",
            json=body,
            lane=lane,
            bulk=bulk,
            repeatable=True,
            type="remove" if remove else "add",
        )
        return read_bulk(answer.json(), ids, tags, remove=remove)

    def create_custom_field(self, name: str, data_type: str, *, options: Sequence[str] = ()) -> CustomField:
        """Define a contact field (`create-custom-field`, §9.1). Not repeatable: list before asking again.

        `options` are what a picklist offers; the schema lacks them, live clients send them.
        """
        body: dict[str, Any] = {"name": name, "dataType": data_type, "model": "contact"}
        answer = self._send(
            "POST",
            "/locations/{locationId}/customFields",
            "locations",
            json={**body, "options": list(options)} if options else body,
            locationId=self.location_id,
        )
        return answers.typed(_field, answer, "customField")


def _acknowledged(answer: Answer) -> Acknowledged:
    return Acknowledged(answers.contact(answer, wrote=answer.operation.startswith("POST")), answer.date)


def _next_page(answer: Answer, found: Sequence[Contact]) -> list[Any]:
    """Where the page after a full one begins. Raises ApiError PROTOCOL: without it the rest would be lost in silence."""
    after = found[-1].search_after if found else None
    if after is None:
        reason = "but its last contact does not say where the next page begins"
        raise ApiError(Category.PROTOCOL, api="ghl", operation=answer.operation, status=answer.status, reason=reason)
    return after
