"""Memory that Python has freed and the C library keeps, given back to the system between the steps of a long run.

Belongs here: that. Does not: what is freed.
"""

import ctypes
import gc
import sys


def give_back() -> None:
    """Collect what nobody holds, and give it back where the C library can (glibc). Takes some hundredths of a second."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
