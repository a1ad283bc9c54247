"""Rows of the float product: float8 by float8, and floats by weights of few bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from .gemm import bytes_of_b
from .peers import pytorch
from .row import Bound, Call, Row, aligned

__all__ = ["ROWS", "FloatCase"]

Array = np.ndarray[Any, Any]
_E4M3 = np.dtype(ml_dtypes.float8_e4m3fn)


@dataclass
class FloatCase:
    """x (m, k) times b (k, n) into out, with the scale of each column of b."""

    x: Array
    b: Array
    scale: Array
    out: Array

    @property
    def work(self) -> float:
        """Multiplications and additions."""
        return 2.0 * self.x.size * int(self.b.shape[1])


def _maker(m: int, x_dtype: Any, b_dtype: Any) -> Callable[[int], FloatCase]:
    def make(size: int) -> FloatCase:
        rng = np.random.default_rng(7)
        x, b = aligned((m, size), x_dtype), aligned((size, size), b_dtype)
        x[...] = rng.standard_normal((m, size)).astype(x_dtype)
        b[...] = (rng.standard_normal((size, size)) * 2).astype(b_dtype)
        scale = np.full(size, 0.05, np.float32)
        return FloatCase(x, b, scale, aligned((m, size), np.float32))

    return make


def _scaled(case: FloatCase) -> Call:
    import pyquantk as qk

    x, packed, scale, out = case.x, qk.pack(case.b), case.scale, case.out
    return lambda: qk.qmatmul(x, packed, a_scale=0.5, b_scale=scale, out=out)


def _weights(case: FloatCase) -> Call:
    import pyquantk as qk

    x, packed, out = case.x, qk.pack(case.b, scale=case.scale), case.out
    return lambda: qk.matmul(x, packed, out=out)


def _peak(case: FloatCase) -> Sequence[Bound]:
    """The fused multiply-add of float32 in registers, as often as this product needs it."""
    from .. import _native

    def bound(repeat: int) -> object:
        return _native.roofline_fma(max(1, round(repeat * case.work / _native.roofline_fma(1))))

    return [bound]


def _row(name: str, m: int, x_dtype: Any, b_dtype: Any) -> Row:
    scaled = x_dtype == b_dtype
    return Row(
        f"{name}, {m} n n",
        _maker(m, x_dtype, b_dtype),
        _scaled if scaled else _weights,
        bytes_of_b if m == 1 else _peak,
        {"torch": pytorch.scaled_mm if scaled else pytorch.float_linear},
        work=lambda case: float(case.work),
        unit="GOP/s",
        sizes=(4096,),
    )


ROWS = (
    *(_row("fp8 x fp8", m, _E4M3, _E4M3) for m in (128, 1024)),
    *(
        _row(f"f32 x {name} weights", m, np.float32, dtype)
        for name, dtype in (("fp8", _E4M3), ("int8", np.int8), ("int4", ml_dtypes.int4))
        for m in (1, 16, 128)
    ),
)
