"""What people decided about records that waited for one: recorded with name and time, taken up by the next plan.

Belongs here: the rows of `review_decisions`, typed. Does not: what a decision changes (`plan`), showing what waits
(`review`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

import orjson
from sqlalchemy import Connection, text

from phorest_ghl.db.keyed import Keyring
from phorest_ghl.sync import normalise


class Kind(StrEnum):
    """What was decided."""

    ADOPT = "adopt"
    """Take this contact for the client although its name is another. Over once a run has taken it."""
    REFUSE_ADOPTION = "refuse adoption"
    """They are two people: do not ask again while both sides stay as they were. Stands until they differ."""
    IDENTITY = "identity"
    """On a contact that was adopted, Phorest's values win from now on. Stands for as long as the mapping does."""
    RECREATE = "recreate"
    """Make the contact that is gone from GHL again, with the strictest consent ever seen. Over once it is made."""
    OPT_IN = "opt-in"
    """Let the channels that waited open. Over once a run has opened them, or found that it may not."""


_OPPOSITES: Mapping[Kind, Kind] = {Kind.ADOPT: Kind.REFUSE_ADOPTION, Kind.REFUSE_ADOPTION: Kind.ADOPT}


@dataclass(frozen=True)
class Decision:
    """One decision that holds. `detail` is what was shown when it was made: ids, keyed hashes, field names."""

    id: int
    kind: Kind
    phorest_id: str
    ghl_id: str | None
    operator: str
    decided_at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def still_about(self, *, client: str, contact: str | None) -> bool:
        """Whether both sides, as `side_hash` gives them, are as they were when it was made."""
        return self.detail.get("client_hash") == client and self.detail.get("contact_hash") == contact


@dataclass(frozen=True)
class Decisions:
    """The decisions of one entity in one location that hold now."""

    rows: tuple[Decision, ...] = ()

    @cached_property
    def _newest(self) -> Mapping[tuple[Kind, str], Decision]:
        return {(row.kind, row.phorest_id): row for row in sorted(self.rows, key=lambda row: row.id)}

    def of(self, kind: Kind, phorest_ids: Collection[str]) -> Decision | None:
        """The newest one of a kind about any of these clients, such as the members of a household."""
        found = [row for phorest_id in phorest_ids if (row := self._newest.get((kind, phorest_id))) is not None]
        return max(found, key=lambda row: row.id, default=None)

    def clients(self, kind: Kind) -> frozenset[str]:
        """Everyone that a decision of this kind is about."""
        return frozenset(row.phorest_id for row in self.rows if row.kind is kind)


def load(connection: Connection, location_id: str, entity_type: str) -> Decisions:
    """Decisions that no run has used up, oldest first."""
    rows = connection.execute(
        text("""select id, kind, phorest_id, ghl_id, operator, decided_at, detail from review_decisions
                where location_id = :location_id and entity_type = :entity_type and used_at is null order by id"""),
        {"location_id": location_id, "entity_type": entity_type},
    )
    return Decisions(tuple(Decision(row[0], Kind(row.kind), *row[2:]) for row in rows))


def record(
    connection: Connection,
    *,
    location_id: str,
    entity_type: str,
    phorest_id: str,
    kind: Kind,
    operator: str,
    ghl_id: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Record a decision; its id. One of the same kind, or of the opposite, that still holds is over with it."""
    key = {"location_id": location_id, "entity_type": entity_type, "phorest_id": phorest_id}
    over = [kind.value, *([_OPPOSITES[kind].value] if kind in _OPPOSITES else [])]
    connection.execute(
        text("""update review_decisions set used_at = now()
                where location_id = :location_id and entity_type = :entity_type and phorest_id = :phorest_id
                      and kind = any(:over) and used_at is null"""),
        {**key, "over": over},
    )
    return connection.execute(
        text("""insert into review_decisions (location_id, entity_type, phorest_id, ghl_id, kind, operator, detail)
                values (:location_id, :entity_type, :phorest_id, :ghl_id, :kind, :operator, cast(:detail as jsonb))
                returning id"""),
        {
            **key,
            "ghl_id": ghl_id,
            "kind": kind.value,
            "operator": operator,
            "detail": orjson.dumps(dict(detail or {})).decode(),
        },
    ).scalar_one()


def mark_used(connection: Connection, decisions: Iterable[Decision], *, batch_id: str) -> int:
    """A run has acted on these; how many held until now. `sync_changes` says under the batch's id what came of it."""
    ids = [decision.id for decision in decisions]
    if not ids:
        return 0
    return connection.execute(
        text("""update review_decisions
                set used_at = now(), detail = detail || jsonb_build_object('batch_id', cast(:batch_id as text))
                where id = any(:ids) and used_at is null"""),
        {"ids": ids, "batch_id": batch_id},
    ).rowcount


def side_hash(
    keyring: Keyring, *, first_name: str | None, last_name: str | None, email: str | None, phone: str | None
) -> str:
    """The keyed hash of who one side says it is: a client as imported, or a contact as the mirror has it.

    Names in any case and spacing are one, for a search answers them in lower case (facts/ghl-api §5.3).
    """
    return keyring.digest(
        "review side", normalise.folded_name(first_name, last_name), (email or "").strip().lower(), phone or ""
    )
