"""OAuth: authorisation, tokens with rotation, agency tokens exchanged per location (facts/ghl-api §2.2).

Belongs here: making and spending tokens. Does not belong here: checking them on calls (`gate.py`).
"""

from typing import Any
from urllib.parse import parse_qs, urlencode

from phorest_ghl.sandbox import shapes as w
from phorest_ghl.sandbox.ghl.common import Call, get, post, refuse
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply
from phorest_ghl.sandbox.world import World

ACCESS_S, REFRESH_S, CODE_S = 86_399, 365 * 86_400, 600
DEFAULT_SCOPES = (
    "contacts.readonly contacts.write calendars.readonly calendars.write calendars/groups.readonly calendars/groups.write "
    "calendars/events.readonly calendars/events.write users.readonly locations.readonly locations/customFields.readonly "
    "locations/customFields.write locations/tags.readonly locations/tags.write locations/tasks.readonly "
    "oauth.readonly oauth.write"
)
_GRANTS = w.choice("authorization_code", "refresh_token", "client_credentials")
_TOKEN: w.Shape = {
    "client_id": w.STR.needed(), "client_secret": w.STR.needed(), "grant_type": _GRANTS.needed(), "code": w.STR,
    "refresh_token": w.STR, "user_type": w.choice("Company", "Location"), "redirect_uri": w.STR,
}  # fmt: skip
_CAMEL = {
    "clientId": "client_id", "clientSecret": "client_secret", "grantType": "grant_type",
    "refreshToken": "refresh_token", "userType": "user_type", "redirectUri": "redirect_uri", "code": "code",
}  # fmt: skip
_TOKEN_V3: w.Shape = {camel: _TOKEN[snake] for camel, snake in _CAMEL.items()}
_EXCHANGE: w.Shape = {"companyId": w.STR.needed(), "locationId": w.STR.needed()}
_INSTALLED: w.Shape = {
    **dict.fromkeys(["companyId", "appId"], w.STR.needed()),
    **dict.fromkeys(["skip", "limit", "query", "isInstalled", "versionId", "onTrial", "planId", "locationId"], w.STR),
}
_INSTALLED_V3: w.Shape = {
    **dict.fromkeys(["companyId", "appId"], w.STR.needed()),
    **dict.fromkeys(
        [
            "pageToken",
            "query",
            "isInstalled",
            "restrictToUserLocations",
            "versionId",
            "onTrial",
            "planId",
            "locationId",
        ],
        w.STR,
    ),
    "pageSize": w.NUMBER,
}


def choose_location(call: Call) -> Reply:
    """The page where a person installs the app.

    Here the person agrees at once, and the browser goes back with a code.
    """
    asked = {name: values[-1] for name, values in parse_qs(call.request.query_string).items()}
    if asked.get("client_id") != call.world.credentials.app_id or "redirect_uri" not in asked:
        refuse(400, "client_id is unknown or redirect_uri is missing")
    code = call.world.trace()
    scopes = asked.get("scope") or DEFAULT_SCOPES
    _keep(call.world, code, "code", CODE_S, call.world.switches.ghl_installed_by, scopes.split())
    back: dict[str, str] = {"code": code} | ({"state": asked["state"]} if "state" in asked else {})
    mark = "&" if "?" in asked["redirect_uri"] else "?"
    return Reply(302, b"", {"location": f"{asked['redirect_uri']}{mark}{urlencode(back)}"})


def _keep(world: World, value: str, kind: str, lifetime: float, user_type: str, scopes: list[str], **more: Any) -> Row:
    row: Row = {
        "kind": kind, "user_type": user_type, "scopes": scopes, "expires": world.clock.seconds() + lifetime,
        "app": world.credentials.app_id, "location": world.location["id"] if user_type == "Location" else None,
        "user_id": next(iter(world.ghl["users"].rows)), **more,
    }  # fmt: skip
    world.ghl["tokens"].put(value, row)
    return row


