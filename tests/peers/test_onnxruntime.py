"""ONNX Runtime: QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear on its CPU provider."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import pyquantk as qk

pytest.importorskip("onnx", reason="onnx, which builds the models, is not installed")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from . import inputs, onnx_models  # noqa: E402

INTEGERS = ["int8", "uint8", "int16", "uint16", "int4", "uint4", "int2", "uint2"]
REALS = ["float32", "float16"]  # it has no bfloat16 kernels for these operators


@lru_cache
def session(model: bytes) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    # Fused or folded, the node under test would not be the one that runs.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def limits(name: str) -> tuple[int, int]:
    info = ml_dtypes.iinfo(onnx_models.real(name))
    return int(info.min), int(info.max)


def quantized(x, scale, zero_point, name, **attributes):
    real = x.dtype.name
    model = onnx_models.quantize_linear(real, real, name, **attributes)
    z = zero_point.astype(onnx_models.carrier(name))
    return session(model).run(None, {"x": x, "scale": scale, "z": z})[0]


def check_quantize(rng, real, name, shape, axis, block_size, scale_kind):
    low, high = limits(name)
    dtype = onnx_models.real(real)
    grain = inputs.grain(shape, axis, block_size)
    attributes = {} if axis is None else {"axis": axis, "block_size": block_size}
    # Its vectorized kernels saturate; the plain C++ ones, for all else, convert to int32 first.
    saturates = real == "float32" and onnx_models.carrier(name).name == name and not block_size
    for kind in inputs.KINDS:
        scale = inputs.scales(rng, scale_kind, grain, dtype)
        zero_point = inputs.zero_points(rng, low, high, grain)
        step = inputs.spread(scale, shape, axis, block_size)
        x = inputs.values(rng, kind, step, (high - low) * 5 // 4, dtype)
        theirs = quantized(x, scale, zero_point, name, **attributes)
        ours = qk.quantize(x, scale, zero_point, dtype=name, axis=axis, block_size=block_size or None)
        inputs.check(ours.astype(theirs.dtype), theirs, x, step, (low, high), True if saturates else None)


@pytest.mark.parametrize("scale_kind", inputs.SCALES)
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", INTEGERS)
def test_quantize_linear(isa, name, real, scale_kind):
    rng = inputs.generator("ort", name, real, scale_kind)
    for shape, axis in inputs.GRAINS:
        check_quantize(rng, real, name, shape, axis, 0, scale_kind)


@pytest.mark.parametrize("name", ["int8", "uint8", "int16", "uint16"])
def test_odd_scales(isa, name):
    """Division by zero, by negative numbers, infinities, NaN and subnormals, and the products with them."""
    rng = inputs.generator("ort odd", name)
    low, high = limits(name)
    quantize = session(onnx_models.quantize_linear("float32", "float32", name, axis=0))
    dequantize = session(onnx_models.dequantize_linear(name, "float32", axis=0))
    rows = [0.0, -0.0, -0.5, -3.0, np.inf, -np.inf, np.nan, 1e-45, 1e-40, 2.0**-127, 2.0**-126, 2.0**127, 3.4e38]
    scale = np.array(rows, np.float32)
    step = np.where(np.isfinite(scale) & (scale != 0), scale, np.float32(1))
    for kind in inputs.KINDS:
        z = inputs.zero_points(rng, low, high, scale.shape).astype(name)
        x = inputs.values(rng, kind, np.repeat(step[:, None], 131, 1))
        (theirs,) = quantize.run(None, {"x": x, "scale": scale, "z": z})
        np.testing.assert_array_equal(qk.quantize(x, scale, z, axis=0), theirs)
        for row, one in enumerate(scale):
            np.testing.assert_array_equal(qk.quantize(x[row], one, z[row]), theirs[row])
        q = rng.integers(low, high, x.shape, name, endpoint=True)
        (back,) = dequantize.run(None, {"q": q, "scale": scale, "z": z})
        # A new NaN has the sign that the processor gives it there; here it is always the same one.
        np.testing.assert_array_equal(qk.dequantize(q, scale, z, axis=0), back)


@pytest.mark.parametrize("scale_kind", inputs.SCALES)
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", INTEGERS)
def test_quantize_linear_blocked(isa, name, real, scale_kind):
    rng = inputs.generator("ort blocked", name, real, scale_kind)
    for shape, axis, block_size in inputs.BLOCKS:
        check_quantize(rng, real, name, shape, axis, block_size, scale_kind)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", [*INTEGERS, "int32"])
def test_dequantize_linear(isa, name, real):
    rng = inputs.generator("ort dequantize", name, real)
    low, high = limits(name)
    dtype = onnx_models.real(real)
    blocks = [(shape, axis, 0) for shape, axis in inputs.GRAINS] + inputs.BLOCKS
    for shape, axis, block_size in blocks:
        attributes = {} if axis is None else {"axis": axis, "block_size": block_size}
        model = onnx_models.dequantize_linear(name, real, zero_point=name != "int32", **attributes)
        options = {"axis": axis, "block_size": block_size or None}
        for scale_kind in inputs.SCALES:
            grain = inputs.grain(shape, axis, block_size)
            scale = inputs.scales(rng, scale_kind, grain, dtype)
            q = rng.integers(low, high, shape, onnx_models.carrier(name), endpoint=True)
            feed = {"q": q, "scale": scale}
            zero_point = None
            if name != "int32":  # which ONNX gives no zero point
                zero_point = inputs.zero_points(rng, low, high, grain)
                feed["z"] = zero_point.astype(q.dtype)
            (theirs,) = session(model).run(None, feed)
            ours = qk.dequantize(q.astype(onnx_models.real(name)), scale, zero_point, dtype=dtype, **options)
            inputs.same_bits(ours, theirs)


@pytest.mark.parametrize("span", ["both", "positive", "negative", "zero", "constant", "tiny", "wide"])
def test_dynamic_quantize_linear(isa, span):
    rng = inputs.generator("ort dynamic", span)
    model = session(onnx_models.dynamic_quantize_linear())
    for n in (*range(1, 70), 1031, 65537):
        x = rng.standard_normal(n).astype(np.float32)
        x = {
            "both": x,
            "positive": abs(x) + 1,
            "negative": -abs(x) - 1,
            "zero": x * 0,
            "constant": np.full_like(x, x[0]),
            "tiny": x * np.float32(1e-30),
            "wide": x * np.float32(2.0**124),
        }[span]
        theirs, their_scale, their_zero = model.run(None, {"x": x})
        p = qk.choose_params(x, "uint8", symmetric=False, rule="onnx_dynamic")
        assert (p.scale, p.zero_point) == (their_scale, their_zero)
        np.testing.assert_array_equal(p.quantize(x), theirs)
