"""How much of one kind a run does by itself, guard by guard."""

import pytest

from phorest_ghl.settings import GUARDS, guard_bounds
from phorest_ghl.sync.stops.place import UNKNOWN
from phorest_ghl.sync.stops.size import CONTACTS, EVENTS, NAMES, STAFF, Bound, SizeGuard, tripped
from phorest_ghl_tests.sync.stops.changes import ABSENT, CLOSING, HARMLESS, TRIPPING, staff, tag

EVERY = (*CONTACTS, *EVENTS)


@pytest.mark.parametrize("guard", EVERY, ids=lambda guard: guard.name)
def test_a_guard_trips_above_its_bound_and_not_at_it_and_no_other_one_does(guard: SizeGuard) -> None:
    at_it = [TRIPPING[guard.name](n) for n in range(guard.bound.number)]
    family = CONTACTS if guard in CONTACTS else EVENTS
    assert tripped(at_it, family, 0, {}) == ()
    (found,) = tripped([*at_it, TRIPPING[guard.name](9999)], family, 0, {})
    assert (found.guard, found.figure, found.bound) == (guard, guard.bound.number + 1, guard.bound.number)


@pytest.mark.parametrize("guard", EVERY, ids=lambda guard: guard.name)
def test_a_guards_sentence_says_how_many_why_and_the_command_that_lets_these_pass(guard: SizeGuard) -> None:
    sentence = guard.sentence(77, 50, "client")
    assert sentence.startswith(f"77 {guard.what}")
    assert "more than 50 in one run wait for a person" in sentence
    assert guard.why in sentence
    assert f"`phorest-ghl allow client {guard.name} 77`" in sentence


def test_a_large_salon_may_do_more_by_itself() -> None:
    many = [TRIPPING["tag-removals"](n) for n in range(130)]
    assert len(tripped(many, CONTACTS, 1_000, {})) == 1
    assert tripped(many, CONTACTS, 15_000, {}) == ()


def test_what_has_its_own_bound_or_harms_nobody_is_not_counted() -> None:
    none = {guard.name: Bound(0, 0) for guard in EVERY}
    for changes, guards in zip(HARMLESS, (CONTACTS, EVENTS, STAFF), strict=True):
        assert tripped(changes, guards, 0, none) == ()


def test_s5_what_closes_a_channel_is_never_held_back_whatever_else_it_changes() -> None:
    assert tripped(CLOSING, CONTACTS, 0, {guard.name: Bound(0, 0) for guard in EVERY}) == ()


def test_tags_of_the_staff_are_guarded_too() -> None:
    changes = [staff(n, tag("role:staff", ABSENT)) for n in range(2)]
    assert len(tripped(changes, STAFF, 0, {"tag-removals": Bound(1, 0)})) == 1


def test_the_settings_know_every_guard_with_a_bound() -> None:
    assert set(GUARDS) == {*NAMES, UNKNOWN}
    assert guard_bounds("overwrites=50:2.5%, moves=3") == {"overwrites": (50, 0.025), "moves": (3, 0.0)}
    for wrong in ("overwrite=5", "overwrites", "overwrites=5, overwrites=6", "overwrites=5:x%", "closings=5"):
        with pytest.raises(ValueError, match="should be guards with what they let pass"):
            guard_bounds(wrong)
