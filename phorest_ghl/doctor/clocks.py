"""Whether this machine and a vendor agree on what time it is.

Belongs here: the bounds. Does not: asking for the vendor's time (`phorest_side`, `ghl_side`).
"""

from datetime import datetime

from phorest_ghl.doctor.checkup import Finding, green, red, yellow

_SMALL_S = 5.0
"""A `Date` header has whole seconds, and an answer takes a moment."""
_LARGE_S = 300.0
"""Beyond this, certificates and signatures begin to be refused."""


def skew(vendor: str, theirs: datetime, ours: datetime) -> Finding:
    """How far apart the clocks are. Both are aware instants of the same moment."""
    seconds = (ours - theirs).total_seconds()
    found = f"this machine is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} {vendor}"
    if abs(seconds) <= _SMALL_S:
        return green(f"this machine and {vendor} agree within {_SMALL_S:.0f} s")
    if abs(seconds) <= _LARGE_S:
        return yellow(found, "Let the machine set its clock by NTP.")
    return red(found, "Set the machine's clock, by NTP for instance: certificates are refused and quiet hours shift.")
