"""Which visits get a note and what it says: pure."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.sync.journal import Intent
from phorest_ghl.sync.notes.planning import Known, NoteAction, NotePlan, plan_notes
from phorest_ghl.sync.notes.visits import NoteRules, Visit, body, content_hash
from phorest_ghl.sync.outcomes import Deferred, Rejected, Skipped, Unchanged
from phorest_ghl.sync.plan import BEYOND_LIMIT

KEYRING = Keyring(b"a key for tests alone, 32 bytes.")
NOW = datetime(2026, 7, 10, 12, tzinfo=UTC)
VISIT = Visit(
    phorest_id="pK8sD1fGR0yB-uN3_vWxEQ",
    client_id="A1",
    service_id="S1",
    service_name="  Cut &  Finish ",
    category_id="C1",
    category_name="Hair",
    appointment_date=date(2026, 7, 9),
    start_time=time(14, 30),
    starts_at=datetime(2026, 7, 9, 18, 30, tzinfo=UTC),
    zone_name="America/Toronto",
    happened=True,
)
KNOWN = Known(contacts={"A1": "X1"}, now=NOW)


def planned(visit: Visit = VISIT, known: Known = KNOWN, rules: NoteRules = NoteRules()) -> NotePlan:  # noqa: B008
    return plan_notes([visit], known, rules, KEYRING)


def intent(state: str) -> Intent:
    return Intent(VISIT.phorest_id, state, NOW, None, 1, ["X1"])  # type: ignore[arg-type]


def test_s19_a_note_names_service_local_start_and_id_and_nothing_else() -> None:
    assert body(VISIT) == "Cut & Finish / 2026-07-09 14:30 / phorest:pK8sD1fGR0yB-uN3_vWxEQ"
    assert body(replace(VISIT, service_name=None)).startswith("Appointment / ")


def test_a_branch_without_a_usable_zone_has_its_notes_by_the_printed_time() -> None:
    assert " / 2026-07-09 14:30 / " in body(replace(VISIT, zone_name="Mars/Base"))


@pytest.mark.parametrize(
    ("visit", "reason"),
    [
        (replace(VISIT, starts_at=NOW + timedelta(seconds=1)), "its start has not passed"),
        (replace(VISIT, client_id=None), "an appointment without a client"),
        (replace(VISIT, walk_in=True), "walk-in client"),
        (replace(VISIT, client_deleted=True), "its client was deleted in Phorest"),
        (replace(VISIT, client_id="A2"), "its client has no contact in GHL"),
    ],
)
def test_a_visit_that_gets_no_note_is_skipped_with_its_reason(visit: Visit, reason: str) -> None:
    made = planned(visit)
    assert made.changes == ()
    assert made.settled == {VISIT.phorest_id: Skipped(reason)}


def test_s2_a_visit_gets_its_note_from_the_second_of_its_start_on() -> None:
    (change,) = planned(replace(VISIT, starts_at=NOW)).changes
    assert (change.action, change.ghl_id) == (NoteAction.CREATE, "X1")


@pytest.mark.parametrize("named", ["cut & finish", "hair"])
def test_s19_a_service_that_is_excluded_by_its_or_its_category_s_name_gets_no_note(named: str) -> None:
    made = planned(rules=NoteRules(excluded=frozenset({named})))
    assert made.settled == {VISIT.phorest_id: Skipped("the service is excluded from notes")}


def test_s16_a_note_that_was_once_there_is_never_made_again() -> None:
    assert planned(known=replace(KNOWN, noted={VISIT.phorest_id})).settled == {VISIT.phorest_id: Unchanged()}


def test_content_that_ghl_refused_waits_until_it_changes() -> None:
    known = replace(KNOWN, refused={VISIT.phorest_id: content_hash(VISIT, KEYRING)})
    assert isinstance(planned(known=known).settled[VISIT.phorest_id], Rejected)
    assert planned(replace(VISIT, service_name="Colour"), known).changes


def test_an_unsettled_note_of_a_visit_that_no_longer_counts_is_looked_up_and_not_made() -> None:
    known = replace(KNOWN, intents={VISIT.phorest_id: intent("unknown")})
    (change,) = planned(replace(VISIT, happened=False), known).changes
    assert (change.action, change.unsettled) == (NoteAction.LOOK_UP, True)


def test_a_plan_counts_its_notes_its_look_ups_and_the_guard_tag() -> None:
    visits = [replace(VISIT, phorest_id=f"P{n}", client_id=f"A{n}") for n in range(501)]
    known = Known(
        contacts={f"A{n}": f"X{n}" for n in range(501)},
        now=NOW,
        intents={"P7": intent("sent"), "P8": intent("planned")},
    )
    made = plan_notes(visits, known, NoteRules(), KEYRING)
    assert made.requests == 501 + 1 + 2
    limited = made.limited(2)
    assert (len(limited.changes), limited.total) == (2, 501)
    assert plan_notes(visits, replace(known, quiet=False), NoteRules(), KEYRING).requests == 501 + 1


visits = st.builds(
    replace,
    st.just(VISIT),
    phorest_id=st.sampled_from("PQRST"),
    client_id=st.sampled_from([None, "A1", "A2", "A3"]),
    starts_at=st.sampled_from([NOW - timedelta(days=1), NOW + timedelta(hours=1)]),
    happened=st.booleans(),
    walk_in=st.booleans(),
    service_name=st.sampled_from(["Cut", "Laser", None]),
)


@given(
    rows=st.lists(visits, unique_by=lambda visit: visit.phorest_id),
    noted=st.frozensets(st.sampled_from("PQRST")),
    gone=st.frozensets(st.sampled_from(["X1", "X2"])),
    unsettled=st.frozensets(st.sampled_from("PQRST")),
)
def test_every_visit_has_one_change_or_one_outcome_and_none_that_may_not_have_a_note_gets_one(
    rows: list[Visit], noted: frozenset[str], gone: frozenset[str], unsettled: frozenset[str]
) -> None:
    known = Known(
        contacts={"A1": "X1", "A2": "X2"},
        now=NOW,
        noted=noted,
        gone=gone,
        intents={p: intent("sent") for p in unsettled},
    )
    made = plan_notes(rows, known, NoteRules(excluded=frozenset({"laser"})), KEYRING)
    changed = [change.phorest_id for change in made.changes]
    assert sorted([*changed, *made.settled]) == sorted(visit.phorest_id for visit in rows)
    for change in made.changes:
        assert change.phorest_id not in noted
        if change.action is NoteAction.CREATE:
            visit = change.visit
            assert visit.happened
            assert visit.starts_at <= NOW
            assert not visit.walk_in
            assert visit.service_name != "Laser"
            assert change.ghl_id in {"X1", "X2"} - gone


def test_a_limited_plan_leaves_the_rest_to_the_next_run_and_counts_it() -> None:
    visits = [replace(VISIT, phorest_id=f"V{number}") for number in range(3)]
    part = plan_notes(visits, KNOWN, NoteRules(), KEYRING).limited(2)
    assert [change.phorest_id for change in part.changes] == ["V0", "V1"]
    assert part.settled == {"V2": Deferred(BEYOND_LIMIT)}
    assert part.total == 3
