"""What a client booked online: the definition of these facts, in SQL.

Belongs here: facts from where a booking was made. Does not: the visits themselves (`visits`).

Online is the source WIDGET (facts/phorest-api §7.5.2). Appointments with one booking id are one booking; one without is a
booking of its own. A booking that was cancelled later was made online all the same; a held slot is none yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text

from phorest_ghl.sync.facts.diary import DIARY, Moment, diary_parameters

ONLINE = "WIDGET"


@dataclass(frozen=True)
class OnlineBookings:
    """How often a client booked online, and the day of the branch on which it was done last."""

    count: int
    last: date


_BOOKINGS = f"""
with {DIARY}
select client, count(distinct coalesce('b ' || booking_id, 'a ' || phorest_id)) as count, max(booked_on) as last
from diary where source = :online and not held group by client
"""  # noqa: S608 - names of ours


def online_bookings(connection: Connection, at: Moment) -> Mapping[str, OnlineBookings]:
    """Every client who booked online."""
    rows = connection.execute(text(_BOOKINGS), {**diary_parameters(connection, at), "online": ONLINE})
    return {row[0]: OnlineBookings(*row[1:]) for row in rows}
