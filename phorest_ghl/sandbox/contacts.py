"""GHL's contacts with the indexes that GHL keeps over them, the lagging search index among them.

Belongs here: finding contacts by address, and what search sees when. Does not belong here: rules of create, update or
upsert.
"""

from collections import defaultdict, deque

from phorest_ghl.sandbox.store import Journal, Row, Store

_MOST_PENDING = 1_000


class ContactStore(Store):
    """Contacts by id, by lower-case email, by additional email and by E.164 phone."""

    def __init__(self, journal: Journal | None) -> None:
        super().__init__("ghl.contacts", journal)
        self.by_email: dict[str, dict[str, None]] = defaultdict(dict)
        self.by_other_email: dict[str, dict[str, None]] = defaultdict(dict)
        self.by_phone: dict[str, dict[str, None]] = defaultdict(dict)
        self.deleted: set[str] = set()
        self.searchable: dict[str, Row] = {}
        self.search_revision = 0
        self._pending: deque[tuple[float, str, Row | None]] = deque()

    def load(self, key: str, row: Row | None) -> None:
        """Keep the indexes true. A loaded contact is searchable at once; `index_later` is what makes it lag."""
        before = self.rows.get(key)
        if before is not None:
            self._index(before, key, present=False)
        super().load(key, row)
        if row is None:
            self.deleted.add(key)
        else:
            self._index(row, key, present=True)

    def _index(self, row: Row, key: str, *, present: bool) -> None:
        pairs = [(self.by_email, row.get("email")), (self.by_phone, row.get("phone"))]
        pairs += [(self.by_other_email, other) for other in row.get("additionalEmails") or ()]
        for index, value in pairs:
            if not value:
                continue
            if present:
                index[value.lower()][key] = None
            else:
                index[value.lower()].pop(key, None)

    def index_later(self, key: str, now: float, lag: float) -> None:
        """Search shows this contact as it is now once the clock has gone on by `lag` seconds."""
        self._pending.append((now + lag, key, self.rows.get(key)))
        if len(self._pending) > _MOST_PENDING:
            self.catch_up(now)  # so that what nobody searches for does not pile up

    def shorten_lag(self, due: float) -> None:
        """The lag was made shorter: nothing waits beyond `due` (epoch seconds)."""
        self._pending = deque((min(due, earlier), key, row) for earlier, key, row in self._pending)

    def index_now(self) -> None:
        """Make search see everything, as after a start."""
        self.searchable = dict(self.rows)
        self._pending.clear()
        self.search_revision += 1

    def catch_up(self, now: float) -> dict[str, Row]:
        """What search sees at `now` (facts/ghl-api §7.1: writes may take a few seconds to show)."""
        while self._pending and self._pending[0][0] <= now:
            _, key, row = self._pending.popleft()
            self.search_revision += 1
            if row is None:
                self.searchable.pop(key, None)
            else:
                self.searchable[key] = row
        return self.searchable
