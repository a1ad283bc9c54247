"""torch's product of float8 matrices, and its linear layer of dequantized weights: sums in another order."""

from __future__ import annotations

import float_product_oracle as oracle
import numpy as np
import pytest

import pyquantk as qk

torch = pytest.importorskip("torch")

TYPES = {
    "float8_e4m3fn": "float8_e4m3fn",
    "float8_e5m2": "float8_e5m2",
}


def error_bound(a, b, scale):
    """What k roundings of float32 can do to each of two sums, and three more to what follows them."""
    a, b = np.abs(a.astype(np.float64)), np.abs(b.astype(np.float64))
    return 2 * (a.shape[1] + 3) * 2.0**-24 * (a @ b) * np.abs(scale)


@pytest.mark.parametrize("a_name", TYPES)
@pytest.mark.parametrize("by_row", [False, True])
def test_scaled_mm(isa, a_name, by_row):
    rng = np.random.default_rng(1)
    for m, n, k in [(16, 16, 16), (33, 48, 128), (17, 64, 1024)]:
        a, b = oracle.codes(rng, (m, k), a_name), oracle.codes(rng, (k, n), "float8_e4m3fn")
        a_scale = np.exp2(rng.normal(size=(m, 1) if by_row else (1, 1))).astype(np.float32)
        b_scale = np.exp2(rng.normal(size=(1, n) if by_row else (1, 1))).astype(np.float32)
        left = torch.from_numpy(a.view(np.uint8)).view(getattr(torch, TYPES[a_name]))
        right = torch.from_numpy(np.ascontiguousarray(b.view(np.uint8).T)).view(torch.float8_e4m3fn).t()
        scales = [torch.from_numpy(s) if by_row else torch.tensor(float(s[0, 0])) for s in (a_scale, b_scale)]
        theirs = torch._scaled_mm(left, right, scale_a=scales[0], scale_b=scales[1], out_dtype=torch.float32).numpy()
        ours = qk.qmatmul(
            a, b, a_scale=a_scale[:, 0] if by_row else a_scale[0, 0], b_scale=b_scale[0] if by_row else b_scale[0, 0]
        )
        scale = a_scale.astype(np.float64) * b_scale.astype(np.float64)
        exact = (a.astype(np.float64) @ b.astype(np.float64)) * scale
        bound = error_bound(a, b, scale)
        assert (np.abs(ours - exact) <= bound / 2).all()
        assert (np.abs(ours.astype(np.float64) - theirs) <= bound).all()


@pytest.mark.parametrize("weight_dtype", ["int8", "int4", "float8_e4m3fn"])
def test_weight_only_is_a_linear_of_the_dequantized_weight(isa, weight_dtype):
    rng = np.random.default_rng(2)
    weight, x = rng.normal(size=(40, 256)).astype(np.float32), rng.normal(size=(9, 256)).astype(np.float32)
    bias = rng.normal(size=40).astype(np.float32)
    layer = qk.QuantizedLinear(weight, bias, weight_dtype=weight_dtype, group_size=64, activation_dtype=None)
    codes = layer.weight.unpack().T.astype(np.float32).reshape(40, 4, 64)
    real = (codes * layer.weight_scale[:, :, None]).reshape(40, 256)
    theirs = torch.nn.functional.linear(*(torch.from_numpy(t) for t in (x, real, bias))).numpy()
    bound = error_bound(x, real.T, 1) + 2.0**-23 * np.abs(bias)
    assert (np.abs(layer(x).astype(np.float64) - theirs) <= bound).all()
    tensor = torch.from_numpy(x)
    np.testing.assert_array_equal(layer(tensor), layer(x))
