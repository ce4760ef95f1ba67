"""What may be sent to whom: blocks have causes, and nothing here ever opens a channel."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.ghl.models import DndSetting
from phorest_ghl.sync import consent
from phorest_ghl.sync.consent import BY_EMAIL, BY_PHONE, MARKER, Channel
from phorest_ghl.sync.consent_step import Record, step
from phorest_ghl.sync.identity import households, people
from phorest_ghl.sync.rules import Rules
from phorest_ghl.sync.source import ClientRow
from phorest_ghl_tests.sync.builders import COUNTRIES, KEYRING, client, desired, held_settings, salons

block_sets = st.dictionaries(st.sampled_from(list(Channel)), st.just(("no consent",)))


@pytest.mark.parametrize("flag", [True, False, None])
def test_s8_a_channel_is_open_only_with_consent_true(flag: bool | None) -> None:  # noqa: FBT001
    (contact,) = desired(client(email="a@example.com", email_marketing=flag))
    assert (Channel.EMAIL in contact.blocked) is (flag is not True)


@pytest.mark.parametrize("flag", [True, False, None])
def test_s8_call_and_whatsapp_follow_sms(flag: bool | None) -> None:  # noqa: FBT001
    (contact,) = desired(client(mobile="087 123 4567", sms_marketing=flag))
    assert {c in contact.blocked for c in BY_PHONE} == {flag is not True}


@pytest.mark.parametrize(
    ("flag", "causes"),
    [
        ({}, {}),
        ({"banned": True}, dict.fromkeys(Channel, ("banned",))),
        ({"deleted": True}, dict.fromkeys(Channel, ("deleted in Phorest",))),
        ({"deleted": True, "merged_to": "B"}, {}),
        ({"banned": True, "sms_marketing": None}, {
            Channel.EMAIL: ("banned",), **dict.fromkeys(BY_PHONE, ("banned", "no consent"))}),
    ],
)  # fmt: skip
def test_s7_every_block_names_its_causes(flag: dict[str, object], causes: dict[Channel, tuple[str, ...]]) -> None:
    (household,) = households(people([client(email="a@example.com", mobile="087 123 4567", **flag)], COUNTRIES), {})
    assert consent.blocks(household, {}, "strict") == causes


@given(salons(), st.booleans())
def test_s13_a_channel_is_open_only_if_everybody_at_the_address_agreed(clients: list[ClientRow], group: bool) -> None:  # noqa: FBT001
    everyone = people(clients, COUNTRIES)
    on_record = step(everyone, Record(frozenset()), KEYRING, policy="strict").on_record
    for household in households(everyone, {}, group=group):
        blocked = consent.blocks(household, on_record, "strict")
        at_email = [p for p in everyone if p.email and p.email == household.primary.email]
        at_phone = [p for p in everyone if p.phone and p.phone == household.primary.phone]
        if any(p.client.email_marketing is not True or p.client.banned for p in at_email):
            assert Channel.EMAIL in blocked
        if any(p.client.sms_marketing is not True or p.client.banned for p in at_phone):
            assert set(BY_PHONE) <= set(blocked)


@given(salons(5), st.integers(0, 4), st.sampled_from(["sms_marketing", "email_marketing"]))
def test_withdrawing_a_consent_never_opens_anything(clients: list[ClientRow], place: int, flag: str) -> None:
    if place >= len(clients):
        return
    stricter = [replace(row, **{flag: False}) if n == place else row for n, row in enumerate(clients)]
    before = {c.phorest_id: c.blocked for c in desired(*clients)}
    after = {c.phorest_id: c.blocked for c in desired(*stricter)}
    assert before.keys() == after.keys()
    for key, blocked in before.items():
        assert set(blocked) <= set(after[key])


def test_s9_what_is_on_record_at_an_address_closes_it_whatever_the_flags_say() -> None:
    agreed = client(email="a@example.com", mobile="087 123 4567")
    (contact,) = desired(agreed, on_record={("a@example.com", Channel.EMAIL): frozenset({"GHL"})})
    assert contact.blocked == {Channel.EMAIL: ("GHL",)}
    (by_phone,) = desired(
        client(mobile="087 123 4567"), on_record={("+353871234567", Channel.SMS): frozenset({"no consent"})}
    )
    assert set(by_phone.blocked) == {Channel.SMS}


@pytest.mark.parametrize(("marketing", "reminder", "closed"), [
    (True, None, False), (False, True, False), (None, True, False), (False, False, True), (None, None, True),
])  # fmt: skip
def test_s8_by_the_policy_separate_a_channel_closes_when_both_are_refused(
    marketing: bool | None, reminder: bool | None, closed: bool  # noqa: FBT001
) -> None:  # fmt: skip
    row = client(mobile="087 123 4567", sms_marketing=marketing, sms_reminder=reminder)
    (contact,) = desired(row, rules=Rules(policy="separate"))
    assert (Channel.SMS in contact.blocked) is closed
    assert contact.custom["sms_marketing"] == ("yes" if marketing else "no")


@given(block_sets, held_settings)
def test_s7_only_a_block_of_ours_that_nobody_touched_is_ever_opened(
    blocked: dict[Channel, tuple[str, ...]], held: dict[str, DndSetting]
) -> None:
    opens = consent.to_open(blocked, held)
    assert not set(opens) & set(blocked)
    sent = consent.opened(Channel, held)
    for name, setting in held.items():
        assert sent[name].blocked or not setting.blocked or (setting.status, setting.code) == ("active", MARKER)
    assert consent.to_open(blocked, None) == ()


@given(block_sets)
def test_a_create_says_of_every_channel_that_we_set_whether_it_is_open(blocked: dict[Channel, tuple[str, ...]]) -> None:
    sent = consent.settings(blocked)
    assert set(sent) == set(Channel)
    for channel in Channel:
        assert sent[channel.value].blocked is (channel in blocked)
        assert (sent[channel.value].code == MARKER) is (channel in blocked)
    assert "RCS" not in sent


@given(block_sets, held_settings)
def test_tightening_never_loosens_any_channel_and_never_touches_a_block_that_is_there(
    blocked: dict[Channel, tuple[str, ...]], held: dict[str, DndSetting]
) -> None:
    sent = consent.tightened(blocked, held)
    assert set(sent) == set(held) | {channel.value for channel in blocked}
    for name, setting in held.items():
        assert not setting.blocked or sent[name] == setting
    for channel in blocked:
        assert sent[channel.value].blocked
    for name in set(sent) - {channel.value for channel in blocked}:
        assert sent[name] == held[name]
    assert consent.tightened(blocked, sent) == sent
    assert consent.to_tighten(blocked, sent) == ()


@given(block_sets, held_settings)
def test_s10_what_is_unknown_has_to_be_closed(
    blocked: dict[Channel, tuple[str, ...]], held: dict[str, DndSetting]
) -> None:
    assert set(consent.to_tighten(blocked, None)) == set(blocked)
    for channel in consent.to_tighten(blocked, held):
        assert channel.value not in held or not held[channel.value].blocked


@pytest.mark.parametrize(
    ("sent", "answered", "looser"),
    [
        ("active", "active", False),
        ("active", "permanent", False),
        ("active", "inactive", True),
        ("active", None, True),
        ("inactive", "active", False),
        ("inactive", "inactive", False),
        ("inactive", None, False),
        ("permanent", "inactive", True),
    ],
)
def test_s6_only_an_answer_looser_than_what_was_sent_is_doubted(sent: str, answered: str | None, looser: bool) -> None:  # noqa: FBT001
    answer = {"GMB": DndSetting(status="inactive")} | ({} if answered is None else {"SMS": DndSetting(status=answered)})
    found = consent.looser_than_sent({"SMS": DndSetting(status=sent)}, answer)
    assert found == (("SMS",) if looser else ())


def test_s7_only_a_block_with_our_marker_is_ours() -> None:
    for status, code in product(("active", "permanent", "inactive", "new"), (MARKER, None, "101")):
        held = {"Email": DndSetting(status=status, code=code), "RCS": DndSetting(status="active")}
        foreign = consent.foreign_blocks(held)
        assert foreign == ((Channel.EMAIL,) if status != "inactive" and (status, code) != ("active", MARKER) else ())
    assert consent.foreign_blocks(None) == ()


def test_s17_a_block_made_with_a_staff_contact_is_nobodys_opt_out_and_nothing_of_ours_opens_it() -> None:
    made = consent.staff_settings()
    assert set(made) == {channel.value for channel in Channel}
    assert consent.foreign_blocks(made) == consent.to_open({}, made) == ()
    assert consent.closed_for_staff(made)
    carrier = DndSetting(status="permanent", code=consent.STAFF_MARKER)
    assert consent.foreign_blocks({**made, "SMS": carrier}) == (Channel.SMS,)
    assert not consent.closed_for_staff({**made, "SMS": carrier})
    assert not consent.closed_for_staff({name: made[name] for name in ("Email", "SMS")})
    assert not consent.closed_for_staff(None)


@given(held_settings)
def test_s17_closing_a_staff_contact_closes_every_channel_and_touches_no_block_that_stands(
    held: dict[str, DndSetting],
) -> None:
    closed = consent.staff_settings(held)
    assert all(closed[channel.value].blocked for channel in Channel)
    kept = {name: setting for name, setting in held.items() if setting.blocked or name not in set(Channel)}
    assert closed.items() >= kept.items()


def test_every_channel_belongs_to_one_kind_of_address() -> None:
    assert sorted((*BY_EMAIL, *BY_PHONE)) == sorted(Channel)


def test_a_status_that_nobody_documents_is_a_block() -> None:
    assert DndSetting(status="paused by carrier").blocked
