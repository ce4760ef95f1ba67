"""Fields and tags of a contact, against the sandbox: each of Phorest's arrives, and people's work beside them stands.

Belongs here: values of standard and custom fields, category tags. Does not: consent (`test_safety_consent`), adoption.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from phorest_ghl.assembly import rules
from phorest_ghl.ghl.client import GhlClient
from phorest_ghl.ghl.fields import GUARD_TAG, category_tag, enabled
from phorest_ghl.ghl.models import Acknowledged, ContactWrite
from phorest_ghl.sync import mirror
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import LAG_S, Rig, Row, installation
from phorest_ghl_tests.sync.test_lifecycle import ours
from phorest_ghl_tests.sync.test_merges import contact
from phorest_ghl_tests.sync.test_road import NOTHING
from phorest_ghl_tests.sync.test_safety_consent import willing
from phorest_ghl_tests.sync.test_safety_creates import alone

pytestmark = pytest.mark.road

FULL = {
    "birthDate": "1984-02-29",
    "address": {
        "streetAddress1": "1 Test Row", "city": "Dublin", "state": "Leinster", "postalCode": "D00 X000", "country": "Ireland",
    },
    "externalId": "OLD TILL 7",
    "creditAccount": {"outstandingBalance": -12.5, "creditDays": 0, "creditLimit": 0},
    "notes": "Allergic to everything",
    "clientSince": "2021-06-30T23:30:00.000Z",
}  # fmt: skip
"""What a client's record may hold beside names, addresses and flags."""


@pytest.fixture
def salon(database: Database) -> Iterator[Rig]:
    with installation(database.url, clients=16, settings={"SYNC_LOYALTY": "false"}) as rig:
        yield rig


def look(rig: Rig) -> None:
    """Read all of GHL into the mirror again, as the audit does, when search shows what happened last."""
    time.sleep(2 * LAG_S)
    mirror.read_back(rig.engine, rig.runtime.ghl(), keyring=rig.runtime.keyring(), batch_id="look")


def categories(rig: Rig, number: int) -> list[Row]:
    found = rig.sandbox.truth("phorest/categories")
    assert len(found) >= number
    return found[:number]


def tag_calls(rig: Rig) -> int:
    return rig.requests("POST", "/contacts/bulk/tags/update/{type}")


def filled(rig: Rig) -> Row:
    """A client with everything that a record may hold."""
    client = willing(rig)
    stylist = rig.sandbox.truth("phorest/staff")[0]
    rig.edit_client(client["clientId"], **FULL, preferredStaffId=stylist["staffId"])
    return client


def test_every_field_of_phorest_arrives_and_only_enabled_fields_are_made(salon: Rig) -> None:
    client = filled(salon)
    stylist = salon.sandbox.truth("phorest/staff")[0]
    salon.run()
    made = salon.contact_of(client["clientId"])
    standard = ("address1", "city", "state", "postalCode", "country", "dateOfBirth")
    assert tuple(made[name] for name in standard) == (
        "1 Test Row", "Dublin", "Leinster", "D00 X000", "IE", "1984-02-29")  # fmt: skip
    assert ours(salon, made) == {
        "Phorest id": client["clientId"],
        "Phorest branch": salon.sandbox.truth("phorest/branches")[0]["name"],
        "Phorest client since": "2021-07-01",  # half past midnight in Dublin's summer
        "Phorest external id": "OLD TILL 7",
        "Phorest credit balance": -12.5,
        "Phorest preferred stylist": f"{stylist['firstName']} {stylist['lastName']}".strip(),
    }
    assert {row["name"] for row in salon.sandbox.truth("ghl/fields")} == {
        spec.label for spec in enabled(rules(salon.runtime.settings).switches)
    }
    assert "Allergic" not in str(salon.contacts())
    assert salon.run().changes == NOTHING


