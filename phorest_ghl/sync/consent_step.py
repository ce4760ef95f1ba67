"""What one look at Phorest does to the causes on record: what adds one, and what alone takes it away (safety S7, S9).

Belongs here: the step from one look to the next. Pure. Does not: its SQL (`consent_ledger`), what causes mean for a contact
(`consent`).

A cause goes only by its own reversal. For a refusal that is an opt-in we observed: the same client, at the same address,
with flags that refused when we last looked and agree now; it ends what records merged into that client refused there too. A
ban ends with the ban, a deletion with the restore, a block of GHL's when a read by id shows that somebody there lifted it
(`mirror`). Flags that came true together with another address, or too many at once, wait for a person.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.sync import consent
from phorest_ghl.sync.consent import BY_PHONE, Channel, OnRecord, Policy
from phorest_ghl.sync.identity import Person, winners
from phorest_ghl.sync.source import ClientRow

BULK_LIMIT = 50
"""Opt-ins of one run above which none is believed until a person has looked: an import of flags, not people (S7)."""
NOT_OBSERVED = "it consents now, but not at an address at which it was seen to refuse before; accept it if you know why"
TOO_MANY = "too many clients opted in since the last run; accept them if somebody really asked them all"

_KINDS = ((Channel.EMAIL, True), (Channel.SMS, False))


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause on record. `source_id` is the Phorest client, or for GHL's own the contact.

    A client's cause at `SMS` stands for all channels by phone.
    """

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

    def key(self, *, by_email: bool) -> str | None:
        """The keyed address that the channel's messages went to."""
        return self.email_key if by_email else self.phone_key

    def refused(self, *, by_email: bool, policy: Policy) -> bool:
        """Whether the flags of then close the channel by the policy of now."""
        marketing, reminder = (
            (self.email_marketing, self.email_reminder) if by_email else (self.sms_marketing, self.sms_reminder)
        )
        return marketing is not True and (policy == "strict" or reminder is not True)


@dataclass(frozen=True)
class Record:
    """What is on record for a location: active causes, and the last look at each client.

    `ended` are refusals of records merged away that their winners' opt-ins have ended.
    """

    causes: frozenset[Cause]
    observed: Mapping[str, Observation] = field(default_factory=dict[str, Observation])
    ended: frozenset[Cause] = frozenset()


@dataclass(frozen=True)
class Step:
    """What one look at Phorest does to the record. `on_record` is the record afterwards, by plain address."""

    add: tuple[Cause, ...]
    lift: tuple[Cause, ...]
    opted_in: tuple[Cause, ...]
    observe: tuple[Observation, ...]
    waiting: Mapping[str, str]
    used: frozenset[str]
    on_record: OnRecord = field(repr=False, default_factory=dict[tuple[str, Channel], frozenset[str]])

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
    also: Iterable[str] = (),
) -> Step:
    """The step from the record to what the clients show now.

    `accepted` are clients whose opt-in a person has accepted: for them no observation is asked for. `also` are addresses
    that no client needs to have any more, such as those that contacts hold: what is on record at them is looked up too.
    """
    keys = _Keys(keyring)
    look = _Look(found, record, keys, policy, accepted)
    for person in found:
        look.at(person)
    for person in sorted(found, key=lambda person: person.phorest_id not in look.into):  # records merged away first
        look.agreement(person)
    return look.step({*addresses_of(found), *also}, record, keyring, bulk_limit)


def addresses_of(found: Iterable[Person]) -> set[str]:
    """Every address that stands in these people's records, whether or not it reaches them (S6, S12)."""
    return {
        address
        for person in found
        for address in (_address(person, by_email=True), _address(person, by_email=False))
        if address is not None
    }


def by_address(
    active: Iterable[Cause], addresses: Iterable[str], keyring: Keyring, keys: "_Keys | None" = None
) -> dict[tuple[str, Channel], frozenset[str]]:
    """Causes by plain address, for these addresses."""
    keys = keys or _Keys(keyring)
    grouped: dict[str, set[tuple[Channel, str]]] = defaultdict(set)
    for cause in active:
        by_phone = cause.channel is Channel.SMS and cause.cause not in (consent.GHL, consent.GHL_ALL)
        channels = BY_PHONE if by_phone else (cause.channel,)
        grouped[cause.address_key] |= {(channel, cause.cause) for channel in channels}
    result: dict[tuple[str, Channel], set[str]] = defaultdict(set)
    for address in addresses:
        for channel, cause in grouped.get(keys[address], ()):
            result[address, channel].add(cause)
    return {key: frozenset(causes) for key, causes in result.items()}


