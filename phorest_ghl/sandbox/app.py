"""The ASGI application: from socket to handler and back, with latency and faults in between.

Belongs here: what happens on the wire. Does not belong here: what an answer means. It is plain ASGI: a routing
framework would cost more per request than most handlers do, and could not tear connections.
"""

import asyncio
import contextlib
import socket
import struct
import traceback
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from random import Random
from typing import Any, Protocol

import httpx

from phorest_ghl.sandbox.control import Control
from phorest_ghl.sandbox.faults import Fault, Faults
from phorest_ghl.sandbox.ghl.gate import GhlApi
from phorest_ghl.sandbox.observed import Observed, monotonic
from phorest_ghl.sandbox.phorest import exports
from phorest_ghl.sandbox.phorest.gate import PREFIX, PhorestApi
from phorest_ghl.sandbox.router import Route
from phorest_ghl.sandbox.store import as_row
from phorest_ghl.sandbox.wire import Reply, Request
from phorest_ghl.sandbox.world import World

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_BAD_GATEWAY = (
    b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
)
_HANDLED_INSIDE = frozenset({"filter_ignored", "clear_ignored", "fields_ignored", "dnd_ignored", "bulk_partial"})
_STATUSES = frozenset({"429", "500", "502", "503", "504", "520"})


class Api(Protocol):
    """One vendor."""

    name: str

    def find(self, request: Request) -> tuple[Route, list[str]] | None:
        """The operation a request is for."""
        ...

    def answer(self, request: Request, found: tuple[Route, list[str]] | None) -> Reply:
        """The answer."""
        ...

    def failure(self, status: int) -> Reply:
        """What this vendor answers with a status that a fault asks for."""
        ...


