"""The control surface `/__sandbox__`: the truth, the request log, faults, clock, switches, and acting as a person.

Belongs here: what a test or a judge may ask and do. Does not belong here: anything the vendors offer.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from phorest_ghl.sandbox import control_bodies as bodies
from phorest_ghl.sandbox.control_bodies import body_of, check_row
from phorest_ghl.sandbox.faults import Fault, Faults
from phorest_ghl.sandbox.live import Live
from phorest_ghl.sandbox.observed import Observed
from phorest_ghl.sandbox.page import page
from phorest_ghl.sandbox.people_acts import PeopleActs
from phorest_ghl.sandbox.router import Route, Router
from phorest_ghl.sandbox.store import Row, as_row
from phorest_ghl.sandbox.wire import Refusal, Reply, Request
from phorest_ghl.sandbox.world import World, as_lines

LINES = "application/x-ndjson"
Handler = Callable[[Request, Sequence[str]], Reply]
_ALIASES = {"service-categories": "service_categories", "tag-definitions": "tags", "appointment-notes": "event_notes"}


class Control:
    """Answers `/__sandbox__/…`; mistakes are answered with 400 and a sentence in `error`."""

    def __init__(self, world: World, faults: Faults, observed: Observed, routes: Mapping[str, Sequence[str]]) -> None:
        self.world = world
        self.faults = faults
        self.observed = observed
        self.acts = PeopleActs(world)
        self.live = Live(world, self.acts)
        self._routes = routes
        self.router = Router([Route(method, f"/__sandbox__{path}", handler) for method, path, handler in self._table()])

    def _table(self) -> Iterable[tuple[str, str, Handler]]:
        return (
            ("GET", "/state", self._state),
            ("GET", "/routes", lambda _, __: Reply(200, dict(self._routes))),
            ("GET", "/requests", lambda _, __: Reply(200, self.observed.report())),
            ("DELETE", "/requests", self._forget_requests),
            ("GET", "/faults", lambda _, __: Reply(200, {"faults": [fault.as_dict() for fault in self.faults.active]})),
            ("POST", "/faults", self._add_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("GET", "/switches", lambda _, __: Reply(200, self.world.switches.as_dict())),
            ("POST", "/switches", self._change_switches),
            ("GET", "/clock", lambda _, __: Reply(200, {"now": self.world.clock.now().isoformat()})),
            ("POST", "/clock", self._move_clock),
            ("GET", "/automations", self._automations),
            ("GET", "/automations/summary", lambda _, __: Reply(200, self.world.automations.summary())),
            ("GET", "/workflows", lambda _, __: Reply(200, {"workflows": self.world.automations.workflows()})),
            ("POST", "/workflows", self._publish),
            ("POST", "/tokens", self._make_token),
            ("DELETE", "/app", self._uninstall),
            ("GET", "/webhooks", lambda _, __: Reply(200, self.world.webhooks.describe())),
            ("POST", "/webhooks", self._configure_webhooks),
            ("GET", "/credentials", lambda _, __: Reply(200, asdict(self.world.credentials))),
            ("POST", "/credentials/{name}/rotate", self._rotate),
            ("GET", "/live", lambda _, __: Reply(200, as_lines(self.world.log.rows.values()), media=LINES)),
            ("POST", "/live", self._live),
            ("PATCH", "/phorest/{kind}", self._patch_many),
            ("POST", "/ghl/contacts/{id}/merge", self._merge),
            ("POST", "/ghl/contacts/{id}/dnd", self._set_dnd),
            ("GET", "/phorest/{kind}", lambda _, ids: self._truth("phorest", ids[0])),
            ("GET", "/ghl/{kind}", lambda _, ids: self._truth("ghl", ids[0])),
            ("PATCH", "/phorest/{kind}/{id}", self._patch("phorest")),
            ("PATCH", "/ghl/{kind}/{id}", self._patch("ghl")),
            ("DELETE", "/phorest/{kind}/{id}", self._delete("phorest")),
            ("DELETE", "/ghl/{kind}/{id}", self._delete("ghl")),
            ("POST", "/ghl/contacts", self._new_contact),
            ("POST", "/ghl/fields", self._new_field),
        )

    def answer(self, request: Request) -> Reply:
        """One control call."""
        if request.path == "/":
            return page(self.world, self.observed)
        found = self.router.find(request.method, request.path)
        if found is None:
            return Reply(404, {"error": f"The sandbox has no {request.method} {request.path}."})
        route, ids = found
        try:
            reply = route.handler(request, ids)
        except ValueError as problem:
            return Reply(400, {"error": str(problem)})
        except Refusal as refusal:
            return refusal.reply
        self.world.commit()
        return reply

    def drift(self) -> None:
        """Between two pages, the first client moves to the end of the list."""
        store = self.world.phorest["clients"]
        key = next(iter(store.rows))
        row = store.rows[key]
        store.remove(key)
        store.put(key, row)

    def opt_out(self, found: tuple[Route, Sequence[str]] | None, reply: Reply | None, fault: Fault) -> None:
        """The person whom a request is about opts out beside it; of a new contact, once it is there."""
        made = ((as_row(reply.content) if reply else None) or {}).get("contact", {}).get("id")
        key = made or (found[1][0] if found and found[1] else "")
        if key in self.world.contacts:
            self.acts.set_dnd(key, {fault.channel: fault.status}, {"message": "asked at the desk"})

    # --- the truth --------------------------------------------------------------------------------------------------

    def _state(self, request: Request, ids: Sequence[str]) -> Reply:
        del request, ids
        clock = self.world.clock.now().isoformat()
        return Reply(200, {**self.world.counts(), "automations": self.world.automations.summary(), "now": clock})

    def _truth(self, side: str, kind: str) -> Reply:
        store = self._store(side, kind)
        rows: Iterable[Row] = store.rows.values()
        if side == "phorest" and kind == "clients":
            truths = self.world.truths()
            rows = ({**row, "truth": truths.of(row["clientId"])} for row in store.rows.values())
        return Reply(200, as_lines(rows), media=LINES)

    def _store(self, side: str, kind: str) -> Any:
        stores = self.world.phorest if side == "phorest" else self.world.ghl
        found = stores.get(_ALIASES.get(kind, kind.replace("-", "_")))
        if found is None:
            raise ValueError(f"There are no {side} {kind}. Kinds: {', '.join(sorted(stores))}.")
        return found

    def _automations(self, request: Request, ids: Sequence[str]) -> Reply:
        """Runs as JSON lines, filtered by any column: `?sent=true&trigger=note&contact=…`."""
        del ids
        wanted = dict(request.query)
        rows = (
            row
            for row in self.world.automations.runs()
            if all(_text(row.get(name)) == value for name, value in wanted.items())
        )
        return Reply(200, as_lines(rows), media=LINES)

    def _forget_requests(self, request: Request, ids: Sequence[str]) -> Reply:
        del request, ids
        self.observed.clear()
        return Reply(200, {"cleared": True})

    # --- what happens -----------------------------------------------------------------------------------------------

    def _add_fault(self, request: Request, ids: Sequence[str]) -> Reply:
        del ids
        return Reply(201, self.faults.add(body_of(request, bodies.FAULT, strict=False)).as_dict())

    def _clear_faults(self, request: Request, ids: Sequence[str]) -> Reply:
        del request, ids
        self.faults.clear()
        return Reply(200, {"cleared": True})

    def _change_switches(self, request: Request, ids: Sequence[str]) -> Reply:
        del ids
        wish = body_of(request)
        self.world.switches.change(wish)
        for api in {"phorest", "ghl"} & {
            name.partition("_rate_window_s")[0] for name in wish if name.endswith("_rate_window_s")
        }:
            self.observed.resize(api, wish[f"{api}_rate_window_s"])
        self.world.contacts.shorten_lag(self.world.clock.seconds() + self.world.switches.ghl_search_lag_s)
        self.world.remember_settings()
        return Reply(200, self.world.switches.as_dict())

    def _move_clock(self, request: Request, ids: Sequence[str]) -> Reply:
        """`{"advance_s": seconds}` or `{"set": "2026-01-31T09:00:00+00:00"}`; only forward."""
        del ids
        wish = body_of(request, bodies.CLOCK)
        if "set" in wish:
            by = _instant(wish["set"]) - self.world.clock.now()
            if by.total_seconds() > bodies.LONGEST_S:
                raise ValueError("The clock goes at most ten years ahead in one step.")
        else:
            by = timedelta(seconds=wish.get("advance_s", 0))
        self.world.clock.advance(by)
        self.world.remember_settings()
        return Reply(200, {"now": self.world.clock.now().isoformat()})

    def _configure_webhooks(self, request: Request, ids: Sequence[str]) -> Reply:
        del ids
        return Reply(200, self.world.webhooks.configure(body_of(request, bodies.WEBHOOKS, strict=False)))

    def _live(self, request: Request, ids: Sequence[str]) -> Reply:
        del ids
        return Reply(200, {"events": self.live.run(body_of(request, bodies.LIVE, strict=False))})

    def _publish(self, request: Request, ids: Sequence[str]) -> Reply:
        del ids
        self.world.automations.publish(body_of(request))
        self.world.remember_settings()
        return Reply(200, {"workflows": self.world.automations.workflows()})

    def _make_token(self, request: Request, ids: Sequence[str]) -> Reply:
        """Another private integration token: `{"scopes": [...], "location": "other" or absent}`."""
        del ids
        wish = body_of(request, bodies.TOKEN)
        own, other = self.world.location["id"], self.world.credentials.other_location
        token = f"pit-{self.world.trace()}"
        row = {"scopes": list(wish.get("scopes", ())), "location": other if wish.get("location") == "other" else own}
        self.world.settings.put(f"pit {token}", row)
        return Reply(201, {"token": token, **row})

    def _uninstall(self, request: Request, ids: Sequence[str]) -> Reply:
        """A person takes the app out of the location: every code and token of it ends at once."""
        del request, ids
        tokens = self.world.ghl["tokens"]
        gone = list(tokens.rows)
        for key in gone:
            tokens.remove(key)
        return Reply(200, {"ended": len(gone)})

    def _rotate(self, request: Request, ids: Sequence[str]) -> Reply:
        """`{"grace_days": 7}` keeps the old private token alive for a while; without it the old secret ends at once."""
        return Reply(200, {ids[0]: self.world.rotate(ids[0], body_of(request, bodies.ROTATE).get("grace_days", 0))})

    # --- acting as a person -----------------------------------------------------------------------------------------

    def _patch(self, side: str) -> Handler:
        def handle(request: Request, ids: Sequence[str]) -> Reply:
            store = self._store(side, ids[0])
            changed = body_of(request)
            if request.param("odd") != "true":
                check_row(store, changed)
            return Reply(200, self.acts.edit(side, store, ids[1], changed))

        return handle

    def _patch_many(self, request: Request, ids: Sequence[str]) -> Reply:
        """`{"set": {...}, "ids": [...] or absent for all}`: one change, one `updatedAt`, many rows."""
        store, wish = self._store("phorest", ids[0]), body_of(request, bodies.MANY)
        check_row(store, wish["set"])
        keys = list(store.rows) if wish.get("ids") is None else wish["ids"]
        return Reply(200, {"changed": self.acts.edit_many(store, keys, wish["set"])})

    def _new_contact(self, request: Request, ids: Sequence[str]) -> Reply:
        del ids
        values = body_of(request)
        check_row(self.world.contacts, values)
        return Reply(201, self.acts.new_contact(values))

    def _new_field(self, request: Request, ids: Sequence[str]) -> Reply:
        """`{"name": …, "dataType": …, "options": […]}`: a custom field that a person made."""
        del ids
        return Reply(201, self.acts.new_field(body_of(request, bodies.FIELD)))

    def _set_dnd(self, request: Request, ids: Sequence[str]) -> Reply:
        """`{"channels": {"SMS": "permanent"}, "message": "STOP"}`: a person sets channels, the others stay as they are."""
        wish = body_of(request, bodies.DND)
        note = {name: wish[name] for name in ("message", "code") if name in wish}
        return Reply(200, self.acts.set_dnd(ids[0], wish["channels"], note))

    def _merge(self, request: Request, ids: Sequence[str]) -> Reply:
        return Reply(200, self.acts.merge_contacts(ids[0], body_of(request, bodies.MERGE)["into"]))

    def _delete(self, side: str) -> Handler:
        def handle(request: Request, ids: Sequence[str]) -> Reply:
            del request
            self.acts.remove(self._store(side, ids[0]), ids[1])
            return Reply(200, {"removed": ids[1]})

        return handle


def _instant(text: str) -> datetime:
    """An instant with a zone.

    Raises:
        ValueError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - it has no zone, so it is refused below
    if moment.tzinfo is None:
        raise ValueError("The clock is set to an instant with a zone, as in 2026-01-31T09:00:00+00:00.")
    return moment


def _text(value: object) -> str:
    return (
        {True: "true", False: "false", None: "null"}.get(value, str(value))
        if isinstance(value, bool | None)
        else str(value)
    )
