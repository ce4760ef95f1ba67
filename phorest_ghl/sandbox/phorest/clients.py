"""Clients: list with every filter, single, walk-in, batch, create, update (facts/phorest-api §7.2, §13).

Belongs here: the client resource. Does not belong here: loyalty points and credit, which have endpoints of their own.
"""

import re
from collections.abc import Callable, Iterator

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.clock import exact_instant, phorest_instant
from phorest_ghl.sandbox.phorest.common import Call, page, refuse, route
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply

_FILTERS = (
    "email", "phone", "firstName", "lastName", "externalId", "updatedAfter", "updatedBefore", "includeArchived",
    "includeDeleted",
)  # fmt: skip
_GENDERS = {"MALE", "FEMALE", "NON_BINARY", "NOT_SPECIFIED", "PREFER_NOT_TO_SAY", "UNKNOWN"}
_TEXTS = (
    "firstName", "lastName", "mobile", "linkedClientMobile", "linkedClientId", "landLine", "email", "birthDate",
    "clientSince", "gender", "notes", "preferredStaffId", "externalId",
)  # fmt: skip
_FLAGS = (
    "smsMarketingConsent",
    "emailMarketingConsent",
    "smsReminderConsent",
    "emailReminderConsent",
    "archived",
    "banned",
)
_ADDRESS = ("streetAddress1", "streetAddress2", "city", "state", "postalCode", "country")
_WRITABLE = (*_TEXTS, *_FLAGS, "address", "clientCategoryIds")
Test = Callable[[Row], bool]


_WRITE: w.Shape = {
    **dict.fromkeys(_TEXTS, w.STR_OR_NULL),
    **dict.fromkeys(_FLAGS, w.BOOL_OR_NULL),
    "address": w.Field("an object", nullable=True, inner=dict.fromkeys(_ADDRESS, w.STR_OR_NULL)),
    "clientCategoryIds": w.Field("an array of strings", nullable=True),
    "creatingBranchId": w.STR_OR_NULL,
}
_UPDATE: w.Shape = {**_WRITE, "clientId": w.STR.needed(), "version": w.INTEGER.needed()}


def list_clients(call: Call) -> Reply:
    """A page of clients; archived and deleted ones only on demand. Unknown parameters are ignored, in silence.

    Pages are cut from a list that is kept until a client changes, so that reading all pages costs one scan.
    """
    store = call.store("clients")
    lists = call.world.client_lists
    values = tuple(call.text(name) for name in _FILTERS)
    switches = call.world.switches
    key = (*values, bool(call.request.ignored), switches.phorest_updated_after, switches.phorest_walk_in_listed)
    if lists.get("revision") != store.revision or len(lists) > 64:
        lists.clear()
        lists["revision"] = store.revision
    if key not in lists:
        tests = list(_tests(call))
        lists[key] = [row["clientId"] for row in store.rows.values() if all(test(row) for test in tests)]
    return page(call, "clients", lists[key], store.blob)


def _tests(call: Call) -> Iterator[Test]:
    if not call.flag("includeArchived"):
        yield lambda row: not row["archived"]
    if not call.flag("includeDeleted"):
        yield lambda row: not row["deleted"]
    if not call.world.switches.phorest_walk_in_listed:
        yield lambda row: row["clientId"] != call.world.walk_in
    yield from _text_tests(call)
    lower, upper = call.instant("updatedAfter"), call.instant("updatedBefore")
    if "filter_ignored" in call.request.ignored:
        return
    inclusive = call.world.switches.phorest_updated_after == "inclusive"
    # Instants of one fixed format compare as text.
    if lower is not None:
        low = exact_instant(lower)
        yield lambda row: row["updatedAt"] > low or (inclusive and row["updatedAt"] == low)
    if upper is not None:
        high = exact_instant(upper)
        yield lambda row: row["updatedAt"] < high or (inclusive and row["updatedAt"] == high)


def _text_tests(call: Call) -> Iterator[Test]:
    email, phone, external = call.text("email"), call.text("phone"), call.text("externalId")
    if email is not None:
        yield lambda row: (row.get("email") or "").strip().lower() == email.strip().lower()
    if phone is not None:
        # Stored spellings are mixed; digits are compared, so that a plus sign more or less is all that is forgiven.
        wanted = re.sub(r"\D", "", phone)
        yield lambda row: bool(row.get("mobile")) and re.sub(r"\D", "", row["mobile"]) == wanted
    if external is not None:
        yield lambda row: row.get("externalId") == external
    for name in ("firstName", "lastName"):
        value = call.text(name)
        if value is not None:
            yield _name_test(name, value)


def _name_test(name: str, value: str) -> Test:
    """Exact, or a prefix written as `~Jo%`."""
    if value.startswith("~") and value.endswith("%"):
        start = value[1:-1].casefold()
        return lambda row: (row.get(name) or "").casefold().startswith(start)
    return lambda row: row.get(name) == value


