"""Keyed hashes of personal values: HMAC-SHA256, alike in Python and in SQL, and the check that the key is ours.

Belongs here: the one way in which anything personal is hashed (safety S21). Does not: encryption of tokens.
"""

import hashlib
import hmac
import re

from sqlalchemy import Connection, text

_BLOCK = 64  # bytes, of SHA-256
_NAME = "hash"
_SEPARATOR, _ESCAPE = "\x1f", "\x1e"
_SPECIAL = re.compile(f"[{_SEPARATOR}{_ESCAPE}]")  # escaped, else ("a", "b") and ("a<separator>b",) were one value


class KeyMismatch(Exception):
    """The hash key is not the one that wrote this database."""


class Keyring:
    """Hashes under PHOREST_GHL_HASH_KEY. The key is made once and never rotated."""

    def __init__(self, key: bytes) -> None:
        """`key` holds at least 16 bytes; a ValueError says so otherwise."""
        if len(key) < 16:
            raise ValueError("PHOREST_GHL_HASH_KEY needs at least 16 bytes")
        self._key = key

    def digest(self, *parts: str) -> str:
        """The keyed hash of a value, 64 hexadecimal digits; several parts are told apart whatever they hold."""
        message = _SEPARATOR.join(parts)
        if message.count(_SEPARATOR) >= len(parts) or _ESCAPE in message:
            message = _SEPARATOR.join(_SPECIAL.sub(rf"{_ESCAPE}\g<0>", part) for part in parts)
        return hmac.digest(self._key, message.encode(), "sha256").hex()

    def pads(self) -> tuple[bytes, bytes]:
        """The inner and outer pad, so that SQL can do the same with `sha256(outer || sha256(inner || message))`."""
        block = (hashlib.sha256(self._key).digest() if len(self._key) > _BLOCK else self._key).ljust(_BLOCK, b"\0")
        return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)

    def fingerprint(self) -> str:
        """What the database may know of the key: enough to tell it from another, too little to find it."""
        return self.digest("fingerprint of PHOREST_GHL_HASH_KEY")[:16]

    def require_same(self, connection: Connection) -> None:
        """Store the key's fingerprint on first use; afterwards raise KeyMismatch if it is another one."""
        connection.execute(
            text(
                "insert into key_fingerprints (name, fingerprint) values (:name, :fingerprint)"
                " on conflict (name) do nothing"
            ),
            {"name": _NAME, "fingerprint": self.fingerprint()},
        )
        known = connection.execute(
            text("select fingerprint from key_fingerprints where name = :name"), {"name": _NAME}
        ).scalar_one()
        if known != self.fingerprint():
            raise KeyMismatch(
                f"PHOREST_GHL_HASH_KEY is not the key that this database was written with (its fingerprint is {known}, "
                f"this key's is {self.fingerprint()}). Every address would look new and contacts would be made twice, "
                "so nothing is planned or applied. Put the first key back: it is in the .env of the deployment that "
                "made the database, and in every dump of it."
            )
