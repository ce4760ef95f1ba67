"""Runs of a part of contacts: never more than the part, and together with the clients' run never two opinions."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phorest_ghl.ghl.fields import Facet, tag_facet
from phorest_ghl.sync.facts.loading import Facts
from phorest_ghl.sync.outcomes import Rejected, Skipped, Unchanged
from phorest_ghl.sync.parts import LEFT, NO_CONTACT, PARTS, Part, only
from phorest_ghl.sync.plan import Action, Plan
from phorest_ghl.sync.source import ClientRow
from phorest_ghl_tests.sync.builders import client, desired, mapped, mirrored, plan_of, salons

ALL = frozenset({Facet.LOYALTY, Facet.VISITS, Facet.BOOKINGS, Facet.PRODUCTS})
LOYALTY = PARTS["loyalty"]
AOIFE = client("A", email="a@example.com")


def facts(values: Mapping[str, str], *tags: str, known: frozenset[Facet] = ALL) -> Facts:
    return Facts(known=known, values={"A": values}, tags={"A": frozenset(tags)}, spend_known=True)


GOLD = facts({"loyalty_points": "1000", "loyalty_tier": "gold"}, "loyalty:gold")
SILVER = facts({"loyalty_points": "600", "loyalty_tier": "silver"}, "loyalty:silver")


def plan_after(before: Facts, after: Facts, *clients: ClientRow, changed: ClientRow | None = None) -> Plan:
    """What is planned where GHL holds what stood before."""
    made = desired(*(clients or (AOIFE,)), facts=before)
    held = {f"X{number}": one for number, one in enumerate(made)}
    wanted = desired(
        *([changed] if changed else clients or (AOIFE,)),
        anchors={one.phorest_id: key for key, one in held.items()},
        facts=after,
    )
    return plan_of(
        wanted,
        mirror=[mirrored(one, key) for key, one in held.items()],
        mappings={name: row for key, one in held.items() for name, row in mapped(one, key).items()},
        facts=after,
    )


def test_a_tier_that_moves_moves_its_tag_and_nothing_else() -> None:
    (change,) = only(plan_after(SILVER, GOLD), LOYALTY).changes
    assert {(diff.name, diff.after) for diff in change.diffs} == {
        ("loyalty_points", "1000"),
        ("loyalty_tier", "gold"),
        ("loyalty:gold", "present"),
        ("loyalty:silver", ""),
    }
    assert change.partial


def test_a_part_leaves_names_and_consent_to_the_clients_run() -> None:
    changed = replace(AOIFE, first_name="Ada", email_marketing=False)
    plan = plan_after(SILVER, GOLD, changed=changed)
    assert {diff.facet for change in plan.changes for diff in change.diffs} >= {Facet.IDENTITY, Facet.CONSENT}
    part = only(plan, LOYALTY)
    assert {diff.facet for change in part.changes for diff in change.diffs} == {Facet.LOYALTY, Facet.TAGS}
    assert not any(change.touches_consent for change in part.changes)
    assert only(plan_after(SILVER, SILVER, changed=changed), LOYALTY).settled == {"A": Unchanged()}


def test_a_client_without_a_contact_waits_for_the_run_that_makes_it() -> None:
    plan = plan_of(desired(AOIFE, facts=GOLD), facts=GOLD)
    assert plan.counts()["create"] == 1
    part = only(plan, LOYALTY)
    assert (part.changes, part.settled) == ((), {"A": Skipped(NO_CONTACT)})
    assert only(Plan((), {"A": Rejected("a reason")}, total=1), LOYALTY).settled == {"A": Skipped(LEFT)}


def test_a_facet_that_was_not_read_says_nothing_and_takes_nothing_away() -> None:
    before = facts(
        {"next_appointment": "2026-05-01 10:00", "visit_count": "3"}, "product:comb", "phorest:online-booking"
    )
    assert plan_after(before, facts({}, known=frozenset({Facet.LOYALTY}))).changes == ()
    (change,) = plan_after(before, facts({})).changes
    assert {diff.name for diff in change.diffs} == {
        "next_appointment", "visit_count", "product:comb", "phorest:online-booking",
    }  # fmt: skip


def test_s13_nobody_is_asked_to_book_while_somebody_of_the_household_comes() -> None:
    child = client("B", email="a@example.com", linked_to="A")
    due = facts({"rebook_due": "2026-05-01", "rebook_at_risk": "yes", "has_next_appointment": "no"})
    (alone,) = desired(AOIFE, child, facts=due)
    assert (alone.custom["rebook_due"], alone.custom["rebook_at_risk"]) == ("2026-05-01", "yes")
    (together,) = desired(AOIFE, child, facts=replace(due, ahead=frozenset({"B"})))
    assert (together.custom["rebook_due"], together.custom["rebook_at_risk"]) == ("", "no")
    assert together.custom["has_next_appointment"] == "no", "it is not the primary's"


def test_s13_facts_come_from_the_primary_alone() -> None:
    child = client("B", email="a@example.com", linked_to="A")
    of_both = Facts(
        known=ALL,
        values={"B": {"visit_count": "9", "loyalty_points": "7"}},
        tags={"B": frozenset({"product:comb", "loyalty:gold"})},
    )
    (contact,) = desired(AOIFE, child, facts=of_both)
    assert (contact.phorest_id, contact.custom["visit_count"], contact.tags) == ("A", "", frozenset())


def test_a_create_carries_all_facets_in_its_one_body() -> None:
    made = facts({"loyalty_points": "5", "visit_count": "3", "online_bookings": "1"}, "product:comb", "loyalty:member")
    (change,) = plan_of(desired(AOIFE, facts=made), facts=made).changes
    names = {diff.name for diff in change.diffs}
    assert {"loyalty_points", "visit_count", "online_bookings", "product:comb", "loyalty:member"} <= names
    assert change.requests == 1
    assert change.tag_diffs == ()


def test_a_deleted_client_loses_every_facet_whatever_was_read() -> None:
    before = facts({"visit_count": "3", "last_service": "Cut"}, "product:comb")
    (change,) = plan_after(before, Facts(), changed=replace(AOIFE, deleted=True)).changes
    gone = {diff.name for diff in change.diffs if diff.after == ""}
    assert {"visit_count", "last_service", "product:comb"} <= gone


@pytest.mark.parametrize("tag", ["product:comb", "phorest:online-booking", "loyalty:gold"])
def test_s16_a_tag_of_a_facet_that_a_person_took_off_is_never_added_again(tag: str) -> None:
    has = facts({}, tag)
    (made,) = desired(AOIFE, facts=has)
    held = mirrored(made, "X", tags=frozenset())
    plan = plan_of(desired(AOIFE, anchors={"A": "X"}, facts=has), mirror=[held], mappings=mapped(made, "X"), facts=has)
    assert plan.changes == ()


@settings(max_examples=30, deadline=None)
@given(clients=salons(), part=st.sampled_from(list(PARTS.values())), data=st.data())
def test_a_part_has_every_item_of_the_whole_once_and_only_differences_of_its_own(
    clients: list[ClientRow], part: Part, data: st.DataObject
) -> None:
    told = Facts(
        known=ALL,
        values={row.phorest_id: {"loyalty_points": data.draw(st.sampled_from(["1", "2"]))} for row in clients},
        tags={row.phorest_id: frozenset(data.draw(st.sets(st.sampled_from(TAGS)))) for row in clients},
    )
    whole = plan_after(Facts(), told, *clients) if clients else plan_of([], facts=told)
    less = only(whole, part)
    items = [*less.settled, *(item for change in less.changes for item in change.item_ids)]
    assert sorted(items) == sorted([*whole.settled, *(i for change in whole.changes for i in change.item_ids)])
    assert less.total == whole.total
    for change in less.changes:
        assert change.action is Action.UPDATE
        for diff in change.diffs:
            assert (tag_facet(diff.name) if diff.facet is Facet.TAGS else diff.facet) is part.facet


TAGS = ["product:comb", "loyalty:gold", "phorest:online-booking"]
