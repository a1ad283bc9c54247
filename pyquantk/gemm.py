"""Matrix products: of integers, exact, and of floats in order; an epilogue scales, biases, activates and rounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _native
from .arrays import Array
from .dtypes import FLOATS, dtype_named
from .float_product import FloatOperands, takes_floats
from .operands import REQUANTIZED, Operands, activation_code, column_multiplier, float_array, out_zero_point_of
from .packed import PackedMatrix, pack

__all__ = ["PackedMatrix", "matmul", "pack", "qmatmul"]

_INT32 = np.dtype(np.int32)
_FLOAT32 = np.dtype(np.float32)
_RESULTS = (*FLOATS, *REQUANTIZED)
_NUMBERS = {key: d.num for d in _RESULTS for key in (d, d.name)}  # what the plain way takes for a dtype
_ACTIVATIONS: dict[str, tuple[int, float, float]] = _native.ACTIVATIONS


def matmul(a: Any, b: Any, *, a_zero_point: Any = None, b_zero_point: Any = None, out: Array | None = None) -> Array:
    """The matrix product of 8-bit integers, exact in int32: ``(a - a_zero_point) @ (b - b_zero_point)``.

    Or of floats with a matrix of few bits, in float32.

    Parameters
    ----------
    a : array_like, shape (..., M, K) or (K,), any strides, or MXArray
        int8 or uint8; or float32, float16, bfloat16 or a float type of 8 bits and fewer; or what `quantize_mx` returns
        with blocks along the last axis, which stands for its `dequantize()`.
    b : array_like, shape (..., K, N) or (K,), any strides, PackedMatrix or MXArray
        int8 or uint8 for integers. For floats a float type of 8 bits and fewer, one element a byte; a PackedMatrix
        that was packed with a scale, or of such a type; or what `quantize_mx` returns with ``axis=0``. Leading axes
        broadcast, and one-dimensional operands lose their axis, as in `numpy.matmul`.
    a_zero_point : int or array_like of int, shape (M,), optional
        Of `a`, or of each of its rows; within the range of its dtype.
    b_zero_point : int or array_like of int, shape (N,), optional
        Of `b`, or of each of its columns. Not given where a PackedMatrix has its own.
    out : ndarray of int32, or of float32 for floats, optional
        Where to write the result: of its shape, any strides, no overlap with an input.

    Returns
    -------
    ndarray of int32 or float32, shape (..., M, N)
        An integer is exact while it fits an int32 (any K up to 33,025), modulo 2**32 beyond.

    Raises
    ------
    TypeError
        If an argument has a dtype that is not listed here.
    ValueError
        If shapes do not fit, a zero point is out of range, or `out` cannot be written. `out` is then untouched.

    Notes
    -----
    ONNX MatMulInteger. No intermediate saturates, on no instruction set, and all mixes of signs are as fast.

    A float result is ``fma(a[i, p], w[p, j], sum)`` for p = 0, 1, ... K - 1 from 0, one rounding each, with w what
    `dequantize` makes of `b` in float32: the same bits on every CPU, for any number of threads, and for each row
    whatever the other rows are. `pack` a `b` that is used again: packing takes as long as a product of some ten rows.

    Examples
    --------
    >>> import numpy as np, pyquantk as qk
    >>> a, b = np.array([[1, 2], [3, 4]], np.int8), np.array([[255, 0], [1, 128]], np.uint8)
    >>> qk.matmul(a, b, b_zero_point=128)
    array([[-127, -128],
           [-127, -384]], dtype=int32)
    """
    plain = _native.matmul_plain(a, b, a_zero_point, b_zero_point, out)
    if plain is not None:
        return plain
    if takes_floats(a, b):
        _no_zero_points(a_zero_point, b_zero_point)
        floats = FloatOperands(a, b)
        result = floats.result(_FLOAT32, out, (a, b))
        floats.run(result)
        return result
    shapes = Operands(a, b)
    zeros = shapes.zero_points(a_zero_point, b_zero_point)
    result = shapes.result(_INT32, out, (a, b, a_zero_point, b_zero_point))
    shapes.run(result, *zeros)
    return result


def qmatmul(
    a: Any,
    b: Any,
    *,
    a_scale: Any,
    b_scale: Any,
    a_zero_point: Any = None,
    b_zero_point: Any = None,
    bias: Any = None,
    activation: str | tuple[float, float] | None = None,
    dtype: Any = "float32",
    out_scale: Any = None,
    out_zero_point: int | None = None,
    rounding: str = "single",
    out: Array | None = None,
) -> Array:
    """The product of quantized matrices, scaled, biased, activated and rounded while it is still in cache.

    ``activation(((a - a_zero_point) * a_scale) @ ((b - b_zero_point) * b_scale) + bias)``, then requantized where
    `dtype` is an integer.

    Parameters
    ----------
    a, b, a_zero_point, b_zero_point
        As in `matmul`.
    a_scale : float or array_like of float, shape (M,) or that of `a` without its last axis
        Of `a`, or of each of its rows. The longer form needs a `b` without leading axes. None where `a` is an MXArray.
    b_scale : float or array_like of float, shape (N,) or (K / g, N)
        Of `b`, of each of its columns, or of each group of g consecutive rows of each column. g is K divided by the
        number of groups, or that of a PackedMatrix with a `group_size`, and then the last group may be shorter. For
        floats also of shape (K / g, N / h), and None where `b` has scales of its own.
    bias : array_like of float, shape (N,), optional
    activation : str or (low, high), optional
        "relu", "relu6", "gelu" (with erf), "gelu_tanh", "silu", or limits.
    dtype : dtype or str, default float32
        float32, float16 or bfloat16; or int8, uint8 or int16, which need `out_scale`.
    out_scale : float or FixedPointMultiplier, optional
        The scale of an integer result. A FixedPointMultiplier (one, or one for each column) takes the place of all
        scales: `a_scale` and `b_scale` are then None, and there is neither bias nor activation.
    out_zero_point : int, optional
        The integer that stands for 0.0 in the result.
    rounding : str, default "single"
        How a FixedPointMultiplier rounds: "single", "double" or "rndnu", as in `requantize`.
    out : ndarray, optional
        Where to write the result: of its dtype and shape, any strides, no overlap with an input.

    Returns
    -------
    ndarray of `dtype`, shape (..., M, N)

    Raises
    ------
    TypeError, ValueError
        As in `matmul`; also if scales, `bias` or `activation` do not fit, or an integer `dtype` has no `out_scale`.

    Notes
    -----
    With acc the int32 of `matmul`, in float32 and one rounding an operation: ``fma(acc, a_scale * b_scale, bias)``; by
    groups ``fma(sum, a_scale, bias)`` with sum over groups of ``fma(acc, b_scale, sum)``. An integer result is
    ``round(fma(acc, a_scale * b_scale / out_scale, bias / out_scale)) + out_zero_point``, half to even, saturated. GELU
    and SiLU are polynomials that every instruction set evaluates in the same order. The same bits on every CPU, for
    any number of threads, and for each row whatever the other rows are.

    Floats: with sum the float32 of `matmul`, ``fma(sum, a_scale * b_scale, bias)``. Scales by group or block belong to
    `b`: ``b * b_scale`` is rounded to float32 before it is multiplied, as by `dequantize`. An integer result is
    ``round(y / out_scale) + out_zero_point``.

    Examples
    --------
    >>> import numpy as np, pyquantk as qk
    >>> a, b = np.array([[10, -20]], np.int8), np.array([[1, 2], [3, 4]], np.int8)
    >>> qk.qmatmul(a, b, a_scale=0.1, b_scale=[0.5, 0.25], bias=[1.0, 0.0], activation="relu")
    array([[0., 0.]], dtype=float32)
    >>> qk.qmatmul(a, b, a_scale=0.1, b_scale=0.5, dtype="int8", out_scale=0.1)
    array([[-25, -30]], dtype=int8)
    """
    number = _NUMBERS.get(dtype) if isinstance(dtype, (str, np.dtype)) else None
    if number is not None and (activation is None or (isinstance(activation, str) and activation in _ACTIVATIONS)):
        code = None if activation is None else _ACTIVATIONS[activation]
        plain = _native.qmatmul_plain(
            a, b, a_scale, b_scale, a_zero_point, b_zero_point, bias, code, number, out_scale, out_zero_point, out
        )
        if plain is not None:
            return plain
    target = dtype_named(dtype, "dtype", _RESULTS)
    options: dict[str, Any]
    if takes_floats(a, b):
        _no_zero_points(a_zero_point, b_zero_point)
        floats = FloatOperands(a, b)
        options = {"a_scale": floats.row_scale(a_scale), "b_scale": floats.column_scale(b_scale)}
        options |= _epilogue(floats.n, bias, activation, target, out_scale)
        options["out_zero_point"] = out_zero_point_of(out_zero_point, target)
        result = floats.result(target, out, (a, b, a_scale, b_scale, bias))
        floats.run(result, **options)
        return result
    shapes = Operands(a, b)
    zeros = shapes.zero_points(a_zero_point, b_zero_point)
    options = {}
    if _is_fixed_point(out_scale):
        for name, given in (("a_scale", a_scale), ("b_scale", b_scale), ("bias", bias), ("activation", activation)):
            if given is not None:
                raise ValueError(f"{name} must be None where out_scale is a FixedPointMultiplier, not {given!r}")
        options |= column_multiplier(out_scale, rounding, shapes.n)
        if target not in REQUANTIZED:
            raise ValueError(f"out_scale must be None where dtype is {target}, not a FixedPointMultiplier")
    else:
        options["a_scale"] = shapes.row_scale(a_scale)
        options["b_scale"], options["group_size"] = shapes.column_scale(b_scale)
        options |= _epilogue(shapes.n, bias, activation, target, out_scale)
    options["out_zero_point"] = out_zero_point_of(out_zero_point, target)
    result = shapes.result(target, out, (a, b, a_scale, b_scale, bias, a_zero_point, b_zero_point))
    shapes.run(result, *zeros, **options)
    return result


def _epilogue(n: int, bias: Any, activation: Any, target: np.dtype[Any], out_scale: Any) -> dict[str, Any]:
    """What follows the scales."""
    options: dict[str, Any] = {"activation": activation_code(activation)}
    if bias is not None:
        options["bias"] = float_array(bias, "bias", ((n,),))
    if target in REQUANTIZED:
        if out_scale is None:
            raise ValueError(f"out_scale must be given where dtype is {target}")
        options["out_scale"] = float(float_array(out_scale, "out_scale", ((),)))
    elif out_scale is not None:
        raise ValueError(f"out_scale must be None where dtype is {target}, not {out_scale!r}")
    return options


def _no_zero_points(a_zero_point: Any, b_zero_point: Any) -> None:
    for name, given in (("a_zero_point", a_zero_point), ("b_zero_point", b_zero_point)):
        if given is not None:
            raise ValueError(f"{name} must be None in a product of floats, not {given!r}")


def _is_fixed_point(value: Any) -> bool:
    return hasattr(value, "m0") and hasattr(value, "shift")
