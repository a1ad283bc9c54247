"""How far a quantized tensor is from the original, summed up as it streams by."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["ErrorMeter"]

_Array = np.ndarray[Any, np.dtype[np.float32]]

# Sums of float32 squares are kept where neither overflow nor underflow can have cost more than a rounding error.
_SMALLEST, _LARGEST = 1e-24, 1e30


class ErrorMeter:
    """Signal-to-quantization-noise ratio and largest absolute error.

    Sums run in float32 within a block, some 10**5 elements in cache, and in float64 across blocks: the
    decibels are right to four digits, at a fraction of the time.
    """

    def __init__(self) -> None:
        self.signal = 0.0
        self.noise = 0.0
        self.max_abs = 0.0

    def add(self, signal: float, noise: float, max_abs: float) -> None:
        self.signal += signal
        self.noise += noise
        self.max_abs = max(self.max_abs, max_abs)

    @property
    def sqnr_db(self) -> float:
        """10 log10(signal / noise); infinite where quantization lost nothing."""
        if self.noise == 0.0:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf


def energy(x: _Array) -> float:
    """Sum of squares; not finite exactly if an element is not."""
    flat = x.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        total = float(np.dot(flat, flat))
        if not _SMALLEST < total < _LARGEST:  # zeros take this path too, and stay zero
            wide = flat.astype(np.float64)
            total = float(np.dot(wide, wide))
    return total


def largest(x: _Array) -> float:
    return float(max(x.max(), -x.min()))
