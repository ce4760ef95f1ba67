"""Write one contact of the staff: under its lock, journalled before it is sent, its answer compared and kept.

Belongs here: what each answer of GHL proves. Does not: what should be written (`planner`), tags on contacts that are there
(`road`), our tables (`keeper`).
"""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import structlog

from phorest_ghl.db.transactions import under_lock
from phorest_ghl.ghl.client import GhlClient
from phorest_ghl.ghl.fields import GUARD_TAG, SOURCE, Facet
from phorest_ghl.ghl.models import Acknowledged, Contact, ContactWrite, DndSetting, utc_now
from phorest_ghl.http.answer import member as part_of
from phorest_ghl.http.budget import Lane
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.sync import consent, normalise
from phorest_ghl.sync.consent import ConsentNotHonoured
from phorest_ghl.sync.contact_updater import UNGUARDED
from phorest_ghl.sync.journal import Intent
from phorest_ghl.sync.keeper import ADOPTION, REJECTED, UNKNOWN
from phorest_ghl.sync.lookup import SEARCH_LAG_S, read_contact
from phorest_ghl.sync.mirror import LocationState, SeenBy
from phorest_ghl.sync.outcomes import Applied, Outcome, Rejected, Skipped, Unchanged
from phorest_ghl.sync.plan import GONE
from phorest_ghl.sync.refusals import told
from phorest_ghl.sync.staff.keeper import StaffKeeper
from phorest_ghl.sync.staff.plan import StaffAction, StaffChange
from phorest_ghl.sync.staff.planner import TAKEN

_log = structlog.get_logger(__name__)

_NO_LONGER = "the contact changed since the plan was made"
_UNKNOWN_CONSENT = "GHL does not say which channels of this contact are closed, so nothing is written to it"


