"""The diary as facts read it: whose a row is, on which day of its branch, and what it means.

Belongs here: the rows that the queries of `visits` and `bookings` share, and their parameters. Does not: any fact.

A row that was deleted or that vanished is not there. One of a client who was merged into another is the other's
(facts/phorest-api §7.2.5). RESERVED is a held slot and no appointment, CANCELED is cancelled, every other activation
state is not (§7.5.2, safety S4). A client did not come where the staff marked it so in Phorest, or on the event in GHL while
Phorest says neither that the visit began nor that it was paid: Phorest has no such state of its own (§7.5.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import Connection, text

from phorest_ghl.sync.rules import FacetRules, folded
from phorest_ghl.sync.source import Names

DIARY = """
    who as (select key as loser, value as winner from jsonb_each_text(cast(:winners as jsonb))),
    zones as (select key as branch_id, value as zone from jsonb_each_text(cast(:zones as jsonb))),
    stylists as (select key as staff_id, value as name from jsonb_each_text(cast(:stylists as jsonb))),
    missed_in_ghl as materialized (
        select m.phorest_id from ghl_events e join entity_mappings m using (location_id, ghl_id)
        where e.status = 'noshow' and e.gone_at is null and m.entity_type = 'appointment' and m.removed_at is null),
    diary as materialized (
        select coalesce(who.winner, a.client_id) as client, a.branch_id, a.phorest_id, a.starts_at,
               (a.starts_at at time zone coalesce(zones.zone, 'UTC'))::date as day,
               (cast(:now as timestamptz) at time zone coalesce(zones.zone, 'UTC'))::date as today,
               (coalesce(a.phorest_created_at, a.starts_at) at time zone coalesce(zones.zone, 'UTC'))::date as booked_on,
               a.service_id, a.service_name, a.staff_id, a.state, a.source, a.booking_id, a.phorest_updated_at,
               a.activation_state = 'CANCELED' as cancelled, a.activation_state = 'RESERVED' as held,
               coalesce(a.service_name = any(:no_shows), false) or coalesce(a.staff_id = any(:columns), false)
                   or (a.starts_at <= :now and coalesce(a.state, '') not in ('CHECKED_IN', 'PAID')
                       and a.phorest_id in (select phorest_id from missed_in_ghl)) as no_show,
               coalesce(a.service_name = any(:markers), false) as marker
        from phorest_appointments a
        left join who on who.loser = a.client_id
        left join zones on zones.branch_id = a.branch_id
        where a.client_id is not null and (cast(:only as text[]) is null or a.client_id = any(cast(:only as text[])))
              and not a.deleted and a.deleted_at is null)
"""
"""The rows, as common table expressions that follow a `with`."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What every query of facts is asked with.

    Attributes:
        now: the vendor's time.
        names: what ids are called, and the zones of the branches.
        winners: who each merged-away client is now.
        rules: the salon's choices.
        only: the clients that are asked about, records merged into them included; None for all.
    """

    now: datetime
    names: Names
    winners: Mapping[str, str] = field(default_factory=dict[str, str])
    rules: FacetRules = field(default_factory=FacetRules)
    only: tuple[str, ...] | None = None

    def zone(self, branch_id: str | None) -> ZoneInfo:
        """The zone of a branch; UTC where it is not known."""
        return ZoneInfo(self.names.zones.get(branch_id or "", "UTC"))

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of the diary that need no look at it."""
        stylists = {key: name for key, name in self.names.staff.items() if key not in self.names.nobody}
        marked = set(folded(self.rules.no_show_names))
        return {
            "now": self.now,
            "only": None if self.only is None else list(self.only),
            "winners": _json(self.winners),
            "zones": _json(self.names.zones),
            "stylists": _json(stylists),
            "columns": [key for key, name in self.names.staff.items() if folded((name,))[0] in marked],
        }


def diary_parameters(connection: Connection, at: Moment) -> dict[str, Any]:
    """All parameters of `DIARY`, and `hidden`: services that no field names.

    Names are compared here, for PostgreSQL's idea of upper and lower case is that of its locale.
    """
    named = [
        row.name
        for row in connection.execute(
            text("select distinct service_name as name from phorest_appointments where service_name is not null")
        )
    ]

    def like(wanted: tuple[str, ...]) -> list[str]:
        looked_for = set(folded(wanted))
        return [name for name in named if folded((name,))[0] in looked_for]

    rules = at.rules
    return {
        **at.parameters,
        "no_shows": like(rules.no_show_names),
        "markers": like(rules.marker_names),
        "hidden": like(rules.excluded_services),
        "hidden_services": _hidden_services(connection, rules) if rules.excluded_services else [],
    }


def _hidden_services(connection: Connection, rules: FacetRules) -> list[str]:
    wanted = set(folded(rules.excluded_services))
    rows = connection.execute(text("select phorest_id, name, category_name from phorest_services"))
    return sorted(
        {row.phorest_id for row in rows if wanted & set(folded((row.name or "", row.category_name or "")))} - {""}
    )


def _json(value: Mapping[str, str]) -> str:
    return orjson.dumps(dict(value)).decode()
