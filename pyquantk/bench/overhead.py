"""Rows of what a call costs from Python, where there is little to compute."""

from __future__ import annotations

from .affine import ROWS as AFFINE_ROWS
from .row import Row

__all__ = ["ROWS"]

_ELEMENTS = 1000


def _call(name: str, label: str) -> Row:
    row = next(row for row in AFFINE_ROWS if row.name == name)
    return Row(f"one call, {label}", row.make, row.ours, None, row.peers, unit="us", sizes=(_ELEMENTS,))


ROWS = (
    _call("f32 -> int8", "f32 -> int8"),
    _call("f32 -> int8, outer channels", "f32 -> int8, channels"),
    _call("int8 -> f32", "int8 -> f32"),
    _call("fake quantize f32", "fake quantize"),
)