def test_notes_and_marketing_answers_arrive_only_where_they_are_switched_on(database: Database) -> None:
    settings = {"SYNC_CLIENT_NOTES": "true", "CONSENT_POLICY": "separate"}
    with installation(database.url, clients=12, settings=settings) as rig:
        client = filled(rig)
        rig.edit_client(client["clientId"], smsMarketingConsent=False, smsReminderConsent=True)
        rig.run()
        held = ours(rig, rig.contact_of(client["clientId"]))
        assert held["Phorest notes"] == "Allergic to everything"
        assert (held["Phorest SMS marketing"], held["Phorest email marketing"]) == ("no", "yes")
        kinds = {row["name"]: (row["dataType"], row["picklistOptions"]) for row in rig.sandbox.truth("ghl/fields")}
        assert kinds["Phorest SMS marketing"] == kinds["Phorest email marketing"] == ("RADIO", ["yes", "no"])
        assert kinds["Phorest client since"][0] == "DATE"
        assert kinds["Phorest credit balance"][0] == "NUMERICAL"
        assert rig.run().changes == NOTHING


@pytest.mark.parametrize("form", ["datetime", "epoch_ms"])
def test_a_date_that_ghl_reads_back_in_another_form_is_no_change(salon: Rig, form: str) -> None:
    salon.switch(ghl_date_field_format=form)
    client = filled(salon)
    salon.run()
    look(salon)
    assert salon.run().changes == NOTHING
    assert salon.rows("select kind from audit_findings") == []
    assert client


def test_a_value_that_phorest_no_longer_has_is_cleared_in_a_field_of_ours_and_left_in_a_standard_one(
    salon: Rig,
) -> None:
    client = filled(salon)
    salon.run()
    gone = {"externalId": None, "birthDate": None, "creditAccount": None, "preferredStaffId": None}
    salon.edit_client(client["clientId"], **gone)
    salon.run()
    after = salon.contact_of(client["clientId"])
    assert ours(salon, after).keys() == {"Phorest id", "Phorest branch", "Phorest client since"}
    assert after["dateOfBirth"] == "1984-02-29"
    assert salon.run().changes == NOTHING


def test_s16_a_persons_edit_is_restored_in_a_field_of_ours_and_a_finding_in_a_standard_one(salon: Rig) -> None:
    client = filled(salon)
    salon.run()
    before = salon.contact_of(client["clientId"])
    branch = next(row["id"] for row in salon.sandbox.truth("ghl/fields") if row["name"] == "Phorest branch")
    salon.edit_contact(
        before["id"], customFields={**before["customFields"], branch: "Elsewhere"}, city="Elsewhere", lastName="Married"
    )
    look(salon)
    assert salon.run().changes["update"] == 1
    after = contact(salon, before["id"])
    assert (ours(salon, after), after["city"], after["lastName"]) == (ours(salon, before), "Elsewhere", "Married")
    edits = "select detail from audit_findings where kind = 'edited in GHL' and resolved_at is null"
    for _ in range(2):
        assert salon.rows(edits) == [{"detail": {"fields": ["city", "last_name"]}}]
        assert salon.run().changes == NOTHING
    salon.edit_client(client["clientId"], lastName="Officially")
    salon.run()
    assert contact(salon, before["id"])["lastName"] == "Officially"
    salon.run()
    assert salon.rows(edits) == [{"detail": {"fields": ["city"]}}]


