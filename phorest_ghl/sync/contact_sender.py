"""Send one write of a contact, and find out what GHL really did with it.

Belongs here: the PUT with its retry of consent alone, comparing an answer with what was sent, refusals. Does not: which
write it is (`contact_writer`, `contact_updater`), our tables (`keeper`).
"""

from collections.abc import Callable, Collection, Mapping
from threading import Lock

from phorest_ghl.ghl.client import GhlClient
from phorest_ghl.ghl.fields import GUARD_TAG
from phorest_ghl.ghl.models import Acknowledged, Contact, ContactWrite, DndSetting
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.sync import consent, mirror
from phorest_ghl.sync.guard import guard
from phorest_ghl.sync.keeper import REJECTED, Keeper
from phorest_ghl.sync.lookup import carries_our_id, read_contact
from phorest_ghl.sync.mirror import SeenBy
from phorest_ghl.sync.outcomes import Outcome, Rejected
from phorest_ghl.sync.projection import DesiredContact
from phorest_ghl.sync.refusals import holder_of, told

_READ_AT_ONCE = 20
"""Writes of a run whose consent is read back when the answer leaves it out (safety S6)."""


class ContactSender:
    """Writes to one location's contacts. Used from several threads."""

    def __init__(self, client: GhlClient, keeper: Keeper) -> None:
        self.client = client
        self.keeper = keeper
        self._read_backs = 0
        self._proved = False
        self._marks: set[bool] = set()
        self._lock = Lock()

    def put(
        self,
        desired: DesiredContact,
        ghl_id: str,
        write: ContactWrite,
        *,
        closing: Mapping[str, DndSetting] | None = None,
        still: Callable[[], bool] | None = None,
    ) -> Acknowledged:
        """Send an update; if a mixed one is refused, its tightening is sent again alone, at once (S6).

        `closing` is that tightening, without what the update would have opened. An update that opens a channel is never
        repeated blindly: by the time of the second one a person may have closed it (S10). `still` is asked right before the
        update is sent; NotSent is raised where it says no.
        """
        opens = closing is not None and write.dnd_settings is not None and closing != write.dnd_settings
        try:
            return self.client.update_contact(ghl_id, write, repeatable=not opens, still=still)
        except ApiError as error:
            alone = ContactWrite(dnd_settings=closing or write.dnd_settings)
            if write.dnd_settings and write != alone and error.category in (Category.INVALID, Category.DUPLICATE):
                answer = self.client.update_contact(ghl_id, alone)
                self.keeper.seen(*self.compared(desired, answer, alone.dnd_settings or {}))
            raise

    def compared(
        self,
        desired: DesiredContact,
        answer: Acknowledged,
        sent: Mapping[str, DndSetting],
        *,
        read_back: bool = False,
    ) -> tuple[Contact, SeenBy]:
        """The contact as it now stands, its consent compared per channel sent.

        Read by id where the answer is doubtful, where `read_back` asks for it, and once after the first write that a
        location ever acknowledges: only then is it known that its answers tell what it keeps (S18). Raises
        ConsentNotHonoured.
        """
        read_back = self._is_first() or read_back
        contact = answer.contact
        if contact.dnd_settings is None:
            doubtful = bool(sent) and self._may_read_back()
        else:
            doubtful = bool(consent.looser_than_sent(sent, contact.dnd_settings))
        if not doubtful and not read_back:
            self._note_mark(sent, contact)
            return contact, "answer"
        read = self.client.contact(contact.id)
        if doubtful:
            self.require_consent(desired, read, sent)
        self._note_mark(sent, read)
        return read, "read"

    def require_consent(self, desired: DesiredContact, read: Contact, sent: Mapping[str, DndSetting]) -> None:
        """Raise ConsentNotHonoured if a read by id shows a channel open that we closed, or none at all."""
        open_channels = consent.looser_than_sent(sent, read.dnd_settings or {})
        if open_channels:
            raise consent.ConsentNotHonoured(
                f"GHL holds contact {read.id} (Phorest client {desired.phorest_id}) with {', '.join(open_channels)} open, "
                "although we closed it. Nothing more is written. Close the channel by hand in GHL, and ask its support "
                "why dndSettings was ignored before the next run."
            )

    def guarded(self, contact: Contact) -> bool:
        """Whether a contact just read carries the guard tag or needs none; while quiet it is put on where it lacks (S1)."""
        if not self.keeper.location.quiet or GUARD_TAG in contact.tags:
            return True
        self.keeper.seen(contact, "read")  # what is on record of its tags is older
        answer = guard(self.keeper.engine, self.client, self.keeper.ledger, [contact.id])
        return contact.id in answer.confirmed

    def is_ours(self, contact: Contact, desired: DesiredContact) -> bool:
        """Whether it carries a member's id, and is no other client's: a person can copy an id from contact to contact."""
        ours = carries_our_id(contact, self.keeper.field_ids, desired.member_ids)
        return ours and self.keeper.speaks_for(contact.id) in (None, desired.phorest_id)

    def consent_unknown(self, desired: DesiredContact, held: Contact) -> Outcome:
        """The object is replaced as a whole, so writing it unseen could open what somebody closed (S10)."""
        reason = (
            "GHL does not say which channels of this contact are closed, so nothing that touches consent is written"
        )
        self.keeper.refused(desired, REJECTED, reason, other=held)
        return Rejected("consent in GHL is unknown")

    def rejected(self, desired: DesiredContact, error: ApiError) -> Outcome:
        """GHL refused the content: the record waits until it changes."""
        holder = holder_of(error)
        read = told(error, ours=holder is not None and self.keeper.speaks_for(holder) is not None)
        self.keeper.refused(desired, REJECTED, read.detail)
        return Rejected(read.reason, read.detail)

    def holders(self, desired: DesiredContact) -> list[Contact]:
        """The contacts that hold its addresses now, by GHL's own look-up, read by id: where it merged one, the survivor."""
        found: dict[str, Contact] = {}
        for name in ("email", "phone"):
            address = desired.identity.get(name)
            match = self.client.duplicate(**{name: address}) if address else None
            if (
                match is not None
                and match.id not in found
                and (read := read_contact(self.client, match.id)) is not None
            ):
                found[read.id] = read
        return list(found.values())

    def lock_keys(self, desired: DesiredContact) -> Collection[str]:
        """The record, its members and its addresses: creates that share an address are serialised (S15)."""
        addresses = [mirror.address_key(self.keeper.keyring, address) for address in desired.addresses]
        return [f"{self.keeper.location.location_id} {key}" for key in (*desired.member_ids, *addresses)]

    def _note_mark(self, sent: Mapping[str, DndSetting], shown: Contact) -> None:
        """Once a run each: that the location keeps our mark on a block, and that it does not."""
        kept = consent.keeps_our_mark(sent, shown.dnd_settings)
        if kept is None:
            return
        with self._lock:
            if kept in self._marks:
                return
            self._marks.add(kept)
        self.keeper.marks_kept(kept=kept)

    def _is_first(self) -> bool:
        with self._lock:
            first = not self._proved and not self.keeper.has_written()
            self._proved = True
            return first

    def _may_read_back(self) -> bool:
        with self._lock:
            self._read_backs += 1
            return self._read_backs <= _READ_AT_ONCE
