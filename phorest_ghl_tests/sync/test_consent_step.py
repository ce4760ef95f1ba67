"""What one look at Phorest does to the causes on record: each goes only by its own reversal (safety S7 to S9)."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from phorest_ghl.sync import consent, consent_ledger
from phorest_ghl.sync.consent import BANNED, BY_PHONE, DELETED, GHL, GHL_ALL, NO_CONSENT, Channel, Policy
from phorest_ghl.sync.consent_step import NOT_OBSERVED, TOO_MANY, Cause, Record, Step, step
from phorest_ghl.sync.identity import people
from phorest_ghl.sync.source import ClientRow
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.builders import COUNTRIES, KEYRING, client, salons

A, B = "a@example.com", "b@example.com"
PHONE = "+353871234567"


def key(address: str) -> str:
    return KEYRING.digest("address", address)


def refusal(address: str, source: str = "A", channel: Channel = Channel.EMAIL) -> Cause:
    return Cause(key(address), channel, NO_CONSENT, source)


def look(record: Record, *clients: ClientRow, policy: Policy = "strict", **more: Any) -> Step:
    return step(people(clients, COUNTRIES), record, KEYRING, policy=policy, **more)


def after(record: Record, done: Step, *clients: ClientRow) -> Record:
    """What a later run loads if the step was written down: as `consent_ledger` does, checked against it below."""
    merged = {row.phorest_id for row in clients if row.merged_to is not None}
    ended = {c for c in done.lift if c.cause == NO_CONSENT}
    return Record(
        (record.causes | set(done.add)) - set(done.lift),
        {**record.observed, **{seen.phorest_id: seen for seen in done.observe}},
        frozenset(c for c in record.ended | ended if c.source_id in merged),
    )


def played(*looks: Iterable[ClientRow], policy: Policy = "strict", record: Record | None = None) -> tuple[Record, Step]:
    """The record after several looks, and what the last one did."""
    record = record or Record(frozenset())
    done = None
    for clients in looks:
        rows = list(clients)
        done = look(record, *rows, policy=policy)
        record = after(record, done, *rows)
    assert done is not None
    return record, done


NO, YES = client(email=A, email_marketing=False), client(email=A, email_marketing=True)


def test_s7_a_refusal_goes_on_record_at_the_address_and_stays_while_nothing_changes() -> None:
    record, done = played([NO])
    assert record.causes == {refusal(A)}
    assert done.on_record[A, Channel.EMAIL] == {NO_CONSENT}
    assert look(record, NO).empty


def test_s7_an_opt_in_that_was_observed_at_the_same_address_ends_the_refusal() -> None:
    record, done = played([NO], [YES])
    assert (record.causes, done.opted_in, done.on_record, done.waiting) == (set(), (refusal(A),), {}, {})


def test_s7_null_counts_as_refused_on_both_sides_of_an_opt_in() -> None:
    unknown = client(email=A, email_marketing=None)
    assert played([unknown])[0].causes == {refusal(A)}
    assert played([unknown], [YES])[0].causes == set()
    assert played([NO], [unknown])[0].causes == {refusal(A)}


def test_s7_an_opt_in_that_came_with_another_address_waits_and_the_refusal_goes_along() -> None:
    record, done = played([NO], [replace(YES, email=B)])
    assert record.causes == {refusal(A), refusal(B)}
    assert done.waiting == {"A": NOT_OBSERVED}
    assert done.on_record[B, Channel.EMAIL] == {NO_CONSENT}
    # It goes on waiting, and a clean opt-in at the new address ends it there, but not at the old one, which may be another's.
    moved = replace(YES, email=B)
    record, done = played([moved], record=record)
    assert (done.empty, done.waiting) == (True, {"A": NOT_OBSERVED})
    record, _ = played([replace(NO, email=B)], [moved], record=record)
    assert record.causes == {refusal(A)}
    # Then it moves freely, but not back.
    record, done = played([replace(YES, email="c@example.com")], record=record)
    assert (record.causes, done.waiting) == ({refusal(A)}, {})
    assert played([YES], record=record)[1].waiting == {"A": NOT_OBSERVED}


def test_s7_a_refusal_goes_along_although_there_was_no_address_in_between() -> None:
    record, done = played([NO], [replace(YES, email=None)], [replace(YES, email=B)])
    assert record.causes == {refusal(A), refusal(B)}
    assert done.waiting == {"A": NOT_OBSERVED}


def test_s9_a_refusal_stays_at_an_address_that_somebody_else_takes_over() -> None:
    heir = client("HEIR", email=A)
    record, done = played([NO], [replace(NO, email=B), heir])
    assert done.on_record[A, Channel.EMAIL] == {NO_CONSENT}
    # Neither the heir's consent nor an opt-in that the other gives elsewhere ends it.
    record, done = played([replace(YES, email=B), heir], record=record)
    assert record.causes == {refusal(A)}
    record, done = played([replace(YES, email=B), replace(heir, email_marketing=False)], [YES, heir], record=record)
    assert refusal(A) in record.causes
    assert refusal(A, "HEIR") not in record.causes


@pytest.mark.parametrize(("flag", "cause"), [("banned", BANNED), ("deleted", DELETED)])
def test_s7_a_ban_and_a_deletion_end_only_when_they_are_undone(flag: str, cause: str) -> None:
    gone = replace(YES, **{flag: True}, mobile="087 123 4567")
    record, _ = played([replace(gone, email_marketing=False)])
    by_phone = Cause(key(PHONE), Channel.SMS, cause, "A")
    assert record.causes == {Cause(key(A), Channel.EMAIL, cause, "A"), by_phone, refusal(A)}
    record, done = played([gone], record=record)  # an opt-in ends the refusal alone
    assert record.causes == {Cause(key(A), Channel.EMAIL, cause, "A"), by_phone}
    assert all(done.on_record[PHONE, channel] == {cause} for channel in BY_PHONE)
    # The undoing counts wherever the client is by then.
    record, _ = played([replace(YES, email=B, mobile=None)], record=record)
    assert record.causes == set()


def test_s7_a_block_of_ghl_is_not_touched_by_anything_that_phorest_shows() -> None:
    theirs = {Cause(key(A), Channel.EMAIL, cause, "CONTACT") for cause in (GHL, GHL_ALL)}
    record, done = played([NO], [YES], record=Record(frozenset(theirs)))
    assert record.causes == theirs
    assert done.on_record[A, Channel.EMAIL] == {GHL, GHL_ALL}
    assert look(record, YES, accepted={"A"}).lift == ()


def test_a_block_of_ghl_closes_its_own_channel_and_a_clients_refusal_all_by_phone() -> None:
    row = client(mobile="087 123 4567")
    theirs = {Cause(key(PHONE), Channel.SMS, cause, "CONTACT") for cause in (GHL, GHL_ALL)}
    assert look(Record(frozenset(theirs)), row).on_record.keys() == {(PHONE, Channel.SMS)}
    refused = look(Record(frozenset()), replace(row, sms_marketing=False)).on_record
    assert refused.keys() == {(PHONE, channel) for channel in BY_PHONE}


def test_s9_the_opt_in_of_a_merges_winner_ends_the_losers_refusal_at_the_same_address() -> None:
    loser, winner = client("LOSER", email=A, email_marketing=False), client("WINNER", email=A)
    merged = replace(loser, merged_to="WINNER", deleted=True)
    record, done = played([loser, winner], [merged, winner])
    assert record.causes == {refusal(A, "LOSER"), refusal(A, "WINNER")}  # the merge alone is no opt-in
    assert done.waiting == {"WINNER": NOT_OBSERVED}
    record, done = played([merged, replace(winner, email_marketing=False)], [merged, winner], record=record)
    assert (record.causes, done.on_record) == (set(), {})
    # The loser's row shows its old refusal for ever; that is no new one.
    assert look(record, merged, winner).empty
    assert look(record, merged, winner, policy="separate").empty
    # But one that was written into it later is.
    spoken = replace(merged, email_marketing=True)
    record, _ = played([spoken, winner], [merged, winner], record=record)
    assert refusal(A, "LOSER") in record.causes


def test_a_loser_that_is_first_seen_merged_and_refusing_goes_on_record() -> None:
    merged = client("LOSER", email=A, email_marketing=False, merged_to="WINNER", deleted=True)
    record, _ = played([merged, client("WINNER", email=A)])
    assert refusal(A, "LOSER") in record.causes


@pytest.mark.parametrize("address", [B, None])
def test_an_opt_in_of_the_winner_elsewhere_does_not_end_what_the_loser_refused(address: str | None) -> None:
    merged = client("LOSER", email=A, email_marketing=False, merged_to="WINNER", deleted=True)
    winner = client("WINNER", email=address)
    record, _ = played([merged, replace(winner, email_marketing=False)], [merged, winner])
    assert refusal(A, "LOSER") in record.causes


def test_s7_more_opt_ins_than_a_run_may_believe_wait_all_together_and_are_seen_again_by_the_next() -> None:
    no = [client(f"C{n}", email=f"c{n}@example.com", email_marketing=False) for n in range(4)]
    yes = [replace(row, email_marketing=True) for row in no]
    record, _ = played(no)
    done = look(record, *yes, bulk_limit=3)
    assert (done.lift, done.opted_in, done.observe) == ((), (), ())
    assert done.waiting == {row.phorest_id: TOO_MANY for row in yes}
    assert len(done.on_record) == 4
    record = after(record, done)
    assert look(record, *yes, bulk_limit=3).waiting == done.waiting
    # A person lets one in; the three others are no longer too many for a run.
    done = look(record, *yes, bulk_limit=3, accepted={"C1"})
    assert after(record, done).causes == set()
    assert done.used == {"C1"}
    # Those who newly refuse meanwhile are not held up.
    done = look(record, *yes[:3], replace(yes[3], email_marketing=False), client("NEW", email=B, email_marketing=False),
                bulk_limit=2)  # fmt: skip
    assert done.add == (refusal(B, "NEW"),)


def test_an_opt_in_that_a_person_accepted_needs_no_observation_and_is_used_up() -> None:
    record, _ = played([NO], [replace(YES, email=B)])
    done = look(record, replace(YES, email=B), accepted={"A"})
    assert (done.lift, done.used, done.waiting) == ((refusal(B),), {"A"}, {})
    record = after(record, done)
    assert look(record, replace(YES, email=B), accepted={"A"}).used == frozenset()


def test_an_accepted_opt_in_opens_nothing_for_a_client_that_refuses_now_and_is_used_up() -> None:
    """It was given for what the client said then: left standing, it would answer for the next opt-in too."""
    record, _ = played([NO])
    done = look(record, NO, accepted={"A"})
    assert (done.lift, done.used) == ((), {"A"})


def test_s8_a_switch_of_the_policy_opens_nothing_by_itself() -> None:
    reminders = client(email=A, email_marketing=False, email_reminder=True)
    record, _ = played([reminders])
    record, done = played([reminders], policy="separate", record=record)
    assert record.causes == {refusal(A)}
    assert done.waiting == {"A": NOT_OBSERVED}
    # A change that is an opt-in by the new policy ends it, of the one flag or of the other.
    assert played([replace(reminders, email_marketing=True)], policy="separate", record=record)[0].causes == set()
    neither = replace(reminders, email_reminder=False)
    assert played([neither], [reminders], policy="separate", record=record)[0].causes == set()


def test_s8_a_stricter_policy_puts_what_it_closes_on_record_at_once() -> None:
    reminders = client(email=A, email_marketing=False, email_reminder=True)
    merged = replace(reminders, phorest_id="LOSER", merged_to="A", deleted=True)
    record, _ = played([reminders, merged], policy="separate")
    assert record.causes == set()
    assert played([reminders, merged], record=record)[0].causes == {refusal(A), refusal(A, "LOSER")}


# --- whatever clients there are

calm = settings(deadline=None)  # a machine that is busy with other tests proves nothing
looks = st.lists(salons(5), min_size=1, max_size=4)
policies = st.sampled_from(["strict", "separate"])


@calm
@given(looks, policies)
def test_a_second_look_at_the_same_clients_changes_nothing(history: list[list[ClientRow]], policy: Policy) -> None:
    record, _ = played(*history, policy=policy)
    assert look(record, *history[-1], policy=policy).empty


@calm
@given(looks, policies, st.randoms(use_true_random=False))
def test_the_order_of_the_clients_does_not_matter(history: list[list[ClientRow]], policy: Policy, rng: Any) -> None:
    record, _ = played(*history[:-1] or [[]], policy=policy)
    found = people(history[-1], COUNTRIES)
    mixed = rng.sample(found, len(found))
    one, other = (step(some, record, KEYRING, policy=policy) for some in (found, mixed))
    assert (one.add, one.lift, one.opted_in, one.on_record) == (other.add, other.lift, other.opted_in, other.on_record)
    assert (set(one.observe), one.waiting) == (set(other.observe), other.waiting)


@calm
@given(looks, policies)
def test_s7_a_refusal_goes_only_where_the_same_person_opted_in_at_the_same_address(
    history: list[list[ClientRow]], policy: Policy
) -> None:
    record, _ = played(*history[:-1] or [[]], policy=policy)
    rows = history[-1]
    done = look(record, *rows, policy=policy)
    into = {row.phorest_id: row.merged_to or row.phorest_id for row in rows}
    for cause in done.lift:
        if cause.cause != NO_CONSENT:
            assert cause.cause in (BANNED, DELETED)
            continue
        by_email = cause.channel is Channel.EMAIL
        agreeing = {
            row.phorest_id
            for person in people(rows, COUNTRIES)
            if not consent.refuses(row := person.client, by_email=by_email, policy=policy)
            and (before := record.observed.get(row.phorest_id)) is not None
            and before.key(by_email=by_email) == cause.address_key
            and (before.email_marketing if by_email else before.sms_marketing) is not True
        }
        owner = cause.source_id
        while owner not in agreeing:
            assert into.get(owner, owner) != owner, "nobody who may have opted in"
            owner = into[owner]


@calm
@given(looks, policies)
def test_what_anybody_at_an_address_shows_now_is_on_record_there_at_once(
    history: list[list[ClientRow]], policy: Policy
) -> None:
    _, done = played(*history, policy=policy)
    for person in people(history[-1], COUNTRIES):
        if person.client.merged_to is not None:
            continue
        for channel, address in ((Channel.EMAIL, person.email), (Channel.SMS, person.phone)):
            if address:
                shown = set(consent.causes(person.client, by_email=channel is Channel.EMAIL, policy=policy))
                assert shown <= done.on_record.get((address, channel), frozenset())


# --- written down


def keep(database: Database, done: Step) -> None:
    with database.engine.begin() as connection:
        consent_ledger.keep(connection, "L", done, entity_type="client", batch_id="B")


def loaded(database: Database) -> Record:
    with database.engine.connect() as connection:
        return consent_ledger.load(connection, "L")


def put_merged(database: Database, *rows: ClientRow) -> None:
    """As far as the ledger looks at clients: who is merged away."""
    with database.engine.begin() as connection:
        for row in rows:
            connection.execute(
                sa.text("""insert into phorest_clients (phorest_id, version, archived, banned, deleted, raw,
                                                        content_hash, merged_to_client_id)
                           values (:id, 1, false, false, true, '{}', '', :into)"""),
                {"id": row.phorest_id, "into": row.merged_to},
            )


def test_a_step_that_was_written_down_is_what_the_next_look_starts_from(database: Database) -> None:
    loser = client("LOSER", email=A, email_marketing=False, merged_to="WINNER", deleted=True)
    winner, other = client("WINNER", email=A), client("OTHER", email=B, banned=True, mobile="087 123 4567")
    history = [
        [loser, winner, other],
        [loser, replace(winner, email_marketing=False), replace(other, banned=False, email_marketing=None)],
        [loser, winner, replace(other, email="c@example.com", banned=False)],
    ]
    put_merged(database, loser)
    record = Record(frozenset())
    for clients in history:
        done = look(record, *clients)
        record = after(record, done, *clients)
        for _ in range(2):  # safe to repeat
            keep(database, done)
            assert loaded(database) == record
        assert look(loaded(database), *clients).empty
    assert record.causes == {refusal(B, "OTHER"), refusal("c@example.com", "OTHER")}
    assert record.ended == {refusal(A, "LOSER")}
    with database.engine.connect() as connection:
        waiting = connection.execute(sa.text("select phorest_id, state from work_items order by phorest_id")).all()
        assert [tuple(row) for row in waiting] == [("OTHER", "open"), ("WINNER", "resolved")]
        assert consent_ledger.active_at(connection, "L", [key(B)]) == {refusal(B, "OTHER")}
        assert consent_ledger.load(connection, "ELSEWHERE") == Record(frozenset())
        # Nothing of a person is readable in it.
        everything = connection.execute(sa.text("select s::text, o::text from suppressions s, consent_observations o"))
        assert not any("example.com" in value or "871234567" in value for row in everything for value in row)
