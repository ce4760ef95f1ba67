"""The list of the location's workflows (facts/ghl-api §1: some clients read it; the spec snapshot lacks that module).

Belongs here: names and whether they are published. Does not belong here: what starts a workflow and whom it leaves out,
which the API does not say, nor its runs (`automations.py`).
"""

from uuid import NAMESPACE_URL, uuid5

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.ghl.common import Call, get
from phorest_ghl.sandbox.wire import Reply

_SHOWN = {"published": "published", "paused": "draft"}


def list_workflows(call: Call) -> Reply:
    """All of them, unpaged; one that is paused is a draft."""
    location = call.world.location
    found = [
        {
            "id": str(uuid5(NAMESPACE_URL, f"{location['id']} {row['id']}")), "name": row["id"],
            "status": _SHOWN[row["status"]], "version": 1, "locationId": location["id"],
            "createdAt": "2026-01-05T09:00:00.000Z", "updatedAt": "2026-01-05T09:00:00.000Z",
        }
        for row in call.world.automations.workflows()
    ]  # fmt: skip
    return Reply(200, {"workflows": found})


ROUTES = (get("/workflows/", list_workflows, "workflows.readonly", query={"locationId": w.STR.needed()}),)
