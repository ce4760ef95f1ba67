"""The plan: what is written and why, and above all what is not."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phorest_ghl.ghl.fields import GUARD_TAG, Facet, Rule
from phorest_ghl.ghl.models import DndSetting
from phorest_ghl.sync import consent
from phorest_ghl.sync.held import Held
from phorest_ghl.sync.identity import people
from phorest_ghl.sync.journal import MappingRow
from phorest_ghl.sync.mirror import MirrorContact
from phorest_ghl.sync.outcomes import Deferred, Rejected, Skipped, Unchanged
from phorest_ghl.sync.plan import (
    ADDRESS_TAKEN,
    BEYOND_LIMIT,
    GONE,
    NO_CONTACT_POINT,
    NOT_AGAIN,
    PRESENT,
    Action,
    Edited,
    Plan,
    PlannedChange,
)
from phorest_ghl.sync.projection import DesiredContact
from phorest_ghl.sync.source import ClientRow
from phorest_ghl_tests.sync.builders import AT, COUNTRIES, FIELD_IDS, client, desired, mapped, mirrored, plan_of, salons

AOIFE = client("A", email="a@example.com", mobile="087 123 4567")


class World:
    """GHL and our ledger, where every write succeeds and is acknowledged as sent."""

    def __init__(self) -> None:
        self.mirror: dict[str, MirrorContact] = {}
        self.mappings: dict[str, MappingRow] = {}
        self.former: dict[str, str] = {}

    def desired(self, clients: list[ClientRow], *, group: bool) -> list[DesiredContact]:
        held = Held(mirror=self.mirror, mappings=self.mappings, field_ids=FIELD_IDS, former=self.former)
        return desired(*clients, anchors=held.anchors(people(clients, COUNTRIES)), group=group)

    def plan(self, clients: list[ClientRow], *, group: bool = True, on_record: consent.OnRecord | None = None) -> Plan:
        return plan_of(
            self.desired(clients, group=group),
            mirror=self.mirror.values(),
            mappings=self.mappings,
            duplicates=not group,
            on_record=on_record,
            former=self.former,
        )

    def apply(self, plan: Plan) -> None:
        for change in plan.changes:
            ghl_id = change.ghl_id or f"X{len(self.mirror)}"
            held = mirrored(change.desired, ghl_id) if change.action is Action.CREATE else self.mirror[ghl_id]
            self.mirror[ghl_id] = self._written(change, held)
            if change.action is Action.RETIRE:
                gone = change.desired.phorest_id
                joins = str(change.joins)
                self.former[ghl_id] = gone
                self.mappings[gone] = replace(self.mappings[gone], ghl_id=joins, role="secondary", acked={})
            else:
                self.former.pop(ghl_id, None)
                fresh = mapped(change.desired, ghl_id)
                self.mappings |= {key: fresh[key] for key in change.mapped_ids}

    def _written(self, change: PlannedChange, held: MirrorContact) -> MirrorContact:
        names = {d.name for d in change.diffs if d.facet is Facet.IDENTITY}
        values = {n: v for n, v in change.desired.identity.items() if n in names}
        custom = {FIELD_IDS[n]: v for n, v in change.desired.custom.items() if n in names}
        tags = {d.name: d.after == PRESENT for d in change.tag_diffs}
        return replace(
            held,
            **values,
            dnd_settings=consent.opened(
                change.opens, consent.tightened(change.desired.blocked, held.dnd_settings or {})
            ),
            custom_fields={**held.custom_fields, **custom},
            tags=(held.tags | {t for t, there in tags.items() if there})
            - {t for t, there in tags.items() if not there},
        )


@given(salons(), st.booleans())
def test_planning_twice_gives_the_same_plan(clients: list[ClientRow], group: bool) -> None:  # noqa: FBT001
    world = World()
    assert world.plan(clients, group=group) == world.plan(clients, group=group)


@settings(max_examples=200)
@given(st.lists(salons(), min_size=1, max_size=3), st.booleans())
def test_the_plan_right_after_a_perfect_apply_is_empty(history: list[list[ClientRow]], group: bool) -> None:  # noqa: FBT001
    """Whatever happened before: clients that come, change, move between households, and are flagged."""
    world = World()
    for clients in history:
        world.apply(world.plan(clients, group=group))
        again = world.plan(clients, group=group)
        assert again.changes == ()
        assert again.requests == 0


@given(salons(), st.booleans())
def test_every_client_has_exactly_one_place_in_the_plan(clients: list[ClientRow], group: bool) -> None:  # noqa: FBT001
    plan = World().plan(clients, group=group)
    placed = [*plan.settled, *(item for change in plan.changes for item in change.item_ids)]
    assert sorted(placed) == sorted(row.phorest_id for row in clients if not row.walk_in)
    assert plan.total == len(placed)


@given(salons(), st.booleans())
def test_s7_whatever_is_on_record_is_closed_and_stays_so(clients: list[ClientRow], group: bool) -> None:  # noqa: FBT001
    world = World()
    world.apply(world.plan(clients, group=group))
    on_record = {
        (address, channel): frozenset({"GHL"})
        for person in people(clients, COUNTRIES)
        for address in (person.email, person.phone)
        if address
        for channel in consent.Channel
    }
    relaxed = [replace(row, sms_marketing=True, email_marketing=True, banned=False, deleted=False) for row in clients]
    world.apply(world.plan(relaxed, group=group, on_record=on_record))
    for contact in world.mirror.values():
        held = contact.dnd_settings or {}
        assert not contact.email or held["Email"].blocked
        assert not contact.phone or held["SMS"].blocked


def known(row: ClientRow, **held: object) -> tuple[Mapping[str, MappingRow], MirrorContact]:
    """What we and GHL hold after a perfect create of this client, and then somebody changed GHL's side."""
    (before,) = desired(row)
    return mapped(before, "X"), mirrored(before, "X", **held)


