"""Users of the location (facts/ghl-api §13).

Belongs here: reading users. Does not belong here: making them; a user costs a seat, and no sync should.
"""

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.ghl.common import Call, get, refuse
from phorest_ghl.sandbox.wire import Reply

_SEARCH: w.Shape = {
    "companyId": w.STR.needed(), "query": w.STR, "skip": w.COUNT, "limit": w.COUNT, "locationId": w.STR, "type": w.STR,
    "role": w.STR, "ids": w.STR, "sort": w.STR, "sortDirection": w.STR, "enabled2waySync": w.BOOL,
}  # fmt: skip


def search_users(call: Call) -> Reply:
    """Users of a company, which must be named; by words, role, ids."""
    if call.request.param("companyId") != call.world.location["companyId"]:
        refuse(403, "The token does not have access to this company.")
    rows = list(call.store("users").rows.values())
    words, role, ids = (call.request.param(name) for name in ("query", "role", "ids"))
    rows = [row for row in rows if (words or "").lower() in f"{row['name']} {row['email']}".lower()]
    rows = [row for row in rows if role in {None, row["roles"]["role"]} and (not ids or row["id"] in ids.split(","))]
    skip, limit = int(call.request.param("skip") or 0), int(call.request.param("limit") or 25)
    return Reply(200, {"users": rows[skip : skip + limit], "count": len(rows)})


def list_users(call: Call) -> Reply:
    """The deprecated list, which needs no company."""
    return Reply(200, {"users": list(call.store("users").rows.values())})


def read_user(call: Call) -> Reply:
    """One user, without a wrapper."""
    row = call.store("users").get(call.ids[0])
    if row is None:
        refuse(400, f"User with id {call.ids[0]} not found")
    return Reply(200, {name: value for name, value in row.items() if name != "deleted"})


ROUTES = (
    get("/users/search", search_users, "users.readonly", query=_SEARCH),
    get("/users/", list_users, "users.readonly", query={"locationId": w.STR.needed()}),
    get("/users/{userId}", read_user, "users.readonly"),
)