class StaffWriter:
    """Writes the staff's contacts of one location, from several threads. `unguarded` must not be written to (S1)."""

    def __init__(
        self,
        client: GhlClient,
        keeper: StaffKeeper,
        location: LocationState,
        *,
        unguarded: Mapping[str, str],
        lag_s: float = SEARCH_LAG_S,
    ) -> None:
        self._client = client
        self._keeper = keeper
        self._location = location
        self._unguarded = unguarded
        self._lag_s = lag_s

    def write(self, change: StaffChange) -> Outcome:
        """Carry out one change, its tags on a present contact apart.

        Raises ApiError for what the run has to judge, RecordBusy while another run has the record, and
        ConsentNotHonoured when GHL confirms that a contact of the staff's can be written to.
        """
        actions = {
            StaffAction.CREATE: self._create,
            StaffAction.LOOK_UP: self._create,
            StaffAction.UPDATE: self._update,
            StaffAction.ADOPT: self._adopt,
            StaffAction.REMAP: self._remap,
        }
        # The addresses as the clients' run locks them: creates that share one are serialised (S15).
        keys = [*(f"staff {item}" for item in change.item_ids), *self._keeper.address_keys(change)]
        keys = [f"{self._location.location_id} {key}" for key in keys]
        return under_lock(self._keeper.engine, keys, lambda: actions[change.action](change))

    # --- creates

    def _create(self, change: StaffChange) -> Outcome:
        mapped, intent = self._keeper.on_record(change)
        if mapped is not None:
            return Unchanged()  # another run made it between this plan and now
        unsure = intent is not None and intent.state != "planned"
        if unsure:
            found = self._look_up(change, intent)
            if found is not None:
                return self._proved(change, found)
        if change.action is StaffAction.LOOK_UP:
            self._keeper.settle_intent(change, "withdrawn", detail="never arrived")
            return change.otherwise or Skipped(change.reason)
        if not self._location.refuses_duplicates_by & set(change.member.identity):
            # GHL would make a second one without a word; where it refuses, its refusal says as much (S15).
            standing = self._holder(change)
            if standing is not None:
                return self._taken(change, standing)
        self._keeper.plan_intent(change, intent)
        return self._send(change, unsure=unsure)

    def _look_up(self, change: StaffChange, intent: Intent | None) -> Contact | None:
        """The contact of an unsettled create, once it can be found."""
        if intent is None or intent.sent_at is None:
            return None
        _log.info("create_unsettled", phorest_id=change.phorest_id, state=intent.state, attempts=intent.attempts)
        return self._find(change, sent_at=intent.sent_at)

    def _send(self, change: StaffChange, *, unsure: bool) -> Outcome:
        """Send a create once. `unsure`: an earlier one was sent whose answer nobody has; only proof settles the intent."""
        tags = (*((GUARD_TAG,) if self._location.quiet else ()), *sorted(change.member.tags))
        write = ContactWrite(
            identity=change.member.identity,
            source=SOURCE,
            dnd=True,
            dnd_settings=consent.staff_settings(),
            tags=tags,
        )
        self._keeper.settle_intent(change, "sent")
        try:
            answer = self._client.create_contact(write, lane=Lane.REST, bulk=True)
        except ApiError as error:
            if error.category is Category.DUPLICATE:
                return self._refused_as_duplicate(change, error)
            if error.category is Category.INVALID:
                return self._refused_as_invalid(change, error)
            if error.category is Category.UNKNOWN_OUTCOME:
                self._keeper.settle_intent(change, "unknown")
                self._keeper.waits(change, UNKNOWN, "the answer to a create was lost; the next run looks it up")
            else:
                self._keeper.settle_intent(change, "unknown" if unsure else "withdrawn", detail=error.category.value)
            raise
        contact, seen_by = self._closed(change, answer)
        self._keeper.kept(change, contact, seen_by=seen_by, vendor_date=answer.date)
        return Applied()

    def _refused_as_duplicate(self, change: StaffChange, error: ApiError) -> Outcome:
        """GHL holds the address: on the contact that we made and did not hear of, or on somebody else's."""
        named = part_of(part_of(error.body, "meta"), "contactId")
        found = read_contact(self._client, named) if isinstance(named, str) else None
        if found is None or not self._is_ours(change, found):
            ours = self._find(change)
            if ours is None:
                self._keeper.settle_intent(change, "refused", detail="duplicate")
                return self._taken(change, found)
            found = ours
        return self._proved(change, found)

    def _refused_as_invalid(self, change: StaffChange, error: ApiError) -> Outcome:
        """A refusal that may have made the contact all the same (facts/ghl-api §3): look before believing it."""
        found = self._find(change, sent_at=utc_now())
        if found is not None:
            self._keeper.found(change, found)
            return self._proved(change, found)
        self._keeper.settle_intent(change, "refused", detail=f"invalid {error.status}")
        return self._rejected(change, error)

    def _taken(self, change: StaffChange, standing: Contact | None) -> Outcome:
        """Somebody has an address of it. Where it is the same person the next plan sees that, by what was read now."""
        self._keeper.waits(change, ADOPTION, TAKEN, other=standing)
        return Rejected(TAKEN)

    def _proved(self, change: StaffChange, contact: Contact) -> Outcome:
        """A contact, read by id, that carries the member's tag: the create happened. Where it is open, it is closed."""
        adopted = self._keeper.is_a_clients(contact.id)
        seen_by: SeenBy = "read"
        if not adopted and not _shut(contact):
            closing = ContactWrite(dnd=True, dnd_settings=consent.staff_settings(contact.dnd_settings))
            contact, seen_by = self._closed(change, self._client.update_contact(contact.id, closing, lane=Lane.REST))
        self._keeper.proved(change, contact, seen_by=seen_by, adopted=adopted)
        return Applied()

    def _holder(self, change: StaffChange) -> Contact | None:
        """A contact that holds an address of it by GHL's own look-up, read by id."""
        for candidate in self._at_addresses(change):
            found = read_contact(self._client, candidate)
            if found is not None:
                return found
        return None

    def _find(self, change: StaffChange, *, sent_at: datetime | None = None) -> Contact | None:
        """The contact that carries a tag of its rows, read by id; with `sent_at` the search's lag is waited out twice."""
        if sent_at is not None:
            time.sleep(max(0.0, 2 * self._lag_s - (datetime.now(UTC) - sent_at).total_seconds()))
        for candidate in dict.fromkeys((*self._at_addresses(change), *self._tagged(change))):
            found = read_contact(self._client, candidate)
            if found is not None and self._is_ours(change, found):
                return found
        return None

    def _at_addresses(self, change: StaffChange) -> Iterator[str]:
        for address in ({"email": change.member.email}, {"phone": change.member.phone}):
            if any(address.values()) and (found := self._client.duplicate(**address)) is not None:
                yield found.id

    def _tagged(self, change: StaffChange) -> Iterator[str]:
        for tag in sorted(change.member.id_tags):
            for page in self._client.search([{"field": "tags", "operator": "eq", "value": tag}], lane=Lane.REST):
                yield from (contact.id for contact in page)

    def _is_ours(self, change: StaffChange, contact: Contact) -> bool:
        """Whether it carries a tag of its rows, and is no other member's: a person can copy a tag."""
        ours = not change.member.id_tags.isdisjoint(contact.tags)
        return ours and self._keeper.holder(contact.id) in (None, *change.item_ids)

    # --- contacts that are there

    def _update(self, change: StaffChange) -> Outcome:
        ghl_id = str(change.ghl_id)
        others = self._keeper.holder(ghl_id) not in change.item_ids
        if others or (change.writes and self._keeper.is_a_clients(ghl_id)):
            return Skipped(_NO_LONGER)
        if ghl_id in self._unguarded:
            return Rejected(UNGUARDED)
        return self._write(change, ghl_id) if change.writes else Applied()  # else its tags alone change

    def _write(self, change: StaffChange, ghl_id: str) -> Outcome:
        held = read_contact(self._client, ghl_id)
        if held is None:
            self._keeper.gone(ghl_id)
            return Skipped(GONE)
        self._keeper.seen(held, "read")
        if held.dnd_settings is None:
            self._keeper.waits(change, REJECTED, _UNKNOWN_CONSENT)
            return Rejected("consent in GHL is unknown")
        return self._put(change, ghl_id, held.dnd_settings)

    def _put(self, change: StaffChange, ghl_id: str, held: Mapping[str, DndSetting]) -> Outcome:
        """The changed values in one call; an address never travels without its consent (S6)."""
        names = {diff.name for diff in change.diffs if diff.facet is Facet.IDENTITY}
        closed = ContactWrite(dnd=True, dnd_settings=consent.staff_settings(held))
        identity = {name: value for name, value in change.member.identity.items() if name in names}
        write = ContactWrite(identity=identity, dnd=True, dnd_settings=closed.dnd_settings)
        try:
            answer = self._client.update_contact(ghl_id, write, lane=Lane.REST)
        except ApiError as error:
            if error.category is Category.GONE:
                self._keeper.gone(ghl_id)
                return Skipped(GONE)
            if error.category not in (Category.INVALID, Category.DUPLICATE):
                raise
            if identity:
                self._keeper.seen(*self._closed(change, self._client.update_contact(ghl_id, closed, lane=Lane.REST)))
            return self._rejected(change, error)
        contact, seen_by = self._closed(change, answer)
        self._keeper.kept(change, contact, seen_by=seen_by, vendor_date=answer.date)
        return Applied()

    def _adopt(self, change: StaffChange) -> Outcome:
        """The contact of a client's, or one of the same name at an address of the member's: it gets tags and no more."""
        ghl_id = str(change.ghl_id)
        mapped, _ = self._keeper.on_record(change)
        if mapped is not None or self._keeper.holder(ghl_id) not in (None, *change.item_ids):
            return Skipped(_NO_LONGER)
        if ghl_id in self._unguarded:
            return Rejected(UNGUARDED)
        if not change.client:
            held = read_contact(self._client, ghl_id)
            if held is None:
                self._keeper.gone(ghl_id)
                return Skipped(GONE)
            self._keeper.seen(held, "read")
            alike = normalise.folded_name(held.given_name, held.family_name) == change.member.name
            if not alike or change.member.addresses.isdisjoint({(held.email or "").lower(), held.phone}):
                return Skipped(_NO_LONGER)
        self._keeper.adopted(change)
        return Applied()

    def _remap(self, change: StaffChange) -> Outcome:
        """Take a contact up that carries the member's tag; read by id first, for the mirror may be old."""
        found = read_contact(self._client, str(change.ghl_id))
        if found is None or not self._is_ours(change, found):
            if found is None:
                self._keeper.gone(str(change.ghl_id))
            else:
                self._keeper.seen(found, "read")
            return Skipped(_NO_LONGER)
        if change.unsettled:
            return self._proved(change, found)  # ours: the run that made it did not come to its end
        adopted = self._keeper.is_a_clients(found.id) or not _shut(found)
        self._keeper.proved(change, found, seen_by="read", adopted=adopted)
        return Applied()

    def _closed(self, change: StaffChange, answer: Acknowledged) -> tuple[Contact, SeenBy]:
        """The contact as it now stands. Where the answer does not show that nobody can be written to, it is read (S6)."""
        if _shut(answer.contact):
            return answer.contact, "answer"
        read = self._client.contact(answer.contact.id)
        if not _shut(read):
            self._keeper.seen(read, "read")
            raise ConsentNotHonoured(
                f"GHL holds contact {read.id} (Phorest staff {change.phorest_id}) with a channel open, although we closed "
                "all of them. Nothing more is written. Turn on DND for all channels of that contact in GHL, and ask its "
                "support why dnd was ignored before the next run."
            )
        return read, "read"

    def _rejected(self, change: StaffChange, error: ApiError) -> Outcome:
        read = told(error)
        self._keeper.waits(change, REJECTED, read.detail)
        return Rejected(read.reason, read.detail)


def _shut(contact: Contact) -> bool:
    """Whether nothing can be sent to a contact, so far as it was shown; what is not shown is not closed (S10)."""
    held = contact.dnd_settings
    return contact.dnd is True and held is not None and not consent.to_tighten(consent.closed(), held)
