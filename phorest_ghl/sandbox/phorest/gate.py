"""The way into Phorest's API: credentials, business, branch, rate limit, trace id, dispatch.

Belongs here: what happens before and after any operation (facts/phorest-api §2, §4, §13 items 1, 2, 15-17). Does not
belong here: the operations.
"""

import base64
import binascii
import hmac
import re
from collections import defaultdict

from phorest_ghl.sandbox.limits import Window
from phorest_ghl.sandbox.phorest import appointments, bookings, catalogue, clients, exports, sales
from phorest_ghl.sandbox.phorest.common import Call, error
from phorest_ghl.sandbox.router import Route, Router
from phorest_ghl.sandbox.store import as_row
from phorest_ghl.sandbox.wire import Refusal, Reply, Request
from phorest_ghl.sandbox.world import World

PREFIX = "/third-party-api-server/api/business"
OTHER_REGION = "https://api-gateway-us.phorest.com"
_MODULES = (clients, catalogue, appointments, bookings, sales, exports)
_NO_TOKEN = re.compile(r"[^A-Za-z0-9!#$%&'*+.^_`|~-]")


class PhorestApi:
    """Answers requests below `/third-party-api-server/api/business`."""

    name = "phorest"

    def __init__(self, world: World) -> None:
        self.world = world
        self.router = Router([route for module in _MODULES for route in module.ROUTES])
        self._windows: dict[str, Window] = defaultdict(Window)

    def find(self, request: Request) -> tuple[Route, list[str]] | None:
        """The operation a request is for."""
        _, _, below = request.path.removeprefix(PREFIX).lstrip("/").partition("/")
        return self.router.find(request.method, below)

    def answer(self, request: Request, found: tuple[Route, list[str]] | None) -> Reply:
        """The answer to one request, trace id and rate headers included."""
        trace = self.world.trace()
        reply = self._answer(request, found)
        content = as_row(reply.content)
        if content is not None and "statusCode" in content:
            content["id"] = trace
        reply.headers["x-phorest-trace-id"] = trace
        return reply

    def failure(self, status: int) -> Reply:
        """A 429 or 5xx in Phorest's error shape."""
        reply = self._too_many() if status == 429 else error(status, "Server error")
        reply.content["id"] = reply.headers["x-phorest-trace-id"] = self.world.trace()
        return reply

    def _answer(self, request: Request, found: tuple[Route, list[str]] | None) -> Reply:
        user = self._user(request)
        if user is None:
            return self._unauthorised()
        refusal = self._wrong_door(request, user)
        if refusal is not None:
            return refusal
        fits, headers = self._count(user)
        reply = self._run(request, found) if fits else self._too_many()
        reply.headers.update(headers)
        return reply

    # --- credentials ------------------------------------------------------------------------------------------------

    def _user(self, request: Request) -> str | None:
        kind, _, coded = request.headers.get("authorization", "").partition(" ")
        try:
            user, _, secret = base64.b64decode(coded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        known = self.world.credentials
        right = hmac.compare_digest(secret.encode(), known.phorest_secret.encode())
        if kind.lower() != "basic" or not right or user not in {known.phorest_user, known.other_user}:
            return None
        return user

    def _unauthorised(self) -> Reply:
        mode = self.world.switches.phorest_401_body
        if mode == "json":
            return error(401, "Unauthorized")
        return Reply(401, b"" if mode == "empty" else b"Unauthorized", media="text/plain; charset=utf-8")

    def _wrong_door(self, request: Request, user: str) -> Reply | None:
        """Wrong region, unknown business, a business of somebody else."""
        known = self.world.credentials
        business = request.path.removeprefix(PREFIX).strip("/").partition("/")[0]
        if self.world.switches.phorest_wrong_region and request.method != "GET":
            return Reply(302, b"", headers={"location": OTHER_REGION + request.path})
        owner = {known.business: known.phorest_user, known.other_business: known.other_user}.get(business)
        if owner is None:
            return error(404, "Business not found", "NOT_FOUND")
        return None if owner == user else error(403, "No access to this business", "FORBIDDEN")

    # --- limit ------------------------------------------------------------------------------------------------------

    def _count(self, user: str) -> tuple[bool, dict[str, str]]:
        switches = self.world.switches
        limit, seconds = switches.phorest_rate_max, switches.phorest_rate_window_s
        fits, left = self._windows[user].take(limit=limit, seconds=seconds, kind="sliding", rejected_count=False)
        suffix = f"rate-limit-application_third-party-api-server_{user.replace('/', '_')}"
        if not switches.phorest_raw_rate_headers:
            # With the user's `@` the name would be no legal header name, and a live client in Go, which refuses those,
            # is observed.
            suffix = _NO_TOKEN.sub("_", suffix)
        values = {"remaining": left, "limit": limit, "reset": round(seconds * 1_000)}
        return fits, {f"x-ratelimit-{name}-{suffix}": str(value) for name, value in values.items()}

    def _too_many(self) -> Reply:
        reply = error(
            429,
            f"Rate limit of {self.world.switches.phorest_rate_max} requests per second exceeded",
            "TOO_MANY_REQUESTS",
        )
        if self.world.switches.phorest_retry_after:
            reply.headers["retry-after"] = "1"
        return reply

    # --- dispatch ---------------------------------------------------------------------------------------------------

    def _run(self, request: Request, found: tuple[Route, list[str]] | None) -> Reply:
        if found is None:
            return self._no_route(request)
        self.world.expire_holds()
        route, ids = found
        if route.template.startswith("/branch/{") and ids[0] not in self.world.phorest["branches"]:
            return error(404, "Branch not found", "NOT_FOUND")
        try:
            return route.handler(Call(self.world, request, ids, route.facts["body"]))
        except Refusal as refusal:
            return refusal.reply

    def _no_route(self, request: Request) -> Reply:
        below = request.path.removeprefix(PREFIX).lstrip("/").partition("/")[2]
        if not self.router.knows_path(below):
            return error(404, "Not found", "NOT_FOUND")
        if request.method == "DELETE" and "/appointment/" in request.path:
            return error(500, "Request method 'DELETE' not supported")  # observed, facts/phorest-api §5
        return error(405, f"Request method '{request.method}' not supported")
