"""The matrix product and its epilogue in NumPy, from the formulas of pyquantk.h, and operands that hurt."""

from __future__ import annotations

import numpy as np
import oracle

OPERANDS = ("int8", "uint8")
LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
F32 = np.float32


def operand(rng, shape, name, kind="any"):
    """Random integers, or those with which a kernel that saturates or widens wrongly fails."""
    low, high = LIMITS[name]
    if kind == "low":
        a = np.full(shape, low)
    elif kind == "high":
        a = np.full(shape, high)
    elif kind == "alternating":
        a = np.where(np.arange(int(np.prod(shape))) % 2, low, high).reshape(shape)
    elif kind == "extremes":
        a = rng.choice([low, high], shape)
    else:
        a = rng.integers(low, high + 1, shape)
    return a.astype(name)


KINDS = ("any", "low", "high", "alternating", "extremes")


def product(a, b, a_zero=None, b_zero=None):
    """The exact product as int32, modulo 2**32; zero points of rows and columns."""
    a, b = a.astype(np.int64), b.astype(np.int64)
    if a_zero is not None:
        a_zero = np.asarray(a_zero, np.int64)
        a = a - (a_zero if a_zero.ndim == 0 or a.ndim == 1 else a_zero[:, None])
    if b_zero is not None:
        b = b - np.asarray(b_zero, np.int64)
    with np.errstate(over="ignore"):
        return np.asarray(np.matmul(a, b)).astype(np.int32)


def fused(x, y, z):
    """fma(x, y, z) in float32, elementwise: the product is exact in float64, the sum rounded to odd, then once more."""
    exact = np.asarray(x, np.float64) * np.asarray(y, np.float64)
    z = np.asarray(z, np.float64)
    with np.errstate(all="ignore"):
        total = exact + z
        part = total - exact
        error = (exact - (total - part)) + (z - part)  # exact (Knuth's TwoSum)
        inexact = np.isfinite(total) & (error != 0) & ((np.asarray(total).view(np.int64) & 1) == 0)
        total = np.where(inexact, np.nextafter(total, np.where(error > 0, np.inf, -np.inf)), total)
        return total.astype(F32)


def column(value, rows=None):
    """A scalar or vector of float32, as a column where it is by row."""
    value = np.asarray(value, F32)
    return value[:, None] if rows is not None and value.ndim else value


def scaled(a, b, a_scale, b_scale, a_zero=None, b_zero=None, bias=None):
    """The float32 result before activation, of matrices."""
    bias = F32(0) if bias is None else np.asarray(bias, F32)
    b_scale = np.asarray(b_scale, F32)
    if b_scale.ndim < 2:
        with np.errstate(all="ignore"):
            scale = column(a_scale, rows=True) * b_scale
        return fused(product(a, b, a_zero, b_zero).astype(F32), scale, bias)
    size = -(-a.shape[1] // b_scale.shape[0])
    total = np.zeros((a.shape[0], b.shape[1]), F32)
    for g in range(b_scale.shape[0]):
        part = slice(g * size, (g + 1) * size)
        total = fused(product(a[:, part], b[part], a_zero, b_zero).astype(F32), b_scale[g], total)
    return fused(total, column(a_scale, rows=True), bias)


def clamped(y, low, high):
    return np.where(y < F32(low), F32(low), np.where(y > F32(high), F32(high), y))


def narrowed(y, name):
    return y.astype(oracle.dtype(name))


def requantized(a, b, name, a_scale, b_scale, out_scale, out_zero=0, a_zero=None, b_zero=None, bias=None, limits=None):
    """An integer result by a float multiplier."""
    with np.errstate(all="ignore"):
        m = (column(a_scale, rows=True) * np.asarray(b_scale, F32)) / F32(out_scale)
        beta = (F32(0) if bias is None else np.asarray(bias, F32)) / F32(out_scale)
        y = fused(product(a, b, a_zero, b_zero).astype(F32), m, beta)
        if limits is not None:
            y = clamped(y, F32(limits[0]) / F32(out_scale), F32(limits[1]) / F32(out_scale))
    low, high = LIMITS[name]
    return np.clip(np.rint(y.astype(np.float64)) + out_zero, low, high).astype(name)


def fixed_point(acc: int, m0: int, shift: int, rounding: str) -> int:
    """round(acc * m0 * 2**(shift - 31)) as ruy, gemmlowp and XNNPACK do it, in Python's integers."""
    if rounding in {"single", "rndnu"}:
        return (acc * m0 + (1 << (30 - shift))) >> (31 - shift)
    left, right = max(shift, 0), max(-shift, 0)
    wide = max(min(acc << left, 2**31 - 1), -(2**31)) * m0
    nudged = wide + (1 << 30 if wide >= 0 else 1 - (1 << 30))
    high = min(abs(nudged) >> 31, 2**31 - 1) * (1 if nudged >= 0 else -1)
    remainder, threshold = high & ((1 << right) - 1), (((1 << right) - 1) >> 1) + (high < 0)
    return (high >> right) + (remainder > threshold)
