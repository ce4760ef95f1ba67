"""Every item leaves a run with exactly one outcome."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.sync.outcomes import (
    KINDS,
    Applied,
    CountsDisagree,
    Deferred,
    Failed,
    Outcome,
    Rejected,
    Skipped,
    Tally,
    Unchanged,
)

outcomes = st.sampled_from(
    [Applied(), Unchanged(), Skipped("archived"), Deferred("GHL's daily quota"), Rejected("taken"), Failed("transient")]
)


@given(st.dictionaries(st.text(max_size=4), outcomes))
def test_the_counts_add_up_to_the_input(given_to: dict[str, Outcome]) -> None:
    tally = Tally(given_to)
    for item, outcome in given_to.items():
        tally.settle(item, outcome)
    counts = tally.counts()
    assert tuple(counts) == KINDS
    assert sum(counts.values()) == tally.total == len(given_to)
    with_reasons = sum(n for kind in tally.reasons().values() for n in kind.values())
    assert with_reasons == tally.total - counts["applied"] - counts["unchanged"]


def test_a_second_outcome_for_an_item_is_a_defect() -> None:
    tally = Tally(["A"])
    tally.settle("A", Applied())
    with pytest.raises(CountsDisagree, match="item A is not of this run's input, or has its outcome already"):
        tally.settle("A", Unchanged())
    assert tally.outcomes == {"A": Applied()}


def test_an_outcome_for_an_item_that_nobody_asked_about_is_a_defect() -> None:
    with pytest.raises(CountsDisagree):
        Tally(["A"]).settle("B", Applied())


def test_counts_are_refused_while_an_item_is_pending() -> None:
    tally = Tally(["A", "B"])
    tally.settle("A", Applied())
    with pytest.raises(CountsDisagree, match="1 of 2 items have no outcome"):
        tally.counts()
    assert tally.pending() == {"B"}
