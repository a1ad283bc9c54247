"""ONNX's reference evaluator: the specification's own QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import pyquantk as qk

onnx = pytest.importorskip("onnx", minversion="1.20", reason="onnx 1.20 or later is not installed")
reference = pytest.importorskip("onnx.reference")

from . import inputs, onnx_models  # noqa: E402

INTEGERS = ["int8", "uint8", "int16", "uint16", "int4", "uint4", "int2", "uint2"]
REALS = ["float32", "float16", "bfloat16"]


@lru_cache
def evaluator(model: bytes) -> Any:
    return reference.ReferenceEvaluator(onnx.load_model_from_string(model))


def limits(name: str) -> tuple[int, int]:
    info = ml_dtypes.iinfo(onnx_models.real(name))
    return int(info.min), int(info.max)


def grains() -> list[tuple[tuple[int, ...], int | None, int]]:
    whole = [(shape, axis, 0) for shape, axis in inputs.GRAINS]
    # It repeats parameters, so it takes whole blocks only.
    return whole + [b for b in inputs.BLOCKS if b[0][b[1]] % b[2] == 0]


def attributes_of(axis: int | None, block_size: int) -> dict[str, int]:
    return {} if axis is None else {"axis": axis, "block_size": block_size}


@pytest.mark.parametrize("scale_kind", inputs.SCALES)
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", INTEGERS)
def test_quantize_linear(isa, name, real, scale_kind):
    rng = inputs.generator("reference", name, real, scale_kind)
    low, high = limits(name)
    dtype = onnx_models.real(real)
    for shape, axis, block_size in grains():
        # Without `precision` it divides in the type of x; pyquantk divides in float32.
        attributes = {"precision": onnx.TensorProto.FLOAT, **attributes_of(axis, block_size)}
        model = evaluator(onnx_models.quantize_linear(real, real, name, **attributes))
        for kind in inputs.KINDS:
            grain = inputs.grain(shape, axis, block_size)
            scale = inputs.scales(rng, scale_kind, grain, dtype)
            zero_point = inputs.zero_points(rng, low, high, grain)
            step = inputs.spread(scale, shape, axis, block_size)
            x = inputs.values(rng, kind, step, (high - low) * 5 // 4, dtype)
            with np.errstate(all="ignore"):
                feed = {"x": x, "scale": scale, "z": zero_point.astype(onnx_models.carrier(name))}
                (theirs,) = model.run(None, feed)
            ours = qk.quantize(x, scale, zero_point, dtype=name, axis=axis, block_size=block_size or None)
            inputs.check(ours.astype(theirs.dtype), theirs, x, step, (low, high))


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", [*INTEGERS, "int32"])
def test_dequantize_linear(isa, name, real):
    rng = inputs.generator("reference dequantize", name, real)
    low, high = limits(name)
    dtype = onnx_models.real(real)
    for shape, axis, block_size in grains():
        options = attributes_of(axis, block_size)
        model = evaluator(onnx_models.dequantize_linear(name, real, zero_point=name != "int32", **options))
        for scale_kind in inputs.SCALES:
            grain = inputs.grain(shape, axis, block_size)
            scale = inputs.scales(rng, scale_kind, grain, dtype)
            q = rng.integers(low, high, shape, onnx_models.carrier(name), endpoint=True)
            feed = {"q": q, "scale": scale}
            zero_point = None
            if name != "int32":  # which ONNX gives no zero point
                zero_point = inputs.zero_points(rng, low, high, grain)
                feed["z"] = zero_point.astype(q.dtype)
            with np.errstate(all="ignore"):
                (theirs,) = model.run(None, feed)
            ours = qk.dequantize(
                q.astype(onnx_models.real(name)),
                scale,
                zero_point,
                dtype=dtype,
                axis=axis,
                block_size=block_size or None,
            )
            inputs.same_bits(ours, theirs)
