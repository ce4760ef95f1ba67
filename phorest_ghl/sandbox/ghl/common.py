"""What all GHL operations share: the call, errors, the facts a route carries.

Belongs here: shaping answers. Does not belong here: tokens and limits (`gate.py`), whitelists (`whitelist.py`), any one
resource.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from phorest_ghl.sandbox.clock import exact_instant
from phorest_ghl.sandbox.router import Route
from phorest_ghl.sandbox.shapes import Shape
from phorest_ghl.sandbox.store import Row, Store
from phorest_ghl.sandbox.wire import Refusal, Reply, Request
from phorest_ghl.sandbox.world import World

Handler = Callable[["Call"], Reply]
GhlRoute = Route
NAMES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 422: "Unprocessable Entity"}


@dataclass(slots=True)
class Call:
    """One request that passed the gate: `ids` are the path's named segments, `body` the checked JSON object."""

    world: World
    request: Request
    ids: Sequence[str]
    body: Row
    v3: bool
    user_id: str | None
    source: str

    def store(self, name: str) -> Store:
        """A GHL store by name."""
        return self.world.ghl[name]

    def now(self) -> str:
        """The present instant as GHL prints it."""
        return exact_instant(self.world.clock.now())

    def done(self) -> Row:
        """The success flag of the contacts module: misspelt under v2, both spellings under v3 (facts/ghl-api §1)."""
        return {"succeded": True, "succeeded": True} if self.v3 else {"succeded": True}

    def clears(self) -> bool:
        """Whether clears are obeyed; the fault `clear_ignored` makes them vanish."""
        return "clear_ignored" not in self.request.ignored


def route(
    method: str,
    template: str,
    handler: Handler,
    scope: str,
    *,
    body: Shape | None = None,
    query: Shape | None = None,
    v3_only: bool = False,
    open_query: bool = False,
) -> GhlRoute:
    """One operation.

    Args:
        method: HTTP method.
        template: path with `{names}`.
        handler: what answers.
        scope: the OAuth scope it needs (facts/ghl-api §2.3).
        body: whitelist of the JSON body; None takes no body.
        query: whitelist of the query; None takes no parameter.
        v3_only: answered only under `Version: v3`.
        open_query: unknown parameters are let through.
    """
    facts = {"scope": scope, "body": body, "query": query or {}, "v3_only": v3_only, "open_query": open_query}
    return GhlRoute(method, template, handler, facts)


def error(status: int, message: str | list[str], **more: object) -> Reply:
    """An error body of facts/ghl-api §3; the trace id is added on the way out."""
    body: Row = {"statusCode": status, "message": message}
    if status in {401, 403, 404, 422}:
        body["error"] = NAMES[status]
    return Reply(status, body | more)


def refuse(status: int, message: str | list[str], **more: object) -> NoReturn:
    """Answer with an error.

    Raises:
        Refusal: always.
    """
    raise Refusal(error(status, message, **more))


get = partial(route, "GET")
post = partial(route, "POST")
put = partial(route, "PUT")
delete = partial(route, "DELETE")
