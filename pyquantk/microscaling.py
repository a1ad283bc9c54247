"""Microscaling (MX) and NVFP4: blocks of narrow elements along one axis, each with a narrow scale of its own."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from . import _native
from .affine import dequantize
from .arrays import Array, Shape, as_float32, as_input, granularity, normalize_axis, packed_shape, real_numbers
from .calibration import observe
from .casts import cast
from .dtypes import ELEMENT_BITS
from .dynamic import result_array

__all__ = ["MX_FORMATS", "MXArray", "block_size_of", "quantize_mx"]

_UINT8 = np.dtype(np.uint8)
_E8M0 = np.dtype(ml_dtypes.float8_e8m0fnu)
_MODES: dict[str, int] = _native.SCALE_MODES


class _Format(NamedTuple):
    """Elements, scales, and how many of the former share one of the latter."""

    dtype: np.dtype[Any]
    scale_dtype: np.dtype[Any]
    block_size: int
    step: float  # of an element, in units of its scale


_FORMATS = {
    "mxfp8_e4m3": _Format(np.dtype(ml_dtypes.float8_e4m3fn), _E8M0, 32, 1.0),
    "mxfp8_e5m2": _Format(np.dtype(ml_dtypes.float8_e5m2), _E8M0, 32, 1.0),
    "mxfp6_e2m3": _Format(np.dtype(ml_dtypes.float6_e2m3fn), _E8M0, 32, 1.0),
    "mxfp6_e3m2": _Format(np.dtype(ml_dtypes.float6_e3m2fn), _E8M0, 32, 1.0),
    "mxfp4": _Format(np.dtype(ml_dtypes.float4_e2m1fn), _E8M0, 32, 1.0),
    "mxint8": _Format(np.dtype(np.int8), _E8M0, 32, 2.0**-6),
    "nvfp4": _Format(np.dtype(ml_dtypes.float4_e2m1fn), np.dtype(ml_dtypes.float8_e4m3fn), 16, 1.0),
}

MX_FORMATS = tuple(_FORMATS)


class MXArray:
    """An array in a microscaling format. Immutable, comparable, picklable.

    Its real numbers are ``elements * scales * global_scale``, each scale for a block of 32 (nvfp4: 16) consecutive
    elements along `axis`; "mxint8" elements count in units of 2**-6.

    Parameters
    ----------
    elements : ndarray
        Of the element type of `format`; packed: uint8 with the elements along the last axis, the first in the low bits.
    scales : ndarray of float8_e8m0fnu, for "nvfp4" of float8_e4m3fn
        Of the shape of the array, with n elements along `axis` replaced by ``ceil(n / 32)`` (nvfp4: 16).
    format : str
        As in `quantize_mx`.
    axis : int, default -1
    shape : tuple of int, optional
        Of the array, for packed elements; by default every element of the bytes counts.
    global_scale : float, optional
        Of "nvfp4", 1 by default; None for the others.

    Attributes
    ----------
    elements, scales : ndarray, read-only
    global_scale : ndarray of float32, 0-d, or None
    format : str
    axis : int
        In [0, ndim).
    shape : tuple of int
    packed : bool

    Raises
    ------
    TypeError, ValueError
        If dtypes or shapes do not fit each other.
    """

    __slots__ = ("axis", "elements", "format", "global_scale", "packed", "scales", "shape")

    elements: Array
    scales: Array
    format: str
    axis: int
    shape: Shape
    packed: bool
    global_scale: Array | None

    def __init__(
        self,
        elements: Array,
        scales: Array,
        format: str,
        axis: int = -1,
        *,
        shape: Shape | None = None,
        global_scale: Any = None,
    ) -> None:
        made_of = _format(format)
        codes, steps = np.asarray(elements), np.asarray(scales)
        packed = codes.dtype == _UINT8 and made_of.dtype in ELEMENT_BITS
        if not packed and codes.dtype != made_of.dtype:
            also = " or, packed, uint8" if made_of.dtype in ELEMENT_BITS else ""
            raise TypeError(f"elements must have dtype {made_of.dtype}{also} in {format}, not {codes.dtype}")
        if steps.dtype != made_of.scale_dtype:
            raise TypeError(f"scales must have dtype {made_of.scale_dtype} in {format}, not {steps.dtype}")
        full = _shape_of(codes, made_of.dtype, packed, shape)
        along = normalize_axis(axis, len(full))
        wanted = granularity(full, along, made_of.block_size).full
        if steps.shape != wanted:
            raise ValueError(f"scales must have shape {wanted} for an array of shape {full}, not {steps.shape}")
        if global_scale is not None and format != "nvfp4":
            raise ValueError(f"global_scale must be None in {format}, not {global_scale!r}")
        whole = None
        if format == "nvfp4":
            whole = as_float32(real_numbers(1.0 if global_scale is None else global_scale)).copy()
            if whole.ndim:
                raise ValueError(f"global_scale must be a single number, not of shape {whole.shape}")
            whole.flags.writeable = False
        values = (along, _read_only(codes), format, whole, packed, _read_only(steps), full)
        for name, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, name, value)

    def dequantize(self, dtype: Any = "float32", *, out: Array | None = None) -> Array:
        """The real numbers, as float32, float16 or bfloat16.

        Parameters
        ----------
        dtype : dtype or str, default float32
        out : ndarray, optional
            Where to write the result: of its dtype and shape, any strides.

        Returns
        -------
        ndarray of `dtype`, of shape `shape`

        Notes
        -----
        element * scale is one float32 product, exact unless it overflows or is subnormal; a float16 or bfloat16
        result is rounded once more. An element in a block whose scale is NaN is NaN. The scale of "nvfp4" is the
        float32 product of its block's scale and the global one.
        """
        made_of = _FORMATS[self.format]
        return dequantize(
            self.elements,
            self._real_scales(),
            dtype=dtype,
            axis=self.axis,
            block_size=made_of.block_size,
            packed=made_of.dtype if self.packed else None,
            shape=self.shape if self.packed else None,
            out=out,
        )

    def _real_scales(self) -> Array:
        """What elements are multiplied by, in float32."""

        def each() -> Array:
            with np.errstate(all="ignore"):
                scale = self.scales.astype(np.float32) * np.float32(_FORMATS[self.format].step)
                return scale if self.global_scale is None else scale * self.global_scale

        return _native.in_float_environment(each)

    def _plain_elements(self) -> Array:
        """The elements, one a byte."""
        if not self.packed:
            return self.elements
        made_of = _FORMATS[self.format]
        return cast(dequantize(self.elements, 1.0, packed=made_of.dtype, shape=self.shape), made_of.dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of elements and scales."""
        return self.elements.nbytes + self.scales.nbytes + (0 if self.global_scale is None else 4)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"MXArray is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"MXArray is immutable: {name} cannot be deleted")

    def __reduce__(self) -> Any:
        # As bytes: not every ml_dtypes dtype pickles.
        scale = None if self.global_scale is None else float(self.global_scale)
        kept = (self.elements.view(_UINT8), self.scales.view(_UINT8))
        return _restore, (*kept, self.format, self.axis, self.shape, self.packed, scale)

    def _key(self) -> tuple[Any, ...]:
        scale = None if self.global_scale is None else self.global_scale.tobytes()
        return self.format, self.axis, self.shape, self.packed, self.elements.tobytes(), self.scales.tobytes(), scale

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, MXArray) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        parts = [f"format={self.format!r}", f"shape={self.shape}", f"axis={self.axis}"]
        if self.packed:
            parts.append("packed=True")
        if self.global_scale is not None:
            parts.append(f"global_scale={float(self.global_scale)!r}")
        return f"MXArray({', '.join(parts)})"


