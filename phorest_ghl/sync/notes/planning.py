"""Which notes are missing: a pure function of the visits and of what is on record.

Belongs here: the plan's shape and making it. Does not: reading rows (`visits`), carrying it out (`writing`).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.ghl.bulk_tags import BULK_LIMIT
from phorest_ghl.sync.journal import Intent
from phorest_ghl.sync.notes.visits import NoteRules, Visit, content_hash
from phorest_ghl.sync.outcomes import Deferred, Outcome, Rejected, Skipped, Unchanged
from phorest_ghl.sync.plan import BEYOND_LIMIT, GONE, NOT_AGAIN

NO_CONTACT = "its client has no contact in GHL"


class NoteAction(StrEnum):
    """What a planned change does in GHL."""

    CREATE = "create"
    LOOK_UP = "look up"
    """Find out whether a note was made whose answer was lost, and make none: its visit is no longer to have one."""


@dataclass(frozen=True)
class NoteChange:
    """One note that is to be made on a contact, or looked up there. `unsettled`: an earlier create may have made it."""

    action: NoteAction
    visit: Visit
    ghl_id: str | None
    unsettled: bool = False
    field_names = ("body",)

    @property
    def phorest_id(self) -> str:
        """The appointment."""
        return self.visit.phorest_id

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The item whose outcome it decides."""
        return (self.visit.phorest_id,)


@dataclass(frozen=True)
class NotePlan:
    """The notes of one run, and the outcomes of all visits that get none."""

    changes: tuple[NoteChange, ...]
    settled: Mapping[str, Outcome]
    quiet: bool = False

    @property
    def total(self) -> int:
        """Items of the run."""
        return len(self.changes) + len(self.settled)

    @property
    def to_guard(self) -> frozenset[str]:
        """Contacts that get the guard tag before anything is written to them (safety S1)."""
        wanted = (change.ghl_id for change in self.changes if change.action is NoteAction.CREATE and self.quiet)
        return frozenset(ghl_id for ghl_id in wanted if ghl_id is not None)

    @property
    def requests(self) -> int:
        """Calls that applying it takes if nothing goes wrong: notes, look-ups, the guard tag."""
        creates = sum(change.action is NoteAction.CREATE for change in self.changes)
        return creates + sum(change.unsettled for change in self.changes) + -(-len(self.to_guard) // BULK_LIMIT)

    def limited(self, most: int) -> "NotePlan":
        """The first changes alone; the others are deferred to a later run. Raises ValueError for less than one."""
        if most < 1:
            raise ValueError("A run that is limited makes at least one change.")
        later = {change.phorest_id: Deferred(BEYOND_LIMIT) for change in self.changes[most:]}
        return replace(self, changes=self.changes[:most], settled={**self.settled, **later})

    def counts(self) -> dict[str, int]:
        """Changes by action; every action is there."""
        found = Counter(change.action for change in self.changes)
        return {action.value: found[action] for action in NoteAction}


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is on record when a plan is made.

    Attributes:
        contacts: the contact of each client that has one.
        gone: contacts that GHL no longer has.
        noted: appointments that have, or once had, their note.
        intents: creates that are not settled, by appointment.
        refused: the hash of what GHL refused to take, by appointment.
        now: the vendor's clock (aware): a visit that begins later has not begun.
        quiet: whether the location is.
    """

    contacts: Mapping[str, str]
    gone: Collection[str] = frozenset()
    noted: Collection[str] = frozenset()
    intents: Mapping[str, Intent] = field(default_factory=dict[str, Intent])
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    now: datetime
    quiet: bool = True


def plan_notes(visits: Iterable[Visit], known: Known, rules: NoteRules, keyring: Keyring) -> NotePlan:
    """One change for each visit whose note is missing, and an outcome for every other one."""
    changes: list[NoteChange] = []
    settled: dict[str, Outcome] = {}
    for visit in visits:
        intent = known.intents.get(visit.phorest_id)
        unsettled = intent is not None and intent.state != "planned"
        contact = known.contacts.get(visit.client_id or "")
        outcome = _outcome(visit, contact, known, rules, keyring)
        if outcome is None:
            changes.append(NoteChange(NoteAction.CREATE, visit, contact, unsettled))
        elif intent is not None and not isinstance(outcome, Unchanged):
            changes.append(NoteChange(NoteAction.LOOK_UP, visit, contact, unsettled))
        else:
            settled[visit.phorest_id] = outcome
    return NotePlan(tuple(changes), settled, known.quiet)


def _outcome(visit: Visit, contact: str | None, known: Known, rules: NoteRules, keyring: Keyring) -> Outcome | None:
    """Why a visit gets no note now; None if it does."""
    if visit.phorest_id in known.noted:
        return Unchanged()  # also if somebody deleted it: it is not put back (S16)
    reasons = (
        (not visit.happened, "no longer a visit of these days"),
        (visit.starts_at > known.now, "its start has not passed"),  # S2
        (visit.client_id is None, "an appointment without a client"),
        (visit.walk_in, "walk-in client"),
        (visit.client_deleted, "its client was deleted in Phorest"),
        (rules.excludes(visit), "the service is excluded from notes"),  # S19
        (contact is None, NO_CONTACT),
        (contact in known.gone, GONE),
    )
    reason = next((reason for holds, reason in reasons if holds), None)
    if reason is not None:
        return Skipped(reason)
    if known.refused.get(visit.phorest_id) == content_hash(visit, keyring):
        return Rejected(NOT_AGAIN)
    return None
