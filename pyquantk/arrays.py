"""How arguments become arrays that the C library can view: inputs, outputs, parameters and blocks."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from . import _native
from .dtypes import ELEMENT_BITS, FLOATS, INTEGERS, QUANTIZED_FLOATS, bfloat16

__all__ = [
    "PLAIN_DTYPES",
    "Granularity",
    "as_float32",
    "as_input",
    "check_out",
    "granularity",
    "normalize_axis",
    "packed_shape",
    "plain_result",
    "real_numbers",
    "scale_array",
    "zero_point_array",
]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

#: What the fast ways of _native take for a dtype: names and objects.
PLAIN_DTYPES: dict[Any, np.dtype[Any]] = {
    key: d for d in (*FLOATS, *INTEGERS, *QUANTIZED_FLOATS) for key in (d.name, d)
}


def as_input(x: Any, argument: str, allowed: Any = FLOATS) -> Array:
    """`x` as an array of one of the `allowed` dtypes, without a copy where there is one to view.

    Lists and Python numbers become float32 where that is allowed. Byte-swapped arrays are copied to native order.
    """
    if isinstance(x, np.ndarray):
        array = x
    elif isinstance(x, (list, tuple, int, float)) and FLOATS[0] in allowed:
        try:
            array = _native.in_float_environment(lambda: np.asarray(x, FLOATS[0]))
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{argument} must be an array of real numbers: {error}") from error
    elif hasattr(x, "__dlpack__") and not isinstance(x, np.generic):
        try:
            array = _from_dlpack(x)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise TypeError(
                f"{argument} must be an array that NumPy can view; the DLPack export of {type(x).__name__} "
                f"failed: {error}"
            ) from error
    else:
        array = np.asarray(x)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype not in allowed:
        names = ", ".join(d.name for d in allowed)
        raise TypeError(f"{argument} must have one of the dtypes {names}, not {array.dtype}")
    return array


def _from_dlpack(x: Any) -> Array:
    """NumPy's DLPack import knows no bfloat16; a torch tensor of it comes in as the integers of its bits."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor) and x.dtype == torch.bfloat16:
        return np.from_dlpack(x.view(torch.int16)).view(bfloat16)
    return np.from_dlpack(x)


def check_out(out: Any, dtype: np.dtype[Any], shape: Shape, inputs: Sequence[Any], *, argument: str = "out") -> Array:
    """`out` itself, if a kernel may write a result of this dtype and shape into it."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{argument} must be a numpy.ndarray, not {type(out).__name__}")
    if out.dtype != dtype or not out.dtype.isnative:
        raise TypeError(f"{argument} must have dtype {dtype} in native byte order, not {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"{argument} must have shape {shape}, not {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{argument} must be writeable")
    if out.size and any(stride == 0 and n > 1 for stride, n in zip(out.strides, out.shape, strict=True)):
        raise ValueError(f"{argument} must have an element of memory for each element, not be a broadcast view")
    for other in inputs:
        if isinstance(other, np.ndarray) and _overlap(out, other):
            raise ValueError(f"{argument} must not overlap an input")
    return out


def plain_result(x: Any, out: Any, dtype: np.dtype[Any] | None) -> Array | None:
    """`out`, or a new array for the result, if x and it are worth trying the fast way with."""
    if dtype is None or x.__class__ is not np.ndarray:
        return None
    if out is None:
        return np.empty(x.shape, dtype) if x.flags.c_contiguous else None
    return out if out.__class__ is np.ndarray and out.dtype is dtype else None


def _overlap(a: Array, b: Array) -> bool:
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=10_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def normalize_axis(axis: Any, ndim: int) -> int:
    """`axis` in [0, ndim)."""
    try:
        index = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis must be an integer, not {axis!r}") from None
    if not -ndim <= index < ndim:
        raise ValueError(f"axis must be in [{-ndim}, {ndim}) for an array of {ndim} axes, not {index}")
    return index % ndim


def _positive(n: Any) -> int:
    try:
        size = operator.index(n)
    except TypeError:
        raise TypeError(f"block_size must be an integer, not {n!r}") from None
    if size < 1:
        raise ValueError(f"block_size must be at least 1, not {size}")
    return size


class Granularity(NamedTuple):
    """Which elements of an array share parameters.

    Attributes
    ----------
    block : tuple of int, or None
        How many consecutive elements along each axis do; None where all do.
    full : tuple of int
        The shape of the parameters with every axis of the array kept.
    short : tuple of int
        Their shape as users write it: per channel only the channels' axes, otherwise `full`.
    """

    block: tuple[int, ...] | None
    full: Shape
    short: Shape


def granularity(shape: Shape, axis: Any, block_size: Any) -> Granularity:
    """What `axis` and `block_size` mean for an array of this shape."""
    if axis is None and block_size is None:
        return Granularity(None, (), ())
    named = axis if isinstance(axis, tuple) else (-1 if axis is None else axis,)
    axes = [normalize_axis(a, len(shape)) for a in named]
    sizes = block_size if isinstance(block_size, tuple) else (1 if block_size is None else block_size,)
    if block_size is None:
        sizes = (1,) * len(axes)
    if len(sizes) != len(axes):
        raise ValueError(f"block_size must have one entry for each axis of {axis!r}, not be {block_size!r}")
    if len(set(axes)) != len(axes):
        raise ValueError(f"axis must name different axes, not {axis!r}")
    # Per channel the other axes are whole; per block each of their elements has parameters of its own.
    block = [max(n, 1) for n in shape] if block_size is None else [1] * len(shape)
    for a, size in zip(axes, sizes, strict=True):
        block[a] = min(_positive(size), max(shape[a], 1))
    full = tuple(-(-n // b) for n, b in zip(shape, block, strict=True))
    if block_size is None:  # a whole axis has one parameter even where it has no element
        full = tuple(n if d in axes else 1 for d, n in enumerate(full))
    return Granularity(tuple(block), full, tuple(full[a] for a in sorted(axes)) if block_size is None else full)


def scale_array(scale: Any, grain: Granularity) -> Array:
    """`scale` as float32, C-contiguous, one number for each block.

    Raises
    ------
    TypeError
        If `scale` is not real numbers.
    ValueError
        If its shape is not the one that `axis` and `block_size` ask for.
    """
    array = real_numbers(scale)
    if array.shape not in (grain.short, grain.full) and not (grain.block is None and array.size == 1):
        wanted = f"of shape {grain.short}" if grain.block else "a single number (give axis or block_size for more)"
        raise ValueError(f"scale must be {wanted}, not of shape {array.shape}")
    return as_float32(array)


def real_numbers(scale: Any) -> Array:
    """`scale` as an array of a float or integer dtype."""
    array = np.asarray(scale)
    if array.dtype.kind in "fiu" or (array.dtype.kind == "V" and array.dtype.names is None):
        return array
    raise TypeError(f"scale must be real numbers, not {array.dtype}")


def as_float32(array: Array) -> Array:
    """`array` rounded to float32, C-contiguous; the rounding is ours, not that of the caller's environment."""

    def rounded() -> Array:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return np.array(array, np.float32, order="C", copy=None)

    if array.dtype == np.float32:
        return np.array(array, np.float32, order="C", copy=None)
    try:
        return _native.in_float_environment(rounded)
    except TypeError:
        raise TypeError(f"scale must be real numbers, not {array.dtype}") from None