def token(call: Call) -> Reply:
    """Spend a code or a refresh token; either works once, and a refresh token dies with the answer, received or not."""
    try:
        form = call.request.form()
    except ValueError:
        refuse(400, "The request body cannot be read")
    complaints = w.violations(_TOKEN_V3 if call.v3 else _TOKEN, form)
    if complaints:
        refuse(422, complaints)
    plain = {_CAMEL.get(name, name): value for name, value in form.items()}
    known = call.world.credentials
    if plain["client_id"] != known.app_id or plain["client_secret"] != known.app_secret:
        refuse(401, "Invalid client credentials!")
    name = {"authorization_code": "code", "refresh_token": "refresh_token"}.get(plain["grant_type"])
    if name is None:
        refuse(400, "The grant type client_credentials is not enabled for this app")
    spent = call.store("tokens").get(plain.get(name, ""))
    kinds = {"code": "code", "refresh_token": "refresh"}
    if spent is None or spent["kind"] != kinds[name] or spent["expires"] <= call.world.clock.seconds():
        refuse(400, f"Invalid grant: {name.replace('_', ' ')} is invalid", error="invalid_grant")
    call.store("tokens").remove(plain[name])
    pair = _pair(call.world, spent["user_type"], spent["scopes"])
    if name == "code":
        call.world.webhooks.installed(pair)
    return Reply(200, _named(call, pair))


def _pair(world: World, user_type: str, scopes: list[str]) -> Row:
    access, refresh = f"access-{world.trace()}", f"refresh-{world.trace()}"
    row = _keep(world, access, "access", ACCESS_S, user_type, scopes)
    _keep(world, refresh, "refresh", REFRESH_S, user_type, scopes)
    found: Row = {
        "access_token": access, "token_type": "Bearer", "expires_in": ACCESS_S, "refresh_token": refresh,
        "scope": " ".join(scopes), "userType": user_type, "companyId": world.location["companyId"],
        "userId": row["user_id"], "refreshTokenId": world.new_ghl_id(), "isBulkInstallation": user_type == "Company",
    }  # fmt: skip
    if user_type == "Location":
        found["locationId"] = world.location["id"]
    return found


_V3_NAMES = {
    "access_token": "accessToken",
    "token_type": "tokenType",
    "expires_in": "expiresIn",
    "refresh_token": "refreshToken",
}


def _named(call: Call, row: Row) -> Row:
    return {_V3_NAMES.get(name, name): value for name, value in row.items()} if call.v3 else row


def location_token(call: Call) -> Reply:
    """A location's token for an agency's; whether a refresh token comes with it is disputed, so it is a switch."""
    try:
        form = call.request.form()
    except ValueError:
        refuse(400, "The request body cannot be read")
    complaints = w.violations(_EXCHANGE, form)
    if complaints:
        refuse(422, complaints)
    world = call.world
    if form["companyId"] != world.location["companyId"] or form["locationId"] != world.location["id"]:
        refuse(400, "Location not found or app not installed")
    scopes = [scope for scope in DEFAULT_SCOPES.split() if not scope.startswith("oauth.")]
    pair = _pair(world, "Location", scopes)
    names = ("access_token", "token_type", "expires_in", "scope", "locationId", "userId")
    found = {name: pair[name] for name in names} | {"appId": world.credentials.app_id.partition("-")[0], "planId": ""}
    if world.switches.ghl_location_token_refresh:
        found["refresh_token"] = pair["refresh_token"]
    return Reply(200, _named(call, found))


def installed_locations(call: Call) -> Reply:
    """Where the app is installed."""
    location = call.world.location
    if call.request.param("companyId") != location["companyId"]:
        refuse(403, "The token does not have access to this company.")
    row = {"_id": location["id"], "name": location["name"], "address": location["address"], "isInstalled": True}
    if not call.request.path.endswith("installed-locations"):
        return Reply(200, {"locations": [row], "count": 1, "installToFutureLocations": False})
    paging = {"currentPageSize": 1, "hasNextPage": False, "hasPrevPage": False}
    return Reply(200, {"items": [row], "pagination": paging, "installToFutureLocations": False})


ROUTES = (
    get("/oauth/chooselocation", choose_location, "", open_query=True),
    get("/v2/oauth/chooselocation", choose_location, "", open_query=True),
    post("/oauth/token", token, ""),
    post("/oauth/locationToken", location_token, "oauth.write"),
    post("/oauth/location-token", location_token, "oauth.write", v3_only=True),
    get("/oauth/installedLocations", installed_locations, "oauth.readonly", query=_INSTALLED),
    get("/oauth/installed-locations", installed_locations, "oauth.readonly", query=_INSTALLED_V3, v3_only=True),
)
