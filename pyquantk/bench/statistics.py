"""Rows of observe: the range of an array, and what in it is not finite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .affine import values
from .peers import pytorch, with_numkong, with_numpy
from .row import Call, Row, aligned, shape_of, traffic

__all__ = ["ROWS"]


@dataclass
class StatisticsCase:
    x: np.ndarray[Any, Any]
    out: np.ndarray[Any, Any]  # for the bound, which must put its result somewhere
    mask: None = None


def _make(n: int) -> StatisticsCase:
    return StatisticsCase(values(shape_of(n), np.float32), aligned((n,), np.uint8))


def _ours(case: StatisticsCase) -> Call:
    import pyquantk as qk

    x = case.x
    return lambda: qk.observe(x)


ROWS = (
    Row(
        "min and max f32",
        _make,
        _ours,
        traffic(32, 0),
        {"torch": pytorch.aminmax, "numpy": with_numpy.min_and_max, "numkong": with_numkong.min_and_max},
    ),
)
