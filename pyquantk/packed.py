"""Matrices packed once to be multiplied many times: integers for the exact product, weights for floats."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from . import _native
from .arrays import Array, Shape, as_float32, as_input, real_numbers
from .dtypes import INTEGERS, QUANTIZED_FLOATS
from .microscaling import MXArray, block_size_of
from .operands import OPERANDS, positive, zero_points

__all__ = ["WEIGHTS", "IntegerMatrix", "PackedMatrix", "WeightMatrix", "pack"]

#: What floats can be multiplied by, one element a byte.
WEIGHTS: tuple[np.dtype[Any], ...] = (*(d for d in INTEGERS if d.itemsize == 1), *QUANTIZED_FLOATS)


class PackedMatrix:
    """A matrix B in the order in which the kernels read it, made by `pack`. Immutable.

    Any number of threads may use one. Two kinds: int8 and uint8 for products of integers, and weights for products of
    floats, which have their scales with them. The first kind follows `cpu.use`: the first product on another layer
    packs it again for that layer, and keeps both; the second is the same on every layer. Pickles hold the plain matrix,
    so they move between machines.

    Attributes
    ----------
    shape : tuple of int
        (K, N).
    dtype : dtype
        Of its elements.
    scale : ndarray of float32 or None
        Of weights, if they have any, of the shape that blocks of `block_size` give.
    block_size : tuple of int or None
        How many consecutive rows, and columns, share a scale.
    zero_point : ndarray of int32 or None
        Of the columns, () or (N,), or of the shape of `scale`: what products subtract from B.
    group_size : int or None
        How many consecutive rows share a scale, where not all do.
    nbytes : int
        Memory held.
    layer : str or None
        The layer whose kernels read it; None where every layer's do.
    """

    __slots__ = ()


class IntegerMatrix(_native.Packed, PackedMatrix):
    """An int8 or uint8 matrix for products of integers."""

    __slots__ = ()

    scale: None = None
    block_size: None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        return OPERANDS[self.is_unsigned]

    @property
    def group_size(self) -> int | None:
        return self.rows_in_group or None

    def unpack(self) -> Array:
        """The plain matrix, C-contiguous (K, N)."""
        b = np.empty(self.shape, self.dtype)
        self.unpack_into(b)
        return b

    def __reduce__(self) -> Any:
        return _restore, (self.unpack(), self.zero_point, self.group_size)

    def __repr__(self) -> str:
        zero = "" if self.zero_point is None else f", zero_point={_brief(self.zero_point)}"
        group = f", group_size={self.group_size}" if self.group_size else ""
        return f"PackedMatrix({self.shape[0]} x {self.shape[1]} {self.dtype}{zero}{group}, layer={self.layer!r})"


class WeightMatrix(_native.Weights, PackedMatrix):
    """A matrix of few bits, with its scales, for products of floats."""

    __slots__ = ()

    layer: None = None

    @property
    def block_size(self) -> tuple[int, int] | None:
        return self.block

    @property
    def group_size(self) -> int | None:
        return self.block[0] if self.block is not None and self.block[0] < self.shape[0] else None

    def unpack(self) -> Array:
        """The plain matrix, C-contiguous (K, N)."""
        b = np.empty(self.shape, np.uint8)
        self.unpack_into(b)
        if self.dtype in INTEGERS and INTEGERS[self.dtype][0] < 0:  # values, not codes
            return b.view(np.int8).astype(self.dtype, copy=False)
        return b.view(self.dtype)

    def __reduce__(self) -> Any:
        codes = self.unpack().view(np.uint8)  # not every dtype of ml_dtypes pickles
        return _restore_weights, (codes, self.dtype.name, self.scale, self.zero_point, self.block)

    def __repr__(self) -> str:
        scale = "" if self.scale is None else f", scale={_brief(self.scale)}"
        zero = "" if self.zero_point is None else f", zero_point={_brief(self.zero_point)}"
        block = "" if self.block is None else f", block_size={self.block}"
        return f"PackedMatrix({self.shape[0]} x {self.shape[1]} {self.dtype}{scale}{zero}{block})"


def _brief(a: Array) -> str:
    return repr(a.item()) if a.ndim == 0 else f"<{a.dtype.name} {a.shape}>"


def _restore(b: Array, zero_point: Array | None, group_size: int | None) -> Any:
    return pack(b, zero_point=zero_point, group_size=group_size)


def _restore_weights(codes: Array, name: str, scale: Any, zero_point: Any, block: Any) -> PackedMatrix:
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    return _weights(codes.view(dtype), scale, zero_point, block)


def pack(
    b: Any, *, zero_point: Any = None, group_size: int | None = None, scale: Any = None, block_size: Any = None
) -> Any:
    """Arrange B once for the kernels of this CPU, to be multiplied many times.

    Parameters
    ----------
    b : array_like, shape (K, N), any strides, or MXArray
        int8 or uint8, for products of integers; with `scale` also int4, uint4, int2 or uint2, and with or without it a
        float8, float6 or float4 type, one element a byte, for products of floats. A matrix of `quantize_mx` with blocks
        along axis 0 has scales of its own. For a weight of shape (out, in), as frameworks keep it, ``pack(weight.T)``.
    zero_point : int or array_like of int, shape (N,) or that of `scale`, optional
        What stands for 0.0 in `b`, within the range of its dtype; products then need no `b_zero_point`.
    group_size : int, optional
        How many consecutive rows share a scale; the last group may be shorter.
    scale : float or array_like of float, shape (N,), (groups, N) or (K blocks, N blocks), optional
        Makes weights for products of floats, which multiply by ``dequantize(b, scale, zero_point)``, bit for bit.
        Without `group_size` and `block_size` the blocks of a two-dimensional `scale` divide K and N evenly.
    block_size : tuple of int, optional
        How many consecutive rows and columns share a scale, e.g. (128, 128).

    Returns
    -------
    PackedMatrix

    Raises
    ------
    TypeError
        If `b`, `scale` or `zero_point` has another dtype.
    ValueError
        If `b` is not a matrix, or another argument does not fit it.

    Examples
    --------
    >>> import numpy as np, pyquantk as qk
    >>> qk.pack(np.array([[1, 2], [3, 4]], np.int8)).unpack()
    array([[1, 2],
           [3, 4]], dtype=int8)
    >>> w = qk.pack(np.array([[1, 2], [3, 4]], np.int8), scale=[0.5, 0.25])
    >>> qk.matmul(np.array([[1.0, 10.0]], np.float32), w)
    array([[15.5, 10.5]], dtype=float32)
    """
    if isinstance(b, MXArray):
        for name, given in (("zero_point", zero_point), ("scale", scale), ("block_size", block_size)):
            if given is not None:
                raise ValueError(f"{name} must be None where b is an MXArray, which has its own, not {given!r}")
        if group_size is not None:
            raise ValueError(f"group_size must be None where b is an MXArray, not {group_size!r}")
        return _from_mx(b)
    wanted = OPERANDS if scale is None and not _is_narrow(b) else WEIGHTS
    b = as_input(b, "b", wanted)
    if b.ndim != 2:
        raise ValueError(f"b must be a matrix (K, N), not of shape {b.shape}")
    if scale is None and b.dtype in OPERANDS:
        if block_size is not None:
            raise ValueError("block_size must be None where no scale is given")
        zeros = zero_points(zero_point, "zero_point", b.shape[1], b.dtype)
        if zeros is not None:
            zeros = zeros.copy()
            zeros.flags.writeable = False
        size = 0 if group_size is None else positive(group_size, "group_size")
        return IntegerMatrix(b, min(size, max(b.shape[0], 1)), zeros)
    if scale is None:
        for name, given in (("group_size", group_size), ("block_size", block_size), ("zero_point", zero_point)):
            if given is not None:
                raise ValueError(f"{name} must be None where no scale is given and b is {b.dtype}, not {given!r}")
        return WeightMatrix(b, None, None, None)
    scales, block = _blocks(scale, b.shape, group_size, block_size)
    return _weights(b, scales, _zero_points(zero_point, b, scales), block)


def _is_narrow(b: Any) -> bool:
    return getattr(b, "dtype", None) in QUANTIZED_FLOATS


def _weights(b: Array, scale: Array | None, zero_point: Array | None, block: tuple[int, int] | None) -> WeightMatrix:
    for array in (scale, zero_point):
        if array is not None:
            array.flags.writeable = False
    return WeightMatrix(b, scale, zero_point, block)


def _blocks(scale: Any, shape: Shape, group_size: Any, block_size: Any) -> tuple[Array, tuple[int, int]]:
    """A copy of `scale` with two axes, and how many rows and columns share each of its numbers."""
    k, n = shape
    array = real_numbers(scale)
    if group_size is not None and block_size is not None:
        raise ValueError("group_size must be None where block_size is given")
    if group_size is not None:
        block = (min(positive(group_size, "group_size"), max(k, 1)), 1)
    elif block_size is not None:
        if not isinstance(block_size, (tuple, list)) or len(block_size) != 2:
            raise ValueError(f"block_size must be (rows, columns), not {block_size!r}")
        rows, columns = (positive(size, "block_size") for size in block_size)
        block = (min(rows, max(k, 1)), min(columns, max(n, 1)))
    elif array.ndim < 2:
        if array.shape not in ((), (n,)):
            raise ValueError(f"scale must be a number, or of shape {(n,)} or (groups, {n}), not of shape {array.shape}")
        block = (max(k, 1), max(n, 1) if array.ndim == 0 else 1)
        return np.array(as_float32(array), order="C").reshape(1, -1), block
    else:
        if array.ndim != 2 or not all(array.shape) or k % array.shape[0] or n % array.shape[1]:
            raise ValueError(
                f"scale must divide b of shape {shape} into equal blocks where neither group_size nor block_size is "
                f"given, not be of shape {array.shape}"
            )
        block = (max(k // array.shape[0], 1), max(n // array.shape[1], 1))
    wanted = (-(-k // block[0]), -(-n // block[1]))
    if array.shape != wanted:
        raise ValueError(f"scale must be of shape {wanted}, not {array.shape}")
    return np.array(as_float32(array), order="C"), block


def _zero_points(zero_point: Any, b: Array, scale: Array) -> Array | None:
    """Zero points of the shape of `scale`, int32; None where all are 0."""
    if zero_point is None:
        return None
    if b.dtype not in INTEGERS:
        raise ValueError(f"zero_point must be None where b is {b.dtype}, not {zero_point!r}")
    array = np.asarray(zero_point)
    if array.shape == scale.shape:
        flat = zero_points(array.reshape(-1), "zero_point", array.size, b.dtype)
        return None if flat is None else flat.reshape(scale.shape).copy()
    if array.shape == (b.shape[1],) != scale.shape[1:]:
        raise ValueError(f"zero_point must be a number or have the shape of scale, {scale.shape}, not {array.shape}")
    zeros = zero_points(zero_point, "zero_point", b.shape[1], b.dtype)
    return None if zeros is None else np.ascontiguousarray(np.broadcast_to(zeros, scale.shape)).copy()


def _from_mx(m: MXArray) -> WeightMatrix:
    if len(m.shape) != 2:
        raise ValueError(f"b must be a matrix (K, N), not of shape {m.shape}")
    if m.axis != 0:
        raise ValueError("b must have its blocks along K, axis 0, where it is an MXArray, not along axis 1")
    scales = np.array(m._real_scales(), order="C")
    return _weights(m._plain_elements(), scales, None, (min(block_size_of(m), max(m.shape[0], 1)), 1))
