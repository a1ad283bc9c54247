"""A linear layer whose weights have few bits; its activations get few bits on the way in, or stay floats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _native
from .arrays import Array, as_input, check_out
from .calibration import observe
from .dtypes import FLOATS, INTEGERS, QUANTIZED_FLOATS, dtype_named
from .dynamic import quantize_dynamic
from .float_product import blocks_along_k
from .microscaling import MX_FORMATS, MXArray, block_size_of, quantize_mx
from .operands import activation_code, float_array, merged, positive
from .packed import WEIGHTS, pack
from .params import QuantParams, choose_params

__all__ = ["QuantizedLinear"]

_INT8 = np.dtype(np.int8)
_ACTIVATIONS = (_INT8, np.dtype(np.uint8))


class QuantizedLinear:
    """``y = activation(x @ weight.T + bias)`` for float x, with a weight of few bits. Immutable.

    Parameters
    ----------
    weight : array_like of float32, float16 or bfloat16, shape (out, in), or MXArray
        As in ``torch.nn.Linear``. All finite. What `quantize_mx` returns, with blocks along the input features, is
        used as it is.
    bias : array_like of float, shape (out,), optional
    weight_dtype : dtype or str, default "int8"
        int8; with floats for x also uint8, int4, uint4, int2, uint2 and the float types of `quantize_dynamic`.
    group_size : int, optional
        How many consecutive input features share a scale; the last group may be shorter. By default all do, and each
        output feature has one scale.
    symmetric : bool, default True
        Whether integer weights have no zero point but the middle of their range; otherwise each output feature has
        one, or each of its groups where x stays float.
    activation_dtype : str, QuantParams or None, default "int8"
        "int8" quantizes each row of x by its own range, in the same call: scale = absmax / 127. A `QuantParams` of
        int8 or uint8 with one scale, as `choose_params` finds it on samples, is used as it is. Both take int8 weights.
        A float8 type quantizes each row likewise, for weights of a narrow float type. A format of `quantize_mx` but
        "nvfp4" quantizes each row to that, for any weight. None leaves x as it is.
    activation : str or (low, high), optional
        As in `qmatmul`, applied in the same call.

    Attributes
    ----------
    in_features, out_features : int
    weight : PackedMatrix
        The quantized weight, (in, out).
    weight_scale : ndarray of float32, shape (out,) or (out, groups)
    weight_params : QuantParams or None
        What integers stand for; of the weight as given, (out, in).
    bias : ndarray of float32 or None
    group_size : int or None
    activation_dtype : dtype, str or None
        Of x in the product: a str is a format of `quantize_mx`, None leaves it float.
    activation_params : QuantParams or None
        None where each row has its own, or x stays float.
    activation : str, (low, high) or None

    Raises
    ------
    TypeError
        If an argument has a dtype that is not listed here.
    ValueError
        If a shape or an option does not fit, or a weight is not finite.

    Notes
    -----
    The bits of the parts: for a row of x, ``qmatmul(quantize(x, s), w, a_scale=s, b_scale=..., bias=bias,
    activation=activation)`` with ``s = choose_params(x, "int8", axis=0).scale`` and w, b_scale those of
    ``choose_params(weight, "int8", axis=0)``. Where x stays float, ``qmatmul(x, pack(w.T, scale=..., zero_point=...),
    a_scale=1, b_scale=None, bias=bias, activation=activation)``, whose products are those of x and the dequantized
    weight in float32, summed in order. With a float8 type, that of ``x, s = quantize_dynamic(x, activation_dtype,
    axis=0)`` with ``a_scale=s``; with a microscaling format, that of ``quantize_mx(x, activation_dtype)``. A row of the
    result depends on that row of x alone.

    Examples
    --------
    >>> import numpy as np, pyquantk as qk
    >>> layer = qk.QuantizedLinear([[1.0, 0.5], [-1.0, 2.0], [0.0, 1.0]], [0.0, 0.0, 10.0])
    >>> layer
    QuantizedLinear(2 -> 3, int8, bias, activations int8 by row)
    >>> layer(np.array([[1.0, 2.0]], np.float32)).round(1)
    array([[ 2.,  3., 12.]], dtype=float32)
    """

    __slots__ = (
        "_code",
        "_run",
        "activation",
        "activation_dtype",
        "activation_params",
        "bias",
        "group_size",
        "in_features",
        "out_features",
        "symmetric",
        "weight",
        "weight_params",
        "weight_scale",
    )

    _code: tuple[int, float, float] | None
    _run: _native.Linear
    activation: str | tuple[float, float] | None
    activation_dtype: np.dtype[Any] | str | None
    activation_params: QuantParams | None
    bias: Array | None
    group_size: int | None
    in_features: int
    out_features: int
    symmetric: bool
    weight: Any  # PackedMatrix
    weight_params: QuantParams | None
    weight_scale: Array

    def __init__(
        self,
        weight: Any,
        bias: Any = None,
        *,
        weight_dtype: Any = "int8",
        group_size: int | None = None,
        symmetric: bool = True,
        activation_dtype: Any = "int8",
        activation: str | tuple[float, float] | None = None,
    ) -> None:
        if isinstance(weight, MXArray):
            if len(weight.shape) != 2 or weight.axis != 1:
                raise ValueError(
                    f"weight must be a matrix (out, in) with its blocks along axis 1, not along axis {weight.axis} of "
                    f"shape {weight.shape}"
                )
            if group_size is not None:
                raise ValueError(f"group_size must be None where weight is an MXArray, not {group_size!r}")
            scale = np.array(weight._real_scales(), order="C")
            q, size = weight._plain_elements(), block_size_of(weight)
            meaning = QuantParams(scale, dtype=q.dtype, **_axes(size)) if q.dtype in INTEGERS else None
            self._complete(q, scale, meaning, size, bias, activation_dtype, activation)
            return
        w = as_input(weight, "weight")
        if w.ndim != 2:
            raise ValueError(f"weight must be a matrix (out, in), not of shape {w.shape}")
        target = _weight_dtype(weight_dtype, activation_dtype)
        if group_size is not None:
            group_size = positive(group_size, "group_size")
            if not symmetric and not _stays_float(activation_dtype):
                raise ValueError("symmetric must be True where group_size is given and x is quantized")
        axes = _axes(group_size)
        if target not in INTEGERS:
            if not symmetric:
                raise ValueError(f"symmetric must be True where weight_dtype is {target}")
            seen = observe(w)
            if seen.nan_count or seen.inf_count:
                raise ValueError(
                    f"weight must be finite, but has {seen.nan_count} NaN and {seen.inf_count} infinite elements"
                )
            q, scale = quantize_dynamic(w, target, **axes)
            self._complete(q, scale, None, group_size, bias, activation_dtype, activation)
            return
        try:
            params = choose_params(w, target, symmetric=symmetric, **axes)
        except ValueError as error:
            raise ValueError(str(error).replace("x must be", "weight must be", 1)) from None
        self._complete(params.quantize(w), params.scale, params, group_size, bias, activation_dtype, activation)

    def _complete(
        self,
        q: Array,
        scale: Array,
        params: QuantParams | None,
        group_size: int | None,
        bias: Any,
        activation_dtype: Any,
        activation: Any,
    ) -> None:
        """Everything from the quantized weight (out, in) on."""
        features, inputs = q.shape
        zeros = None if params is None else params.zero_point
        bias = None if bias is None else _kept(float_array(bias, "bias", ((features,),)))
        static = _activation_params(activation_dtype, q.dtype)
        code = activation_code(activation)
        if code is not None and not isinstance(activation, str):
            activation = code[1:]
        if group_size is not None:
            group_size = min(group_size, max(inputs, 1))
        kind: np.dtype[Any] | str | None
        packed: Any
        if _stays_float(activation_dtype) or (static is None and activation_dtype != "int8"):
            kind = activation_dtype
            if not _stays_float(kind):
                kind = dtype_named(kind, "activation_dtype", WEIGHTS)
            turned = None if zeros is None else zeros.T.astype(np.int32)
            packed = pack(q.T, scale=scale.T, zero_point=turned, group_size=group_size)
            run = _native.Linear(packed, None, 0, bias, code)
        else:
            kind = _INT8 if static is None else static.dtype
            packed = pack(q.T, zero_point=zeros, group_size=group_size)
            mode, step, zero = _native.LINEAR_DYNAMIC, 1.0, 0
            if static is not None:
                mode, step = _native.LINEAR_STATIC, float(static.scale.reshape(()))
                zero = 0 if static.zero_point is None else int(static.zero_point.reshape(()))
            by_column = scale if group_size is None else np.ascontiguousarray(scale.T)
            run = _native.Linear(packed, by_column, group_size or 0, bias, code, mode, np.empty(0, kind), step, zero)
        values = {
            "_code": code,
            "_run": run,
            "activation": activation,
            "activation_dtype": kind,
            "activation_params": static,
            "bias": bias,
            "group_size": group_size,
            "in_features": inputs,
            "out_features": features,
            "symmetric": zeros is None,
            "weight": packed,
            "weight_params": params,
            "weight_scale": _kept(scale),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __call__(self, x: Any, out: Array | None = None) -> Array:
        """``activation(x @ weight.T + bias)``.

        Parameters
        ----------
        x : array_like of float32, float16 or bfloat16, shape (..., in), any strides; or MXArray
            What `quantize_mx` returned, with blocks along the last axis, where `activation_dtype` is None or that
            format.
        out : ndarray of float32, float16 or bfloat16, shape (..., out), optional
            Where to write the result: any strides, no overlap with x.

        Returns
        -------
        ndarray of the dtype of x, of float32 for an MXArray, shape (..., out)
        """
        kind = self.activation_dtype
        by_block, by_row = isinstance(kind, str), not isinstance(kind, str) and kind in QUANTIZED_FLOATS
        if isinstance(x, MXArray):
            if kind is not None and kind != x.format:
                raise TypeError(f"x must be float where activation_dtype is {kind}, not an MXArray of {x.format}")
            x, by_block = blocks_along_k(x, "x").dequantize(), False
        plain = None if by_row or by_block else self._run.plain(x, out)
        if plain is not None:
            return plain
        x = as_input(x, "x")
        if not x.ndim or x.shape[-1] != self.in_features:
            raise ValueError(f"x must be of shape (..., {self.in_features}), not {x.shape}")
        shape = (*x.shape[:-1], self.out_features)
        if out is None:
            out = np.empty(shape, x.dtype)
        else:
            given = out.dtype if isinstance(out, np.ndarray) and out.dtype in FLOATS else x.dtype
            check_out(out, given, shape, (x,))
        rows = int(np.prod(x.shape[:-1]))
        flat = merged(out)
        into = np.empty((rows, self.out_features), out.dtype) if flat is None else flat
        matrix = x.reshape(rows, self.in_features)
        if by_row:
            codes, scale = quantize_dynamic(matrix, kind, axis=0)
            _native.float_matmul(codes, self.weight, into, scale, None, self.bias, self._code)
        elif isinstance(kind, str) and by_block:
            self._run.into(quantize_mx(matrix, kind).dequantize(), into)
        else:
            self._run.into(matrix, into)
        if flat is None:
            out[...] = into.reshape(shape)
        return out

    def state(self) -> dict[str, Any]:
        """Plain arrays and names, for any machine: what `from_state` takes.

        Returns
        -------
        dict
            "weight" ((out, in): int8 for signed integers, otherwise uint8, the codes of a float type), "weight_dtype"
            (its name), "weight_scale" (float32, (out,) or (out, groups)), "weight_zero_point" (of the shape of the
            scale, or None), "group_size", "bias", "activation_scale", "activation_zero_point", "activation_dtype" (the
            name of a type or of a microscaling format, or None; the scale is None where each row has its own),
            "activation".
        """
        w, a, kind = self.weight, self.activation_params, self.activation_dtype
        zeros = None if self.weight_params is None else self.weight_params.zero_point
        plain, codes = _plain_dtype(w.dtype), np.ascontiguousarray(w.unpack().T)
        return {
            "weight": codes.astype(plain) if w.dtype in INTEGERS else codes.view(plain),
            "weight_dtype": w.dtype.name,
            "weight_scale": self.weight_scale,
            "weight_zero_point": None if zeros is None else zeros.astype(plain),
            "group_size": self.group_size,
            "bias": self.bias,
            "activation_scale": None if a is None else a.scale,
            "activation_zero_point": None if a is None else a.zero_point,
            "activation_dtype": kind if kind is None or isinstance(kind, str) else kind.name,
            "activation": self.activation,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> QuantizedLinear:
        """The layer that `state` describes.

        Raises
        ------
        TypeError, ValueError
            If an entry is missing, unknown, or does not fit the others.
        """
        unknown, missing = set(state) - set(_STATE), set(_STATE) - set(state)
        if unknown or missing:
            what = f"not {sorted(unknown)[0]!r}" if unknown else f"but {sorted(missing)[0]!r} is missing"
            raise ValueError(f"state must have the entries {', '.join(_STATE)}, {what}")
        dtype = dtype_named(state["weight_dtype"], "weight_dtype", WEIGHTS)
        plain = _plain_dtype(dtype)
        q = as_input(state["weight"], "weight", (plain,))
        if q.ndim != 2:
            raise ValueError(f"weight must be a matrix (out, in), not of shape {q.shape}")
        group = state["group_size"]
        if group is not None and (isinstance(group, bool) or not isinstance(group, int) or group < 1):
            raise ValueError(f"group_size must be None or a positive integer, not {group!r}")
        shape = q.shape[:1] if group is None else (q.shape[0], -(-q.shape[1] // group))
        scale = float_array(state["weight_scale"], "weight_scale", (shape,))
        zeros, inputs = state["weight_zero_point"], state["activation_dtype"]
        if zeros is not None and (dtype not in INTEGERS or (group is not None and not _stays_float(inputs))):
            raise ValueError(
                "weight_zero_point must be None where weight_dtype is a float type, or group_size is given"
            )
        params = None
        if dtype in INTEGERS:
            params = QuantParams(scale, zeros, dtype=dtype, **_axes(group))
        if state["activation_scale"] is not None:
            inputs = QuantParams(state["activation_scale"], state["activation_zero_point"], dtype=inputs)
        layer = cls.__new__(cls)
        if dtype in INTEGERS:
            low, high = INTEGERS[dtype]
            if q.size and not (low <= q.min() and q.max() <= high):
                raise ValueError(f"weight must be in [{low}, {high}] where weight_dtype is {dtype}")
            codes = q.astype(dtype)
        else:
            codes = np.ascontiguousarray(q).view(dtype)
        layer._complete(codes, scale, params, group, state["bias"], inputs, state["activation"])
        return layer

    def __reduce__(self) -> Any:
        return QuantizedLinear.from_state, (self.state(),)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"QuantizedLinear is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"QuantizedLinear is immutable: {name} cannot be deleted")

    def __repr__(self) -> str:
        parts = [f"{self.in_features} -> {self.out_features}", self.weight.dtype.name]
        if self.group_size is not None:
            parts.append(f"groups of {self.group_size}")
        if not self.symmetric:
            parts.append("zero points")
        if self.bias is not None:
            parts.append("bias")
        p = self.activation_params
        kind = self.activation_dtype
        by_row = "float activations" if kind is None else f"activations {kind if isinstance(kind, str) else kind.name}"
        if kind is not None:
            by_row += " by block" if isinstance(kind, str) else " by row"
        parts.append(by_row if p is None else f"activations {p!r}")
        if self.activation is not None:
            parts.append(f"then {self.activation}")
        return f"QuantizedLinear({', '.join(parts)})"


_STATE = (
    "weight",
    "weight_dtype",
    "weight_scale",
    "weight_zero_point",
    "group_size",
    "bias",
    "activation_scale",
    "activation_zero_point",
    "activation_dtype",
    "activation",
)


def _kept(a: Array) -> Array:
    a = a.copy()
    a.flags.writeable = False
    return a


def _axes(group_size: int | None) -> dict[str, Any]:
    """What shares a scale in a weight (out, in)."""
    return {"axis": 0} if group_size is None else {"axis": 1, "block_size": group_size}


def _plain_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The NumPy dtype that keeps the bytes of `dtype`."""
    return _INT8 if dtype in INTEGERS and INTEGERS[dtype][0] < 0 else np.dtype(np.uint8)


