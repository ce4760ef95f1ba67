"""What a write of a contact proved, kept in one transaction: mapping, mirror, intent, guard, provenance, work items.

Belongs here: from GHL's answer to our tables. Does not: calling GHL (`contact_writer`), deciding (`plan`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.db.work_items import WorkItem, open_items, resolve_items
from phorest_ghl.ghl.fields import CUSTOM, GUARD_TAG, Facet
from phorest_ghl.ghl.models import Contact
from phorest_ghl.sync import mirror
from phorest_ghl.sync.journal import Change, Intent, IntentState, Ledger, MappingRow
from phorest_ghl.sync.mirror import LocationState, SeenBy
from phorest_ghl.sync.plan import Action, FieldDiff, PlannedChange, field_hash
from phorest_ghl.sync.projection import PROJECTION_VERSION, DesiredContact

ADOPTION, REJECTED, GONE, UNKNOWN = "adoption", "rejected", "gone", "unknown outcome"
CAUSES = (ADOPTION, REJECTED, GONE, UNKNOWN)


@dataclass(frozen=True)
class Keeper:
    """Keeps what writes to one location prove. Every method is its own transaction, safe to repeat."""

    engine: Engine
    location: LocationState
    ledger: Ledger
    keyring: Keyring
    field_ids: Mapping[str, str]

    def mapping(self, phorest_id: str) -> MappingRow | None:
        """The record's mapping as it stands now."""
        return in_transaction(self.engine, lambda c: self.ledger.mappings(c, [phorest_id]).get(phorest_id))

    def open_intent(self, desired: DesiredContact) -> Intent | None:
        """The household's unsettled create, if there is one."""
        return in_transaction(self.engine, lambda c: self.ledger.open_intent(c, desired.member_ids))

    def plan_intent(self, desired: DesiredContact) -> None:
        """Journal that a create is about to be sent."""
        keys = [mirror.address_key(self.keyring, address) for address in desired.addresses]
        in_transaction(
            self.engine,
            lambda c: self.ledger.plan_intent(
                c, desired.phorest_id, target_kind="contact", address_keys=keys, request_hash=desired.source_hash
            ),
        )

    def settle_intent(
        self, desired: DesiredContact, state: IntentState, *, ghl_id: str | None = None, detail: str | None = None
    ) -> None:
        """Move the record's open intent on; one that ends, ends for whoever of the household it was opened."""
        ids = (desired.phorest_id,) if state in ("sent", "unknown") else desired.member_ids
        in_transaction(self.engine, lambda c: self.ledger.settle_intent(c, ids, state, ghl_id=ghl_id, detail=detail))

    def kept(
        self,
        change: PlannedChange,
        contact: Contact,
        *,
        action: str,
        seen_by: SeenBy,
        vendor_date: datetime | None = None,
        proved: bool = False,
    ) -> None:
        """A write that GHL acknowledged, or a contact that was `proved` to be ours, whatever it was made with then."""
        in_transaction(
            self.engine, lambda c: self._kept(c, change, contact, action, seen_by, vendor_date, proved=proved)
        )

    def seen(self, contact: Contact, seen_by: SeenBy) -> None:
        """A contact as it was read or answered, where nothing else is to be kept."""
        in_transaction(self.engine, lambda c: self._store(c, contact, seen_by))

    def speaks_for(self, ghl_id: str) -> str | None:
        """The client that is primary of a contact, if any."""
        return in_transaction(self.engine, lambda c: self.ledger.primary_of(c, ghl_id))

    def settled_unwanted(self, phorest_id: str, contact: Contact | None) -> None:
        """The unsettled create of a client who is no longer to be synced: `contact`, or it never came to one.

        Nothing of the contact counts as acknowledged, so whatever its client now asks for is planned.
        """

        def keep(connection: Connection) -> None:
            self._resolve(connection, [phorest_id], UNKNOWN)
            if contact is None:
                self.ledger.settle_intent(connection, [phorest_id], "withdrawn", detail="never arrived")
                return
            self._store(connection, contact, "read")
            self.ledger.map(
                connection,
                ghl_id=contact.id,
                primary=phorest_id,
                secondaries=(),
                acked={},
                source_hash="",
                projection_version=PROJECTION_VERSION,
            )
            self.ledger.settle_intent(connection, [phorest_id], "confirmed", ghl_id=contact.id)
            if GUARD_TAG in contact.tags:
                self.ledger.guard(connection, contact.id)

        in_transaction(self.engine, keep)

    def linked(self, change: PlannedChange) -> None:
        """Further members of a household share its contact."""
        in_transaction(self.engine, lambda c: self._map(c, change, str(change.ghl_id), self._acked(c, change.desired)))

    def gone(self, desired: DesiredContact, ghl_id: str) -> None:
        """GHL says that the contact no longer exists."""

        def keep(connection: Connection) -> None:
            mirror.mark_gone(connection, self.location.location_id, ghl_id)
            self.ledger.note_finding(
                connection, "contact gone from GHL", phorest_id=desired.phorest_id, ghl_id=ghl_id, detail={}
            )
            reason = "the contact is gone from GHL; it is made again only by command"
            open_items(connection, [self._item(desired, GONE, reason, ghl_id)])

        in_transaction(self.engine, keep)

    def refused(self, desired: DesiredContact, cause: str, reason: str, *, other: Contact | None = None) -> None:
        """The record waits for a person or for a change; `other` is the contact that stands in its way, as read by id."""

        def keep(connection: Connection) -> None:
            if other is not None:
                self._store(connection, other, "read")
            open_items(connection, [self._item(desired, cause, reason, other.id if other else None)])

        in_transaction(self.engine, keep)

    def finding(self, kind: str, desired: DesiredContact, ghl_id: str, **detail: object) -> None:
        """A discrepancy that a person should see. `detail` holds ids, statuses and field names only."""
        in_transaction(
            self.engine,
            lambda c: self.ledger.note_finding(c, kind, phorest_id=desired.phorest_id, ghl_id=ghl_id, detail=detail),
        )

    def _kept(
        self,
        connection: Connection,
        change: PlannedChange,
        contact: Contact,
        action: str,
        seen_by: SeenBy,
        vendor_date: datetime | None,
        *,
        proved: bool,
    ) -> None:
        desired = change.desired
        self._store(connection, contact, seen_by)
        acked, lost = self._compare(change, contact)
        if change.action is Action.UPDATE:
            acked = {**self._acked(connection, desired), **acked}
        self._map(connection, change, contact.id, acked)
        self.ledger.settle_intent(
            connection, desired.member_ids, "confirmed", ghl_id=contact.id, vendor_date=vendor_date
        )
        if change.action is Action.CREATE or GUARD_TAG in contact.tags:
            self.ledger.guard(connection, contact.id)
        self.ledger.note_changes(
            connection, [self._provenance(change, diff, contact.id, action, lost) for diff in change.diffs]
        )
        self._resolve(connection, desired.member_ids, *CAUSES)
        if proved:
            return  # what differs was not refused: the next plan sends it
        for name in sorted(lost):
            kind = "GHL did not keep a field"
            self.ledger.note_finding(
                connection, kind, phorest_id=desired.phorest_id, ghl_id=contact.id, detail={"field": name}
            )
        if lost:
            reason = f"GHL answered without error but did not keep {', '.join(sorted(lost))}; not sent again until it changes"
            open_items(connection, [self._item(desired, REJECTED, reason, contact.id)])

    def _resolve(self, connection: Connection, phorest_ids: Sequence[str], *causes: str) -> None:
        resolve_items(
            connection,
            entity_type=self.ledger.entity_type,
            phorest_ids=phorest_ids,
            causes=causes,
            location_id=self.location.location_id,
        )

    def _store(self, connection: Connection, contact: Contact, seen_by: SeenBy) -> None:
        mirror.store(
            connection,
            self.location.location_id,
            [contact],
            seen_by=seen_by,
            keyring=self.keyring,
            batch_id=self.ledger.batch_id,
        )

    def _compare(self, change: PlannedChange, contact: Contact) -> tuple[dict[str, str], set[str]]:
        """Keyed hashes of the identity fields that GHL holds as sent, and the names of those that it does not."""
        desired = change.desired
        wanted = {**desired.identity, **desired.custom}
        sent = {diff.name for diff in change.diffs if diff.facet is Facet.IDENTITY} or set(wanted)
        held = {
            "first_name": contact.given_name,
            "last_name": contact.family_name,
            "email": contact.email,
            "phone": contact.phone,
            **{spec.name: contact.custom_fields.get(self.field_ids[spec.name]) for spec in CUSTOM},
        }
        same = {name for name in sent if str(held.get(name) or "").casefold() == wanted[name].casefold()}
        return {name: field_hash(self.keyring, name, wanted[name]) for name in sorted(same)}, sent - same

    def _map(self, connection: Connection, change: PlannedChange, ghl_id: str, acked: Mapping[str, str]) -> None:
        primary = change.desired.phorest_id
        secondaries: Sequence[str] = [item for item in change.item_ids if item != primary]
        self.ledger.map(
            connection,
            ghl_id=ghl_id,
            primary=primary,
            secondaries=secondaries,
            acked={Facet.IDENTITY.value: acked},
            source_hash=change.desired.source_hash,
            projection_version=PROJECTION_VERSION,
        )

    def _acked(self, connection: Connection, desired: DesiredContact) -> Mapping[str, str]:
        row = self.ledger.mappings(connection, [desired.phorest_id]).get(desired.phorest_id)
        return row.acked.get(Facet.IDENTITY.value, {}) if row is not None else {}

    def _provenance(self, change: PlannedChange, diff: FieldDiff, ghl_id: str, action: str, lost: set[str]) -> Change:
        return Change(
            phorest_id=change.desired.phorest_id,
            ghl_id=ghl_id,
            action=action,
            facet=diff.facet.value,
            field=diff.name,
            rule=diff.rule.value,
            before_hash=None if diff.before is None else field_hash(self.keyring, diff.name, diff.before),
            after_hash=field_hash(self.keyring, diff.name, diff.after),
            outcome="not kept" if diff.name in lost else "acknowledged",
        )

    def _item(self, desired: DesiredContact, cause: str, reason: str, ghl_id: str | None) -> WorkItem:
        return WorkItem(
            entity_type=self.ledger.entity_type,
            phorest_id=desired.phorest_id,
            cause=cause,
            reason=reason,
            location_id=self.location.location_id,
            source_hash=desired.source_hash,
            detail={"ghl_id": ghl_id} if ghl_id else {},
        )
