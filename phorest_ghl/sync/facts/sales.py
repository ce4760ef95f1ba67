"""What a client bought and spent: the definition of these facts, in SQL.

Belongs here: facts from sales. Does not: the tag of a product (`ghl.fields`).

A line counts unless its sale was voided: by its flag, by a later line that names its transaction, or by being that later
line. An open sale is none yet, and paying an old balance buys nothing. Lines of a client who was merged into another are
the other's.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, text

from phorest_ghl.ghl.fields import product_tag
from phorest_ghl.sync.facts.diary import Moment
from phorest_ghl.sync.rules import folded

_SALES = """
    who as (select key as loser, value as winner from jsonb_each_text(cast(:winners as jsonb))),
    zones as (select key as branch_id, value as zone from jsonb_each_text(cast(:zones as jsonb))),
    voided as (
        select distinct branch_id, voided_transaction_id as transaction_id from phorest_purchases
        where voided_transaction_id is not null),
    sales as (
        select coalesce(who.winner, p.client_id) as client, p.*, coalesce(zones.zone, 'UTC') as zone
        from phorest_purchases p
        left join who on who.loser = p.client_id
        left join zones on zones.branch_id = p.branch_id
        left join voided on voided.branch_id = p.branch_id and voided.transaction_id = p.transaction_id
        where p.client_id is not null and (cast(:only as text[]) is null or p.client_id = any(cast(:only as text[])))
              and p.deleted_at is null and not p.voided and p.voided_transaction_id is null
              and not p.open_sale and voided.transaction_id is null and p.purchased_date is not null
              and coalesce(p.item_type, '') <> 'OUTSTANDING_BALANCE_PMT')
"""

# A line without a time of day was sold at the day's beginning: in doubt before go-live, so that nobody is tagged too early.
_BOUGHT = f"""
with {_SALES}
select client, product_name, product_category_name from sales
where product_name is not null
      and (cast(:since as timestamptz) is null
           or (purchased_date + coalesce(purchase_time, time '00:00')) at time zone zone >= cast(:since as timestamptz))
group by client, product_name, product_category_name
having sum(coalesce(quantity, 1)) > 0
"""  # noqa: S608 - names of ours

_SPENT = f"""
with {_SALES}
select client, coalesce(b.currency_code, '') as currency, sum(coalesce(total_amount, gross_amount, 0)) as spent
from sales s left join phorest_branches b on b.phorest_id = s.branch_id
where purchased_date <= (cast(:now as timestamptz) at time zone zone)::date
      and purchased_date > (cast(:now as timestamptz) at time zone zone)::date - interval '12 months'
group by client, currency
"""  # noqa: S608 - names of ours


def product_tags(connection: Connection, at: Moment, *, since: datetime | None) -> Mapping[str, frozenset[str]]:
    """The tags of what each client bought since then, or ever; what was given back is not counted."""
    hidden = set(folded(at.rules.excluded_products))
    tags: dict[tuple[str, str | None], str | None] = {}
    found: dict[str, set[str]] = {}
    for client, name, category in connection.execute(text(_BOUGHT), {**_parameters(at), "since": since}):
        if (name, category) not in tags:
            shown = not hidden & set(folded((name, category or "")))
            tags[name, category] = product_tag(name) if shown else None
        tag = tags[name, category]
        if tag is not None:
            found.setdefault(client, set()).add(tag)
    return {client: frozenset(bought) for client, bought in found.items()}


def spend(connection: Connection, at: Moment) -> Mapping[str, Mapping[str, Decimal]]:
    """What each client spent within twelve months up to the branch's day, by currency; never a sum across currencies."""
    found: dict[str, dict[str, Decimal]] = {}
    for client, currency, spent in connection.execute(text(_SPENT), {**_parameters(at), "now": at.now}):
        found.setdefault(client, {})[currency] = spent
    return {client: dict(sorted(sums.items())) for client, sums in found.items()}


def _parameters(at: Moment) -> dict[str, object]:
    everything = at.parameters
    return {name: everything[name] for name in ("winners", "zones", "only")}
