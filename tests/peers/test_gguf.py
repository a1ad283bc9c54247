"""gguf, the Python package of llama.cpp: blocks of Q8_0."""

from __future__ import annotations

import numpy as np
import pytest

import pyquantk as qk

gguf = pytest.importorskip("gguf", reason="gguf is not installed")

from . import inputs  # noqa: E402

BLOCK = 32
Q8_0 = gguf.GGMLQuantizationType.Q8_0


def blocks_of(x):
    """Scales (float16) and integers of what gguf writes for float32 `x`."""
    raw = gguf.quants.quantize(x, Q8_0).reshape(*x.shape[:-1], -1, 2 + BLOCK)
    scales = np.ascontiguousarray(raw[..., :2]).view(np.float16)[..., 0]
    return scales, np.ascontiguousarray(raw[..., 2:]).view(np.int8).reshape(x.shape)


def rows(rng, kind):
    """Rows of every kind; around ties each block's greatest magnitude is 127 * d, so that d is its step."""
    d = inputs.scales(rng, kind, (64, 9))
    if kind == "large":
        d = d / np.float32(64)  # 127 * d is a float32
    step = np.repeat(d, BLOCK, -1)
    for values in inputs.FINITE:
        x = inputs.values(rng, values, step, 126)
        if values in ("near", "tie"):
            x[:, ::BLOCK] = np.float32(127) * d * rng.choice([-1, 1], d.shape).astype(np.float32)
        yield x
    zeros = np.zeros(step.shape, np.float32)
    zeros[::2] = -0.0
    yield zeros


@pytest.mark.parametrize("kind", inputs.SCALES)
def test_q8_0(isa, kind):
    rng = inputs.generator("gguf", kind)
    for x in rows(rng, kind):
        with np.errstate(all="ignore"):
            their_scale, theirs = blocks_of(x)
        d = qk.observe(x, axis=-1, block_size=BLOCK).absmax / np.float32(127)
        ours = qk.quantize(x, d, axis=-1, block_size=BLOCK, convention="ggml")
        np.testing.assert_array_equal(ours, theirs)
        with np.errstate(over="ignore", under="ignore"):
            inputs.same_bits(d.astype(np.float16), their_scale)


def test_q8_0_back(isa):
    rng = inputs.generator("gguf back")
    q = rng.integers(-128, 128, (64, 9 * BLOCK), np.int8)
    d = inputs.scales(rng, "random", (64, 9), inputs.F16)
    raw = np.concatenate([d[..., None].view(np.uint8), q.reshape(64, 9, BLOCK).view(np.uint8)], -1)
    theirs = gguf.quants.dequantize(raw.reshape(64, -1), Q8_0)
    inputs.same_bits(qk.dequantize(q, d, axis=-1, block_size=BLOCK), theirs)