def _out_of_range(limits: tuple[int, int], given: int) -> ValueError:
    return ValueError(f"zero_point must be in [{limits[0]}, {limits[1]}], not {given}")


def zero_point_array(zero_point: Any, scale: Array, limits: tuple[int, int]) -> Array | None:
    """`zero_point` as int32, C-contiguous, of the shape of `scale`; None where all are 0."""
    if zero_point is None:
        return None
    if isinstance(zero_point, int) and not isinstance(zero_point, bool):
        if not limits[0] <= zero_point <= limits[1]:
            raise _out_of_range(limits, zero_point)
        return np.full(scale.shape, zero_point, np.int32) if zero_point else None
    array = np.asarray(zero_point)
    if array.dtype.kind not in "iu" and array.dtype not in INTEGERS:
        raise TypeError(f"zero_point must be integers, not {array.dtype}")
    wide = np.minimum(array, 2**62).astype(np.int64) if array.dtype == np.uint64 else array.astype(np.int64)
    if wide.size and not (limits[0] <= wide.min() and wide.max() <= limits[1]):
        raise _out_of_range(limits, int(wide.min()) if wide.min() < limits[0] else int(wide.max()))
    if wide.ndim == 0:
        wide = np.full(scale.shape, wide)
    elif wide.shape != scale.shape and not wide.size == scale.size == 1:
        raise ValueError(f"zero_point must be a number or have the shape of scale, {scale.shape}, not {wide.shape}")
    return np.array(wide, np.int32, order="C")


def packed_shape(shape: Shape, dtype: np.dtype[Any], grain: Granularity | None) -> Shape:
    """The shape of the bytes that hold `shape` elements."""
    bits = ELEMENT_BITS.get(dtype)
    if bits is None:
        names = ", ".join(d.name for d in ELEMENT_BITS)
        raise TypeError(f"packed results must have one of the dtypes {names}, not {dtype}")
    if not shape:
        raise ValueError("x must have an axis along which its elements are packed, not be 0-d")
    whole = 8 // math.gcd(8, bits)  # elements that fill whole bytes
    size = grain.block[-1] if grain is not None and grain.block else 1
    if 1 < size < shape[-1] and size % whole:
        raise ValueError(f"block_size must be a multiple of {whole} along a packed axis, not {size}")
    return (*shape[:-1], -(-shape[-1] * bits // 8))
