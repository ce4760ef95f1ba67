"""What becomes of each row of the staff, decided by rows and records alone."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.ghl.fields import Facet
from phorest_ghl.ghl.models import DndSetting
from phorest_ghl.sync.consent import Channel, staff_settings
from phorest_ghl.sync.differences import field_hash
from phorest_ghl.sync.identity import people
from phorest_ghl.sync.journal import Intent, MappingRow
from phorest_ghl.sync.mirror import MirrorContact
from phorest_ghl.sync.outcomes import Deferred, Rejected, Skipped, Unchanged
from phorest_ghl.sync.plan import BEYOND_LIMIT, GONE, NO_CONTACT_POINT, NOT_AGAIN
from phorest_ghl.sync.staff.humans import StaffRow
from phorest_ghl.sync.staff.known import Known
from phorest_ghl.sync.staff.members import LEFT, NO_NAME, NOBODY, members
from phorest_ghl.sync.staff.plan import NO_CONTACT, StaffAction, StaffPlan
from phorest_ghl.sync.staff.planner import ANOTHERS, CLIENT_NOW, ELSEWHERE, SEVERAL, TAKEN, plan_staff
from phorest_ghl_tests.sync.builders import AT, COUNTRIES, KEYRING, client
from phorest_ghl_tests.sync.staff.team import row

PHONE, EMAIL = "+353871234567", "aoife@example.com"
AOIFE = row("S1", phone=PHONE, email=EMAIL)
TAGS = frozenset({"role:staff", "phorest-staff:true", "phorest-staff-id:s1"})
QUIET = Known()


def planned(rows: Iterable[StaffRow], known: Known = QUIET) -> StaffPlan:
    return plan_staff(members(rows, known.people), known, KEYRING)


def contact(ghl_id: str = "G1", **more: Any) -> MirrorContact:
    """Aoife's contact as GHL holds it after a perfect create."""
    made = MirrorContact(
        ghl_id=ghl_id,
        first_name="Aoife",
        last_name="Byrne",
        email=EMAIL,
        phone=PHONE,
        dnd_settings=staff_settings(),
        custom_fields={},
        seen_at=AT,
        seen_by="answer",
        gone_at=None,
        tags=TAGS,
    )
    return replace(made, **more)


def mapping(*, adopted: bool = False, tags: Iterable[str] = TAGS, **values: str) -> MappingRow:
    """The mapping after it; `values` are acknowledged instead of what Aoife has."""
    held = {"first_name": "Aoife", "last_name": "Byrne", "email": EMAIL, "phone": PHONE, **values}
    identity = {} if adopted else {name: field_hash(KEYRING, name, value) for name, value in held.items()}
    return MappingRow("S1", "G1", "primary", {"identity": identity, "tags": dict.fromkeys(tags, "x")}, "h", 1, adopted)


def theirs(**more: Any) -> MirrorContact:
    """A contact that somebody else made."""
    return contact(**{"tags": frozenset(), "dnd_settings": {}, **more})


def on_record(held: MirrorContact | None = None, row_of: MappingRow | None = None, **more: Any) -> Known:
    made = held or contact()
    mapped = row_of or mapping()
    return Known(mirror={made.ghl_id: made}, mappings={"S1": mapped}, **more)


def intent(state: Any = "unknown") -> Intent:
    return Intent("S1", state, AT, None, 1, ())


def test_one_human_of_two_branches_is_one_contact_with_the_tags_of_both_rows_and_every_channel_closed() -> None:
    rows = [row("S1", user_id="U", branch_id="B2", phone=PHONE), row("S2", user_id="U", branch_id="B1", email=EMAIL)]
    (change,) = planned(rows).changes
    assert (change.action, set(change.item_ids)) == (StaffAction.CREATE, {"S1", "S2"})
    assert change.member.identity == {"first_name": "Aoife", "last_name": "Byrne", "email": EMAIL, "phone": PHONE}
    closed = {diff.name for diff in change.diffs if diff.facet is Facet.CONSENT and diff.after == "blocked"}
    assert closed == set(Channel)
    tags = {diff.name for diff in change.diffs if diff.facet is Facet.TAGS}
    assert tags == {"role:staff", "phorest-staff:true", "phorest-staff-id:s1", "phorest-staff-id:s2"}


