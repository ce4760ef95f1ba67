"""All facts of all clients for one plan, as the texts that fields of a contact hold.

Belongs here: which facets are known, and from facts to texts and tags. Does not: counting (`visits`, `bookings`, `sales`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from sqlalchemy import Connection, text

from phorest_ghl.ghl import fields
from phorest_ghl.ghl.fields import Facet
from phorest_ghl.sync import normalise
from phorest_ghl.sync.facts.bookings import OnlineBookings, online_bookings
from phorest_ghl.sync.facts.diary import Moment
from phorest_ghl.sync.facts.sales import product_tags, spend
from phorest_ghl.sync.facts.visits import Visits, visits
from phorest_ghl.sync.rules import FacetRules
from phorest_ghl.sync.source import ClientRow

_LOOK_BACK, _LOOK_AHEAD = timedelta(days=35), timedelta(days=120)
"""The part of the diary that has to be read before it says who comes next: what the frequent import reads."""
_DAY = timedelta(days=1)
_CENT = Decimal("0.01")

WITHOUT: Mapping[str, str] = {fields.HAS_NEXT.name: "no", fields.REBOOK_AT_RISK.name: "no"}
"""What stands where a client has no fact; every other field is empty then (S18: a clear is backed up by a yes or no)."""


@dataclass(frozen=True)
class Facts:
    """What is known of clients beside their own rows.

    Attributes:
        known: facets that are on and whose source was read completely; of others nothing is said.
        values: by client the values of fields, as they are compared.
        tags: by client.
        ahead: clients who have a future appointment.
    """

    known: frozenset[Facet] = frozenset()
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    tags: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    ahead: frozenset[str] = frozenset()
    spend_known: bool = False

    def says(self, spec: fields.CustomFieldSpec) -> bool:
        """Whether a field's value is known, be it empty."""
        return spec.facet in self.known and (spec.switch != "spend" or self.spend_known)


NOTHING = Facts()


def load_facts(
    connection: Connection, clients: Iterable[ClientRow], at: Moment, *, live_at: datetime | None = None
) -> Facts:
    """The facts that the salon wants and that what was imported can tell, at one moment.

    `live_at` is when the location went live: what was bought before makes no tags, unless the salon wants it (S19).
    """
    clients, rules, read = list(clients), at.rules, _read(connection, at)
    found = _Found()
    if Facet.LOYALTY in rules.on:
        found.add_loyalty(clients, rules)
    if Facet.VISITS in rules.on and read.diary:
        found.add_visits(clients, visits(connection, at), at)
        if rules.spend and read.sales:
            found.add_spend(spend(connection, at))
    if Facet.BOOKINGS in rules.on and read.diary:
        found.add_bookings(online_bookings(connection, at))
    if Facet.PRODUCTS in rules.on and read.sales:
        since = None if rules.before_go_live else live_at
        quiet = live_at is None and not rules.before_go_live
        found.add_products({} if quiet else product_tags(connection, at, since=since))
    return Facts(frozenset(found.known), found.values, found.tags, found.ahead, found.spend_known)


@dataclass
class _Found:
    """Facts as they come together, facet by facet."""

    known: set[Facet] = field(default_factory=set[Facet])
    values: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    tags: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    ahead: frozenset[str] = frozenset()
    spend_known: bool = False

    def add_loyalty(self, clients: Iterable[ClientRow], rules: FacetRules) -> None:
        self.known.add(Facet.LOYALTY)
        alike: dict[tuple[Decimal | None, str | None], tuple[dict[str, str], frozenset[str]]] = {}
        for client in clients:
            card = (client.loyalty_points, client.loyalty_card)
            if card not in alike:
                alike[card] = _loyalty(client, rules)
            values, tags = alike[card]
            if values:
                self.values[client.phorest_id] = values.copy()
            if tags:
                self.tags[client.phorest_id] = tags

    def add_visits(self, clients: Iterable[ClientRow], found: Mapping[str, Visits], at: Moment) -> None:
        self.known.add(Facet.VISITS)
        self.ahead = frozenset(client for client, one in found.items() if one.next_at is not None)
        for client in clients:
            if client.last_visit is not None:
                self._of(client.phorest_id)[fields.LAST_VISIT.name] = client.last_visit.isoformat()
        for client, one in found.items():
            held = self._of(client)
            held.update(_visit_values(one, at, by_phorest=held.get(fields.LAST_VISIT.name)))

    def add_spend(self, found: Mapping[str, Mapping[str, Decimal]]) -> None:
        self.spend_known = True
        for client, sums in found.items():
            self._of(client).update(_spend_values(sums))

    def add_bookings(self, found: Mapping[str, OnlineBookings]) -> None:
        self.known.add(Facet.BOOKINGS)
        for client, one in found.items():
            self._of(client).update(_booking_values(one))
            self._tag(client, frozenset({fields.ONLINE_BOOKING_TAG}))

    def add_products(self, found: Mapping[str, frozenset[str]]) -> None:
        self.known.add(Facet.PRODUCTS)
        for client, bought in found.items():
            self._tag(client, bought)

    def _tag(self, client: str, tags: frozenset[str]) -> None:
        self.tags[client] = self.tags.get(client, frozenset()) | tags

    def _of(self, client: str) -> dict[str, str]:
        return self.values.setdefault(client, {})


