"""Requantization inside others' products: QLinearMatMul of ONNX Runtime and of ONNX's reference evaluator."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import pyquantk as qk

onnx = pytest.importorskip("onnx", reason="onnx, which builds the models, is not installed")

from onnx import TensorProto, helper  # noqa: E402

from . import inputs  # noqa: E402

TYPES = {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}
RANGES = {"int8": (-128, 127), "uint8": (0, 255)}


@lru_cache
def model(a: str, b: str, y: str, per_column: bool) -> bytes:
    """QLinearMatMul with every input free: (a, a_s, a_z, b, b_s, b_z, y_s, y_z) -> y."""
    kinds = {"a": a, "a_s": "float32", "a_z": a, "b": b, "b_s": "float32", "b_z": b, "y_s": "float32", "y_z": y}
    shapes = {"a": [None, None], "b": [None, None]} | ({"b_s": [None], "b_z": [None]} if per_column else {})
    values = [helper.make_tensor_value_info(k, TYPES[t], shapes.get(k, [])) for k, t in kinds.items()]
    node = helper.make_node("QLinearMatMul", list(kinds), ["y"])
    graph = helper.make_graph([node], "g", values, [helper.make_tensor_value_info("y", TYPES[y], [None, None])])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(made.SerializeToString())


def case(rng: np.random.Generator, a: str, b: str, y: str, per_column: bool) -> tuple[dict[str, Any], Any, Any]:
    """Inputs of the model, and the accumulators and multipliers that they stand for."""
    m, k, n = 37, int(rng.integers(1, 40)), 61
    low, high = RANGES[b]
    feeds = {
        "a": rng.integers(*RANGES[a], (m, k), endpoint=True).astype(a),
        "a_s": np.float32(rng.uniform(0.001, 0.1)),
        "a_z": np.array(rng.integers(*RANGES[a], endpoint=True), a),
        "b": rng.integers(low, high + 1, (k, n)).astype(b),
        "b_s": rng.uniform(0.001, 0.1, n).astype(np.float32) if per_column else np.float32(rng.uniform(0.001, 0.1)),
        "b_z": np.zeros(n, b) if per_column else np.array(rng.integers(low, high + 1), b),
        "y_s": np.float32(2.0 ** rng.integers(-8, 2) if rng.random() < 0.5 else rng.uniform(0.01, 3)),
        "y_z": np.array(rng.integers(*RANGES[y], endpoint=True), y),
    }
    if rng.random() < 0.5:  # powers of two: ties
        feeds["a_s"] = np.float32(2.0 ** rng.integers(-8, -2))
        feeds["b_s"] = np.float32(2.0 ** rng.integers(-8, -2, feeds["b_s"].shape))
    wide = (feeds[x].astype(np.int32) - feeds[x + "_z"].astype(np.int32) for x in "ab")
    acc = np.matmul(*wide)
    multiplier = feeds["a_s"] * feeds["b_s"] / feeds["y_s"]
    assert multiplier.dtype == np.float32
    return feeds, acc, multiplier


@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize(("a", "b", "y"), [("uint8", "int8", "uint8"), ("int8", "int8", "int8"),
                                           ("uint8", "uint8", "uint8")])  # fmt: skip
def test_onnxruntime(isa, a, b, y, per_column):
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model(a, b, y, per_column), options, providers=["CPUExecutionProvider"])
    rng = inputs.generator("requantize", a, b, y, per_column)
    for _ in range(60):
        feeds, acc, multiplier = case(rng, a, b, y, per_column)
        theirs = session.run(None, {name: np.asarray(value) for name, value in feeds.items()})[0]
        axis = 1 if per_column else None
        ours = qk.requantize(acc, multiplier, int(feeds["y_z"]), dtype=y, axis=axis)
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("y", ["uint8", "int8"])
def test_onnx_reference(isa, y):
    """The same but for the zero point, which it adds before rounding, in float64: compared where that is even."""
    reference = pytest.importorskip("onnx.reference")
    evaluator = reference.ReferenceEvaluator(onnx.load_model_from_string(model("uint8", "int8", y, False)))
    rng = inputs.generator("requantize reference", y)
    for _ in range(60):
        feeds, acc, multiplier = case(rng, "uint8", "int8", y, False)
        feeds["y_z"] = np.array(int(feeds["y_z"]) // 2 * 2, y)
        theirs = evaluator.run(None, feeds)[0].astype(np.int64)
        ours = qk.requantize(acc, multiplier, int(feeds["y_z"]), dtype=y).astype(np.int64)
        exact = acc.astype(np.float64) * np.float64(multiplier)
        apart = np.abs(exact - np.rint(exact)) < 0.4999  # else float32 may see a tie that float64 does not
        inside = (exact + int(feeds["y_z"]) > RANGES[y][0]) & (exact + int(feeds["y_z"]) < RANGES[y][1])
        ties = (np.float32(multiplier) == 2.0 ** np.rint(np.log2(multiplier))) & inside
        np.testing.assert_array_equal(ours[inside & (apart | ties)], theirs[inside & (apart | ties)])
