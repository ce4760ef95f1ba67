"""Which standard fields of a contact that somebody else made may be filled (safety S14). Pure.

Belongs here: what counts as empty. Does not: which contact is adopted (`planner`), values (`projection`).
"""

from collections.abc import Callable, Collection

from phorest_ghl.ghl.fields import ADDRESS, CITY, IDENTITY, POSTAL_CODE, STATE, STREET

_PLACE = tuple(spec.name for spec in (STREET, CITY, STATE, POSTAL_CODE))
_ADDRESS = frozenset(spec.name for spec in ADDRESS)


def fillable(held: Callable[[str], object], ours: Collection[str] = frozenset()) -> frozenset[str]:
    """The standard fields that are empty, by name; `held` gives what GHL holds in one, `ours` are those that we filled.

    An address is one thing: while somebody else wrote any part of it, none is filled, for half of theirs and half of the
    client's would be nobody's. A country alone is GHL's own default and no address.
    """
    empty = {spec.name for spec in IDENTITY if not held(spec.name)}
    theirs = any(held(name) and name not in ours for name in _PLACE)
    return frozenset(empty - _ADDRESS if theirs else empty)
