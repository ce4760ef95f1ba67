"""What the location's workflows would have sent to whom.

Belongs here: triggers, the two kinds of workflow per trigger, and one record per run and channel. Does not belong here:
deciding that something happened; the handlers say so.

Each trigger has a workflow without a filter and one that leaves out contacts tagged `phorest:backfill` (safety S1). A
filter sees the contact as it is when the trigger fires: a tag in the body of a create is seen, a tag added by a later
call is not.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Literal, get_args

from phorest_ghl.sandbox.store import Journal, Row

GUARD_TAG = "phorest:backfill"
TRIGGERS = ("contact created", "tag added", "field changed", "DND", "note", "appointment")
CHANNELS = ("SMS", "Email")
_NEEDS = {"SMS": "phone", "Email": "email"}
Status = Literal["published", "paused"]


_COLUMNS = ("id", "at", "contact", "channel", "trigger", "workflow", "detail", "filtered", "sent", "reason")


class _Log:
    """Runs by id. There may be hundreds of thousands, so they are kept as tuples; the journal holds them as rows."""

    name = "automations"

    def __init__(self, journal: Journal | None) -> None:
        self.runs: dict[str, tuple[Any, ...]] = {}
        self._journal = journal

    def load(self, key: str, row: Row | None) -> None:
        """Take over a row of the journal."""
        if row is None:
            self.runs.pop(key, None)
        else:
            self.runs[key] = tuple(row.values())

    def add(self, key: str, values: tuple[Any, ...]) -> None:
        """One run and channel."""
        self.runs[key] = values
        if self._journal is not None:
            self._journal.note(self.name, key, dict(zip(_COLUMNS, values, strict=True)))


class Automations:
    """The location's workflows and their runs.

    A filtered run is one record with channel null. A run that is not filtered is one record per channel, `sent` or not
    with the reason. What never became a run (a paused workflow, an appointment written with `toNotify` false) is only
    counted.
    """

    def __init__(self, journal: Journal | None) -> None:
        self.log = _Log(journal)
        self.not_run: Counter[str] = Counter()
        self._status: dict[str, Status] = {
            f"{trigger}, {kind}": "published" for trigger in TRIGGERS for kind in ("unfiltered", "guarded")
        }
        self._ids = count(1)

    def workflows(self) -> list[Row]:
        """All workflows: id, trigger, kind (`unfiltered` or `guarded`), status, and the tag its filter leaves out."""
        return [
            {
                "id": name,
                "trigger": trigger,
                "kind": kind,
                "status": self._status[name],
                "excludes_tag": GUARD_TAG if kind == "guarded" else None,
            }
            for trigger in TRIGGERS
            for kind in ("unfiltered", "guarded")
            for name in (f"{trigger}, {kind}",)
        ]

    def publish(self, wish: Mapping[str, Any]) -> None:
        """Publish or pause workflows.

        Args:
            wish: status by `workflows` (all of them), `unfiltered` or `guarded` (one kind), or a workflow's id.

        Raises:
            ValueError: an unknown workflow or status.
        """
        for name, status in wish.items():
            if status not in get_args(Status):
                raise ValueError(f"A workflow is 'published' or 'paused', not {status!r}.")
            hits = [known for known in self._status if name in {"workflows", known} or known.endswith(f", {name}")]
            if not hits:
                raise ValueError(f"There is no workflow {name!r}. GET /__sandbox__/workflows lists them.")
            for known in hits:
                self._status[known] = status

    def restore(self, saved: Row | None) -> None:
        """Take over statuses and numbering from a former process."""
        for row in (saved or {}).get("rows", ()):
            self._status[row["id"]] = row["status"]
        self._ids = count(1 + max(map(int, self.log.runs), default=0))

    def fire(self, trigger: str, contact: Row, *, at: str, detail: str = "", notify: bool = True) -> None:
        """A trigger happened to a contact; `notify` false is `toNotify:false` (facts/ghl-api §11.2)."""
        if not notify:
            self.not_run["toNotify false"] += 1
            return
        guarded_out = GUARD_TAG in contact["tags"]
        for kind in ("unfiltered", "guarded"):
            workflow = f"{trigger}, {kind}"
            if self._status[workflow] == "paused":
                self.not_run["workflow paused"] += 1
                continue
            run = (trigger, workflow, detail)
            if kind == "guarded" and guarded_out:
                self._record(at, contact["id"], None, run, f"contact is tagged {GUARD_TAG}")
            else:
                for channel in CHANNELS:
                    self._record(at, contact["id"], channel, run, blocked(contact, channel))

    def _record(
        self, at: str, contact: str, channel: str | None, run: tuple[str, str, str], reason: str | None
    ) -> None:
        key = str(next(self._ids))
        values = (key, at, contact, channel, *run, channel is None, reason is None, reason)
        self.log.add(key, values)

    def runs(self) -> Iterator[Row]:
        """Every run and channel, oldest first.

        `{id, at, contact, channel, trigger, workflow, detail, filtered, sent, reason}`.
        """
        for values in self.log.runs.values():
            yield dict(zip(_COLUMNS, values, strict=True))

    def summary(self) -> Row:
        """Counts of what would have been sent, was filtered, was blocked, and never ran."""
        found: Counter[str] = Counter()
        sent: Counter[str] = Counter()
        for row in self.runs():
            found["filtered" if row["filtered"] else "sent" if row["sent"] else "blocked"] += 1
            if row["sent"]:
                sent[row["trigger"]] += 1
        counts = {name: found[name] for name in ("sent", "filtered", "blocked")}
        return {**counts, "not_run": dict(self.not_run), "sent_by_trigger": dict(sent)}


def blocked(contact: Row, channel: str) -> str | None:
    """Why nothing goes to this contact on this channel; None when it would be sent."""
    if not contact.get(_NEEDS[channel]):
        return f"contact has no {_NEEDS[channel]}"
    if contact.get("dnd"):
        return "DND on all channels"
    settings: Row = contact.get("dndSettings") or {}
    status = settings.get(channel, {}).get("status")
    return f"DND {status} on {channel}" if status in {"active", "permanent"} else None
