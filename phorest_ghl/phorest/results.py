"""What an import says of itself. Belongs here: the result and what follows from its numbers. Does not: importing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class ImportResult:
    """What one import of one entity did. Counts are rows; `lower` and `upper` bound a delta; None means a full read.

    Attributes:
        scope: the branch, or branch and month; empty for the whole business.
        seen: rows listed, each counted once.
        foreign: rows that say they are another branch's, which were left alone.
        repeated: how often Phorest lists a row once more, and does so again when asked again.
        asked_by_id: rows that a complete read no longer listed, each asked for by id.
        tombstoned: rows that are over.
        unsettled: rows no longer listed of which it could not be said whether they are over; the next full read asks again.
        filter_ignored: the delta's filter did not filter, so the cursor stayed.
        drifted: the list changed while it was read, in every pass that there was.
        parts: the results that this one sums up.
    """

    entity_type: str
    scope: str = ""
    seen: int
    inserted: int
    updated: int
    tombstoned: int
    total_elements: int
    requests: int
    lower: datetime | None
    upper: datetime
    watermark: datetime | None
    set_aside: tuple[str, ...] = ()
    odd_fields: Mapping[str, int] = field(default_factory=dict[str, int])
    failed_pages: Mapping[int, str] = field(default_factory=dict[int, str])
    suspiciously_empty: bool = False
    filter_ignored: bool = False
    drifted: bool = False
    foreign: int = 0
    repeated: int = 0
    asked_by_id: int = 0
    unsettled: int = 0
    parts: "tuple[ImportResult, ...]" = ()

    @property
    def unchanged(self) -> int:
        """Rows that were listed and are as we hold them."""
        return self.seen - self.inserted - self.updated

    @property
    def complete(self) -> bool:
        """Whether everything that was to be listed was read; only then did the cursor move."""
        if self.parts:
            return all(part.complete for part in self.parts)
        missing = self.total_elements - self.seen - self.foreign - self.repeated - len(self.set_aside)
        return not (self.failed_pages or self.suspiciously_empty or self.filter_ignored) and missing <= 0

    @property
    def problem(self) -> str | None:
        """Why the read is not complete, as a sentence; None if it is."""
        if self.parts:
            return next((part.problem for part in self.parts if part.problem), None)
        where = f"{self.entity_type} {self.scope}".rstrip()
        if self.filter_ignored:
            return (
                f"Phorest did not apply the delta's filter to {where}: rows older than asked for came back. They were "
                "written, the cursor stays; run a full import, and check the parameter's name with Phorest."
            )
        if self.suspiciously_empty:
            return (
                f"Phorest listed nothing for {where} although rows are held. Nothing was taken for deleted; look whether "
                "they are gone in Phorest, and run a full import again."
            )
        if self.failed_pages:
            number, reason = next(iter(self.failed_pages.items()))
            return f"{len(self.failed_pages)} pages of {where} could not be read; page {number}: {reason}"
        if not self.complete:
            return (
                f"Phorest counted {self.total_elements} rows of {where} and listed {self.seen}: the list changed while it "
                "was read. The cursor stays; run the import again."
            )
        return None


def nothing(entity_type: str, upper: datetime) -> ImportResult:
    """What there is to say where there was nothing to read: a business without branches."""
    return ImportResult(
        entity_type=entity_type,
        seen=0,
        inserted=0,
        updated=0,
        tombstoned=0,
        total_elements=0,
        requests=0,
        lower=None,
        upper=upper,
        watermark=None,
    )


def combined(results: Iterable[ImportResult]) -> ImportResult:
    """Several scopes of one entity as one: counts added up, the widest window, the slowest cursor.

    It is complete only if each of them is: what was missing in one must not be made up for by another. At least one
    result is needed.
    """
    found = tuple(results)
    first = found[0]
    if len(found) == 1:
        return first
    numbers = ("seen", "inserted", "updated", "tombstoned", "total_elements", "requests", "foreign", "repeated")
    watermarks = [one.watermark for one in found if one.watermark is not None]
    lowers = [one.lower for one in found if one.lower is not None]
    failed = [reason for one in found for reason in one.failed_pages.values()]
    return replace(
        first,
        scope=f"{len(found)} scopes",
        **{name: sum(getattr(one, name) for one in found) for name in (*numbers, "asked_by_id", "unsettled")},
        lower=min(lowers) if len(lowers) == len(found) else None,
        upper=max(one.upper for one in found),
        watermark=min(watermarks, default=None),
        set_aside=tuple(sorted({record for one in found for record in one.set_aside})),
        odd_fields={
            name: sum(one.odd_fields.get(name, 0) for one in found) for one in found for name in one.odd_fields
        },
        failed_pages=dict(enumerate(failed)),
        suspiciously_empty=any(one.suspiciously_empty for one in found),
        filter_ignored=any(one.filter_ignored for one in found),
        drifted=any(one.drifted for one in found),
        parts=found,
    )