class _Look:
    """One look at every client, collected."""

    def __init__(
        self, found: Sequence[Person], record: Record, keys: "_Keys", policy: Policy, accepted: Collection[str]
    ) -> None:
        self._record = record
        self._keys = keys
        self._policy: Policy = policy
        self._accepted = accepted
        self.into = winners(person.client for person in found)
        self._on_record = _At(record.causes, self.into)
        self._add: set[Cause] = set()
        self._lift: set[Cause] = set()
        self._opted_in: dict[str, set[Cause]] = defaultdict(set)
        self._waiting: dict[str, str] = {}
        self._used: set[str] = set()
        self._now: dict[str, Observation] = {}
        self._observe: dict[str, Observation] = {}

    def at(self, person: Person) -> None:
        """What a client shows now that closes channels, and what of it is over."""
        client, before = person.client, self._record.observed.get(person.phorest_id)
        now = self._now[person.phorest_id] = _observed(person, self._keys)
        if now != before:
            self._observe[person.phorest_id] = now
        self._lift |= {cause for cause in self._on_record.of(client.phorest_id) if _ended(cause, client)}
        for channel, by_email in _KINDS:
            if client.phorest_id in self._accepted and consent.refuses(client, by_email=by_email, policy=self._policy):
                self._used.add(client.phorest_id)  # an opt-out since: what was accepted is no leave for the next opt-in
            key = now.key(by_email=by_email)
            if key is None:
                continue
            for cause in consent.causes(client, by_email=by_email, policy=self._policy):
                if cause != consent.NO_CONSENT or self._is_news(client, channel, key, before, by_email=by_email):
                    self._closes(Cause(key, channel, cause, client.phorest_id))

    def agreement(self, person: Person) -> None:
        """What follows where a client's flags leave a channel open. Asked when all clients have been looked at."""
        client, before = person.client, self._record.observed.get(person.phorest_id)
        now = self._now[person.phorest_id]
        for channel, by_email in _KINDS:
            key = now.key(by_email=by_email)
            if key is not None and not consent.refuses(client, by_email=by_email, policy=self._policy):
                self._agrees(client, channel, key, before, by_email=by_email)

    def _closes(self, cause: Cause) -> None:
        if cause not in self._record.causes:
            self._add.add(cause)
            self._on_record.add(cause)

    def _is_news(
        self, client: ClientRow, channel: Channel, key: str, before: Observation | None, *, by_email: bool
    ) -> bool:
        """Whether a refusal goes on record: always, but for one of a record merged away that its winner's opt-in has ended.

        Nobody edits such a record any more, so it shows what it refused for ever.
        """
        if client.phorest_id not in self.into or before is None or before.key(by_email=by_email) != key:
            return True
        if not before.refused(by_email=by_email, policy=self._policy):
            return True
        return Cause(key, channel, consent.NO_CONSENT, client.phorest_id) not in self._record.ended

    def _agrees(
        self, client: ClientRow, channel: Channel, key: str, before: Observation | None, *, by_email: bool
    ) -> None:
        """A client whose flags leave the channel open: what it refused before goes only by what we saw (S7)."""
        last = None if before is None else before.key(by_email=by_email)
        at_address = self._on_record.refusals(key, channel, client.phorest_id)
        carried = self._on_record.own_refusals(channel, client.phorest_id, last) if last != key else set[Cause]()
        if client.phorest_id in self._accepted:
            self._lift |= at_address & self._record.causes
            self._used |= {client.phorest_id} if at_address or carried else set()
        elif (
            before is not None
            and last == key
            and at_address <= self._record.causes  # else somebody refuses since
            and self._opted_in_since(before, client, by_email=by_email)
        ):
            self._opted_in[client.phorest_id] |= at_address
        elif at_address or carried:
            # Whoever refused at an old address has not agreed by getting a new one.
            self._closes(Cause(key, channel, consent.NO_CONSENT, client.phorest_id))
            self._waiting[client.phorest_id] = NOT_OBSERVED

    def _opted_in_since(self, before: Observation, client: ClientRow, *, by_email: bool) -> bool:
        """Whether flags that refused then agree now; by either policy, marketing consent given anew is an opt-in."""
        marketing, now = (
            (before.email_marketing, client.email_marketing)
            if by_email
            else (before.sms_marketing, client.sms_marketing)
        )
        return before.refused(by_email=by_email, policy=self._policy) or (marketing is not True and now is True)

    def step(self, addresses: Iterable[str], record: Record, keyring: Keyring, bulk_limit: int) -> Step:
        """What the look comes to."""
        opted_in = {phorest_id: causes for phorest_id, causes in self._opted_in.items() if causes}
        if len(opted_in) > bulk_limit:
            self._waiting |= dict.fromkeys(opted_in, TOO_MANY)
            for phorest_id in opted_in:  # the next look has to see the same opt-in again
                self._observe.pop(phorest_id, None)
            opted_in = {}
        evidence = {cause for causes in opted_in.values() for cause in causes}
        lift = self._lift | evidence
        return Step(
            add=_sorted(self._add),
            lift=_sorted(lift),
            opted_in=_sorted(evidence),
            observe=tuple(self._observe.values()),
            waiting=self._waiting,
            used=frozenset(self._used),
            on_record=by_address((record.causes - lift) | self._add, addresses, keyring, self._keys),
        )


class _At:
    """Active causes, to be found by address and by whose they are."""

    def __init__(self, causes: Iterable[Cause], into: Mapping[str, str]) -> None:
        self._at: dict[tuple[str, Channel], set[Cause]] = defaultdict(set)
        self._of: dict[str, set[Cause]] = defaultdict(set)
        self._into = into
        for cause in causes:
            self.add(cause)

    def add(self, cause: Cause) -> None:
        """One more."""
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

    def own_refusals(self, channel: Channel, phorest_id: str, last: str | None) -> set[Cause]:
        """The client's own refusals at the address that it had last; where it had none, at any that it ever had."""
        return {
            c
            for c in self.of(phorest_id)
            if c.cause == consent.NO_CONSENT and c.channel is channel and last in (None, c.address_key)
        }


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
