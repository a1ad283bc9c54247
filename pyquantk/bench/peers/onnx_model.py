"""One-node ONNX models in their serialized form, so that comparing with onnxruntime does not need the onnx package.

Protocol buffers in two rules: a field is (number << 3 | wire type) as a varint, then a varint (type 0) or a length
and bytes (type 2). Field numbers are those of onnx.proto, ModelProto and below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["BFLOAT16", "FLOAT", "FLOAT16", "INT4", "INT8", "INT32", "UINT8", "Tensor", "one_node_model"]

# TensorProto.DataType
FLOAT, UINT8, INT8, INT32, FLOAT16, BFLOAT16, INT4 = 1, 2, 3, 6, 10, 16, 22


@dataclass(frozen=True)
class Tensor:
    """A named tensor; with `data` (raw little-endian bytes) a constant."""

    name: str
    type: int
    shape: tuple[int, ...]
    data: bytes | None = None


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value & (1 << 64) - 1)
    value = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _value_info(tensor: Tensor) -> bytes:
    dims = b"".join(_field(1, _field(1, n)) for n in tensor.shape)
    return _field(1, tensor.name) + _field(2, _field(1, _field(1, tensor.type) + _field(2, dims)))


def _initializer(tensor: Tensor) -> bytes:
    dims = b"".join(_field(1, n) for n in tensor.shape)
    return dims + _field(2, tensor.type) + _field(8, tensor.name) + _field(9, tensor.data or b"")


def one_node_model(
    operator: str,
    inputs: Sequence[Tensor],
    output: Tensor,
    attributes: Mapping[str, int],
    *,
    opset: int,
    domain: str = "",
) -> bytes:
    """A model that is `operator` on `inputs`; those with data are constants. Attributes are integers.

    `domain`: of an operator that is not ONNX's own, whose version is then 1.
    """
    node = b"".join(_field(1, tensor.name) for tensor in inputs) + _field(2, output.name) + _field(4, operator)
    for name, value in attributes.items():
        node += _field(5, _field(1, name) + _field(3, value) + _field(20, 2))  # 2: AttributeProto.INT
    if domain:
        node += _field(7, domain)
    graph = _field(1, node) + _field(2, "row")
    graph += b"".join(_field(5, _initializer(tensor)) for tensor in inputs if tensor.data is not None)
    graph += b"".join(_field(11, _value_info(tensor)) for tensor in inputs if tensor.data is None)
    graph += _field(12, _value_info(output))
    opsets = _field(8, _field(2, opset))
    if domain:
        opsets += _field(8, _field(1, domain) + _field(2, 1))
    return _field(1, 10) + _field(7, graph) + opsets  # 1: IR version