def plan_after(before: ClientRow, after: ClientRow, **held: object) -> Plan:
    mappings, mirror = known(before, **held)
    return plan_of(desired(after, anchors={"A": "X"}), mirror=[mirror], mappings=mappings)


@given(st.lists(salons(), min_size=1, max_size=3), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_runs_of_a_limited_plan_make_the_same_of_a_salon_as_one_of_the_whole(
    history: list[list[ClientRow]], most: int
) -> None:
    world = World()
    for clients in history:
        while (whole := world.plan(clients)).changes:
            part = whole.limited(most)
            assert len(part.changes) == min(most, len(whole.changes))
            items = [item for change in part.changes for item in change.item_ids]
            assert len(items) + len(part.settled) == part.total == whole.total
            assert not set(items) & part.settled.keys()
            world.apply(part)
    assert world.plan(history[-1]).changes == ()


def test_a_limited_plan_closes_before_it_makes_anything_and_guards_only_what_it_writes() -> None:
    """A refusal that a later client's row brings comes before a new contact and a new name that stand before it."""
    clients = [client("B", email="b@example.com"), AOIFE, client("C", email="c@example.com", mobile=None)]
    ids = {"A": "X", "C": "Z"}
    before = [one for one in desired(*clients) if one.phorest_id in ids]
    held = [mirrored(one, ids[one.phorest_id]) for one in before]
    mappings = {key: row for one in before for key, row in mapped(one, ids[one.phorest_id]).items()}
    clients[1:] = [replace(AOIFE, last_name="Quinn"), replace(clients[2], email_marketing=False)]
    whole = plan_of(desired(*clients, anchors=ids), mirror=held, mappings=mappings, quiet=True)
    assert [change.desired.phorest_id for change in whole.changes] == ["A", "C", "B"]
    assert whole.to_guard == ("X", "Z")
    part = whole.limited(1)
    assert [change.desired.phorest_id for change in part.changes] == ["C"]
    assert part.settled == {"A": Deferred(BEYOND_LIMIT), "B": Deferred(BEYOND_LIMIT)}
    assert part.to_guard == ("Z",)
    assert [change.desired.phorest_id for change in whole.limited(2).changes] == ["C", "A"]
    with pytest.raises(ValueError, match="at least one"):
        whole.limited(0)


def test_a_change_in_phorest_is_an_update_of_exactly_that_field() -> None:
    plan = plan_after(AOIFE, replace(AOIFE, last_name="Quinn"))
    (change,) = plan.changes
    assert (change.action, change.ghl_id, change.read_first, change.requests) == (Action.UPDATE, "X", False, 1)
    assert [(d.name, d.before, d.after, d.rule) for d in change.diffs] == [
        ("last_name", "Byrne", "Quinn", Rule.PHOREST)
    ]


def test_s1_while_a_location_is_quiet_every_update_reads_the_contact_first() -> None:
    mappings, held = known(AOIFE, tags=frozenset({GUARD_TAG}))
    contacts = desired(replace(AOIFE, last_name="Quinn"), anchors={"A": "X"})
    for quiet, requests in ((True, 2), (False, 1)):
        plan = plan_of(contacts, mirror=[held], mappings=mappings, quiet=quiet, guarded=["X"])
        assert (plan.requests, plan.to_guard) == (requests, ())


@pytest.mark.parametrize(("guarded", "tags"), [((), [GUARD_TAG]), (["X"], [])], ids=["never by us", "tag taken off"])
def test_s1_a_present_contact_is_guarded_before_anything_else_is_written_to_it(
    guarded: list[str], tags: list[str]
) -> None:
    mappings, held = known(AOIFE, tags=frozenset(tags))
    contacts = desired(replace(AOIFE, last_name="Quinn"), anchors={"A": "X"})
    plan = plan_of(contacts, mirror=[held], mappings=mappings, quiet=True, guarded=guarded)
    assert (plan.to_guard, plan.bulk_calls, plan.requests) == (("X",), 1, 3)


@pytest.mark.parametrize("field", ["email", "mobile"])
def test_s6_a_new_address_is_written_only_with_a_read_of_its_consent(field: str) -> None:
    new = {"email": "new@example.com", "mobile": "086 555 2000"}[field]
    (change,) = plan_after(AOIFE, replace(AOIFE, **{field: new})).changes
    assert change.read_first
    assert change.requests == 2


def test_s16_a_persons_edit_in_ghl_is_a_finding_and_no_change() -> None:
    plan = plan_after(AOIFE, AOIFE, first_name="Eva", email="eva@example.com")
    assert plan.changes == ()
    assert plan.edited == tuple(Edited(phorest_id="A", ghl_id="X", field=name) for name in ("first_name", "email"))
    assert plan.settled == {"A": Unchanged()}


def test_s16_phorests_own_change_since_wins_over_a_persons_edit() -> None:
    plan = plan_after(AOIFE, replace(AOIFE, first_name="Ada"), first_name="Eva")
    (change,) = plan.changes
    assert [(d.name, d.before, d.after) for d in change.diffs] == [("first_name", "Eva", "Ada")]


def test_s16_our_own_field_is_always_restored() -> None:
    (change,) = plan_after(
        AOIFE, AOIFE, custom_fields={"FIELD": "somebody else", "FIELD_branch": "Main Street"}
    ).changes
    assert [(d.name, d.after, d.rule) for d in change.diffs] == [("phorest_id", "A", Rule.RESTORE)]


def test_a_write_that_was_never_acknowledged_is_sent_again() -> None:
    (before,) = desired(AOIFE)
    plan = plan_of(
        desired(AOIFE, anchors={"A": "X"}),
        mirror=[mirrored(before, "X", last_name="Old")],
        mappings=mapped(before, "X", acked=False),
    )
    assert [change.action for change in plan.changes] == [Action.UPDATE]


def test_a_name_that_a_search_showed_in_lower_case_is_no_change() -> None:
    open_to_all = {channel.value: DndSetting(status="inactive") for channel in consent.Channel}
    held = {"first_name": "aoife", "last_name": "byrne", "dnd_settings": open_to_all}
    assert plan_after(AOIFE, AOIFE, seen_by="search", **held).changes == ()
    # What an answer or a read shows keeps its case, so there a person did change it.
    assert len(plan_after(AOIFE, AOIFE, seen_by="answer", **held).edited) == 2


def test_what_phorest_does_not_have_is_left_as_ghl_has_it() -> None:
    plan = plan_after(AOIFE, replace(AOIFE, mobile=None, last_name=None))
    assert plan.changes == ()


def test_s9_a_contact_gone_from_ghl_is_shown_and_not_made_again() -> None:
    plan = plan_after(AOIFE, replace(AOIFE, first_name="Ada"), gone_at=AT)
    assert plan.changes == ()
    assert plan.settled == {"A": Skipped(GONE)}
    assert [(review.cause, review.ghl_id) for review in plan.reviews] == [("gone", "X")]


def test_s14_a_contact_that_carries_our_id_is_taken_up_again() -> None:
    (contact,) = desired(AOIFE)
    (change,) = plan_of([contact], mirror=[mirrored(contact, "X")]).changes
    assert (change.action, change.ghl_id, change.diffs) == (Action.REMAP, "X", ())


@pytest.mark.parametrize("name", [{"first_name": "Eve"}, {"first_name": None, "last_name": None}])
def test_s14_a_contact_of_another_name_at_the_address_is_for_a_person_to_look_at(name: dict[str, object]) -> None:
    (contact,) = desired(AOIFE)
    plan = plan_of([contact], mirror=[mirrored(contact, "X", custom_fields={}, **name)])
    assert plan.changes == ()
    assert plan.settled == {"A": Rejected(ADDRESS_TAKEN)}
    assert [(review.cause, review.ghl_id) for review in plan.reviews] == [("adoption", "X")]


def test_s14_an_id_that_somebody_copied_to_another_clients_contact_proves_nothing() -> None:
    bea = client("B", email="b@example.com")
    contacts = desired(AOIFE, bea, anchors={"B": "X"})
    theirs = next(c for c in contacts if c.phorest_id == "B")
    copied = mirrored(theirs, "X", email="a@example.com", custom_fields={"FIELD": "A"})
    plan = plan_of(contacts, mirror=[copied], mappings=mapped(theirs, "X"))
    assert all(change.action is not Action.REMAP for change in plan.changes)
    assert plan.settled["A"] == Rejected(ADDRESS_TAKEN)


def test_an_address_that_an_update_of_this_plan_replaces_is_free_for_a_create_of_it() -> None:
    mappings, held = known(AOIFE)
    heir = client("B", mobile=AOIFE.mobile)
    moved = replace(AOIFE, mobile="086 555 2000")
    plan = plan_of(desired(moved, heir, anchors={"A": "X"}), mirror=[held], mappings=mappings)
    assert plan.counts() == {"create": 1, "update": 1, "adopt": 0, "remap": 0, "retire": 0, "link": 0}


@pytest.mark.parametrize("case", ["dropped", "edited", "refused"])
def test_an_address_that_stays_on_its_contact_is_not_free(case: str) -> None:
    """Phorest no longer has it and GHL keeps it; or a person put it there; or GHL refused to replace it."""
    before, after = AOIFE, replace(AOIFE, mobile=None)
    if case == "edited":
        before = after = replace(AOIFE, mobile="086 555 2000")
    if case == "refused":
        after = replace(AOIFE, mobile="086 555 2000")
    mappings, held = known(before, phone="+353871234567")
    contacts = desired(after, client("B", mobile="087 123 4567"), anchors={"A": "X"})
    hashes = {c.phorest_id: c.source_hash for c in contacts if c.phorest_id == "A"}
    plan = plan_of(contacts, mirror=[held], mappings=mappings, refused=hashes if case == "refused" else {})
    assert plan.counts()["create"] == 0
    assert plan.settled["B"] == Rejected(ADDRESS_TAKEN)


def test_where_duplicates_are_allowed_a_relatives_contact_stands_in_nobodys_way() -> None:
    mappings, held = known(AOIFE)
    contacts = desired(AOIFE, client("B", mobile=AOIFE.mobile), anchors={"A": "X"}, group=False)
    plan = plan_of(contacts, mirror=[held], mappings=mappings, duplicates=True)
    assert [(change.action, change.desired.phorest_id) for change in plan.changes] == [(Action.CREATE, "B")]


def test_a_new_member_of_a_household_is_linked_without_a_request() -> None:
    mappings, held = known(AOIFE)
    contacts = desired(AOIFE, client("B", mobile=AOIFE.mobile), anchors={"A": "X"})
    plan = plan_of(contacts, mirror=[held], mappings=mappings)
    (change,) = plan.changes
    assert (change.action, change.item_ids, plan.requests) == (Action.LINK, ("A", "B"), 0)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (client("A"), NO_CONTACT_POINT),
        (client("A", mobile="087 123 4567", archived=True), "archived"),
        (client("A", mobile="087 123 4567", banned=True), "banned"),
        (client("A", mobile="087 123 4567", deleted=True), "deleted in Phorest"),
        (client("A", mobile="087 123 4567", merged_to="B"), "merged into another client"),
    ],
)
def test_who_gets_no_contact_is_skipped_with_the_reason(row: ClientRow, reason: str) -> None:
    plan = plan_of(desired(row))
    assert (plan.changes, plan.settled) == ((), {"A": Skipped(reason)})


