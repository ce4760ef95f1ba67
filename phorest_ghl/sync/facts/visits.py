"""When a client was here, comes next, and should come again: the definition of each of these facts, in SQL.

Belongs here: facts from the diary. Does not: from sales (`sales`), from where a booking was made (`bookings`).

A *visit* is a day in a branch with at least one row that is CHECKED_IN or PAID and whose start has passed. A past row that
is still BOOKED proves nothing: Phorest does not tell who was not checked out from who did not come (facts/phorest-api
§7.5.2). Rows by which the staff marks that a client did not come, or takes a fee, are no visits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

from phorest_ghl.sync.facts.diary import DIARY, Moment, diary_parameters

REBOOK_FROM = 3
"""Visits in one category of services from which on their average gap says when the next one is due."""
REBOOK_OVER = 6
"""The last visits whose gaps are averaged, so that the habits of years ago do not count."""
AT_RISK_DAYS = 5
"""Days before the day that is due from which on the client is at risk."""
LATE_HOURS = 24
"""A cancellation less than so long before the start is a late one."""


@dataclass(frozen=True)
class Visits:
    """What the diary says of one client.

    Attributes:
        visits: how many visits there were.
        last_visit: the day of the last one.
        last_service: the last service of a visit that may be named.
        last_stylist: who served last; a column of the diary that is no person served nobody.
        favourite_stylist: who served on most days; of several the one who served last.
        next_at: the start of the next appointment, an instant.
        next_branch: where it is.
        late_cancels: days in a branch of which nothing is left, and a row was seen to be cancelled late.
        no_shows: days in a branch with a row that marks one, in Phorest or by its event in GHL.
        rebook_due: the day by which the client should come again.
        at_risk: whether that day is near, or over, by the date of the branch of the last visit.
    """

    visits: int
    last_visit: date | None
    last_service: str | None
    last_stylist: str | None
    favourite_stylist: str | None
    next_at: datetime | None
    next_branch: str | None
    late_cancels: int
    no_shows: int
    rebook_due: date | None
    at_risk: bool


_WIRE = "'YYYY-MM-DD\"T\"HH24:MI:SS'"
_SEEN_ACTIVE = "coalesce(v.raw ->> 'activationState', 'ACTIVE') not in ('CANCELED', 'RESERVED')"

# Texts are compared by their bytes, so that the order is the same whatever the server's locale is.
_VISITS = f"""
with {DIARY},
done as materialized (
    select * from diary
    where state in ('CHECKED_IN', 'PAID') and not cancelled and not held and not no_show and not marker
          and starts_at <= :now),
days as (
    select client, count(*) as visits, max(day) as last_visit
    from (select distinct client, branch_id, day from done) as d group by client),
last_service as (
    select distinct on (client) client, service_name from done
    where service_name is not null and service_name <> all(:hidden)
          and (service_id is null or service_id <> all(:hidden_services))
    order by client, starts_at desc, phorest_id collate "C" desc),
last_stylist as (
    select distinct on (client) client, s.name from done join stylists s using (staff_id)
    order by client, starts_at desc, phorest_id collate "C" desc),
favourite as (
    select distinct on (client) client, name from (
        select client, s.name, count(distinct (branch_id, day)) as served, max(starts_at) as last
        from done join stylists s using (staff_id) group by client, s.name) as served
    order by client, served desc, last desc, name collate "C"),
next as (
    select distinct on (client) client, starts_at, branch_id from diary
    where not cancelled and not held and not no_show and not marker and starts_at > :now
    order by client, starts_at, phorest_id collate "C"),
late as (
    -- Seen while it was an appointment, and cancelled by the first state of after; times of Phorest compare as texts.
    select client, count(distinct (branch_id, day)) as cancels from diary c
    cross join lateral (
        select max(valid_to) as until from phorest_versions v
        where v.entity_type = 'appointment' and v.phorest_id = c.phorest_id and {_SEEN_ACTIVE}) as active
    cross join lateral (
        select left(coalesce(
            (select v.raw ->> 'updatedAt' from phorest_versions v
             where v.entity_type = 'appointment' and v.phorest_id = c.phorest_id and v.valid_from >= active.until
             order by v.valid_from limit 1),
            to_char(c.phorest_updated_at at time zone 'UTC', {_WIRE})), 19) as at) as cancelled_at
    where c.cancelled and not c.no_show and not c.marker and active.until is not null
          and cancelled_at.at < to_char(c.starts_at at time zone 'UTC', {_WIRE})
          and cancelled_at.at > to_char((c.starts_at - make_interval(hours => :late_hours)) at time zone 'UTC', {_WIRE})
          and not exists (
              select from diary o
              where o.client = c.client and o.branch_id = c.branch_id and o.day = c.day and not o.cancelled and not o.held)
    group by client),
missed as (
    select client, count(distinct (branch_id, day)) as no_shows from diary
    where no_show and not cancelled and starts_at <= :now group by client),
treated as (
    select client, d.day, d.today, d.starts_at, d.phorest_id,
           coalesce(s.category_name, s.category_id, d.service_id, d.service_name, '') as category
    from done d left join phorest_services s on s.branch_id = d.branch_id and s.phorest_id = d.service_id),
latest as (
    select distinct on (client) client, category, today from treated
    order by client, starts_at desc, phorest_id collate "C" desc),
alike as (
    select client, today, day, row_number() over (partition by client order by day desc) as n
    from (select distinct client, category, day from treated) as t join latest using (client, category)),
rebook as (
    select client, today,
           max(day) + case when count(*) < :rebook_from then :rebook_days
                           else round((max(day) - min(day))::numeric / nullif(count(*) - 1, 0))::int end as due
    from alike where n <= :rebook_over group by client, today)
select client, coalesce(visits, 0) as visits, last_visit, last_service.service_name as last_service,
       last_stylist.name as last_stylist, favourite.name as favourite_stylist, next.starts_at as next_at,
       next.branch_id as next_branch, coalesce(cancels, 0) as late_cancels, coalesce(no_shows, 0) as no_shows,
       due as rebook_due, coalesce(rebook.today >= due - :at_risk_days, false) as at_risk
from (select distinct client from diary) as everyone
left join days using (client) left join last_service using (client) left join last_stylist using (client)
left join favourite using (client) left join next using (client) left join late using (client)
left join missed using (client) left join rebook using (client)
"""  # noqa: S608 - names of ours


def visits(connection: Connection, at: Moment) -> Mapping[str, Visits]:
    """The facts of every client with a row in the diary."""
    rows = connection.execute(
        text(_VISITS),
        {
            **diary_parameters(connection, at),
            "late_hours": LATE_HOURS,
            "rebook_from": REBOOK_FROM,
            "rebook_over": REBOOK_OVER,
            "rebook_days": at.rules.rebook_days,
            "at_risk_days": AT_RISK_DAYS,
        },
    )
    return {row[0]: Visits(*row[1:]) for row in rows}
