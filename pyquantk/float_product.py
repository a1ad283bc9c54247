"""Products of floats with matrices of few bits: what their arguments become, and where the results go."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _native
from .arrays import Array, Shape, as_input, check_out
from .dtypes import FLOATS, QUANTIZED_FLOATS
from .microscaling import MXArray
from .operands import float_array, merged
from .packed import PackedMatrix, WeightMatrix, pack

__all__ = ["FloatOperands", "blocks_along_k", "takes_floats"]

_LEFT = (*FLOATS, *QUANTIZED_FLOATS)


def takes_floats(a: Any, b: Any) -> bool:
    """Whether this is a product of floats rather than of integers."""
    if isinstance(a, MXArray) or isinstance(b, (WeightMatrix, MXArray)):
        return True
    return any(getattr(x, "dtype", None) in QUANTIZED_FLOATS for x in (a, b))


def blocks_along_k(m: MXArray, argument: str) -> MXArray:
    """`m`, if the blocks of this left operand lie along the axis that is summed."""
    if m.axis != len(m.shape) - 1:
        raise ValueError(
            f"{argument} must have its blocks along K, its last axis, where it is an MXArray, not along axis {m.axis} "
            f"of shape {m.shape}"
        )
    return m


class FloatOperands:
    """a (..., M, K) and b (..., K, N), and where their product goes."""

    b: Any  # WeightMatrix or ndarray

    def __init__(self, a: Any, b: Any) -> None:
        self.a_has_scales = isinstance(a, MXArray)
        self.a = blocks_along_k(a, "a").dequantize() if isinstance(a, MXArray) else as_input(a, "a", _LEFT)
        if isinstance(b, MXArray):
            b = pack(b)
        if isinstance(b, PackedMatrix) and not isinstance(b, WeightMatrix):
            what = "an MXArray" if self.a_has_scales else self.a.dtype
            raise TypeError(f"b must have been packed with a scale where a is {what}, which {b!r} was not")
        self.b = b if isinstance(b, WeightMatrix) else as_input(b, "b", QUANTIZED_FLOATS)
        b_shape: Shape = self.b.shape
        for name, shape in (("a", self.a.shape), ("b", b_shape)):
            if not shape:
                raise ValueError(f"{name} must have at least one axis, not be 0-d")
        self.vectors = (self.a.ndim == 1, len(b_shape) == 1)
        shapes = (self.a.shape, b_shape)
        if self.vectors[0]:
            self.a = self.a[None, :]
        if self.vectors[1]:
            self.b = self.b[:, None]
            b_shape = self.b.shape
        self.m, k = self.a.shape[-2:]
        self.k, self.n = b_shape[-2:]
        if k != self.k:
            raise ValueError(
                f"a and b must have the same K, not {k} (a of shape {shapes[0]}) and {self.k} (b of shape {shapes[1]})"
            )
        try:
            self.batch = np.broadcast_shapes(self.a.shape[:-2], b_shape[:-2])
        except ValueError:
            raise ValueError(
                f"the leading axes of a and b must broadcast, not be {self.a.shape[:-2]} and {b_shape[:-2]}"
            ) from None
        self.one_b = len(b_shape) == 2

    def row_scale(self, a_scale: Any) -> Array | None:
        if self.a_has_scales:
            if a_scale is not None:
                raise ValueError(f"a_scale must be None where a is an MXArray, which has its own, not {a_scale!r}")
            return None
        rows: Shape = (self.m,)
        each = (*self.a.shape[:-2], self.m) if self.one_b and not self.vectors[0] else rows
        return float_array(a_scale, "a_scale", ((), rows, each) if each != rows else ((), rows))

    def column_scale(self, b_scale: Any) -> Array | None:
        """b_scale where it belongs behind the product; where it belongs to b, b is packed with it."""
        own = self.b.scale if isinstance(self.b, WeightMatrix) else None
        if b_scale is None:
            if own is None:
                raise ValueError("b_scale must be given where b has no scale of its own")
            return None
        if own is not None:
            raise ValueError("b_scale must be None where b has a scale of its own")
        if np.ndim(b_scale) != 2:
            return float_array(b_scale, "b_scale", ((), (self.n,)), f" or (groups, {self.n}) or (K blocks, N blocks)")
        if isinstance(self.b, WeightMatrix):
            raise ValueError("b_scale must be a number or by column where b is packed: pack(b, scale=...) takes blocks")
        if not self.one_b:
            raise ValueError("b_scale must be a number or by column where b has leading axes")
        try:
            self.b = pack(self.b, scale=b_scale)
        except (TypeError, ValueError) as error:
            raise type(error)(f"b_{error}") from None
        return None

    def result(self, dtype: np.dtype[Any], out: Any, inputs: Any) -> Array:
        shape = self.batch + (() if self.vectors[0] else (self.m,)) + (() if self.vectors[1] else (self.n,))
        return np.empty(shape, dtype) if out is None else check_out(out, dtype, shape, inputs)

    def run(self, out: Array, **options: Any) -> None:
        c = out
        if self.vectors[0]:
            c = c[..., None, :] if not self.vectors[1] else c[..., None]
        if self.vectors[1]:
            c = c[..., None]
        if not self.one_b:
            a = np.broadcast_to(self.a, (*self.batch, *self.a.shape[-2:]))
            b = np.broadcast_to(self.b, (*self.batch, *self.b.shape[-2:]))
            for index in np.ndindex(self.batch):
                _native.float_matmul(a[index], pack(b[index]), c[index], **options)
            return
        # One product of many rows: what is by row is then by row of each matrix.
        rows = self.a.shape[:-1]
        flat = merged(c)
        into = np.empty((int(np.prod(rows)), self.n), c.dtype) if flat is None else flat
        a_scale = options.get("a_scale")
        if a_scale is not None and a_scale.ndim:
            options["a_scale"] = np.ascontiguousarray(np.broadcast_to(a_scale, rows)).reshape(-1)
        w = self.b if isinstance(self.b, WeightMatrix) else pack(self.b)
        _native.float_matmul(self.a.reshape(into.shape[0], self.k), w, into, **options)
        if flat is None:
            c[...] = into.reshape(c.shape)
