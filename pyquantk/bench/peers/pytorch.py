"""torch on the CPU: its quantized tensors and fake quantization, with and without a result to write into."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..row import Call

__all__ = [
    "NAME",
    "SHORT",
    "aminmax",
    "dequantize",
    "fake_quantize",
    "fake_quantize_with_mask",
    "float_linear",
    "int_mm",
    "linear",
    "quantize",
    "quantize_blocks",
    "quantize_mx",
    "scaled_mm",
    "set_threads",
    "tensor_of",
]

NAME, SHORT = "torch", "torch"


def set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def tensor_of(array: Any) -> Any:
    """A tensor of the same memory, of types that NumPy does not know too."""
    import torch

    if array.dtype.kind == "f":
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(f"i{array.itemsize}")).view(getattr(torch, array.dtype.name))


def quantize_blocks(case: Any, threads: int) -> Sequence[Call]:
    """What one writes: PyTorch has no such function for CPUs."""
    import torch

    x = tensor_of(case.x)
    rows, columns = (min(b, n) for b, n in zip(case.block, x.shape, strict=True))
    blocks = x.view(x.shape[0] // rows, rows, x.shape[1] // columns, columns)

    def call() -> Any:
        scale = blocks.abs().amax((1, 3), keepdim=True).float() / 448.0
        return (blocks / scale).to(torch.float8_e4m3fn), scale

    return [call]


def quantize_mx(case: Any, threads: int) -> Sequence[Call]:
    """torchao's functions, which run on PyTorch's threads and allocate what they return."""
    import torch

    x = tensor_of(case.x)
    if case.format == "nvfp4":
        from torchao.prototype.mx_formats.nvfp4_tensor import nvfp4_quantize

        one = torch.tensor(1.0)
        return [lambda: nvfp4_quantize(x, 16, one)]
    from torchao.prototype.mx_formats import config, mx_tensor

    element = torch.float8_e4m3fn if case.format == "mxfp8_e4m3" else torch.float4_e2m1fn_x2
    how = config.ScaleCalculationMode("floor")
    return [lambda: mx_tensor.to_mx(x, element, 32, how)]


def _tensor(array: Any) -> Any:
    import torch

    return torch.from_numpy(array)


def _quantized(x: Any, case: Any) -> Any:
    """The call that quantizes x, and its result."""
    import torch

    dtype = {"int8": torch.qint8, "uint8": torch.quint8}[case.dtype]
    if case.axis is None:
        scale, zero_point = float(case.scale), int(case.zero_point or 0)

        def call() -> Any:
            return torch.quantize_per_tensor(x, scale, zero_point, dtype)
    else:
        scales = torch.from_numpy(np.asarray(case.scale, np.float64))
        zeros = torch.zeros(scales.shape, dtype=torch.int64)

        def call() -> Any:
            return torch.quantize_per_channel(x, scales, zeros, case.axis, dtype)

    with warnings.catch_warnings():  # it says once that quantized tensors will go
        warnings.simplefilter("ignore")
        return call, call()


def quantize(case: Any, threads: int) -> Sequence[Call]:
    import torch

    x = _tensor(case.x)
    call, result = _quantized(x, case)
    if case.axis is not None:
        return [call]
    into = torch.ops.aten.quantize_per_tensor.out
    scale, zero_point, dtype = float(case.scale), int(case.zero_point or 0), result.dtype
    return [call, lambda: into(x, scale, zero_point, dtype, out=result)]


def dequantize(case: Any, threads: int) -> Sequence[Call]:
    import torch

    out = torch.zeros(case.out.shape)
    _, q = _quantized(out, case)
    into = torch.ops.aten.dequantize.self_out
    return [q.dequantize, lambda: into(q, out=out)]


def fake_quantize(case: Any, threads: int) -> Sequence[Call]:
    import torch

    x, scale = _tensor(case.x), float(case.scale)
    return [lambda: torch.fake_quantize_per_tensor_affine(x, scale, 0, -128, 127)]


def fake_quantize_with_mask(case: Any, threads: int) -> Sequence[Call]:
    import torch

    x, scale = _tensor(case.x), float(case.scale)
    y, mask = torch.zeros_like(x), torch.zeros(x.shape, dtype=torch.bool)
    both = torch.ops.aten.fake_quantize_per_tensor_affine_cachemask
    return [
        lambda: both.default(x, scale, 0, -128, 127),
        lambda: both.out(x, scale, 0, -128, 127, out0=y, out1=mask),
    ]


def aminmax(case: Any, threads: int) -> Sequence[Call]:
    import torch

    x, out = _tensor(case.x), (torch.empty(()), torch.empty(()))
    return [lambda: torch.aminmax(x, out=out)]


def int_mm(case: Any, threads: int) -> Sequence[Call]:
    import torch

    a, b, out = _tensor(case.x), _tensor(case.b), torch.zeros(case.out.shape, dtype=torch.int32)
    turned = b.t().contiguous().t()  # as weights lie
    return [lambda: torch._int_mm(a, b, out=out), lambda: torch._int_mm(a, turned, out=out)]


def linear(case: Any, threads: int) -> Sequence[Call]:
    """The dynamic linear layer of torch.ao: the range of all of x, which it quantizes to uint8."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        k, n = case.b.shape
        dense = torch.nn.Linear(k, n)
        with torch.no_grad():
            dense.weight.copy_(_tensor(case.b).t())
            dense.bias.fill_(1.0)
        layer = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(dense), {torch.nn.Linear})[0]
    x = _tensor(case.x)
    return [lambda: layer(x)]


def scaled_mm(case: Any, threads: int) -> Sequence[Call]:
    """The product of float8 matrices with a scale each; it wants b by columns, and one scale for each column of b."""
    import torch

    m, n = case.out.shape
    x = _tensor(case.x.view(np.uint8)).view(torch.float8_e4m3fn)
    b = _tensor(np.ascontiguousarray(case.b.view(np.uint8).T)).view(torch.float8_e4m3fn).t()
    a_scale, b_scale = torch.full((m, 1), 0.5), _tensor(case.scale).reshape(1, n)
    one = torch.ones(())
    return [
        lambda: torch._scaled_mm(x, b, scale_a=a_scale, scale_b=b_scale, out_dtype=torch.float32),
        lambda: torch._scaled_mm(x, b, scale_a=one, scale_b=one, out_dtype=torch.float32),
    ]


def float_linear(case: Any, threads: int) -> Sequence[Call]:
    """The linear layer with a weight of the same shape and x, both bfloat16, and both float32."""
    import torch

    x, weight = _tensor(case.x), _tensor(np.ascontiguousarray(case.b.astype(np.float32).T))
    short_x, short_weight = x.to(torch.bfloat16), weight.to(torch.bfloat16)
    return [
        lambda: torch.nn.functional.linear(short_x, short_weight),
        lambda: torch.nn.functional.linear(x, weight),
    ]
