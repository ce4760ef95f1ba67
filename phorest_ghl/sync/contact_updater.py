"""Write to a contact that is there: update it, adopt it, retire it.

Belongs here: what is read before, which of the planned changes still hold, what is read after. Does not: creates
(`contact_writer`), the sending itself (`contact_sender`).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from phorest_ghl.ghl.fields import EMAIL, PHONE, VALUE_FACETS, Facet
from phorest_ghl.ghl.models import Acknowledged, Contact, ContactWrite, DndSetting
from phorest_ghl.http.errors import ApiError, Category, NotSent
from phorest_ghl.sync import consent, normalise
from phorest_ghl.sync.consent import Channel
from phorest_ghl.sync.contact_bodies import fill_if_empty, update_body
from phorest_ghl.sync.contact_sender import ContactSender
from phorest_ghl.sync.keeper import ADOPTION
from phorest_ghl.sync.outcomes import Applied, Deferred, Outcome, Rejected, Skipped, Unchanged
from phorest_ghl.sync.plan import ADDRESS_TAKEN, GONE, Action, PlannedChange

UNGUARDED = "the contact lacks the guard tag"
_UNGUARDED_REASON = (
    "GHL did not put the guard tag on the contact, so until go-live only channels are closed on it; add the tag in GHL"
)
_NO_LONGER = "the contact changed since the plan was made"
_FRESH_S = 2.0
"""How old the read may be by which a channel is opened when the opening is sent, seconds (safety S10)."""
_TRIES = 4
"""Reads that may grow too old in turn, on a budget that many share, before the opening waits for the next run."""
_TOO_OLD = "the budget gave no turn while the read was fresh by which a channel is opened"
_PERMANENT = "permanent dnd setting"  # what GHL says of a block that only it may lift (facts/ghl-api §10)


class ContactUpdater:
    """Writes to present contacts of one location. Used from several threads."""

    def __init__(self, sender: ContactSender) -> None:
        self._sender = sender
        self._client = sender.client
        self._keeper = sender.keeper

    def update(self, change: PlannedChange) -> Outcome:
        """One PUT with the changed fields of all facets. Raises ApiError, ConsentNotHonoured."""
        if not self._is_still_its(change):
            return Skipped(_NO_LONGER)
        if not change.writes:
            return Applied()  # its tags alone change
        return self._write(change)

    def adopt(self, change: PlannedChange) -> Outcome:
        """Take over a contact of somebody else's: read by id, filled where it is empty, closed where it must be (S14)."""
        if self._keeper.speaks_for(str(change.ghl_id)) not in (None, change.desired.phorest_id):
            return Skipped(_NO_LONGER)
        return self._write(change)

    def retire(self, change: PlannedChange) -> Outcome:
        """Close the contact of a client that was merged into another. Who it is mapped to changes when its tag is on."""
        if not self._is_still_its(change):
            return Skipped(_NO_LONGER)
        outcome = self._write(change) if change.writes else Unchanged()
        if isinstance(outcome, Skipped):
            self._keeper.joined(change)  # its contact is gone: there is nothing to close, and no tag to wait for
        return Applied() if isinstance(outcome, Unchanged) else outcome

    def _is_still_its(self, change: PlannedChange) -> bool:
        """Whether the contact is still the client's: another run may have moved it to another one since the plan was made."""
        ghl_id, household = str(change.ghl_id), change.desired.household
        speaker = self._keeper.speaks_for(ghl_id)
        if speaker is None:
            return self._keeper.may_take_back(ghl_id, household.primary.phorest_id)
        return speaker in (household.primary.phorest_id, household.speaker)

    def _write(self, change: PlannedChange, *, again: bool = True) -> Outcome:
        for _ in range(_TRIES):
            try:
                return self._sent(change, again=again)
            except NotSent:  # a person may have closed meanwhile what this opens: read again
                continue
        return Deferred(_TOO_OLD)

    def _sent(self, change: PlannedChange, *, again: bool) -> Outcome:
        desired, ghl_id = change.desired, str(change.ghl_id)
        settings: Mapping[str, DndSetting] | None = None
        held: Contact | None = None
        still: Callable[[], bool] | None = None
        try:
            if change.read_first:
                held = self._client.contact(ghl_id)
                self._keeper.seen(held, "read")  # a block that stands at an address we replace must outlive it (S9)
                change, settings, instead = self._decided(change, held)
                if instead is not None:
                    return instead
                still = partial(_is_fresh, held) if change.opens else None
            body = update_body(change, settings, self._keeper.field_ids)
            answer = self._sender.put(desired, ghl_id, body, closing=self._closing(change, held), still=still)
        except ApiError as error:
            if error.category is Category.GONE:
                self._keeper.gone(desired, ghl_id, instead=self._sender.holders(desired))
                return Skipped(GONE)
            if again and settings is not None and _PERMANENT in error.vendor_message.lower():
                return self._write(change, again=False)  # a channel became permanent between our read and our write
            if error.category is Category.DUPLICATE:
                self._write_the_rest(change)
            if error.category in (Category.INVALID, Category.DUPLICATE):
                return self._sender.rejected(desired, error)
            raise
        return self._acknowledged(change, answer, held, settings)

    def _write_the_rest(self, change: PlannedChange) -> None:
        """An address that another contact holds keeps nothing else of the client from being written."""
        rest = tuple(diff for diff in change.diffs if diff.name not in (EMAIL.name, PHONE.name))
        if len(rest) < len(change.diffs) and any(diff.facet in VALUE_FACETS for diff in rest):
            self._write(replace(change, diffs=rest))

    def _closing(self, change: PlannedChange, held: Contact | None) -> Mapping[str, DndSetting] | None:
        """What is held with our blocks added and nothing opened: all that is sent again where the rest is refused (S6)."""
        if held is None or held.dnd_settings is None:
            return None
        return consent.tightened(
            consent.together(change.desired.blocked, self._causes_now(change, held)), held.dnd_settings
        )

    def _decided(
        self, change: PlannedChange, held: Contact
    ) -> tuple[PlannedChange, Mapping[str, DndSetting] | None, Outcome | None]:
        """What the read by id leaves of the change, the consent that travels with it, and an outcome in its stead."""
        desired = change.desired
        if change.action is Action.ADOPT and not _still_the_same_person(change, held):
            self._keeper.refused(desired, ADOPTION, ADDRESS_TAKEN, other=held)
            return change, None, Rejected(ADDRESS_TAKEN)
        change = replace(change, diffs=fill_if_empty(change, held))
        if change.action is Action.UPDATE and not change.writes:
            return change, None, Unchanged()
        settings: Mapping[str, DndSetting] | None = None
        if change.touches_consent or change.action is Action.ADOPT:
            if held.dnd_settings is None:
                return change, None, self._sender.consent_unknown(desired, held)
            settings = self._settings(change, held, held.dnd_settings)
        only_consent = all(diff.facet in (Facet.CONSENT, Facet.TAGS) for diff in change.diffs)
        if only_consent and settings == held.dnd_settings and change.action is not Action.ADOPT:
            return change, settings, Unchanged()  # all stands as it should; it was only not known to
        if not self._sender.guarded(held):
            return change, settings, self._unguarded(change, held, settings)
        return change, settings, None

    def _settings(
        self, change: PlannedChange, contact: Contact, held: Mapping[str, DndSetting]
    ) -> Mapping[str, DndSetting]:
        """The consent to send: what is held, our blocks added, and opened what by this moment no cause closes (S7, S10)."""
        blocked = change.desired.blocked
        if change.action is not Action.RETIRE:
            blocked = consent.together(blocked, self._causes_now(change, contact))
        opens = [channel for channel in change.opens if channel not in blocked]
        return consent.opened(opens, consent.tightened(blocked, held))

    def _causes_now(self, change: PlannedChange, contact: Contact) -> dict[Channel, tuple[str, ...]]:
        """What closes the channels now, at the client's addresses and at those that the contact holds.

        Also at one that this very change replaces: GHL may refuse the new one, or drop it without a word (S6).
        """
        return self._keeper.causes_now(change.desired, email=(contact.email or "").lower() or None, phone=contact.phone)

    def _unguarded(self, change: PlannedChange, held: Contact, settings: Mapping[str, DndSetting] | None) -> Outcome:
        """Without the guard tag a contact is only closed, never written to otherwise (S1)."""
        closing = (
            consent.tightened(change.desired.blocked, held.dnd_settings) if held.dnd_settings is not None else None
        )
        if settings is not None and closing is not None and closing != held.dnd_settings:
            answer = self._client.update_contact(held.id, ContactWrite(dnd_settings=closing))
            self._keeper.seen(*self._sender.compared(change.desired, answer, closing))
        self._keeper.refused(change.desired, ADOPTION, _UNGUARDED_REASON, other=held)
        return Rejected(UNGUARDED)

    def _acknowledged(
        self,
        change: PlannedChange,
        answer: Acknowledged,
        held: Contact | None,
        settings: Mapping[str, DndSetting] | None,
    ) -> Outcome:
        """The answer compared and kept; what was opened, or emptied, is read back (S6, S10, S18)."""
        sent = settings or {}
        contact, seen_by = self._sender.compared(change.desired, answer, sent, read_back=change.clears)
        if change.action is Action.RETIRE:
            self._keeper.seen(contact, seen_by)
        else:
            # What was just opened proves nothing about who lifted a block: it is watched first, and kept as read then.
            self._keeper.kept(
                change,
                contact,
                action=change.action.value,
                seen_by="answer" if change.opens else seen_by,
                vendor_date=answer.date,
            )
        before = (held.dnd_settings if held is not None else None) or {}
        opened = [
            channel
            for channel in change.opens
            if channel.value in before and before[channel.value].blocked and not sent[channel.value].blocked
        ]
        if opened:
            self._watch(change, contact.id, opened, sent)
        return Applied()

    def _watch(self, change: PlannedChange, ghl_id: str, opened: list[Channel], sent: Mapping[str, DndSetting]) -> None:
        """Read once more what was just opened: a cause that came up meanwhile, or a block lost with it, is put back (S10)."""
        after = self._client.contact(ghl_id)
        causes = self._causes_now(change, after)
        back = {channel: causes[channel] for channel in opened if channel in causes}
        lost = consent.looser_than_sent(sent, after.dnd_settings or {})
        if not back and not lost:
            self._keeper.seen(after, "read")
            return
        restored = consent.tightened(back, {**(after.dnd_settings or {}), **{name: sent[name] for name in lost}})
        answer = self._sender.put(change.desired, ghl_id, ContactWrite(dnd_settings=restored))
        self._keeper.seen(*self._sender.compared(change.desired, answer, restored))


def _is_fresh(held: Contact) -> bool:
    """Whether a read by id is young enough to open a channel by (safety S10). One of unknown age is not."""
    return held.asked_at is not None and time.monotonic() - held.asked_at <= _FRESH_S


def _still_the_same_person(change: PlannedChange, held: Contact) -> bool:
    """Whether the contact still has the client's name, or a person decided on it, and an address of the client's."""
    client = change.desired.household.primary.client
    alike = normalise.folded_name(held.given_name, held.family_name) == normalise.folded_name(
        client.first_name, client.last_name
    )
    addresses = {address for address in ((held.email or "").lower(), held.phone) if address}
    return (alike or change.decided) and bool(addresses & set(change.desired.addresses))
