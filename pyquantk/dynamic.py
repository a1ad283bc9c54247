"""Quantization by the array's own range: absmax, scale and quantized values in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _native
from .arrays import Array, Granularity, as_input, check_out, granularity, packed_shape
from .dtypes import INTEGERS, QUANTIZED_FLOATS, dtype_named

__all__ = ["quantize_dynamic", "result_array"]

_UINT8 = np.dtype(np.uint8)
_TARGETS = (*(d for d in INTEGERS if d.name in ("int8", "int4")), *QUANTIZED_FLOATS)


def quantize_dynamic(
    x: Any,
    dtype: Any = "int8",
    *,
    axis: int | tuple[int, ...] | None = None,
    block_size: int | tuple[int, ...] | None = None,
    packed: bool = False,
    out: Array | None = None,
) -> tuple[Array, Array]:
    """Quantize `x` by its own range: for the whole array, per channel, per token or per block.

    Parameters
    ----------
    x : array_like of float32, float16 or bfloat16, any shape and strides
    dtype : dtype or str, default int8
        int8, int4, or a float type of ``ml_dtypes``: float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz,
        float8_e4m3b11fnuz, float8_e4m3, float8_e3m4, float6_e2m3fn, float6_e3m2fn or float4_e2m1fn.
    axis, block_size
        As in `quantize`. ``block_size=x.shape[-1]`` is per token; ``axis=(-2, -1), block_size=(128, 128)`` makes
        two-dimensional blocks.
    packed : bool, default False
        Pack 4- or 6-bit results along the last axis into uint8, the first element in the low bits.
    out : ndarray, optional
        Where to write `q`: of its dtype and shape, any strides, no overlap with `x`.

    Returns
    -------
    q : ndarray of `dtype`, of the shape of `x` (packed: uint8, the last axis ``ceil(n * bits / 8)``)
    scale : ndarray of float32
        As `quantize` and `dequantize` take it.

    Raises
    ------
    TypeError, ValueError
        As in `quantize`.

    Notes
    -----
    scale = absmax / max, with max the greatest number of `dtype` (127, 7, 448, ...): 1 where absmax is 0, and never
    below the least normal float32. NaN does not count for a range; it becomes NaN, or the least value of an integer
    type. An infinity makes its scale infinite, finite numbers beside it 0, and itself NaN. Then q is what
    ``quantize(x, scale)`` returns, bit for bit, but `x` is read from memory once where a block fits the caches.

    Examples
    --------
    >>> import pyquantk as qk
    >>> q, scale = qk.quantize_dynamic([[1.0, -2.0], [0.0, 508.0]], axis=0)
    >>> q
    array([[  64, -127],
           [   0,  127]], dtype=int8)
    >>> scale * 127
    array([  2., 508.], dtype=float32)
    """
    target = dtype_named(dtype, "dtype", _TARGETS)
    x = as_input(x, "x")
    grain = granularity(x.shape, axis, block_size)
    q = result_array(x, target, packed, grain, out)
    scale = np.ones(grain.full, np.float32)
    if x.size:
        _native.quantize_dynamic(x, q, target if packed else None, scale, grain.block, _native.SCALE_ABSMAX, 1.0)
    return q, scale.reshape(grain.short)


def result_array(x: Array, target: np.dtype[Any], packed: bool, grain: Granularity, out: Any) -> Array:
    """`out` or a new array, for quantized `x`."""
    dtype, shape = (_UINT8, packed_shape(x.shape, target, grain)) if packed else (target, x.shape)
    if out is None:
        return np.empty(shape, dtype) if packed else np.empty_like(x, dtype, order="K", subok=False)
    to = check_out(out, dtype, shape, (x,))
    if packed and to.strides[-1] != 1 and to.shape[-1] > 1:
        raise ValueError("out must be contiguous along its last axis, where elements are packed")
    return to
