"""What people and bad luck do to GHL behind our back: each kind is found once, mended or left by rule; nothing is invented."""

from collections import Counter
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from phorest_ghl.audit.findings import Act, Kind
from phorest_ghl.audit.run import Audited
from phorest_ghl.ghl.fields import GUARD_TAG
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl_tests.sync.events.diary import MORNING, Diary, salon
from phorest_ghl_tests.sync.rig import LAG_S, Row

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database

pytestmark = pytest.mark.road

TABLE = {
    ("client", Kind.DRIFTED): Act.HEALED,
    ("client", Kind.LOOSER): Act.HEALED,
    ("client", Kind.WITHOUT_OBJECT): Act.PERSON,
    ("client", Kind.EDITED): Act.PERSON,
    ("client", Kind.DUPLICATE): Act.PERSON,
    ("client", Kind.ORPHANED): Act.PERSON,
    ("client", Kind.TAG_FOREIGN): Act.PERSON,
    ("client", Kind.TAG_MISSING): Act.STANDS,
    ("appointment", Kind.DRIFTED): Act.HEALED,
    ("appointment", Kind.WRONG_CONTACT): Act.HEALED,
    ("appointment", Kind.WITHOUT_OBJECT): Act.PERSON,
    ("appointment", Kind.EDITED): Act.STANDS,
    ("checkin", Kind.NOTE_MISSING): Act.STANDS,
}
"""What becomes of each kind (safety S16): a person's block and foreign objects are none, our own lost write is a drift."""

PAGES, WINDOWS, NOTED = 1, 3, 1
"""What an audit of this salon may ask for besides ten requests: contacts by 500, a calendar by 90 days, contacts with notes."""


@pytest.fixture
def synced(database: "Database") -> Generator[Diary]:
    """A salon whose clients are in GHL."""
    with salon(database.url, clients=60) as diary:
        yield diary


def audit(diary: Diary, *, mending: bool = True) -> Audited:
    diary.pass_time(minutes=1)
    return diary.rig.runtime.audit(batch_id=new_batch_id(), writing=True, lag_s=LAG_S).run(mending=mending)


def notes(diary: Diary) -> None:
    """The run that puts a note on the contact of each client who came."""
    road = diary.rig.runtime.check_ins_sync(batch_id=new_batch_id(), writing=True, lag_s=LAG_S)
    prepared = road.prepare()
    road.apply(road.plan(prepared), prepared, started_at=datetime.now(UTC))


def person(diary: Diary, method: str, path: str, **changed: object) -> None:
    """Somebody does something in GHL's screens."""
    diary.sandbox.control(method, path, changed or None)


def dnd(diary: Diary, contact: Row, **channels: str) -> None:
    """Somebody opens or closes channels of a contact."""
    diary.sandbox.control("POST", f"/ghl/contacts/{contact['id']}/dnd", {"channels": channels})


def kinds(found: Audited) -> Counter[tuple[str, str]]:
    return Counter((one.entity_type, one.kind) for one in found.found)


