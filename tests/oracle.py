"""What every function must return, from conventions' formulas and nothing of pyquantk.

Two independent levels. The array functions compute in float64, where a product of two float32 is exact and one
more rounding to float32 is harmless. `exact_integer` computes one element in exact fractions; the tests hold the
array functions against it, so that a mistake in the float64 reasoning would show.
"""

from __future__ import annotations

import math
from fractions import Fraction

import ml_dtypes
import numpy as np

CONVENTIONS = ("onnx", "torch", "torch_fake_quantize", "torch_decomposed", "tflite", "ggml", "bitsandbytes")
DIVIDES = {"onnx", "tflite"}
HALF_AWAY = {"tflite", "ggml"}
ZERO_FOR_INFINITE = {"ggml", "bitsandbytes"}  # a reciprocal that overflows counts as 0

#: Least value, greatest value, and bits of the types that can be packed.
INTEGERS = {
    "int8": (-128, 127, 8),
    "uint8": (0, 255, 8),
    "int16": (-(2**15), 2**15 - 1, 16),
    "uint16": (0, 2**16 - 1, 16),
    "int4": (-8, 7, 4),
    "uint4": (0, 15, 4),
    "int2": (-2, 1, 2),
    "uint2": (0, 3, 2),
}
FLOATS = ("float32", "float16", "bfloat16")
CANONICAL_NAN = {"float32": 0x7FC00000, "float16": 0x7E00, "bfloat16": 0x7FC0}


def dtype(name):
    return np.dtype(getattr(ml_dtypes, name) if hasattr(ml_dtypes, name) else name)


