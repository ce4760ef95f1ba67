"""The job audit: what it mends is green, what a person decides is red, and what was not looked at is never green."""

import dagster as dg
import pytest

from phorest_ghl.definitions import build_defs
from phorest_ghl.defs.ghl.assets import CONTACTS
from phorest_ghl.defs.ghl.events import EVENTS
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.events.diary import salon

pytestmark = pytest.mark.road


def test_the_checks_of_an_audit_say_what_it_left(database: Database) -> None:
    """Appointments were never imported, one contact was deleted by a person, one lost a field of ours."""
    with salon(database.url) as diary, dg.DagsterInstance.ephemeral() as instance:
        rig = diary.rig
        gone, emptied = (rig.contact_of(diary.reachable(number)["clientId"]) for number in range(2))
        rig.delete_contact(gone["id"])
        rig.edit_contact(emptied["id"], customFields={})
        diary.pass_time(seconds=30)

        job = build_defs(resources={"salon": rig.runtime}).resolve_job_def("audit")
        run = job.execute_in_process(instance=instance)

        found = {(one.asset_key, one.check_name): one for one in run.get_asset_check_evaluations()}
        assert rig.contact_of(diary.reachable(1)["clientId"])["id"] == emptied["id"], "what is ours was put back"
        assert found[CONTACTS, "fields_hold_what_phorest_says"].passed
        assert found[CONTACTS, "consent_is_no_looser"].passed
        red = found[CONTACTS, "none_is_gone"]
        assert (red.passed, red.severity) == (False, dg.AssetCheckSeverity.ERROR)
        assert red.metadata["findings"].value == 1
        assert gone["id"] in str(red.metadata["sample"].value)
        unseen = found[EVENTS, "none_is_missing"]
        assert (unseen.passed, unseen.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert "Events need the appointments of Phorest" in str(unseen.metadata["not_checked"].value)


def test_no_other_job_evaluates_the_checks_of_an_audit() -> None:
    definitions = build_defs()
    steps = {
        name: {node.name for node in definitions.resolve_job_def(name).nodes} for name in ("clients", "full", "audit")
    }
    assert {name: "audited" in found for name, found in steps.items()} == {
        "clients": False,
        "full": False,
        "audit": True,
    }
