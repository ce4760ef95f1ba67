"""Whatever people do on both sides, and wherever a run dies: nobody is reachable where somebody opted out (safety S6 to S10).

A model keeps, for each address and channel, who closed it there and has not opened it again in a way that could be seen.
After every run that ended well, and at once where an opt-out was made in GHL, the sandbox's contacts are held against it.
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from phorest_ghl.http.errors import ApiError
from phorest_ghl.sync.clients import ClientsSync
from phorest_ghl.sync.consent import ConsentNotHonoured
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import LAG_S, Rig, Row, installation

pytestmark = pytest.mark.road  # a minute of histories

HISTORIES = int(os.environ.get("CONSENT_HISTORIES", "6"))
STEPS = int(os.environ.get("CONSENT_STEPS", "9"))
SEED = int(os.environ.get("CONSENT_SEED", "1"))
"""Other histories of the same kind."""

BY_PHONE = ("SMS", "Call", "WhatsApp")
CHANNELS = {"email": ("Email",), "mobile": BY_PHONE}
FLAGS = {"email": "emailMarketingConsent", "mobile": "smsMarketingConsent"}
HELD_AS = {"email": "email", "mobile": "phone"}
POOL = {
    "email": [f"person{n}@example.com" for n in range(5)],
    "mobile": [f"+35386555300{n}" for n in range(5)],
}
BLOCKED = ("active", "permanent")
DYING = ("contact", "create_contact", "update_contact", "bulk_tags", "search", "duplicate", "location")
LAST_LETTERS = "ABCDE"


class Kill(BaseException):
    """The process dies here: nothing of ours gets to see it, as with kill -9."""


@dataclass
class Model:
    """Who closed what, by (address, channel): a client by its flags or state, or a person in GHL on a contact."""

    closed: dict[tuple[str, str], set[tuple[str, str]]] = field(
        default_factory=dict[tuple[str, str], set[tuple[str, str]]]
    )
    last: dict[tuple[str, str], tuple[str | None, bool]] = field(
        default_factory=dict[tuple[str, str], tuple[str | None, bool]]
    )

    def close(self, address: str | None, channel: str, why: str, who: str) -> None:
        if address:
            self.closed.setdefault((address, channel), set()).add((why, who))

    def open(self, address: str | None, channel: str, why: str, who: str) -> None:
        self.closed.get((address or "", channel), set()).discard((why, who))

    def look(self, clients: list[Row]) -> None:
        """A run has seen these clients."""
        into: dict[str, str | None] = {row["clientId"]: row.get("mergedToClientId") for row in clients}
        for row in clients:
            for kind, channels in CHANNELS.items():
                self._opted_in(row, kind, channels, into)
        for row in clients:
            for kind, channels in CHANNELS.items():
                self._shows(row, kind, channels)

    def _opted_in(self, row: Row, kind: str, channels: tuple[str, ...], into: dict[str, str | None]) -> None:
        key, address, agrees = str(row["clientId"]), row.get(kind), row.get(FLAGS[kind]) is True
        if address and agrees and self.last.get((key, kind)) == (address, False):
            for who in into:
                if end_of(who, into) == key:
                    for channel in channels:
                        self.open(address, channel, "flag", who)

    def _shows(self, row: Row, kind: str, channels: tuple[str, ...]) -> None:
        key, address, agrees = row["clientId"], row.get(kind), row.get(FLAGS[kind]) is True
        known = self.last.get((key, kind)) == (address, False)
        for channel in channels:
            if not agrees and not (row.get("mergedToClientId") and known):
                self.close(address, channel, "flag", key)
            if row["banned"]:
                self.close(address, channel, "banned", key)
            else:
                for causes in self.closed.values():
                    causes.discard(("banned", key))
        self.last[key, kind] = (address, agrees)

    def check(self, contacts: list[Row], clients: set[str]) -> None:
        """Nobody of ours is reachable where the model says that somebody closed."""
        for contact in contacts:
            if not clients & set(contact["customFields"].values()) or contact["dnd"]:
                continue
            for kind, channels in CHANNELS.items():
                address = contact.get(HELD_AS[kind])
                for channel in channels if address else ():
                    why = self.closed.get((str(address), channel))
                    status = contact["dndSettings"].get(channel, {}).get("status", "absent")
                    assert not why or status in BLOCKED, (
                        f"contact {contact['id']} is {status} on {channel} at {address}, closed by {sorted(why)}"
                    )


def end_of(who: str, into: dict[str, str | None]) -> str:
    while target := into.get(who):
        who = target
    return who


class History:
    """One salon and what happens in it."""

    def __init__(self, rig: Rig, rng: random.Random) -> None:
        self.rig = rig
        self.rng = rng
        self.model = Model()
        self.told: list[str] = []
        self.theirs: dict[tuple[str, str], None] = {}  # (contact, channel) that a person has closed
        rows = [row for row in rig.clients() if row["truth"]["syncable"] and not row.get("linkedClientId")]
        self.people = [row["clientId"] for row in rows[:4]]
        for number, key in enumerate(self.people):
            self.edit(key, firstName="Person", lastName=LAST_LETTERS[number], email=POOL["email"][number],
                      mobile=POOL["mobile"][number], **{flag: rng.random() < 0.6 for flag in FLAGS.values()})  # fmt: skip

    # --- what people do

    def edit(self, key: str, **changed: Any) -> None:
        self.told.append(f"client {key[:4]} {changed}")
        self.rig.edit_client(key, **changed)

    def ours(self) -> list[Row]:
        return [row for row in self.rig.contacts() if set(self.people) & set(row["customFields"].values())]

    def act(self) -> None:
        """One thing that somebody does."""
        acts: list[tuple[int, Callable[[], None]]] = [
            (5, self.flags), (3, self.moves), (2, self.swaps), (1, self.bans), (1, self.merges), (4, self.closes_in_ghl),
            (2, self.opens_in_ghl), (1, self.closes_all), (1, self.agency),
        ]  # fmt: skip
        self.rng.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()

    def flags(self) -> None:
        kind = self.rng.choice(list(FLAGS))
        self.edit(self.rng.choice(self.people), **{FLAGS[kind]: self.rng.choice([True, True, False, None])})

    def moves(self) -> None:
        kind = self.rng.choice(list(POOL))
        more = {FLAGS[kind]: True} if self.rng.random() < 0.4 else {}  # an opt-in that comes with another address
        self.edit(self.rng.choice(self.people), **{kind: self.rng.choice([*POOL[kind], None]), **more})

    def swaps(self) -> None:
        kind = self.rng.choice(list(POOL))
        held = {row["clientId"]: row.get(kind) for row in self.rig.clients() if row["clientId"] in self.people}
        one, other = self.rng.sample(self.people, 2)
        self.edit(one, **{kind: held[other]})
        self.edit(other, **{kind: held[one]})

    def bans(self) -> None:
        key = self.rng.choice(self.people)
        now = next(row for row in self.rig.clients() if row["clientId"] == key)["banned"]
        self.edit(key, banned=not now)

    def merges(self) -> None:
        alive = [r["clientId"] for r in self.rig.clients() if r["clientId"] in self.people and not r["deleted"]]
        if len(alive) > 2:
            loser, winner = self.rng.sample(alive, 2)
            self.edit(loser, deleted=True, mergedToClientId=winner)

    def closes_in_ghl(self) -> None:
        for contact in self.picked():
            channel, status = self.rng.choice(["SMS", "Email", "Call", "WhatsApp"]), self.rng.choice(BLOCKED)
            self.dnd(contact, channel, status)
            self.model.close(self.at(contact, channel), channel, "GHL", contact["id"])
            self.theirs[contact["id"], channel] = None

    def opens_in_ghl(self) -> None:
        """Somebody opens again what a person closed there, where nobody else has closed it too.

        To open what we have closed is drift, which no search shows: the audit finds it and closes it again (S16).
        """
        contacts = {row["id"]: row for row in self.ours()}
        alone = [
            (key, channel)
            for key, channel in self.theirs
            if key in contacts
            and self.model.closed.get((self.at(contacts[key], channel) or "", channel), set()) <= {("GHL", key)}
        ]
        for key, channel in alone[:1]:
            self.dnd(contacts[key], channel, "inactive")
            self.model.open(self.at(contacts[key], channel), channel, "GHL", key)
            del self.theirs[key, channel]

    def closes_all(self) -> None:
        for contact in self.picked():
            self.told.append(f"contact {contact['id'][:4]} dnd {not contact['dnd']}")
            self.rig.edit_contact(contact["id"], dnd=not contact["dnd"])
            for channel in (*BY_PHONE, "Email"):
                done = self.model.open if contact["dnd"] else self.model.close
                done(self.at(contact, channel), channel, "GHL, all", contact["id"])

    def agency(self) -> None:
        """A contact that somebody makes by hand: a person's of ours or a stranger's, open or closed."""
        name = self.rng.choice([*LAST_LETTERS[:4], "Stranger"])
        kind = self.rng.choice(list(POOL))
        address = self.rng.choice(POOL[kind])
        if any(row.get(HELD_AS[kind]) == address for row in self.rig.contacts()):
            return
        closed = self.rng.choice([{}, {CHANNELS[kind][0]: {"status": "active", "message": "asked at the desk"}}])
        made = self.rig.make_contact(firstName="Person", lastName=name, **{HELD_AS[kind]: address}, dndSettings=closed)
        self.told.append(f"agency {made['id'][:4]} {name} {address} {closed}")
        for channel in closed:
            self.model.close(address, channel, "GHL", made["id"])
            self.theirs[made["id"], channel] = None

    def picked(self) -> list[Row]:
        rows = self.ours()
        return [self.rng.choice(rows)] if rows else []

    def at(self, contact: Row, channel: str) -> str | None:
        return contact.get("email" if channel == "Email" else "phone")

    def dnd(self, contact: Row, channel: str, status: str) -> None:
        self.told.append(f"contact {contact['id'][:4]} {channel} {status} at {self.at(contact, channel)}")
        wish = {"channels": {channel: status}, "message": "asked at the desk"}
        self.rig.sandbox.control("POST", f"/ghl/contacts/{contact['id']}/dnd", wish)

    # --- what the product does

    def trouble(self) -> None:
        """Something is not as it should be in the next run."""
        rng, rig = self.rng, self.rig
        name = rng.choice(
            ["timeout_after_commit", "silent answers", "permanent kept", "stale", "dnd_ignored", "500", "calm"]
        )
        self.told.append(f"trouble: {name}")
        if name in ("timeout_after_commit", "500"):
            rig.fault(name, rng.choice(["POST /contacts/", "PUT /contacts/{contactId}"]), rate=0.4, ms=5)
        elif name == "dnd_ignored":
            rig.fault(name, rng.choice(["POST /contacts/", "PUT /contacts/{contactId}"]), count=1)
        elif name == "silent answers":
            rig.switch(ghl_dnd_in_write_answers=False)
        elif name == "permanent kept":
            rig.switch(ghl_permanent_omitted="kept")
        elif name == "stale":
            rig.switch(ghl_search_lag_s=30.0)

    def calm(self) -> None:
        self.rig.calm()
        self.rig.switch(ghl_dnd_in_write_answers=True, ghl_permanent_omitted="rejected", ghl_search_lag_s=LAG_S)

    def run(self, *, dies_after: int | None = None) -> bool:
        """A whole run; whether it ended well. The model sees what a run that came to its writes has seen."""
        rig = self.rig
        rig.load()
        rig.confirm()
        clients = [row for row in rig.clients() if row["clientId"] in self.people]
        looked = False
        sync = rig.sync()
        try:
            with dying(sync, dies_after):
                prepared = sync.prepare()
                plan = sync.plan(prepared)
                looked = True
                result = rig.carry_out(sync, plan, prepared)
        except (Kill, ApiError, ConsentNotHonoured) as error:
            self.told.append(f"run ended by {type(error).__name__}")
            ended = False
        else:
            self.told.append(f"run: {result.outcomes}")
            ended = result.outcomes["failed"] == 0 and result.outcomes["deferred"] == 0
        if looked:
            self.model.look(clients)
        return ended

    def check(self) -> None:
        try:
            self.model.check(self.rig.contacts(), set(self.people))
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.told])) from None


@contextmanager
def dying(sync: ClientsSync, after: int | None) -> Iterator[None]:
    """The process ends between two requests, this many of them later."""
    left, client = [after or 0], sync._client

    def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
        def dies(*args: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Kill
            return call(*args, **more)

        return dies

    names = DYING if after is not None else ()
    for name in names:
        setattr(client, name, deadly(getattr(client, name)))
    try:
        yield
    finally:
        for name in names:
            delattr(client, name)


@pytest.fixture
def history(database: Database, request: pytest.FixtureRequest) -> Iterator[History]:
    rng = random.Random(1000 * SEED + request.param)
    with installation(database.url, clients=8, seed=3) as rig:
        yield History(rig, rng)


@pytest.mark.parametrize("history", range(HISTORIES), indirect=True)
def test_nobody_is_reachable_where_somebody_opted_out_whatever_happens(history: History) -> None:
    rng = history.rng
    for _ in range(STEPS):
        for _ in range(rng.randrange(1, 4)):
            history.act()
        if rng.random() < 0.4:
            history.trouble()
        dies = rng.randrange(1, 12) if rng.random() < 0.25 else None
        time.sleep(LAG_S)
        ended = history.run(dies_after=dies)
        history.calm()
        if ended:
            history.check()
    time.sleep(2 * LAG_S)
    history.run()
    history.run()
    history.check()


@pytest.mark.parametrize("history", range(HISTORIES, HISTORIES + 2), indirect=True)
def test_after_a_quiet_time_one_clean_opt_in_opens_the_channel_again(history: History) -> None:
    """Else a system that never opens anything would pass."""
    rig, key = history.rig, history.people[0]
    kept = {"banned": False, "email": "quiet@example.com", "mobile": "+353865553999"}
    for _ in range(3):
        history.flags()
        history.moves()
        time.sleep(LAG_S)
        history.run()
    for agrees in (False, True):
        history.edit(key, **kept, **dict.fromkeys(FLAGS.values(), agrees))
        assert history.run()
        history.check()
    # What was taken over from the old addresses in the same write opens with the next look at the contact.
    assert history.run()
    (contact,) = [row for row in rig.contacts() if key in row["customFields"].values()]
    assert (contact["email"], contact["phone"]) == (kept["email"], kept["mobile"])
    assert {name: one["status"] for name, one in contact["dndSettings"].items() if one["status"] in BLOCKED} == {}
