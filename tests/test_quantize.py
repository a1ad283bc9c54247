"""quantize: the bits of the named formula, for every type, convention, granularity, layout and layer."""

from __future__ import annotations

import itertools

import numpy as np
import oracle
import pytest
import strategies as some
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk

GRAIN_KINDS = ("tensor", "channel", "block", "blocks")


def limits(name):
    return oracle.INTEGERS[name][:2]


def expected_integers(case, name, convention):
    low, high = limits(name)
    return oracle.quantize(case.x, case.scale, case.zero, low, high, convention, case.grain.kind)


def expected(case, name, convention):
    return expected_integers(case, name, convention).astype(np.int32).astype(oracle.dtype(name))


def quantized(case, name, convention, **options):
    return qk.quantize(
        case.x, case.scale_given, case.zero_given, dtype=name, convention=convention, **case.grain.keywords, **options
    )


@st.composite
def typed_cases(draw, kind=None, **options):
    name = draw(options.pop("names", some.integer_names))
    return name, draw(some.cases(kind, limits=limits(name), **options))


class TestOracle:
    @given(typed_cases(layout="C"), some.conventions)
    def test_agrees_with_exact_fractions(self, typed, convention):
        name, case = typed
        low, high = limits(name)
        found = expected_integers(case, name, convention).ravel()
        flat = [a.ravel() for a in (case.x, case.scale, case.zero)]
        for i in range(0, found.size, 1 + found.size // 25):
            x, scale, zero = (a[i] for a in flat)
            if np.isfinite(x):
                assert found[i] == oracle.exact_integer(x, scale, int(zero), low, high, convention, case.grain.kind)


class TestFormula:
    @given(typed_cases("tensor"), some.conventions, some.layers)
    def test_per_tensor(self, typed, convention, layer):
        name, case = typed
        with qk.cpu.use(layer):
            some.assert_same(quantized(case, name, convention), expected(case, name, convention))

    @given(typed_cases("channel"), some.conventions, some.layers)
    def test_per_channel(self, typed, convention, layer):
        name, case = typed
        with qk.cpu.use(layer):
            some.assert_same(quantized(case, name, convention), expected(case, name, convention))

    @given(typed_cases("block"), some.conventions, some.layers)
    def test_per_block(self, typed, convention, layer):
        name, case = typed
        with qk.cpu.use(layer):
            some.assert_same(quantized(case, name, convention), expected(case, name, convention))

    @given(typed_cases("blocks"), some.conventions, some.layers)
    def test_blocks_of_more_dimensions(self, typed, convention, layer):
        name, case = typed
        with qk.cpu.use(layer):
            some.assert_same(quantized(case, name, convention), expected(case, name, convention))

    @given(typed_cases(specials=True), some.conventions, some.layers)
    def test_any_scale(self, typed, convention, layer):
        name, case = typed
        with qk.cpu.use(layer):
            some.assert_same(quantized(case, name, convention), expected(case, name, convention))

    @given(st.data(), some.narrow_names, some.conventions, some.layers)
    def test_packed_is_the_packing_of_unpacked(self, data, name, convention, layer):
        case = data.draw(some.cases(limits=limits(name), least=1))
        bits = oracle.INTEGERS[name][2]
        size = case.grain.block[-1]
        fits = not 1 < size < case.x.shape[-1] or size * bits % 8 == 0
        with qk.cpu.use(layer):
            if not fits:
                with pytest.raises(ValueError, match="block_size must be a multiple of"):
                    quantized(case, name, convention, packed=True)
                return
            found = quantized(case, name, convention, packed=True)
        q = expected_integers(case, name, convention)
        if q.size:
            some.assert_same(found, oracle.pack(q, bits))
        else:
            assert found.size == 0

    @given(typed_cases(least=1), some.conventions, some.layers, some.out_layouts)
    def test_out_of_any_layout_and_not_a_byte_more(self, typed, convention, layer, layout):
        name, case = typed
        rng = np.random.default_rng(case.x.size)
        buffer, out = some.place(rng, case.x.shape, oracle.dtype(name), layout)
        with qk.cpu.use(layer):
            assert quantized(case, name, convention, out=out) is out
        some.assert_same(out, expected(case, name, convention))
        assert some.only_within(buffer, out)

    @given(some.rngs, some.shapes(), some.layouts, st.floats(1e-4, 1e4))
    def test_torch_decomposed_takes_the_reciprocal_of_the_double(self, rng, shape, layout, scale):
        x = some.arranged(rng, some.values(rng, shape, "float32", scale), layout)
        doubles = np.full(shape, scale)
        for number in (scale, np.float64(scale), np.array(scale)):
            found = qk.quantize(x, number, 3, convention="torch_decomposed")
            assert np.array_equal(
                found, oracle.quantize(x, doubles, np.full(shape, 3), -128, 127, "torch_decomposed", "tensor")
            )


class TestMeaning:
    @given(st.data(), some.conventions, some.layers, some.seeds)
    def test_monotone(self, data, convention, layer, seed):
        rng = np.random.default_rng(seed)
        scale = float(some.scales(rng, ()))
        x = np.sort(some.values(rng, (data.draw(st.integers(0, 300)),), "float32", scale, specials=False))
        with qk.cpu.use(layer):
            q = qk.quantize(x, scale, 5, convention=convention).astype(int)
        assert (np.diff(q) >= 0).all()

    @given(some.rngs, some.conventions, some.layers, some.integer_names)
    def test_zero_is_the_zero_point(self, rng, convention, layer, name):
        zero = int(rng.integers(limits(name)[0], limits(name)[1] + 1))
        with qk.cpu.use(layer):
            q = qk.quantize(np.array([0.0, -0.0] * 20, np.float32), 0.1, zero, dtype=name, convention=convention)
        assert set(q.astype(int)) == {zero}

    @given(some.rngs, st.sampled_from(["onnx", "torch_fake_quantize", "torch_decomposed", "tflite"]), some.layers)
    def test_the_sign_only_mirrors(self, rng, convention, layer):
        scale = float(some.scales(rng, ()))
        x = np.clip(some.values(rng, (99,), "float32", scale, specials=False), -127 * scale, 127 * scale)
        with qk.cpu.use(layer):
            plus, minus = (qk.quantize(v, scale, convention=convention).astype(int) for v in (x, -x))
        assert np.array_equal(plus, -minus)

    @given(some.rngs, some.integer_names, some.layers)
    def test_undoes_dequantize(self, rng, name, layer):
        low, high = limits(name)
        q = rng.integers(low, high + 1, 200).astype(np.int32).astype(oracle.dtype(name))
        scale, zero = some.scales(rng, (200,)), rng.integers(low, high + 1, 200)
        with qk.cpu.use(layer):
            back = qk.quantize(qk.dequantize(q, scale, zero, axis=0), scale, zero, dtype=name, axis=0)
        some.assert_same(back, q)

    @given(some.rngs, some.layers, st.integers(-128, 127))
    def test_the_zero_point_only_shifts(self, rng, layer, zero):
        x = some.values(rng, (150,), "float32", 0.5)
        with qk.cpu.use(layer):
            wide = qk.quantize(x, 0.5, dtype="int16").astype(int)
            found = qk.quantize(x, 0.5, zero).astype(int)
        assert np.array_equal(found, np.clip(wide + zero, -128, 127))

    @given(typed_cases(layout="C"), some.layers)
    def test_a_power_of_two_scales_x_and_scale_alike(self, typed, layer):
        name, case = typed
        x = case.x.astype(np.float32)
        x = np.where(np.abs(x) < 2.0**-60, np.float32(0), np.where(np.abs(x) > 2.0**60, np.float32(2.0**60), x))
        with qk.cpu.use(layer):
            found, doubled = (
                qk.quantize(
                    x * np.float32(k),
                    np.asarray(case.scale_given) * k,
                    case.zero_given,
                    dtype=name,
                    **case.grain.keywords,
                )
                for k in (1, 4)
            )
        some.assert_same(doubled, found)


class TestArguments:
    @given(some.rngs, st.sampled_from(["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float64", "int32"]))
    def test_scale_of_any_real_type(self, rng, name):
        scale = np.abs(rng.normal(size=7) * 4 + 2).astype(oracle.dtype(name))
        x = some.values(rng, (7, 5), "float32")
        some.assert_same(qk.quantize(x, scale, axis=0), qk.quantize(x, scale.astype(np.float32), axis=0))

    @given(some.rngs, some.integer_names)
    def test_dtype_defaults_to_that_of_zero_point(self, rng, name):
        zero = rng.integers(*limits(name), 4).astype(np.int32).astype(oracle.dtype(name))
        x = some.values(rng, (3, 4), "float32")
        some.assert_same(qk.quantize(x, 0.5, zero[0]), qk.quantize(x, 0.5, int(zero[0]), dtype=name))
        some.assert_same(
            qk.quantize(x, np.full(4, 0.5), zero, axis=1),
            qk.quantize(x, np.full(4, 0.5), zero.astype(np.int32), dtype=name, axis=1),
        )

    @given(some.rngs, some.integer_names)
    def test_dtype_objects_and_names(self, rng, name):
        x = some.values(rng, (9,), "float32")
        found = qk.quantize(x, 0.5, dtype=name)
        some.assert_same(qk.quantize(x, 0.5, dtype=oracle.dtype(name)), found)
        some.assert_same(qk.quantize(x, 0.5, dtype=oracle.dtype(name).type), found)

    @given(some.rngs, some.shapes())
    def test_lists_are_float32(self, rng, shape):
        x = some.values(rng, shape, "float32")
        if x.size or x.ndim == 1:
            some.assert_same(qk.quantize(x.tolist(), 0.5), qk.quantize(x, 0.5))

    @given(some.rngs, st.integers(1, 5), st.integers(1, 5))
    def test_axes_kept_in_the_parameters(self, rng, m, n):
        x, scale = some.values(rng, (m, n), "float32"), some.scales(rng, (n,))
        some.assert_same(qk.quantize(x, scale[None], axis=1), qk.quantize(x, scale, axis=1))

    def test_results_keep_the_order_of_axes(self):
        x = np.zeros((3, 4, 5), np.float32).transpose(2, 0, 1)
        assert qk.quantize(x, 1.0).strides == tuple(s // 4 for s in x.strides)


# --- exhaustively over the factors, once per layer ---------------------------------------------------------------


@pytest.mark.parametrize("real", oracle.FLOATS)
@pytest.mark.parametrize("name", oracle.INTEGERS)
def test_every_combination(isa, name, real):
    """type x convention x granularity x packed, with rows longer than any vector."""
    low, high, bits = oracle.INTEGERS[name]
    rng = np.random.default_rng(high - low)
    shape = (3, 4, 150)
    blocks = [
        ("tensor", {}, shape),
        *(("channel", {"axis": a}, tuple(1 if d == a % 3 else n for d, n in enumerate(shape))) for a in (0, 1, 2, -3)),
        ("block", {"block_size": 32}, (1, 1, 32)),
        ("block", {"axis": 0, "block_size": 2}, (2, 1, 1)),
        ("block", {"axis": (1, 2), "block_size": (3, 16)}, (1, 3, 16)),
    ]
    for (kind, keywords, block), convention in itertools.product(blocks, oracle.CONVENTIONS):
        full = tuple(-(-n // b) for n, b in zip(shape, block, strict=True))
        given = full if kind == "block" else tuple(n for n, b in zip(full, block, strict=True) if b == 1)
        scale, zero = some.scales(rng, given), rng.integers(low, high + 1, given)
        x = some.values(rng, shape, real, float(np.median(scale)))
        spread = [oracle.each(p.reshape(full), shape, block) for p in (scale, zero)]
        q = oracle.quantize(x, *spread, low, high, convention, kind)
        found = qk.quantize(x, scale, zero, dtype=name, convention=convention, **keywords)
        some.assert_same(found, q.astype(np.int32).astype(oracle.dtype(name)))
        if bits < 8:
            found = qk.quantize(x, scale, zero, dtype=name, convention=convention, packed=True, **keywords)
            some.assert_same(found, oracle.pack(q, bits))


@pytest.mark.parametrize("convention", oracle.CONVENTIONS)
@pytest.mark.parametrize("name", oracle.INTEGERS)
def test_special_values_and_scales(isa, convention, name):
    low, high = limits(name)
    x = np.tile(some.SPECIAL_VALUES, 5)
    for scale, zero in itertools.product([*some.SPECIAL_SCALES, np.float32(0.1)], {low, 0, high}):
        if low <= zero <= high:
            found = qk.quantize(x, scale, zero, dtype=name, convention=convention)
            wide = [np.full(x.shape, v) for v in (scale, zero)]
            q = oracle.quantize(x, *wide, low, high, convention, "tensor")
            some.assert_same(found, q.astype(np.int32).astype(oracle.dtype(name)))


@pytest.mark.parametrize(
    ("x", "q"), [(np.nan, -128), (np.inf, 127), (-np.inf, -128), (-0.0, 0), (1e-45, 0), (3.4e38, 127), (2.5, 2)]
)
def test_documented_values(isa, x, q):
    assert qk.quantize(np.full(37, x, np.float32), 1.0).tolist() == [q] * 37


@pytest.mark.parametrize("name", ["int4", "uint4", "int2", "uint2"])
def test_upper_bits_of_narrow_results_are_zero(isa, name):
    q = qk.quantize(np.linspace(-20, 20, 999, dtype=np.float32), 1.0, dtype=name)
    assert q.dtype == oracle.dtype(name)
    assert (q.view(np.uint8) >> oracle.INTEGERS[name][2] == 0).all()
