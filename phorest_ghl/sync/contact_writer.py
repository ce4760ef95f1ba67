"""Write one contact: under its lock, journalled before it is sent, its answer compared and kept.

Belongs here: create, remap and link of a contact, and what each answer of GHL proves. Does not: writing to one that is
there (`contact_updater`), the order of many (`apply`), what should be written (`plan`), our tables (`keeper`).

A create happens once, wherever the process dies: intent planned (committed), intent sent (committed), request, then
mapping, mirror, guard and the confirmed intent in one commit. An intent that is `sent` is never sent again without the
proof that S15 asks for.
"""

from collections.abc import Collection
from datetime import datetime

import structlog

from phorest_ghl.db.transactions import under_lock
from phorest_ghl.ghl.client import GhlClient
from phorest_ghl.ghl.fields import EMAIL, PHONE
from phorest_ghl.ghl.models import Contact, ContactWrite, utc_now
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.sync import consent, mirror
from phorest_ghl.sync.contact_bodies import create_body
from phorest_ghl.sync.contact_sender import ContactSender
from phorest_ghl.sync.contact_updater import UNGUARDED, ContactUpdater
from phorest_ghl.sync.guard import Guarded, guard
from phorest_ghl.sync.journal import Intent
from phorest_ghl.sync.keeper import ADOPTION, UNKNOWN, Keeper
from phorest_ghl.sync.lookup import SEARCH_LAG_S, find_ours, read_contact
from phorest_ghl.sync.mirror import SeenBy
from phorest_ghl.sync.outcomes import Applied, Outcome, Rejected, Skipped, Unchanged
from phorest_ghl.sync.plan import ADDRESS_TAKEN, Action, PlannedChange
from phorest_ghl.sync.projection import DesiredContact
from phorest_ghl.sync.refusals import holder_of
from phorest_ghl.sync.tags import Answers, TagChange, send_tags

_log = structlog.get_logger(__name__)

_CREATE_TRIES = 3
_UNGUARDED_REASON = (
    "GHL did not put the guard tag on the contact that carries this client's Phorest id; add the tag in GHL"
)


