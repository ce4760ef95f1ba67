"""A salon that lives: seeded events on both sides, each logged with what an observer should conclude.

Belongs here: choosing and logging events. Does not belong here: what happens at the desk (`live_salon.py`) or in GHL
(`live_crm.py`).
"""

from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any

from phorest_ghl.sandbox.clock import phorest_instant
from phorest_ghl.sandbox.live_crm import CrmEvents
from phorest_ghl.sandbox.live_salon import Event, Maker, SalonEvents
from phorest_ghl.sandbox.people_acts import PeopleActs
from phorest_ghl.sandbox.world import World

_DEFAULT_STEP_S = 60.0


class Live:
    """Makes things happen."""

    def __init__(self, world: World, acts: PeopleActs) -> None:
        self.world = world
        self._makers: dict[str, tuple[int, Maker]] = SalonEvents(world, acts).makers() | CrmEvents(world, acts).makers()

    @property
    def kinds(self) -> list[str]:
        """What can happen."""
        return list(self._makers)

    def run(self, wish: Mapping[str, Any]) -> list[Event]:
        """Let events happen: `{count, seed, step_s, kinds}`.

        Args:
            wish: how many events (1), the seed (what happened so far), seconds between them (60), and which kinds
                (all).

        Raises:
            ValueError: an unknown key or kind, or nothing of what was wished can happen.
        """
        unknown = set(wish) - {"count", "seed", "step_s", "kinds"} | set(wish.get("kinds", ())) - set(self._makers)
        if unknown:
            raise ValueError(f"There is no {', '.join(sorted(unknown))}. Kinds: {', '.join(self._makers)}.")
        log = self.world.log
        rng = Random(f"{wish.get('seed', self.world.options.seed)} {len(log)}")  # noqa: S311 - repeatable, not secret
        kinds = list(wish.get("kinds") or self._makers)
        weights = [self._makers[kind][0] for kind in kinds]
        done: list[Event] = []
        failures = 0
        while len(done) < int(wish.get("count", 1)):
            kind = rng.choices(kinds, weights)[0]
            event = self._makers[kind][1](rng)
            failures = failures + 1 if event is None else 0
            if failures > 200:
                raise ValueError(f"After {len(done)} events none of {', '.join(kinds)} can happen in this salon.")
            if event is None:
                continue
            row = {"id": str(len(log) + 1), "at": phorest_instant(self.world.clock.now()), "kind": kind, **event}
            log.put(row["id"], row)
            done.append(row)
            self.world.clock.advance(timedelta(seconds=float(wish.get("step_s", _DEFAULT_STEP_S))))
        self.world.remember_settings()
        return done
