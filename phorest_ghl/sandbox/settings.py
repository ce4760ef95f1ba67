"""The settings that point the product at a sandbox.

Belongs here: `NAME=value` pairs. Does not belong here: reading them.
"""

from phorest_ghl.sandbox.phorest.gate import PREFIX
from phorest_ghl.sandbox.world import World

VENDORS_WINDOW_S = 10.0  # facts/ghl-api §4


def settings_for(world: World, url: str) -> dict[str, str]:
    """Settings by name; the secrets among them are invented and open nothing else.

    A branch is named only where there is no other, since the product would leave others out. GHL's window is named where
    it is not the vendor's 10 s, so that the product paces by the same one. The app's count where the private
    token is taken out.
    """
    window = world.switches.ghl_rate_window_s
    pace = {} if window == VENDORS_WINDOW_S else {"GHL_RATE_WINDOW_S": f"{window}"}
    branches = list(world.phorest["branches"].rows.values())
    branch = branches[0]
    users = list(world.ghl["users"].rows)
    return {
        "PHOREST_API_BASE_URL": url + PREFIX,
        "PHOREST_BUSINESS_ID": world.credentials.business,
        **({"PHOREST_BRANCH_ID": branch["branchId"]} if len(branches) == 1 else {}),
        "PHOREST_CLIENT_ID": world.credentials.phorest_user,
        "PHOREST_CLIENT_SECRET": world.credentials.phorest_secret,
        "GHL_API_BASE_URL": url,
        "GHL_LOCATION_ID": world.location["id"],
        "GHL_PRIVATE_TOKEN": world.credentials.ghl_token,
        "GHL_CLIENT_ID": world.credentials.app_id,
        "GHL_CLIENT_SECRET": world.credentials.app_secret,
        "GHL_AUTHORIZE_URL": f"{url}/v2/oauth/chooselocation",
        "GHL_DEFAULT_CALENDAR_ID": next(iter(world.ghl["calendars"].rows)),
        "GHL_DEFAULT_USER_ID": users[0],
        "SALON_TIMEZONE": branch["timeZone"],
        **pace,
    }
