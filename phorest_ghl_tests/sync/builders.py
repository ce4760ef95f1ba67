"""Records for tests of pure functions: short to write, complete to read.

Belongs here: builders and hypothesis strategies of what the spine works on. Does not belong here: assertions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.ghl.fields import CUSTOM
from phorest_ghl.ghl.models import DndSetting
from phorest_ghl.sync.consent import OnRecord, settings
from phorest_ghl.sync.decisions import Decisions
from phorest_ghl.sync.differences import field_hash
from phorest_ghl.sync.facts.loading import NOTHING, Facts
from phorest_ghl.sync.held import Held
from phorest_ghl.sync.identity import households, people
from phorest_ghl.sync.journal import MappingRow
from phorest_ghl.sync.mirror import MirrorContact
from phorest_ghl.sync.plan import Plan
from phorest_ghl.sync.planner import Planner
from phorest_ghl.sync.projection import DesiredContact, Projector
from phorest_ghl.sync.rules import Rules
from phorest_ghl.sync.source import ClientRow, Names

KEYRING = Keyring(b"a key for tests alone, 32 bytes.")
FIELD_IDS = {spec.name: f"FIELD_{spec.name}" for spec in CUSTOM} | {"phorest_id": "FIELD"}
COUNTRIES = {"BRANCH": "IE"}
NAMES = Names(
    countries=COUNTRIES,
    branches={"BRANCH": "Main Street"},
    zones={"BRANCH": "Europe/Dublin"},
    categories={"VIP": "VIP", "COLOUR": "Colour  Club"},
    staff={"STYLIST": "Siobhan Kelly"},
)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def client(phorest_id: str = "A", **more: Any) -> ClientRow:
    """A client who agreed to everything."""
    return replace(
        ClientRow(
            phorest_id=phorest_id,
            first_name="Aoife",
            last_name="Byrne",
            email=None,
            mobile=None,
            archived=False,
            banned=False,
            deleted=False,
            walk_in=False,
            merged_to=None,
            linked_to=None,
            sms_marketing=True,
            email_marketing=True,
            sms_reminder=True,
            email_reminder=True,
            last_visit=None,
            created_at=AT,
            branch_id="BRANCH",
        ),
        **more,
    )


def desired(
    *clients: ClientRow,
    anchors: Mapping[str, str] | None = None,
    on_record: OnRecord | None = None,
    group: bool = True,
    rules: Rules = Rules(),  # noqa: B008 - frozen
    facts: Facts = NOTHING,
) -> list[DesiredContact]:
    """What GHL should hold for these clients."""
    projector = Projector(KEYRING, NAMES, rules, on_record or {}, facts)
    found = people(clients, COUNTRIES)
    return [projector.contact(h) for h in households(found, anchors or {}, group=group)]


def mirrored(contact: DesiredContact, ghl_id: str, **more: Any) -> MirrorContact:
    """The contact as GHL holds it after a perfect create."""
    held = {"first_name": None, "last_name": None, "email": None, "phone": None, **contact.identity}
    made = MirrorContact(
        ghl_id=ghl_id,
        **held,
        dnd_settings=settings(contact.blocked),
        custom_fields={FIELD_IDS[name]: value for name, value in contact.sent_custom.items()},
        seen_at=AT,
        seen_by="answer",
        gone_at=None,
        tags=contact.tags,
    )
    return replace(made, **more)


def mapped(contact: DesiredContact, ghl_id: str, *, acked: bool = True, adopted: bool = False) -> dict[str, MappingRow]:
    """The mappings of everybody on a contact; with what GHL acknowledged, or nothing of it."""
    values = {**contact.identity, **contact.custom} if acked else {}
    hashes = {name: field_hash(KEYRING, name, value) for name, value in values.items()}
    known = {"identity": hashes, "tags": dict.fromkeys(contact.tags, "a hash") if acked else {}}
    return {
        key: MappingRow(
            key,
            ghl_id,
            "primary" if key == contact.phorest_id else "secondary",
            known if key == contact.phorest_id else {},
            contact.source_hash,
            1,
            adopted and key == contact.phorest_id,
        )
        for key in contact.member_ids
    }


def plan_of(
    contacts: Iterable[DesiredContact],
    *,
    mirror: Iterable[MirrorContact] = (),
    mappings: Mapping[str, MappingRow] | None = None,
    refused: Mapping[str, str] | None = None,
    duplicates: bool = False,
    quiet: bool = False,
    guarded: Iterable[str] = (),
    former: Mapping[str, str] | None = None,
    decided: Decisions = Decisions(),  # noqa: B008 - frozen
    on_record: OnRecord | None = None,
    rules: Rules = Rules(),  # noqa: B008 - frozen
    facts: Facts = NOTHING,
) -> Plan:
    """The plan for these contacts against what GHL holds."""
    held = Held(
        mirror={contact.ghl_id: contact for contact in mirror},
        mappings=mappings or {},
        field_ids=FIELD_IDS,
        refused=refused or {},
        guarded=frozenset(guarded),
        former=former or {},
        duplicates=duplicates,
        quiet=quiet,
    )
    projector = Projector(KEYRING, NAMES, rules, on_record or {}, facts)
    return Planner(held, projector, KEYRING, decided=decided).plan(contact.household for contact in contacts)


flags = st.sampled_from([True, False, None])
emails = st.sampled_from([None, "a@example.com", " A@Example.com ", "b@example.com", "c@example.com", "no address"])
mobiles = st.sampled_from([None, "087 123 4567", "+353 87 123 4567", "086 555 2000", "086 555 2001", "soon"])
dnd = st.builds(
    DndSetting,
    status=st.sampled_from(["active", "inactive", "permanent", "something new"]),
    message=st.none() | st.just("a word"),
    code=st.sampled_from([None, "phorest_ghl", "phorest_ghl_staff", "101"]),
)
held_settings = st.dictionaries(st.sampled_from(["Email", "SMS", "Call", "WhatsApp", "GMB", "FB", "RCS"]), dnd)


@st.composite
def salons(draw: st.DrawFn, largest: int = 9) -> list[ClientRow]:
    """Clients who share addresses, in every state."""
    rare = st.sampled_from([False, False, False, True])
    return [
        client(
            f"C{number}",
            first_name=draw(st.sampled_from(["Aoife", "Ada", None, "-"])),
            email=draw(emails),
            mobile=draw(mobiles),
            archived=draw(rare),
            banned=draw(rare),
            deleted=draw(rare),
            walk_in=draw(st.sampled_from([False] * 9 + [True])),
            merged_to=draw(st.sampled_from([None, None, None, None, "C0", "C1"])),
            linked_to=draw(st.sampled_from([None, "C1"])),
            sms_marketing=draw(flags),
            email_marketing=draw(flags),
            last_visit=draw(st.sampled_from([None, date(2025, 1, 1), date(2026, 1, 1)])),
        )
        for number in range(draw(st.integers(0, largest)))
    ]
