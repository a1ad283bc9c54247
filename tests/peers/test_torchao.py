"""torchao: `choose_qparams_affine` and `quantize_affine`."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import pyquantk as qk

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="torch is not installed")
    primitives = pytest.importorskip("torchao.quantization.quant_primitives", reason="torchao is not installed")

from . import inputs

LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int4": (-8, 7), "uint4": (0, 15)}
HELD = {"int8": torch.int8, "uint8": torch.uint8, "int4": torch.int8, "uint4": torch.uint8}

# shape, axis and block size of pyquantk, block of torchao
BLOCKS = [
    ((1031,), None, None, (1031,)),
    ((37, 67), 0, None, (1, 67)),
    ((5, 13, 41), 1, None, (5, 1, 41)),
    ((9, 96), 1, 32, (1, 32)),
    ((96, 9), 0, 16, (16, 1)),
    ((12, 40), (0, 1), (4, 8), (4, 8)),
]


def tensor(a):
    return torch.from_numpy(np.array(a))


@pytest.mark.parametrize("block", BLOCKS, ids=repr)
@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("rule", ["SYMMETRIC", "SYMMETRIC_NO_CLIPPING_ERR", "ASYMMETRIC"])
def test_choose_qparams_affine(isa, rule, name, block):
    if rule == "SYMMETRIC_NO_CLIPPING_ERR" and LIMITS[name][0] == 0:
        pytest.skip("torchao divides by quant_min, which is 0 here")
    shape, axis, block_size, their_block = block
    rng = inputs.generator("torchao", rule, name, block)
    low, high = LIMITS[name]
    for size in (1.0, 2.0**-20, 2.0**-110, 2.0**-140, 2.0**110, 0.0):
        for shift in (-3.0, -0.1, 0.0, 0.1, 3.0):
            x = ((rng.standard_normal(shape) + shift) * size).astype(np.float32)
            scale, z = primitives.choose_qparams_affine(
                tensor(x), primitives.MappingType[rule], their_block, HELD[name], low, high
            )
            p = qk.choose_params(
                x,
                name,
                symmetric=rule != "ASYMMETRIC",
                axis=axis,
                block_size=block_size,
                rule="torchao_no_clipping" if "NO_CLIPPING" in rule else "torchao",
            )
            inputs.same_bits(p.scale.reshape(-1), scale.numpy().reshape(-1))
            points = np.zeros(p.scale.shape, np.int32) if p.zero_point is None else p.zero_point.astype(np.int32)
            np.testing.assert_array_equal(points.reshape(-1), z.numpy().reshape(-1))


@pytest.mark.parametrize("scale_kind", inputs.SCALES)
@pytest.mark.parametrize("block", BLOCKS, ids=repr)
@pytest.mark.parametrize("name", LIMITS)
def test_quantize_affine(isa, name, block, scale_kind):
    """For float32 its formula is fake quantization's at every granularity: the zero point is added after rounding."""
    shape, axis, block_size, their_block = block
    rng = inputs.generator("torchao quantize", name, block, scale_kind)
    grain = tuple(n // b for n, b in zip(shape, their_block, strict=True))
    low, high = LIMITS[name]
    for kind in inputs.KINDS:
        scale, z = inputs.scales(rng, scale_kind, grain), inputs.zero_points(rng, low, high, grain)
        step = scale
        for a, b in enumerate(their_block):
            step = np.repeat(step, b, a)
        x = inputs.values(rng, kind, step, (high - low) * 5 // 4)
        parameters = tensor(scale), tensor(z), HELD[name], low, high
        theirs = primitives.quantize_affine(tensor(x), their_block, *parameters).numpy()
        ours_scale = scale.reshape(-1) if block_size is None else scale
        ours_z = z.reshape(-1) if block_size is None else z
        if axis is None:
            ours_scale, ours_z = ours_scale[0], ours_z[0]
        options = {"axis": axis, "block_size": block_size}
        ours = qk.quantize(x, ours_scale, ours_z, dtype=name, convention="torch_fake_quantize", **options)
        inputs.check(ours.astype(theirs.dtype), theirs, x, step, (low, high), defined=~np.isnan(x))
        back = primitives.dequantize_affine(tensor(theirs), their_block, *parameters).numpy()
        inputs.same_bits(qk.dequantize(theirs.astype(ours.dtype), ours_scale, ours_z, **options), back)
