"""quantize and dequantize with float types of 8 bits and fewer: a float32 quotient or product, rounded once more."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import oracle
import pytest
import strategies as some
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk
from pyquantk.dtypes import ELEMENT_BITS, QUANTIZED_FLOATS

NAMES = [d.name for d in QUANTIZED_FLOATS]
PACKED = [d.name for d in QUANTIZED_FLOATS if d in ELEMENT_BITS]
names = st.sampled_from(NAMES)


def greatest(dtype):
    values = np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)
    return values[np.isfinite(values)].max()


def quotient(x, scale, dtype):
    """What quantize must return; ml_dtypes rounds, and has no saturation."""
    with np.errstate(all="ignore"):
        y = (x.astype(np.float32) / scale).astype(np.float32)
        y = np.clip(y, -greatest(dtype), greatest(dtype))
        return np.where(np.isnan(y), np.float32(np.nan), y).astype(dtype)


def product(q, scale, name):
    """What dequantize must return, NaNs without sign and payload."""
    with np.errstate(all="ignore"):
        y = (q.astype(np.float32) * scale).astype(np.float32)
        y = np.where(np.isnan(y), np.float32(np.nan), y)
        return y.astype(oracle.dtype(name))


def pack(codes, bits):
    """Elements along the last axis as a bit string, the first lowest, rows filled up with zeros."""
    each = (codes[..., None] >> np.arange(bits)) & 1
    return np.packbits(
        each.reshape(*codes.shape[:-1], codes.shape[-1] * bits).astype(np.uint8), axis=-1, bitorder="little"
    )


@given(st.data(), names, some.layers)
def test_quantize(data, name, layer):
    case = data.draw(some.cases(specials=True))
    dtype = oracle.dtype(name)
    with qk.cpu.use(layer):
        q = qk.quantize(case.x, case.scale_given, dtype=name, **case.grain.keywords)
    some.assert_same(q, quotient(case.x, case.scale, dtype))


@pytest.mark.parametrize("name", NAMES)
def test_beside_halfway_points(name, isa):
    """Where a quotient that is off by a unit in the last place rounds to another code; a row for each scale."""
    dtype = oracle.dtype(name)
    codes = np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)
    values = np.unique(codes[np.isfinite(codes)])
    halfway = ((values[1:].astype(np.float64) + values[:-1]) / 2).astype(np.float32)
    rng = np.random.default_rng(12)
    scale = np.concatenate(
        [
            np.ldexp(rng.uniform(1, 2, 100), rng.integers(-80, 80, 100)),
            np.ldexp(1.0, np.array([-149, -140, -81, -80, -3, 0, 7, 80, 81, 127])),
            1 + np.arange(-9, 10) * 2.0**-23 + 2.0**-6,  # next to where the product is not trusted
            rng.uniform(-2, 2, 5),
        ]
    ).astype(np.float32)
    with np.errstate(over="ignore"):
        x = halfway * scale[:, None]
    bits = x.view(np.int32)[..., None] + np.arange(-2, 3, dtype=np.int32)
    ends = np.tile(np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], np.float32), (len(scale), 1))
    x = np.concatenate([bits.view(np.float32).reshape(len(scale), -1), ends], axis=1)
    x = np.concatenate([x] * (1 + 512 // x.shape[1]), axis=1)  # short rows are divided, whatever the scale
    q = qk.quantize(x, scale, dtype=name, axis=0)
    some.assert_same(q, quotient(x, scale[:, None], dtype))


@given(st.data(), names, some.float_names, some.layers, some.layouts)
def test_dequantize(data, name, real, layer, layout):
    shape = data.draw(some.shapes())
    grain, rng = data.draw(some.grains(shape)), data.draw(some.rngs)
    codes = rng.integers(0, 1 << ELEMENT_BITS.get(oracle.dtype(name), 8), shape, np.uint8)
    scale = some.scales(rng, grain.given, specials=True)
    q = some.arranged(rng, codes.view(oracle.dtype(name)), layout)
    with qk.cpu.use(layer):
        y = qk.dequantize(q, scale, dtype=real, **grain.keywords)
    some.assert_same(y, product(q, grain.each(scale, shape), real))


@given(st.data(), st.sampled_from(PACKED), some.layers)
def test_packed(data, name, layer):
    shape = data.draw(some.shapes(least=1))
    rng, dtype = data.draw(some.rngs), oracle.dtype(name)
    bits = ELEMENT_BITS[dtype]
    size = data.draw(st.sampled_from([4, 32, 10**6]))
    x = some.values(rng, shape, "float32", 0.01)
    counts = (*shape[:-1], -(-shape[-1] // min(size, max(shape[-1], 1))))
    scale = some.scales(rng, counts)
    each = np.take(scale, np.arange(shape[-1]) // size, -1) if x.size else np.zeros(shape, np.float32)
    with qk.cpu.use(layer):
        q = qk.quantize(x, scale, dtype=name, block_size=size, packed=True)
        back = qk.dequantize(q, scale, packed=name, shape=shape, block_size=size)
    expected = quotient(x, each, dtype)
    np.testing.assert_array_equal(q, pack(expected.view(np.uint8), bits))
    some.assert_same(back, product(expected, each, "float32"))


@pytest.mark.parametrize("name", NAMES)
def test_every_code_survives(isa, name):
    dtype = oracle.dtype(name)
    codes = np.arange(1 << ELEMENT_BITS.get(dtype, 8), dtype=np.uint8)
    real = qk.dequantize(codes.view(dtype), 2.0**-3)
    kept = ~np.isnan(real) & np.isfinite(real)
    assert kept.sum() >= 7 * codes.size // 8
    np.testing.assert_array_equal(qk.quantize(real, 2.0**-3, dtype=name).view(np.uint8)[kept], codes[kept])


@pytest.mark.parametrize("scale_name", ["float8_e8m0fnu", "float8_e4m3fn", "float16", "bfloat16"])
def test_scales_of_few_bits(scale_name):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(6, 96)).astype(np.float32)
    scale = np.exp2(rng.integers(-4, 4, (6, 3))).astype(oracle.dtype(scale_name))
    wide = scale.astype(np.float32)
    q = qk.quantize(x, scale, dtype="float8_e5m2", block_size=32)
    some.assert_same(q, qk.quantize(x, wide, dtype="float8_e5m2", block_size=32))
    y = qk.dequantize(q, scale, block_size=32)
    some.assert_same(y, qk.dequantize(q, wide, block_size=32))


def test_weights_in_blocks_of_two_dimensions():
    rng = np.random.default_rng(4)
    w = rng.normal(size=(300, 260)).astype(ml_dtypes.bfloat16)
    scale = rng.uniform(0.001, 0.002, (3, 3)).astype(np.float32)
    each = np.repeat(np.repeat(scale, 128, 0), 128, 1)[:300, :260]
    q = qk.quantize(w, scale, dtype="float8_e4m3fn", axis=(0, 1), block_size=(128, 128))
    some.assert_same(q, quotient(w, each, q.dtype))
    some.assert_same(qk.dequantize(q, scale, axis=(0, 1), block_size=(128, 128)), product(q, each, "float32"))


def test_threads_and_streaming():
    """More than the last-level cache, on any number of threads."""
    x = np.tile(np.linspace(-3, 3, 4096, dtype=np.float32), (2500, 1))
    scale = np.linspace(0.001, 0.01, 2500, dtype=np.float32)
    results = []
    for threads in (1, 3):
        with qk.thread_limit(threads):
            results.append(qk.quantize(x, scale, dtype="float8_e4m3fn", axis=0))
    expected = quotient(x, scale[:, None], results[0].dtype)
    for q in results:
        some.assert_same(q, expected)


def test_out():
    x = np.linspace(-4, 4, 50, dtype=np.float32)
    out = np.zeros(100, ml_dtypes.float8_e4m3fn)[::2]
    assert qk.quantize(x, 0.5, dtype="float8_e4m3fn", out=out) is out
    some.assert_same(np.ascontiguousarray(out), qk.quantize(x, 0.5, dtype="float8_e4m3fn"))
    real = np.zeros(50, np.float16)
    assert qk.dequantize(out, 0.5, dtype="float16", out=real) is real


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (r"zero_point must be in \[0, 0\], not 3", lambda x: qk.quantize(x, 1.0, 3, dtype="float8_e4m3fn")),
        (
            "convention must be 'onnx' where dtype is float8_e5m2, not 'torch'",
            lambda x: qk.quantize(x, 1.0, dtype="float8_e5m2", convention="torch"),
        ),
        (
            "block_size must be a multiple of 4 along a packed axis, not 6",
            lambda x: qk.quantize(x, np.ones(2), dtype="float6_e2m3fn", block_size=6, packed=True),
        ),
        (
            r"zero_point must be in \[0, 0\], not 1",
            lambda x: qk.dequantize(x.astype(ml_dtypes.float8_e4m3fn), 1.0, 1),
        ),
    ],
)
def test_errors(message, call):
    with pytest.raises(ValueError, match=message):
        call(np.ones(8, np.float32) if "packed" not in message else np.ones(12, np.float32))
