"""Packages that only benchmarks need: the `bench` extra, which a salon's installation does not have.

Belongs here: getting at them. Does not: driving them.
"""

import importlib
from typing import Any

from benchmarks.report import BenchError


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
