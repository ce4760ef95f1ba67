"""A plan of one client is the part of everybody's plan that is theirs: no detour with rules of its own."""

import pytest

from phorest_ghl.sync.plan import Plan
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import Rig, installation

pytestmark = pytest.mark.road


def check_alike(rig: Rig, *, at_most: int = 100) -> int:
    """Compare the plan of one with everybody's, for clients who share something first; how many had a change."""
    sync = rig.sync()
    prepared = sync.prepare()
    everybody = sync.plan(prepared)
    shared = [row["clientId"] for row in rig.clients() if row["truth"]["household"] != row["clientId"]]
    houses = [row["truth"]["household"] for row in rig.clients() if row["clientId"] in shared]
    changed = [item for change in everybody.changes for item in change.item_ids]
    keys = list(dict.fromkeys([*shared, *houses, *changed[:20], *changed[-20:], *everybody.settled]))[:at_most]
    changes = 0
    for key in keys:
        alone = sync.plan(prepared, of=[key])
        assert shown(alone, key) == shown(everybody, key), key
        assert [r for r in alone.reviews if r not in everybody.reviews] == []
        changes += bool(alone.changes)
    return changes


def shown(plan: Plan, key: str) -> object:
    """What a plan does with a client: its changes with every value and who shares them, or its outcome."""
    part = plan.about([key])
    changes = {
        (c.action, c.ghl_id, c.diffs, c.reason, c.read_first, c.desired.member_ids, c.desired.source_hash, c.mapped_ids)
        for c in part.changes
    }
    return changes, dict(part.settled), part.total


def test_a_plan_of_one_client_is_its_part_of_everybodys(database: Database) -> None:
    with installation(database.url, clients=160, months=1, agency_contacts=30) as rig:
        rig.load()
        rig.importer().appointments()
        assert check_alike(rig) > 40, "first they are made and taken over"
        rig.confirm()
        rig.apply()
        held = [
            row
            for row in rig.clients(syncable=True)
            if row.get("mobile") and row["truth"]["household"] == row["clientId"]
        ]
        a, b, c, d, e, *others = held
        number = {"mobile": a["mobile"]}
        rig.edit_client(a["clientId"], mobile="+353 85 990 0001")  # gives its number up, and somebody new takes it
        rig.edit_client(b["clientId"], **number)
        rig.edit_client(c["clientId"], mergedToClientId=d["clientId"])
        rig.edit_client(e["clientId"], smsMarketingConsent=False, firstName="Nuala")
        for one in others[:6]:
            rig.edit_client(one["clientId"], mobile="+353 85 990 0002")  # more than a household has
        for one in others[10:15]:
            rig.edit_client(one["clientId"], lastName="Quinn")
        rig.delete_contact(rig.contact_of(others[7]["clientId"])["id"])
        rig.edit_contact(rig.contact_of(others[8]["clientId"])["id"], firstName="Somebody")
        rig.load()
        assert check_alike(rig) > 5
