"""Rows of quantization by each block's own range: dynamic float8, and microscaling formats.

The bound is that of a cast: the scales are a hundredth of the traffic. PyTorch has no such operation for CPUs: beside
ours stands what its users write, and torchao, where that is installed, has the microscaling formats.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from .affine import values
from .peers import pytorch, with_numpy
from .row import Call, Row, aligned, shape_of, traffic

__all__ = ["ROWS", "DynamicCase"]

Array = np.ndarray[Any, Any]
_PACKED = "float4_e2m1fn"


@dataclass
class DynamicCase:
    """Arrays of one call; `block` is the shape of a block, `format` that of quantize_mx or None."""

    x: Array
    out: Array
    block: tuple[int, int]
    scale: Array
    format: str | None
    mask: None = None


def _case(
    source: str, target: str, block: tuple[int, int] | None, mx: str | None = None
) -> Callable[[int], DynamicCase]:
    """Row.make; block None: a whole row."""

    def make(n: int) -> DynamicCase:
        shape = shape_of(n)
        each = block or (1, shape[1])
        packed = target == _PACKED
        x = values(shape, getattr(ml_dtypes, source, source))
        out = aligned(
            (shape[0], shape[1] // 2) if packed else shape, np.uint8 if packed else getattr(ml_dtypes, target)
        )
        scale = np.ones((-(-shape[0] // each[0]), -(-shape[1] // each[1])), np.float32 if mx is None else np.uint8)
        return DynamicCase(x, out, each, scale, mx)

    return make


def _ours(case: DynamicCase) -> Call:
    from pyquantk import _native

    mode = {None: _native.SCALE_ABSMAX, "nvfp4": _native.SCALE_NVFP4}.get(case.format, _native.SCALE_MODES["floor"])
    packed = np.dtype(ml_dtypes.float4_e2m1fn) if case.out.dtype == np.uint8 else None
    x, out, scale, block = case.x, case.out, case.scale, case.block
    return lambda: _native.quantize_dynamic(x, out, packed, scale, block, mode, 1.0)


_Peers = Mapping[str, Callable[[DynamicCase, int], Sequence[Call]]]
_TO_FLOAT8: _Peers = {"torch": pytorch.quantize_blocks, "numpy": with_numpy.quantize_blocks}
_TO_MX: _Peers = {"torch": pytorch.quantize_mx} if importlib.util.find_spec("torchao") else {}
_E4M3 = "float8_e4m3fn"

ROWS = (
    Row("f32 -> e4m3fn, by 1x128", _case("float32", _E4M3, (1, 128)), _ours, traffic(32, 8), _TO_FLOAT8),
    Row("f32 -> e4m3fn, by 128x128", _case("float32", _E4M3, (128, 128)), _ours, traffic(32, 8), _TO_FLOAT8),
    Row("f32 -> e4m3fn, by row", _case("float32", _E4M3, None), _ours, traffic(32, 8), _TO_FLOAT8),
    Row("bf16 -> e4m3fn, by 1x128", _case("bfloat16", _E4M3, (1, 128)), _ours, traffic(16, 8), _TO_FLOAT8),
    Row("bf16 -> e4m3fn, by 128x128", _case("bfloat16", _E4M3, (128, 128)), _ours, traffic(16, 8), _TO_FLOAT8),
    Row("bf16 -> e4m3fn, by row", _case("bfloat16", _E4M3, None), _ours, traffic(16, 8), _TO_FLOAT8),
    Row("f32 -> mxfp8", _case("float32", _E4M3, (1, 32), "mxfp8_e4m3"), _ours, traffic(32, 8), _TO_MX),
    Row("bf16 -> mxfp8", _case("bfloat16", _E4M3, (1, 32), "mxfp8_e4m3"), _ours, traffic(16, 8), _TO_MX),
    Row("f32 -> mxfp4", _case("float32", _PACKED, (1, 32), "mxfp4"), _ours, traffic(32, 4), _TO_MX),
    Row("bf16 -> mxfp4", _case("bfloat16", _PACKED, (1, 32), "mxfp4"), _ours, traffic(16, 4), _TO_MX),
    Row("f32 -> nvfp4", _case("float32", _PACKED, (1, 16), "nvfp4"), _ours, traffic(32, 4), _TO_MX),
    Row("bf16 -> nvfp4", _case("bfloat16", _PACKED, (1, 16), "nvfp4"), _ours, traffic(16, 4), _TO_MX),
)
