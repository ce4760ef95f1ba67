"""The causes that close channels, on record by address: what adds one, and what alone takes it away (safety S7, S9).

Belongs here: the step from one look at Phorest to the next, its SQL. Does not: what causes mean for a contact (`consent`).

A cause goes only by its own reversal. For a refusal that is an opt-in we observed: the same client, at the same address,
with flags that refused when we last looked and agree now. A ban ends with the ban, a deletion with the restore, a block of
GHL's when a read by id shows that somebody there lifted it (`mirror`). Flags that came true together with another address,
or too many at once, wait for a person.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import orjson
from sqlalchemy import Connection, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.db.work_items import WorkItem, open_items, resolve_items
from phorest_ghl.sync import consent
from phorest_ghl.sync.consent import BY_PHONE, Channel, OnRecord, Policy
from phorest_ghl.sync.identity import Person, winners
from phorest_ghl.sync.source import ClientRow

BULK_LIMIT = 50
"""Opt-ins of one run above which none is believed until a person has looked: an import of flags, not people (S7)."""
OPT_IN = "opt-in"
"""The cause of work items for opt-ins that wait for a person."""
NOT_OBSERVED = "it consents now, but not at an address at which it was seen to refuse before; accept it if you know why"
TOO_MANY = "too many clients opted in since the last run; accept them if somebody really asked them all"

_KINDS = ((Channel.EMAIL, True), (Channel.SMS, False))


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause on record. `source_id` is the Phorest client, or for `GHL` the contact. `channel` SMS stands for all by phone."""

    address_key: str
    channel: Channel
    cause: str
    source_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A client's flags and keyed addresses as the last run saw them."""

    phorest_id: str
    email_key: str | None
    phone_key: str | None
    email_marketing: bool | None
    email_reminder: bool | None
    sms_marketing: bool | None
    sms_reminder: bool | None

    def refused(self, *, by_email: bool, policy: Policy) -> bool:
        """Whether the flags of then close the channel by the policy of now."""
        marketing, reminder = (
            (self.email_marketing, self.email_reminder) if by_email else (self.sms_marketing, self.sms_reminder)
        )
        return marketing is not True and (policy == "strict" or reminder is not True)


@dataclass(frozen=True)
class Record:
    """What is on record for a location: active causes, and the last look at each client."""

    causes: frozenset[Cause]
    observed: Mapping[str, Observation] = field(default_factory=dict[str, Observation])


@dataclass(frozen=True)
class Step:
    """What one look at Phorest does to the record. `on_record` is the record afterwards, by plain address."""

    add: tuple[Cause, ...]
    lift: tuple[Cause, ...]
    opted_in: tuple[Cause, ...]
    observe: tuple[Observation, ...]
    waiting: Mapping[str, str]
    used: frozenset[str]
    on_record: OnRecord = field(repr=False, default=MappingProxyType({}))

    @property
    def empty(self) -> bool:
        """Whether nothing is to be written."""
        return not (self.add or self.lift or self.observe or self.used)


def step(
    found: Sequence[Person],
    record: Record,
    keyring: Keyring,
    *,
    policy: Policy,
    accepted: Collection[str] = (),
    bulk_limit: int = BULK_LIMIT,
) -> Step:
    """The step from the record to what the clients show now. Pure.

    `accepted` are clients whose opt-in a person has accepted: for them no observation is asked for.
    """
    into = winners(person.client for person in found)
    at = _At(record.causes, into)
    keys = _Keys(keyring)
    add: set[Cause] = set()
    lift: set[Cause] = set()
    opted_in: dict[str, set[Cause]] = defaultdict(set)
    waiting: dict[str, str] = {}
    used: set[str] = set()
    observe: dict[str, Observation] = {}
    for person in found:
        client, before = person.client, record.observed.get(person.phorest_id)
        now = _observed(person, keys)
        if now != before:
            observe[person.phorest_id] = now
        lift |= {c for c in at.of(client.phorest_id) if _ended(c, client)}
        for channel, by_email in _KINDS:
            key = now.email_key if by_email else now.phone_key
            if key is None:
                continue
            add |= {
                Cause(key, channel, cause, client.phorest_id)
                for cause in consent.causes(client, by_email=by_email, policy=policy)
            }
            if consent.refuses(client, by_email=by_email, policy=policy):
                continue
            same = before is not None and (before.email_key if by_email else before.phone_key) == key
            refusals = at.refusals(key, channel, client.phorest_id)
            own = at.own_refusals(channel, client.phorest_id)
            if client.phorest_id in accepted:
                lift |= refusals | own
                used |= {client.phorest_id} if refusals or own else set()
            elif before is not None and same and before.refused(by_email=by_email, policy=policy):
                opted_in[client.phorest_id] |= refusals | own
            elif refusals or (own and not same):
                # Whoever refused at an old address has not agreed by getting a new one.
                add.add(Cause(key, channel, consent.NO_CONSENT, client.phorest_id))
                waiting[client.phorest_id] = NOT_OBSERVED
    believed = {key: causes for key, causes in opted_in.items() if causes}
    if len(believed) > bulk_limit:
        waiting |= dict.fromkeys(believed, TOO_MANY)
        for phorest_id in believed:  # looked at again as if for the first time, or the evidence would be gone
            observe.pop(phorest_id, None)
        believed = {}
    evidence = {cause for causes in believed.values() for cause in causes}
    lift |= evidence
    add -= record.causes
    active = (record.causes - lift) | add
    return Step(
        add=_sorted(add),
        lift=_sorted(lift),
        opted_in=_sorted(evidence),
        observe=tuple(observe.values()),
        waiting=waiting,
        used=frozenset(used),
        on_record=by_address(active, found, keyring, keys),
    )