@pytest.mark.parametrize(
    ("staff", "reason"),
    [
        (row("S1", "Room", "2", phone=PHONE), NOBODY),
        (row("S1", phone=PHONE, archived=True), LEFT),
        (row("S1", "", "", phone=PHONE), NO_NAME),
        (row("S1"), NO_CONTACT_POINT),
    ],
)
def test_who_gets_no_contact_is_skipped_with_the_reason(staff: StaffRow, reason: str) -> None:
    made = planned([staff])
    assert (made.changes, made.settled) == ((), {"S1": Skipped(reason)})


def test_who_has_no_address_gets_a_contact_where_the_salon_wants_that() -> None:
    assert planned([row("S1")], replace(QUIET, without_contact_point=True)).counts()["create"] == 1


def test_s12_the_salons_own_mailbox_is_no_address_of_anybodys() -> None:
    rows = [
        row("S1", email=EMAIL, phone=PHONE),
        row("S2", "Niamh", email=EMAIL),
        row("S3", "Old", email=EMAIL, archived=True),
    ]
    made = planned(rows)
    (change,) = made.changes
    assert change.member.identity == {"first_name": "Aoife", "last_name": "Byrne", "phone": PHONE}
    assert made.settled["S2"] == Skipped(NO_CONTACT_POINT)
    # Somebody who left counts no more.
    assert planned(rows[1:]).counts()["create"] == 1
    shared = [client(f"C{n}", first_name=f"N{n}", mobile=PHONE) for n in range(6)]
    crowd = replace(QUIET, people=people(shared, COUNTRIES))
    assert planned([row("S1", phone=PHONE)], crowd).settled == {"S1": Skipped(NO_CONTACT_POINT)}


def test_s17_who_is_a_client_too_has_the_tags_on_the_clients_contact_and_nothing_else() -> None:
    known = Known(
        people=people([client("C", mobile=PHONE)], COUNTRIES),
        clients={"C": MappingRow("C", "G1", "primary", {}, None, None)},
        mirror={"G1": theirs(email=None)},
    )
    (change,) = planned([AOIFE], known).changes
    assert (change.action, change.ghl_id, change.client) == (StaffAction.ADOPT, "G1", True)
    assert {(diff.facet, diff.name) for diff in change.diffs} == {(Facet.TAGS, tag) for tag in TAGS}
    waiting = planned([AOIFE], replace(known, clients={}, mirror={}))
    assert waiting.settled == {"S1": Deferred(NO_CONTACT)}
    # A client of another name is another person, and so is one who can be reached elsewhere alone.
    for other in (client("C", first_name="Niamh", mobile=PHONE), client("C", mobile="+353871111111")):
        assert planned([AOIFE], replace(QUIET, people=people([other], COUNTRIES))).counts()["create"] == 1


def test_s14_a_contact_of_the_same_name_at_its_address_gets_tags_and_one_of_another_name_is_left_to_a_person() -> None:
    same = planned([AOIFE], Known(mirror={"G1": theirs()}))
    assert [(c.action, {d.facet for d in c.diffs}) for c in same.changes] == [(StaffAction.ADOPT, {Facet.TAGS})]
    assert same.to_guard == {"G1"}
    other = planned([AOIFE], Known(mirror={"G1": theirs(first_name="Niamh")}))
    assert (other.settled, [f.kind for f in other.findings]) == ({"S1": Rejected(TAKEN)}, [TAKEN])
    two = planned([AOIFE], Known(mirror={"G1": theirs(phone=None), "G2": theirs(ghl_id="G2", email=None)}))
    assert (two.settled, [f.kind for f in two.findings]) == ({"S1": Rejected(SEVERAL)}, [SEVERAL])
    another = MappingRow("C", "G1", "primary", {}, None, None)
    assert planned([AOIFE], Known(mirror={"G1": theirs()}, clients={"C": another})).settled == {"S1": Rejected(TAKEN)}


def test_one_contact_is_never_two_members_though_both_have_its_name_and_one_address_of_it_each() -> None:
    made = planned([row("S1", phone=PHONE), row("S2", email=EMAIL)], Known(mirror={"G1": theirs()}))
    assert [change.item_ids for change in made.changes] == [("S1",)]
    assert made.settled == {"S2": Rejected(ANOTHERS)}


