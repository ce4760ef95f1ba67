"""The vendor's clock without asking it. Does not belong here: how runs read it (`Location.date`, `GhlClock`)."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

_ANOTHER_TIME = timedelta(days=1)
"""Between a poll and the last read of the location lie hours at most; more is a clock that goes its own way."""


def vendors_now(connection: Connection, location_id: str) -> datetime:
    """What time it is for GHL: ours, shifted where its clock was seen to be days apart, as a simulated salon's is."""
    row = connection.execute(
        text("select polled_at - read_at as apart from ghl_locations where location_id = :location_id"),
        {"location_id": location_id},
    ).one_or_none()
    apart: timedelta | None = None if row is None else row.apart
    now = datetime.now(UTC)
    return now + apart if apart is not None and abs(apart) > _ANOTHER_TIME else now
