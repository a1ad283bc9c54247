"""NumKong (formerly SimSIMD): its reductions, casts and products. It has no quantization of its own. One thread."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..row import Call, Unsupported

__all__ = ["NAME", "SHORT", "cast", "int_mm", "min_and_max", "set_threads"]

NAME, SHORT = "numkong", "numkong"


def set_threads(threads: int) -> None:
    """Its functions have no threads."""


def _one(threads: int) -> Any:
    if threads > 1:
        raise Unsupported("NumKong has no threads")
    return importlib.import_module(NAME)


def int_mm(case: Any, threads: int) -> Sequence[Call]:
    """The int8 product with a packed B; it takes B transposed, and both sides of one sign."""
    numkong = _one(threads)
    packed = numkong.dots_pack(np.ascontiguousarray(case.b.T))
    out = numkong.zeros(case.out.shape, dtype="int32")
    return [lambda: numkong.dots_packed(case.x, packed, out=out)]


def cast(case: Any, threads: int) -> Sequence[Call]:
    """float32 to float8 and back."""
    numkong = _one(threads)
    names = {"float32": "float32", "float8_e4m3fn": "e4m3", "float8_e5m2": "e5m2"}
    source, target = names[case.x.dtype.name], names[case.out.dtype.name]
    x, out = case.x, numkong.zeros(case.out.shape, dtype=target)
    if source != "float32":
        x = numkong.zeros(x.shape, dtype=source)
        numkong.astype(case.x.astype(np.float32), source, out=x)
    return [lambda: numkong.astype(x, target, out=out)]


def min_and_max(case: Any, threads: int) -> Sequence[Call]:
    if threads > 1:
        raise Unsupported("NumKong's reductions have no threads")
    x, minmax = case.x.reshape(-1), importlib.import_module(NAME).minmax
    return [lambda: minmax(x)]
