"""Microscaling from the text of OCP MX 1.0 (sections 5 and 6.3), in float64 and nothing of pyquantk.

Elements are found by looking among all values of the format, not by arithmetic on bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import ml_dtypes
import numpy as np


@dataclass(frozen=True)
class Format:
    """An element type as the specification's tables give it."""

    dtype: np.dtype
    exponent: int  # of its greatest power of two, emax
    greatest: float
    bits: int  # after the leading one
    block: int = 32


FORMATS = {
    "mxfp8_e4m3": Format(np.dtype(ml_dtypes.float8_e4m3fn), 8, 448.0, 3),
    "mxfp8_e5m2": Format(np.dtype(ml_dtypes.float8_e5m2), 15, 57344.0, 2),
    "mxfp6_e2m3": Format(np.dtype(ml_dtypes.float6_e2m3fn), 2, 7.5, 3),
    "mxfp6_e3m2": Format(np.dtype(ml_dtypes.float6_e3m2fn), 4, 28.0, 2),
    "mxfp4": Format(np.dtype(ml_dtypes.float4_e2m1fn), 2, 6.0, 1),
    "mxint8": Format(np.dtype(np.int8), 0, 127 / 64, 6),
}
NVFP4 = Format(np.dtype(ml_dtypes.float4_e2m1fn), 2, 6.0, 1, 16)
MODES = ("floor", "rceil", "ceil", "even")
NAN = 255


def magnitudes(dtype):
    """Codes and values of the finite numbers that are not negative, in order."""
    if dtype == np.int8:
        return np.arange(128), np.arange(128) / 64
    sign = {"float6_e2m3fn": 32, "float6_e3m2fn": 32, "float4_e2m1fn": 8}.get(dtype.name, 128)
    codes = np.arange(sign, dtype=np.uint8)
    values = codes.view(dtype).astype(np.float64)
    return codes[np.isfinite(values)].astype(np.int64), values[np.isfinite(values)]


def nearest(y, dtype):
    """The values (float64) of `dtype` nearest to y, ties to the even code, saturating."""
    codes, values = magnitudes(dtype)
    a = np.minimum(np.abs(y), values[-1])
    above = np.clip(np.searchsorted(values, a), 1, len(values) - 1)
    below = above - 1
    up, down = values[above] - a, a - values[below]
    tie = np.where(codes[below] % 2 == 0, below, above)
    chosen = np.where(up < down, above, np.where(down < up, below, tie))
    least = dtype == np.int8 and np.less_equal(y, -values[-1] - 1 / 128)  # two's complement has one more: -2
    return np.where(least, -2.0, np.copysign(values[chosen], y))


def power(number):
    """floor(log2(number)) of a positive number, exactly."""
    return math.frexp(number)[1] - 1


def exponent(absmax, form, mode):
    """The scale's power of two before limits; None for zero."""
    if absmax == 0:
        return None
    if mode == "rceil":
        with np.errstate(all="ignore"):
            ratio = float(np.float32(absmax) / np.float32(form.greatest))
        if ratio == 0:
            return None
        return 127 if ratio > 2.0**127 else power(ratio) + (ratio != 2.0 ** power(ratio))
    if math.isinf(absmax):
        return 128 - form.exponent
    whole = power(absmax)
    if mode == "ceil":
        whole += absmax != 2.0**whole
    elif mode == "even":
        step = 2.0 ** (whole - form.bits)
        whole = power(math.floor(absmax / step + 0.5) * step)
    return whole - form.exponent


def scale_code(block, form, mode):
    """The e8m0 code of a block's scale."""
    if np.isnan(block).any():
        return NAN
    e = exponent(float(np.abs(block).max()), form, mode)
    if e is None or e < -127:
        return 0
    return NAN if e > 127 else e + 127


def blocks_of(x, axis, size):
    """(index, slice) of each block."""
    counts = list(x.shape)
    counts[axis] = -(-x.shape[axis] // size)
    for index in np.ndindex(*counts):
        cut = list(index)
        cut[axis] = slice(index[axis] * size, (index[axis] + 1) * size)
        yield index, tuple(cut)


def quantize(x, name, axis=-1, mode="floor"):
    """(values of the elements in units of their scale, scale codes) of x; blocks of scale NaN hold 0."""
    form, x = FORMATS[name], x.astype(np.float64)
    axis %= x.ndim
    shape = list(x.shape)
    shape[axis] = -(-shape[axis] // form.block)
    codes, values = np.zeros(shape, np.uint8), np.zeros(x.shape)
    for index, cut in blocks_of(x, axis, form.block):
        codes[index] = scale_code(x[cut], form, mode)
        if codes[index] != NAN:
            values[cut] = nearest(x[cut] / 2.0 ** (int(codes[index]) - 127), form.dtype)
    return values, codes


def quantize_nvfp4(x, global_scale, axis=-1):
    """(values of the elements, values of the scales) of x; blocks with a NaN hold 0 and a scale of NaN."""
    x = x.astype(np.float32)
    axis %= x.ndim
    shape = list(x.shape)
    shape[axis] = -(-shape[axis] // NVFP4.block)
    scales, values = np.zeros(shape), np.zeros(x.shape)
    for index, cut in blocks_of(x, axis, NVFP4.block):
        absmax = np.abs(x[cut]).max()
        if np.isnan(absmax):
            scales[index] = np.nan
            continue
        with np.errstate(all="ignore"):
            wanted = np.float32(absmax / np.float32(6)) / np.float32(global_scale)
        limited = min(max(float(wanted), 2.0**-6), 448.0)
        scales[index] = nearest(np.float64(limited), np.dtype(ml_dtypes.float8_e4m3fn))
        step = np.float32(scales[index]) * np.float32(global_scale)
        with np.errstate(all="ignore"):
            values[cut] = nearest((x[cut] / step).astype(np.float64), NVFP4.dtype)
    return values, scales
