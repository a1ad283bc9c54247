"""A linear layer whose weights are integers, and whose activations become integers on the way in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _native
from .arrays import Array, as_input, check_out
from .dtypes import FLOATS, dtype_named
from .gemm import PackedMatrix, pack
from .operands import activation_code, float_array, merged, positive
from .params import QuantParams, choose_params

__all__ = ["QuantizedLinear"]

_INT8 = np.dtype(np.int8)
_WEIGHTS = (_INT8,)
_ACTIVATIONS = (_INT8, np.dtype(np.uint8))


class QuantizedLinear:
    """``y = activation(x @ weight.T + bias)`` in 8-bit integers, for float x. Immutable.

    Parameters
    ----------
    weight : array_like of float32, float16 or bfloat16, shape (out, in)
        As in ``torch.nn.Linear``. All finite.
    bias : array_like of float, shape (out,), optional
    weight_dtype : dtype or str, default "int8"
        int8.
    group_size : int, optional
        How many consecutive input features share a scale; the last group may be shorter. By default all do, and each
        output feature has one scale.
    symmetric : bool, default True
        Whether weights have no zero point; otherwise each output feature has one.
    activation_dtype : str or QuantParams, default "int8"
        "int8" quantizes each row of x by its own range, in the same call: scale = absmax / 127. A `QuantParams` of
        int8 or uint8 with one scale, as `choose_params` finds it on samples, is used as it is.
    activation : str or (low, high), optional
        As in `qmatmul`, applied in the same call.

    Attributes
    ----------
    in_features, out_features : int
    weight : PackedMatrix
        The integers, (in, out).
    weight_params : QuantParams
        What they stand for; of the weight as given, (out, in).
    bias : ndarray of float32 or None
    group_size : int or None
    activation_params : QuantParams or None
        None where each row has its own.
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
    ``choose_params(weight, "int8", axis=0)``. A row of the result depends on that row of x alone.

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
        "_run",
        "activation",
        "activation_params",
        "bias",
        "group_size",
        "in_features",
        "out_features",
        "symmetric",
        "weight",
        "weight_params",
    )

    _run: _native.Linear
    activation: str | tuple[float, float] | None
    activation_params: QuantParams | None
    bias: Array | None
    group_size: int | None
    in_features: int
    out_features: int
    symmetric: bool
    weight: PackedMatrix
    weight_params: QuantParams

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
        w = as_input(weight, "weight")
        if w.ndim != 2:
            raise ValueError(f"weight must be a matrix (out, in), not of shape {w.shape}")
        target = _weight_dtype(weight_dtype)
        if group_size is not None:
            group_size = positive(group_size, "group_size")
            if not symmetric:
                raise ValueError("symmetric must be True where group_size is given")
        options: dict[str, Any] = {"axis": 0} if group_size is None else {"axis": 1, "block_size": group_size}
        try:
            params = choose_params(w, target, symmetric=symmetric, **options)
        except ValueError as error:
            raise ValueError(str(error).replace("x must be", "weight must be", 1)) from None
        self._complete(params.quantize(w), params, bias, activation_dtype, activation)

    def _complete(self, q: Array, params: QuantParams, bias: Any, activation_dtype: Any, activation: Any) -> None:
        """Everything from the quantized weight (out, in) on."""
        features = q.shape[0]
        by_group = params.block_size is not None
        scale = np.ascontiguousarray(params.scale.T) if by_group else params.scale
        bias = None if bias is None else _kept(float_array(bias, "bias", ((features,),)))
        inputs = _activation_params(activation_dtype)
        code = activation_code(activation)
        if code is not None and not isinstance(activation, str):
            activation = code[1:]
        group_size = min(int(params.block_size), max(q.shape[1], 1)) if by_group else None  # type: ignore[arg-type]
        packed = pack(q.T, zero_point=params.zero_point, group_size=group_size)
        if inputs is None:
            run = _native.Linear(
                packed, scale, group_size or 0, bias, code, _native.LINEAR_DYNAMIC, np.empty(0, _INT8), 1.0, 0
            )
        else:
            zero = 0 if inputs.zero_point is None else int(inputs.zero_point.reshape(()))
            step = float(inputs.scale.reshape(()))
            like = np.empty(0, inputs.dtype)
            run = _native.Linear(packed, scale, group_size or 0, bias, code, _native.LINEAR_STATIC, like, step, zero)
        values = (run, activation, inputs, bias, group_size, q.shape[1], features, params.zero_point is None, packed)
        for name, value in zip(self.__slots__, (*values, params), strict=True):
            object.__setattr__(self, name, value)

    def __call__(self, x: Any, out: Array | None = None) -> Array:
        """``activation(x @ weight.T + bias)``.

        Parameters
        ----------
        x : array_like of float32, float16 or bfloat16, shape (..., in), any strides
        out : ndarray of float32, float16 or bfloat16, shape (..., out), optional
            Where to write the result: any strides, no overlap with x.

        Returns
        -------
        ndarray of the dtype of x, shape (..., out)
        """
        plain = self._run.plain(x, out)
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
        self._run.into(x.reshape(rows, self.in_features), into)
        if flat is None:
            out[...] = into.reshape(shape)
        return out

    def state(self) -> dict[str, Any]:
        """Plain arrays and names, for any machine: what `from_state` takes.

        Returns
        -------
        dict
            "weight" (int8 (out, in)), "weight_scale" (float32, (out,) or (out, groups)), "weight_zero_point" (int8
            (out,) or None), "group_size", "bias", "activation_scale", "activation_zero_point", "activation_dtype"
            ("int8" or "uint8"; the scale is None where each row has its own), "activation".
        """
        p, a = self.weight_params, self.activation_params
        return {
            "weight": np.ascontiguousarray(self.weight.unpack().T),
            "weight_scale": p.scale,
            "weight_zero_point": p.zero_point,
            "group_size": self.group_size,
            "bias": self.bias,
            "activation_scale": None if a is None else a.scale,
            "activation_zero_point": None if a is None else a.zero_point,
            "activation_dtype": "int8" if a is None else a.dtype.name,
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
        q = as_input(state["weight"], "weight", _WEIGHTS)
        if q.ndim != 2:
            raise ValueError(f"weight must be a matrix (out, in), not of shape {q.shape}")
        group = state["group_size"]
        axes: dict[str, Any] = {"axis": 0} if group is None else {"axis": 1, "block_size": group}
        if group is not None and (isinstance(group, bool) or not isinstance(group, int) or group < 1):
            raise ValueError(f"group_size must be None or a positive integer, not {group!r}")
        shape = q.shape[:1] if group is None else (q.shape[0], -(-q.shape[1] // group))
        scale = float_array(state["weight_scale"], "weight_scale", (shape,))
        if group is not None and state["weight_zero_point"] is not None:
            raise ValueError("weight_zero_point must be None where group_size is given")
        params = QuantParams(scale, state["weight_zero_point"], dtype=q.dtype, **axes)
        inputs: Any = state["activation_dtype"]
        if state["activation_scale"] is not None:
            inputs = QuantParams(state["activation_scale"], state["activation_zero_point"], dtype=inputs)
        layer = cls.__new__(cls)
        layer._complete(q, params, state["bias"], inputs, state["activation"])
        return layer

    def __reduce__(self) -> Any:
        return QuantizedLinear.from_state, (self.state(),)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"QuantizedLinear is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"QuantizedLinear is immutable: {name} cannot be deleted")

    def __repr__(self) -> str:
        parts = [f"{self.in_features} -> {self.out_features}", self.weight_params.dtype.name]
        if self.group_size is not None:
            parts.append(f"groups of {self.group_size}")
        if not self.symmetric:
            parts.append("zero points")
        if self.bias is not None:
            parts.append("bias")
        p = self.activation_params
        parts.append("activations int8 by row" if p is None else f"activations {p!r}")
        if self.activation is not None:
            parts.append(f"then {self.activation}")
        return f"QuantizedLinear({', '.join(parts)})"


_STATE = (
    "weight",
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


def _weight_dtype(dtype: Any) -> np.dtype[Any]:
    try:
        return dtype_named(dtype, "weight_dtype", _WEIGHTS)
    except TypeError:
        raise ValueError(f"weight_dtype must be int8, not {dtype!r}") from None


def _activation_params(given: Any) -> QuantParams | None:
    """The parameters of x, or None where each row has its own."""
    if isinstance(given, QuantParams):
        if given.dtype not in _ACTIVATIONS or given.scale.size != 1:
            raise ValueError(
                f"activation_dtype must be 'int8', or QuantParams of int8 or uint8 with one scale, not {given!r}"
            )
        return given
    if isinstance(given, str) and given == "int8":
        return None
    raise ValueError(f"activation_dtype must be 'int8', or QuantParams of int8 or uint8 with one scale, not {given!r}")
