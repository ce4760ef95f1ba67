"""Ids in both vendors' shapes, from a seeded random source.

Belongs here: how an id looks. Does not belong here: what it points to.
"""

import base64
import string
from random import Random

_GHL_ALPHABET = string.ascii_letters + string.digits


def phorest_id(rng: Random) -> str:
    """16 bytes in URL-safe base64 without padding: 22 characters that may start with `-` (facts/phorest-api §2.4)."""
    return base64.urlsafe_b64encode(rng.getrandbits(128).to_bytes(16, "big")).rstrip(b"=").decode()


def dashed_phorest_id(rng: Random) -> str:
    """A Phorest id that starts with `-`, so that even a small salon has one."""
    raw = bytes([0xF8 | rng.getrandbits(2)]) + rng.getrandbits(120).to_bytes(15, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def ghl_id(rng: Random) -> str:
    """20 letters and digits (facts/ghl-api §5)."""
    return "".join(rng.choices(_GHL_ALPHABET, k=20))


def uuid_text(rng: Random) -> str:
    """A random UUID, version 4, as text; for trace ids and webhook ids."""
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
