"""Keyed hashes of a page's rows, and their ids, taken from the bytes that came.

Belongs here: cutting a page into rows and hashing each. Does not: what a hash is compared with (`bulk`).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from phorest_ghl.db.keyed import Keyring

SIZE = hashlib.sha256().digest_size
"""Bytes of one hash."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """A document's rows: `digests` has their hashes one after the other, `ids` the ids that stand in them.

    `ids` is None where they are not known for sure.
    """

    digests: bytes = field(repr=False)
    ids: frozenset[bytes] | None = field(repr=False)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.digests) // SIZE


class RowHasher:
    """Hashes rows of one entity with one key; may be used by several threads."""

    def __init__(self, keyring: Keyring, id_fields: Sequence[str]) -> None:
        self._id_fields = tuple(id_fields)
        self._inner, self._outer = (hashlib.sha256(pad) for pad in keyring.pads())

    def hashed(self, document: bytes | str, path: Sequence[str] = (), *, rows: int = 0) -> Hashed:
        """The keyed hash and the id of each row of the array at `path`.

        Rows that came alike have the same hash. Rows with different ones may still have the same content (nulls, order of
        members), so those are compared. `rows` is how many there are, where that is known: then the document is only cut
        into them, if it can be, and not parsed.
        """
        if rows and isinstance(document, bytes) and (cut := self._cut(document, rows)) is not None:
            return Hashed(b"".join(map(self._digest, cut)), self._ids_of_cut(cut))
        found: Any = _parsed(document)
        for part in path:
            found = found[part]
        return Hashed(b"".join([self._digest(orjson.dumps(row)) for row in found]), self._ids_of_parsed(found))

    def _cut(self, document: bytes, rows: int) -> list[bytes] | None:
        """The rows' bytes, if each begins with its id and nothing else does; a text cannot hold an unescaped quote."""
        for name in self._id_fields:
            head, between = b'[{"%b":' % name.encode(), b'},{"%b":' % name.encode()
            start = document.find(head)
            if start >= 0:
                cut = document[start + len(head) : document.rfind(b"}]")].split(between)
                return cut if len(cut) == rows else None
        return None

    def _ids_of_cut(self, cut: list[bytes]) -> frozenset[bytes] | None:
        """What stands between the first two quotes of each row; an escape would be another way to write an id."""
        if len(self._id_fields) > 1:
            return None  # a row may have several of them, and another than the first may be the one that counts
        ids = frozenset([row[1 : row.find(b'"', 1)] for row in cut])
        plain = all(row[:1] == b'"' for row in cut) and not any(b"\\" in one for one in ids)
        return ids if plain else None

    def _ids_of_parsed(self, found: list[Any]) -> frozenset[bytes] | None:
        ids: set[bytes] = set()
        for row in found:
            one: object = next((row[name] for name in self._id_fields if row.get(name) is not None), None)
            if not isinstance(one, str):
                return None
            ids.add(one.encode())
        return frozenset(ids)

    def _digest(self, row: bytes) -> bytes:
        """HMAC-SHA256, as `Keyring` has it, from states that have seen the key already: half the time."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(row)
        outer.update(inner.digest())
        return outer.digest()


def _parsed(document: bytes | str) -> Any:
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError:
        return json.loads(document, parse_int=float)  # numbers beyond all doubles, which orjson refuses
