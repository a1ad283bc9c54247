"""ONNX Cast: the reference evaluator and ONNX Runtime, saturating and not; e8m0's ways of rounding."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import pyquantk as qk

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
reference = pytest.importorskip("onnx.reference", reason="onnx has no reference evaluator")

TYPES = {
    "float8_e4m3fn": "FLOAT8E4M3FN",
    "float8_e5m2": "FLOAT8E5M2",
    "float8_e4m3fnuz": "FLOAT8E4M3FNUZ",
    "float8_e5m2fnuz": "FLOAT8E5M2FNUZ",
}


def model(name, **attributes):
    helper, kind = onnx.helper, onnx.TensorProto
    target = getattr(kind, name)
    node = helper.make_node("Cast", ["x"], ["y"], to=target, **attributes)
    graph = helper.make_graph(
        [node],
        "cast",
        [helper.make_tensor_value_info("x", kind.FLOAT, [None])],
        [helper.make_tensor_value_info("y", target, [None])],
    )
    opset = 24 if "round_mode" in attributes else 23
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def values():
    """All exponents with ties and near ties of every type, and noise; infinities and NaN."""
    rng = np.random.default_rng(1)
    exponents = np.repeat(np.arange(512, dtype=np.uint32) << 23, 128)
    steps = np.tile(np.arange(128, dtype=np.uint32) << 16, 512) + rng.integers(-1, 2, exponents.size).astype(np.uint32)
    return np.concatenate([exponents + steps, rng.integers(0, 1 << 32, 1 << 16, dtype=np.uint32)]).view(np.float32)


@pytest.mark.parametrize("saturate", [True, False])
@pytest.mark.parametrize("name", TYPES)
def test_reference(name, saturate):
    x = values()
    with np.errstate(all="ignore"):
        (wanted,) = reference.ReferenceEvaluator(model(TYPES[name], saturate=int(saturate))).run(None, {"x": x})
    np.testing.assert_array_equal(qk.cast(x, name, saturate=saturate).view(np.uint8), np.asarray(wanted).view(np.uint8))


@pytest.mark.parametrize("mode", ["up", "down", "nearest"])
def test_reference_exponents(mode):
    rounding = {"nearest": "nearest_even"}.get(mode, mode)
    wanted = onnx.numpy_helper.to_float8e8m0(values(), saturate=True, round_mode=mode)
    got = qk.cast(values(), "float8_e8m0fnu", rounding=rounding)
    np.testing.assert_array_equal(got.view(np.uint8), np.asarray(wanted).view(np.uint8))


@pytest.mark.parametrize("saturate", [True, False])
@pytest.mark.parametrize("name", TYPES)
def test_onnxruntime(name, saturate):
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    x = values()
    x = x[np.isfinite(x)]
    if not saturate:
        # Where numbers round up beyond the greatest one, 1.31 gives 448 in part of e4m3fn's last step instead of NaN,
        # and in e5m2's NaN instead of infinity; the reference evaluator and ml_dtypes do not.
        odd = {"float8_e4m3fn": (480, 496), "float8_e5m2": (61440, 65536)}.get(name, (0, 0))
        x = x[(np.abs(x) < odd[0]) | (np.abs(x) >= odd[1])]
    source = model(TYPES[name], saturate=int(saturate))
    # The result as bytes: NumPy has no such type to return it as.
    source.graph.node.append(onnx.helper.make_node("Cast", ["y"], ["z"], to=onnx.TensorProto.FLOAT))
    source.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [None]))
    session = ort.InferenceSession(source.SerializeToString(), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"x": x})
    got = qk.cast(qk.cast(x, name, saturate=saturate), "float32")
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    known = ~np.isnan(wanted)
    np.testing.assert_array_equal(got[known].view(np.uint32), wanted[known].view(np.uint32))


def test_every_number_back():
    codes = np.arange(256, dtype=np.uint8)
    for name in TYPES:
        narrow = codes.view(np.dtype(getattr(ml_dtypes, name)))
        np.testing.assert_array_equal(qk.cast(narrow, "float32"), narrow.astype(np.float32))
