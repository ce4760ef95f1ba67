"""The branches that we hold, as the imports of a branch need them: id and time zone.

Belongs here: reading them, and choosing those that are wanted. Does not: importing them (`importer`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Engine, text

from phorest_ghl.db.transactions import in_transaction


class UnknownZone(Exception):
    """A branch's time zone is missing or none that exists: a sentence says which branch and what to do."""


class UnknownBranch(Exception):
    """A branch was named that the business does not have: a sentence says which, and which there are."""


@dataclass(frozen=True)
class Branch:
    """A branch that Phorest has."""

    branch_id: str
    zone_name: str | None

    @property
    def zone(self) -> ZoneInfo:
        """Its time zone, without which its appointments have no instant. Raises UnknownZone."""
        try:
            return ZoneInfo(self.zone_name or "")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise UnknownZone(
                f"Branch {self.branch_id} has the time zone {self.zone_name!r} in Phorest, which is none that is known, so "
                "it cannot be said when its appointments are. Correct the branch's time zone in Phorest, then import again."
            ) from None


def branches_held(engine: Engine) -> list[Branch]:
    """All branches that are not gone, by id."""
    statement = text("select phorest_id, time_zone from phorest_branches where deleted_at is null order by phorest_id")
    return in_transaction(engine, lambda connection: [Branch(*row) for row in connection.execute(statement)])


def chosen(found: Sequence[Branch], wanted: Collection[str]) -> list[Branch]:
    """Those branches that are wanted, all where none is named. Raises UnknownBranch."""
    missing = sorted(set(wanted) - {branch.branch_id for branch in found})
    if missing:
        there = ", ".join(branch.branch_id for branch in found) or "none"
        raise UnknownBranch(
            f"PHOREST_BRANCH_ID names {', '.join(missing)}, which Phorest does not list among this business's branches. "
            f"Its branches are: {there}. Correct the setting, or leave it empty for all branches."
        )
    return [branch for branch in found if not wanted or branch.branch_id in wanted]
