"""What a write of a staff contact proved, kept in one transaction: mapping, mirror, intent, guard, provenance, work items.

Belongs here: from GHL's answer to our tables. Does not: calling GHL (`writer`), deciding (`planner`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.db.work_items import WorkItem, open_items, resolve_items
from phorest_ghl.ghl.fields import GUARD_TAG, Facet
from phorest_ghl.ghl.models import Contact
from phorest_ghl.sync import mirror
from phorest_ghl.sync.differences import field_hash
from phorest_ghl.sync.edits import note_edits
from phorest_ghl.sync.journal import Change, Intent, IntentState, Ledger
from phorest_ghl.sync.keeper import ADOPTION, CAUSES, NOT_KEPT, REJECTED
from phorest_ghl.sync.mirror import SeenBy
from phorest_ghl.sync.plan import FieldDiff
from phorest_ghl.sync.staff.members import PROJECTION_VERSION
from phorest_ghl.sync.staff.plan import StaffAction, StaffChange, StaffPlan
from phorest_ghl.sync.staff.planner import KINDS
from phorest_ghl.sync.tags import Answers

STAFF_CONTACT = "contact"


@dataclass(frozen=True)
class StaffKeeper:
    """Keeps what writes to the staff's contacts prove. Every method is its own transaction, safe to repeat."""

    engine: Engine
    ledger: Ledger
    clients: Ledger
    keyring: Keyring
    quiet: bool

    def findings(self, plan: StaffPlan) -> None:
        """What a person should see by this plan; what no longer holds of its members, or waits no longer, is resolved."""
        well = [item for item, outcome in plan.settled.items() if outcome.kind in ("unchanged", "skipped")]
        everybody = {*plan.settled, *(item for change in plan.changes for item in change.item_ids)}

        def keep(connection: Connection) -> None:
            for kind in KINDS:
                now = {found.phorest_id for found in plan.findings if found.kind == kind}
                self.ledger.resolve_findings(connection, kind, sorted(everybody - now))
            for found in plan.findings:
                self.ledger.note_finding(
                    connection, found.kind, phorest_id=found.phorest_id, ghl_id=found.ghl_id, detail=dict(found.detail)
                )
            note_edits(connection, self.ledger, plan.edited)
            self._resolve(connection, well, *CAUSES)

        in_transaction(self.engine, keep)

    def on_record(self, change: StaffChange) -> tuple[str | None, Intent | None]:
        """The contact that the member is mapped to by now, and its unsettled create."""

        def ask(connection: Connection) -> tuple[str | None, Intent | None]:
            mapped = self.ledger.mappings(connection, change.item_ids)
            contact = next((row.ghl_id for row in mapped.values()), None)
            return contact, self.ledger.open_intent(connection, change.item_ids)

        return in_transaction(self.engine, ask)

    def holder(self, ghl_id: str) -> str | None:
        """The row of the staff that is primary of a contact, if any."""
        return in_transaction(self.engine, lambda c: self.ledger.primary_of(c, ghl_id))

    def is_a_clients(self, ghl_id: str) -> bool:
        """Whether a client has the contact, or has left it behind."""

        def ask(connection: Connection) -> bool:
            return self.clients.primary_of(connection, ghl_id) is not None or ghl_id in self.clients.former(connection)

        return in_transaction(self.engine, ask)

    def address_keys(self, change: StaffChange) -> list[str]:
        """Keyed hashes of the addresses that its contact holds."""
        member = change.member
        return [mirror.address_key(self.keyring, address) for address in (member.email, member.phone) if address]

    def plan_intent(self, change: StaffChange, earlier: Intent | None) -> None:
        """Journal that a create is about to be sent; one that an earlier run opened is taken over."""
        in_transaction(
            self.engine,
            lambda c: self.ledger.plan_intent(
                c,
                earlier.phorest_id if earlier is not None else change.phorest_id,
                target_kind=STAFF_CONTACT,
                address_keys=self.address_keys(change),
                request_hash=change.member.source_hash(self.keyring),
            ),
        )

    def settle_intent(
        self, change: StaffChange, state: IntentState, *, ghl_id: str | None = None, detail: str | None = None
    ) -> None:
        """Move the member's open intent on."""
        in_transaction(
            self.engine, lambda c: self.ledger.settle_intent(c, change.item_ids, state, ghl_id=ghl_id, detail=detail)
        )

    def seen(self, contact: Contact, seen_by: SeenBy) -> None:
        """A contact as it was read or answered, where nothing else is to be kept."""
        in_transaction(self.engine, lambda c: self._store(c, contact, seen_by))

    def gone(self, ghl_id: str) -> None:
        """GHL says that a contact no longer exists: the next plan finds it so."""
        in_transaction(self.engine, lambda c: mirror.mark_gone(c, self.ledger.location_id, ghl_id))

    def waits(self, change: StaffChange, cause: str, reason: str, *, other: Contact | None = None) -> None:
        """The member waits for a person or for a change; `other` is the contact that stands in the way, as read by id."""
        item = self._item(change, cause, reason, other.id if other else change.ghl_id)

        def keep(connection: Connection) -> None:
            if other is not None:
                self._store(connection, other, "read")
            open_items(connection, [item])

        in_transaction(self.engine, keep)

    def kept(
        self,
        change: StaffChange,
        contact: Contact,
        *,
        seen_by: SeenBy,
        vendor_date: datetime | None = None,
    ) -> None:
        """A write that GHL acknowledged."""

        def keep(connection: Connection) -> None:
            lost = self._kept(connection, change, contact, seen_by, vendor_date)
            if lost:
                self._not_kept(connection, change, contact.id, lost)

        in_transaction(self.engine, keep)

    def proved(self, change: StaffChange, contact: Contact, *, seen_by: SeenBy, adopted: bool) -> None:
        """A contact that was proved to be the member's, whatever it was made with then: the next plan sends what differs."""
        in_transaction(self.engine, lambda c: self._kept(c, change, contact, seen_by, None, adopted=adopted))

    def found(self, change: StaffChange, contact: Contact) -> None:
        """A refused create has made its contact all the same."""
        in_transaction(
            self.engine,
            lambda c: self.ledger.note_finding(
                c, "created although refused", phorest_id=change.phorest_id, ghl_id=contact.id, detail={}
            ),
        )

    def adopted(self, change: StaffChange) -> None:
        """The member has the contact of a client's or of somebody else's: known before the first tag is sent."""

        def keep(connection: Connection) -> None:
            self._map(connection, change, str(change.ghl_id), {}, adopted=True)
            self.ledger.settle_intent(connection, change.item_ids, "withdrawn", detail="the person has a contact")

        in_transaction(self.engine, keep)

    def tagged(self, answers: Answers) -> None:
        """What one bulk call proved: tags that are on contacts now, or off them."""
        confirmed = [change for change, refusal in answers.items() if refusal is None]

        def keep(connection: Connection) -> None:
            for change in confirmed:
                acked = field_hash(self.keyring, "tag", change.tag) if change.add else None
                primary = self.ledger.primary_of(connection, change.ghl_id) or change.phorest_id
                self.ledger.acknowledge(connection, primary, Facet.TAGS.value, {change.tag: acked})
                mirror.note_tag(connection, self.ledger.location_id, [change.ghl_id], change.tag, add=change.add)

        in_transaction(self.engine, keep)

    def done(self, change: StaffChange) -> None:
        """A change and its tags are carried out: provenance of the tags, and nothing waits any more."""

        def keep(connection: Connection) -> None:
            if change.tag_diffs:
                self._note(connection, change, str(change.ghl_id), change.tag_diffs, frozenset())
            if not change.writes or change.action is StaffAction.ADOPT:
                self._resolve(connection, change.item_ids, ADOPTION)

        in_transaction(self.engine, keep)

    def _kept(
        self,
        connection: Connection,
        change: StaffChange,
        contact: Contact,
        seen_by: SeenBy,
        vendor_date: datetime | None,
        *,
        adopted: bool = False,
    ) -> set[str]:
        """All of it; the names of fields that GHL does not hold as they were sent."""
        self._store(connection, contact, seen_by)
        created = change.action is StaffAction.CREATE
        sent = {diff.name for diff in change.diffs if diff.facet is Facet.IDENTITY and not adopted}
        same, lost = self._compare(change, contact, sent)
        acked = self._acked(connection, contact.id)
        acked.setdefault(Facet.IDENTITY.value, {}).update(same)
        if change.action is not StaffAction.UPDATE:
            tags = change.member.tags & set(contact.tags)
            hashes = {tag: field_hash(self.keyring, "tag", tag) for tag in tags}
            acked.setdefault(Facet.TAGS.value, {}).update(hashes)
        self._map(connection, change, contact.id, acked, adopted=adopted)
        self.ledger.settle_intent(connection, change.item_ids, "confirmed", ghl_id=contact.id, vendor_date=vendor_date)
        if self.quiet and (created or GUARD_TAG in contact.tags):
            self.ledger.guard(connection, contact.id)
        written = [diff for diff in change.diffs if created or diff.facet is not Facet.TAGS]
        self._note(connection, change, contact.id, written, lost)
        self._resolve(connection, change.item_ids, *CAUSES)
        self.ledger.resolve_findings(connection, NOT_KEPT, change.item_ids)
        return lost

    def _not_kept(self, connection: Connection, change: StaffChange, ghl_id: str, lost: Collection[str]) -> None:
        detail = {"fields": sorted(lost)}
        self.ledger.note_finding(connection, NOT_KEPT, phorest_id=change.phorest_id, ghl_id=ghl_id, detail=detail)
        names = ", ".join(sorted(lost))
        reason = f"GHL answered without error but did not keep {names}; not sent again until it changes"
        open_items(connection, [self._item(change, REJECTED, reason, ghl_id)])

    def _item(self, change: StaffChange, cause: str, reason: str, ghl_id: str | None) -> WorkItem:
        return WorkItem(
            entity_type=self.ledger.entity_type,
            phorest_id=change.phorest_id,
            cause=cause,
            reason=reason,
            location_id=self.ledger.location_id,
            source_hash=change.member.source_hash(self.keyring),
            detail={"ghl_id": ghl_id} if ghl_id else {},
        )

    def _compare(self, change: StaffChange, contact: Contact, sent: Collection[str]) -> tuple[dict[str, str], set[str]]:
        """Keyed hashes of what GHL holds as it was sent, and the names of what it does not."""
        wanted = change.member.identity
        held = {
            "first_name": contact.given_name,
            "last_name": contact.family_name,
            "email": contact.email,
            "phone": contact.phone,
        }
        same = {name for name in sent if (held[name] or "").casefold() == wanted[name].casefold()}
        return {name: field_hash(self.keyring, name, wanted[name]) for name in sorted(same)}, set(sent) - same

    def _acked(self, connection: Connection, ghl_id: str) -> dict[str, dict[str, str]]:
        primary = self.ledger.primary_of(connection, ghl_id)
        row = self.ledger.mappings(connection, [primary]).get(primary) if primary is not None else None
        return {facet: dict(names) for facet, names in row.acked.items()} if row is not None else {}

    def _map(
        self,
        connection: Connection,
        change: StaffChange,
        ghl_id: str,
        acked: dict[str, dict[str, str]],
        *,
        adopted: bool,
    ) -> None:
        """All rows of the member on one contact; whoever of them speaks for it already goes on to."""
        speaker = self.ledger.primary_of(connection, ghl_id)
        primary = speaker if speaker in change.item_ids else change.phorest_id
        self.ledger.map(
            connection,
            ghl_id=ghl_id,
            primary=str(primary),
            secondaries=[item for item in change.item_ids if item != primary],
            acked=acked or self._acked(connection, ghl_id),
            source_hash=change.member.source_hash(self.keyring),
            projection_version=PROJECTION_VERSION,
            adopted=adopted,
        )

    def _note(
        self,
        connection: Connection,
        change: StaffChange,
        ghl_id: str,
        diffs: Sequence[FieldDiff],
        lost: Collection[str],
    ) -> None:
        self.ledger.note_changes(
            connection,
            [
                Change(
                    phorest_id=change.phorest_id,
                    ghl_id=ghl_id,
                    action=change.action.value,
                    facet=diff.facet.value,
                    field=diff.name,
                    rule=diff.rule.value,
                    before_hash=None if diff.before is None else field_hash(self.keyring, diff.name, diff.before),
                    after_hash=field_hash(self.keyring, diff.name, diff.after),
                    outcome="not kept" if diff.name in lost else "acknowledged",
                )
                for diff in diffs
            ],
        )

    def _store(self, connection: Connection, contact: Contact, seen_by: SeenBy) -> None:
        mirror.store(
            connection,
            self.ledger.location_id,
            [contact],
            seen_by=seen_by,
            keyring=self.keyring,
            batch_id=self.ledger.batch_id,
        )

    def _resolve(self, connection: Connection, phorest_ids: Collection[str], *causes: str) -> None:
        resolve_items(
            connection,
            entity_type=self.ledger.entity_type,
            phorest_ids=phorest_ids,
            causes=causes,
            location_id=self.ledger.location_id,
        )
