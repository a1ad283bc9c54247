"""One-node ONNX models, for whoever runs them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from onnx import TensorProto, helper

OPSET = 25
IR_VERSION = 11

_TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "int2": TensorProto.INT2,
    "uint2": TensorProto.UINT2,
    "int4": TensorProto.INT4,
    "uint4": TensorProto.UINT4,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int16": TensorProto.INT16,
    "uint16": TensorProto.UINT16,
    "int32": TensorProto.INT32,
}


def carrier(name: str) -> np.dtype[Any]:
    """The NumPy dtype in which integers of a type enter and leave a model: types below 8 bits cannot by themselves."""
    return np.dtype({"int2": "int8", "int4": "int8", "uint2": "uint8", "uint4": "uint8"}.get(name, name))


def real(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name, name))


def quantize_linear(x: str, scale: str, q: str, **attributes: Any) -> bytes:
    """A serialized model (x, scale, zero_point) -> y, integers in their `carrier`."""
    nodes = [
        helper.make_node("Cast", ["z"], ["zero_point"], to=_TYPES[q]),
        helper.make_node("QuantizeLinear", ["x", "scale", "zero_point"], ["q"], **attributes),
        helper.make_node("Cast", ["q"], ["y"], to=_TYPES[carrier(q).name]),
    ]
    return _model(nodes, {"x": x, "scale": scale, "z": carrier(q).name}, {"y": carrier(q).name})


def dequantize_linear(q: str, scale: str, *, zero_point: bool = True, **attributes: Any) -> bytes:
    """A serialized model (q, scale, zero_point) -> y of the type of the scale, or without zero_point."""
    nodes = [helper.make_node("Cast", ["q"], ["x"], to=_TYPES[q])]
    inputs = {"q": carrier(q).name, "scale": scale}
    names = ["x", "scale"]
    if zero_point:
        nodes.append(helper.make_node("Cast", ["z"], ["zero_point"], to=_TYPES[q]))
        inputs["z"] = carrier(q).name
        names.append("zero_point")
    nodes.append(helper.make_node("DequantizeLinear", names, ["y"], **attributes))
    return _model(nodes, inputs, {"y": scale})


def dynamic_quantize_linear() -> bytes:
    """A serialized model x -> (y, scale, zero_point)."""
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "z"])]
    return _model(nodes, {"x": "float32"}, {"y": "uint8", "scale": "float32", "z": "uint8"})


def _model(nodes: list[Any], inputs: dict[str, str], outputs: dict[str, str]) -> bytes:
    def infos(types: dict[str, str]) -> list[Any]:
        return [helper.make_tensor_value_info(name, _TYPES[t], None) for name, t in types.items()]

    graph = helper.make_graph(nodes, "peer", infos(inputs), infos(outputs))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())