def by_address(
    active: Iterable[Cause], found: Iterable[Person], keyring: Keyring, keys: "_Keys | None" = None
) -> dict[tuple[str, Channel], frozenset[str]]:
    """Causes by plain address, for the addresses that these people have."""
    keys = keys or _Keys(keyring)
    grouped: dict[str, set[tuple[Channel, str]]] = defaultdict(set)
    for cause in active:
        channels = BY_PHONE if cause.channel is Channel.SMS and cause.cause != consent.GHL else (cause.channel,)
        grouped[cause.address_key] |= {(channel, cause.cause) for channel in channels}
    result: dict[tuple[str, Channel], set[str]] = defaultdict(set)
    for person in found:
        for address in (_address(person, by_email=True), _address(person, by_email=False)):
            for channel, cause in grouped.get(keys[address], ()) if address else ():
                result[address, channel].add(cause)
    return {key: frozenset(causes) for key, causes in result.items()}


def load(connection: Connection, location_id: str) -> Record:
    """What is on record for a location."""
    causes = connection.execute(
        text("""select address_key, channel, cause, coalesce(source_id, '') from suppressions
                where location_id = :location_id and lifted_at is null"""),
        {"location_id": location_id},
    )
    observed = connection.execute(
        text("""select phorest_id, email_key, phone_key, email_marketing, email_reminder, sms_marketing, sms_reminder
                from consent_observations where location_id = :location_id"""),
        {"location_id": location_id},
    ).mappings()
    return Record(
        frozenset(Cause(key, Channel(channel), cause, source) for key, channel, cause, source in causes),
        {row["phorest_id"]: Observation(**row) for row in observed},
    )


def active_at(connection: Connection, location_id: str, address_keys: Collection[str]) -> frozenset[Cause]:
    """The causes on record at these addresses, as they stand now."""
    rows = connection.execute(
        text("""select address_key, channel, cause, coalesce(source_id, '') from suppressions
                where location_id = :location_id and lifted_at is null and address_key = any(:keys)"""),
        {"location_id": location_id, "keys": list(address_keys)},
    )
    return frozenset(Cause(key, Channel(channel), cause, source) for key, channel, cause, source in rows)


def keep(connection: Connection, location_id: str, step: Step, *, entity_type: str, batch_id: str) -> None:
    """Write a step down. Safe to repeat."""
    key = {"location_id": location_id, "batch_id": batch_id}
    if step.add:
        connection.execute(
            text("""insert into suppressions (location_id, address_key, channel, cause, source_id, batch_id)
                    select :location_id, address_key, channel, cause, source_id, :batch_id
                    from jsonb_to_recordset(cast(:causes as jsonb))
                         as c (address_key text, channel text, cause text, source_id text)
                    on conflict do nothing"""),
            {**key, "causes": _json(step.add)},
        )
    if step.lift:
        connection.execute(
            text("""update suppressions s set lifted_at = now()
                    from jsonb_to_recordset(cast(:causes as jsonb))
                         as c (address_key text, channel text, cause text, source_id text)
                    where s.location_id = :location_id and s.lifted_at is null and s.address_key = c.address_key
                          and s.channel = c.channel and s.cause = c.cause and coalesce(s.source_id, '') = c.source_id"""),
            {**key, "causes": _json(step.lift)},
        )
    if step.opted_in:
        connection.execute(
            text("""insert into consent_events (source, phorest_id, channel, purpose, address_key, before, after, batch_id,
                                                detail)
                    select 'record', source_id, channel, 'marketing', address_key, false, true, :batch_id,
                           '{"same_address": true}'
                    from jsonb_to_recordset(cast(:causes as jsonb))
                         as c (address_key text, channel text, cause text, source_id text)"""),
            {**key, "causes": _json(step.opted_in)},
        )
    if step.observe:
        _observe(connection, location_id, step.observe)
    _keep_waiting(connection, location_id, step.waiting, entity_type)