class ContactWriter:
    """Writes contacts of one location. Used from several threads.

    `bulk` marks a first load, which stops when the day's quota runs low (S22); `lag_s` is GHL's search lag in seconds.
    """

    def __init__(self, client: GhlClient, keeper: Keeper, *, bulk: bool = False, lag_s: float = SEARCH_LAG_S) -> None:
        self._client = client
        self._keeper = keeper
        self._bulk = bulk
        self._lag_s = lag_s
        self._sender = ContactSender(client, keeper)
        self._updater = ContactUpdater(self._sender)

    def write(self, change: PlannedChange) -> Outcome:
        """Carry out one change, its tags apart.

        Raises ApiError for what the run has to judge, RecordBusy while another run has the record, and
        ConsentNotHonoured when GHL confirms a channel open that we closed.
        """
        actions = {
            Action.CREATE: self._create,
            Action.UPDATE: self._updater.update,
            Action.ADOPT: self._updater.adopt,
            Action.RETIRE: self._updater.retire,
            Action.REMAP: self._remap,
            Action.LINK: self._link,
        }
        keys = self._sender.lock_keys(change.desired)
        return under_lock(self._keeper.engine, keys, lambda: actions[change.action](change))

    def guard(self, ghl_ids: Collection[str]) -> Guarded:
        """Put the guard tag on present contacts before anything else is written to them (S1). Raises ApiError."""
        ledger = self._keeper.ledger
        return guard(self._keeper.engine, self._client, ledger, ghl_ids, bulk=self._bulk, trusting=False)

    def send_tags(self, changes: Collection[TagChange]) -> Answers:
        """Carry tag changes out, 500 contacts a call; what each call proved is kept before the next. Raises ApiError."""
        return send_tags(self._client, changes, bulk=self._bulk, answered=self._keeper.tagged)

    def finish(self, change: PlannedChange) -> None:
        """What is left to do when a change and its tags are carried out."""
        if change.action is Action.RETIRE:
            self._keeper.joined(change)
        elif change.action is Action.UPDATE and not change.writes:
            self._keeper.linked(change)

    def _create(self, change: PlannedChange) -> Outcome:
        desired = change.desired
        mapping = self._keeper.mapping(desired.phorest_id)
        if mapping is not None and mapping.role == "primary" and mapping.ghl_id != change.replaces:
            return Unchanged()  # another run made it between this plan and now
        if self._keeper.forgotten(desired):
            return Skipped("forgotten since the plan was made")
        intent = self._keeper.open_intent(desired)
        if intent is not None and intent.state != "planned":
            found = self._look_up(desired, intent)
            if found is not None:
                return self._proved(change, found, "confirmed by look-up")
        self._keeper.plan_intent(desired)
        # Sent before and neither found nor refused: whatever becomes of the next attempt, that one may have made a contact.
        unsure = intent.sent_at if intent is not None and intent.state != "planned" else None
        return self._send_create(change, unsure)

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

    def _send_create(self, change: PlannedChange, unsure: datetime | None) -> Outcome:
        """Send a create. Only where GHL itself refuses a second one is it sent again after its answer was lost (S15).

        `unsure` is when an earlier attempt was sent whose answer nobody has; then only proof settles the intent.
        """
        desired = change.desired
        blocked = {**desired.blocked, **self._keeper.causes_now(desired)}
        guarded = change.guarded or self._keeper.location.quiet
        write = create_body(desired, blocked, self._keeper.field_ids, quiet=guarded)
        for left in reversed(range(_CREATE_TRIES if self._refuses_second(desired) else 1)):
            self._keeper.settle_intent(desired, "sent")
            try:
                answer = self._client.create_contact(write, bulk=self._bulk)
            except ApiError as error:
                if error.category is Category.DUPLICATE:
                    return self._refused_as_duplicate(change, error, unsure)
                if error.category is Category.INVALID:
                    return self._refused_as_invalid(change, error)
                if error.category is not Category.UNKNOWN_OUTCOME:
                    state = "withdrawn" if unsure is None else "unknown"
                    self._keeper.settle_intent(desired, state, detail=error.category.value)
                    raise
                self._keeper.settle_intent(desired, "unknown")
                unsure = unsure or utc_now()
                if not left:
                    self._keeper.refused(desired, UNKNOWN, "the answer to a create was lost; the next run looks it up")
                    raise
                continue
            contact, seen_by = self._sender.compared(desired, answer, write.dnd_settings or {})
            self._keeper.kept(change, contact, action="create", seen_by=seen_by, vendor_date=answer.date)
            return Applied()
        raise AssertionError("the last attempt returns or raises")

    def _refused_as_duplicate(self, change: PlannedChange, error: ApiError, unsure: datetime | None) -> Outcome:
        """GHL holds the address: on the contact that we made and did not hear of, or on somebody else's (S14, S15)."""
        desired = change.desired
        ghl_id = holder_of(error)
        found = read_contact(self._client, ghl_id) if ghl_id else None
        if found is not None and self._sender.is_ours(found, desired):
            return self._proved(change, found, "confirmed by refusal")
        if unsure is not None and (made := self._find(desired, sent_at=unsure)) is not None:
            return self._proved(change, made, "confirmed by look-up")
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
        return self._sender.rejected(desired, error)

    def _proved(self, change: PlannedChange, contact: Contact, action: str) -> Outcome:
        """A contact that was read by id and carries our id: the create happened, perhaps before a newer opt-out."""
        desired = change.desired
        seen_by: SeenBy = "read"
        held = contact.dnd_settings
        if held is not None and consent.to_tighten(desired.blocked, held):
            closed = consent.tightened(desired.blocked, held)
            answer = self._sender.put(desired, contact.id, ContactWrite(dnd_settings=closed))
            contact, seen_by = self._sender.compared(desired, answer, closed)
        self._keeper.kept(change, contact, action=action, seen_by=seen_by, proved=True)
        return Applied()

    def _remap(self, change: PlannedChange) -> Outcome:
        """Take a contact up again that carries our id; read by id first, for the mirror may be old."""
        found = read_contact(self._client, str(change.ghl_id))
        if found is None or not self._sender.is_ours(found, change.desired):
            self._keeper.not_there(str(change.ghl_id), found)
            return Skipped("the contact no longer carries this client's Phorest id")
        if not self._sender.guarded(found):
            # Written to while the location is quiet, it would set off workflows that the tag holds back (S1).
            self._keeper.refused(change.desired, ADOPTION, _UNGUARDED_REASON, other=found)
            return Rejected(UNGUARDED)
        return self._proved(change, found, "remap")

    def _link(self, change: PlannedChange) -> Outcome:
        self._keeper.linked(change)
        return Applied()

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

    def _refuses_second(self, desired: DesiredContact) -> bool:
        return bool(self._keeper.location.refuses_duplicates_by & set(desired.identity))
