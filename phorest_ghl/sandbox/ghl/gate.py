"""The way into GHL's API: token, Version, route, scope, location, limits, whitelist, dispatch (facts/ghl-api §18.1).

Belongs here: what happens before and after any operation. Does not belong here: business rules.
"""

import math
from collections import defaultdict
from dataclasses import dataclass

from phorest_ghl.sandbox.ghl import (
    calendars,
    contacts,
    custom_fields,
    event_notes,
    events,
    locations,
    notes,
    oauth,
    search,
    tags,
    users,
    workflows,
)
from phorest_ghl.sandbox.ghl.common import Call, GhlRoute, error, refuse
from phorest_ghl.sandbox.limits import Daily, Window
from phorest_ghl.sandbox.router import Router
from phorest_ghl.sandbox.shapes import query_violations, violations
from phorest_ghl.sandbox.store import Row, as_row
from phorest_ghl.sandbox.wire import Refusal, Reply, Request
from phorest_ghl.sandbox.world import World

VERSIONS = frozenset({"2021-01-01", "2021-04-15", "2021-07-28", "2023-02-21", "v3"})
_MODULES = (
    contacts,
    search,
    tags,
    notes,
    custom_fields,
    locations,
    users,
    calendars,
    events,
    event_notes,
    workflows,
    oauth,
)
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Token:
    """What an access token may do. `location` is None for an agency token.

    `scopes` None means all (a private integration).
    """

    key: str
    kind: str
    location: str | None
    scopes: frozenset[str] | None
    user_id: str | None
    source: str


