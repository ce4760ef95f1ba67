"""Branches and client categories; the slow-changing lists of a business (facts/phorest-api §7.1, §7.3).

Belongs here: lists without a delta. Does not belong here: clients and appointments.
"""

from phorest_ghl.sandbox.phorest.common import Call, PhorestRoute, page_of_rows, refuse
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply


def list_branches(call: Call) -> Reply:
    """All branches; there is no delta and no single read."""
    return page_of_rows(call, "branches", call.store("branches").rows.values())


def list_categories(call: Call) -> Reply:
    """Client categories, archived ones on demand, by exact name."""
    archived, name = call.flag("includeArchived"), call.text("name")
    rows = [row for row in call.store("categories").rows.values() if archived or not row["archived"]]
    return page_of_rows(call, "clientCategories", (_category(call, row) for row in rows if name in {None, row["name"]}))


def get_category(call: Call) -> Reply:
    """One client category."""
    row = call.store("categories").get(call.ids[0])
    if row is None:
        refuse(404, "Client category not found", "NOT_FOUND")
    return Reply(200, _category(call, row))


def _category(call: Call, row: Row) -> Row:
    """The id's name is disputed (facts/phorest-api §11.2), so it is a switch."""
    rest = {key: value for key, value in row.items() if key != "clientCategoryId"}
    return {call.world.switches.phorest_category_key: row["clientCategoryId"], **rest}


ROUTES = (
    PhorestRoute("GET", "/branch", list_branches),
    PhorestRoute("GET", "/category/client", list_categories),
    PhorestRoute("GET", "/category/client/{categoryId}", get_category),
)