def test_what_ghl_holds_as_it_should_is_unchanged() -> None:
    made = planned([AOIFE], on_record())
    assert (made.changes, made.settled, made.findings) == ((), {"S1": Unchanged()}, ())


def test_who_leaves_loses_the_two_tags_that_we_put_on_and_no_others() -> None:
    gone = replace(AOIFE, archived=True)
    (change,) = planned([gone], on_record()).changes
    assert {(diff.name, diff.after) for diff in change.diffs} == {("role:staff", ""), ("phorest-staff:true", "")}
    kept = on_record(row_of=mapping(tags=["phorest-staff:true"]))
    assert [diff.name for diff in planned([gone], kept).changes[0].diffs] == ["phorest-staff:true"]
    done = on_record(contact(tags=frozenset({"phorest-staff-id:s1"})), mapping(tags=["phorest-staff-id:s1"]))
    assert planned([gone], done).settled == {"S1": Unchanged()}
    # Who comes back has them again.
    assert {diff.name for diff in planned([AOIFE], done).changes[0].diffs} == {"role:staff", "phorest-staff:true"}


def test_s16_a_tag_that_a_person_took_off_stays_off() -> None:
    assert planned([AOIFE], on_record(contact(tags=frozenset()))).settled == {"S1": Unchanged()}


def test_s16_what_phorest_changed_is_written_and_what_a_person_edited_is_left_and_shown() -> None:
    (change,) = planned([AOIFE], on_record(contact(email="old@example.com"), mapping(email="old@example.com"))).changes
    assert (change.action, [(d.name, d.after) for d in change.diffs]) == (StaffAction.UPDATE, [("email", EMAIL)])
    edited = planned([AOIFE], on_record(contact(first_name="Eefa")))
    assert (edited.settled, [e.field for e in edited.edited]) == ({"S1": Unchanged()}, ["first_name"])


def test_s17_a_channel_that_a_read_showed_open_is_closed_again_but_not_on_what_a_search_showed() -> None:
    opened = {**staff_settings(), "SMS": DndSetting(status="inactive")}
    (change,) = planned([AOIFE], on_record(contact(dnd_settings=opened))).changes
    assert [(diff.name, diff.after) for diff in change.diffs] == [("SMS", "blocked")]
    searched = contact(dnd_settings=opened, seen_by="search")
    assert planned([AOIFE], on_record(searched)).changes == ()
    # Of a contact that we did not make nothing but tags is ours.
    assert planned([AOIFE], on_record(contact(dnd_settings={}), mapping(adopted=True))).changes == ()


def test_s17_a_contact_of_the_staffs_that_became_a_clients_is_no_longer_written_to_and_a_person_is_asked() -> None:
    now = {"C": MappingRow("C", "G1", "primary", {}, None, None)}
    made = planned([AOIFE], on_record(contact(email="hers@example.com"), clients=now))
    assert (made.changes, [found.kind for found in made.findings]) == ((), [CLIENT_NOW])
    opened = contact(dnd_settings={c.value: DndSetting(status="inactive") for c in Channel})
    assert planned([AOIFE], on_record(opened, clients=now)).findings == ()


def test_an_address_that_another_contact_holds_is_not_sent_and_a_person_is_asked() -> None:
    held, other = contact(phone="+353870000000"), theirs(ghl_id="G2", email=None)
    known = on_record(held, mapping(phone="+353870000000"))
    made = planned([AOIFE], replace(known, mirror={"G1": held, "G2": other}))
    assert (made.changes, [found.kind for found in made.findings]) == ((), [ELSEWHERE])


def test_s9_a_contact_that_is_gone_is_a_finding_unless_another_one_carries_its_tag() -> None:
    known = on_record(contact(gone_at=AT))
    made = planned([AOIFE], known)
    assert (made.settled, [found.kind for found in made.findings]) == ({"S1": Skipped(GONE)}, [GONE])
    into = theirs(ghl_id="G2", tags=TAGS)
    (change,) = planned([AOIFE], replace(known, mirror={**known.mirror, "G2": into})).changes
    assert (change.action, change.ghl_id) == (StaffAction.REMAP, "G2")


def test_a_contact_that_carries_the_tag_is_taken_up_where_its_mapping_was_lost() -> None:
    (change,) = planned([AOIFE], Known(mirror={"G1": contact(email=None)})).changes
    assert (change.action, change.ghl_id, change.writes) == (StaffAction.REMAP, "G1", False)


