"""requantize and FixedPointMultiplier: the bits of the named systems, against exact integers."""

from __future__ import annotations

import copy
import math
import pickle
from fractions import Fraction

import numpy as np
import oracle
import pytest
import strategies as some
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk

LEAST, MOST = -(2**31), 2**31 - 1
ROUNDINGS = ("single", "double", "rndnu")
HALF = Fraction(1, 2)
WIDTHS = {"int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int4": 4, "uint4": 4, "int2": 2, "uint2": 2}

significands = st.one_of(
    st.integers(2**30, MOST), st.sampled_from([0, 2**30, 2**30 + 1, 3 << 29, MOST - 1, MOST]), st.just(2**30)
)
shifts = st.one_of(st.integers(-31, 30), st.integers(-12, -1))
int32s = st.one_of(
    st.integers(LEAST, MOST),
    st.integers(-3000, 3000),
    st.builds(lambda bit, side, sign: max(LEAST, min(MOST, sign * ((1 << bit) + side))), st.integers(0, 31),
              st.integers(-1, 1), st.sampled_from([-1, 1])),
)  # fmt: skip


def limits(name):
    return oracle.INTEGERS[name][:2]


def half_away(x):
    return int(math.copysign(math.floor(abs(x) + HALF), x))


def fixed(acc, m0, shift, rounding):
    """acc * m0 * 2**(shift - 31) in fractions, before the zero point."""
    exact = Fraction(acc * m0) * Fraction(2) ** (shift - 31)
    if rounding != "double":
        return math.floor(exact + HALF)
    x = acc * 2 ** max(shift, 0)
    if not LEAST <= x <= MOST:
        return half_away(exact)  # 2**30 or more: it saturates
    return half_away(Fraction(math.floor(Fraction(x * m0, 2**31) + HALF), 2 ** max(-shift, 0)))


def gemmlowp(acc, m0, shift):
    """Its two functions as they are published, truncating divisions and all."""
    ab = acc * 2 ** max(shift, 0) * m0
    nudge = 2**30 if ab >= 0 else 1 - 2**30
    high = abs(ab + nudge) // 2**31 * (1 if ab + nudge >= 0 else -1)
    exponent = max(-shift, 0)
    mask = 2**exponent - 1
    return (high >> exponent) + ((high & mask) > (mask >> 1) + (high < 0))


def product(acc, multiplier):
    """The float way in float64, where the product of two float32 is exact: rounded to float32, then half to even."""
    with np.errstate(all="ignore"):
        wide = acc.astype(np.float32).astype(np.float64) * np.asarray(multiplier, np.float32).astype(np.float64)
        return np.rint(wide.astype(np.float32).astype(np.float64))


def limited(q, zero, name):
    """Integers of any size and zero points to the type."""
    low, high = limits(name)
    wide = [min(max(int(a) + int(z), low), high) for a, z in zip(np.ravel(q), np.ravel(zero), strict=True)]
    return np.array(wide, np.int32).reshape(np.shape(q)).astype(oracle.dtype(name))


def accumulators(rng, shape, m):
    """Near the ties of a multiplier as large as m, and anything."""
    size = int(np.prod(shape))
    near = np.clip((rng.integers(-300, 300, size) + 0.5) / max(m, 2.0**-31), LEAST, MOST).astype(np.int64)
    anything = rng.integers(LEAST, MOST + 1, size) >> rng.integers(0, 32, size)
    acc = np.where(rng.random(size) < 0.6, near + rng.integers(-1, 2, size), anything)
    return np.clip(acc, LEAST, MOST).astype(np.int32).reshape(shape)


@st.composite
def calls(draw, kind=None):
    """acc, grain, m0, shift and zero points, the last three of each element too."""
    name = draw(some.integer_names)
    shape = draw(some.shapes({"channel": 1, "block": 1, "blocks": 2}.get(kind, 0), 3))
    grain = draw(some.grains(shape, kind))
    rng = draw(some.rngs)
    m0 = rng.integers(2**30, 2**31, grain.given)
    m0 = np.where(rng.random(grain.given) < 0.2, rng.choice([0, 2**30, MOST], grain.given), m0)
    shift = rng.integers(*draw(st.sampled_from([(-31, 31), (-14, -1), (-31, -1)])), grain.given)
    zero = rng.integers(limits(name)[0], limits(name)[1] + 1, grain.given)
    acc = accumulators(rng, shape, 2.0 ** float(np.median(shift)) if shift.size else 1.0)
    acc = some.arranged(rng, acc, draw(some.layouts))
    return name, acc, grain, np.asarray(m0), np.asarray(shift), zero


