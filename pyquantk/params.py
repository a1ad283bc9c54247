"""Scales and zero points: chosen from data, and kept together with what they apply to."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _native
from .affine import dequantize, fake_quantize, quantize
from .arrays import Array, as_float32, real_numbers
from .calibration import Statistics, observe
from .dtypes import INTEGERS, PACKED_BITS, dtype_named
from .rules import RULES

__all__ = ["QuantParams", "choose_params"]


class QuantParams:
    """How an array is quantized: `scale`, `zero_point`, the integer type and the granularity. Immutable.

    Parameters
    ----------
    scale : float or array_like of float
        As in `quantize`; kept as a read-only float32 array.
    zero_point : int or array_like of int, optional
        As in `quantize`; kept as a read-only array of `dtype`, or None for 0.
    dtype : dtype or str
        int8, uint8, int16, uint16, int4, uint4, int2 or uint2.
    axis, block_size
        As in `quantize`.

    Raises
    ------
    TypeError, ValueError
        If `dtype` is none of these, or `zero_point` is outside its range or not of the shape of `scale`.

    Examples
    --------
    >>> import pyquantk as qk
    >>> p = qk.QuantParams(0.5, 3, dtype="int8")
    >>> p.dequantize(p.quantize([1.0, -2.5]))
    array([ 1. , -2.5], dtype=float32)
    """

    __slots__ = ("_plain_scale", "_plain_zero_point", "axis", "block_size", "dtype", "scale", "zero_point")

    scale: Array
    zero_point: Array | None
    dtype: np.dtype[Any]
    axis: int | tuple[int, ...] | None
    block_size: int | tuple[int, ...] | None
    _plain_scale: Any
    _plain_zero_point: Any

    def __init__(
        self,
        scale: Any,
        zero_point: Any = None,
        *,
        dtype: Any,
        axis: int | tuple[int, ...] | None = None,
        block_size: int | tuple[int, ...] | None = None,
    ) -> None:
        target = dtype_named(dtype, "dtype", INTEGERS)
        scales = as_float32(real_numbers(scale)).copy()
        points = None
        if zero_point is not None:
            given = np.asarray(zero_point)
            if given.dtype.kind not in "iu" and given.dtype not in INTEGERS:
                raise TypeError(f"zero_point must be integers, not {given.dtype}")
            low, high = INTEGERS[target]
            wide = given.astype(np.int64)
            if wide.size and not (low <= wide.min() and wide.max() <= high):
                raise ValueError(f"zero_point must be in [{low}, {high}] for {target}, not {zero_point!r}")
            if wide.shape not in ((), scales.shape):
                raise ValueError(
                    f"zero_point must be a number or have the shape of scale, {scales.shape}, not {wide.shape}"
                )
            points = wide.astype(target)
        self._set(scales, points, target, axis, block_size)

    def _set(self, scale: Array, zero_point: Array | None, dtype: np.dtype[Any], axis: Any, block_size: Any) -> None:
        """Fills the fields, with arrays that nobody else writes; also what the fast ways of the functions take."""
        scale.flags.writeable = False
        plain: Any = zero_point
        if zero_point is not None:
            zero_point.flags.writeable = False
            plain = zero_point.astype(np.int32) if zero_point.ndim else int(zero_point)
        fill = object.__setattr__
        fill(self, "scale", scale)
        fill(self, "zero_point", zero_point)
        fill(self, "dtype", dtype)
        fill(self, "axis", axis)
        fill(self, "block_size", block_size)
        fill(self, "_plain_scale", scale if scale.ndim else float(scale))
        fill(self, "_plain_zero_point", plain)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"QuantParams is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"QuantParams is immutable: {name} cannot be deleted")

    def __reduce__(self) -> Any:
        return _restore, (self.scale, self.zero_point, self.dtype.name, self.axis, self.block_size)

    def _key(self) -> tuple[Any, ...]:
        points = None if self.zero_point is None else (self.zero_point.shape, self.zero_point.tobytes())
        return (self.dtype, self.axis, self.block_size, self.scale.shape, self.scale.tobytes(), points)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, QuantParams) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        parts = [f"scale={_brief(self.scale)}"]
        if self.zero_point is not None:
            parts.append(f"zero_point={_brief(self.zero_point)}")
        parts.append(f"dtype={self.dtype.name!r}")
        if self.axis is not None:
            parts.append(f"axis={self.axis}")
        if self.block_size is not None:
            parts.append(f"block_size={self.block_size}")
        return f"QuantParams({', '.join(parts)})"

    def quantize(self, x: Any, **options: Any) -> Array:
        """`pyquantk.quantize` with these parameters; `options`: convention, packed, out."""
        return quantize(
            x,
            self._plain_scale,
            self._plain_zero_point,
            dtype=self.dtype,
            axis=self.axis,
            block_size=self.block_size,
            **options,
        )

    def dequantize(self, q: Any, **options: Any) -> Array:
        """`pyquantk.dequantize` with these parameters; `options`: dtype, packed, shape, out."""
        if "shape" in options and self.dtype in PACKED_BITS:
            options.setdefault("packed", self.dtype)
        return dequantize(
            q, self._plain_scale, self._plain_zero_point, axis=self.axis, block_size=self.block_size, **options
        )

    def fake_quantize(self, x: Any, **options: Any) -> Any:
        """`pyquantk.fake_quantize` with these parameters, over the whole range of the integer type; `options`:
        convention, return_mask, out."""
        low, high = INTEGERS[self.dtype]
        return fake_quantize(
            x,
            self._plain_scale,
            self._plain_zero_point,
            quant_min=low,
            quant_max=high,
            axis=self.axis,
            block_size=self.block_size,
            **options,
        )


def _restore(scale: Any, zero_point: Any, dtype: str, axis: Any, block_size: Any) -> QuantParams:
    return QuantParams(scale, zero_point, dtype=dtype, axis=axis, block_size=block_size)


def _brief(a: Array) -> str:
    return repr(a.item()) if a.ndim == 0 else f"<{a.dtype.name} {a.shape}>"


def choose_params(
    x: Any,
    dtype: Any = "int8",
    *,
    symmetric: bool = True,
    axis: int | tuple[int, ...] | None = None,
    block_size: int | tuple[int, ...] | None = None,
    method: str = "minmax",
    rule: str = "pyquantk",
) -> QuantParams:
    """Parameters that fit the range of `x`.

    Parameters
    ----------
    x : array_like of float32, float16 or bfloat16, any shape and strides
        All finite. Or `Statistics`, as `observe` returns them for the same `axis` and `block_size`.
    dtype : dtype or str, default int8
        int8, uint8, int16, uint16, int4, uint4, int2 or uint2.
    symmetric : bool, default True
        No zero point but the middle of the range: 0 for signed types, 2**(bits - 1) for unsigned ones.
    axis, block_size
        As in `quantize`.
    method : str, default "minmax"
        How the range is found: "minmax" takes the least and the greatest element.
    rule : str, default "pyquantk"
        How a range becomes parameters: "pyquantk" (symmetric absmax / qmax, e.g. absmax / 127; asymmetric ONNX's
        formula), "onnx_dynamic" (DynamicQuantizeLinear; asymmetric), "torchao" (SYMMETRIC: absmax over half the
        range; ASYMMETRIC), "torchao_no_clipping" (SYMMETRIC_NO_CLIPPING_ERR; symmetric), "fbgemm"
        (ChooseQuantizationParams; asymmetric), "per_token" (quantized_decomposed; symmetric).

    Returns
    -------
    QuantParams

    Raises
    ------
    TypeError
        If a dtype is not listed here.
    ValueError
        If `x` has NaN or infinities, `method` or `rule` is unknown, or a rule is asked for what it does not define.

    Notes
    -----
    An empty or all-zero block gets the scale that its rule defines, and "pyquantk" gives it 1. A scale is never 0
    there: a range too small for a normal float32 step gets the least normal one.

    Examples
    --------
    >>> import pyquantk as qk
    >>> qk.choose_params([-1.0, 0.5, 2.0], "uint8", symmetric=False)
    QuantParams(scale=0.0117647061124444, zero_point=85, dtype='uint8')
    """
    target = (_NAMED.get(dtype) if isinstance(dtype, str) else None) or dtype_named(dtype, "dtype", INTEGERS)
    if method != "minmax":
        raise ValueError(f"method must be 'minmax', not {method!r}")
    if not isinstance(rule, str) or rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, not {rule!r}")
    if isinstance(x, Statistics):
        low, high = (np.asarray(limit, np.float32, order="C") for limit in x[:2])
        nan_count, inf_count = (np.asarray(count, np.int64, order="C") for count in x[2:])
        if low.shape != high.shape:
            raise ValueError(f"x.min and x.max must have one shape, not {low.shape} and {high.shape}")
    else:
        low, high, nan_count, inf_count = observe(x, axis=axis, block_size=block_size)
    nans, infs = _native.total(nan_count), _native.total(inf_count)
    if nans or infs:
        raise ValueError(f"x must be finite, but has {nans} NaN and {infs} infinite elements")
    if rule == "pyquantk":
        scale, zero_point = RULES[rule](low, high, INTEGERS[target], symmetric)
    else:
        scale, zero_point = _native.in_float_environment(lambda: _chosen(rule, low, high, target, symmetric))
    chosen = QuantParams.__new__(QuantParams)
    chosen._set(scale, None if zero_point is None else zero_point.astype(target), target, axis, block_size)
    return chosen


_NAMED = {dtype.name: dtype for dtype in INTEGERS}


def _chosen(rule: str, low: Array, high: Array, dtype: np.dtype[Any], symmetric: bool) -> tuple[Array, Array | None]:
    """What the rule makes of ranges, of which an empty one counts as 0."""
    empty = low > high
    low = np.where(empty, np.float32(0), low).astype(np.float32)
    high = np.where(empty, np.float32(0), high).astype(np.float32)
    scale, zero_point = RULES[rule](low, high, INTEGERS[dtype], symmetric)
    return np.array(scale, np.float32), None if zero_point is None else np.asarray(zero_point)