def block_counts(shape, block):
    """How many blocks lie along each axis; a block as long as its axis is one, even where that is 0."""
    return tuple(1 if b == n else -(-n // b) for n, b in zip(shape, block, strict=True))


def each(parameter, shape, block):
    """The parameter of every element, where block[d] consecutive elements along axis d share one."""
    return np.asarray(parameter)[np.ix_(*(np.arange(n) // b for n, b in zip(shape, block, strict=True)))]


# --- float to integer ------------------------------------------------------------------------------------------


def _f32(wide):
    """One rounding of float64 to float32."""
    return wide.astype(np.float32).astype(np.float64)


def zero_inside(convention, grain):
    """Is the zero point added before rounding? grain: "tensor", "channel" or "block"."""
    return convention == "torch" or (convention == "torch_decomposed" and grain == "block")


def reciprocal(scale, convention):
    """r of the conventions that multiply; scale as the user gave it, float64 where it was."""
    narrow = scale.astype(np.float32).astype(np.float64)
    if convention == "torch_decomposed":
        return _f32(1.0 / scale)
    r = _f32(1.0 / narrow)
    if convention == "bitsandbytes":
        r = _f32(127.0 * np.asarray(r, np.float64))
    return np.where(np.isinf(r), 0.0, r) if convention in ZERO_FOR_INFINITE else r


def _sum_to_odd(a, b):
    """a + b in float64, an inexact sum rounded to the neighbour with an odd significand: a later rounding to
    float32 is then the rounding of the exact sum (Boldo & Melquiond 2008)."""
    total = a + b
    virtual = total - a
    error = (a - (total - virtual)) + (b - virtual)
    down = np.where(error < 0, np.nextafter(total, -np.inf), total)  # the float64 below or at the exact sum
    down_is_odd = (np.array(down).view(np.uint64) & 1).astype(bool)
    odd = np.where(down_is_odd, down, np.nextafter(down, np.inf))
    return np.where(np.isfinite(total) & (error != 0), odd, total)


def unlimited(x, scale, zero, convention, grain):
    """The integer before saturation, in float64, NaN and infinities included. All arguments are of one shape."""
    x, scale, zero = x.astype(np.float32).astype(np.float64), scale.astype(np.float64), zero.astype(np.float64)
    if convention in DIVIDES:
        y = _f32(x / scale.astype(np.float32).astype(np.float64))
    else:
        product = x * reciprocal(scale, convention)
        if not zero_inside(convention, grain):
            y = _f32(product)
        elif grain == "tensor":
            y = _f32(_sum_to_odd(product, zero))
        else:
            y = _f32(_f32(product) + zero)
    if convention in HALF_AWAY:
        whole = np.trunc(y)
        whole = np.where(np.abs(y - whole) >= 0.5, whole + np.sign(y), whole)
    else:
        whole = np.rint(y)
    return whole if zero_inside(convention, grain) else whole + zero


def saturate(q, low, high):
    return np.clip(np.where(np.isnan(q), low, q), low, high).astype(np.int64)


def quantize(x, scale, zero, low, high, convention="onnx", grain="tensor"):
    """int64 in [low, high]."""
    with np.errstate(all="ignore"):
        return saturate(unlimited(x, scale, zero, convention, grain), low, high)


# --- and back --------------------------------------------------------------------------------------------------


def narrow(y, name):
    """float32 to a float type, one rounding; every NaN positive, quiet, without payload."""
    out = np.array(y.astype(dtype(name)))
    bits = np.dtype(f"u{out.itemsize}")
    out.view(bits)[np.isnan(y)] = CANONICAL_NAN[name]
    return out


def dequantize(q, scale, zero, name="float32"):
    """(float)(q - zero) * scale; int32 subtraction wraps."""
    with np.errstate(all="ignore"):
        difference = (q.astype(np.int64) - zero.astype(np.int64)).astype(np.int32)
        product = _f32(difference.astype(np.float64)) * scale.astype(np.float32).astype(np.float64)
        return narrow(product.astype(np.float32), name)


def fake_quantize(x, scale, zero, low, high, convention, grain, name="float32"):
    """The values, and the mask of the straight-through estimator."""
    with np.errstate(all="ignore"):
        q = unlimited(x, scale, zero, convention, grain)
    return dequantize(saturate(q, low, high), scale, zero, name), (low <= q) & (q <= high)


# --- layout and statistics -------------------------------------------------------------------------------------


def pack(q, bits):
    """Rows of small integers as rows of bytes: one long little-endian number each."""
    rows = q.reshape(-1, q.shape[-1]) if q.ndim else q.reshape(1, 1)
    width = -(-rows.shape[1] * bits // 8)
    mask = (1 << bits) - 1
    packed = [
        list(sum((int(v) & mask) << (bits * i) for i, v in enumerate(row)).to_bytes(width, "little")) for row in rows
    ]
    return np.array(packed, np.uint8).reshape(*q.shape[:-1], width)


def observe(x, block):
    """min, max (float32), NaN count, infinity count of each block."""
    shape = block_counts(x.shape, block)
    low, high = np.empty(shape, np.float32), np.empty(shape, np.float32)
    nans, infs = np.empty(shape, np.int64), np.empty(shape, np.int64)
    for at in np.ndindex(*shape):
        part = [float(v) for v in x[tuple(slice(i * b, i * b + b) for i, b in zip(at, block, strict=True))].ravel()]
        numbers = [v for v in part if not math.isnan(v)]
        low[at] = min(numbers, default=math.inf) or 0.0  # of a zero, the positive one
        high[at] = max(numbers, default=-math.inf) or 0.0
        nans[at], infs[at] = len(part) - len(numbers), sum(map(math.isinf, numbers))
    return low, high, nans, infs


# --- one element, exactly --------------------------------------------------------------------------------------


def exact_f32(v):
    """A fraction rounded once to float32, as a fraction; None where it overflows."""
    if v == 0:
        return v
    exponent = abs(v.numerator).bit_length() - v.denominator.bit_length()
    if abs(v) < Fraction(2) ** exponent:
        exponent -= 1
    quantum = Fraction(2) ** (max(exponent, -126) - 23)
    rounded = round(v / quantum) * quantum  # round() of a fraction is half to even
    return rounded if abs(rounded) < Fraction(2) ** 128 else None


def exact_integer(x, scale, zero, low, high, convention, grain):
    """One element, for finite x and a scale that is neither 0 nor so small that its reciprocal overflows."""
    x, given = Fraction(float(x)), Fraction(float(scale))
    narrow_scale = Fraction(float(np.float32(scale)))
    if convention in DIVIDES:
        y = exact_f32(x / narrow_scale)
    else:
        r = exact_f32(1 / (given if convention == "torch_decomposed" else narrow_scale))
        if convention == "bitsandbytes":
            r = exact_f32(127 * r)
        if not zero_inside(convention, grain):
            y = exact_f32(x * r)
        elif grain == "tensor":
            y = exact_f32(x * r + zero)
        else:
            y = exact_f32(x * r)
            y = None if y is None else exact_f32(y + zero)
    if y is None:
        return high if (x > 0) == (scale > 0) else low
    whole = (math.floor(abs(y) + Fraction(1, 2)) * (1 if y > 0 else -1)) if convention in HALF_AWAY else round(y)
    return min(max(whole + (0 if zero_inside(convention, grain) else zero), low), high)
