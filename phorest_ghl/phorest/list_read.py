"""What is asked of a list, and what reading it has found.

Belongs here: the question and the findings, as data. Does not: reading (`reads`), writing (`page_writes`).
"""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from phorest_ghl.db.bulk import Written
from phorest_ghl.phorest.pages import Page
from phorest_ghl.phorest.scopes import Scope
from phorest_ghl.phorest.specs import ImportSpec

_IGNORED_SHARE = 0.2  # of rows below the lower bound, above which the filter did not filter (facts/phorest-api §9)


@dataclass
class ListRead:
    """What the passes over one list have found so far. `seen` and `foreign` are set when they are over.

    `repeated` is how often Phorest lists a row once more, where two passes running found that.
    """

    read_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    inserted: int = 0
    updated: int = 0
    seen: int = 0
    foreign: int = 0
    total_elements: int = 0
    set_aside: dict[str, str] = field(default_factory=dict[str, str])
    odd: Counter[str] = field(default_factory=Counter[str])
    failed: dict[int, str] = field(default_factory=dict[int, str])
    dated: int = 0
    older: int = 0
    drifted: bool = False
    repeated: int = 0

    def start_over(self) -> None:
        """Forget what another pass says anew: what was wrong with pages, rows and fields."""
        self.failed.clear()
        self.set_aside.clear()
        self.odd.clear()
        self.dated = self.older = 0

    def add(self, written: Written) -> None:
        """Count what a page did."""
        self.inserted += written.inserted
        self.updated += written.updated

    @property
    def short(self) -> bool:
        """Whether rows are still missing."""
        return self.seen + self.foreign + len(self.set_aside) + self.repeated < self.total_elements

    @property
    def filter_ignored(self) -> bool:
        """Whether so many rows are older than the delta's lower bound that its filter cannot have been applied."""
        return self.older > _IGNORED_SHARE * self.dated


@dataclass(frozen=True, kw_only=True)
class ListQuestion:
    """What is asked of a list.

    Attributes:
        spec: the entity.
        scope: which of its rows.
        params: sent with every page, besides the spec's own.
        lower: where a delta begins; None for a full read.
        derived_from: what derived columns look up, made from a page.
    """

    spec: ImportSpec
    scope: Scope
    params: Mapping[str, str]
    lower: datetime | None
    derived_from: Callable[[Page], Mapping[str, object]]
