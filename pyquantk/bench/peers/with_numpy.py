"""NumPy, as one writes it by hand: whole-array operations into arrays that exist already. One thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..row import Call, Unsupported

__all__ = ["NAME", "SHORT", "dequantize", "min_and_max", "quantize", "quantize_blocks", "set_threads"]

NAME, SHORT = "numpy", "numpy"


def set_threads(threads: int) -> None:
    """NumPy's loops have no threads."""


def quantize(case: Any, threads: int) -> Sequence[Call]:
    if threads > 1:
        raise Unsupported("NumPy's loops have no threads")
    x, out, work = case.x, np.zeros_like(case.out), np.zeros_like(case.x)
    limits, scale, zero_point = np.iinfo(out.dtype), np.float32(case.scale), case.zero_point or 0

    def call() -> None:
        np.divide(x, scale, out=work)
        np.rint(work, out=work)
        if zero_point:
            np.add(work, zero_point, out=work)
        np.clip(work, limits.min, limits.max, out=work)
        np.copyto(out, work, casting="unsafe")

    return [call]


def quantize_blocks(case: Any, threads: int) -> Sequence[Call]:
    """In float32, then ml_dtypes' cast."""
    if threads > 1:
        raise Unsupported("NumPy's loops have no threads")
    x, out = case.x, np.zeros_like(case.out)
    rows, columns = (min(b, n) for b, n in zip(case.block, x.shape, strict=True))
    shape = (x.shape[0] // rows, rows, x.shape[1] // columns, columns)

    def call() -> None:
        blocks = x.astype(np.float32, copy=False).reshape(shape)
        scale = np.abs(blocks).max((1, 3), keepdims=True) / np.float32(448)
        np.copyto(out.reshape(shape), blocks / scale, casting="unsafe")

    return [call]


def dequantize(case: Any, threads: int) -> Sequence[Call]:
    if threads > 1:
        raise Unsupported("NumPy's loops have no threads")
    x, out, scale = case.x, np.zeros_like(case.out), np.float32(case.scale)
    return [lambda: np.multiply(x, scale, out=out, dtype=np.float32)]


def min_and_max(case: Any, threads: int) -> Sequence[Call]:
    if threads > 1:
        raise Unsupported("NumPy's loops have no threads")
    x = case.x
    return [lambda: (x.min(), x.max())]
