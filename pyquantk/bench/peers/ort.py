"""onnxruntime: its quantizing and multiplying operators, bound to arrays that exist before the clock starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..row import Call, Unsupported
from .onnx_model import BFLOAT16, FLOAT, FLOAT16, INT4, INT8, INT32, UINT8, Tensor, one_node_model

__all__ = ["NAME", "SHORT", "dequantize", "linear", "matmul_integer", "quantize", "set_threads"]

NAME, SHORT = "onnxruntime", "ort"
_TYPES = {"float32": FLOAT, "float16": FLOAT16, "bfloat16": BFLOAT16, "int8": INT8, "uint8": UINT8, "int4": INT4}
_OPSET = 21  # blocks and 4 bits


def set_threads(threads: int) -> None:
    """Each session has its own."""


def quantize(case: Any, threads: int) -> Sequence[Call]:
    return _bound_run("QuantizeLinear", case, threads)


def dequantize(case: Any, threads: int) -> Sequence[Call]:
    return _bound_run("DequantizeLinear", case, threads)


def _bound_run(operator: str, case: Any, threads: int) -> Sequence[Call]:
    import onnxruntime as ort

    quantizes = operator == "QuantizeLinear"
    real, integer = (case.x.dtype.name, case.dtype) if quantizes else (case.out.dtype.name, case.x.dtype.name)
    shape = case.x.shape
    scale = np.asarray(case.scale, case.x.dtype if quantizes else case.out.dtype)
    zeros = np.full(scale.shape, case.zero_point or 0, np.int8 if integer == "int4" else integer)
    data = bytes((scale.size + 1) // 2) if integer == "int4" else zeros.tobytes()
    inputs = [
        Tensor("x", _TYPES[real if quantizes else integer], shape),
        Tensor("scale", _TYPES[real], scale.shape, scale.tobytes()),
        Tensor("zero_point", _TYPES[integer], scale.shape, data),
    ]
    output = Tensor("y", _TYPES[integer if quantizes else real], shape)
    attributes = {} if case.axis is None else {"axis": case.axis}
    if case.block_size is not None:
        attributes["block_size"] = case.block_size

    model = one_node_model(operator, inputs, output, attributes, opset=_OPSET)
    session = _session(model, threads)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(case.x))
    if integer == "int4" and quantizes:
        target = ort.OrtValue.ortvalue_from_shape_and_type(list(shape), INT4)
    else:
        target = ort.OrtValue.ortvalue_from_numpy(np.zeros_like(case.out))
    binding.bind_ortvalue_output("y", target)
    return [lambda: session.run_with_iobinding(binding)]


def matmul_integer(case: Any, threads: int) -> Sequence[Call]:
    (m, k), n = case.x.shape, case.b.shape[1]
    inputs = [
        Tensor("a", UINT8 if case.x.dtype == "uint8" else INT8, (m, k)),
        Tensor("b", INT8, (k, n), case.b.tobytes()),
    ]
    model = one_node_model("MatMulInteger", inputs, Tensor("y", INT32, (m, n)), {}, opset=_OPSET)
    return _into_own_result(_session(model, threads), "a", case)


def linear(case: Any, threads: int) -> Sequence[Call]:
    """DynamicQuantizeMatMul: the range of all of x, which it quantizes to uint8."""
    from pyquantk import choose_params

    (m, k), n = case.x.shape, case.b.shape[1]
    params = choose_params(case.b, "int8", axis=1)
    bias = np.ones(n, np.float32)
    inputs = [
        Tensor("x", FLOAT, (m, k)),
        Tensor("b", INT8, (k, n), params.quantize(case.b).tobytes()),
        Tensor("scale", FLOAT, (n,), params.scale.tobytes()),
        Tensor("zero_point", INT8, (n,), bytes(n)),
        Tensor("bias", FLOAT, (n,), bias.tobytes()),
    ]
    output = Tensor("y", FLOAT, (m, n))
    model = one_node_model("DynamicQuantizeMatMul", inputs, output, {}, opset=_OPSET, domain="com.microsoft")
    return _into_own_result(_session(model, threads), "x", case)


def _into_own_result(session: Any, name: str, case: Any) -> Sequence[Call]:
    import onnxruntime as ort

    binding = session.io_binding()
    binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(case.x))
    binding.bind_ortvalue_output("y", ort.OrtValue.ortvalue_from_numpy(np.zeros_like(case.out)))
    return [lambda: session.run_with_iobinding(binding)]


def _session(model: bytes, threads: int) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own exception types, one for each status code
        raise Unsupported(str(error)) from error