def test_refused_content_is_not_sent_again_until_it_changes() -> None:
    (contact,) = desired(AOIFE)
    refused = {"A": contact.source_hash}
    assert plan_of([contact], refused=refused).settled == {"A": Rejected(NOT_AGAIN)}
    assert plan_of(desired(replace(AOIFE, first_name="Ada")), refused=refused).counts()["create"] == 1


def test_closing_a_channel_is_never_held_up_by_refused_content() -> None:
    mappings, held = known(AOIFE)
    after = replace(AOIFE, email="refused@example.com", email_marketing=False)
    contacts = desired(after, anchors={"A": "X"})
    plan = plan_of(contacts, mirror=[held], mappings=mappings, refused={"A": contacts[0].source_hash})
    (change,) = plan.changes
    assert [(d.name, d.facet) for d in change.diffs] == [("Email", Facet.CONSENT)]
    assert change.read_first


def test_s10_a_block_that_only_a_search_showed_is_no_reason_to_leave_a_channel() -> None:
    strict = replace(AOIFE, email_marketing=False)
    shown = {"Email": DndSetting(status="active"), "SMS": DndSetting(status="inactive")}
    (change,) = plan_after(AOIFE, strict, seen_by="search", dnd_settings=shown).changes
    assert [d.name for d in change.diffs] == ["Email"]
    assert change.read_first
    assert plan_after(AOIFE, strict, seen_by="read", dnd_settings=shown).changes == ()


def test_the_plan_says_how_many_channels_it_closes_on_whom() -> None:
    strict = client("B", email="b@example.com", email_marketing=False, sms_marketing=None)
    mappings, held = known(AOIFE)
    contacts = desired(replace(AOIFE, email_marketing=False), strict, anchors={"A": "X"})
    plan = plan_of(contacts, mirror=[held], mappings=mappings)
    assert plan.consent_changes() == {
        "closed_on_create": 4,
        "closed_on_update": 1,
        "closed_on_adopt": 0,
        "closed_on_retire": 0,
        "opened": 0,
    }