def _weight_dtype(dtype: Any, activation_dtype: Any) -> np.dtype[Any]:
    try:
        return dtype_named(dtype, "weight_dtype", WEIGHTS)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _stays_float(activation_dtype: Any) -> bool:
    """Whether the product is one of floats without a scale: those of a microscaling format are in its numbers."""
    return activation_dtype is None or (isinstance(activation_dtype, str) and activation_dtype in MX_FORMATS)


def _activation_params(given: Any, weight: np.dtype[Any]) -> QuantParams | None:
    """The parameters of x, or None where it stays float or each row or block has its own."""
    if isinstance(given, str) and given == "nvfp4":
        raise ValueError(
            "activation_dtype must not be 'nvfp4', whose global scale would make a row depend on the others; give x "
            "as an MXArray to a layer with activation_dtype=None"
        )
    if _stays_float(given):
        return None
    if weight == _INT8:
        if isinstance(given, str) and given == "int8":
            return None
        if isinstance(given, QuantParams) and given.dtype in _ACTIVATIONS and given.scale.size == 1:
            return given
        wanted = "'int8', or QuantParams of int8 or uint8 with one scale, a microscaling format, or None"
    elif weight in INTEGERS:
        wanted = "None or a microscaling format"
    else:
        try:
            dtype_named(given, "activation_dtype", QUANTIZED_FLOATS)
        except TypeError:
            wanted = "None, a narrow float type or a microscaling format"
        else:
            return None
    raise ValueError(f"activation_dtype must be {wanted} where the weight is {weight}, not {given!r}")