def test_each_corruption_is_found_mended_or_left_as_the_table_says(synced: Diary) -> None:
    diary, rig = synced, synced.rig
    people = [diary.reachable(number) for number in range(10)]
    visits = [diary.book(client, at=MORNING + timedelta(days=n))[0] for n, client in enumerate(people[:5])]
    diary.edit(visits[4], appointmentDate="2026-03-09", state="PAID")
    diary.tick()
    rig.apply()
    notes(diary)
    diary.pass_time(seconds=30)
    rig.forget_requests()
    clean = audit(diary)
    assert kinds(clean) == {}, clean.found
    assert sent(diary) <= PAGES + WINDOWS + NOTED + 10
    contacts = [rig.contact_of(client["clientId"]) for client in people]
    id_field = next(key for key, value in contacts[0]["customFields"].items() if value == people[0]["clientId"])
    events = [diary.event_of(visit)["id"] for visit in visits]

    rig.edit_contact(contacts[0]["id"], customFields={**contacts[0]["customFields"], id_field: "somebody else"})
    rig.edit_contact(contacts[1]["id"], firstName="Edited")
    rig.make_contact(firstName="Copy", customFields={id_field: people[2]["clientId"]})
    rig.make_contact(firstName="Foreign", phone="+353857009999")
    rig.make_contact(firstName="Orphan", customFields={id_field: "a client that Phorest does not know"})
    rig.edit_contact(contacts[3]["id"], tags=[*contacts[3]["tags"], "phorest:a-guess", "vip"])
    tagged = next(c for c in rig.contacts() if ours(c["tags"]) and c["id"] not in {one["id"] for one in contacts})
    rig.edit_contact(tagged["id"], tags=[tag for tag in tagged["tags"] if tag not in ours(tagged["tags"])])
    opened = next(c for c in contacts[4:8] if c["dndSettings"]["SMS"]["status"] == "active")
    closed = next(c for c in contacts[4:8] if c["dndSettings"]["SMS"]["status"] == "inactive")
    dnd(diary, opened, SMS="inactive")
    dnd(diary, closed, SMS="active")
    rig.delete_contact(contacts[8]["id"])
    rig.edit_client(people[9]["clientId"], lastName="Married")
    rig.load()
    later = round((MORNING + timedelta(hours=5)).timestamp() * 1000)
    person(diary, "PATCH", f"/ghl/events/{events[0]}", startMs=later, endMs=later + 3_600_000)
    person(diary, "DELETE", f"/ghl/events/{events[1]}")
    person(diary, "PATCH", f"/ghl/events/{events[2]}", title="A title of somebody's")
    (note,) = diary.sandbox.truth("ghl/notes")
    person(diary, "DELETE", f"/ghl/notes/{note['id']}")

    person(diary, "PATCH", f"/ghl/events/{events[3]}", contactId=contacts[7]["id"])

    first = audit(diary)

    # Two drifted: a field of ours edited, and a write of our own that never reached GHL.
    assert kinds(first) == {**dict.fromkeys(TABLE, 1), ("client", Kind.DRIFTED): 2}
    assert {(one.entity_type, one.kind): one.act for one in first.found} == TABLE
    left = {key for key, act in TABLE.items() if act is not Act.HEALED}
    assert Counter((one.entity_type, one.kind) for one in first.left) == dict.fromkeys(left, 1)
    assert [entity.reason for entity in first.entities] == [None] * 4
    assert rig.contact_of(people[0]["clientId"])["id"] == contacts[0]["id"]
    assert rig.contact_of(people[9]["clientId"])["lastName"] == "Married"
    now = {contact["id"]: contact for contact in rig.contacts()}
    assert now[opened["id"]]["dndSettings"]["SMS"]["status"] == "active"
    assert now[closed["id"]]["dndSettings"]["SMS"]["status"] == "active"
    assert rig.rows(
        "select channel from suppressions where cause = 'GHL' and source_id = :id and lifted_at is null",
        id=closed["id"],
    ) == [{"channel": "SMS"}]
    assert now[contacts[1]["id"]]["firstName"] == "Edited"
    assert diary.event_of(visits[0])["startMs"] == round(MORNING.timestamp() * 1000)
    assert diary.event_of(visits[3])["contactId"] == contacts[3]["id"]
    assert rig.rows("select count(*) as n from work_items where state = 'open' and cause = 'audit'") == [{"n": 0}]
    assert rig.rows("select count(*) as n from audit_findings where resolution = 'healed by the audit'") == [
        {"n": len(TABLE) - len(left) + 1}
    ]
    logged = {row["entity_type"]: row for row in rig.rows("select * from sync_audit_logs order by id")}
    assert {entity: row["match"] for entity, row in logged.items()} == {
        "custom_field": True,
        "client": False,
        "appointment": False,
        "checkin": True,
    }
    assert (logged["client"]["local_count"] - logged["client"]["ghl_count"], logged["client"]["discrepancy"]) == (1, 5)

    second = audit(diary)
    assert kinds(second) == dict.fromkeys(left, 1)
    assert second.mended == {}


def test_what_could_not_be_looked_at_is_no_match(synced: Diary) -> None:
    diary, rig = synced, synced.rig
    rig.switch(ghl_search_shows_dnd=False)
    rig.runtime.settings = rig.runtime.settings.model_copy(update={"ghl_daily_limit": 100, "audit_budget_share": 0.05})
    found = audit(diary, mending=False)
    by_entity = {one.entity_type: one for one in found.entities}
    assert by_entity["client"].match is None
    assert by_entity["client"].reason is not None
    assert by_entity["client"].details["not_looked_at"]["contacts whose consent search leaves out"] > 0
    assert by_entity["appointment"].match is None, "its appointments were never imported"
    assert found.needs_a_person
    rows = rig.rows("select entity_type, match, status from sync_audit_logs where entity_type = 'client'")
    assert rows == [{"entity_type": "client", "match": None, "status": "not checked"}]


def sent(diary: Diary) -> int:
    """Requests to GHL since they were last forgotten."""
    rows = diary.sandbox.control("GET", "/requests")["requests"]
    return sum(row["count"] for row in rows if row["api"] == "ghl")


def ours(tags: list[str]) -> list[str]:
    """Tags of ours, but for the guard tag."""
    return [tag for tag in tags if tag.startswith(("phorest:", "loyalty:")) and tag != GUARD_TAG]
