"""What the arguments of a matrix product become: matrices with common batch axes, and vectors by row and column."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from . import _native
from .arrays import Array, Shape, as_float32, as_input, check_out
from .dtypes import FLOATS, INTEGERS

__all__ = [
    "OPERANDS",
    "REQUANTIZED",
    "Operands",
    "activation_code",
    "column_multiplier",
    "float_array",
    "merged",
    "out_zero_point_of",
    "positive",
    "zero_points",
]

OPERANDS = (np.dtype(np.int8), np.dtype(np.uint8))
REQUANTIZED = (*OPERANDS, np.dtype(np.int16))
_ACTIVATIONS: dict[str, tuple[int, float, float]] = _native.ACTIVATIONS


class Operands:
    """a and b as matrices with common batch axes, and where their product goes."""

    b: Any  # Packed or ndarray

    def __init__(self, a: Any, b: Any) -> None:
        self.a = as_input(a, "a", OPERANDS)
        self.b = b if isinstance(b, _native.Packed) else as_input(b, "b", OPERANDS)
        b_shape: Shape = self.b.shape
        for name, shape in (("a", self.a.shape), ("b", b_shape)):
            if not shape:
                raise ValueError(f"{name} must have at least one axis, not be 0-d")
        self.vectors = (self.a.ndim == 1, len(b_shape) == 1)
        if self.vectors[0]:
            self.a = self.a[None, :]
        if self.vectors[1]:
            self.b = self.b[:, None]
            b_shape = self.b.shape
        self.m, k = self.a.shape[-2:]
        self.k, self.n = b_shape[-2:]
        if k != self.k:
            raise ValueError(
                f"a and b must have the same K, not {k} (a of shape {_shape(a, self.a)}) and {self.k} "
                f"(b of shape {_shape(b, self.b)})"
            )
        try:
            self.batch = np.broadcast_shapes(self.a.shape[:-2], b_shape[:-2])
        except ValueError:
            raise ValueError(
                f"the leading axes of a and b must broadcast, not be {self.a.shape[:-2]} and {b_shape[:-2]}"
            ) from None
        self.one_b = len(b_shape) == 2

    def zero_points(self, a_zero_point: Any, b_zero_point: Any) -> tuple[Array | None, Array | None]:
        a_zeros = zero_points(a_zero_point, "a_zero_point", self.m, self.a.dtype)
        if isinstance(self.b, _native.Packed) and self.b.zero_point is not None:
            if b_zero_point is not None:
                raise ValueError("b_zero_point must be None where b was packed with a zero point of its own")
            return a_zeros, self.b.zero_point
        return a_zeros, zero_points(b_zero_point, "b_zero_point", self.n, self.b.dtype)

    def row_scale(self, a_scale: Any) -> Array:
        rows: Shape = (self.m,)
        each = (*self.a.shape[:-2], self.m) if self.one_b and not self.vectors[0] else rows
        return float_array(a_scale, "a_scale", ((), rows, each) if each != rows else ((), rows))

    def column_scale(self, b_scale: Any) -> tuple[Array, int]:
        """b_scale, and the size of its groups, or 0."""
        own = self.b.rows_in_group or None if isinstance(self.b, _native.Packed) else None
        array = _real_array(b_scale, "b_scale")
        if array.ndim != 2:
            if own is not None:
                raise ValueError(
                    f"b_scale must be of shape {(-(-self.k // own), self.n)} where b was packed with group_size "
                    f"{own}, not {array.shape}"
                )
            return float_array(array, "b_scale", ((), (self.n,)), f" or (groups, {self.n})"), 0
        groups = array.shape[0]
        size = own or (self.k // groups if groups and self.k % groups == 0 else 0)
        if not size or array.shape != (-(-self.k // size), self.n):
            wanted = f"({-(-self.k // own)}, {self.n})" if own else f"(K / g, {self.n}) with K = {self.k}"
            raise ValueError(f"b_scale must be of shape {wanted}, not {array.shape}")
        return as_float32(array), size

    def result(self, dtype: np.dtype[Any], out: Any, inputs: Any) -> Array:
        shape = self.batch + (() if self.vectors[0] else (self.m,)) + (() if self.vectors[1] else (self.n,))
        return np.empty(shape, dtype) if out is None else check_out(out, dtype, shape, inputs)

    def run(self, out: Array, a_zero: Array | None, b_zero: Array | None, **options: Any) -> None:
        c, a, b = out, self.a, self.b
        if self.vectors[0]:
            c = c[..., None, :] if not self.vectors[1] else c[..., None]
        if self.vectors[1]:
            c = c[..., None]
        if self.one_b and a.ndim > 2:
            # One product of many rows: what is by row is then by row of each matrix.
            rows = a.shape[:-1]
            flat = merged(c)
            into = np.empty((int(np.prod(rows)), self.n), c.dtype) if flat is None else flat
            a_scale = options.get("a_scale")
            if a_scale is not None and a_scale.ndim:
                options["a_scale"] = np.ascontiguousarray(np.broadcast_to(a_scale, rows)).reshape(-1)
            if a_zero is not None and a_zero.ndim:
                a_zero = np.ascontiguousarray(np.broadcast_to(a_zero, rows)).reshape(-1)
            _native.matmul(a.reshape(into.shape[0], self.k), b, into, a_zero, b_zero, **options)
            if flat is None:
                c[...] = into.reshape(c.shape)
            return
        if self.batch:
            a = np.broadcast_to(a, (*self.batch, *a.shape[-2:]))
            if not isinstance(b, _native.Packed):
                b = np.broadcast_to(b, (*self.batch, *b.shape[-2:]))
        _native.matmul(a, b, c, a_zero, b_zero, **options)


def merged(a: Array) -> Array | None:
    """`a` with all axes but the last made one, if that takes no copy."""
    step = 0
    count = 1
    for n, stride in zip(reversed(a.shape[:-1]), reversed(a.strides[:-1]), strict=True):
        if n == 1:
            continue
        if count > 1 and stride != step * count:
            return None
        step = step if count > 1 else stride
        count *= n
    shape = (int(np.prod(a.shape[:-1])), a.shape[-1])
    return np.lib.stride_tricks.as_strided(a, shape, (step, a.strides[-1])) if a.size else a.reshape(shape)


def activation_code(activation: Any) -> tuple[int, float, float] | None:
    """The number of an activation in C, and its limits; None for none."""
    if activation is None:
        return None
    if isinstance(activation, str) and activation in _ACTIVATIONS:
        return _ACTIVATIONS[activation]
    if isinstance(activation, (tuple, list)) and len(activation) == 2:
        try:
            low, high = (float(as_float32(_real_array(limit, "activation"))) for limit in activation)
        except (TypeError, ValueError):
            pass
        else:
            if low <= high:
                return _native.CLAMP, low, high
    raise ValueError(
        f"activation must be None, {', '.join(map(repr, _ACTIVATIONS))}, or (low, high) in order, not {activation!r}"
    )


def _real_array(value: Any, argument: str) -> Array:
    """`value` as an array of real numbers; its shape is checked elsewhere."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{argument} must be an array of real numbers: {error}") from error
    if array.dtype.kind in "fiu" or array.dtype in FLOATS:
        return array
    raise TypeError(f"{argument} must be real numbers, not {array.dtype}")


