"""Uniform affine quantization: float arrays to small integers or floats, back, and both in one pass."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from . import _native
from .arrays import (
    PLAIN_DTYPES,
    Array,
    Shape,
    as_input,
    check_out,
    granularity,
    packed_shape,
    plain_result,
    scale_array,
    zero_point_array,
)
from .dtypes import ELEMENT_BITS, FLOATS, INTEGERS, QUANTIZED_FLOATS, dtype_named

__all__ = ["dequantize", "fake_quantize", "quantize"]

_CONVENTIONS: dict[str, int] = _native.CONVENTIONS
_INT8 = np.dtype(np.int8)
_UINT8 = np.dtype(np.uint8)
_INT32 = np.dtype(np.int32)
_BOOL = np.dtype(np.bool_)
_QUANTIZED = (*INTEGERS, np.dtype(np.int32), *QUANTIZED_FLOATS)
_TARGETS = (*INTEGERS, *QUANTIZED_FLOATS)
_NO_ZERO_POINT = (0, 0)  # of float types


def quantize(
    x: Any,
    scale: Any,
    zero_point: Any = None,
    *,
    dtype: Any = None,
    axis: int | tuple[int, ...] | None = None,
    block_size: int | tuple[int, ...] | None = None,
    convention: str = "onnx",
    packed: bool = False,
    out: Array | None = None,
) -> Array:
    """Quantize `x`: ``saturate(round(x / scale) + zero_point)``, or to a narrow float type ``round(x / scale)``.

    Parameters
    ----------
    x : array_like of float32, float16 or bfloat16, any shape and strides
        Anything NumPy can view, CPU DLPack producers included; lists become float32. NaN gives the least value of
        an integer type and the NaN of a float type, infinities saturate.
    scale : float or array_like of float
        Size of one quantization step in units of `x`: a number; with `axis` an array of shape ``(x.shape[axis],)``;
        with `block_size` of the shape of `x` with each blocked axis of n elements replaced by ``ceil(n / block_size)``.
        Rounded to float32 first. Any value is allowed, zero, negative, infinite and NaN too: the result follows the
        formula in IEEE arithmetic, then saturates.
    zero_point : int or array_like of int, optional
        The integer that stands for 0.0, within the range of the result: a number, or an array of the shape of `scale`.
        Not for float types.
    dtype : dtype or str, optional
        int8 (the default, unless `zero_point` has one of these dtypes itself), uint8, int16, uint16, int4, uint4,
        int2 or uint2; or a float type of ``ml_dtypes``: float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz,
        float8_e4m3b11fnuz, float8_e4m3, float8_e3m4, float6_e2m3fn, float6_e3m2fn or float4_e2m1fn. Then the float32
        quotient is rounded half to even, subnormals included.
    axis : int or tuple of int, optional
        The axis (or axes) along which `scale` varies; negative counts from the end. With `block_size` alone, -1.
    block_size : int or tuple of int, optional
        How many consecutive elements along `axis` share a scale; the last block may be shorter. A tuple, with a
        tuple of axes, makes blocks of two or more dimensions.
    convention : str, default "onnx"
        Whose rounding: "onnx" divides and rounds half to even; "torch", "torch_fake_quantize", "torch_decomposed",
        "tflite", "ggml" and "bitsandbytes" give the bits of those systems. For "bitsandbytes" `scale` is the row's
        absmax, as in its own functions, and the step is absmax / 127. Float types know "onnx" only.
    packed : bool, default False
        Pack results of 6, 4 or 2 bits along the last axis into uint8, the first element in the low bits.
    out : ndarray, optional
        Where to write the result: of its dtype and shape, any strides, no overlap with an input.

    Returns
    -------
    ndarray of `dtype`, of the shape of `x` (packed: uint8, the last axis ``ceil(n * bits / 8)``)

    Raises
    ------
    TypeError
        If an argument has a dtype that is not listed here.
    ValueError
        If shapes do not fit, `zero_point` is out of range, or `out` cannot be written. `out` is then untouched.

    Notes
    -----
    The result has the same bits on every CPU and for any number of threads. The formulas are those of ONNX
    QuantizeLinear (opset 21 and later, arithmetic in float32), ``torch.quantize_per_tensor`` and
    ``quantize_per_channel``, ``torch.fake_quantize_per_tensor_affine``, ``quantized_decomposed`` (given `block_size`,
    its per-group and per-token form), TFLite, ggml's Q8_0 and bitsandbytes' ``int8_vectorwise_quant``; csrc/affine
    has them in full.

    Examples
    --------
    >>> import pyquantk as qk
    >>> qk.quantize([-1.0, 0.0, 0.26, 100.0], 0.1)
    array([-10,   0,   3, 127], dtype=int8)
    >>> qk.quantize([[0.5, 1.0], [5.0, 10.0]], [0.01, 0.1], 128, dtype="uint8", axis=0)
    array([[178, 228],
           [178, 228]], dtype=uint8)
    """
    plain = plain_result(x, out, _plain_dtype(dtype, zero_point)) if not packed else None
    if (
        plain is not None
        and isinstance(convention, str)
        and convention in _PLAIN_CONVENTIONS
        and _native.quantize_plain(x, scale, zero_point, plain, _CONVENTIONS[convention], axis, block_size)
    ):
        return plain
    x = as_input(x, "x")
    target = _target_dtype(dtype, zero_point)
    grain = granularity(x.shape, axis, block_size)
    scales = scale_array(scale, grain)
    zero_points = zero_point_array(zero_point, scales, INTEGERS.get(target, _NO_ZERO_POINT))
    code, inverse = _convention(convention, scale, scales, block_size)
    if target in QUANTIZED_FLOATS:
        zero_points = None  # there are none but 0
        if convention != "onnx":
            raise ValueError(f"convention must be 'onnx' where dtype is {target}, not {convention!r}")

    shape, result_dtype = x.shape, target
    if packed:
        shape, result_dtype = packed_shape(x.shape, target, grain), _UINT8
    if out is None:
        out = np.empty(shape, _UINT8) if packed else np.empty_like(x, target, order="K", subok=False)
    else:
        check_out(out, result_dtype, shape, (x, scale, zero_point))
        if packed and out.ndim and out.strides[-1] != 1 and out.shape[-1] > 1:
            raise ValueError("out must be contiguous along its last axis, where elements are packed")
    if x.size:
        _native.quantize(x, out, target if packed else None, scales, zero_points, inverse, grain.block, code)
    return out


def dequantize(
    q: Any,
    scale: Any,
    zero_point: Any = None,
    *,
    dtype: Any = "float32",
    axis: int | tuple[int, ...] | None = None,
    block_size: int | tuple[int, ...] | None = None,
    packed: Any = None,
    shape: Shape | None = None,
    out: Array | None = None,
) -> Array:
    """Real values of quantized ones: ``(q - zero_point) * scale``.

    The subtraction is exact, the product rounds once to float32, and a float16 or bfloat16 result once more.

    Parameters
    ----------
    q : array_like of a dtype that `quantize` makes, or int32, any shape and strides
        Or, with `packed`, uint8 with 6-, 4- or 2-bit elements along the last axis, the first in the low bits.
    scale, zero_point, axis, block_size
        As in `quantize`. An int32 `q` may have any int32 zero point.
    dtype : dtype or str, default float32
        float32, float16 or bfloat16.
    packed : dtype or str, optional
        What the bytes of `q` hold: int4, uint4, int2, uint2, float6_e2m3fn, float6_e3m2fn or float4_e2m1fn. Where
        `shape` is given and `zero_point` has one of these dtypes, that one is the default.
    shape : tuple of int, optional
        The shape of the unpacked elements; by default every element of the bytes counts.
    out : ndarray, optional
        Where to write the result: of its dtype and shape, any strides, no overlap with an input.

    Returns
    -------
    ndarray of `dtype`, of the shape of `q` (or `shape`)

    Raises
    ------
    TypeError, ValueError
        As in `quantize`; also if `shape` does not fit the bytes of a packed `q`.

    Notes
    -----
    ONNX DequantizeLinear with float32 arithmetic. The same bits on every CPU.

    Examples
    --------
    >>> import pyquantk as qk, numpy as np
    >>> qk.dequantize(np.array([-10, 0, 3, 127], np.int8), 0.5)
    array([-5. ,  0. ,  1.5, 63.5], dtype=float32)
    """
    if packed is None and shape is None:
        plain = plain_result(q, out, PLAIN_DTYPES.get(dtype) if isinstance(dtype, (str, np.dtype)) else None)
        if plain is not None and _native.dequantize_plain(q, scale, zero_point, plain, axis, block_size):
            return plain
    target = dtype_named(dtype, "dtype", FLOATS)
    held = _held_dtype(packed, shape, zero_point)
    if held is None:
        q = as_input(q, "q", _QUANTIZED)
        full: Shape = q.shape
        whole = _NO_ZERO_POINT if q.dtype in QUANTIZED_FLOATS else (-(2**31), 2**31 - 1)
        limits = INTEGERS.get(q.dtype, whole)
    else:
        q = as_input(q, "q", (_UINT8,))
        full = _unpacked_shape(q.shape, held, shape)
        limits = INTEGERS.get(held, _NO_ZERO_POINT)
    grain = granularity(full, axis, block_size)
    scales = scale_array(scale, grain)
    zero_points = zero_point_array(zero_point, scales, limits)
    if limits == _NO_ZERO_POINT:
        zero_points = None
    if held is not None:
        packed_shape(full, held, grain)
        if q.ndim and q.shape[-1] > 1 and q.strides[-1] != 1:
            q = np.ascontiguousarray(q)
    if out is None:
        out = np.empty_like(q, target, order="K", subok=False) if held is None else np.empty(full, target)
    else:
        check_out(out, target, full, (q, scale, zero_point))
    if out.size:
        _native.dequantize(q, held, full, out, scales, zero_points, grain.block)
    return out


def fake_quantize(
    x: Any,
    scale: Any,
    zero_point: Any = None,
    *,
    quant_min: int = -128,
    quant_max: int = 127,
    axis: int | tuple[int, ...] | None = None,
    block_size: int | tuple[int, ...] | None = None,
    convention: str = "torch_fake_quantize",
    return_mask: bool = False,
    out: Array | tuple[Array | None, Array | None] | None = None,
) -> Any:
    """Quantize and dequantize in one pass, as in quantization-aware training.

    ``(clamp(round(x / scale) + zero_point, quant_min, quant_max) - zero_point) * scale``

    Parameters
    ----------
    x : array_like of float32, float16 or bfloat16, any shape and strides
        NaN counts as `quant_min`.
    scale, zero_point, axis, block_size, convention
        As in `quantize`; `zero_point` is within [`quant_min`, `quant_max`].
    quant_min, quant_max : int, default -128 and 127
        The integer range, at most 65535 wide, within [-2**23, 2**23], where float32 is exact.
    return_mask : bool, default False
        Also return where the clamp changed nothing: the gradient of the straight-through estimator is
        ``grad * mask``.
    out : ndarray of the dtype and shape of `x`, or tuple of two, optional
        Where to write the result; may be `x` itself. With `return_mask` also ``(y, mask)``, as NumPy's functions of
        two results have it: the mask of dtype bool; None for what is to be allocated.

    Returns
    -------
    y : ndarray of the dtype and shape of `x`
    mask : ndarray of bool, of the shape of `x`
        Only with `return_mask`. False where x is NaN.

    Raises
    ------
    TypeError, ValueError
        As in `quantize`; also if `quant_min` > `quant_max`.

    Notes
    -----
    By default the bits of ``torch.fake_quantize_per_tensor_affine`` and ``..._per_channel_affine``. The
    straight-through estimator: Bengio, Leonard & Courville, "Estimating or propagating gradients through stochastic
    neurons", 2013.

    Examples
    --------
    >>> import pyquantk as qk
    >>> y, mask = qk.fake_quantize([0.26, 100.0], 0.125, return_mask=True)
    >>> y, mask
    (array([ 0.25 , 15.875], dtype=float32), array([ True, False]))
    """
    low, high = _integer(quant_min, "quant_min"), _integer(quant_max, "quant_max")
    if not (-(2**23) <= low <= high <= 2**23 and high - low <= 65535):
        raise ValueError(
            f"quant_min and quant_max must be in order, within 2**23 and at most 65535 apart, not {low} and {high}"
        )
    result, mask_out = _two_outs(out, return_mask)
    plain = plain_result(x, result, PLAIN_DTYPES.get(getattr(x, "dtype", None)))
    if plain is not None and isinstance(convention, str) and convention in _PLAIN_CONVENTIONS:
        mask = np.empty(x.shape, np.bool_) if return_mask and mask_out is None else mask_out
        code = _CONVENTIONS[convention]
        if _native.fake_quantize_plain(x, scale, zero_point, plain, mask, code, axis, block_size, low, high):
            return plain if mask is None else (plain, mask)
    x = as_input(x, "x")
    grain = granularity(x.shape, axis, block_size)
    scales = scale_array(scale, grain)
    zero_points = zero_point_array(0 if zero_point is None else zero_point, scales, (low, high))
    code, inverse = _convention(convention, scale, scales, block_size)
    if result is None:
        result = np.empty_like(x, order="K", subok=False)
    else:
        same = result is x or (isinstance(result, np.ndarray) and _same_memory(result, x))
        check_out(result, x.dtype, x.shape, (scale, zero_point) if same else (x, scale, zero_point))
    mask = None
    if mask_out is not None:
        mask = check_out(mask_out, _BOOL, x.shape, (x, result, scale, zero_point), argument="out[1]")
    elif return_mask:
        mask = np.empty_like(result, _BOOL, order="K", subok=False)
    if x.size:
        kept = None if mask is None else mask.view(_UINT8)
        _native.fake_quantize(x, result, kept, scales, zero_points, inverse, grain.block, code, low, high)
    return result if mask is None else (result, mask)


# Conventions that _native's fast way may serve: those whose reciprocal is taken in float32.
_PLAIN_CONVENTIONS = frozenset(_CONVENTIONS) - {"torch_decomposed"}


def _plain_dtype(dtype: Any, zero_point: Any) -> np.dtype[Any] | None:
    """The result's dtype where it is plain to see."""
    if dtype is None:
        if zero_point is None or zero_point.__class__ is int:
            return _INT8
        return _INT8 if getattr(zero_point, "dtype", None) is _INT32 else None
    return PLAIN_DTYPES.get(dtype) if isinstance(dtype, (str, np.dtype)) else None