class SandboxApp:
    """Both APIs and the control surface on one port."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.phorest, self.ghl = PhorestApi(world), GhlApi(world)
        self.routes = {
            "phorest": [route.name for route in self.phorest.router.routes],
            "ghl": [route.name for route in self.ghl.router.routes],
        }
        self.faults = Faults(Random(world.options.seed), self.routes)  # noqa: S311
        self.observed = Observed(
            {"phorest": world.switches.phorest_rate_window_s, "ghl": world.switches.ghl_rate_window_s}
        )
        self.control = Control(world, self.faults, self.observed, self.routes)
        self._postman: httpx.AsyncClient | None = None
        self._posts: set[asyncio.Future[None]] = set()
        self._half_latency = world.options.latency_ms / 2_000

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        request = await _read(scope, receive)
        if request is None:
            return
        if request.path == "/" or request.path.startswith("/__sandbox__"):
            await self._respond(send, self.control.answer(request))
            return
        if request.path.startswith(exports.DOWNLOADS):
            await self._respond(send, exports.download(self.world, request))
            return
        await self._simulate(request, send)

    async def _simulate(self, request: Request, send: Send) -> None:
        if self._half_latency:
            await asyncio.sleep(self._half_latency)
        api: Api = self.phorest if request.path.startswith(PREFIX) else self.ghl
        found = api.find(request)
        name = found[0].name if found else f"{request.method} (no such route)"
        fault = self.faults.strike(api.name, name) if self.faults.active else None
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.ms / 1_000)
        counted = monotonic()  # the moment the vendor's own limiter counts it
        reply = self.reply(api, request, found, fault)
        unanswered = reply is None or (fault is not None and fault.kind in {"reset", "timeout_after_commit"})
        trace = "" if reply is None else str(reply.headers.get("x-phorest-trace-id") or _trace(reply))
        entry = (api.name, request.method, name.partition(" ")[2], 0 if unanswered or reply is None else reply.status)
        self.observed.note(entry, at=self.world.clock.now().isoformat(), counted=counted, trace=trace)
        if self._half_latency:
            await asyncio.sleep(self._half_latency)
        if self.world.webhooks.pending:
            self._post_events()
        await self._send_or_break(send, reply, fault)

    def _post_events(self) -> None:
        """Deliver in the background: the vendor's answer does not wait for the receiver's."""
        if self._postman is None:
            self._postman = httpx.AsyncClient(timeout=10.0)
        while self.world.webhooks.pending:
            task = asyncio.ensure_future(
                self.world.webhooks.deliver(self._postman, *self.world.webhooks.pending.popleft())
            )
            self._posts.add(task)
            task.add_done_callback(self._posts.discard)

    def reply(
        self, api: Api, request: Request, found: tuple[Route, list[str]] | None, fault: Fault | None
    ) -> Reply | None:
        """The answer, or None when the work is not done at all."""
        kind = "" if fault is None else fault.kind
        if (
            fault is not None
            and not fault.after_commit
            and (kind in {"timeout_before", "reset", "html"} or kind in _STATUSES)
        ):
            return _broken(api, fault)
        if kind in _HANDLED_INSIDE:
            request.ignored = frozenset({kind})
        if kind == "page_drift":
            self.control.drift()
        if fault is not None and kind == "opt_out" and not fault.after_commit:
            self.control.opt_out(found, None, fault)
        try:
            reply = api.answer(request, found)
        except Exception:  # noqa: BLE001 - a defect of the sandbox must be seen by whoever drives it, not end the server
            reply = Reply(
                500, {"message": "The sandbox itself failed; this is its defect.", "traceback": traceback.format_exc()}
            )
        if fault is not None and kind == "opt_out" and fault.after_commit:
            self.control.opt_out(found, reply, fault)
        self.world.commit()
        if kind == "created_but_422" and reply.status < 300:
            message = ["property should not exist"] if api.name == "ghl" else "INVALID"
            reply = Reply(422, {"statusCode": 422, "message": message, "error": "Unprocessable Entity"}, reply.headers)
        if fault is not None and fault.after_commit and (kind in _STATUSES or kind == "html"):
            reply = _broken(api, fault) or reply
        return reply

    async def _send_or_break(self, send: Send, reply: Reply | None, fault: Fault | None) -> None:
        kind = "" if fault is None else fault.kind
        if fault is not None and kind in {"timeout_before", "timeout_after_commit"}:
            await asyncio.sleep(fault.ms / 1_000)
            _transport(send).abort()
        elif kind == "reset" or reply is None:
            _reset(_transport(send))
        elif kind == "truncated":
            await self._respond(send, reply, cut=True)
            _transport(send).close()
        else:
            await self._respond(send, reply)

    async def _respond(self, send: Send, reply: Reply, *, cut: bool = False) -> None:
        body = reply.encoded()
        headers = [
            (b"date", self.world.clock.http_date().encode()),
            (b"content-type", reply.media.encode()),
            (b"content-length", str(len(body)).encode()),
            *((name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()),
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        shown = body[: len(body) // 2] if cut else body
        with contextlib.suppress(OSError):  # the client may have gone; nothing of the answer is left to do then
            await send({"type": "http.response.body", "body": shown, "more_body": cut})


def _broken(api: Api, fault: Fault) -> Reply | None:
    if fault.kind == "html":
        return Reply(502, _BAD_GATEWAY, media="text/html")
    if fault.kind not in _STATUSES:
        return None
    reply = api.failure(int(fault.kind))
    if fault.retry_after is not None:
        reply.headers["Retry-After"] = fault.retry_after
    return reply


def _trace(reply: Reply) -> object:
    return (as_row(reply.content) or {}).get("traceId", "")


async def _read(scope: Scope, receive: Receive) -> Request | None:
    """The whole request; None when the client left before it was complete."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    return Request(
        method=scope["method"],
        path=scope["path"],
        query_string=scope["query_string"].decode("latin-1"),
        headers=_headers(scope["headers"]),
        body=b"".join(chunks),
    )


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}


def _transport(send: Send) -> asyncio.Transport:
    """The connection behind an ASGI `send`.

    Uvicorn's is a method of the object that owns it, and ASGI has no way to break a connection.
    """
    owner = getattr(send, "__self__", None)
    transport = getattr(owner, "transport", None)
    if transport is None:
        raise RuntimeError("This ASGI server does not let the sandbox break connections; run it with uvicorn.")
    return transport


def _reset(transport: asyncio.Transport) -> None:
    """Close with RST rather than FIN, as a crashed peer does."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