@dataclass(frozen=True)
class _Read:
    diary: bool
    sales: bool


def _read(connection: Connection, at: Moment) -> _Read:
    """Whether the diary around today and the sales were read completely, of every branch that is read and still there.

    A plan made of what happens to be there would tell a client without an appointment from one whose month was not read.
    """
    row = connection.execute(
        text("""
            with branches as (
                select distinct split_part(scope, '/', 1) as branch_id from import_cursors
                where entity_type in ('appointment', 'purchase') and scope <> '' and full_read_at is not null
                      and (:all or split_part(scope, '/', 1) = any(:branch_ids))
                      and not exists (select from phorest_branches b
                                      where b.phorest_id = split_part(scope, '/', 1) and b.deleted_at is not null)),
            months as (
                select to_char(month, 'YYYY-MM') as month
                from generate_series(date_trunc('month', cast(:first as date)), cast(:last as date), interval '1 month')
                    as month)
            select exists (select from branches) and not exists (
                       select from branches b cross join months m where not exists (
                           select from import_cursors c
                           where c.entity_type = 'appointment' and c.scope = b.branch_id || '/' || m.month
                                 and c.full_read_at is not null)) as diary,
                   exists (select from branches) and not exists (
                       select from branches b where not exists (
                           select from import_cursors c
                           where c.entity_type = 'purchase' and c.scope = b.branch_id and c.full_read_at is not null)
                   ) as sales
        """),
        # A branch's day may be another one than UTC's: what is asked for is what any zone has read by now.
        {
            "first": (at.now - _LOOK_BACK + _DAY).date(),
            "last": (at.now + _LOOK_AHEAD - _DAY).date(),
            "all": not at.rules.branch_ids,
            "branch_ids": list(at.rules.branch_ids),
        },
    ).one()
    return _Read(diary=row.diary, sales=row.sales)


def tier(points: Decimal | None, serial: str | None, tiers: Mapping[str, int]) -> str | None:
    """The highest tier that a client has points for; none without a card. Points below nothing count as none."""
    if points is None and serial is None:
        return None
    held = max(points or Decimal(0), Decimal(0))
    return max(((least, name) for name, least in tiers.items() if least <= held), default=(0, None))[1]


def _loyalty(client: ClientRow, rules: FacetRules) -> tuple[dict[str, str], frozenset[str]]:
    """The fields of a card, and the tag of its tier."""
    serial = normalise.line(client.loyalty_card)
    reached = tier(client.loyalty_points, serial, rules.tiers)
    named = {
        fields.LOYALTY_POINTS.name: _number(client.loyalty_points),
        fields.LOYALTY_CARD.name: serial,
        fields.LOYALTY_TIER.name: reached,
    }
    tags = frozenset({fields.LOYALTY_PREFIX + reached} if reached else ())
    return {name: value for name, value in named.items() if value}, tags


def _visit_values(one: Visits, at: Moment, *, by_phorest: str | None) -> dict[str, str]:
    """`by_phorest` is the last visit that Phorest itself names: the later of the two stands, for our diary may begin later."""
    days = [day for day in (by_phorest, one.last_visit.isoformat() if one.last_visit else None) if day]
    start = one.next_at.astimezone(at.zone(one.next_branch)) if one.next_at else None
    found = {
        fields.LAST_VISIT.name: max(days, default=None),
        fields.VISIT_COUNT.name: str(one.visits),
        fields.LAST_SERVICE.name: normalise.line(one.last_service),
        fields.LAST_STYLIST.name: one.last_stylist,
        fields.FAVOURITE_STYLIST.name: one.favourite_stylist,
        fields.NEXT_APPOINTMENT.name: f"{start:%Y-%m-%d %H:%M}" if start else None,
        fields.HAS_NEXT.name: "yes" if start else "no",
        fields.LATE_CANCELS.name: str(one.late_cancels),
        fields.NO_SHOWS.name: str(one.no_shows) if one.no_shows else None,
        fields.REBOOK_DUE.name: one.rebook_due.isoformat() if one.rebook_due else None,
        fields.REBOOK_AT_RISK.name: "yes" if one.at_risk else "no",
    }
    return {name: value for name, value in found.items() if value}


def _spend_values(sums: Mapping[str, Decimal]) -> dict[str, str]:
    """The sum as a number only where all was spent in one currency; beside it a text with all of them (S18)."""
    listed = ", ".join(f"{currency} {_rounded(spent)}".strip() for currency, spent in sums.items())
    found = {fields.SPEND_BY_CURRENCY.name: listed}
    if len(sums) == 1:
        (spent,) = sums.values()
        found[fields.SPEND.name] = str(fields.canonical(fields.SPEND, _rounded(spent)))
    return found


def _booking_values(one: OnlineBookings) -> dict[str, str]:
    return {fields.ONLINE_BOOKED.name: one.last.isoformat(), fields.ONLINE_BOOKINGS.name: str(one.count)}


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)


def _number(value: Decimal | None) -> str | None:
    return None if value is None else fields.canonical(fields.LOYALTY_POINTS, value)
