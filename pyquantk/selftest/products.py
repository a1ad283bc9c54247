"""Matrix products, layers, and values with scales by their own range, on shapes around every tile and block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np

from . import formulas
from .cases import Case

__all__ = ["all_cases"]

Array = np.ndarray[Any, Any]
F32 = np.float32

#: Rows, depth, columns: one, odd, around the tiles of every layer; the last two are enough for several threads.
SHAPES = ((1, 1, 1), (1, 67, 130), (5, 3, 17), (7, 64, 96), (13, 129, 33), (3, 0, 4), (97, 260, 200), (130, 517, 259))
SIGNS = (("int8", "int8"), ("uint8", "int8"), ("int8", "uint8"), ("uint8", "uint8"))
FLOAT8 = np.dtype(ml_dtypes.float8_e4m3fn)


def _operand(rng: np.random.Generator, shape: tuple[int, int], dtype: str) -> Array:
    """Random integers, many of them the extremes, which saturate where 16 bits are not enough."""
    limits = np.iinfo(dtype)
    x = rng.integers(limits.min, limits.max + 1, shape)
    return np.where(rng.random(shape) < 0.5, rng.choice([limits.min, limits.max], shape), x).astype(dtype)


def _zero_points(rng: np.random.Generator, count: int, dtype: str) -> Array:
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, count).astype(np.int32)


def _matmul_case(seed: int, shape: tuple[int, int, int], signs: tuple[str, str]) -> Case:
    import pyquantk as qk

    m, k, n = shape
    rng = np.random.default_rng(seed)
    a, b = _operand(rng, (m, k), signs[0]), _operand(rng, (k, n), signs[1])
    a_zero, b_zero = _zero_points(rng, m, signs[0]), _zero_points(rng, n, signs[1])

    def call() -> tuple[Array, ...]:
        return qk.matmul(a, b), qk.matmul(a, qk.pack(b)), qk.matmul(a, b, a_zero_point=a_zero, b_zero_point=b_zero)

    def expected() -> tuple[Array, ...]:
        plain = formulas.product(a, b)
        return plain, plain, formulas.product(a.astype(np.int64) - a_zero[:, None], b.astype(np.int64) - b_zero)

    return Case(f"matmul of {signs[0]} by {signs[1]}, {m} x {k} by {k} x {n}, seed {seed}", call, expected, (m, n))


def _qmatmul_case(seed: int, shape: tuple[int, int, int], signs: tuple[str, str]) -> Case:
    import pyquantk as qk

    m, k, n = shape
    rng = np.random.default_rng(seed)
    a, b = _operand(rng, (m, k), signs[0]), _operand(rng, (k, n), signs[1])
    a_zero = _zero_points(rng, m, signs[0])
    a_scale, b_scale = (rng.uniform(0.001, 0.1, count).astype(F32) for count in (m, n))
    bias = rng.normal(0, 10, n).astype(F32)
    out_scale = F32(0.37 * max(k, 1))
    keywords: dict[str, Any] = {"a_scale": a_scale, "b_scale": b_scale, "a_zero_point": a_zero, "bias": bias}

    def call() -> tuple[Array, ...]:
        packed = qk.pack(b)
        return (
            qk.qmatmul(a, packed, **keywords),
            qk.qmatmul(a, packed, activation="relu6", dtype="bfloat16", **keywords),
            qk.qmatmul(a, packed, dtype="uint8", out_scale=out_scale, out_zero_point=3, **keywords),
        )

    def expected() -> tuple[Array, ...]:
        acc = formulas.product(a.astype(np.int64) - a_zero[:, None], b).astype(F32)
        y = formulas.fused(acc, a_scale[:, None] * b_scale, bias)
        scaled = formulas.fused(acc, a_scale[:, None] * b_scale / out_scale, bias / out_scale)
        q = np.clip(np.rint(scaled.astype(np.float64)) + 3, 0, 255).astype(np.uint8)
        return y, np.clip(y, F32(0), F32(6)).astype(ml_dtypes.bfloat16), q

    return Case(f"qmatmul of {signs[0]} by {signs[1]}, {m} x {k} by {k} x {n}, seed {seed}", call, expected, (m, n))


def _linear_case(seed: int, shape: tuple[int, int, int]) -> Case:
    """Each row quantized by its own range on the way in."""
    import pyquantk as qk

    m, k, n = shape
    rng = np.random.default_rng(seed)
    x, weight = rng.normal(size=(m, k)).astype(F32), rng.normal(size=(n, k)).astype(F32)
    bias = rng.normal(size=n).astype(F32)

    def call() -> tuple[Array, ...]:
        layer = qk.QuantizedLinear(weight, bias)
        curved = qk.QuantizedLinear(weight, bias, activation="gelu")
        whole = curved(x)
        return layer(x), whole, np.concatenate([curved(row[None]) for row in x])

    def expected() -> tuple[Array, ...]:
        a, a_scale = formulas.quantize_by_row(x)
        w, w_scale = formulas.quantize_by_row(weight)
        y = formulas.fused(formulas.product(a, w.T).astype(F32), a_scale * w_scale.T, bias)
        with qk.cpu.use("scalar"), qk.thread_limit(1):
            # The polynomial has no formula in NumPy's words: rows must agree with those of the scalar layer.
            curved = qk.QuantizedLinear(weight, bias, activation="gelu")(x)
        return y, curved, curved

    return Case(f"QuantizedLinear {k} -> {n} of {m} rows, seed {seed}", call, expected, (m, n))


def _float_product_case(seed: int, shape: tuple[int, int, int]) -> Case:
    """float8 and float32 by float8: one fused multiply-add after another, in the order of k."""
    import pyquantk as qk

    m, k, n = shape
    rng = np.random.default_rng(seed)
    codes = np.arange(256, dtype=np.uint8).view(FLOAT8)
    codes = codes[np.isfinite(codes.astype(F32))]
    a, b = rng.choice(codes, (m, k)), rng.choice(codes, (k, n))
    x = rng.normal(size=(m, k)).astype(F32)

    def call() -> tuple[Array, ...]:
        return qk.matmul(a, b), qk.matmul(x, qk.pack(b))

    def expected() -> tuple[Array, ...]:
        return formulas.float_product(a.astype(F32), b.astype(F32)), formulas.float_product(x, b.astype(F32))

    return Case(f"matmul of floats by {FLOAT8}, {m} x {k} by {k} x {n}, seed {seed}", call, expected, (m, n))


def _dynamic_case(seed: int, shape: tuple[int, int]) -> Case:
    import pyquantk as qk

    x = (np.random.default_rng(seed).normal(size=shape) * 50).astype(F32)

    def call() -> tuple[Array, ...]:
        return *qk.quantize_dynamic(x, axis=0), *qk.quantize_dynamic(x, FLOAT8, axis=0)

    def expected() -> tuple[Array, ...]:
        q, scale = formulas.quantize_by_row(x)
        absmax = np.abs(x).max(1, keepdims=True)
        step = np.where(absmax > 0, absmax / F32(448), F32(1))
        return q, scale.reshape(-1), (x / step).astype(FLOAT8), step.reshape(-1)

    return Case(f"quantize_dynamic of {shape} by row, seed {seed}", call, expected, shape)


def all_cases() -> Iterator[Case]:
    seed = 0
    for shape in SHAPES:
        for signs in SIGNS:
            seed += 1
            yield _matmul_case(seed, shape, signs)
            yield _qmatmul_case(seed, shape, signs)
        seed += 2
        if not shape[1]:
            continue
        yield _linear_case(seed, shape)
        yield _dynamic_case(seed, (shape[0], shape[2]))
        if shape != SHAPES[-1]:  # a multiply-add in software takes its time
            yield _float_product_case(seed + 1, shape)