def get_client(call: Call) -> Reply:
    """One client, archived and deleted ones too (ASSUMED)."""
    return Reply(200, _existing(call, call.ids[0]))


def get_walk_in(call: Call) -> Reply:
    """The placeholder record for sales and appointments without a named client."""
    return Reply(200, call.store("clients").rows[call.world.walk_in])


def get_batch(call: Call) -> Reply:
    """1 to 100 clients by id; unknown ids are dropped."""
    wanted = call.request.params("client_id")
    if not 1 <= len(wanted) <= 100:
        refuse(400, "Between 1 and 100 client_id parameters are needed", "INVALID_PARAMETER")
    store, hidden = call.store("clients"), not call.world.switches.phorest_batch_returns_archived
    rows = [store.rows[key] for key in dict.fromkeys(wanted) if key in store]
    shown = [row["clientId"] for row in rows if not (hidden and (row["archived"] or row["deleted"]))]
    meta = {"size": len(shown), "totalElements": len(shown), "totalPages": 1 if shown else 0, "number": 0}
    body: Row = {"_embedded": {"clients": [store.rows[key] for key in shown]}} if shown else {}
    return Reply(200, body | {"page": meta})


def _existing(call: Call, key: str) -> Row:
    row = call.store("clients").get(key)
    if row is None:
        refuse(404, "Client not found", "NOT_FOUND")
    return row


def create_client(call: Call) -> Reply:
    """A new client, version 0 (ASSUMED start)."""
    body = call.body()
    _check(call, body)
    if call.world.switches.phorest_duplicate_policy == "reject409":
        _refuse_twin(call, body)
    now = phorest_instant(call.world.clock.now())
    row: Row = {
        "clientId": call.world.new_phorest_id(), "version": 0, **_written(body), "createdAt": now, "updatedAt": now,
        "deleted": False, "creatingBranchId": body.get("creatingBranchId"),
        "loyaltyCard": {"serial": "", "points": 0.0},
    }  # fmt: skip
    row["archived"], row["banned"] = bool(row.get("archived")), bool(row.get("banned"))
    row.setdefault("clientSince", now)
    call.store("clients").put(row["clientId"], row)
    return Reply(201, row)


def _refuse_twin(call: Call, body: Row) -> None:
    """409 names no id, as observed (facts/phorest-api §5)."""
    for name in ("mobile", "email"):
        value = body.get(name)
        if value and any(row.get(name) == value for row in call.store("clients").rows.values()):
            refuse(409, "Client already exists", "DUPLICATE_CLIENT")


def update_client(call: Call) -> Reply:
    """Replace a client under its version.

    By default the body is the whole record (facts/phorest-api §7.2.3 is of two minds).
    """
    key, body = call.ids[0], call.body()
    row = _existing(call, key)
    if body.get("clientId") != key:
        refuse(400, "clientId in path and body must agree", "INVALID_BODY")
    _check(call, body)
    check_version(call, body, row)
    written = _written(body)
    if call.world.switches.phorest_put == "full":
        written = {name: None for name in _WRITABLE if name in row} | written
    fresh = {**row, **written, "version": row["version"] + 1, "updatedAt": phorest_instant(call.world.clock.now())}
    fresh["archived"], fresh["banned"] = bool(fresh.get("archived")), bool(fresh.get("banned"))
    call.store("clients").put(key, fresh)
    return Reply(200, fresh)


def check_version(call: Call, body: Row, row: Row) -> None:
    """Optimistic locking: a stale version answers with the status of the switch, 409 by default."""
    if body["version"] != row["version"]:
        refuse(call.world.switches.phorest_stale_status, f"Version {body['version']} is not current", "STALE_VERSION")


def _written(body: Row) -> Row:
    return {name: body[name] for name in _WRITABLE if name in body}


def _check(call: Call, body: Row) -> None:
    for name in ("firstName", "lastName"):
        if not (body.get(name) or "").strip():
            refuse(400, f"{name} is required", "INVALID_BODY")
    if body.get("gender") not in {None, *_GENDERS}:
        refuse(400, "gender is not one of the known values", "INVALID_BODY")
    if body.get("creatingBranchId") not in {None, *call.store("branches").rows}:
        refuse(400, "creatingBranchId is no branch of this business", "INVALID_BODY")


ROUTES = (
    route("GET", "/client", list_clients),
    route("GET", "/client/walk-in", get_walk_in),
    route("GET", "/client/{clientId}", get_client),
    route("GET", "/client-batch", get_batch),
    route("POST", "/client", create_client, _WRITE),
    route("PUT", "/client/{clientId}", update_client, _UPDATE),
)
