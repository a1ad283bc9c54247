"""What observers see of an array: its range, and what in it is not finite, in one pass."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _native
from .arrays import Array, as_input, granularity

__all__ = ["Statistics", "observe"]


class Statistics(NamedTuple):
    """Range and counts of an array or of each of its blocks; arrays of one shape, 0-d for a whole array.

    Attributes
    ----------
    min, max : ndarray of float32
        Over all elements but NaN, infinities included; +inf and -inf where there is none. A zero is +0.
    nan_count, inf_count : ndarray of int64
    """

    min: Array
    max: Array
    nan_count: Array
    inf_count: Array

    @property
    def absmax(self) -> Array:
        """Greatest magnitude, float32; 0 where there are only NaN or nothing."""
        return np.maximum(np.maximum(-self.min, self.max), np.float32(0))


def observe(
    x: Any, *, axis: int | tuple[int, ...] | None = None, block_size: int | tuple[int, ...] | None = None
) -> Statistics:
    """Range of `x` and counts of NaN and infinities, for the whole array, per channel or per block.

    Parameters
    ----------
    x : array_like of float32, float16 or bfloat16, any shape and strides
    axis, block_size
        As in `quantize`: what shares a scale there shares a result here.

    Returns
    -------
    Statistics
        0-d arrays; with `axis` of shape ``(x.shape[axis],)``; with `block_size` of the shape of `x` with each blocked
        axis of n elements replaced by ``ceil(n / block_size)``.

    Examples
    --------
    >>> import pyquantk as qk
    >>> s = qk.observe([[1.0, -2.0], [3.0, float("nan")]], axis=0)
    >>> s.min, s.absmax, s.nan_count
    (array([-2.,  3.], dtype=float32), array([2., 3.], dtype=float32), array([0, 1]))
    """
    if x.__class__ is np.ndarray:
        plain = _native.observe_plain(x, axis, block_size)
        if plain is not None:
            return Statistics(*plain)
    x = as_input(x, "x")
    grain = granularity(x.shape, axis, block_size)
    low, high = np.full(grain.full, np.inf, np.float32), np.full(grain.full, -np.inf, np.float32)
    nans, infs = np.zeros(grain.full, np.int64), np.zeros(grain.full, np.int64)
    if x.size:
        _native.observe(x, grain.block, low, high, nans, infs)
    shape = grain.short
    return Statistics(low.reshape(shape), high.reshape(shape), nans.reshape(shape), infs.reshape(shape))
