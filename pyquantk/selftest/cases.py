"""What is called: every function, type, convention and granularity, on values chosen to hurt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from ..dtypes import NARROW_FLOATS
from . import formulas

__all__ = ["Case", "all_cases"]

Array = np.ndarray[Any, Any]

CONVENTIONS = ("onnx", "torch", "torch_fake_quantize", "torch_decomposed", "tflite", "ggml", "bitsandbytes")
REALS = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
#: Name, range, and bits where it can be packed.
INTEGERS = {
    "int8": (-128, 127, 0),
    "uint8": (0, 255, 0),
    "int16": (-32768, 32767, 0),
    "uint16": (0, 65535, 0),
    "int4": (-8, 7, 4),
    "uint4": (0, 15, 4),
    "int2": (-2, 1, 2),
    "uint2": (0, 3, 2),
}
#: Keyword arguments, by what shares a parameter.
GRAINS: dict[str, dict[str, Any]] = {
    "tensor": {},
    "outer": {"axis": 0},
    "inner": {"axis": 1},
    "block": {"axis": 1, "block_size": 32},
    "block2d": {"axis": (0, 1), "block_size": (2, 20)},
}
#: Below, at and beyond every vector and block length; the last is large enough for several threads.
SHAPES = ((1, 1), (5, 3), (7, 67), (4, 130), (3, 517), (2, 16411))
LARGE = (3, 21851)

SPECIAL_VALUES = (
    np.nan,
    -np.nan,
    np.inf,
    -np.inf,
    0.0,
    -0.0,
    1e-45,
    -1e-40,
    6e-8,
    65504.0,
    -3.4e38,
    0.49999997,
    8388609.0,
)
SPECIAL_SCALES = (0.0, -0.0, -0.05, 1e-45, 1e-39, 3e38, np.inf, np.nan, 2.0**-126, 2.0**-100, 1.0, 0.1, 1.0 + 2.0**-23)


@dataclass(frozen=True)
class Case:
    """One call: how to write it, how to make it, and what the formulas say it returns."""

    text: str
    call: Callable[[], tuple[Array, ...]]
    expected: Callable[[], tuple[Array, ...]]
    shape: tuple[int, ...]


def block_of(shape: tuple[int, ...], grain: dict[str, Any]) -> tuple[int, ...]:
    if not grain:
        return shape
    axes = np.atleast_1d(grain["axis"]).tolist()
    sizes = np.atleast_1d(grain.get("block_size", 1)).tolist()
    block = [1] * len(shape) if "block_size" in grain else list(shape)
    for axis, size in zip(axes, sizes, strict=True):
        block[axis] = size
    return tuple(block)


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any], scale: float) -> Array:
    """Random values, exact ties of `scale` and their neighbours, and special ones."""
    x = (rng.standard_normal(shape) * 90 * scale).astype(np.float32)
    flat = x.reshape(-1)
    ties = ((np.arange(flat[::3].size) % 517 - 258) / 2 * scale).astype(np.float32)
    flat[::3] = np.where(np.arange(ties.size) % 2, ties, np.nextafter(ties, np.float32(0)))
    some = rng.permutation(flat.size)[: max(1, flat.size // 11)]
    flat[some] = np.resize(np.array(SPECIAL_VALUES, np.float32), some.size)
    with np.errstate(over="ignore"):
        return x.astype(dtype)


class _Parameters:
    """Scales and zero points of one call, as given and spread over the elements."""

    def __init__(
        self, rng: np.random.Generator, shape: tuple[int, ...], grain: dict[str, Any], low: int, high: int, scale: float
    ) -> None:
        block = block_of(shape, grain)
        full = tuple(-(-n // b) for n, b in zip(shape, block, strict=True))
        scales = np.full(full, scale, np.float32) * rng.uniform(0.5, 1.0, full).astype(np.float32)
        zeros = rng.integers(low, high + 1, full)
        if not grain:
            scales[...] = scale
        elif scales.size > 8:
            some = rng.permutation(scales.size)[: scales.size // 8]
            scales.reshape(-1)[some] = np.resize(np.array(SPECIAL_SCALES, np.float32), some.size)
        given = full if "block_size" in grain else () if not grain else (full[grain["axis"]],)
        self.scale, self.zero = scales.reshape(given), zeros.reshape(given)
        self.spread = formulas.spread(scales, shape, block), formulas.spread(zeros, shape, block)
        self.how = not grain, "block_size" in grain


def _quantize_case(
    seed: int,
    shape: tuple[int, ...],
    real: np.dtype[Any],
    name: str,
    packed: bool,
    grain: str,
    convention: str,
    scale: float,
) -> Case:
    import pyquantk as qk

    low, high, bits = INTEGERS[name]
    rng = np.random.default_rng(seed)
    p = _Parameters(rng, shape, GRAINS[grain], low, high, scale)
    x = values(rng, shape, real, scale if 1e-30 < abs(scale) < 1e30 else 1.0)
    options = {**GRAINS[grain], "dtype": name, "packed": packed, "convention": convention}

    def call() -> tuple[Array, ...]:
        out = qk.quantize(x, p.scale, p.zero, **options)
        return (out if packed else out.astype(np.int64),)

    def expected() -> tuple[Array, ...]:
        q = formulas.quantize(x, *p.spread, low, high, convention, *p.how)
        return (formulas.pack(q, bits) if packed else q,)

    return Case(f"quantize of {real} {shape} with {options}, scale {scale:g}, seed {seed}", call, expected, shape)


def _dequantize_case(
    seed: int, shape: tuple[int, ...], real: np.dtype[Any], name: str, packed: bool, grain: str
) -> Case:
    import pyquantk as qk

    low, high, bits = INTEGERS.get(name, (-(2**31), 2**31 - 1, 0))
    rng = np.random.default_rng(seed)
    p = _Parameters(rng, shape, GRAINS[grain], low, high, 0.05)
    wide = rng.integers(low, high + 1, shape)
    dtype = np.dtype(getattr(ml_dtypes, name) if bits else name)
    q = formulas.pack(wide, bits) if packed else wide.astype(dtype)
    options = {**GRAINS[grain], "dtype": real.name}
    held: dict[str, Any] = {"packed": name, "shape": shape} if packed else {}

    def call() -> tuple[Array, ...]:
        return (qk.dequantize(q, p.scale, p.zero, **options, **held),)

    def expected() -> tuple[Array, ...]:
        return (formulas.dequantize(wide, *p.spread, real),)

    return Case(f"dequantize of {name} {shape} with {options | held}, seed {seed}", call, expected, shape)


def _fake_case(
    seed: int, shape: tuple[int, ...], real: np.dtype[Any], low: int, high: int, grain: str, convention: str
) -> Case:
    import pyquantk as qk

    rng = np.random.default_rng(seed)
    p = _Parameters(rng, shape, GRAINS[grain], low, high, 0.05)
    x = values(rng, shape, real, 0.05)
    options = {**GRAINS[grain], "quant_min": low, "quant_max": high, "convention": convention}

    def call() -> tuple[Array, ...]:
        alone = qk.fake_quantize(x, p.scale, p.zero, **options)
        return (alone, *qk.fake_quantize(x, p.scale, p.zero, return_mask=True, **options))

    def expected() -> tuple[Array, ...]:
        y, mask = formulas.fake_quantize(x, *p.spread, low, high, convention, *p.how)
        return y, y, mask

    return Case(f"fake_quantize of {real} {shape} with {options}, seed {seed}", call, expected, shape)


def _requantize_case(seed: int, shape: tuple[int, ...], name: str, packed: bool, grain: str, rounding: str) -> Case:
    import pyquantk as qk

    low, high, bits = INTEGERS[name]
    rng = np.random.default_rng(seed)
    block = block_of(shape, GRAINS[grain])
    full = tuple(-(-n // b) for n, b in zip(shape, block, strict=True)) if GRAINS[grain] else (1,) * len(shape)
    m0, zero = rng.integers(2**30, 2**31, full), rng.integers(low, high + 1, full)
    shift = rng.integers(-20, -1 if seed % 2 else 3, full)
    m0.reshape(-1)[::7] = np.resize([2**30, 2**31 - 1, 0], m0.reshape(-1)[::7].shape)
    multiplier: tuple[Array, ...] = (m0, shift)
    if rounding == "nearest_even":
        multiplier = (np.ldexp(m0.astype(np.float64), shift - 31).astype(np.float32),)
    typical = 2.0 ** float(np.median(shift))
    acc = ((rng.integers(-400, 400, shape) + 0.5) / typical).astype(np.int64) + rng.integers(-1, 2, shape)
    acc = np.where(rng.random(shape) < 0.2, rng.integers(-(2**28), 2**28, shape), acc).astype(np.int32)
    given = full if "block_size" in GRAINS[grain] else () if not GRAINS[grain] else (full[GRAINS[grain]["axis"]],)
    parts = [part.reshape(given) for part in multiplier]
    options = {**GRAINS[grain], "dtype": name, "packed": packed, "rounding": rounding}

    def call() -> tuple[Array, ...]:
        m = parts[0] if rounding == "nearest_even" else qk.FixedPointMultiplier(*parts)
        out = qk.requantize(acc, m, zero.reshape(given), **options)
        return (out if packed else out.astype(np.int64),)

    def expected() -> tuple[Array, ...]:
        each = tuple(formulas.spread(part, shape, block) for part in multiplier)
        q = formulas.requantize(acc.astype(np.int64), each, formulas.spread(zero, shape, block), low, high, rounding)
        return (formulas.pack(q, bits) if packed else q,)

    return Case(f"requantize of {shape} with {options}, seed {seed}", call, expected, shape)


def _observe_case(seed: int, shape: tuple[int, ...], real: np.dtype[Any], grain: str) -> Case:
    import pyquantk as qk

    x = values(np.random.default_rng(seed), shape, real, 0.05)
    block = block_of(shape, GRAINS[grain])

    def call() -> tuple[Array, ...]:
        s = qk.observe(x, **GRAINS[grain])
        return tuple(part.reshape(-1) for part in (s.min, s.max, s.nan_count, s.inf_count))

    def expected() -> tuple[Array, ...]:
        return tuple(part.reshape(-1) for part in formulas.observe(x, block))

    return Case(f"observe of {real} {shape} with {GRAINS[grain]}, seed {seed}", call, expected, shape)


def _cast_case(seed: int, shape: tuple[int, ...], real: np.dtype[Any], name: str) -> Case:
    """To a narrow type and back, where ml_dtypes is the formula."""
    import pyquantk as qk

    narrow = np.dtype(getattr(ml_dtypes, name))
    x = values(np.random.default_rng(seed), shape, real, 0.05)

    def call() -> tuple[Array, ...]:
        q = qk.cast(x, name, saturate=False)
        return q, qk.cast(q, "float32")

    def expected() -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            q = x.astype(np.float32).astype(narrow)
            return q, q.astype(np.float32)

    return Case(f"cast of {real} {shape} to {name}, seed {seed}", call, expected, shape)


def all_cases() -> Iterator[Case]:
    """Types x conventions x granularities with the shapes in turn, then special scales, then large arrays."""
    seed = 0
    forms = [
        (name, packed) for name, (_, _, bits) in INTEGERS.items() for packed in ((False, True) if bits else (False,))
    ]
    for real in REALS:
        for grain in GRAINS:
            for name, packed in forms:
                for convention in CONVENTIONS:
                    seed += 1
                    shape = SHAPES[seed % len(SHAPES)]
                    yield _quantize_case(seed, shape, real, name, packed, grain, convention, 0.05)
                yield _quantize_case(seed, LARGE, real, name, packed, grain, "onnx", 0.03)
            for name, packed in [*forms, ("int32", False)]:
                for shape in (SHAPES[seed % len(SHAPES)], LARGE):
                    seed += 1
                    yield _dequantize_case(seed, shape, real, name, packed, grain)
            for low, high in ((-128, 127), (0, 255), (-8, 7), (-30000, 30000)):
                for convention in CONVENTIONS:
                    seed += 1
                    yield _fake_case(seed, SHAPES[seed % len(SHAPES)], real, low, high, grain, convention)
            yield _fake_case(seed, LARGE, real, 0, 255, grain, "torch_fake_quantize")
            for shape in (*SHAPES, LARGE):
                seed += 1
                if grain not in {"block", "block2d"} or shape != LARGE:
                    yield _observe_case(seed, shape, real, grain)
        for dtype in NARROW_FLOATS:
            for shape in (*SHAPES, LARGE):
                seed += 1
                yield _cast_case(seed, shape, real, dtype.name)
    for grain in GRAINS:
        for name, packed in forms:
            for rounding in ("nearest_even", "single", "double", "rndnu"):
                seed += 1
                yield _requantize_case(seed, SHAPES[seed % len(SHAPES)], name, packed, grain, rounding)
        yield _requantize_case(seed, LARGE, "int8", False, grain, "double")
    for scale in SPECIAL_SCALES:
        for convention in CONVENTIONS:
            for name in ("int8", "uint16"):
                seed += 1
                yield _quantize_case(seed, (3, 67), REALS[0], name, False, "tensor", convention, scale)