class GhlApi:
    """Answers every path that is neither Phorest's nor the control surface's."""

    name = "ghl"

    def __init__(self, world: World) -> None:
        self.world = world
        self.router = Router([route for module in _MODULES for route in module.ROUTES])
        self._windows: dict[str, Window] = defaultdict(Window)
        self._days: dict[str, Daily] = defaultdict(Daily)

    def find(self, request: Request) -> tuple[GhlRoute, list[str]] | None:
        """The operation a request is for; the ones only v3 has do not exist under older versions."""
        found = self.router.find(request.method, request.path)
        if found is not None and found[0].facts["v3_only"] and request.headers.get("version") != "v3":
            return None
        return found

    def answer(self, request: Request, found: tuple[GhlRoute, list[str]] | None) -> Reply:
        """The answer to one request, with a trace id in the body and the five rate headers."""
        headers = self._headers(self.world.switches.ghl_rate_max, self.world.switches.ghl_daily_max)
        try:
            reply = self._answer(request, found, headers)
        except Refusal as refusal:
            reply = refusal.reply
        content = as_row(reply.content)
        if content is not None:
            content["traceId"] = self.world.trace()
        reply.headers.update(headers)
        return reply

    def failure(self, status: int) -> Reply:
        """A 429 comes with the rate headers of a full window; whatever a gateway fails with has none."""
        reply = Reply(
            status, {"statusCode": status, "message": "Too Many Requests" if status == 429 else "Server error"}
        )
        if status == 429:
            reply.headers.update(self._headers(0, self.world.switches.ghl_daily_max // 2))
        return reply

    def _answer(self, request: Request, found: tuple[GhlRoute, list[str]] | None, headers: dict[str, str]) -> Reply:
        if found is not None and found[0].facts["scope"] == "":
            return self._run(request, found, None)  # the token call itself
        token = self._token(request)
        self._check_version(request)
        if found is None:
            refuse(404, f"Cannot {request.method} {request.path}")
        self._check_scope(token, found[0])
        self._check_location(request, found, token)
        if self._count(token, headers):
            return self._run(request, found, token)
        reply = Reply(429, {"statusCode": 429, "message": "Too Many Requests"})
        if self.world.switches.ghl_retry_after:
            reply.headers["Retry-After"] = str(round(self.world.switches.ghl_rate_window_s))
        return reply

    # --- token and version ------------------------------------------------------------------------------------------

    def _token(self, request: Request) -> Token:
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not value:
            refuse(401, "Invalid JWT")
        return self._private(value) if value.startswith("pit-") else self._oauth(value)

    def _private(self, value: str) -> Token:
        row = self.world.settings.get(f"pit {value}")
        if value == self.world.credentials.ghl_token:
            return Token(value, "pit", self.world.location["id"], None, None, "private_integration")
        if row is None or self.world.clock.seconds() > row.get("until", math.inf):
            refuse(401, "Invalid Private Integration token")
        scopes = None if row["scopes"] is None else frozenset[str](row["scopes"])
        return Token(value, "pit", row["location"], scopes, None, "private_integration")

    def _oauth(self, value: str) -> Token:
        row = self.world.ghl["tokens"].get(value)
        if row is None or row["kind"] != "access":
            refuse(401, "Invalid JWT")
        if row["expires"] <= self.world.clock.seconds():
            refuse(401, "Invalid token: access token is invalid")
        return Token(
            row["app"], row["user_type"], row["location"], frozenset(row["scopes"]), row["user_id"], "third_party"
        )

    def _check_version(self, request: Request) -> None:
        version = request.headers.get("version")
        if version not in VERSIONS:
            refuse(401, "version header was not found." if version is None else "version header is invalid")

    def _check_scope(self, token: Token, route: GhlRoute) -> None:
        scope = route.facts["scope"]
        if scope.startswith("oauth.") != (token.kind == "Company"):
            refuse(401, "This AuthClass is not yet supported to access this resource.")
        if token.scopes is not None and scope not in token.scopes:
            refuse(401, "The token is not authorized for this scope.")

    def _check_location(self, request: Request, found: tuple[GhlRoute, list[str]], token: Token) -> None:
        if token.location is None:
            return
        route, ids = found
        named = [*request.params("locationId"), *(ids[:1] if route.template.startswith("/locations/{") else ())]
        body = _object(request) or {}
        if isinstance(body.get("locationId"), str):
            named.append(body["locationId"])
        if any(name != token.location for name in named):
            refuse(403, "The token does not have access to this location.")

    # --- limits -----------------------------------------------------------------------------------------------------

    def _count(self, token: Token, headers: dict[str, str]) -> bool:
        switches = self.world.switches
        key = f"{'' if switches.ghl_rate_scope == 'location' else token.key} {token.location}"
        day = int(self.world.clock.seconds() // _DAY_S)
        fits, left = self._windows[key].take(
            limit=switches.ghl_rate_max,
            seconds=switches.ghl_rate_window_s,
            kind=switches.ghl_window,
            rejected_count=switches.ghl_rejected_count,
        )
        fits_day, left_day = self._days[key].take(limit=switches.ghl_daily_max, day=day)
        headers.update(self._headers(left, left_day))
        return fits and fits_day

    def _headers(self, left: int, left_day: int) -> dict[str, str]:
        switches = self.world.switches
        return {
            "X-RateLimit-Limit-Daily": str(switches.ghl_daily_max),
            "X-RateLimit-Daily-Remaining": str(left_day),
            "X-RateLimit-Interval-Milliseconds": str(round(switches.ghl_rate_window_s * 1_000)),
            "X-RateLimit-Max": str(switches.ghl_rate_max),
            "X-RateLimit-Remaining": str(left),
        }

    # --- dispatch ---------------------------------------------------------------------------------------------------

    def _run(self, request: Request, found: tuple[GhlRoute, list[str]], token: Token | None) -> Reply:
        route, ids = found
        shape = route.facts["body"]
        body: Row = {}
        complaints = [] if route.facts["open_query"] else query_violations(route.facts["query"], request.query)
        if shape is not None:
            parsed = _object(request)
            if parsed is None:
                return error(400, "The request body must be a JSON object.")
            body = parsed
            complaints += violations(shape, body)
        if complaints:
            return error(422, complaints)
        v3 = request.headers.get("version") == "v3"
        user, source = (None, "") if token is None else (token.user_id, token.source)
        return route.handler(Call(self.world, request, ids, body, v3, user, source))


def _object(request: Request) -> Row | None:
    try:
        return as_row(request.json()) if request.body else {}
    except ValueError:
        return None