def _two_outs(out: Any, return_mask: bool) -> tuple[Any, Any]:
    """Where fake_quantize shall write its result and the mask."""
    if not isinstance(out, tuple):
        return out, None
    if not return_mask or len(out) != 2:
        raise ValueError(f"out must be an array, or with return_mask (y, mask), not a tuple of {len(out)}")
    return out


def _integer(n: Any, argument: str) -> int:
    try:
        return operator.index(n)
    except TypeError:
        raise TypeError(f"{argument} must be an integer, not {n!r}") from None


def _target_dtype(dtype: Any, zero_point: Any) -> np.dtype[Any]:
    if dtype is not None:
        return dtype_named(dtype, "dtype", _TARGETS)
    return _own_dtype(zero_point, INTEGERS) or _INT8


def _own_dtype(zero_point: Any, allowed: Any) -> np.dtype[Any] | None:
    """The dtype that zero_point itself has, in native byte order, if it is one of `allowed`."""
    given = getattr(zero_point, "dtype", None)
    if isinstance(given, np.dtype) and not given.isnative:
        given = given.newbyteorder("=")
    return given if isinstance(given, np.dtype) and given in allowed else None


def _convention(name: Any, scale: Any, scales: Array, block_size: Any) -> tuple[int, Array | None]:
    """The code of a convention, and the reciprocals where it does not take them in float32."""
    if not isinstance(name, str) or name not in _CONVENTIONS:
        raise ValueError(f"convention must be one of {', '.join(_CONVENTIONS)}, not {name!r}")
    code = _CONVENTIONS[name]
    if name != "torch_decomposed":
        return code, None

    def inverse() -> Array:
        with np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore"):
            return np.array((1.0 / np.asarray(scale).astype(np.float64)).astype(np.float32), order="C")

    inverses = _native.in_float_environment(inverse).reshape(scales.shape)
    return (code if block_size is None else _native.TORCH_DECOMPOSED_GROUP), inverses


