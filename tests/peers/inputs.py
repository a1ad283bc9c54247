"""Inputs on which two implementations of the same formula part, if anything makes them part.

Uniform random numbers almost never lie next to a rounding boundary, so a wrong division or a second rounding goes
unnoticed. Half of the inputs here are built around the boundaries of the very scale they are quantized with.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

F32, F16, BF16 = np.dtype(np.float32), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)

#: Shapes of one to four axes; no length is a multiple of a vector, so that every tail path is taken.
SHAPES: tuple[tuple[int, ...], ...] = ((1031,), (37, 67), (5, 13, 41), (3, 4, 11, 19))

#: (shape, axis): each shape per tensor and along each of its axes.
GRAINS = [(shape, axis) for shape in SHAPES for axis in (None, *range(len(shape)))]

#: (shape, axis, block size): with whole blocks only, and with a short last one.
BLOCKS = [((2080,), 0, 32), ((35, 96), 1, 16), ((96, 35), 0, 32), ((6, 70, 9), 1, 32), ((3, 4, 11, 38), -1, 16)]

SCALES = ("random", "power", "tiny", "large")
FINITE = ("normal", "bits", "near", "tie")
KINDS = (*FINITE, "special")


def generator(*seed: object) -> np.random.Generator:
    """A stream of its own for each test case: the same one on every run."""
    return np.random.default_rng(list(repr(seed).encode()))


def scales(rng: np.random.Generator, kind: str, shape: tuple[int, ...] = (), dtype: Any = F32) -> Array:
    """Positive normal numbers of `dtype`.

    "random": of the usual size. "power": powers of two, whose multiples of 1/2 are exact ties. "tiny", "large": near
    the ends of the dtype, with a reciprocal that still is a normal number.
    """
    info = ml_dtypes.finfo(dtype)
    low, high = (info.minexp, -info.minexp - 1) if dtype == F16 else (-125, 125)
    if kind == "power":
        exact = 2.0 ** rng.integers(max(low, -8), 5, shape)
    elif kind == "random":
        exact = np.exp2(rng.uniform(max(low, -8), 4, shape))
    elif kind == "tiny":
        exact = np.exp2(rng.uniform(low, low + 5, shape))
    else:
        exact = np.exp2(rng.uniform(high - 5, high, shape))
    return np.asarray(exact).astype(dtype)


def grain(shape: tuple[int, ...], axis: int | None = None, block_size: int = 0) -> tuple[int, ...]:
    """The shape of the parameters of an array of `shape`."""
    if axis is None:
        return ()
    if block_size:
        blocks = list(shape)
        blocks[axis] = -(-shape[axis] // block_size)
        return tuple(blocks)
    return (shape[axis],)


def spread(parameter: Array, shape: tuple[int, ...], axis: int | None = None, block_size: int = 0) -> Array:
    """The parameter of each element of an array of `shape`."""
    if axis is None:
        return np.broadcast_to(parameter, shape)
    if block_size:
        return np.repeat(parameter, block_size, axis).take(np.arange(shape[axis]), axis)
    return np.broadcast_to(parameter.reshape([-1 if d == axis else 1 for d in range(len(shape))]), shape)


def values(rng: np.random.Generator, kind: str, step: Array, reach: int = 300, dtype: Any = F32) -> Array:
    """Numbers of `dtype`, of the shape of `step`, the scale of each.

    Parameters
    ----------
    kind : str
        "normal": a bell that fills and passes the integer range. "bits": random finite bit patterns. "near": within 3
        units in the last place of a tie, (k + 1/2) * step. "tie": (k + 1/2) * step, exact where step is a power of two.
        "special": NaN, infinities, zeros, subnormals, the ends of the dtype, and numbers around them.
    reach : int
        The greatest |k|.
    """
    shape = step.shape
    bits = np.uint32 if dtype == F32 else np.uint16
    if kind == "normal":
        with np.errstate(over="ignore"):
            return _finite(rng.standard_normal(shape) * (reach / 2) * step, dtype)
    if kind == "bits":
        raw = rng.integers(0, np.iinfo(bits).max, shape, bits, endpoint=True).view(dtype)
        with np.errstate(invalid="ignore"):  # signaling NaN
            return np.where(np.isfinite(raw), raw, np.array(1, dtype))
    if kind in ("near", "tie"):
        ties = _finite((rng.integers(-reach, reach, shape) + 0.5) * step.astype(np.float64), dtype)
        if kind == "tie":
            return ties
        moved = ties.view(bits).astype(np.int64) + rng.integers(-3, 4, shape)
        near = np.clip(moved, 0, np.iinfo(bits).max).astype(bits).view(dtype)
        with np.errstate(invalid="ignore"):
            return np.where(np.isfinite(near), near, ties)
    info = ml_dtypes.finfo(dtype)
    ends = [np.nan, np.inf, info.max, info.smallest_normal, info.smallest_subnormal]
    around = [0.0, 1.0, 65504.0, 2.0**31, 2.0**32]
    with np.errstate(over="ignore"):
        row = np.array([sign * float(end) for end in ends + around for sign in (1, -1)]).astype(dtype)
    return rng.permutation(np.resize(row, int(np.prod(shape)))).reshape(shape)


def _finite(exact: Array, dtype: Any) -> Array:
    """Rounded to `dtype`; beyond its range its greatest numbers."""
    top = float(ml_dtypes.finfo(dtype).max)
    return np.clip(exact, -top, top).astype(dtype)


def zero_points(rng: np.random.Generator, low: int, high: int, shape: tuple[int, ...] = ()) -> Array:
    """Integers in [low, high], both ends among them (a single one is either end, or between), as int64."""
    points = rng.integers(low, high, shape, endpoint=True)
    if shape:
        flat = points.reshape(-1)
        flat[::3], flat[1::3] = low, high
        return points
    return np.array(rng.choice([low, high, int(points)]))


def check(
    ours: Array, theirs: Array, x: Array, step: Array, limits: tuple[int, int], defined: Array | bool | None = None
) -> None:
    """Equal to the peer wherever it is `defined`; elsewhere saturated, NaN at the lower limit.

    By default a peer is taken to be defined where |x / step| < 2**31: beyond, most of them convert out of range, each
    of their kernels in its own way.
    """
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    with np.errstate(all="ignore"):
        quotient = x.astype(np.float64) / step.astype(np.float64)
    inside = np.broadcast_to(np.abs(quotient) < 2.0**31 if defined is None else defined, x.shape)
    np.testing.assert_array_equal(ours[inside], theirs[inside])
    expected = np.where(quotient[~inside] > 0, limits[1], limits[0])  # NaN > 0 is False
    np.testing.assert_array_equal(ours[~inside], expected)


def same_bits(ours: Array, theirs: Array) -> None:
    """Equal as memory: -0 is not 0 here, and a NaN equals no NaN of other bits."""
    assert ours.dtype == theirs.dtype
    bits = np.dtype(f"u{ours.dtype.itemsize}")
    np.testing.assert_array_equal(np.ascontiguousarray(ours).view(bits), np.ascontiguousarray(theirs).view(bits))
