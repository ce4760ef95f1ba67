"""Packages that only benchmarks need: the extras `bench` and `peers`, which a salon's installation does not have.

Belongs here: getting at them. Does not: driving them.
"""

import importlib
import importlib.util
from typing import Any

from benchmarks.report import BenchError

MISSING_DLT = (
    "dlt is not installed (210 MB with pyarrow), so it is not measured and its bars do not hold: "
    "pip install -e '.[peers]' -c constraints.txt"
)


def peer(module: str) -> Any:
    """A module of the `bench` extra. Untyped, so that the type checker needs the extra as little as the product does.

    Raises:
        BenchError: the extra is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise BenchError(
            f"This benchmark measures against the Python package that brings `{module}`, which is not installed. "
            "Install the benchmarks' packages: pip install -e '.[bench]' -c constraints.txt"
        ) from None


def has_dlt() -> bool:
    """Whether the extra `peers` is there."""
    return all(importlib.util.find_spec(module) is not None for module in ("dlt", "pyarrow"))
