"""torch's integer matrix product."""

from __future__ import annotations

import gemm_oracle as oracle
import numpy as np
import pytest
import strategies as some

import pyquantk as qk

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("kind", oracle.KINDS)
def test_int_mm(isa, kind):
    rng = np.random.default_rng(0)
    for m, n, k in [(17, 8, 8), (32, 64, 128), (40, 72, 1024), (128, 96, 256)]:
        a, b = oracle.operand(rng, (m, k), "int8", kind), oracle.operand(rng, (k, n), "int8")
        some.assert_same(qk.matmul(a, b), torch._int_mm(torch.from_numpy(a), torch.from_numpy(b)).numpy())


def test_tensors_go_in(isa):
    a = torch.arange(-12, 12, dtype=torch.int8).reshape(4, 6)
    b = torch.arange(0, 30, dtype=torch.uint8).reshape(6, 5)
    some.assert_same(qk.matmul(a, b), oracle.product(a.numpy(), b.numpy()))
    weight = torch.randn(5, 6, dtype=torch.float32)
    layer = qk.QuantizedLinear(weight, torch.ones(5))
    x = torch.randn(3, 6)
    some.assert_same(layer(x), layer(x.numpy()))
    some.assert_same(
        layer(x.to(torch.bfloat16)), layer(x.to(torch.bfloat16).to(torch.float32).numpy()).astype("bfloat16")
    )
