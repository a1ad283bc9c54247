"""Casts between float types, down to eight bits and fewer, with one correct rounding."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from . import _native
from .arrays import Array, Shape, as_input, check_out
from .dtypes import FLOATS, NARROW_FLOATS, PACKED_FLOAT_BITS, dtype_named

__all__ = ["cast"]

_UINT8 = np.dtype(np.uint8)
_ALL = (*FLOATS, *NARROW_FLOATS)
_DTYPES: dict[Any, np.dtype[Any]] = {key: d for d in _ALL for key in (d.name, d)}
_ROUNDINGS: dict[str, int] = _native.ROUNDINGS


def cast(
    x: Any,
    dtype: Any,
    *,
    saturate: bool = True,
    rounding: str = "nearest_even",
    seed: int | None = None,
    packed: Any = False,
    shape: Shape | None = None,
    out: Array | None = None,
) -> Array:
    """`x` in another float type: one correct rounding, subnormals included.

    Parameters
    ----------
    x : array_like of a float type, any shape and strides
        float32, float16, bfloat16 (lists become float32), or one of the narrow types of ``ml_dtypes``:
        ``float8_e4m3fn``, ``float8_e5m2``, ``float8_e4m3fnuz``, ``float8_e5m2fnuz``, ``float8_e4m3b11fnuz``,
        ``float8_e4m3``, ``float8_e3m4``, ``float6_e2m3fn``, ``float6_e3m2fn``, ``float4_e2m1fn``, ``float8_e8m0fnu``.
    dtype : dtype or str
        Any of these; `x` and the result may not both be narrow.
    saturate : bool, default True
        Whether what is too large (infinities too) becomes the greatest finite number of a narrow type, as ONNX Cast
        has it. Otherwise it becomes infinity, or NaN where the type has none, as ``ml_dtypes`` has it. float32,
        float16 and bfloat16 never saturate.
    rounding : str, default "nearest_even"
        "nearest_even", "nearest_away" (ties away from zero), "toward_zero", "up" (to positive infinity), "down",
        or "stochastic": up with the probability that makes the mean right.
    seed : int, optional
        Of "stochastic", in [0, 2**64): the random number of an element depends on it and on the element's place in C
        order, and on nothing else.
    packed : bool, dtype or str, default False
        True packs a float6 or float4 result along the last axis into uint8, the first element in the low bits. The
        name of such a type says that the bytes of `x` (uint8) hold its elements, packed so.
    shape : tuple of int, optional
        With a type in `packed`, the shape of the elements; by default every element of the bytes counts.
    out : ndarray, optional
        Where to write the result: of its dtype and shape, any strides, no overlap with `x`.

    Returns
    -------
    ndarray of `dtype`, of the shape of `x` (or `shape`); packed: uint8, the last axis ``ceil(n * bits / 8)``

    Raises
    ------
    TypeError
        If a dtype is not one of these, or both are narrow.
    ValueError
        If `rounding` is unknown, `seed` is missing, a shape does not fit, or `out` cannot be written.

    Notes
    -----
    The same bits on every CPU, for any number of threads and any strides. A NaN becomes the quiet NaN without
    payload, with its sign where the type has signed NaNs; float6 and float4 have no NaN and get zero of the opposite
    sign, as in ``ml_dtypes``. float8_e8m0fnu saturating follows ONNX (the sign is dropped, 0 gives 2**-127), otherwise
    ``ml_dtypes`` (zero and negative numbers give NaN). Random numbers: Philox4x32-10 (Salmon et al., 2011).

    Examples
    --------
    >>> import pyquantk as qk
    >>> qk.cast([0.1, 17.0, 1e6], "float8_e4m3fn").astype(float).tolist()
    [0.1015625, 16.0, 448.0]
    >>> qk.cast([0.1, 17.0, 1e6], "float8_e5m2", saturate=False, rounding="up").astype(float).tolist()
    [0.109375, 20.0, inf]
    """
    if rounding == "nearest_even" and packed is False and shape is None and x.__class__ is np.ndarray:
        target = _DTYPES.get(dtype) if isinstance(dtype, (str, np.dtype)) else None
        if target is not None and ((out is None and x.flags.c_contiguous) or out.__class__ is np.ndarray):
            plain = np.empty(x.shape, target) if out is None else out
            if plain.dtype is target and _native.cast_plain(x, plain, bool(saturate)):
                return plain
    target = dtype_named(dtype, "dtype", _ALL)
    code, seed = _rounding(rounding, seed)
    pack, held = _packing(packed, target)
    x = as_input(x, "x", _ALL if held is None else (_UINT8,))
    source = held or x.dtype
    if source in NARROW_FLOATS and target in NARROW_FLOATS:
        raise TypeError(f"x and dtype must not both be narrow types, not {source} and {target}")
    full = x.shape if held is None else _elements(x.shape, held, shape)
    if held is None and shape is not None:
        raise ValueError("shape must not be given unless packed names what the bytes of x hold")
    result, result_shape = (_UINT8, _bytes(full, target)) if pack else (target, full)
    if held is not None and x.ndim and x.shape[-1] > 1 and x.strides[-1] != 1:
        x = np.ascontiguousarray(x)
    if out is None:
        same = held is None and not pack
        out = np.empty_like(x, target, order="K", subok=False) if same else np.empty(result_shape, result)
    else:
        check_out(out, result, result_shape, (x,))
        if pack and out.strides[-1] != 1 and out.shape[-1] > 1:
            raise ValueError("out must be contiguous along its last axis, where elements are packed")
    if out.size:
        _native.cast(x, held, out, target if pack else None, full, code, bool(saturate), seed)
    return out


def _rounding(name: Any, seed: Any) -> tuple[int, int]:
    if not isinstance(name, str) or name not in _ROUNDINGS:
        raise ValueError(f"rounding must be one of {', '.join(_ROUNDINGS)}, not {name!r}")
    if seed is None:
        if name == "stochastic":
            raise ValueError("seed must be given with rounding='stochastic'")
        return _ROUNDINGS[name], 0
    try:
        number = operator.index(seed)
    except TypeError:
        raise TypeError(f"seed must be an integer, not {seed!r}") from None
    if not 0 <= number < 2**64:
        raise ValueError(f"seed must be in [0, 2**64), not {number}")
    return _ROUNDINGS[name], number


def _packing(packed: Any, target: np.dtype[Any]) -> tuple[bool, np.dtype[Any] | None]:
    """Whether to pack the result, and what the bytes of x hold."""
    if packed is False or packed is None:
        return False, None
    if packed is not True:
        return False, dtype_named(packed, "packed", PACKED_FLOAT_BITS)
    if target not in PACKED_FLOAT_BITS:
        names = ", ".join(d.name for d in PACKED_FLOAT_BITS)
        raise TypeError(f"packed results must have one of the dtypes {names}, not {target}")
    return True, None


def _bytes(full: Shape, dtype: np.dtype[Any]) -> Shape:
    """The shape of the bytes that hold `full` elements."""
    if not full:
        raise ValueError("x must have an axis along which its elements are packed, not be 0-d")
    return (*full[:-1], -(-full[-1] * PACKED_FLOAT_BITS[dtype] // 8))


def _elements(bytes_shape: Shape, dtype: np.dtype[Any], shape: Any) -> Shape:
    if not bytes_shape:
        raise ValueError("x must have an axis along which its elements are packed, not be 0-d")
    if shape is None:
        return (*bytes_shape[:-1], bytes_shape[-1] * 8 // PACKED_FLOAT_BITS[dtype])
    try:
        full = tuple(operator.index(n) for n in shape)
    except TypeError:
        raise TypeError(f"shape must be a tuple of integers, not {shape!r}") from None
    if any(n < 0 for n in full) or _bytes(full, dtype) != bytes_shape:
        raise ValueError(f"shape must fit the bytes of x, of shape {bytes_shape}, as {dtype}; not {shape}")
    return full