def float_array(value: Any, argument: str, shapes: tuple[Shape, ...], more: str = "") -> Array:
    """`value` as float32, C-contiguous, of one of `shapes`."""
    array = _real_array(value, argument)
    if array.shape not in shapes:
        wanted = " or ".join("a single number" if shape == () else f"of shape {shape}" for shape in shapes)
        raise ValueError(f"{argument} must be {wanted}{more}, not of shape {array.shape}")
    return np.require(as_float32(array), requirements=["C", "A"])


def positive(n: Any, argument: str) -> int:
    try:
        size = operator.index(n)
    except TypeError:
        raise TypeError(f"{argument} must be an integer, not {n!r}") from None
    if size < 1:
        raise ValueError(f"{argument} must be at least 1, not {size}")
    return size


def zero_points(value: Any, argument: str, count: int, dtype: np.dtype[Any]) -> Array | None:
    """Zero points as int32, () or (count,), within the range of `dtype`; None where there is none."""
    if value is None:
        return None
    array = np.asarray(value)
    low, high = INTEGERS[dtype]
    if array.dtype.kind == "O" and isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"{argument} must be in [{low}, {high}] for {dtype}, not {value}")
    if array.dtype.kind not in "iu" and array.dtype not in INTEGERS:
        raise TypeError(f"{argument} must be integers, not {array.dtype}")
    if array.shape not in ((), (count,)):
        raise ValueError(f"{argument} must be a single integer or of shape {(count,)}, not of shape {array.shape}")
    wide = np.minimum(array, 2**62).astype(np.int64) if array.dtype == np.uint64 else array.astype(np.int64)
    if wide.size and not (low <= wide.min() and wide.max() <= high):
        wrong = int(wide.min()) if wide.min() < low else int(wide.max())
        raise ValueError(f"{argument} must be in [{low}, {high}] for {dtype}, not {wrong}")
    return np.array(wide, np.int32, order="C")


def out_zero_point_of(value: Any, dtype: np.dtype[Any]) -> int:
    if value is None:
        return 0
    try:
        point = operator.index(value)
    except TypeError:
        raise TypeError(f"out_zero_point must be an integer, not {value!r}") from None
    if dtype not in REQUANTIZED:
        raise ValueError(f"out_zero_point must be None where dtype is {dtype}, not {point}")
    low, high = INTEGERS[dtype]
    if not low <= point <= high:
        raise ValueError(f"out_zero_point must be in [{low}, {high}] for {dtype}, not {point}")
    return point


def column_multiplier(multiplier: Any, rounding: Any, n: int) -> dict[str, Any]:
    """What a FixedPointMultiplier is in C."""
    roundings = _native.FIXED_ROUNDINGS
    if not isinstance(rounding, str) or rounding not in roundings:
        raise ValueError(f"rounding must be one of {', '.join(roundings)}, not {rounding!r}")
    m0, shift = (np.array(part, np.int32, order="C") for part in (multiplier.m0, multiplier.shift))
    if m0.shape not in ((), (n,)) or shift.shape not in ((), m0.shape):
        raise ValueError(
            f"out_scale must be one multiplier or one for each of {n} columns, "
            f"not of shapes {m0.shape} and {shift.shape}"
        )
    return {"m0": m0, "shift": shift, "rounding": roundings[rounding]}


def _shape(given: Any, seen: Any) -> Shape:
    return tuple(getattr(given, "shape", seen.shape))
