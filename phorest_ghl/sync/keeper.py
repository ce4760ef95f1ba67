"""What a write of a contact proved, kept in one transaction: mapping, mirror, intent, guard, provenance, work items.

Belongs here: from GHL's answer to our tables. Does not: calling GHL (`contact_writer`), deciding (`plan`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Engine

from phorest_ghl.db.forgotten import forgotten_of
from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.db.work_items import WorkItem, open_items, resolve_items
from phorest_ghl.ghl import fields
from phorest_ghl.ghl.fields import FACET_OF, GUARD_TAG, VALUE_FACETS, Facet
from phorest_ghl.ghl.models import Contact
from phorest_ghl.sync import consent, consent_ledger, consent_step, decisions, mirror
from phorest_ghl.sync.consent import Channel
from phorest_ghl.sync.decisions import Kind
from phorest_ghl.sync.differences import field_hash
from phorest_ghl.sync.journal import Change, Intent, IntentState, Ledger, MappingRow
from phorest_ghl.sync.mirror import LocationState, SeenBy
from phorest_ghl.sync.plan import Action, FieldDiff, PlannedChange
from phorest_ghl.sync.projection import PROJECTION_VERSION, DesiredContact
from phorest_ghl.sync.rules import Rules
from phorest_ghl.sync.source import load_clients
from phorest_ghl.sync.tags import Answers

ADOPTION, REJECTED, GONE, UNKNOWN = "adoption", "rejected", "gone", "unknown outcome"
CAUSES = (ADOPTION, REJECTED, GONE, UNKNOWN)
NOT_KEPT, GONE_FINDING = "GHL did not keep a field", "contact gone from GHL"
UNMARKED = "GHL drops the text of our blocks"
"""Kinds of findings."""
_UNMARKED = {
    "effect": "channels that Phorest closed look as if a person had closed them, so only a person opens them again"
}


@dataclass(frozen=True)
class Keeper:
    """Keeps what writes to one location prove. Every method is its own transaction, safe to repeat."""

    engine: Engine
    location: LocationState
    ledger: Ledger
    keyring: Keyring
    field_ids: Mapping[str, str]
    rules: Rules = field(default_factory=Rules)

    def mapping(self, phorest_id: str) -> MappingRow | None:
        """The record's mapping as it stands now."""
        return in_transaction(self.engine, lambda c: self.ledger.mappings(c, [phorest_id]).get(phorest_id))

    def forgotten(self, desired: DesiredContact) -> bool:
        """Whether somebody of the household was forgotten since the plan was made (safety S21)."""
        ids = desired.member_ids
        return bool(in_transaction(self.engine, lambda c: forgotten_of(c, self.keyring, "client", ids)))

    def has_written(self) -> bool:
        """Whether anything that was written to the location is on record."""
        return in_transaction(self.engine, self.ledger.has_mappings)

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

    def not_there(self, ghl_id: str, found: Contact | None) -> None:
        """A contact that the mirror shows otherwise: as it was read now, or gone."""

        def keep(connection: Connection) -> None:
            if found is None:
                mirror.mark_gone(connection, self.location.location_id, ghl_id)
            else:
                self._store(connection, found, "read")

        in_transaction(self.engine, keep)

    def may_take_back(self, ghl_id: str, phorest_id: str) -> bool:
        """Whether the client left this contact behind in a merge that Phorest has undone since."""

        def ask(connection: Connection) -> bool:
            left = self.ledger.former(connection).get(ghl_id) == phorest_id
            return left and all(row.merged_to is None for row in load_clients(connection, [phorest_id]))

        return in_transaction(self.engine, ask)

    def speaks_for(self, ghl_id: str) -> str | None:
        """The client that is primary of a contact, if any."""
        return in_transaction(self.engine, lambda c: self.ledger.primary_of(c, ghl_id))

    def causes_now(
        self, desired: DesiredContact, *, email: str | None = None, phone: str | None = None
    ) -> dict[Channel, tuple[str, ...]]:
        """What closes the contact's channels at this moment, by the imported flags and the causes on record as they are now.

        A create, an address and above all an opening are decided by this, not by a plan that may be minutes old (S9, S10).
        `email` and `phone` are what the contact holds in GHL and keeps, where that is not the client's.
        """
        kept = {address for address in (email, phone) if address}
        household = desired.household
        ids = {person.phorest_id for person in (*household.members, *household.kin)}

        def ask(connection: Connection) -> dict[Channel, tuple[str, ...]]:
            now = {row.phorest_id: row for row in load_clients(connection, sorted(ids))}
            fresh = household.with_clients(now)
            addresses = consent_step.addresses_of([fresh.primary, *fresh.members, *fresh.kin]) | kept
            keys = {mirror.address_key(self.keyring, address) for address in addresses}
            active = consent_ledger.active_at(connection, self.location.location_id, keys)
            on_record = consent_step.by_address(active, addresses, self.keyring)
            return consent.together(
                consent.blocks(fresh, on_record, self.rules.policy), consent.on_record_at(email, phone, on_record)
            )

        return in_transaction(self.engine, ask)

    def tagged(self, answers: Answers) -> None:
        """What one bulk call proved: tags that are on contacts now, or off them."""
        confirmed = [change for change, refusal in answers.items() if refusal is None]

        def keep(connection: Connection) -> None:
            for change in confirmed:
                acked = field_hash(self.keyring, "tag", change.tag) if change.add else None
                self.ledger.acknowledge(connection, change.phorest_id, Facet.TAGS.value, {change.tag: acked})
            for tag, add in {(change.tag, change.add) for change in confirmed}:
                ids = [change.ghl_id for change in confirmed if (change.tag, change.add) == (tag, add)]
                mirror.note_tag(connection, self.location.location_id, ids, tag, add=add)

        in_transaction(self.engine, keep)

    def joined(self, change: PlannedChange) -> None:
        """A merged-away client's contact is closed and tagged: its client is on its winner's contact from now on."""

        def keep(connection: Connection) -> None:
            self.ledger.join(connection, change.desired.phorest_id, leaves=str(change.ghl_id), joins=str(change.joins))
            self._resolve(connection, change.desired.member_ids, *CAUSES)

        in_transaction(self.engine, keep)

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
        ghl_id = str(change.ghl_id)

        def keep(connection: Connection) -> None:
            self._map(connection, change, ghl_id, self._acked(connection, ghl_id))
            self.ledger.take_back(connection, change.desired.member_ids, ghl_id)

        in_transaction(self.engine, keep)

    def gone(self, desired: DesiredContact, ghl_id: str, *, instead: Collection[Contact] = ()) -> None:
        """GHL says that the contact no longer exists. `instead` are those that hold its addresses now, as read by id."""

        def keep(connection: Connection) -> None:
            mirror.mark_gone(connection, self.location.location_id, ghl_id)
            for contact in instead:
                self._store(connection, contact, "read")
            self.ledger.note_finding(connection, GONE_FINDING, phorest_id=desired.phorest_id, ghl_id=ghl_id, detail={})
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

    def marks_kept(self, *, kept: bool) -> None:
        """Whether the location keeps the text of our blocks: a finding about all of it as long as it does not."""

        def keep(connection: Connection) -> None:
            if kept:
                self.ledger.resolve_everywhere(connection, UNMARKED)
            else:
                self.ledger.note_finding(connection, UNMARKED, phorest_id=None, ghl_id=None, detail=_UNMARKED)

        in_transaction(self.engine, keep)

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
        same, lost = self._compare(change, contact)
        acked = self._acked(connection, contact.id)
        acked = _added(acked, same, self._own_tags(change, contact))
        self._map(connection, change, contact.id, acked)
        if change.action is not Action.CREATE:
            self.ledger.take_back(connection, desired.member_ids, contact.id)
        self.ledger.settle_intent(
            connection, desired.member_ids, "confirmed", ghl_id=contact.id, vendor_date=vendor_date
        )
        carries, made = GUARD_TAG in contact.tags, change.action is Action.CREATE
        if (self.location.quiet and (made or carries)) or (made and (change.guarded or carries)):
            self.ledger.guard(connection, contact.id)
        self.ledger.note_changes(
            connection, [self._provenance(change, diff, contact.id, action, lost) for diff in change.diffs]
        )
        # What was refused stays refused while only consent and tags are written, unless the client has changed since.
        whole = change.action is not Action.UPDATE or any(diff.facet in VALUE_FACETS for diff in change.diffs)
        if not whole:
            refused = self.ledger.refused(connection, REJECTED, [desired.phorest_id])
            whole = refused.get(desired.phorest_id) != desired.source_hash
        whole = whole and not change.partial
        self._resolve(connection, desired.member_ids, *(cause for cause in CAUSES if whole or cause != REJECTED))
        self._use_up(connection, change)
        if change.action is Action.UPDATE:
            self.ledger.resolve_findings(connection, NOT_KEPT, [desired.phorest_id], fields=sorted(same))
        elif change.action is not Action.CREATE or change.replaces is not None:
            self.ledger.resolve_findings(connection, GONE_FINDING, desired.member_ids)
        if proved:
            return  # what differs was not refused: the next plan sends it
        if lost:
            detail = {"fields": sorted(lost)}
            self.ledger.note_finding(
                connection, NOT_KEPT, phorest_id=desired.phorest_id, ghl_id=contact.id, detail=detail
            )
            reason = f"GHL answered without error but did not keep {', '.join(sorted(lost))}; not sent again until it changes"
            open_items(connection, [self._item(desired, REJECTED, reason, contact.id)])

    def _use_up(self, connection: Connection, change: PlannedChange) -> None:
        """What a person decided is done with this change."""
        kinds = {Kind.ADOPT} if change.decided else {Kind.RECREATE} if change.replaces is not None else set[Kind]()
        if kinds:
            held = decisions.load(connection, self.location.location_id, self.ledger.entity_type)
            done = [row for row in held.rows if row.kind in kinds and row.phorest_id in change.desired.member_ids]
            decisions.mark_used(connection, done, batch_id=self.ledger.batch_id)

    def _resolve(self, connection: Connection, phorest_ids: Collection[str], *causes: str) -> None:
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
        """Keyed hashes of the fields that GHL holds as they were sent, and the names of those that it does not."""
        desired = change.desired
        wanted = {**desired.identity, **desired.custom}
        everything = set(desired.identity) | set(desired.sent_custom)
        sent = {d.name for d in change.diffs if d.facet in VALUE_FACETS and d.name not in desired.once} or (
            everything if change.action in (Action.CREATE, Action.REMAP) else set[str]()
        )
        held = {
            "first_name": contact.given_name,
            "last_name": contact.family_name,
            **{spec.name: getattr(contact, spec.name) for spec in fields.IDENTITY[2:]},
            **{
                spec.name: fields.canonical(spec, contact.custom_fields.get(self.field_ids[spec.name]))
                for spec in fields.CUSTOM
                if spec.name in self.field_ids
            },
        }
        same = {name for name in sent if str(held.get(name) or "").casefold() == wanted[name].casefold()}
        return {name: field_hash(self.keyring, name, wanted[name]) for name in sorted(same)}, sent - same

    def _own_tags(self, change: PlannedChange, contact: Contact) -> dict[str, str]:
        """The tags that a create brought along, or that stand on a contact of ours whose mapping was lost.

        Those of other changes are acknowledged by their bulk call.
        """
        tags = set[str]()
        if change.action is Action.CREATE:
            tags = change.desired.tags & set(contact.tags)
        elif change.action is Action.REMAP:
            tags = {tag for tag in contact.tags if tag.startswith(fields.TAG_PREFIXES)} - {GUARD_TAG}
        return {tag: field_hash(self.keyring, "tag", tag) for tag in tags}

    def _map(
        self, connection: Connection, change: PlannedChange, ghl_id: str, acked: Mapping[str, Mapping[str, str]]
    ) -> None:
        primary = change.desired.phorest_id
        self.ledger.map(
            connection,
            ghl_id=ghl_id,
            primary=primary,
            secondaries=[item for item in change.mapped_ids if item != primary],
            acked=acked,
            source_hash=None if change.partial else change.desired.source_hash,
            projection_version=PROJECTION_VERSION,
            adopted=change.action is Action.ADOPT,
        )

    def _acked(self, connection: Connection, ghl_id: str) -> Mapping[str, Mapping[str, str]]:
        """What GHL acknowledged of a contact, whoever speaks for it."""
        speaker = self.ledger.primary_of(connection, ghl_id)
        row = self.ledger.mappings(connection, [speaker]).get(speaker) if speaker is not None else None
        return row.acked if row is not None else {}

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


def _added(
    acked: Mapping[str, Mapping[str, str]], values: Mapping[str, str], tags: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """What GHL has acknowledged by now, facet by facet; `values` and `tags` are hashes by name."""
    found = {facet: dict(names) for facet, names in acked.items()}
    for name, value in values.items():
        found.setdefault(FACET_OF[name].value, {})[name] = value
    found.setdefault(Facet.TAGS.value, {}).update(tags)
    return found
