"""Collections of rows, and the journal that lets them survive a kill -9.

Belongs here: keeping rows by id, their serialised form, and an append-only file of changes. Does not belong here: what
a row means; indexes over contacts live with the contacts.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import orjson

if TYPE_CHECKING:
    from io import BufferedWriter

Row = dict[str, Any]
"""One JSON object. Rows are never changed in place once stored: a changed copy is put instead."""


def as_row(value: object) -> Row | None:
    """The value if it is a JSON object."""
    return cast("Row", value) if isinstance(value, dict) else None


def as_list(value: object) -> list[Any] | None:
    """The value if it is a JSON array."""
    return cast("list[Any]", value) if isinstance(value, list) else None


class Journal:
    """An append-only file of `[collection, id, row or null]` lines.

    Only what differs from the generated salon is written. A line reaches the operating system before the request that
    caused it is answered, so it survives a killed process (not a lost machine). A half-written last line is dropped
    when read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pending: list[bytes] = []
        self._file: BufferedWriter | None = None

    def read(self) -> Iterator[tuple[str, str, Row | None]]:
        """Every complete line, oldest first."""
        if not self.path.exists():
            return
        with self.path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    name, key, row = orjson.loads(line)
                    yield name, key, row

    def rewrite(self, entries: Iterable[tuple[str, str, Row | None]]) -> None:
        """Replace the file by these entries at once, then append to it."""
        fresh = self.path.with_suffix(".new")
        with fresh.open("wb") as out:
            for entry in entries:
                out.write(orjson.dumps(entry) + b"\n")
        fresh.replace(self.path)
        self._file = self.path.open("ab")

    def note(self, name: str, key: str, row: Row | None) -> None:
        """Remember one change until `flush`."""
        self._pending.append(orjson.dumps((name, key, row)))

    def flush(self) -> None:
        """Hand everything noted to the operating system."""
        if self._pending and self._file is not None:
            self._file.write(b"\n".join(self._pending) + b"\n")
            self._file.flush()
            self._pending.clear()

    def close(self) -> None:
        """Flush and close the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None


class Loadable(Protocol):
    """What a restart can fill."""

    name: str

    def load(self, key: str, row: Row | None) -> None:
        """Take over one line of the journal."""
        ...


class Store:
    """Rows of one kind by id, in order of creation, with a revision that grows with every change."""

    def __init__(self, name: str, journal: Journal | None) -> None:
        self.name = name
        self.rows: dict[str, Row] = {}
        self.revision = 0
        self._journal = journal
        self._blobs: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, key: object) -> bool:
        return key in self.rows

    def get(self, key: str) -> Row | None:
        """The row, or None."""
        return self.rows.get(key)

    def put(self, key: str, row: Row) -> None:
        """Create or replace one row."""
        self.load(key, row)
        if self._journal is not None:
            self._journal.note(self.name, key, row)

    def remove(self, key: str) -> Row | None:
        """Take one row away; the row that was there."""
        row = self.rows.get(key)
        self.load(key, None)
        if self._journal is not None:
            self._journal.note(self.name, key, None)
        return row

    def load(self, key: str, row: Row | None) -> None:
        """Put or remove without a journal line: the generator and a restart use it."""
        self.revision += 1
        self._blobs.pop(key, None)
        if row is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = row

    def blob(self, key: str, shape: Callable[[Row], Row] | None = None) -> bytes:
        """The row as JSON, remembered until it changes. One store has one shape."""
        found = self._blobs.get(key)
        if found is None:
            row = self.rows[key]
            # orjson keeps its working buffer, ten times what a row needs; the copy is as large as its content.
            found = self._blobs[key] = bytes(memoryview(orjson.dumps(row if shape is None else shape(row))))
        return found
