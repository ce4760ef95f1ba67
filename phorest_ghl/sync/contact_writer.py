"""Write one contact: under its lock, journalled before it is sent, its answer compared and kept.

Belongs here: create, update, remap and link of a contact, and what each answer of GHL proves. Does not: the order of
many (`apply`), what should be written (`plan`), our tables (`keeper`).

A create happens once, wherever the process dies: intent planned (committed), intent sent (committed), request, then
mapping, mirror, guard and the confirmed intent in one commit. An intent that is `sent` is never sent again without the
proof that S15 asks for.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from threading import Lock

import structlog

from phorest_ghl.db.transactions import under_lock
from phorest_ghl.ghl.client import GhlClient
from phorest_ghl.ghl.fields import CUSTOM, EMAIL, GUARD_TAG, PHONE, SOURCE, Facet
from phorest_ghl.ghl.models import Acknowledged, Contact, ContactWrite, DndSetting, utc_now
from phorest_ghl.http.answer import member
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.sync import consent, mirror
from phorest_ghl.sync.journal import Intent
from phorest_ghl.sync.keeper import ADOPTION, REJECTED, UNKNOWN, Keeper
from phorest_ghl.sync.lookup import SEARCH_LAG_S, carries_our_id, find_ours, read_contact
from phorest_ghl.sync.mirror import SeenBy
from phorest_ghl.sync.outcomes import Applied, Outcome, Rejected, Skipped, Unchanged
from phorest_ghl.sync.plan import ADDRESS_TAKEN, GONE, Action, PlannedChange
from phorest_ghl.sync.projection import DesiredContact

_log = structlog.get_logger(__name__)

UNGUARDED = "the contact lacks the guard tag"

_CREATE_TRIES = 3
_PERMANENT = "permanent dnd setting"  # what GHL says of a block that only it may lift (facts/ghl-api §10)
_READ_AT_ONCE = 20
"""Creates of a run whose consent is read back when the answer leaves it out (safety S6)."""


class ContactWriter:
    """Writes contacts of one location. Used from several threads.

    `bulk` marks a first load, which stops when the day's quota runs low (S22); `lag_s` is GHL's search lag in seconds.
    """

    def __init__(self, client: GhlClient, keeper: Keeper, *, bulk: bool = False, lag_s: float = SEARCH_LAG_S) -> None:
        self._client = client
        self._keeper = keeper
        self._bulk = bulk
        self._lag_s = lag_s
        self._read_backs = 0
        self._lock = Lock()

    def write(self, change: PlannedChange) -> Outcome:
        """Carry out one change.

        Raises ApiError for what the run has to judge, RecordBusy while another run has the record, and
        ConsentNotHonoured when GHL confirms a channel open that we closed.
        """
        actions = {
            Action.CREATE: self._create,
            Action.UPDATE: self._update,
            Action.REMAP: self._remap,
            Action.LINK: self._link,
        }
        keys = self._lock_keys(change.desired)
        return under_lock(self._keeper.engine, keys, lambda: actions[change.action](change))

    def _create(self, change: PlannedChange) -> Outcome:
        desired = change.desired
        mapping = self._keeper.mapping(desired.phorest_id)
        if mapping is not None and mapping.role == "primary":
            return Unchanged()  # another run made it between this plan and now
        intent = self._keeper.open_intent(desired)
        if intent is not None and intent.state != "planned":
            found = self._look_up(desired, intent)
            if found is not None:
                return self._proved(change, found, "confirmed by look-up")
        self._keeper.plan_intent(desired)
        return self._send_create(change)

    def _look_up(self, desired: DesiredContact, intent: Intent) -> Contact | None:
        """The contact of an unsettled create. Where GHL refuses a second one, its refusal will name it instead (S15).

        It does so only by an address that the first one was sent with: clients change theirs in between.
        """
        _log.info("create_unsettled", phorest_id=desired.phorest_id, state=intent.state, attempts=intent.attempts)
        refuses_by = self._keeper.location.refuses_duplicates_by
        keys = {
            mirror.address_key(self._keeper.keyring, value)
            for name, value in desired.identity.items()
            if name in refuses_by
        }
        return None if keys & set(intent.address_keys) else self._find(desired, sent_at=intent.sent_at)

    def _send_create(self, change: PlannedChange) -> Outcome:
        """Send a create. Only where GHL itself refuses a second one is it sent again after its answer was lost (S15)."""
        desired = change.desired
        write = self._create_body(desired)
        for left in reversed(range(_CREATE_TRIES if self._refuses_second(desired) else 1)):
            self._keeper.settle_intent(desired, "sent")
            try:
                answer = self._client.create_contact(write, bulk=self._bulk)
            except ApiError as error:
                if error.category is Category.DUPLICATE:
                    return self._refused_as_duplicate(change, error)
                if error.category is Category.INVALID:
                    return self._refused_as_invalid(change, error)
                if error.category is not Category.UNKNOWN_OUTCOME:
                    self._keeper.settle_intent(desired, "withdrawn", detail=error.category.value)
                    raise
                self._keeper.settle_intent(desired, "unknown")
                if not left:
                    self._keeper.refused(desired, UNKNOWN, "the answer to a create was lost; the next run looks it up")
                    raise
                continue
            return self._confirmed(change, answer, "create", write.dnd_settings or {})
        raise AssertionError("the last attempt returns or raises")

    def _refused_as_duplicate(self, change: PlannedChange, error: ApiError) -> Outcome:
        """GHL holds the address: on the contact that we made and did not hear of, or on somebody else's (S14, S15)."""
        desired = change.desired
        ghl_id = _duplicate_of(error)
        found = read_contact(self._client, ghl_id) if ghl_id else None
        if found is not None and self._is_ours(found, desired):
            return self._proved(change, found, "confirmed by refusal")
        self._keeper.settle_intent(desired, "refused", ghl_id=ghl_id, detail="duplicate")
        self._keeper.refused(desired, ADOPTION, ADDRESS_TAKEN, other=found)
        return Rejected(ADDRESS_TAKEN)

    def _refused_as_invalid(self, change: PlannedChange, error: ApiError) -> Outcome:
        """A refusal that may have made the contact all the same (facts/ghl-api §3, issue 64): look before believing it."""
        desired = change.desired
        # Where GHL refuses a second contact, its own look-up by address is proof; elsewhere only search can tell, later.
        found = self._find(desired, sent_at=None if self._refuses_second(desired) else utc_now())
        if found is not None:
            self._keeper.finding("created although refused", desired, found.id, status=error.status)
            return self._proved(change, found, "confirmed by look-up")
        self._keeper.settle_intent(desired, "refused", detail=f"invalid {error.status}")
        return self._rejected(desired, error)

    def _proved(self, change: PlannedChange, contact: Contact, action: str) -> Outcome:
        """A contact that was read by id and carries our id: the create happened, perhaps before a newer opt-out."""
        desired = change.desired
        seen_by: SeenBy = "read"
        held = contact.dnd_settings
        if held is not None and consent.to_tighten(desired.blocked, held):
            closed = consent.tightened(desired.blocked, held)
            answer = self._put(desired, contact.id, ContactWrite(dnd_settings=closed))
            contact, seen_by = self._compared(desired, answer, closed)
        self._keeper.kept(change, contact, action=action, seen_by=seen_by, proved=True)
        return Applied()

    def _confirmed(
        self, change: PlannedChange, answer: Acknowledged, action: str, sent: Mapping[str, DndSetting]
    ) -> Outcome:
        """A write's answer: compared, kept (S6)."""
        contact, seen_by = self._compared(change.desired, answer, sent)
        self._keeper.kept(change, contact, action=action, seen_by=seen_by, vendor_date=answer.date)
        return Applied()

    def _compared(
        self, desired: DesiredContact, answer: Acknowledged, sent: Mapping[str, DndSetting]
    ) -> tuple[Contact, SeenBy]:
        """The contact as it now stands, its consent compared per channel sent; read by id where the answer is doubtful."""
        contact = answer.contact
        if contact.dnd_settings is None:
            doubtful = bool(sent) and self._may_read_back()
        else:
            doubtful = bool(consent.looser_than_sent(sent, contact.dnd_settings))
        if not doubtful:
            return contact, "answer"
        read = self._client.contact(contact.id)
        self._require_consent(desired, read, sent)
        return read, "read"

    def _update(self, change: PlannedChange, *, again: bool = True) -> Outcome:
        """One PUT with the changed fields. Consent is read, merged and sent with any address, or alone (S6)."""
        desired, ghl_id = change.desired, str(change.ghl_id)
        settings: dict[str, DndSetting] | None = None
        try:
            if change.read_first:
                held = self._client.contact(ghl_id)
                self._keeper.seen(held, "read")  # a block that stands at an address we replace must outlive it (S9)
                if change.touches_consent:
                    if held.dnd_settings is None:
                        return self._consent_unknown(desired, held)
                    settings = consent.tightened(desired.blocked, held.dnd_settings)
                instead = self._instead_of_update(change, held, settings)
                if instead is not None:
                    return instead
            answer = self._put(desired, ghl_id, self._update_body(change, settings))
        except ApiError as error:
            if error.category is Category.GONE:
                self._keeper.gone(desired, ghl_id)
                return Skipped(GONE)
            if again and settings is not None and _PERMANENT in error.vendor_message.lower():
                return self._update(change, again=False)  # a channel became permanent between our read and our write
            if error.category in (Category.INVALID, Category.DUPLICATE):
                return self._rejected(desired, error)
            raise
        return self._confirmed(change, answer, "update", settings or {})

    def _instead_of_update(
        self, change: PlannedChange, held: Contact, settings: dict[str, DndSetting] | None
    ) -> Outcome | None:
        """What a read by id makes of an update; None to send it. Without the guard tag only channels are closed (S1)."""
        only_consent = all(diff.facet is Facet.CONSENT for diff in change.diffs)
        if only_consent and settings == held.dnd_settings:
            return Unchanged()  # all is closed that should be; it was only not known to be
        if only_consent or GUARD_TAG in held.tags or self._keeper.location.mode != "quiet":
            return None
        if settings is not None and settings != held.dnd_settings:
            answer = self._client.update_contact(held.id, ContactWrite(dnd_settings=settings))
            self._keeper.seen(*self._compared(change.desired, answer, settings))
        reason = (
            "the contact no longer carries the guard tag, so until go-live only channels are closed on it; add the tag"
        )
        self._keeper.refused(change.desired, ADOPTION, reason)
        return Rejected(UNGUARDED)

    def _put(self, desired: DesiredContact, ghl_id: str, write: ContactWrite) -> Acknowledged:
        """Send an update; if a mixed one is refused, its tightening is sent again alone, at once (S6)."""
        try:
            return self._client.update_contact(ghl_id, write)
        except ApiError as error:
            alone = ContactWrite(dnd_settings=write.dnd_settings)
            if write.dnd_settings and write != alone and error.category in (Category.INVALID, Category.DUPLICATE):
                answer = self._client.update_contact(ghl_id, alone)
                self._keeper.seen(*self._compared(desired, answer, write.dnd_settings))
            raise

    def _remap(self, change: PlannedChange) -> Outcome:
        """Take a contact up again that carries our id; read by id first, for the mirror may be old."""
        found = read_contact(self._client, str(change.ghl_id))
        if found is None or not self._is_ours(found, change.desired):
            return Skipped("the contact no longer carries this client's Phorest id")
        if GUARD_TAG not in found.tags:
            # Written to while the location is quiet, it would set off workflows that the tag holds back (S1).
            reason = (
                "the contact carries this client's Phorest id but not the guard tag; add the tag in GHL to take it up"
            )
            self._keeper.refused(change.desired, ADOPTION, reason, other=found)
            return Rejected(UNGUARDED)
        return self._proved(change, found, "remap")

    def _link(self, change: PlannedChange) -> Outcome:
        self._keeper.linked(change)
        return Applied()

    def _consent_unknown(self, desired: DesiredContact, held: Contact) -> Outcome:
        """The object is replaced as a whole, so writing it unseen could open what somebody closed (S10)."""
        reason = (
            "GHL does not say which channels of this contact are closed, so nothing that touches consent is written"
        )
        self._keeper.refused(desired, REJECTED, reason, other=held)
        return Rejected("consent in GHL is unknown")

    def _rejected(self, desired: DesiredContact, error: ApiError) -> Outcome:
        reason = f"GHL refused the content ({error.status}, {error.category.value})"
        self._keeper.refused(desired, REJECTED, reason)
        return Rejected(reason)

    def _require_consent(self, desired: DesiredContact, read: Contact, sent: Mapping[str, DndSetting]) -> None:
        """Raise ConsentNotHonoured if a read by id shows a channel open that we closed, or none at all."""
        open_channels = consent.looser_than_sent(sent, read.dnd_settings or {})
        if open_channels:
            raise consent.ConsentNotHonoured(
                f"GHL holds contact {read.id} (Phorest client {desired.phorest_id}) with {', '.join(open_channels)} open, "
                "although we closed it. Nothing more is written. Close the channel by hand in GHL, and ask its support "
                "why dndSettings was ignored before the next run."
            )

    def _may_read_back(self) -> bool:
        with self._lock:
            self._read_backs += 1
            return self._read_backs <= _READ_AT_ONCE

    def _create_body(self, desired: DesiredContact) -> ContactWrite:
        """A create carries its consent, and the guard tag: the location is quiet until go-live (S1, S6)."""
        return ContactWrite(
            identity=desired.identity,
            source=SOURCE,
            dnd_settings=consent.settings(desired.blocked),
            custom_fields={self._keeper.field_ids[spec.name]: desired.custom[spec.name] for spec in CUSTOM},
            tags=(GUARD_TAG,),
        )

    def _update_body(self, change: PlannedChange, settings: dict[str, DndSetting] | None) -> ContactWrite:
        names = {diff.name for diff in change.diffs if diff.facet is not Facet.CONSENT}
        # An address never travels without its consent (S6).
        assert settings is not None or not names & {EMAIL.name, PHONE.name}
        return ContactWrite(
            identity={name: value for name, value in change.desired.identity.items() if name in names},
            dnd_settings=settings,
            custom_fields={
                self._keeper.field_ids[spec.name]: change.desired.custom[spec.name]
                for spec in CUSTOM
                if spec.name in names
            },
        )

    def _find(self, desired: DesiredContact, sent_at: datetime | None = None) -> Contact | None:
        return find_ours(
            self._client,
            email=desired.identity.get(EMAIL.name),
            phone=desired.identity.get(PHONE.name),
            phorest_ids=desired.member_ids,
            field_ids=self._keeper.field_ids,
            sent_at=sent_at,
            lag_s=self._lag_s,
        )

    def _is_ours(self, contact: Contact, desired: DesiredContact) -> bool:
        """Whether it carries a member's id, and is no other client's: a person can copy an id from contact to contact."""
        ours = carries_our_id(contact, self._keeper.field_ids, desired.member_ids)
        return ours and self._keeper.speaks_for(contact.id) in (None, desired.phorest_id)

    def _refuses_second(self, desired: DesiredContact) -> bool:
        return bool(self._keeper.location.refuses_duplicates_by & set(desired.identity))

    def _lock_keys(self, desired: DesiredContact) -> Collection[str]:
        """The record, its members and its addresses: creates that share an address are serialised (S15)."""
        addresses = [mirror.address_key(self._keeper.keyring, address) for address in desired.addresses]
        return [f"{self._keeper.location.location_id} {key}" for key in (*desired.member_ids, *addresses)]


def _duplicate_of(error: ApiError) -> str | None:
    """The id of the contact that a refused create names (facts/ghl-api §6)."""
    found = member(member(error.body, "meta"), "contactId")
    return found if isinstance(found, str) else None
