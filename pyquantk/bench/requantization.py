"""Rows of requantize."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .row import Call, Row, aligned, shape_of, traffic

__all__ = ["ROWS"]

Array = np.ndarray[Any, Any]


@dataclass
class RequantizeCase:
    """Arrays of one call."""

    x: Array
    out: Array
    mask: None
    multiplier: Any
    axis: int | None
    rounding: str | None


def _make(
    dtype: str = "int8", *, axis: int | None = None, rounding: str | None = None
) -> Callable[[int], RequantizeCase]:
    """Row.make: `rounding` is that of a fixed-point multiplier, None a float one."""

    def make(n: int) -> RequantizeCase:
        import pyquantk as qk

        shape = shape_of(n)
        x = aligned(shape, np.int32)
        x[...] = np.random.default_rng(7).integers(-25000, 25000, shape, np.int32)
        multiplier: Any = 0.0051 if axis is None else np.linspace(0.004, 0.006, shape[axis])
        if rounding is not None:
            multiplier = qk.FixedPointMultiplier.from_float(multiplier)
        return RequantizeCase(x, aligned(shape, dtype), None, multiplier, axis, rounding)

    return make


def _requantize(case: RequantizeCase) -> Call:
    import pyquantk as qk

    x, out, m, dtype, axis, rounding = case.x, case.out, case.multiplier, case.out.dtype, case.axis, case.rounding
    return lambda: qk.requantize(x, m, 3, dtype=dtype, axis=axis, rounding=rounding, out=out)


_TO_8 = traffic(32, 8)

ROWS = (
    Row("s32 -> int8", _make(), _requantize, _TO_8),
    Row("s32 -> int8, inner channels", _make(axis=1), _requantize, _TO_8),
    Row("s32 -> int8, single", _make(rounding="single"), _requantize, _TO_8),
    Row("s32 -> int8, single, inner channels", _make(axis=1, rounding="single"), _requantize, _TO_8),
    Row("s32 -> int8, double", _make(rounding="double"), _requantize, _TO_8),
)
