"""Delayed scaling: the scale of the next step from the ranges of the last ones."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from . import _native
from .arrays import Array, as_float32, as_input, real_numbers
from .calibration import observe
from .casts import cast
from .dtypes import FLOATS, NARROW_FLOATS, dtype_named

__all__ = ["DelayedScaling"]

_FLOAT8 = tuple(d for d in NARROW_FLOATS if d.name.startswith("float8") and d.name != "float8_e8m0fnu")
_ALGORITHMS = ("max", "most_recent")
_FLOAT32_MAX = np.float32(np.finfo(np.float32).max)


class DelayedScaling:
    """The scale of a float8 tensor from a history of its greatest magnitudes, as TransformerEngine keeps it.

    Each training step quantizes with a scale that is known beforehand, so that `x` is read once; `update` then looks
    at `x` and moves the history on. Comparable, picklable.

    Parameters
    ----------
    dtype : dtype or str, default float8_e4m3fn
        A float8 type of ``ml_dtypes``, but not float8_e8m0fnu.
    history_length : int, default 1024
        How many updates are remembered.
    algorithm : str, default "max"
        "max": the greatest magnitude of the history counts; "most_recent": that of the last update.
    margin : int, default 0
        Powers of two that are kept free above the greatest magnitude.

    Attributes
    ----------
    dtype, algorithm, margin
    history : ndarray of float32, (history_length,)
        Greatest magnitudes, the last update first; 0 where there was none yet.
    multiplier : ndarray of float32, 0-d
        What numbers are multiplied with to quantize them; 1 before the first update.

    Notes
    -----
    multiplier = (greatest number of `dtype` / a) / 2**margin in float32, a being the history's greatest magnitude or
    the last one. Where a is 0 or not finite the multiplier stays; where the quotient overflows it is the greatest
    float32. NaN makes the magnitude of an update NaN: with "max" the multiplier then stays until the history has
    forgotten it.

    Examples
    --------
    >>> import pyquantk as qk
    >>> d = qk.DelayedScaling("float8_e4m3fn", history_length=4)
    >>> d.update([0.5, -7.0])
    >>> d.scale()
    array(0.015625, dtype=float32)
    >>> d.quantize([0.5, -7.0]).astype("float32")
    array([  32., -448.], dtype=float32)
    """

    __slots__ = ("_history", "_multiplier", "algorithm", "dtype", "margin")

    dtype: np.dtype[Any]
    algorithm: str
    margin: int
    _history: Array
    _multiplier: Array

    def __init__(
        self,
        dtype: Any = "float8_e4m3fn",
        *,
        history_length: int = 1024,
        algorithm: str = "max",
        margin: int = 0,
    ) -> None:
        length = _integer(history_length, "history_length")
        if length < 1:
            raise ValueError(f"history_length must be at least 1, not {length}")
        if algorithm not in _ALGORITHMS:
            raise ValueError(f"algorithm must be one of {', '.join(_ALGORITHMS)}, not {algorithm!r}")
        kept_free = _integer(margin, "margin")
        if not -126 <= kept_free <= 127:
            raise ValueError(f"margin must be in [-126, 127], not {kept_free}")
        self.dtype = dtype_named(dtype, "dtype", _FLOAT8)
        self.algorithm = algorithm
        self.margin = kept_free
        self._history = np.zeros(length, np.float32)
        self._multiplier = np.array(1, np.float32)

    @property
    def history(self) -> Array:
        return self._history.copy()

    @property
    def multiplier(self) -> Array:
        return self._multiplier.copy()

    def update(self, x: Any) -> None:
        """Move the history on by the greatest magnitude of `x`.

        Parameters
        ----------
        x : array_like of float32, float16 or bfloat16
            Or `Statistics` of it, as `observe` returns them, of any granularity.
        """
        seen = x if hasattr(x, "absmax") else observe(x)
        absmax = np.max(seen.absmax, initial=np.float32(0))
        self.update_absmax(np.float32(np.nan) if np.any(seen.nan_count) else absmax)

    def update_absmax(self, absmax: Any) -> None:
        """Move the history on by a greatest magnitude that is already known.

        Parameters
        ----------
        absmax : float
            At least 0; infinity and NaN are remembered too.
        """
        number = as_float32(real_numbers(absmax))
        if number.ndim or number < 0:
            raise ValueError(f"absmax must be a single number, at least 0, not {absmax!r}")
        self._history = np.roll(self._history, 1)
        self._history[0] = number
        self._choose()

    def scale(self) -> Array:
        """What quantized numbers are multiplied with to get the real ones: 1 / multiplier, float32, 0-d."""
        return np.asarray(_native.in_float_environment(lambda: np.float32(1) / self._multiplier))

    def quantize(self, x: Any, *, out: Array | None = None) -> Array:
        """`x` * multiplier, one float32 product, rounded half to even to `dtype`, saturating.

        Parameters
        ----------
        x : array_like of float32, float16 or bfloat16, any shape and strides
        out : ndarray, optional
            Where to write the result: of its dtype and shape, any strides, no overlap with `x`.

        Returns
        -------
        ndarray of `dtype`, of the shape of `x`
        """
        array = as_input(x, "x", FLOATS)

        def product() -> Array:
            with np.errstate(all="ignore"):
                return np.asarray(np.multiply(array, self._multiplier, dtype=np.float32))

        return cast(_native.in_float_environment(product), self.dtype, out=out)

    def merge(self, other: DelayedScaling) -> None:
        """Take in what another observer of the same tensor saw, such as that of another process.

        Update by update, the greater magnitude counts, and then the multiplier is chosen again: the same as if one
        observer had seen both parts in each update.

        Parameters
        ----------
        other : DelayedScaling
            Of the same dtype, history length, algorithm and margin.
        """
        if not isinstance(other, DelayedScaling):
            raise TypeError(f"other must be a DelayedScaling, not {type(other).__name__}")
        if self._kind() != other._kind():
            raise ValueError(f"other must be of the same kind, {self!r}, not {other!r}")
        self._history = np.maximum(self._history, other._history)  # NaN wins
        self._choose()

    def _choose(self) -> None:
        a = self._history.max() if self.algorithm == "max" else self._history[0]
        if not (a > 0 and np.isfinite(a)):
            return

        def chosen() -> Array:
            with np.errstate(all="ignore"):
                return np.asarray(_greatest(self.dtype) / a / np.float32(2.0**self.margin))

        self._multiplier = np.array(min(_native.in_float_environment(chosen), _FLOAT32_MAX), np.float32)

    def _kind(self) -> tuple[Any, ...]:
        return self.dtype, len(self._history), self.algorithm, self.margin

    def __getstate__(self) -> tuple[Any, ...]:
        return self.dtype.name, self.algorithm, self.margin, self._history, self._multiplier

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        name, self.algorithm, self.margin, self._history, self._multiplier = state
        self.dtype = dtype_named(name, "dtype", _FLOAT8)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DelayedScaling):
            return NotImplemented
        mine, theirs = ((d._kind(), d._history.tobytes(), d._multiplier.tobytes()) for d in (self, other))
        return mine == theirs

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return (
            f"DelayedScaling({self.dtype.name!r}, history_length={len(self._history)}, "
            f"algorithm={self.algorithm!r}, margin={self.margin})"
        )


def _greatest(dtype: np.dtype[Any]) -> Any:
    """The greatest finite number of a float8 type, float32."""
    values = np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)
    return values[np.isfinite(values)].max()


def _integer(n: Any, argument: str) -> int:
    try:
        return operator.index(n)
    except TypeError:
        raise TypeError(f"{argument} must be an integer, not {n!r}") from None