def quantize_mx(
    x: Any,
    format: str = "mxfp8_e4m3",
    *,
    axis: int = -1,
    scale_mode: str = "floor",
    global_scale: Any = None,
    packed: bool = False,
) -> MXArray:
    """Quantize `x` to a microscaling format: blocks along one axis, with a scale each.

    Parameters
    ----------
    x : array_like of float32, float16 or bfloat16, at least 1-d, any strides
    format : str, default "mxfp8_e4m3"
        "mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4", "mxint8": blocks of 32 whose scale is a
        power of two (float8_e8m0fnu). "nvfp4": float4_e2m1fn in blocks of 16 whose scale is a float8_e4m3fn, times a
        float32 for the whole array.
    axis : int, default -1
        Along which blocks lie; the last block may be shorter.
    scale_mode : str, default "floor"
        How the greatest magnitude a of a block gives its power of two, with e the element type's greatest exponent
        (8, 15, 2, 4, 2, 0): "floor" is 2**(floor(log2(a)) - e), as the specification has it; "ceil" with ceil;
        "even" with a rounded to the element's precision first; "rceil" is the least power of two at or above a / max,
        so that nothing saturates. Not for "nvfp4".
    global_scale : float, optional
        Of "nvfp4"; by default absmax(x) / (448 * 6), or 1 where that is 0.
    packed : bool, default False
        Pack 6- and 4-bit elements along the last axis into uint8, the first element in the low bits.

    Returns
    -------
    MXArray

    Raises
    ------
    TypeError
        If `x` is not of these dtypes, or `packed` is asked for 8-bit elements.
    ValueError
        If `format` or `scale_mode` is unknown or not for each other, or `x` has infinities and "nvfp4" has to find
        `global_scale`.

    Notes
    -----
    OCP Microscaling Formats (MX) 1.0, sections 5 and 6.3: an element is x / scale rounded to nearest even, and
    saturates; for "mxint8" x / scale * 64. What the specification leaves open: a NaN in a block makes its scale NaN,
    hence the whole block; an infinity counts as 2**128 and saturates (mxint8: makes the scale NaN). A block of zeros
    has the least scale, 2**-127.

    The scales of "floor", "ceil" and "even" are those of torchao. Its "rceil" goes through a float32 logarithm, which
    takes a quotient a few units above a power of two for that power: here it is exact, as in hardware.

    "nvfp4": a block's scale is a / 6 / global_scale, limited to [2**-6, 448] and rounded to nearest even; its elements
    are x / (scale * global_scale).

    Examples
    --------
    >>> import pyquantk as qk
    >>> m = qk.quantize_mx([1.0, -3.0, 100.0, 0.3], "mxfp6_e2m3")
    >>> m.elements.astype("float32"), m.scales.astype("float32")
    (array([ 0.  , -0.25,  6.  ,  0.  ], dtype=float32), array([16.], dtype=float32))
    >>> m.dequantize()
    array([ 0., -4., 96.,  0.], dtype=float32)
    """
    made_of = _format(format)
    array = as_input(x, "x")
    if not array.ndim:
        raise ValueError("x must have at least one axis, not be 0-d")
    along = normalize_axis(axis, array.ndim)
    if format == "nvfp4":
        if scale_mode != "floor":
            raise ValueError(f"scale_mode must be left out for nvfp4, not {scale_mode!r}")
        mode, whole = _native.SCALE_NVFP4, _global_scale(array, global_scale)
    else:
        if not isinstance(scale_mode, str) or scale_mode not in _MODES:
            raise ValueError(f"scale_mode must be one of {', '.join(_MODES)}, not {scale_mode!r}")
        if global_scale is not None:
            raise ValueError(f"global_scale must be None for {format}, not {global_scale!r}")
        mode, whole = _MODES[scale_mode], None
    grain = granularity(array.shape, along, made_of.block_size)
    elements = result_array(array, made_of.dtype, packed, grain, None)
    scales = np.empty(grain.full, made_of.scale_dtype)
    if array.size:
        held = made_of.dtype if packed else None
        _native.quantize_dynamic(array, elements, held, scales, grain.block, mode, 1.0 if whole is None else whole)
    return MXArray(elements, scales, format, along, shape=array.shape if packed else None, global_scale=whole)


