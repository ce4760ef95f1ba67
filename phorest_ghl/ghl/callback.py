"""The loopback server to which a browser comes back with the code, once, with the state that it was sent away with.

Belongs here: waiting for the one right answer. Does not: what the code is good for (`commands.auth`).
"""

import hmac
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

PATH = "/callback"
_HOST = "127.0.0.1"
_SLOW_S = 5.0  # a caller that says nothing for so long is hung up on

_DONE = "phorest-ghl has its answer. You may close this page and go back to the terminal."
_NOT_OURS = (
    "This answer does not belong to the authorization that is under way. Open the address from the terminal again."
)


class CallbackFailed(Exception):
    """Nobody came back in time, or with a refusal; or the port cannot be listened on."""


class Callback:
    """Listens on this machine's loopback only. A context manager; `wait` may be called once."""

    def __init__(self, port: int, state: str) -> None:
        """`state` is what was sent along, a secret of this authorization. Port 0 takes a free one. Raises CallbackFailed."""
        self._state = state
        self._found: dict[str, str] | None = None
        self._strangers = 0
        try:
            self._server = HTTPServer((_HOST, port), self._handler())
        except OSError as error:
            raise CallbackFailed(
                f"Port {port} of this machine is not free ({error.strerror or type(error).__name__}). End what uses it, or set "
                "GHL_CALLBACK_PORT to another one that is registered with the app."
            ) from None

    @property
    def url(self) -> str:
        """Where the browser has to come back to."""
        return f"http://{_HOST}:{self._server.server_port}{PATH}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.server_close()

    def wait(self, timeout_s: float) -> SecretStr:
        """The code. The port is closed from then on, so that no second answer is taken. Raises CallbackFailed."""
        deadline = time.monotonic() + timeout_s
        while self._found is None and (left := deadline - time.monotonic()) > 0:
            self._server.timeout = left
            self._server.handle_request()
        self._server.server_close()
        if self._found is None:
            others = f" {self._strangers} answers came with a wrong state and were refused." if self._strangers else ""
            raise CallbackFailed(
                f"Nobody came back from GoHighLevel within {timeout_s:g} seconds.{others} Run `phorest-ghl auth` again, and "
                "open the address on this machine."
            )
        if not self._found["code"]:
            raise CallbackFailed(
                "GoHighLevel came back without a code: the app was not installed. Run `phorest-ghl auth` again, choose the "
                "location and agree."
            )
        return SecretStr(self._found["code"])

    def _take(self, query: str) -> bool:
        """Take an answer if it is ours: it carries the state, and none was taken before."""
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        ours = hmac.compare_digest(asked.get("state", "").encode(), self._state.encode())
        if not ours or self._found is not None:
            self._strangers += 1
            return False
        self._found = {"code": asked.get("code", "")}
        return True

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            timeout = _SLOW_S

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path != PATH:
                    self._answer(404, "There is nothing here.")
                elif take(parts.query):
                    self._answer(200, _DONE)
                else:
                    self._answer(400, _NOT_OURS)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                """Nothing: the line would hold the code."""

            def _answer(self, status: int, words: str) -> None:
                body = words.encode()
                self.send_response(status)
                for name, value in (
                    ("Content-Type", "text/plain; charset=utf-8"),
                    ("Content-Length", str(len(body))),
                    ("Cache-Control", "no-store"),
                    ("Referrer-Policy", "no-referrer"),
                    ("Connection", "close"),
                ):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        return Handler