def _held_dtype(packed: Any, shape: Shape | None, zero_point: Any) -> np.dtype[Any] | None:
    """What the bytes of a packed array hold, or None where it is not packed."""
    if packed is not None:
        return dtype_named(packed, "packed", ELEMENT_BITS)
    if shape is None:
        return None
    own = _own_dtype(zero_point, ELEMENT_BITS)
    if own is not None:
        return own
    names = ", ".join(d.name for d in ELEMENT_BITS)
    raise TypeError(f"packed must be given with shape, one of {names}, as what q's bytes hold")


def _unpacked_shape(bytes_shape: Shape, dtype: np.dtype[Any], shape: Shape | None) -> Shape:
    bits = ELEMENT_BITS[dtype]
    if shape is None:
        if not bytes_shape:
            raise ValueError("q must have an axis along which its elements are packed")
        return (*bytes_shape[:-1], bytes_shape[-1] * 8 // bits)
    try:
        full = tuple(operator.index(n) for n in shape)
    except TypeError:
        raise TypeError(f"shape must be a tuple of integers, not {shape!r}") from None
    if any(n < 0 for n in full) or packed_shape(full, dtype, None) != bytes_shape:
        raise ValueError(
            f"shape must fit the bytes of q, of shape {bytes_shape}, with {bits}-bit elements; not {shape}"
        )
    return full


def _same_memory(a: Array, b: Array) -> bool:
    same_start = a.__array_interface__["data"] == b.__array_interface__["data"]
    return bool(same_start and a.strides == b.strides and a.shape == b.shape)
