"""The invariants that an audit checks, one row each. Belongs here: names and meanings. Does not: evaluating them (`checks`)."""

from dataclasses import dataclass

import dagster as dg

from phorest_ghl.audit.compare import APPOINTMENT, CHECK_IN, CLIENT, FIELD
from phorest_ghl.audit.findings import Kind
from phorest_ghl.defs.ghl.assets import CONTACTS
from phorest_ghl.defs.ghl.events import EVENTS
from phorest_ghl.defs.ghl.notes import CHECK_IN_NOTES


@dataclass(frozen=True)
class Invariant:
    """What holds of an asset as long as there is no finding of these kinds."""

    asset: dg.AssetKey
    name: str
    entity: str
    kinds: tuple[Kind, ...]
    description: str

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """As Dagster has it."""
        return dg.AssetCheckSpec(self.name, asset=self.asset, description=self.description)

    @property
    def key(self) -> dg.AssetCheckKey:
        """What Dagster knows it by."""
        return dg.AssetCheckKey(self.asset, self.name)


INVARIANTS = (
    Invariant(CONTACTS, "none_is_missing", CLIENT, (Kind.MISSING,), "Every client that should have a contact has one."),
    Invariant(CONTACTS, "none_is_gone", CLIENT, (Kind.WITHOUT_OBJECT,), "Every mapped contact is still in GHL."),
    Invariant(
        CONTACTS,
        "none_is_there_twice",
        CLIENT,
        (Kind.DUPLICATE, Kind.ORPHANED),
        "No second contact claims a client, and none claims a client that Phorest does not know.",
    ),
    Invariant(CONTACTS, "fields_hold_what_phorest_says", CLIENT, (Kind.DRIFTED,), "No field of ours has drifted."),
    Invariant(
        CONTACTS, "nobody_edited_what_phorest_owns", CLIENT, (Kind.EDITED,), "No edit in GHL waits for a person."
    ),
    Invariant(CONTACTS, "consent_is_no_looser", CLIENT, (Kind.LOOSER,), "No channel is open that has to be closed."),
    Invariant(
        CONTACTS,
        "tags_are_as_we_left_them",
        CLIENT,
        (Kind.TAG_MISSING, Kind.TAG_LEFT_OVER, Kind.TAG_FOREIGN),
        "Tags in our namespaces are ours, and where they should be.",
    ),
    Invariant(
        CONTACTS,
        "our_fields_are_as_we_made_them",
        FIELD,
        (Kind.FIELD_CHANGED,),
        "Every custom field of ours has its key and its type.",
    ),
    Invariant(
        EVENTS, "none_is_missing", APPOINTMENT, (Kind.MISSING,), "Every appointment with a contact has its event."
    ),
    Invariant(EVENTS, "none_is_gone", APPOINTMENT, (Kind.WITHOUT_OBJECT,), "Every mapped event is still in GHL."),
    Invariant(
        EVENTS,
        "none_is_there_twice",
        APPOINTMENT,
        (Kind.DUPLICATE, Kind.ORPHANED),
        "No second event stands for an appointment, and none of ours for no appointment.",
    ),
    Invariant(
        EVENTS,
        "events_hold_what_phorest_says",
        APPOINTMENT,
        (Kind.DRIFTED, Kind.EDITED),
        "Time, calendar and status are Phorest's.",
    ),
    Invariant(
        EVENTS,
        "events_are_on_their_clients_contact",
        APPOINTMENT,
        (Kind.WRONG_CONTACT,),
        "No event is on another contact.",
    ),
    Invariant(
        CHECK_IN_NOTES,
        "notes_are_there_once",
        CHECK_IN,
        (Kind.MISSING, Kind.DUPLICATE, Kind.NOTE_MISSING),
        "Every visit of the last days has its note, once.",
    ),
)
AUDIT_CHECKS = dg.AssetSelection.checks(*(one.key for one in INVARIANTS))
"""What only an audit evaluates; jobs that materialize the assets leave it out."""
