"""What Phorest says: credentials, region, the delta's filter, branches, its clock.

Belongs here: checks that ask Phorest. Nothing is changed there. Does not: how the answers are listed (`checkup`).
"""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from phorest_ghl.doctor.checkup import AWAY, Checkup, Finding, State, green, red, yellow
from phorest_ghl.doctor.clocks import skew
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.phorest import models
from phorest_ghl.phorest.client import PhorestClient, wire_instant
from phorest_ghl.phorest.pages import Page
from phorest_ghl.phorest.specs import BRANCHES, CLIENTS
from phorest_ghl.sync.normalise import country

CREDENTIALS, REGION, FILTER, ZONES, CLOCK = (
    "Phorest credentials",
    "Phorest region",
    "Phorest delta filter",
    "Phorest branches",
    "Phorest clock",
)
NAMES = (CREDENTIALS, REGION, FILTER, ZONES, CLOCK)
_FAR_AHEAD = timedelta(days=50 * 365)
_REGIONS = "EU and UK: api-gateway-eu.phorest.com; US, Canada and Australia: api-gateway-us.phorest.com"

_REFUSED = {
    Category.AUTH: (
        "Phorest does not know this user with this password",
        "Put the user and password of Phorest's email into PHOREST_CLIENT_ID and PHOREST_CLIENT_SECRET.",
    ),
    Category.FORBIDDEN: (
        "the user is right, and has no access to this business",
        "Set PHOREST_BUSINESS_ID to the business that Phorest's email names with this user.",
    ),
    Category.GONE: (
        "Phorest knows no such business in this region",
        f"Correct PHOREST_BUSINESS_ID, or PHOREST_API_BASE_URL if the business belongs to the other region ({_REGIONS}).",
    ),
    Category.WRONG_REGION: (
        "Phorest points to another region",
        f"Set PHOREST_API_BASE_URL to the host of the business's region ({_REGIONS}).",
    ),
}


def examine(checkup: Checkup, client: PhorestClient, *, wanted: Collection[str] = ()) -> None:
    """Make all checks of Phorest; where the credentials do not work, the others are listed as not made.

    `wanted` are the branches that the settings name; none for all.
    """
    branches: list[models.Branch] = []

    def credentials() -> Finding:
        page = client.page(BRANCHES, 0)
        branches.extend(cast("Sequence[models.Branch]", page.records))
        return green(f"accepted, {page.total_elements} branches")

    if checkup.look(CREDENTIALS, lambda: _explained(credentials)).state is State.RED:
        checkup.skip("Phorest has to let us in first", *NAMES[1:])
        return
    checkup.look(REGION, lambda: _explained(lambda: _region(client, branches)))
    checkup.look(FILTER, lambda: _filter(client))
    checkup.look(ZONES, lambda: _places(branches, wanted))
    checkup.look(CLOCK, lambda: skew("Phorest", client.now(), datetime.now(UTC)))


def _explained(look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except ApiError as error:
        if error.category not in _REFUSED:
            raise
        return red(*_REFUSED[error.category])


def _region(client: PhorestClient, branches: Sequence[models.Branch]) -> Finding:
    """Reads are answered in both regions, other calls are redirected (facts/phorest-api §2.1).

    So one is made that asks for nothing: an export job without a type, which is refused, and would be a file that nobody
    fetches if it were not.
    """
    if not branches:
        return yellow("not checked: the business has no branch", "Check PHOREST_BUSINESS_ID.")
    try:
        client.create_export(branches[0].branchId, {})
    except ApiError as error:
        if error.category in {Category.WRONG_REGION, *AWAY}:
            raise
    return green("reads and other calls are answered by the same host")


def _filter(client: PhorestClient) -> Finding:
    assert CLIENTS.delta is not None
    ahead = datetime.now(UTC) + _FAR_AHEAD
    bounds = {
        CLIENTS.delta.lower: wire_instant(ahead),
        CLIENTS.delta.upper: wire_instant(ahead + timedelta(days=1)),
    }
    try:
        page: Page = client.page(CLIENTS, 0, params=bounds)
    except ApiError as error:
        if error.category is not Category.INVALID:
            raise
        return green("a date fifty years ahead is refused, so it is read")
    if page.total_elements == 0:
        return green("nothing changed in fifty years' time, as it should be")
    return red(
        f"asked for clients changed in fifty years' time, Phorest lists {page.total_elements}",
        "Changes alone cannot be read: every import reads all clients until the filter works again. Tell Phorest's "
        "support that updatedAfter is ignored.",
    )


def _places(branches: Sequence[models.Branch], wanted: Collection[str]) -> Finding:
    unknown = sorted(set(wanted) - {branch.branchId for branch in branches})
    if unknown:
        return red(
            f"the business has no branch {', '.join(unknown)}",
            f"Correct PHOREST_BRANCH_ID; there is {', '.join(branch.branchId for branch in branches)}.",
        )
    branches = [branch for branch in branches if not wanted or branch.branchId in wanted]
    nowhen = [branch.branchId for branch in branches if not _zone_exists(branch.timeZone)]
    if nowhen:
        return red(
            f"the time zone of branch {', '.join(nowhen)} is missing or none that exists",
            "Correct it in Phorest: without it no appointment has a time.",
        )
    nowhere = [branch.branchId for branch in branches if country(branch.country, branch.timeZone) is None]
    if nowhere:
        return red(
            f"the country of branch {', '.join(nowhere)} is not known, nor told by its time zone",
            "Set it in Phorest: without it a phone number in its national form cannot be read.",
        )
    zones = sorted({str(branch.timeZone) for branch in branches})
    return green(f"{len(branches)} branches, each with a country, in {', '.join(zones)}")


def _zone_exists(name: str | None) -> bool:
    try:
        ZoneInfo(name or "")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
