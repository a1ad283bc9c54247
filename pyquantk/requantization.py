"""int32 accumulators to small integers, by a float or by a fixed-point multiplier."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _native
from .arrays import (
    PLAIN_DTYPES,
    Array,
    Granularity,
    as_float32,
    as_input,
    check_out,
    granularity,
    packed_shape,
    plain_result,
    zero_point_array,
)
from .dtypes import INTEGERS, dtype_named

__all__ = ["FixedPointMultiplier", "requantize"]

_ROUNDINGS: dict[str, int] = _native.FIXED_ROUNDINGS
_INT32 = np.dtype(np.int32)
_UINT8 = np.dtype(np.uint8)


class FixedPointMultiplier:
    """A multiplier in integers: ``m0 * 2**(shift - 31)``. Immutable, comparable, picklable.

    The form in which TFLite, ruy, gemmlowp and XNNPACK keep the quotient of scales, so that requantization needs no
    floating point.

    Parameters
    ----------
    m0 : int or array_like of int
        0, or in [2**30, 2**31): the significand, with 31 fraction bits. Kept as a read-only int32 array.
    shift : int or array_like of int, of the shape of `m0`
        In [-31, 30]: the exponent, positive to the left. Kept as a read-only int32 array.

    Raises
    ------
    TypeError
        If an argument is not integers.
    ValueError
        If a value is out of range, or the shapes differ.

    Examples
    --------
    >>> import pyquantk as qk
    >>> m = qk.FixedPointMultiplier.from_float(0.0074)
    >>> m
    FixedPointMultiplier(m0=2034096511, shift=-7)
    >>> float(m)
    0.007399999998597195
    """

    __slots__ = ("m0", "shift")

    m0: Array
    shift: Array

    def __init__(self, m0: Any, shift: Any) -> None:
        significands, exponents = _integers(m0, "m0"), _integers(shift, "shift")
        if significands.shape != exponents.shape:
            raise ValueError(f"shift must have the shape of m0, {significands.shape}, not {exponents.shape}")
        _check(significands, (significands == 0) | (significands >= 2**30) & (significands < 2**31), _M0)
        _check(exponents, (exponents >= -31) & (exponents <= 30), "shift must be in [-31, 30]")
        for name, values in (("m0", significands), ("shift", exponents)):
            kept = np.array(values, _INT32, order="C")
            kept.flags.writeable = False
            object.__setattr__(self, name, kept)

    @classmethod
    def from_float(cls, real: Any) -> FixedPointMultiplier:
        """The fixed-point number nearest to `real`, as TFLite's ``QuantizeMultiplier`` finds it.

        Parameters
        ----------
        real : float or array_like of float
            In [0, 2**30), taken as float64. Below 2**-32 it becomes 0, as there.

        Returns
        -------
        FixedPointMultiplier

        Raises
        ------
        TypeError
            If `real` is not real numbers.
        ValueError
            If a number is negative, 2**30 or more, or not finite.
        """
        numbers = _real_numbers(real, "real").astype(np.float64)
        _check(numbers, (numbers >= 0) & (numbers < 2**30), "real must be in [0, 2**30)")
        significand, shift = np.frexp(numbers)
        m0 = np.floor(significand * 2.0**31 + 0.5).astype(np.int64)  # half away from zero: none is negative
        shift = np.where(m0 == 2**31, shift + 1, shift)
        m0 = np.where(m0 == 2**31, 2**30, m0)
        none = (numbers == 0) | (shift < -31)
        _check(numbers, none | (shift <= 30), "real must be in [0, 2**30) once rounded to 31 bits")
        return cls(np.where(none, 0, m0), np.where(none, 0, shift))

    def to_float(self) -> Any:
        """The number itself, exactly: a float, or an array of float64 of the shape of `m0`."""
        real = np.ldexp(self.m0.astype(np.float64), self.shift - 31)
        return real if self.m0.ndim else float(real)

    def __float__(self) -> float:
        if self.m0.size != 1:
            raise TypeError(f"only a single multiplier is a float, not {self.m0.size}: use to_float()")
        return float(self.to_float() if self.m0.ndim == 0 else self.to_float().item())

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"FixedPointMultiplier is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"FixedPointMultiplier is immutable: {name} cannot be deleted")

    def __reduce__(self) -> Any:
        return FixedPointMultiplier, (self.m0, self.shift)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FixedPointMultiplier):
            return NotImplemented
        return np.array_equal(self.m0, other.m0) and np.array_equal(self.shift, other.shift)

    def __hash__(self) -> int:
        return hash((self.m0.shape, self.m0.tobytes(), self.shift.tobytes()))

    def __repr__(self) -> str:
        if self.m0.ndim:
            return f"FixedPointMultiplier(<{self.m0.shape}>)"
        return f"FixedPointMultiplier(m0={self.m0}, shift={self.shift})"


def requantize(
    acc: Any,
    multiplier: Any,
    zero_point: Any = None,
    *,
    dtype: Any = "int8",
    axis: int | tuple[int, ...] | None = None,
    block_size: int | tuple[int, ...] | None = None,
    rounding: str | None = None,
    packed: bool = False,
    out: Array | None = None,
) -> Array:
    """Requantize int32 accumulators: ``saturate(round(acc * multiplier) + zero_point)``.

    Parameters
    ----------
    acc : array_like of int32, any shape and strides
        As an integer matrix product or convolution leaves them.
    multiplier : float, array_like of float, or FixedPointMultiplier
        Scale of the accumulators over scale of the result: one number; with `axis` an array of shape
        ``(acc.shape[axis],)``; with `block_size` as the scale of `quantize`. Floats are rounded to float32 first; any
        value is allowed, and a NaN product gives the least value of the type.
    zero_point : int or array_like of int, optional
        Of the result, within its range: a number, or an array of the shape of `multiplier`.
    dtype : dtype or str, default int8
        int8, uint8, int16, uint16, int4, uint4, int2 or uint2.
    axis, block_size
        As in `quantize`.
    rounding : str, optional
        For floats "nearest_even": the product of float32 numbers, half to even, then the zero point. For a
        `FixedPointMultiplier` "single" (the default), "double" or "rndnu"; see Notes.
    packed : bool, default False
        Pack 4- or 2-bit results along the last axis into uint8, the first element in the low bits.
    out : ndarray, optional
        Where to write the result: of its dtype and shape, any strides, no overlap with an input.

    Returns
    -------
    ndarray of `dtype`, of the shape of `acc` (packed: uint8, the last axis ``ceil(n * bits / 8)``)

    Raises
    ------
    TypeError
        If an argument has a dtype that is not listed here.
    ValueError
        If shapes do not fit, `zero_point` is out of range, `rounding` is not one for this kind of multiplier, or `out`
        cannot be written. `out` is then untouched.

    Notes
    -----
    The same bits on every CPU and for any number of threads.

    "nearest_even" is what ONNX Runtime and XNNPACK's fp32 kernels compute: ``float32(acc) * multiplier``, one rounding
    each, clamped, rounded half to even, and the zero point added. The ONNX reference evaluator adds the zero point
    *before* rounding, in float64: it differs on exact ties where the zero point is odd, and where float32 rounds an
    accumulator beyond 2**24 or a product onto a tie.

    Fixed point is exact for every int32. "single" rounds the product once, half up: ruy, and TFLite built with
    TFLITE_SINGLE_ROUNDING. "rndnu" is XNNPACK's name for the same numbers. "double" is gemmlowp's, and that of
    TFLite's reference kernels: first to 31 fraction bits, half up, then the shift, half away from zero. Where
    ``acc * 2**shift`` exceeds int32, which those leave undefined, the result saturates as the exact product would.

    Examples
    --------
    >>> import pyquantk as qk, numpy as np
    >>> acc = np.array([-1000, 50, 150, 123456], np.int32)
    >>> qk.requantize(acc, 0.01, 3)
    array([ -7,   3,   5, 127], dtype=int8)
    >>> qk.requantize(acc, qk.FixedPointMultiplier.from_float(0.01), 3, rounding="double")
    array([ -7,   4,   5, 127], dtype=int8)
    """
    fixed = isinstance(multiplier, FixedPointMultiplier)
    code = _rounding(rounding, fixed)
    dtype_given = PLAIN_DTYPES.get(dtype) if isinstance(dtype, (str, np.dtype)) else None
    plain = None if packed else plain_result(acc, out, dtype_given)
    if plain is not None and multiplier is not None:
        real, m0, shift = (None, multiplier.m0, multiplier.shift) if fixed else (multiplier, None, None)
        if _native.requantize_plain(acc, real, m0, shift, zero_point, plain, code, axis, block_size):
            return plain
    target = dtype_named(dtype, "dtype", INTEGERS)
    acc = as_input(acc, "acc", (_INT32,))
    grain = granularity(acc.shape, axis, block_size)
    real, m0, shift = _multipliers(multiplier, grain)
    like: Array = multiplier.m0 if real is None else real
    if np.ndim(zero_point) and np.shape(zero_point) != like.shape and not np.size(zero_point) == like.size == 1:
        raise ValueError(
            f"zero_point must be a number or have the shape of multiplier, {like.shape}, not {np.shape(zero_point)}"
        )
    zero_points = zero_point_array(zero_point, like, INTEGERS[target])

    if packed and not acc.ndim:
        raise ValueError("acc must have an axis along which its results are packed, not be 0-d")
    shape = packed_shape(acc.shape, target, grain) if packed else acc.shape
    if out is None:
        out = np.empty(shape, _UINT8) if packed else np.empty_like(acc, target, order="K", subok=False)
    else:
        inputs = (acc, multiplier, zero_point, m0, shift)
        check_out(out, _UINT8 if packed else target, shape, inputs)
        if packed and out.strides[-1] != 1 and out.shape[-1] > 1:
            raise ValueError("out must be contiguous along its last axis, where elements are packed")
    if acc.size:
        held = target if packed else None
        _native.requantize(acc, out, held, real, m0, shift, zero_points, grain.block, code)
    return out


_M0 = "m0 must be 0 or in [2**30, 2**31)"


def _rounding(name: str | None, fixed: bool) -> int:
    """The code of a rounding, 0 for floats."""
    allowed = tuple(_ROUNDINGS) if fixed else ("nearest_even",)
    if name is None or (isinstance(name, str) and name in allowed):
        return _ROUNDINGS[name or "single"] if fixed else 0
    kind = "a FixedPointMultiplier" if fixed else "float multipliers"
    raise ValueError(f"rounding must be {' or '.join(map(repr, allowed))} for {kind}, not {name!r}")


def _multipliers(multiplier: Any, grain: Granularity) -> tuple[Array | None, Array | None, Array | None]:
    """(real, None, None) or (None, m0, shift), C-contiguous, one number for each block."""
    fixed = isinstance(multiplier, FixedPointMultiplier)
    given = multiplier.m0 if fixed else _real_numbers(multiplier, "multiplier")
    if given.shape not in (grain.short, grain.full) and not (grain.block is None and given.size == 1):
        wanted = f"of shape {grain.short}" if grain.block else "a single number (give axis or block_size for more)"
        raise ValueError(f"multiplier must be {wanted}, not of shape {given.shape}")
    if fixed:
        return None, multiplier.m0, multiplier.shift
    try:
        return as_float32(given), None, None
    except TypeError:
        raise TypeError(f"multiplier must be real numbers, not {given.dtype}") from None


def _real_numbers(given: Any, argument: str) -> Array:
    array = np.asarray(given)
    if array.dtype.kind in "fiu" or (array.dtype.kind == "V" and array.dtype.names is None):
        return array
    raise TypeError(f"{argument} must be real numbers, not {array.dtype}")


def _integers(given: Any, argument: str) -> Array:
    array = np.asarray(given)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{argument} must be integers, not {array.dtype}")
    return np.minimum(array, 2**62).astype(np.int64) if array.dtype == np.uint64 else array.astype(np.int64)


def _check(values: Array, good: Any, message: str) -> None:
    """Raises ValueError with the first value that is not good."""
    if not np.all(good):
        raise ValueError(f"{message}, not {values[~np.asarray(good)].flat[0]}")