def test_s18_the_first_write_of_a_location_is_read_back_and_what_it_lost_is_told(
    salon: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that repeats what was sent proves nothing: only a read shows that GHL does not keep it."""
    honest = GhlClient.create_contact

    def repeating(self: GhlClient, write: ContactWrite, **more: Any) -> Acknowledged:
        answer = honest(self, write, **more)
        return replace(answer, contact=answer.contact.model_copy(update={"custom_fields": dict(write.custom_fields)}))

    salon.load()
    salon.confirm()
    salon.forget_requests()
    with monkeypatch.context() as patch:
        patch.setattr(GhlClient, "create_contact", repeating)
        salon.fault("fields_ignored", "POST /contacts/", rate=1.0)
        result = salon.apply()
    salon.calm()
    assert salon.requests("GET", "/contacts/{contactId}") == 1
    assert result.requests == result.changes["create"] + 1
    assert [row["kind"] for row in salon.rows("select kind from audit_findings")] == ["GHL did not keep a field"]


def test_s18_no_later_write_is_read_back_unless_it_clears_or_opens(salon: Rig) -> None:
    (client,) = alone(salon)
    salon.run()
    salon.edit_client(client["clientId"], lastName="Later")
    salon.load()
    salon.forget_requests()
    salon.apply()
    assert salon.requests("GET", "/contacts/{contactId}") == 1  # before the write, for the location is quiet


# --- tags


def tagged(rig: Rig, client_id: str, wanted: Sequence[Row]) -> None:
    rig.edit_client(client_id, clientCategoryIds=[row["clientCategoryId"] for row in wanted])


def tags_of(rig: Rig, client_id: str) -> set[str]:
    return set(rig.contact_of(client_id)["tags"]) - {GUARD_TAG}


def test_category_tags_come_with_the_create_and_follow_the_categories_by_bulk_calls(salon: Rig) -> None:
    client = willing(salon)["clientId"]
    one, two = categories(salon, 2)
    tagged(salon, client, [one])
    salon.run()
    assert tags_of(salon, client) == {category_tag(one["name"])}
    assert tag_calls(salon) == 0
    made = salon.contact_of(client)
    salon.edit_contact(made["id"], tags=[*made["tags"], "their own"])
    tagged(salon, client, [two])
    salon.forget_requests()
    salon.run()
    assert tags_of(salon, client) == {category_tag(two["name"]), "their own"}
    # The guard tag first, for nobody reads the contact before; then one tag comes and one goes.
    assert (tag_calls(salon), salon.requests("PUT", "/contacts/{contactId}")) == (3, 0)
    assert salon.run().changes == NOTHING


def test_s16_a_tag_that_a_person_took_off_stays_off(salon: Rig) -> None:
    client = willing(salon)["clientId"]
    one, two = categories(salon, 2)
    tagged(salon, client, [one])
    salon.run()
    salon.edit_contact(salon.contact_of(client)["id"], tags=[GUARD_TAG])
    look(salon)
    assert salon.run().changes == NOTHING
    tagged(salon, client, [one, two])
    salon.run()
    assert tags_of(salon, client) == {category_tag(two["name"])}


def test_tags_that_a_bulk_call_left_out_fail_their_clients_and_the_next_run_completes_them(salon: Rig) -> None:
    clients = [row["clientId"] for row in alone(salon, 4)]
    one, two = categories(salon, 2)
    for key in clients:
        tagged(salon, key, [one])
    salon.run()
    for key in clients:
        tagged(salon, key, [two])
    salon.fault("bulk_partial", "POST /contacts/bulk/tags/update/{type}", count=2)
    result = salon.run()
    done = result.outcomes["applied"]
    assert done + result.outcomes["failed"] + result.outcomes["rejected"] == 4
    assert done < 4
    assert sum(result.outcomes.values()) == result.total
    salon.calm()
    result = salon.run()
    assert (result.outcomes["failed"], result.outcomes["applied"]) == (0, 4 - done)
    assert [tags_of(salon, key) for key in clients] == [{category_tag(two["name"])}] * 4
    assert salon.run().changes == NOTHING


def test_a_gender_that_ghl_has_a_word_for_goes_with_the_create_and_never_again(salon: Rig) -> None:
    """GHL refuses it in an update (facts/ghl-api §5.2)."""
    named, other = [row["clientId"] for row in alone(salon, 2)]
    salon.edit_client(named, gender="FEMALE")
    salon.edit_client(other, gender="NON_BINARY")
    salon.run()
    assert salon.contact_of(named)["gender"] == "female"
    assert salon.contact_of(other).get("gender") is None
    salon.edit_client(named, gender="MALE")
    salon.load()
    assert salon.plan().changes == ()
