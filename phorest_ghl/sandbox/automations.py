"""What the location's workflows would have sent to whom.

Belongs here: triggers, the two kinds of workflow per trigger, and one record per run and channel. Does not belong here:
deciding that something happened; the handlers say so.

Each trigger has a workflow without a filter and one that leaves out contacts tagged `phorest:backfill` (safety S1). A
filter sees the contact as it is when the trigger fires: a tag in the body of a create is seen, a tag added by a later
call is not.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from phorest_ghl.sandbox.store import Journal, Row

GUARD_TAG = "phorest:backfill"
TRIGGERS = ("contact created", "tag added", "field changed", "DND", "note", "appointment")
CHANNELS = ("SMS", "Email")
_NEEDS = {"SMS": "phone", "Email": "email"}
Status = Literal["published", "paused"]


_COLUMNS = ("id", "at", "contact", "channel", "trigger", "workflow", "detail", "filtered", "sent", "reason")
Kind = tuple[str | None, str, str, str, bool, bool, str | None]
"""Channel, trigger, workflow, detail, filtered, sent, reason: few differ, so each is kept once."""


class _Log:
    """Runs in order, numbered from 1; the journal holds them as rows.

    There may be millions, and none may be forgotten: a run is 16 bytes here, which say where its instant, its contact
    and its kind are kept.
    """

    name = "automations"

    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal
        self._instants: list[str] = []
        self._contacts: list[str] = []
        self._kinds: list[Kind] = []
        self._kind_numbers: dict[Kind, int] = {}
        self._at, self._kind = array("I"), array("I")

    def __len__(self) -> int:
        return len(self._kind)

    def load(self, key: str, row: Row | None) -> None:
        """Take over a row of the journal.

        Raises:
            ValueError: it is not the next one; runs are never taken away.
        """
        if row is None or key != str(len(self) + 1):
            raise ValueError(f"The journal of the sandbox's state is damaged: automation {key} follows {len(self)}.")
        _, at, contact, *kind = (row[name] for name in _COLUMNS)
        self._append(at, contact, tuple(kind))

    def add(self, at: str, contact: str, kind: Kind) -> None:
        """One run and channel."""
        self._append(at, contact, kind)
        if self._journal is not None:
            row = self.row(len(self) - 1)
            self._journal.note(self.name, row["id"], row)

    def _append(self, at: str, contact: str, kind: Kind) -> None:
        if not self._instants or self._instants[-1] != at:
            self._instants.append(at)  # the runs of one request share it
        number = self._kind_numbers.get(kind)
        if number is None:
            number = self._kind_numbers[kind] = len(self._kinds)
            self._kinds.append(kind)
        same = self._contacts and self._contacts[-1] == contact
        self._contacts.append(self._contacts[-1] if same else contact)
        self._at.append(len(self._instants) - 1)
        self._kind.append(number)

    def row(self, index: int) -> Row:
        """One run as the control surface shows it."""
        at, contact = self._instants[self._at[index]], self._contacts[index]
        return dict(zip(_COLUMNS, (str(index + 1), at, contact, *self._kinds[self._kind[index]]), strict=True))

    def counts(self) -> Iterator[tuple[Kind, int]]:
        """How many runs there are of each kind."""
        return ((self._kinds[number], times) for number, times in Counter(self._kind).items())


class _NotRun:
    """Counts of what never became a run, by reason."""

    name = "automations not run"

    def __init__(self, journal: Journal | None) -> None:
        self.counts: Counter[str] = Counter()
        self._journal = journal

    def load(self, key: str, row: Row | None) -> None:
        """Take over a row of the journal."""
        if row is not None:
            self.counts[key] = row["count"]

    def add(self, reason: str) -> None:
        """One more."""
        self.counts[reason] += 1
        if self._journal is not None:
            self._journal.note(self.name, reason, {"count": self.counts[reason]})


class Automations:
    """The location's workflows and their runs.

    A filtered run is one record with channel null. A run that is not filtered is one record per channel, `sent` or not
    with the reason. What never became a run (a paused workflow, an appointment written with `toNotify` false) is only
    counted.
    """

    def __init__(self, journal: Journal | None) -> None:
        self.log = _Log(journal)
        self.not_run = _NotRun(journal)
        self._status: dict[str, Status] = {
            f"{trigger}, {kind}": "published" for trigger in TRIGGERS for kind in ("unfiltered", "guarded")
        }

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
        """Take over statuses from a former process."""
        for row in (saved or {}).get("rows", ()):
            self._status[row["id"]] = row["status"]

    def fire(self, trigger: str, contact: Row, *, at: str, detail: str = "", notify: bool = True) -> None:
        """A trigger happened to a contact; `notify` false is `toNotify:false` (facts/ghl-api §11.2)."""
        if not notify:
            self.not_run.add("toNotify false")
            return
        guarded_out = GUARD_TAG in contact["tags"]
        for kind in ("unfiltered", "guarded"):
            workflow = f"{trigger}, {kind}"
            if self._status[workflow] == "paused":
                self.not_run.add("workflow paused")
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
        self.log.add(at, contact, (channel, *run, channel is None, reason is None, reason))

    def runs(self) -> Iterator[Row]:
        """Every run and channel, oldest first.

        `{id, at, contact, channel, trigger, workflow, detail, filtered, sent, reason}`.
        """
        return map(self.log.row, range(len(self.log)))

    def last(self, most: int) -> list[Row]:
        """The latest runs, newest first."""
        newest = range(len(self.log) - 1, -1, -1)
        return [self.log.row(index) for index in newest[:most]]

    def summary(self) -> Row:
        """Counts of what would have been sent, was filtered, was blocked, and never ran."""
        found: Counter[str] = Counter()
        sent_by_trigger: Counter[str] = Counter()
        for (_, trigger, _, _, filtered, sent, _), times in self.log.counts():
            found["filtered" if filtered else "sent" if sent else "blocked"] += times
            if sent:
                sent_by_trigger[trigger] += times
        counts = {name: found[name] for name in ("sent", "filtered", "blocked")}
        return {**counts, "not_run": dict(self.not_run.counts), "sent_by_trigger": dict(sent_by_trigger)}


def blocked(contact: Row, channel: str) -> str | None:
    """Why nothing goes to this contact on this channel; None when it would be sent."""
    if not contact.get(_NEEDS[channel]):
        return f"contact has no {_NEEDS[channel]}"
    if contact.get("dnd"):
        return "DND on all channels"
    settings: Row = contact.get("dndSettings") or {}
    status = settings.get(channel, {}).get("status")
    return f"DND {status} on {channel}" if status in {"active", "permanent"} else None
