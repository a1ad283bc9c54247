"""Rows of quantize, dequantize and fake_quantize."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from .peers import ort, pytorch, with_numpy
from .row import Call, Row, aligned, shape_of, traffic

__all__ = ["ROWS", "AffineCase", "case_maker"]

Array = np.ndarray[Any, Any]


@dataclass
class AffineCase:
    """Arrays of one call. `dtype` names the quantized type, packed where `out` (or `x`) has half the columns."""

    x: Array
    out: Array
    mask: Array | None
    scale: Any
    zero_point: int | None
    dtype: str
    axis: int | None
    block_size: int | None


def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name) if hasattr(ml_dtypes, name) else name)


def values(shape: tuple[int, ...], dtype: Any) -> Array:
    """Normal values, so that a scale of 0.05 uses the range and saturates none or few."""
    x = aligned(shape, dtype)
    x[...] = np.random.default_rng(7).standard_normal(shape, np.float32).astype(x.dtype)
    return x


def case_maker(
    real: str,
    quantized: str,
    *,
    zero_point: int | None = None,
    axis: int | None = None,
    block_size: int | None = None,
    back: bool = False,
    fake: bool = False,
    mask: bool = False,
) -> Callable[[int], AffineCase]:
    """Row.make of quantize, or with `back` of dequantize, or with `fake` of fake_quantize."""

    def make(n: int) -> AffineCase:
        shape = shape_of(n)
        bytes_shape = (*shape[:-1], (shape[-1] + 1) // 2) if quantized == "int4" else shape
        scale: Any = 0.05
        if axis is not None:
            scales = [shape[axis]] if block_size is None else [shape[0], -(-shape[1] // block_size)]  # along rows
            scale = np.linspace(0.04, 0.06, int(np.prod(scales)), dtype=np.float32).reshape(scales)
        x = values(shape, _dtype(real))
        q = aligned(bytes_shape, np.uint8 if quantized == "int4" else quantized)
        if fake:
            q = aligned(shape, _dtype(real))
        elif back:
            q[...] = (np.arange(q.size, dtype=np.int64) * 37 % 251).astype(np.uint8).view(q.dtype).reshape(q.shape)
            x, q = q, x
        kept = aligned(shape, np.uint8) if mask else None
        return AffineCase(x, q, kept, scale, zero_point, quantized, axis, block_size)

    return make


def _quantize(convention: str = "onnx") -> Callable[[AffineCase], Call]:
    def ours(case: AffineCase) -> Call:
        import pyquantk as qk

        x, out, scale, zero_point, dtype = case.x, case.out, case.scale, case.zero_point, case.dtype
        if dtype == "int4":
            return lambda: qk.quantize(x, scale, zero_point, dtype=dtype, convention=convention, packed=True, out=out)
        if case.axis is None and dtype == "int8":
            return lambda: qk.quantize(x, scale, zero_point, convention=convention, out=out)
        axis, block_size = case.axis, case.block_size
        return lambda: qk.quantize(
            x, scale, zero_point, dtype=dtype, axis=axis, block_size=block_size, convention=convention, out=out
        )

    return ours


def _dequantize(case: AffineCase) -> Call:
    import pyquantk as qk

    q, out, scale, zero_point, dtype = case.x, case.out, case.scale, case.zero_point, case.out.dtype
    if dtype == np.float32 and case.dtype != "int4":
        return lambda: qk.dequantize(q, scale, zero_point, out=out)
    packed = "int4" if case.dtype == "int4" else None
    return lambda: qk.dequantize(q, scale, zero_point, dtype=dtype, packed=packed, out=out)


def _fake_quantize(case: AffineCase) -> Call:
    import pyquantk as qk

    x, out, scale = case.x, case.out, case.scale
    if case.mask is None:
        return lambda: qk.fake_quantize(x, scale, out=out)
    both = (out, case.mask.view(np.bool_))
    return lambda: qk.fake_quantize(x, scale, return_mask=True, out=both)


_ORT = {"onnxruntime": ort.quantize}
_ALL = {"onnxruntime": ort.quantize, "torch": pytorch.quantize, "numpy": with_numpy.quantize}
_CHANNEL = {"onnxruntime": ort.quantize, "torch": pytorch.quantize}
_BACK = {"onnxruntime": ort.dequantize, "torch": pytorch.dequantize, "numpy": with_numpy.dequantize}
_BACK_ORT = {"onnxruntime": ort.dequantize}
_TO_8, _HALF_TO_8 = traffic(32, 8), traffic(16, 8)
_make = case_maker

ROWS = (
    Row("f32 -> int8", _make("float32", "int8"), _quantize(), _TO_8, _ALL),
    Row("f32 -> uint8, zero point", _make("float32", "uint8", zero_point=128), _quantize(), _TO_8, _ALL),
    Row("f32 -> int8, outer channels", _make("float32", "int8", axis=0), _quantize(), _TO_8, _CHANNEL),
    Row("f32 -> int8, inner channels", _make("float32", "int8", axis=1), _quantize(), _TO_8, _CHANNEL),
    Row("f32 -> int8, blocks of 32", _make("float32", "int8", axis=1, block_size=32), _quantize(), _TO_8, _ORT),
    Row("f32 -> int8, blocks of 128", _make("float32", "int8", axis=1, block_size=128), _quantize(), _TO_8, _ORT),
    Row("f16 -> int8", _make("float16", "int8"), _quantize(), _HALF_TO_8, _ORT),
    Row("bf16 -> int8", _make("bfloat16", "int8"), _quantize(), _HALF_TO_8, _ORT),
    Row("f32 -> int4 packed", _make("float32", "int4"), _quantize(), traffic(32, 4), _ORT),
    Row("f32 -> int8, torch", _make("float32", "int8"), _quantize("torch"), _TO_8, {"torch": pytorch.quantize}),
    Row("f32 -> int8, tflite", _make("float32", "int8"), _quantize("tflite"), _TO_8, {}),
    Row("int8 -> f32", _make("float32", "int8", back=True), _dequantize, traffic(8, 32), _BACK),
    Row("int8 -> bf16", _make("bfloat16", "int8", back=True), _dequantize, traffic(8, 16), _BACK_ORT),
    Row("int4 packed -> f32", _make("float32", "int4", back=True), _dequantize, traffic(4, 32), {}),
    Row(
        "fake quantize f32",
        _make("float32", "int8", fake=True),
        _fake_quantize,
        traffic(32, 32),
        {"torch": pytorch.fake_quantize},
    ),
    Row(
        "fake quantize f32 with mask",
        _make("float32", "int8", fake=True, mask=True),
        _fake_quantize,
        traffic(32, 32, 8),
        {"torch": pytorch.fake_quantize_with_mask},
    ),
)