def test_s15_a_create_without_an_answer_is_looked_up_also_if_there_is_to_be_no_contact_any_more() -> None:
    lost = Known(intents={"S1": intent()})
    (again,) = planned([AOIFE], lost).changes
    assert (again.action, again.unsettled, again.requests) == (StaffAction.CREATE, True, 2)
    (found,) = planned([replace(AOIFE, archived=True)], lost).changes
    assert (found.action, found.otherwise) == (StaffAction.LOOK_UP, Skipped(LEFT))


def test_content_that_ghl_refused_is_not_sent_again_until_it_changes() -> None:
    (member,) = members([AOIFE])
    refused = {"S1": member.source_hash(KEYRING)}
    assert planned([AOIFE], Known(refused=refused)).settled == {"S1": Rejected(NOT_AGAIN)}
    assert planned([replace(AOIFE, first_name="Eefa")], Known(refused=refused)).counts()["create"] == 1


def test_a_plan_counts_its_requests_and_may_be_cut_short() -> None:
    rows = [row("S1", phone=PHONE), row("S2", "Niamh", email=EMAIL), row("S3", "Ciara", email="c@example.com")]
    made = planned(rows, Known(mirror={"G1": theirs()}))
    # A read, the guard tag, three tags; two creates.
    assert (made.counts()["adopt"], made.requests) == (1, 1 + 1 + 3 + 1)
    part = made.limited(1)
    assert (len(part.changes), part.total, part.settled["S3"]) == (1, 3, Deferred(BEYOND_LIMIT))
    assert replace(made, quiet=False).requests == made.requests - 1
    with pytest.raises(ValueError, match="at least one"):
        made.limited(0)


staff_rows = st.builds(
    row,
    st.sampled_from(["S1", "S2", "S3", "S4"]),
    st.sampled_from(["Aoife", "Niamh", "Room", ""]),
    user_id=st.sampled_from([None, None, "U1", "U2"]),
    phone=st.sampled_from([None, PHONE, "+353870000000"]),
    email=st.sampled_from([None, EMAIL]),
    archived=st.booleans(),
)
mirrored = st.builds(
    contact,
    ghl_id=st.sampled_from(["G1", "G2", "G3"]),
    first_name=st.sampled_from(["Aoife", "Niamh"]),
    tags=st.sampled_from([TAGS, frozenset[str]()]),
    gone_at=st.sampled_from([None, None, AT]),
)


@given(
    rows=st.lists(staff_rows, unique_by=lambda found: found.staff_id),
    held=st.lists(mirrored, unique_by=lambda found: found.ghl_id),
    mapped=st.dictionaries(st.sampled_from(["S1", "S2", "S9"]), st.sampled_from(["G1", "G2"])),
    unsettled=st.frozensets(st.sampled_from(["S1", "S3"])),
    clients=st.frozensets(st.sampled_from(["G1", "G3"])),
)
def test_every_row_has_one_change_or_one_outcome_and_no_contact_has_two_members(
    rows: list[StaffRow],
    held: list[MirrorContact],
    mapped: dict[str, str],
    unsettled: frozenset[str],
    clients: frozenset[str],
) -> None:
    first = {ghl_id: key for key, ghl_id in sorted(mapped.items(), reverse=True)}
    known = Known(
        mirror={c.ghl_id: c for c in held},
        mappings={
            key: replace(mapping(), phorest_id=key, ghl_id=g, role="primary" if first[g] == key else "secondary")
            for key, g in mapped.items()
        },
        clients={f"C{g}": MappingRow(f"C{g}", g, "primary", {}, None, None) for g in clients},
        intents={key: replace(intent(), phorest_id=key) for key in unsettled},
    )
    made = planned(rows, known)
    items = [item for change in made.changes for item in change.item_ids]
    assert sorted([*items, *made.settled]) == sorted(found.staff_id for found in rows)
    targets = [change.ghl_id for change in made.changes if change.ghl_id is not None]
    assert len(targets) == len(set(targets))
    for change in made.changes:
        if change.action is StaffAction.CREATE:
            assert change.member.left_out is None
            assert not any(c.phone == change.member.phone for c in held if c.gone_at is None and change.member.phone)
        if change.ghl_id in clients:
            assert {diff.facet for diff in change.diffs} <= {Facet.TAGS}
