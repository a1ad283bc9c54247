"""NumKong (formerly SimSIMD): its reductions. It has no quantization of its own. One thread."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from ..row import Call, Unsupported

__all__ = ["NAME", "SHORT", "min_and_max", "set_threads"]

NAME, SHORT = "numkong", "numkong"


def set_threads(threads: int) -> None:
    """Its functions have no threads."""


def min_and_max(case: Any, threads: int) -> Sequence[Call]:
    if threads > 1:
        raise Unsupported("NumKong's reductions have no threads")
    x, minmax = case.x.reshape(-1), importlib.import_module(NAME).minmax
    return [lambda: minmax(x)]
