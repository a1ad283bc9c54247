"""MatMulInteger, QLinearMatMul and DynamicQuantizeLinear, as onnxruntime and the ONNX reference compute them."""

from __future__ import annotations

import gemm_oracle as oracle
import numpy as np
import pytest
import strategies as some

import pyquantk as qk

onnx = pytest.importorskip("onnx")
onnx_reference = pytest.importorskip("onnx.reference")
ort = pytest.importorskip("onnxruntime")
helper = onnx.helper
TYPES = {"int8": onnx.TensorProto.INT8, "uint8": onnx.TensorProto.UINT8, "float32": onnx.TensorProto.FLOAT}
TYPES["int32"] = onnx.TensorProto.INT32
SHAPES = [(1, 1, 1), (1, 40, 33), (7, 16, 64), (33, 65, 129), (128, 96, 256)]


def runners(operator, inputs, output, opset=21):
    """A one-node model in onnxruntime and in the reference evaluator; each takes the inputs by name."""
    infos = [helper.make_tensor_value_info(name, TYPES[kind], None) for name, kind in inputs.items()]
    out = helper.make_tensor_value_info("y", TYPES[output], None)
    graph = helper.make_graph([helper.make_node(operator, list(inputs), ["y"])], "peer", infos, [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    reference = onnx_reference.ReferenceEvaluator(model)
    return [lambda feeds, run=run: run(None, feeds)[0] for run in (session.run, reference.run)]


@pytest.mark.parametrize(("a_name", "b_name"), [("uint8", "int8"), ("uint8", "uint8"), ("int8", "int8")])
def test_matmul_integer(isa, a_name, b_name):
    peers = runners("MatMulInteger", {"a": a_name, "b": b_name, "az": a_name, "bz": b_name}, "int32")
    rng = np.random.default_rng(0)
    for m, n, k in SHAPES:
        a, b = oracle.operand(rng, (m, k), a_name), oracle.operand(rng, (k, n), b_name)
        a_zero = oracle.operand(rng, (), a_name)
        for b_zero in (oracle.operand(rng, (), b_name), oracle.operand(rng, (n,), b_name)):
            found = qk.matmul(a, b, a_zero_point=a_zero, b_zero_point=b_zero)
            for peer in peers:
                some.assert_same(found, peer({"a": a, "b": b, "az": a_zero, "bz": b_zero}))


@pytest.mark.parametrize("name", ["int8", "uint8"])
def test_qlinear_matmul(isa, name):
    """Away from ties, where the order of the scales' products and the place of the zero point show."""
    inputs = {"a": name, "as": "float32", "az": name, "b": name, "bs": "float32", "bz": name}
    inputs |= {"ys": "float32", "yz": name}
    peers = runners("QLinearMatMul", inputs, name)
    rng = np.random.default_rng(1)
    low, high = oracle.LIMITS[name]
    for m, n, k in SHAPES:
        a, b = oracle.operand(rng, (m, k), name), oracle.operand(rng, (k, n), name)
        zeros = [np.array((low + high) // 2 + shift, name) for shift in (3, -4, 9)]
        scales = [np.array(s, np.float32) for s in (0.013, 0.027, 0.048 * np.sqrt(k))]
        found = qk.qmatmul(
            a,
            b,
            a_scale=scales[0],
            b_scale=scales[1],
            a_zero_point=int(zeros[0]),
            b_zero_point=int(zeros[1]),
            dtype=name,
            out_scale=scales[2],
            out_zero_point=int(zeros[2]),
        )
        real = oracle.product(a, b, zeros[0], zeros[1]).astype(np.float64)
        real *= np.float64(scales[0]) * np.float64(scales[1]) / np.float64(scales[2])
        untied = np.abs(real - np.floor(real) - 0.5) > 1e-3
        assert untied.mean() > 0.95
        assert ((found > low) & (found < high)).any()
        feeds = dict(zip(inputs, (a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2]), strict=True))
        for peer in peers:
            np.testing.assert_array_equal(found[untied], peer(feeds)[untied])


def test_dynamic_quantize_linear_then_matmul_integer(isa):
    """The dynamic linear layer of ONNX, put together from our parts."""
    rng = np.random.default_rng(2)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("MatMulInteger", ["q", "b", "z"], ["y"]),
    ]
    x_info = helper.make_tensor_value_info("x", TYPES["float32"], None)
    b_info = helper.make_tensor_value_info("b", TYPES["int8"], None)
    y_info = helper.make_tensor_value_info("y", TYPES["int32"], None)
    graph = helper.make_graph(nodes, "peer", [x_info, b_info], [y_info])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for m, n, k in SHAPES:
        x, b = rng.normal(size=(m, k)).astype(np.float32), oracle.operand(rng, (k, n), "int8")
        p = qk.choose_params(x, "uint8", symmetric=False, rule="onnx_dynamic")
        found = qk.matmul(p.quantize(x), qk.pack(b), a_zero_point=p.zero_point)
        some.assert_same(found, session.run(None, {"x": x, "b": b})[0])