class TestOracle:
    @given(int32s, significands, st.integers(-31, 0))
    def test_is_gemmlowp_as_published(self, acc, m0, shift):
        assert fixed(acc, m0, shift, "double") == gemmlowp(acc, m0, shift)

    @given(int32s, significands, shifts)
    def test_is_ruy_as_published(self, acc, m0, shift):
        total = 31 - shift
        assert fixed(acc, m0, shift, "single") == (acc * m0 + (1 << (total - 1))) >> total

    @given(int32s, st.integers(1, 2**24 - 1).map(lambda bits: bits | 1 << 23), st.integers(24, 55))
    def test_rndnu_is_xnnpack_as_published(self, acc, multiplier, shift):
        # A multiplier of 24 bits and a shift of 24 to 55 there; 31 bits and a shift to the left here.
        assert fixed(acc, multiplier << 7, 24 - shift, "rndnu") == (acc * multiplier + (1 << (shift - 1))) >> shift


class TestFixedPoint:
    @given(st.lists(int32s, min_size=1, max_size=200), significands, shifts, some.layers, some.integer_names, st.data())
    def test_one_multiplier(self, accs, m0, shift, layer, name, data):
        zero = data.draw(st.integers(*limits(name)))
        acc = np.array(accs, np.int32)
        for rounding in ROUNDINGS:
            want = [fixed(a, m0, shift, rounding) for a in accs]
            with qk.cpu.use(layer):
                got = qk.requantize(acc, qk.FixedPointMultiplier(m0, shift), zero, dtype=name, rounding=rounding)
            some.assert_same(got, limited(want, [zero] * len(accs), name))

    @pytest.mark.parametrize("kind", some.GRAINS)
    @given(st.data(), st.sampled_from(ROUNDINGS), some.layers)
    def test_each_granularity(self, kind, data, rounding, layer):
        name, acc, grain, m0, shift, zero = data.draw(calls(kind))
        with qk.cpu.use(layer):
            multiplier = qk.FixedPointMultiplier(m0, shift)
            got = qk.requantize(acc, multiplier, zero, dtype=name, rounding=rounding, **grain.keywords)
        each = [np.ravel(grain.each(a, acc.shape)) for a in (m0, shift, zero)]
        want = [fixed(int(a), int(m), int(s), rounding) for a, m, s in zip(acc.ravel(), *each[:2], strict=True)]
        some.assert_same(got, limited(want, each[2], name).reshape(acc.shape))

    @given(some.rngs, significands, shifts, some.integer_names, st.sampled_from(ROUNDINGS))
    def test_every_layer_gives_the_same_bits(self, rng, m0, shift, name, rounding):
        acc = accumulators(rng, (3, 1111), m0 / 2**31 * 2.0**shift)
        multiplier, found = qk.FixedPointMultiplier(m0, shift), []
        for layer in some.LAYERS:
            with qk.cpu.use(layer):
                found.append(qk.requantize(acc, multiplier, dtype=name, rounding=rounding))
        for other in found[1:]:
            some.assert_same(other, found[0])

    def test_ten_million(self):
        rng = np.random.default_rng(5)
        for i in range(10):
            m0, shift = int(rng.integers(2**30, 2**31)), int(rng.integers(-20, 3))
            acc = accumulators(rng, (1_000_000,), m0 / 2**31 * 2.0**shift).astype(np.int64)
            total = 31 - shift
            single = (acc * m0 + (1 << (total - 1))) >> total
            high = (acc * 2 ** max(shift, 0) * m0 + 2**30) >> 31 if shift <= 0 else None
            zero = int(rng.integers(-128, 128))
            multiplier = qk.FixedPointMultiplier(m0, shift)
            got = qk.requantize(acc.astype(np.int32), multiplier, zero)
            assert np.array_equal(got, np.clip(single + zero, -128, 127)), i
            if high is None:
                continue
            unit = 2**-shift
            away = np.where(high < 0, -((-high * 2 + unit) // (2 * unit)), (high * 2 + unit) // (2 * unit))
            got = qk.requantize(acc.astype(np.int32), multiplier, zero, rounding="double")
            assert np.array_equal(got, np.clip(away + zero, -128, 127)), i

    def test_single_is_the_default_and_rndnu_another_name(self):
        acc, multiplier = np.arange(-5000, 5000, dtype=np.int32), qk.FixedPointMultiplier(2**30, -4)
        default, single, rndnu, double = (
            qk.requantize(acc, multiplier, **o) for o in ({}, *({"rounding": r} for r in ("single", "rndnu", "double")))
        )
        assert np.array_equal(default, single)
        assert np.array_equal(single, rndnu)
        assert not np.array_equal(single, double)  # negative ties


class TestFloat:
    @pytest.mark.parametrize("kind", some.GRAINS)
    @given(st.data(), some.layers)
    def test_each_granularity(self, kind, data, layer):
        name, acc, grain, m0, shift, zero = data.draw(calls(kind))
        real = np.asarray(np.ldexp(m0.astype(np.float64), shift - 31), np.float32)
        special = data.draw(some.rngs).random(real.shape) < 0.1
        real = np.where(special, np.float32(data.draw(st.sampled_from([np.nan, np.inf, -0.3, 1.0, 1e-45]))), real)
        with qk.cpu.use(layer):
            got = qk.requantize(acc, real, zero, dtype=name, **grain.keywords)
        q = product(acc, grain.each(real, acc.shape)) + grain.each(zero, acc.shape)
        want = np.clip(np.where(np.isnan(q), limits(name)[0], q), *limits(name))
        some.assert_same(got, want.astype(np.int32).astype(oracle.dtype(name)))

    @given(some.rngs, st.floats(2.0**-31, 200.0), st.integers(-128, 127), some.layers)
    def test_is_the_fixed_point_one_but_for_its_roundings(self, rng, real, zero, layer):
        acc = accumulators(rng, (500,), real)
        with qk.cpu.use(layer):
            by_float = qk.requantize(acc, real, zero).astype(int)
            by_fixed = qk.requantize(acc, qk.FixedPointMultiplier.from_float(real), zero).astype(int)
        assert np.abs(by_float - by_fixed).max(initial=0) <= 1

    def test_zero_point_outside_the_rounding(self):
        acc = np.array([1, 3, -1, -3], np.int32)
        assert qk.requantize(acc, 0.5, 1).tolist() == [1, 3, 1, -1]

    def test_float32_product(self):
        # 2**24 + 1 is not a float32: the accumulator is rounded first.
        acc = np.array([2**24 + 1, 2**24 + 3], np.int32)
        assert qk.requantize(acc, 2.0**-10, dtype="int16").tolist() == [16384, 16384]
        assert qk.requantize(acc, 2.0**-1, dtype="int16").tolist() == [32767, 32767]


class TestArrays:
    @given(st.data(), some.layers, some.out_layouts, st.sampled_from(ROUNDINGS))
    def test_out_of_any_layout_and_not_a_byte_more(self, data, layer, layout, rounding):
        name, acc, grain, m0, shift, zero = data.draw(calls())
        multiplier = qk.FixedPointMultiplier(m0, shift)
        buffer, out = some.place(np.random.default_rng(acc.size), acc.shape, oracle.dtype(name), layout)
        options = {"dtype": name, "rounding": rounding, **grain.keywords}
        with qk.cpu.use(layer):
            assert qk.requantize(acc, multiplier, zero, out=out, **options) is out
            some.assert_same(out, qk.requantize(np.array(acc, order="C"), multiplier, zero, **options))
        assert some.only_within(buffer, out)

    @given(some.rngs, some.narrow_names, st.integers(1, 70), some.layers)
    def test_packed_is_the_packing_of_unpacked(self, rng, name, n, layer):
        acc = rng.integers(-3000, 3000, (3, n)).astype(np.int32)
        with qk.cpu.use(layer):
            plain = qk.requantize(acc, 0.004, dtype=name)
            packed = qk.requantize(acc, 0.004, dtype=name, packed=True)
        some.assert_same(packed, oracle.pack(plain.astype(np.int64), oracle.INTEGERS[name][2]))

    @pytest.mark.parametrize("threads", [1, 2, 7])
    def test_threads_change_nothing(self, threads):
        acc = np.random.default_rng(1).integers(-(2**20), 2**20, (700, 1001)).astype(np.int32)
        real = np.linspace(0.0001, 0.3, 1001)
        want = qk.requantize(acc, real, 3, axis=1)
        with qk.thread_limit(threads):
            some.assert_same(qk.requantize(acc, real, 3, axis=1), want)


class TestMultiplier:
    @given(st.floats(0, 2.0**30, exclude_max=True))
    def test_from_float_is_the_nearest(self, real):
        if real >= (1 - 2.0**-32) * 2**30:
            return  # rounds to 2**30, which is refused
        m = qk.FixedPointMultiplier.from_float(real)
        if real < 2.0**-32 * (1 - 2.0**-32):
            assert m == qk.FixedPointMultiplier(0, 0)
            return
        unit = Fraction(2) ** (int(m.shift) - 31)
        assert 2**30 <= m.m0 < 2**31
        assert abs(Fraction(real) - int(m.m0) * unit) <= unit / 2
        assert float(m) == m.to_float() == float(int(m.m0) * unit)

    def test_known_pairs(self):
        # By hand from QuantizeMultiplier: frexp, times 2**31, half away from zero.
        cases = {1.0: (2**30, 1), 0.5: (2**30, 0), 0.25: (2**30, -1), 0.75: (3 << 29, 0), 2.0**-32: (2**30, -31),
                 1 - 2.0**-33: (2**30, 1), 2.0**-33: (0, 0), 0.0: (0, 0), 2.0**29: (2**30, 30)}  # fmt: skip
        for real, (m0, shift) in cases.items():
            m = qk.FixedPointMultiplier.from_float(real)
            assert (int(m.m0), int(m.shift)) == (m0, shift), real

    def test_arrays(self):
        real = np.array([[0.1, 0.0], [7.5, 1e-12]], np.float32)
        m = qk.FixedPointMultiplier.from_float(real)
        assert m.m0.shape == m.shift.shape == (2, 2)
        assert m.m0.dtype == m.shift.dtype == np.int32
        assert np.array_equal(m.to_float(), np.where(real == np.float32(1e-12), 0, real.astype(np.float64)))
        single = [qk.FixedPointMultiplier.from_float(float(r)) for r in real.flat]
        assert [int(s.m0) for s in single] == m.m0.ravel().tolist()
        with pytest.raises(TypeError, match="only a single multiplier is a float"):
            float(m)

    def test_is_a_value(self):
        m, same, other = (qk.FixedPointMultiplier.from_float(r) for r in (0.3, 0.3, 0.4))
        assert m == same
        assert hash(m) == hash(same)
        assert m not in (other, 0.3)
        assert pickle.loads(pickle.dumps(m)) == copy.deepcopy(m) == m
        assert eval(repr(m), {"FixedPointMultiplier": qk.FixedPointMultiplier}) == m
        with pytest.raises(AttributeError, match="immutable"):
            m.shift = 3
        with pytest.raises(AttributeError, match="immutable"):
            del m.m0
        with pytest.raises(ValueError, match="read-only"):
            m.m0[...] = 0

    @pytest.mark.parametrize(
        ("m0", "shift", "message"),
        [
            (2**30 - 1, 0, r"m0 must be 0 or in \[2\*\*30, 2\*\*31\), not 1073741823"),
            (-(2**30), 0, "m0 must be 0 or in .*, not -1073741824"),
            (2**31, 0, "m0 must be 0 or in .*, not 2147483648"),
            (2**63 + 5, 0, "m0 must be 0 or in"),
            (2**30, -32, r"shift must be in \[-31, 30\], not -32"),
            (2**30, [31], r"shift must have the shape of m0, \(\), not \(1,\)"),
            ([2**30, 2**30], [0, 31], "shift must be in .*, not 31"),
        ],
    )
    def test_refuses_what_is_no_multiplier(self, m0, shift, message):
        with pytest.raises(ValueError, match=message):
            qk.FixedPointMultiplier(m0, shift)

    @pytest.mark.parametrize("real", [-0.1, 2.0**30, math.inf, math.nan, [0.1, -1e-300], 2.0**30 * (1 - 2.0**-40)])
    def test_refuses_what_it_cannot_hold(self, real):
        with pytest.raises(ValueError, match=r"real must be in \[0, 2\*\*30\)"):
            qk.FixedPointMultiplier.from_float(real)

    def test_refuses_other_types(self):
        for arguments in ((0.5, 0), (2**30, 1.0), ("a", 0)):
            with pytest.raises(TypeError, match="must be integers"):
                qk.FixedPointMultiplier(*arguments)
        with pytest.raises(TypeError, match="real must be real numbers"):
            qk.FixedPointMultiplier.from_float("half")


ACC = np.arange(6, dtype=np.int32).reshape(2, 3)
FIXED = qk.FixedPointMultiplier.from_float([0.1, 0.2])


@pytest.mark.parametrize(
    ("error", "message", "arguments", "options"),
    [
        (TypeError, "acc must have one of the dtypes int32, not int64", (ACC.astype(np.int64), 0.1), {}),
        (TypeError, "acc must have one of the dtypes int32, not float32", (ACC.astype(np.float32), 0.1), {}),
        (TypeError, "dtype must be one of int8, .*, not 'int32'", (ACC, 0.1), {"dtype": "int32"}),
        (TypeError, "multiplier must be real numbers, not <U3", (ACC, "0.1"), {}),
        (ValueError, r"multiplier must be a single number .*, not of shape \(2,\)", (ACC, [0.1, 0.2]), {}),
        (ValueError, r"multiplier must be of shape \(3,\), not of shape \(2,\)", (ACC, [0.1, 0.2]), {"axis": 1}),
        (ValueError, r"multiplier must be of shape \(3,\), not of shape \(2,\)", (ACC, FIXED), {"axis": 1}),
        (ValueError, r"zero_point must be in \[-128, 127\], not 128", (ACC, 0.1, 128), {}),
        (ValueError, "zero_point must be a number or have the shape of multiplier", (ACC, FIXED, [1] * 3), {"axis": 0}),
        (TypeError, "zero_point must be integers, not float64", (ACC, 0.1, 0.5), {}),
        (ValueError, "axis must be in", (ACC, 0.1), {"axis": 2}),
        (ValueError, "rounding must be 'nearest_even' for float multipliers, not 'single'", (ACC, 0.1),
         {"rounding": "single"}),
        (ValueError, "rounding must be 'single' or 'double' or 'rndnu' for a FixedPoint.*, not 'nearest_even'",
         (ACC, FIXED), {"axis": 0, "rounding": "nearest_even"}),
        (ValueError, "rounding must be .*, not 3", (ACC, 0.1), {"rounding": 3}),
        (TypeError, "packed results must have one of the dtypes int4", (ACC, 0.1), {"packed": True}),
        (ValueError, "acc must have an axis", (np.int32(3), 0.1), {"dtype": "int4", "packed": True}),
        (TypeError, "out must have dtype int8", (ACC, 0.1), {"out": np.zeros((2, 3), np.uint8)}),
        (ValueError, r"out must have shape \(2, 3\), not \(3, 2\)", (ACC, 0.1), {"out": np.zeros((3, 2), np.int8)}),
        (ValueError, "out must not overlap an input", (ACC, 0.1), {"out": ACC.view(np.int8)[:, :3]}),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(error, message, arguments, options):
    before = ACC.copy()
    with pytest.raises(error, match=message):
        qk.requantize(*arguments, **options)
    assert np.array_equal(ACC, before)
