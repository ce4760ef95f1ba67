"""What a write of an event proved, kept in one transaction: mapping, mirror, intent, what was told, provenance, work items.

Belongs here: from GHL's answer to our tables. Does not: calling GHL (`writer`), deciding (`planner`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.transactions import in_transaction
from phorest_ghl.db.work_items import WorkItem, open_items, resolve_items
from phorest_ghl.ghl.calendars import Event
from phorest_ghl.sync.events import mirror
from phorest_ghl.sync.events.announce import Told, Visit
from phorest_ghl.sync.events.plan import GONE, STILL_STANDS, EventAction, EventChange, Finding
from phorest_ghl.sync.events.planner import FACET
from phorest_ghl.sync.events.projection import PROJECTION_VERSION, DesiredEvent, value_hash
from phorest_ghl.sync.journal import Change, Intent, IntentState, Ledger, MappingRow

REJECTED, UNKNOWN = "rejected", "unknown outcome"
_NOTHING: Mapping[str, str] = {}
NOT_KEPT = "GHL did not keep a field"


def intent_keys(keyring: Keyring, desired: DesiredEvent) -> list[str]:
    """What an event is looked up by when the answer to its create was lost (S15): contact, calendar, start, title."""
    values = desired.values
    title = value_hash(keyring, "title", desired.title)
    return [desired.contact_id, desired.calendar_id, values["start"], title]


@dataclass(frozen=True)
class EventKeeper:
    """Keeps what writes to one location's calendars prove. Every method is its own transaction, safe to repeat."""

    engine: Engine
    ledger: Ledger
    keyring: Keyring

    def mapping(self, phorest_id: str) -> MappingRow | None:
        """The appointment's mapping as it stands now."""
        return in_transaction(self.engine, lambda c: self.ledger.mappings(c, [phorest_id]).get(phorest_id))

    def open_intent(self, phorest_id: str) -> Intent | None:
        """Its unsettled create, if there is one."""
        return in_transaction(self.engine, lambda c: self.ledger.open_intent(c, [phorest_id]))

    def sending(self, desired: DesiredEvent, at: datetime) -> None:
        """Journal that a create is sent now; `at` is GHL's clock."""

        def keep(connection: Connection) -> None:
            self.ledger.plan_intent(
                connection,
                desired.phorest_id,
                target_kind="event",
                address_keys=intent_keys(self.keyring, desired),
                request_hash=desired.source_hash,
            )
            self.ledger.settle_intent(connection, [desired.phorest_id], "sent", vendor_date=at)

        in_transaction(self.engine, keep)

    def settle_intent(self, phorest_id: str, state: IntentState, *, detail: str | None = None) -> None:
        """Move its open intent on."""
        in_transaction(self.engine, lambda c: self.ledger.settle_intent(c, [phorest_id], state, detail=detail))

    def creator(self) -> dict[str, Any] | None:
        """Who GHL says made the first event of ours that it confirmed: source and user (S15)."""
        return in_transaction(self.engine, self._creator)

    def made_by(self, event: Event) -> None:
        """Our first confirmed event, read back: who GHL says made it."""
        in_transaction(self.engine, lambda c: mirror.store(c, self.ledger.location_id, [event]))

    def strangers(self, events: Collection[Event]) -> list[Event]:
        """Those of the events that are no appointment's of ours."""
        return in_transaction(self.engine, lambda c: [e for e in events if self.ledger.primary_of(c, e.id) is None])

    def rival_intents(self, phorest_id: str, keys: Collection[str]) -> int:
        """Unsettled creates of other appointments for the same contact and start."""
        contact, _, start, *_ = keys

        def ask(connection: Connection) -> int:
            found = self.ledger.open_intents(connection)
            return sum(
                other != phorest_id and list(intent.address_keys[:1]) == [contact] and start in intent.address_keys[2:3]
                for other, intent in found.items()
            )

        return in_transaction(self.engine, ask)

    def kept(
        self,
        change: EventChange,
        event: Event,
        *,
        action: str,
        vendor_date: datetime | None = None,
        proved: bool = False,
    ) -> None:
        """A write that GHL acknowledged, or an event that was `proved` to be ours, whatever it was made with then."""
        in_transaction(self.engine, lambda c: self._kept(c, change, event, action, vendor_date, proved=proved))

    def unfinished_moves(self) -> dict[str, str]:
        """Events that are to be cancelled because another one took their place, by appointment (S3)."""

        def ask(connection: Connection) -> dict[str, str]:
            rows = connection.execute(
                text("""select phorest_id, metadata ->> 'moved_from' as old from entity_mappings
                        where location_id = :location_id and entity_type = :entity_type and removed_at is null
                              and metadata ? 'moved_from'"""),
                {"location_id": self.ledger.location_id, "entity_type": self.ledger.entity_type},
            )
            return {row.phorest_id: row.old for row in rows}

        return in_transaction(self.engine, ask)

    def move_finished(self, phorest_id: str, old: Event | None, old_id: str) -> None:
        """The event that was left is cancelled, or gone."""

        def keep(connection: Connection) -> None:
            if old is None:
                mirror.mark_gone(connection, self.ledger.location_id, old_id)
            else:
                mirror.store(connection, self.ledger.location_id, [old])
            connection.execute(
                text("""update entity_mappings set metadata = metadata - 'moved_from', updated_at = now()
                        where location_id = :location_id and entity_type = :entity_type and phorest_id = :phorest_id
                              and metadata ->> 'moved_from' = :old"""),
                {
                    "location_id": self.ledger.location_id,
                    "entity_type": self.ledger.entity_type,
                    "phorest_id": phorest_id,
                    "old": old_id,
                },
            )
            self.ledger.resolve_findings(connection, STILL_STANDS, [phorest_id])

        in_transaction(self.engine, keep)

    def gone(self, phorest_id: str, ghl_id: str) -> None:
        """A person deleted the event in GHL: a finding, and it is not made again (design §7)."""

        def keep(connection: Connection) -> None:
            mirror.mark_gone(connection, self.ledger.location_id, ghl_id)
            self.ledger.note_finding(connection, GONE, phorest_id=phorest_id, ghl_id=ghl_id, detail={})

        in_transaction(self.engine, keep)

    def waits(self, desired: DesiredEvent, cause: str, reason: str) -> None:
        """The appointment waits for a person, for a change, or for a later run."""
        in_transaction(self.engine, lambda c: open_items(c, [self._item(desired, cause, reason)]))

    def findings(self, found: Collection[Finding]) -> None:
        """Discrepancies of the plan that a person should see."""

        def keep(connection: Connection) -> None:
            for one in found:
                self.ledger.note_finding(
                    connection, one.kind, phorest_id=one.phorest_id, ghl_id=one.ghl_id, detail=dict(one.detail)
                )

        in_transaction(self.engine, keep)

    def remember(self, fingerprints: Mapping[str, str]) -> None:
        """Appointments outside the window whose change of Phorest's shows in nothing that an event holds."""
        rows = [{"phorest_id": key, "fingerprint": value} for key, value in sorted(fingerprints.items())]
        if rows:
            in_transaction(
                self.engine,
                lambda c: c.execute(
                    text("""update entity_mappings m
                            set metadata = coalesce(metadata, '{}') || jsonb_build_object('fingerprint', r.fingerprint)
                            from jsonb_to_recordset(cast(:rows as jsonb)) as r (phorest_id text, fingerprint text)
                            where location_id = :location_id and entity_type = :entity_type
                                  and m.phorest_id = r.phorest_id"""),
                    {
                        "rows": orjson.dumps(rows).decode(),
                        "location_id": self.ledger.location_id,
                        "entity_type": self.ledger.entity_type,
                    },
                ),
            )

    def _creator(self, connection: Connection) -> dict[str, Any] | None:
        return connection.execute(
            text("""select e.created_by from entity_mappings m join ghl_events e
                           on e.location_id = m.location_id and e.ghl_id = m.ghl_id
                    where m.location_id = :location_id and m.entity_type = :entity_type and e.created_by is not null
                    order by m.id limit 1"""),
            {"location_id": self.ledger.location_id, "entity_type": self.ledger.entity_type},
        ).scalar_one_or_none()

    def _kept(
        self,
        connection: Connection,
        change: EventChange,
        event: Event,
        action: str,
        vendor_date: datetime | None,
        *,
        proved: bool,
    ) -> None:
        desired = change.desired
        wanted, ledger = desired.values, self.ledger
        mirror.store(connection, ledger.location_id, [event])
        held = mirror.load_one(connection, ledger.location_id, event.id).values
        sent = {diff.name for diff in change.diffs}
        same = {name for name in sent if held[name] == wanted[name]}
        mapping = ledger.mappings(connection, [desired.phorest_id]).get(desired.phorest_id)
        before: Mapping[str, str] = (
            mapping.acked.get(FACET, _NOTHING) if mapping is not None and mapping.ghl_id == event.id else _NOTHING
        )
        acked = {**before, **{name: value_hash(self.keyring, name, wanted[name]) for name in sorted(same)}}
        ledger.map(
            connection,
            ghl_id=event.id,
            primary=desired.phorest_id,
            secondaries=(),
            acked={FACET: acked},
            source_hash=desired.source_hash,
            projection_version=PROJECTION_VERSION,
        )
        self._note_on_mapping(connection, change)
        ledger.settle_intent(connection, [desired.phorest_id], "confirmed", ghl_id=event.id, vendor_date=vendor_date)
        if change.told is not None:
            self._tell(connection, *change.told)
        lost = set[str]() if proved else sent - same
        ledger.note_changes(
            connection,
            [
                Change(
                    phorest_id=desired.phorest_id,
                    ghl_id=event.id,
                    action=action,
                    facet=FACET,
                    field=diff.name,
                    rule=diff.rule.value,
                    before_hash=None if diff.before is None else value_hash(self.keyring, diff.name, diff.before),
                    after_hash=value_hash(self.keyring, diff.name, diff.after),
                    outcome="not kept" if diff.name in lost else "acknowledged",
                )
                for diff in change.diffs
            ],
        )
        resolve_items(
            connection,
            entity_type=ledger.entity_type,
            phorest_ids=[desired.phorest_id],
            causes=(REJECTED, UNKNOWN),
            location_id=ledger.location_id,
        )
        if lost:
            names = sorted(lost)
            ledger.note_finding(
                connection, NOT_KEPT, phorest_id=desired.phorest_id, ghl_id=event.id, detail={"fields": names}
            )
            reason = f"GHL answered without error but did not keep {', '.join(names)}; not sent again until it changes"
            open_items(connection, [self._item(desired, REJECTED, reason)])

    def _note_on_mapping(self, connection: Connection, change: EventChange) -> None:
        """What the mapping says besides: Phorest's content, the booking of its group, and the event that it replaces."""
        row = change.desired.row
        noted: dict[str, str] = {"fingerprint": row.fingerprint}
        if row.booking_id:
            noted["booking_id"] = row.booking_id
        if change.action is EventAction.MOVE:
            noted["moved_from"] = str(change.ghl_id)
        connection.execute(
            text("""update entity_mappings set metadata = coalesce(metadata, '{}') || cast(:noted as jsonb)
                    where location_id = :location_id and entity_type = :entity_type and phorest_id = :phorest_id"""),
            {
                "noted": orjson.dumps(noted).decode(),
                "location_id": self.ledger.location_id,
                "entity_type": self.ledger.entity_type,
                "phorest_id": row.phorest_id,
            },
        )

    def _tell(self, connection: Connection, visit: Visit, told: Told) -> None:
        connection.execute(
            text("""
                insert into event_announcements (location_id, client_id, branch_id, day, phorest_id, cancelled, told_up_to,
                                                 batch_id)
                values (:location_id, :client_id, :branch_id, :day, :phorest_id, :cancelled, :up_to, :batch_id)
                on conflict (location_id, client_id, branch_id, day) do update set
                    phorest_id = excluded.phorest_id, cancelled = excluded.cancelled, told_up_to = excluded.told_up_to,
                    batch_id = excluded.batch_id, announced_at = now()
            """),
            {
                "location_id": self.ledger.location_id,
                **visit._asdict(),
                "phorest_id": told.phorest_id,
                "cancelled": told.cancelled,
                "up_to": told.up_to,
                "batch_id": self.ledger.batch_id,
            },
        )

    def _item(self, desired: DesiredEvent, cause: str, reason: str) -> WorkItem:
        return WorkItem(
            entity_type=self.ledger.entity_type,
            phorest_id=desired.phorest_id,
            cause=cause,
            reason=reason,
            location_id=self.ledger.location_id,
            source_hash=desired.source_hash,
            detail={},
        )


def load_told(connection: Connection, location_id: str) -> dict[Visit, Told]:
    """What clients were last told of their visits."""
    rows = connection.execute(
        text("""select client_id, branch_id, day, phorest_id, cancelled, told_up_to from event_announcements
                where location_id = :location_id"""),
        {"location_id": location_id},
    )
    return {Visit(*row[:3]): Told(*row[3:]) for row in rows}
