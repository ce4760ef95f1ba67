"""The staff of a salon, for tests: rows as imported, and an installation whose clients are in GHL.

Belongs here: builders, and what several tests do with such an installation. Does not belong here: what a test is about.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.staff.humans import StaffRow
from phorest_ghl.sync.staff.plan import StaffPlan
from phorest_ghl.sync.staff.road import StaffSync
from phorest_ghl.sync.summary import RunResult
from phorest_ghl_tests.sync.rig import LAG_S, Rig, Row, installation


def row(staff_id: str, first: str = "Aoife", last: str = "Byrne", **more: object) -> StaffRow:
    """A row of the staff without login or address."""
    values = {
        "branch_id": "B1",
        "user_id": None,
        "email": None,
        "phone": None,
        "archived": False,
        "hidden": False,
        **more,
    }
    return StaffRow(staff_id=staff_id, first_name=first, last_name=last, **values)  # type: ignore[arg-type]


class StaffRig:
    """What tests of the staff do with an installation."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.sandbox = rig.sandbox

    def road(self) -> StaffSync:
        return self.rig.runtime.staff_sync(batch_id=new_batch_id(), writing=True, lag_s=LAG_S)

    def plan(self) -> StaffPlan:
        road = self.road()
        return road.plan(road.prepare())

    def apply(self) -> RunResult:
        """Plan and apply, without importing first."""
        road = self.road()
        prepared = road.prepare()
        return road.apply(road.plan(prepared), prepared, started_at=datetime.now(UTC))

    def run(self) -> RunResult:
        """The cron: import, plan, apply."""
        self.rig.importer().staff()
        return self.apply()

    def edit(self, staff_id: str, **changed: object) -> None:
        self.sandbox.control("PATCH", f"/phorest/staff/{staff_id}", changed)

    def people(self) -> list[Row]:
        """Rows of the salon's staff who work here, have a login and can be reached."""
        rows = self.sandbox.truth("phorest/staff")
        return [r for r in rows if r["userId"] and not r["archived"] and (r["mobile"] or "").startswith("+")]

    def alone(self) -> list[Row]:
        """Those of them of one branch whom no client's record names."""
        clients = self.rig.clients()
        known = {value for client in clients for value in (client.get("mobile"), client.get("email")) if value}
        rows = self.people()
        logins = [r["userId"] for r in rows]
        return [r for r in rows if logins.count(r["userId"]) == 1 and not {r["mobile"], r["email"]} & known]

    def contact_of(self, staff_id: str) -> Row:
        """The one contact that carries the tag of a row."""
        found = self.contacts_of(staff_id)
        assert len(found) == 1, f"{len(found)} contacts carry the tag of one row"
        return found[0]

    def contacts_of(self, staff_id: str) -> list[Row]:
        return [c for c in self.rig.contacts() if f"phorest-staff-id:{staff_id.lower()}" in c["tags"]]

    def told(self, contact_id: str) -> list[Row]:
        """What workflows did about a contact: runs that were sent, or that only DND held back."""
        runs = self.sandbox.truth("automations")
        return [run for run in runs if run["contact"] == contact_id and not run["filtered"]]

    def waiting(self) -> list[Row]:
        """What is open of the staff's, and why."""
        return self.rig.rows("select cause, reason from work_items where state = 'open' and entity_type = 'staff'")

    def findings(self) -> set[str]:
        """Kinds of what a person should see of the staff now."""
        rows = self.rig.rows("select kind from audit_findings where entity_type = 'staff' and resolved_at is null")
        return {found["kind"] for found in rows}


@contextmanager
def employed(database_url: str, *, settings: dict[str, str] | None = None, **wanted: Any) -> Generator[StaffRig]:
    """A small salon with its product; clients and staff are imported, and the clients are in GHL."""
    with installation(database_url, settings=settings, **{"clients": 40, **wanted}) as rig:
        rig.run()
        yield StaffRig(rig)
