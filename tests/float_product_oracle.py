"""The float product in NumPy: one fused multiply-add after another, in the order of k."""

from __future__ import annotations

from fractions import Fraction

import gemm_oracle
import ml_dtypes
import numpy as np

F32 = np.float32
FLOAT8 = (
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e4m3b11fnuz",
    "float8_e4m3",
    "float8_e3m4",
)
NARROW = (*FLOAT8, "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn")
INTEGERS = {"int8": (-128, 127), "uint8": (0, 255), "int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3)}


def dtype(name):
    return np.dtype(getattr(ml_dtypes, name, name))


def codes(rng, shape, name, *, finite=True):
    """Elements of every value of a narrow type."""
    if name in INTEGERS:
        low, high = INTEGERS[name]
        return rng.integers(low, high + 1, shape).astype(dtype(name))
    every = np.arange(2 ** ml_dtypes.finfo(dtype(name)).bits, dtype=np.uint8).view(dtype(name))
    if finite:
        every = every[np.isfinite(every.astype(F32))]
    return rng.choice(every, shape)


def product(a, w):
    """sum = fma(a[i, p], w[p, j], sum) for p = 0, 1, ... in float32."""
    a, w = np.asarray(a).astype(F32), np.asarray(w).astype(F32)
    total = np.zeros((a.shape[0], w.shape[1]), F32)
    with np.errstate(all="ignore"):
        for p in range(w.shape[0]):
            total = gemm_oracle.fused(a[:, p, None], w[p], total)
    return total


def scaled(total, a_scale=1.0, b_scale=1.0, bias=0.0):
    """fma(sum, a_scale * b_scale, bias)"""
    with np.errstate(all="ignore"):
        scale = np.multiply(gemm_oracle.column(a_scale, True), np.asarray(b_scale, F32), dtype=F32)
        return gemm_oracle.fused(total, scale, np.asarray(bias, F32))


def nearest(x):
    """The float32 nearest to a fraction, ties to even, for |x| within the normal and subnormal range."""
    if x == 0:
        return F32(0)
    guess = F32(float(x))
    around = [np.nextafter(guess, F32(-np.inf)), guess, np.nextafter(guess, F32(np.inf))]
    return min(around, key=lambda y: (abs(Fraction(float(y)) - x), int(y.view(np.uint32)) & 1))


def product_in_fractions(a, w):
    """The same in exact arithmetic, a rounding at a time: slow, and beyond doubt."""
    out = np.zeros((a.shape[0], w.shape[1]), F32)
    for i in range(a.shape[0]):
        for j in range(w.shape[1]):
            total = F32(0)
            for p in range(w.shape[0]):
                total = nearest(Fraction(float(a[i, p])) * Fraction(float(w[p, j])) + Fraction(float(total)))
            out[i, j] = total
    return out
