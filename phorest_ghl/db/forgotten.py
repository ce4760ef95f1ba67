"""Whether somebody was forgotten: asked in SQL by what writes rows, and from Python by what is about to ask a vendor.

Belongs here: the keys of tombstones and the questions. Does not: forgetting (`phorest_ghl.privacy`).
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal

from sqlalchemy import Connection, text

from phorest_ghl.db.keyed import Keyring

Kind = Literal["client", "contact"]


def key_of(keyring: Keyring, kind: Kind, vendor_id: str) -> str:
    """The keyed hash that a forgotten client's or contact's id is known by."""
    return keyring.digest(f"forgotten {kind}", vendor_id)


def is_forgotten_sql(kind: Kind, expression: str) -> str:
    """An SQL condition, never null: whether the id that `expression` gives is one. Its parameters are `pads`.

    Asked in the statement that writes the row, for what is read before may be forgotten before it is written. Where nobody
    was ever forgotten no hash is made.
    """
    message = f"convert_to('forgotten {kind}' || chr(31) || ({expression}), 'UTF8')"
    inner = f"sha256(cast(:inner_pad as bytea) || {message})"
    key = f"encode(sha256(cast(:outer_pad as bytea) || {inner}), 'hex')"
    known = f"{key} in (select key_hash from forgotten)"  # noqa: S608 - text of ours
    return f"coalesce(case when exists (select from forgotten) then {known} end, false)"


def pads(keyring: Keyring) -> Mapping[str, bytes]:
    """The parameters of `is_forgotten_sql`."""
    inner, outer = keyring.pads()
    return {"inner_pad": inner, "outer_pad": outer}


def forgotten_of(connection: Connection, keyring: Keyring, kind: Kind, ids: Collection[str]) -> frozenset[str]:
    """Those of the ids that were forgotten."""
    keys: dict[str, Any] = {key_of(keyring, kind, one): one for one in ids}
    rows = connection.execute(
        text("select key_hash from forgotten where key_hash = any(:keys)"), {"keys": list(keys)}
    ).scalars()
    return frozenset(keys[key] for key in rows)
