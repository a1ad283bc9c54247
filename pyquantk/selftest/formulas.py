"""The formulas of every function in plain NumPy, written apart from the C code so that both can be wrong only once.

Each takes the full arrays of parameters (`spread`), so granularity is not its concern. Arithmetic is float32 where
the convention says so; NumPy's own operations are IEEE, and where one is missing (a fused multiply-add) its exact
result is built in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "dequantize",
    "fake_quantize",
    "float_product",
    "fused",
    "observe",
    "pack",
    "product",
    "quantize",
    "quantize_by_row",
    "requantize",
    "spread",
]

Array = np.ndarray[Any, Any]
F32 = np.float32


def spread(parameter: Array, shape: tuple[int, ...], block: tuple[int, ...]) -> Array:
    """The parameter of each element, where block[d] consecutive elements along axis d share one."""
    for axis, (n, b) in enumerate(zip(shape, block, strict=True)):
        parameter = (
            np.repeat(parameter, b, axis).take(np.arange(n), axis) if parameter.shape[axis] * b >= n else parameter
        )
    return parameter


def fused(x: Array, r: Array, z: Array) -> Array:
    """fma(x, r, z) in float32: the product is exact in float64, the sum is rounded to odd there, then once more."""
    exact = x.astype(np.float64) * r.astype(np.float64)
    total = exact + z
    part = total - exact
    error = (exact - (total - part)) + (z - part)  # exact (Knuth's TwoSum)
    inexact = np.isfinite(total) & np.isfinite(error) & (error != 0)
    even = (total.view(np.int64) & 1) == 0
    toward = np.where(error > 0, np.inf, -np.inf)
    return np.where(inexact & even, np.nextafter(total, toward), total).astype(F32)


def _away(y: Array) -> Array:
    """Half away from zero, exactly: float64 has room for the half."""
    wide = y.astype(np.float64)
    return np.copysign(np.floor(np.abs(wide) + 0.5), wide)


def _integers(x: Array, scale: Array, zero: Array, convention: str, per_tensor: bool, blocked: bool) -> Array:
    """The quantized number before it is limited, NaN and infinities included."""
    inverse: Array
    x, zf = x.astype(F32), zero.astype(F32)
    if convention in {"onnx", "tflite"}:
        quotient = x / scale
        rounded: Array = _away(quotient) if convention == "tflite" else np.rint(quotient).astype(np.float64)
        return rounded + zero
    if convention == "torch_decomposed":
        inverse = (1.0 / scale.astype(np.float64)).astype(F32)
    elif convention == "bitsandbytes":
        inverse = F32(127) * (F32(1) / scale)
    else:
        inverse = F32(1) / scale
    if convention in {"ggml", "bitsandbytes"}:
        inverse = np.where(np.isinf(inverse), F32(0), inverse)
    if convention == "torch" and per_tensor:
        return np.rint(fused(x, inverse, zero.astype(np.float64)))
    if convention == "torch" or (convention == "torch_decomposed" and blocked):
        return np.asarray(np.rint(x * inverse + zf))
    quotient = x * inverse
    rounded = _away(quotient) if convention == "ggml" else np.rint(quotient).astype(np.float64)
    return rounded + zero


def _limited(q: Array, low: int, high: int) -> Array:
    return np.clip(np.where(np.isnan(q), low, q), low, high).astype(np.int64)


def quantize(
    x: Array, scale: Array, zero: Array, low: int, high: int, convention: str, per_tensor: bool, blocked: bool
) -> Array:
    """Integers in [low, high], as int64."""
    with np.errstate(all="ignore"):
        return _limited(_integers(x, scale, zero, convention, per_tensor, blocked), low, high)


def _narrowed(y: Array, dtype: np.dtype[Any]) -> Array:
    """float32 to `dtype` by one rounding, every NaN the positive quiet one without payload."""
    out = y.astype(dtype)
    out[np.isnan(y)] = np.array(0x7FC00000, np.uint32).view(F32).astype(dtype)
    return out


def dequantize(q: Array, scale: Array, zero: Array, dtype: np.dtype[Any]) -> Array:
    """(q - zero) * scale; q and zero are int64, their difference wraps as int32 does."""
    with np.errstate(all="ignore"):
        difference = (q - zero).astype(np.int32)
        return _narrowed(difference.astype(F32) * scale, dtype)


def fake_quantize(
    x: Array, scale: Array, zero: Array, low: int, high: int, convention: str, per_tensor: bool, blocked: bool
) -> tuple[Array, Array]:
    """The values, and where the limits changed nothing."""
    with np.errstate(all="ignore"):
        q = _integers(x, scale, zero, convention, per_tensor, blocked)
        y = (_limited(q, low, high) - zero).astype(F32) * scale
        return _narrowed(y, x.dtype), (q >= low) & (q <= high)


def requantize(acc: Array, multiplier: tuple[Array, ...], zero: Array, low: int, high: int, rounding: str) -> Array:
    """Integers in [low, high], as int64. multiplier: (float32,) or (m0, shift); acc * 2**shift fits an int32."""
    if rounding == "nearest_even":
        with np.errstate(all="ignore"):
            return _limited(np.rint(acc.astype(F32) * multiplier[0]).astype(np.float64) + zero, low, high)
    m0, shift = (part.astype(np.int64) for part in multiplier)
    if rounding != "double":
        return _limited((acc * m0 + (1 << (30 - shift)) >> (31 - shift)) + zero, low, high)
    ab = acc * (1 << np.maximum(shift, 0)) * m0  # gemmlowp: SaturatingRoundingDoublingHighMul, then
    nudged = ab + np.where(ab >= 0, 1 << 30, 1 - (1 << 30))
    x = np.sign(nudged) * (np.abs(nudged) >> 31)  # a division that truncates
    exponent = np.maximum(-shift, 0)
    mask = (1 << exponent) - 1  # RoundingDivideByPOT
    return _limited((x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0)) + zero, low, high)


def observe(x: Array, block: tuple[int, ...]) -> tuple[Array, Array, Array, Array]:
    """min, max, NaN count and infinity count of each block, in the shape of its parameters."""
    shape = tuple(-(-n // b) for n, b in zip(x.shape, block, strict=True))
    low, high = np.full(shape, np.inf, F32), np.full(shape, -np.inf, F32)
    nans, infs = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for index in np.ndindex(*shape):
        part = x[tuple(slice(i * b, (i + 1) * b) for i, b in zip(index, block, strict=True))].astype(F32)
        real = part[~np.isnan(part)]
        nans[index], infs[index] = part.size - real.size, np.count_nonzero(np.isinf(real))
        if real.size:
            low[index], high[index] = real.min() + F32(0), real.max() + F32(0)  # -0 + 0 is +0
    return low, high, nans, infs


def pack(q: Array, bits: int) -> Array:
    """Integers to bytes along the last axis, the first element lowest, the last byte padded with zero bits."""
    each = 8 // bits
    short = -q.shape[-1] % each
    padded = np.pad(q, [(0, 0)] * (q.ndim - 1) + [(0, short)]) & (1 << bits) - 1
    groups = padded.reshape(*q.shape[:-1], -1, each) << np.arange(0, 8, bits)
    return np.asarray(groups.sum(-1), np.uint8)


def product(a: Array, b: Array) -> Array:
    """The exact integer product as int32, modulo 2**32."""
    return np.asarray(np.matmul(a.astype(np.int64), b.astype(np.int64))).astype(np.int32)


def float_product(a: Array, b: Array) -> Array:
    """sum = fma(a[i, p], b[p, j], sum) for p = 0, 1, ... in float32."""
    total = np.zeros((a.shape[0], b.shape[1]), F32)
    for p in range(b.shape[0]):
        total = fused(a[:, p, None], b[p], total)
    return total


def quantize_by_row(x: Array) -> tuple[Array, Array]:
    """int8 and the scale of each row, absmax / 127, as a column; finite x with something in each row."""
    absmax = np.abs(x).max(1, keepdims=True)
    scale = np.where(absmax > 0, absmax / F32(127), F32(1))
    return np.rint(x / scale).astype(np.int8), scale
