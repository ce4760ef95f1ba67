"""Drives a sandbox without sockets: the same handlers, gates and limits, called as functions.

Tests of the wire itself (faults, dates, processes) use a real server instead.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from phorest_ghl.sandbox.app import SandboxApp
from phorest_ghl.sandbox.options import SandboxOptions
from phorest_ghl.sandbox.phorest.gate import PREFIX
from phorest_ghl.sandbox.wire import Reply, Request
from phorest_ghl.sandbox.world import World

V2, V3 = "2021-07-28", "v3"
Query = Mapping[str, object] | Sequence[tuple[str, object]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, parsed."""

    status: int
    json: Any
    headers: Mapping[str, str]


class Driver:
    """One sandbox, its credentials filled in."""

    def __init__(self, **options: Any) -> None:
        switches = {
            "ghl_search_lag_s": 0.0,
            "ghl_rate_max": 1_000_000,
            "phorest_rate_max": 1_000_000,
            **options.pop("switches", {}),
        }
        self.world = World(SandboxOptions(**{"clients": 60, "months": 0} | options, switches=switches))
        self.app = SandboxApp(self.world)
        self.location: str = self.world.location["id"]
        self.branch: str = next(iter(self.world.phorest["branches"].rows))

    def switch(self, **values: object) -> None:
        """Change switches."""
        self.world.switches.change(values)

    def phorest(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Query | None = None,
        user: str | None = None,
        business: str | None = None,
    ) -> Answer:
        """A Phorest call below the business; `{b}` in the path is the first branch."""
        known = self.world.credentials
        coded = base64.b64encode(f"{user or known.phorest_user}:{known.phorest_secret}".encode()).decode()
        full = f"{PREFIX}/{business or known.business}{path.replace('{b}', f'/branch/{self.branch}')}"
        request = _request(method, full, body, query, {"authorization": f"Basic {coded}"})
        return self.send(self.app.phorest, request)

    def ghl(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Query | None = None,
        version: str | None = V2,
        token: str | None = None,
    ) -> Answer:
        """A GHL call with the private token."""
        headers = {
            "authorization": f"Bearer {token or self.world.credentials.ghl_token}",
            "content-type": "application/json",
        }
        if version is not None:
            headers["version"] = version
        return self.send(self.app.ghl, _request(method, path, body, query, headers))

    def strike(self, method: str, path: str, body: object = None) -> Answer:
        """A GHL call that meets the faults in force, as it would on the wire."""
        headers = {"authorization": f"Bearer {self.world.credentials.ghl_token}", "version": V2}
        request = _request(method, path, body, None, headers)
        found = self.app.ghl.find(request)
        assert found is not None
        reply = self.app.reply(self.app.ghl, request, found, self.app.faults.strike("ghl", found[0].name))
        assert reply is not None, "this fault breaks the connection, which needs a real server"
        return _parsed(reply)

    def send(self, api: Any, request: Request) -> Answer:
        """One request to one API."""
        reply = api.answer(request, api.find(request))
        self.world.commit()
        return _parsed(reply)

    def control(self, method: str, path: str, body: object = None, *, query: Query | None = None) -> Answer:
        """A call of the control surface below `/__sandbox__`."""
        return _parsed(self.app.control.answer(_request(method, f"/__sandbox__{path}", body, query, {})))

    def contact(self, **values: object) -> dict[str, Any]:
        """A contact created through the API, as the answer shows it."""
        answer = self.ghl("POST", "/contacts/", {"locationId": self.location, **values})
        assert answer.status == 201, answer.json
        return answer.json["contact"]

    def search(self, **body: object) -> list[dict[str, Any]]:
        """Contacts found by a search."""
        answer = self.ghl("POST", "/contacts/search", {"locationId": self.location, "pageLimit": 100, **body})
        assert answer.status == 200, answer.json
        return answer.json["contacts"]

    def runs(self, **wanted: object) -> list[dict[str, Any]]:
        """Workflow runs with these values."""
        return [
            row for row in self.world.automations.runs() if all(row[name] == value for name, value in wanted.items())
        ]


def _request(method: str, path: str, body: object, query: Query | None, headers: dict[str, str]) -> Request:
    pairs = list(query.items()) if isinstance(query, Mapping) else list(query or ())
    raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    return Request(method, path, urlencode([(name, str(value)) for name, value in pairs]), headers, raw)


def _parsed(reply: Reply) -> Answer:
    body = reply.encoded()
    if reply.media.startswith("application/x-ndjson"):
        return Answer(reply.status, [orjson.loads(line) for line in body.splitlines()], reply.headers)
    if reply.media.startswith("application/json") and body:
        return Answer(reply.status, orjson.loads(body), reply.headers)
    return Answer(reply.status, body.decode(), reply.headers)
