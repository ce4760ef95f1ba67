"""Encryption at rest: what is sealed under PHOREST_GHL_SECRET_KEY, and read again under it or an earlier key.

Belongs here: the one way in which a secret is stored. Does not: which secrets there are (`oauth_tokens`), hashes (`keyed`).
"""

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr


class UnusableSecretKey(Exception):
    """PHOREST_GHL_SECRET_KEY is no key, or not the one that a stored secret was sealed under."""


class Sealer:
    """Seals under the first key, and opens what any of the keys sealed. Its repr shows no key."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are base64 texts of 32 bytes, the present one first. Raises UnusableSecretKey."""
        try:
            self._fernets = [Fernet(key.strip()) for key in keys]
        except ValueError:
            self._fernets = list[Fernet]()
        if not self._fernets:
            raise UnusableSecretKey(
                "PHOREST_GHL_SECRET_KEY is not usable: it should be 32 bytes in base64, as `phorest-ghl init` makes it, or "
                "several such keys with commas between, the present one first."
            )
        self._all = MultiFernet(self._fernets)

    def seal(self, secret: SecretStr) -> str:
        """The secret as it may be stored."""
        return self._all.encrypt(secret.get_secret_value().encode()).decode()

    def open(self, sealed: str) -> SecretStr:
        """The secret. Raises UnusableSecretKey where none of the keys sealed it."""
        try:
            return SecretStr(self._all.decrypt(sealed.encode()).decode())
        except InvalidToken:
            raise UnusableSecretKey(
                "A token in the database was sealed under another PHOREST_GHL_SECRET_KEY than this process has. If the key was "
                "rotated, restart this process, so that it reads .env again; if the key is lost, run `phorest-ghl auth` again."
            ) from None

    def under_present_key(self, sealed: str) -> bool:
        """Whether the first key alone opens it."""
        try:
            self._fernets[0].decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True
