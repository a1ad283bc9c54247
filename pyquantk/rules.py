"""How a range becomes a scale and a zero point, as each system does it.

A rule takes arrays of the least and the greatest values (float32, finite, any shape), the limits of the integer type
and whether a symmetric result is wanted, and returns scale (float32) and zero point (int64, or None for 0 everywhere).
Rules of systems that know one kind only ignore the wish.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import _native
from .arrays import Array

__all__ = ["RULES"]

Limits = tuple[int, int]
Rule = Callable[[Array, Array, Limits, bool], tuple[Array, Array | None]]

_TINY = np.float32(np.finfo(np.float32).tiny)


def _with_zero(low: Array, high: Array) -> tuple[Array, Array]:
    return np.minimum(low, np.float32(0)), np.maximum(high, np.float32(0))


def _absmax(low: Array, high: Array) -> Array:
    return np.maximum(np.abs(low), np.abs(high))


def _middle(scale: Array, limits: Limits) -> Array | None:
    """The zero point of a symmetric range: none for signed types, half the range for unsigned ones."""
    middle = int((limits[0] + limits[1] + 1) / 2)
    return np.full(scale.shape, middle, np.int64) if middle else None


def _onnx(low: Array, high: Array, limits: Limits) -> tuple[Array, Array]:
    low, high = _with_zero(low, high)
    steps = np.float32(limits[1] - limits[0])
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        scale = np.where(high == low, np.float32(1), (high - low) / steps).astype(np.float32)
        point = np.float32(limits[0]) - low / scale
    point = np.where(np.isnan(point), np.float32(limits[0]), point)  # 0 / 0: a range below the least subnormal step
    return scale, np.rint(np.clip(point, *limits)).astype(np.int64)


def pyquantk(low: Array, high: Array, limits: Limits, symmetric: bool) -> tuple[Array, Array | None]:
    """Symmetric: absmax / qmax, so that the range is used evenly, [-127, 127] for int8. Asymmetric: ONNX's formula.

    Guarded at both ends: a range of 0 gives scale 1, and neither end of float32 makes the scale 0, subnormal or
    infinite. In C, because it is what most calls want.
    """
    return _native.choose(low, high, *limits, symmetric)


def onnx_dynamic(low: Array, high: Array, limits: Limits, symmetric: bool) -> tuple[Array, Array | None]:
    """ONNX DynamicQuantizeLinear as ONNX Runtime computes it."""
    return _onnx(low, high, limits)


def torchao(low: Array, high: Array, limits: Limits, symmetric: bool) -> tuple[Array, Array | None]:
    """torchao's `choose_qparams_affine` for float32: SYMMETRIC or ASYMMETRIC, the scale at least the least normal."""
    low, high = _with_zero(low, high)
    steps = float(limits[1] - limits[0])
    if symmetric:
        scale = np.maximum(np.maximum(-low, high) / np.float32(steps / 2), _TINY)
        return scale, _middle(scale, limits)
    with np.errstate(over="ignore"):
        scale = np.maximum((high - low) / np.float32(steps), _TINY)
    point = np.float32(limits[0]) - np.rint(low / scale)
    return scale, np.clip(point, *limits).astype(np.int64)


def torchao_no_clipping(low: Array, high: Array, limits: Limits, symmetric: bool) -> tuple[Array, Array | None]:
    """torchao's SYMMETRIC_NO_CLIPPING_ERR: whichever side needs the larger step; signed types only."""
    if limits[0] >= 0:
        raise ValueError("rule 'torchao_no_clipping' needs a signed dtype")
    low, high = _with_zero(low, high)
    scale = np.maximum(np.maximum(low / np.float32(limits[0]), high / np.float32(limits[1])), _TINY)
    return scale, _middle(scale, limits)


def fbgemm(low: Array, high: Array, limits: Limits, symmetric: bool) -> tuple[Array, Array | None]:
    """FBGEMM's `ChooseQuantizationParams` as PyTorch runs it: in double until the scale is returned, the zero point
    from the side with the smaller error."""
    low, high = _with_zero(low, high)
    steps = limits[1] - limits[0]
    least = np.float32(6.1e-5)
    scale = (high.astype(np.float64) - low) / steps
    with np.errstate(divide="ignore", over="ignore"):
        single = scale.astype(np.float32)
        scale = np.where((single == 0) | np.isinf(np.float32(1) / single), 0.1, scale)
        amplifier = least / scale.astype(np.float32)
    small = scale < least
    reach = least * np.float32(steps)
    top = np.where(low == 0, reach, np.where(high == 0, high, high * amplifier))
    bottom = np.where(low == 0, low, np.where(high == 0, -reach, low * amplifier))
    high, low = np.where(small, top, high), np.where(small, bottom, low)
    scale = np.where(small, np.float64(least), scale)
    from_low, from_high = low / scale, high / scale
    error_low, error_high = abs(limits[0]) + np.abs(from_low), abs(limits[1]) + np.abs(from_high)
    point = np.where(error_low < error_high, limits[0] - from_low, limits[1] - from_high)
    return scale.astype(np.float32), np.rint(np.clip(point, *limits)).astype(np.int64)


def per_token(low: Array, high: Array, limits: Limits, symmetric: bool) -> tuple[Array, Array | None]:
    """`quantized_decomposed.choose_qparams_per_token`: max(absmax, 1e-5) / qmax; signed types only."""
    if limits[0] >= 0:
        raise ValueError("rule 'per_token' needs a signed dtype")
    scale = np.maximum(_absmax(low, high), np.float32(1e-5)) / np.float32(limits[1])
    return scale, None


RULES: dict[str, Rule] = {
    "pyquantk": pyquantk,
    "onnx_dynamic": onnx_dynamic,
    "torchao": torchao,
    "torchao_no_clipping": torchao_no_clipping,
    "fbgemm": fbgemm,
    "per_token": per_token,
}
