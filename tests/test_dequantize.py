"""dequantize: (q - zero_point) * scale, for every type, granularity, layout and layer."""

from __future__ import annotations

import itertools

import numpy as np
import oracle
import pytest
import strategies as some
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk


@st.composite
def quantized_cases(draw, kind=None, least=0, specials=False, names=some.integer_names):
    """(q, parameters): any integers of any type, in any layout."""
    name = draw(names)
    low, high, _ = oracle.INTEGERS[name]
    case = draw(some.cases(kind, name="float32", limits=(low, high), layout="C", least=least, specials=specials))
    rng = draw(some.rngs)
    q = rng.integers(low, high + 1, case.x.shape).astype(np.int32).astype(oracle.dtype(name))
    case.x = some.arranged(rng, q, draw(some.layouts))
    return name, case


def as_integers(q):
    return q.astype(np.int32).astype(np.int64)


def dequantized(case, real, **options):
    return qk.dequantize(case.x, case.scale_given, case.zero_given, dtype=real, **case.grain.keywords, **options)


def expected(case, real):
    return oracle.dequantize(as_integers(case.x), case.scale, case.zero, real)


class TestFormula:
    @given(quantized_cases("tensor"), some.float_names, some.layers)
    def test_per_tensor(self, typed, real, layer):
        with qk.cpu.use(layer):
            some.assert_same(dequantized(typed[1], real), expected(typed[1], real))

    @given(quantized_cases("channel"), some.float_names, some.layers)
    def test_per_channel(self, typed, real, layer):
        with qk.cpu.use(layer):
            some.assert_same(dequantized(typed[1], real), expected(typed[1], real))

    @given(quantized_cases("block"), some.float_names, some.layers)
    def test_per_block(self, typed, real, layer):
        with qk.cpu.use(layer):
            some.assert_same(dequantized(typed[1], real), expected(typed[1], real))

    @given(quantized_cases("blocks"), some.float_names, some.layers)
    def test_blocks_of_more_dimensions(self, typed, real, layer):
        with qk.cpu.use(layer):
            some.assert_same(dequantized(typed[1], real), expected(typed[1], real))

    @given(quantized_cases(specials=True), some.float_names, some.layers)
    def test_any_scale(self, typed, real, layer):
        with qk.cpu.use(layer):
            some.assert_same(dequantized(typed[1], real), expected(typed[1], real))

    @given(some.rngs, some.shapes(), some.float_names, some.layers)
    def test_int32_with_any_zero_point(self, rng, shape, real, layer):
        q = rng.integers(-(2**31), 2**31, shape).astype(np.int32)
        zero = int(rng.choice([0, 1, -1, 2**31 - 1, -(2**31), 12345]))
        scale = some.scales(rng, ())
        with qk.cpu.use(layer):
            found = qk.dequantize(q, scale, zero, dtype=real)
        wide = [np.full(shape, v) for v in (scale, zero)]
        some.assert_same(found, oracle.dequantize(q.astype(np.int64), *wide, real))

    @given(quantized_cases(least=1), some.float_names, some.layers, some.out_layouts)
    def test_out_of_any_layout_and_not_a_byte_more(self, typed, real, layer, layout):
        case = typed[1]
        buffer, out = some.place(np.random.default_rng(case.x.size), case.x.shape, oracle.dtype(real), layout)
        with qk.cpu.use(layer):
            assert dequantized(case, real, out=out) is out
        some.assert_same(out, expected(case, real))
        assert some.only_within(buffer, out)

    @given(quantized_cases(names=some.narrow_names), some.layers, some.seeds)
    def test_only_the_low_bits_of_a_byte_count(self, typed, layer, seed):
        name, case = typed
        bits = oracle.INTEGERS[name][2]
        with qk.cpu.use(layer):
            clean = dequantized(case, "float32")
            dirty = np.array(case.x).view(np.uint8) & np.uint8((1 << bits) - 1)
            noise = np.random.default_rng(seed).integers(0, 256 >> bits, dirty.shape)
            case.x = np.asarray(dirty | (noise << bits).astype(np.uint8)).view(oracle.dtype(name))
            some.assert_same(dequantized(case, "float32"), clean)


def packed(q, name):
    return oracle.pack(as_integers(q), oracle.INTEGERS[name][2])


def fits(case, name):
    """May blocks of this size be packed?"""
    size, n = case.grain.block[-1], case.x.shape[-1]
    return not 1 < size < n or size * oracle.INTEGERS[name][2] % 8 == 0


