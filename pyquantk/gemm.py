"""The integer matrix product: exact, or with a fused epilogue that scales, biases, activates and rounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _native
from .arrays import Array, as_input
from .dtypes import FLOATS, dtype_named
from .operands import (
    OPERANDS,
    REQUANTIZED,
    Operands,
    activation_code,
    column_multiplier,
    float_array,
    out_zero_point_of,
    positive,
    zero_points,
)

__all__ = ["PackedMatrix", "matmul", "pack", "qmatmul"]

_INT32 = np.dtype(np.int32)
_RESULTS = (*FLOATS, *REQUANTIZED)
_NUMBERS = {key: d.num for d in _RESULTS for key in (d, d.name)}  # what the plain way takes for a dtype
_ACTIVATIONS: dict[str, tuple[int, float, float]] = _native.ACTIVATIONS


class PackedMatrix(_native.Packed):
    """A matrix B in the order in which the kernels of this CPU read it, made by `pack`. Immutable.

    Any number of threads may use one. It follows `cpu.use`: the first product on another layer packs it again for that
    layer, and keeps both. Pickles hold the plain matrix, so they move between machines.

    Attributes
    ----------
    shape : tuple of int
        (K, N).
    dtype : dtype
        int8 or uint8.
    zero_point : ndarray of int32 or None
        Of the columns, () or (N,): what products subtract from B.
    group_size : int or None
        How many consecutive rows share a scale.
    nbytes : int
        Memory held.
    layer : str
        The layer whose kernels read it.
    """

    __slots__ = ()

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


def _brief(a: Array) -> str:
    return repr(a.item()) if a.ndim == 0 else f"<{a.dtype.name} {a.shape}>"


def _restore(b: Array, zero_point: Array | None, group_size: int | None) -> PackedMatrix:
    return pack(b, zero_point=zero_point, group_size=group_size)


def pack(b: Any, *, zero_point: Any = None, group_size: int | None = None) -> PackedMatrix:
    """Arrange B once for the kernels of this CPU, to be multiplied many times.

    Parameters
    ----------
    b : array_like of int8 or uint8, shape (K, N), any strides
        For a weight of shape (out, in), as frameworks keep it, ``pack(weight.T)``.
    zero_point : int or array_like of int, shape (N,), optional
        What stands for 0.0 in `b`, within the range of its dtype; products then need no `b_zero_point`.
    group_size : int, optional
        How many consecutive rows will share a scale in `qmatmul`; the last group may be shorter.

    Returns
    -------
    PackedMatrix

    Raises
    ------
    TypeError
        If `b` or `zero_point` has another dtype.
    ValueError
        If `b` is not a matrix, or `zero_point` or `group_size` does not fit it.

    Examples
    --------
    >>> import numpy as np, pyquantk as qk
    >>> qk.pack(np.array([[1, 2], [3, 4]], np.int8)).unpack()
    array([[1, 2],
           [3, 4]], dtype=int8)
    """
    b = as_input(b, "b", OPERANDS)
    if b.ndim != 2:
        raise ValueError(f"b must be a matrix (K, N), not of shape {b.shape}")
    zeros = zero_points(zero_point, "zero_point", b.shape[1], b.dtype)
    if zeros is not None:
        zeros = zeros.copy()
        zeros.flags.writeable = False
    size = 0 if group_size is None else positive(group_size, "group_size")
    return PackedMatrix(b, min(size, max(b.shape[0], 1)), zeros)


def matmul(a: Any, b: Any, *, a_zero_point: Any = None, b_zero_point: Any = None, out: Array | None = None) -> Array:
    """The matrix product of 8-bit integers, exact in int32: ``(a - a_zero_point) @ (b - b_zero_point)``.

    Parameters
    ----------
    a : array_like of int8 or uint8, shape (..., M, K) or (K,), any strides
    b : array_like of int8 or uint8, shape (..., K, N) or (K,), any strides, or PackedMatrix
        Leading axes broadcast, and one-dimensional operands lose their axis, as in `numpy.matmul`.
    a_zero_point : int or array_like of int, shape (M,), optional
        Of `a`, or of each of its rows; within the range of its dtype.
    b_zero_point : int or array_like of int, shape (N,), optional
        Of `b`, or of each of its columns. Not given where a PackedMatrix has its own.
    out : ndarray of int32, optional
        Where to write the result: of its shape, any strides, no overlap with an input.

    Returns
    -------
    ndarray of int32, shape (..., M, N)
        Exact while it fits an int32 (any K up to 33,025), modulo 2**32 beyond.

    Raises
    ------
    TypeError
        If an argument has a dtype that is not listed here.
    ValueError
        If shapes do not fit, a zero point is out of range, or `out` cannot be written. `out` is then untouched.

    Notes
    -----
    ONNX MatMulInteger. No intermediate saturates, on no instruction set, and all mixes of signs are as fast.

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
        Of `a`, or of each of its rows. The longer form needs a `b` without leading axes.
    b_scale : float or array_like of float, shape (N,) or (K / g, N)
        Of `b`, of each of its columns, or of each group of g consecutive rows of each column. g is K divided by the
        number of groups, or that of a PackedMatrix with a `group_size`, and then the last group may be shorter.
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
    shapes = Operands(a, b)
    zeros = shapes.zero_points(a_zero_point, b_zero_point)
    code = activation_code(activation)
    options: dict[str, Any] = {"activation": code}
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
        if bias is not None:
            options["bias"] = float_array(bias, "bias", ((shapes.n,),))
        if target in REQUANTIZED:
            if out_scale is None:
                raise ValueError(f"out_scale must be given where dtype is {target}")
            options["out_scale"] = float(float_array(out_scale, "out_scale", ((),)))
        elif out_scale is not None:
            raise ValueError(f"out_scale must be None where dtype is {target}, not {out_scale!r}")
    options["out_zero_point"] = out_zero_point_of(out_zero_point, target)
    result = shapes.result(target, out, (a, b, a_scale, b_scale, bias, a_zero_point, b_zero_point))
    shapes.run(result, *zeros, **options)
    return result


def _is_fixed_point(value: Any) -> bool:
    return hasattr(value, "m0") and hasattr(value, "shift")