def _observe(connection: Connection, location_id: str, observations: Sequence[Observation]) -> None:
    rows = [{name: getattr(o, name) for name in Observation.__slots__} for o in observations]
    connection.execute(
        text("""
            insert into consent_observations (location_id, phorest_id, email_key, phone_key, email_marketing,
                                              email_reminder, sms_marketing, sms_reminder)
            select :location_id, o.* from jsonb_to_recordset(cast(:rows as jsonb)) as o (
                phorest_id text, email_key text, phone_key text, email_marketing boolean, email_reminder boolean,
                sms_marketing boolean, sms_reminder boolean)
            on conflict (location_id, phorest_id) do update set
                email_key = excluded.email_key, phone_key = excluded.phone_key,
                email_marketing = excluded.email_marketing, email_reminder = excluded.email_reminder,
                sms_marketing = excluded.sms_marketing, sms_reminder = excluded.sms_reminder, observed_at = now()
        """),
        {"location_id": location_id, "rows": orjson.dumps(rows).decode()},
    )


def _keep_waiting(connection: Connection, location_id: str, waiting: Mapping[str, str], entity_type: str) -> None:
    rows = connection.execute(
        text("""select phorest_id, reason from work_items where location_id = :location_id and entity_type = :entity_type
                       and cause = :cause and state = 'open'"""),
        {"location_id": location_id, "entity_type": entity_type, "cause": OPT_IN},
    )
    known: dict[str, str] = {row.phorest_id: row.reason for row in rows}
    open_items(
        connection,
        [
            WorkItem(entity_type=entity_type, phorest_id=phorest_id, cause=OPT_IN, reason=reason, location_id=location_id)
            for phorest_id, reason in waiting.items()
            if known.get(phorest_id) != reason
        ],
    )
    resolve_items(
        connection,
        entity_type=entity_type,
        phorest_ids=sorted(known.keys() - waiting.keys()),
        causes=[OPT_IN],
        location_id=location_id,
    )


class _At:
    """Active causes, to be found by address and by whose they are."""

    def __init__(self, causes: Iterable[Cause], into: Mapping[str, str]) -> None:
        self._at: dict[tuple[str, Channel], set[Cause]] = defaultdict(set)
        self._of: dict[str, set[Cause]] = defaultdict(set)
        self._into = into
        for cause in causes:
            self._at[cause.address_key, cause.channel].add(cause)
            self._of[cause.source_id].add(cause)

    def of(self, phorest_id: str) -> set[Cause]:
        """All causes of a client."""
        return self._of.get(phorest_id, set())

    def refusals(self, key: str, channel: Channel, phorest_id: str) -> set[Cause]:
        """Refusals at an address by this client, or by a record that was merged into it."""
        return {
            cause
            for cause in self._at.get((key, channel), ())
            if cause.cause == consent.NO_CONSENT and self._into.get(cause.source_id, cause.source_id) == phorest_id
        }

    def own_refusals(self, channel: Channel, phorest_id: str) -> set[Cause]:
        """The client's own refusals on the channel, at whatever address it had then."""
        return {c for c in self.of(phorest_id) if c.cause == consent.NO_CONSENT and c.channel is channel}


class _Keys(dict[str, str]):
    """Keyed hashes of addresses, each made once."""

    def __init__(self, keyring: Keyring) -> None:
        super().__init__()
        self._keyring = keyring

    def __missing__(self, address: str) -> str:
        self[address] = self._keyring.digest("address", address)
        return self[address]


def _address(person: Person, *, by_email: bool) -> str | None:
    """What stands in the record, whether or not it reaches the client (S6, S12)."""
    return (person.email or person.dropped_email) if by_email else (person.phone or person.dropped_phone)


def _observed(person: Person, keys: _Keys) -> Observation:
    client = person.client
    email, phone = _address(person, by_email=True), _address(person, by_email=False)
    return Observation(
        phorest_id=client.phorest_id,
        email_key=keys[email] if email else None,
        phone_key=keys[phone] if phone else None,
        email_marketing=client.email_marketing,
        email_reminder=client.email_reminder,
        sms_marketing=client.sms_marketing,
        sms_reminder=client.sms_reminder,
    )


def _ended(cause: Cause, client: ClientRow) -> bool:
    """Whether a state of the client that closed channels is over."""
    gone = client.deleted and client.merged_to is None
    return (cause.cause == consent.BANNED and not client.banned) or (cause.cause == consent.DELETED and not gone)


def _sorted(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    return tuple(sorted(causes, key=lambda c: (c.source_id, c.channel, c.cause, c.address_key)))


def _json(causes: Iterable[Cause]) -> str:
    rows = [
        {"address_key": c.address_key, "channel": c.channel.value, "cause": c.cause, "source_id": c.source_id}
        for c in causes
    ]
    return orjson.dumps(rows).decode()