class TestPacked:
    @given(quantized_cases(least=1, names=some.narrow_names), some.float_names, some.layers, some.layouts)
    def test_same_as_unpacked(self, typed, real, layer, layout):
        name, case = typed
        if case.x.size == 0:
            return
        plain, shape = expected(case, real), case.x.shape
        held = packed(case.x, name)
        ok = fits(case, name)
        case.x = some.arranged(np.random.default_rng(held.size), held, layout)
        with qk.cpu.use(layer):
            if ok:
                some.assert_same(dequantized(case, real, packed=name, shape=shape), plain)
            else:
                with pytest.raises(ValueError, match="block_size must be a multiple of"):
                    dequantized(case, real, packed=name, shape=shape)

    @given(some.rngs, some.narrow_names, st.integers(1, 4), st.integers(1, 99))
    def test_without_a_shape_every_element_counts(self, rng, name, m, n):
        held = rng.integers(0, 256, (m, n)).astype(np.uint8)
        found = qk.dequantize(held, 0.5, packed=name)
        assert found.shape == (m, n * 8 // oracle.INTEGERS[name][2])
        some.assert_same(found, qk.dequantize(held, 0.5, packed=name, shape=found.shape))
        assert np.array_equal(oracle.pack((found * 2).astype(int), oracle.INTEGERS[name][2]), held)

    @given(some.rngs, some.narrow_names, some.layers, st.integers(1, 3), st.integers(1, 70), some.conventions)
    def test_undoes_packed_quantize(self, rng, name, layer, m, n, convention):
        x = some.values(rng, (m, n), "float32")
        with qk.cpu.use(layer):
            p = qk.quantize(x, 0.5, dtype=name, packed=True, convention=convention)
            q = qk.quantize(x, 0.5, dtype=name, convention=convention)
            some.assert_same(qk.dequantize(p, 0.5, packed=name, shape=(m, n)), qk.dequantize(q, 0.5))

    def test_dtype_of_zero_point_is_the_default(self):
        zero = oracle.dtype("uint4").type(8)
        held = np.array([0x80, 0x0F], np.uint8)
        found = qk.dequantize(held, 1.0, zero, shape=(4,))
        assert found.tolist() == [-8.0, 0.0, 7.0, -8.0]


class TestMeaning:
    @given(some.rngs, some.integer_names, some.layers, st.sampled_from(["onnx", "tflite", "torch_fake_quantize"]))
    def test_half_a_step_from_the_original(self, rng, name, layer, convention):
        low, high, _ = oracle.INTEGERS[name]
        scale = float(some.scales(rng, ()))
        zero = int(rng.integers(low, high + 1))
        x = (rng.uniform(low - zero, high - zero, 200) * scale).astype(np.float32)
        with qk.cpu.use(layer):
            y = qk.dequantize(qk.quantize(x, scale, zero, dtype=name, convention=convention), scale, zero)
        # Half a step, and the float32 roundings of quotient and product: 2^-23 of the largest value each.
        slack = (high - low) * scale * 2.0**-22
        assert (np.abs(y.astype(np.float64) - x) <= scale / 2 + slack).all()

    @given(some.rngs, some.shapes(), st.sampled_from(["float16", "bfloat16"]), some.layers)
    def test_narrow_results_are_float32_rounded_once_more(self, rng, shape, real, layer):
        q, scale = rng.integers(-128, 128, shape).astype(np.int8), some.scales(rng, ())
        with qk.cpu.use(layer), np.errstate(over="ignore"):
            some.assert_same(qk.dequantize(q, scale, dtype=real), qk.dequantize(q, scale).astype(oracle.dtype(real)))

    @given(some.rngs, some.shapes(), some.layers, st.integers(-20, 20))
    def test_linear_in_powers_of_two(self, rng, shape, layer, power):
        q, scale = rng.integers(0, 256, shape).astype(np.uint8), some.scales(rng, ())
        with qk.cpu.use(layer):
            found = qk.dequantize(q, scale * np.float32(2.0**power), 7)
            some.assert_same(found, np.array(qk.dequantize(q, scale, 7) * np.float32(2.0**power)))

    @given(some.rngs, some.layers)
    def test_the_zero_point_is_exactly_zero(self, rng, layer):
        zero, scale = rng.integers(-128, 128, 50).astype(np.int8), some.scales(rng, (50,))
        with qk.cpu.use(layer):
            assert not some.bits_of(qk.dequantize(zero, scale, zero, axis=0)).any()


@pytest.mark.parametrize("real", oracle.FLOATS)
@pytest.mark.parametrize("name", oracle.INTEGERS)
def test_every_combination(isa, name, real):
    """Every value of the type (16-bit ones sampled), every granularity, packed too."""
    low, high, bits = oracle.INTEGERS[name]
    rng = np.random.default_rng(high - low)
    shape = (3, 4, 150)
    q = np.resize(np.arange(low, high + 1, 1 if bits <= 8 else 31), shape)
    small = q.astype(np.int32).astype(oracle.dtype(name))
    blocks = [
        ({}, shape),
        *(({"axis": a}, tuple(1 if d == a % 3 else n for d, n in enumerate(shape))) for a in (0, 1, 2, -3)),
        ({"block_size": 32}, (1, 1, 32)),
        ({"axis": 0, "block_size": 2}, (2, 1, 1)),
        ({"axis": (1, 2), "block_size": (3, 16)}, (1, 3, 16)),
    ]
    for keywords, block in blocks:
        full = tuple(-(-n // b) for n, b in zip(shape, block, strict=True))
        given = full if "block_size" in keywords else tuple(n for n, b in zip(full, block, strict=True) if b == 1)
        scale, zero = some.scales(rng, given, specials=True), rng.integers(low, high + 1, given)
        wanted = oracle.dequantize(q, *(oracle.each(p.reshape(full), shape, block) for p in (scale, zero)), real)
        some.assert_same(qk.dequantize(small, scale, zero, dtype=real, **keywords), wanted)
        if bits < 8:
            found = qk.dequantize(oracle.pack(q, bits), scale, zero, dtype=real, packed=name, shape=shape, **keywords)
            some.assert_same(found, wanted)


def test_special_scales(isa):
    q = np.arange(-128, 128).astype(np.int8)
    for scale, zero, real in itertools.product(some.SPECIAL_SCALES, (-128, 0, 127), oracle.FLOATS):
        wanted = oracle.dequantize(q.astype(np.int64), np.full(256, scale), np.full(256, zero), real)
        some.assert_same(qk.dequantize(q, scale, zero, dtype=real), wanted)