def block_size_of(m: MXArray) -> int:
    """How many elements share a scale."""
    return _FORMATS[m.format].block_size


def _global_scale(x: Array, given: Any) -> float:
    if given is not None:
        number = as_float32(real_numbers(given))
        if number.ndim or not 0 < number < math.inf:
            raise ValueError(f"global_scale must be a single positive finite number, not {given!r}")
        return float(number)
    seen = observe(x)
    if seen.inf_count:
        raise ValueError(f"x must not have infinities unless global_scale is given, but has {seen.inf_count}")

    def found() -> float:
        return float(np.float32(seen.absmax) / np.float32(448 * 6))

    return _native.in_float_environment(found) or 1.0


def _format(name: Any) -> _Format:
    if not isinstance(name, str) or name not in _FORMATS:
        raise ValueError(f"format must be one of {', '.join(_FORMATS)}, not {name!r}")
    return _FORMATS[name]


def _shape_of(elements: Array, dtype: np.dtype[Any], packed: bool, shape: Any) -> Shape:
    if not packed:
        if shape is not None and tuple(shape) != elements.shape:
            raise ValueError(f"shape must be that of elements, {elements.shape}, not {shape}")
        return tuple(elements.shape)
    if shape is None:
        return (*elements.shape[:-1], elements.shape[-1] * 8 // ELEMENT_BITS[dtype])
    full = tuple(int(n) for n in shape)
    if any(n < 0 for n in full) or packed_shape(full, dtype, None) != elements.shape:
        raise ValueError(f"shape must fit the bytes of elements, of shape {elements.shape}; not {shape}")
    return full


def _read_only(a: Array) -> Array:
    view = a.view()
    view.flags.writeable = False
    return view


def _restore(
    elements: Array, scales: Array, format: str, axis: int, shape: Shape, packed: bool, global_scale: float | None
) -> MXArray:
    made_of = _FORMATS[format]
    codes = elements if packed else elements.view(made_of.dtype)
    whole = global_scale if format == "nvfp4" else None
    return MXArray(codes, scales.view(made_of.scale_dtype), format, axis, shape=shape, global_scale=whole)
