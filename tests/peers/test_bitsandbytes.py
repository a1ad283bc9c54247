"""bitsandbytes: rows of LLM.int8 on the CPU."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import pyquantk as qk

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")

from . import inputs

OPS = torch.ops.bitsandbytes


def matrices(rng, scale_kind):
    """Matrices of every kind; in those around ties 127 * step is the greatest magnitude of each row."""
    for shape in ((37, 67), (5, 256), (64, 1), (3, 1031)):
        steps = inputs.scales(rng, scale_kind, (shape[0], 1))
        if scale_kind == "large":
            steps = steps / np.float32(64)  # 127 * step is a float32
        for kind in inputs.FINITE:
            x = inputs.values(rng, kind, np.broadcast_to(steps, shape), 126)
            if kind in ("near", "tie"):
                x[:, :1] = np.float32(127) * steps
            yield x


@pytest.mark.parametrize("scale_kind", inputs.SCALES)
def test_int8_vectorwise_quant(isa, scale_kind):
    rng = inputs.generator("bitsandbytes", scale_kind)
    for x in matrices(rng, scale_kind):
        theirs, absmax, _ = OPS.int8_vectorwise_quant(torch.from_numpy(x.copy()))
        inputs.same_bits(qk.observe(x, axis=0).absmax, absmax.numpy())
        ours = qk.quantize(x, absmax, axis=0, convention="bitsandbytes")
        np.testing.assert_array_equal(ours, theirs.numpy())


def test_zero_rows(isa):
    x = np.zeros((3, 65), np.float32)
    x[1] = np.linspace(-2, 2, 65)
    theirs, absmax, _ = OPS.int8_vectorwise_quant(torch.from_numpy(x))
    ours = qk.quantize(x, absmax, axis=0, convention="bitsandbytes")
    np.testing.assert_array_equal(ours, theirs.numpy())
    assert not ours[::2].any()
    assert ours[1].any()


def test_outliers_are_zeroed_first(isa):
    """Columns of outliers are the caller's business: what is left is quantized as any matrix."""
    rng = inputs.generator("bitsandbytes outliers")
    x = rng.standard_normal((37, 67)).astype(np.float32)
    x[5, 11], x[30, 40] = 9, -12
    theirs, absmax, columns = OPS.int8_vectorwise_quant(torch.from_numpy(x.copy()), 6.0)
    kept = np.where(abs(x) >= 6, np.float32(0), x)
    ours = qk.quantize(kept, absmax, axis=0, convention="bitsandbytes")
    ours[:, columns.numpy()] = 0
    np.testing.assert_array_equal(ours, theirs.numpy())
    assert sorted(columns.tolist()) == [11, 40]
