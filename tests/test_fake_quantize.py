"""fake_quantize: quantize and dequantize in one pass, and the mask of the straight-through estimator."""

from __future__ import annotations

import itertools

import numpy as np
import oracle
import pytest
import strategies as some
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk

limits = st.one_of(
    st.sampled_from([(-128, 127), (-127, 127), (0, 255), (-8, 7), (0, 1), (3, 3), (-32768, 32767), (0, 65535)]),
    st.tuples(st.integers(-300, 300), st.integers(0, 600)).map(lambda t: (t[0], t[0] + t[1])),
)


@st.composite
def limited_cases(draw, kind=None, **options):
    low, high = draw(limits)
    return low, high, draw(some.cases(kind, limits=(low, high), **options))


def faked(low, high, case, convention, **options):
    return qk.fake_quantize(
        case.x,
        case.scale_given,
        case.zero_given,
        quant_min=low,
        quant_max=high,
        convention=convention,
        **case.grain.keywords,
        **options,
    )


def expected(low, high, case, convention):
    name = case.x.dtype.name
    return oracle.fake_quantize(case.x, case.scale, case.zero, low, high, convention, case.grain.kind, name)


def check(typed, convention, layer):
    with qk.cpu.use(layer):
        y, mask = faked(*typed, convention, return_mask=True)
        alone = faked(*typed, convention)
    wanted, kept = expected(*typed, convention)
    some.assert_same(y, wanted)
    some.assert_same(alone, wanted)
    some.assert_same(mask, kept)


class TestFormula:
    @given(limited_cases("tensor"), some.conventions, some.layers)
    def test_per_tensor(self, typed, convention, layer):
        check(typed, convention, layer)

    @given(limited_cases("channel"), some.conventions, some.layers)
    def test_per_channel(self, typed, convention, layer):
        check(typed, convention, layer)

    @given(limited_cases("block"), some.conventions, some.layers)
    def test_per_block(self, typed, convention, layer):
        check(typed, convention, layer)

    @given(limited_cases("blocks"), some.conventions, some.layers)
    def test_blocks_of_more_dimensions(self, typed, convention, layer):
        check(typed, convention, layer)

    @given(limited_cases(specials=True), some.conventions, some.layers)
    def test_any_scale(self, typed, convention, layer):
        check(typed, convention, layer)

    @given(limited_cases(least=1), some.conventions, some.layers, some.out_layouts)
    def test_out_of_any_layout_and_not_a_byte_more(self, typed, convention, layer, layout):
        case = typed[2]
        dtype = case.x.dtype.newbyteorder("=") if case.x.dtype.kind == "f" else case.x.dtype
        buffer, out = some.place(np.random.default_rng(case.x.size), case.x.shape, dtype, layout)
        with qk.cpu.use(layer):
            found, mask = faked(*typed, convention, out=out, return_mask=True)
        assert found is out
        wanted, kept = expected(*typed, convention)
        some.assert_same(out, wanted)
        some.assert_same(mask, kept)
        assert some.only_within(buffer, out)

    @given(limited_cases(least=1, layout="C"), some.conventions, some.layers, some.out_layouts)
    def test_in_place(self, typed, convention, layer, layout):
        case = typed[2]
        wanted, kept = expected(*typed, convention)
        rng = np.random.default_rng(case.x.size)
        buffer, x = some.place(rng, case.x.shape, case.x.dtype, layout)
        some.bits_of(x)[...] = some.bits_of(case.x)
        case.x = x
        with qk.cpu.use(layer):
            found, mask = faked(*typed, convention, out=x, return_mask=True)
        assert found is x
        some.assert_same(x, wanted)
        some.assert_same(mask, kept)
        assert some.only_within(buffer, x)


class TestMeaning:
    @given(some.cases(), some.conventions, some.layers)
    def test_is_dequantize_of_quantize(self, case, convention, layer):
        real = case.x.dtype.newbyteorder("=") if case.x.dtype.kind == "f" else case.x.dtype
        with qk.cpu.use(layer):
            y = faked(-128, 127, case, convention)
            arguments = (case.scale_given, case.zero_given)
            q = qk.quantize(case.x, *arguments, convention=convention, dtype="int8", **case.grain.keywords)
            some.assert_same(qk.dequantize(q, *arguments, dtype=real, **case.grain.keywords), y)

    @given(some.cases(name="float32", layout="C"), some.layers, st.sampled_from(["onnx", "tflite"]))
    def test_twice_is_once(self, case, layer, convention):
        with qk.cpu.use(layer):
            case.x = faked(-128, 127, case, convention)
            some.assert_same(faked(-128, 127, case, convention), case.x)

    @given(some.cases(), some.conventions, some.layers)
    def test_the_mask_marks_what_no_wider_range_would_change(self, case, convention, layer):
        with qk.cpu.use(layer):
            mask = faked(-128, 127, case, convention, return_mask=True)[1]
            q = qk.quantize(
                case.x, case.scale_given, case.zero_given, convention=convention, dtype="int16", **case.grain.keywords
            ).astype(int)
        assert np.array_equal(mask, (q >= -128) & (q <= 127))

    @given(some.rngs, some.shapes(), some.layers)
    def test_a_range_of_one_integer(self, rng, shape, layer):
        x = some.values(rng, shape, "float32")
        with qk.cpu.use(layer):
            y, mask = qk.fake_quantize(x, 0.5, 3, quant_min=3, quant_max=3, return_mask=True)
        assert not some.bits_of(y).any()
        assert np.array_equal(mask, np.abs(x) <= 0.25)

    @given(limited_cases(), some.conventions, some.layers, st.data())
    def test_the_mask_goes_where_out_says(self, typed, convention, layer, data):
        x = typed[2].x
        rng = data.draw(some.rngs)
        native = x.dtype.newbyteorder("=") if x.dtype.kind == "f" else x.dtype
        y_out = some.arranged(rng, np.zeros(x.shape, native), data.draw(some.out_layouts))
        mask_out = some.arranged(rng, np.ones(x.shape, np.uint8), data.draw(some.out_layouts)).view(bool)
        with qk.cpu.use(layer):
            y, mask = faked(*typed, convention, return_mask=True, out=(y_out, mask_out))
        assert y is y_out
        assert mask is mask_out
        wanted, kept = expected(*typed, convention)
        some.assert_same(y, wanted)
        some.assert_same(mask, kept)

    def test_either_part_of_out_may_be_none(self):
        x, mask_out = np.array([0.5, 300.0], np.float32), np.zeros(2, bool)
        y, mask = qk.fake_quantize(x, 1.0, return_mask=True, out=(None, mask_out))
        assert mask is mask_out
        assert (y.tolist(), mask.tolist()) == ([0.0, 127.0], [True, False])
        y, mask = qk.fake_quantize(x, 1.0, return_mask=True, out=(x, None))
        assert y is x
        assert (x.tolist(), mask.tolist()) == ([0.0, 127.0], [True, False])

    @pytest.mark.parametrize(
        ("mask", "error", "words"),
        [
            (np.zeros(3, bool), ValueError, r"out\[1\] must have shape \(2,\), not \(3,\)"),
            (np.zeros(2, np.uint8), TypeError, r"out\[1\] must have dtype bool"),
            ([True, False], TypeError, r"out\[1\] must be a numpy.ndarray, not list"),
            (np.broadcast_to(np.zeros(1, bool), 2), ValueError, r"out\[1\] must be writeable"),
        ],
    )
    def test_a_mask_that_cannot_be_written(self, mask, error, words):
        y = np.full(2, 7, np.float32)
        with pytest.raises(error, match=words):
            qk.fake_quantize(np.ones(2, np.float32), 1.0, return_mask=True, out=(y, mask))
        assert (y == 7).all()

    def test_a_mask_that_overlaps(self):
        x = np.ones(8, np.float32)
        y = np.zeros(8, np.float32)
        for mask in (x.view(bool)[:8], y.view(bool)[8:16]):
            with pytest.raises(ValueError, match=r"out\[1\] must not overlap an input"):
                qk.fake_quantize(x, 1.0, return_mask=True, out=(y, mask))
        assert (y == 0).all()

    @pytest.mark.parametrize("keywords", [{}, {"return_mask": True}])
    def test_a_tuple_of_outs_has_two_and_needs_the_mask(self, keywords):
        y = np.zeros(1, np.float32)
        outs = (y, y, y) if keywords else (y, np.zeros(1, bool))
        with pytest.raises(ValueError, match="out must be an array, or with return_mask"):
            qk.fake_quantize(y, 1.0, out=outs, **keywords)

    def test_the_mask_has_the_layout_of_the_result(self):
        x = np.zeros((3, 4, 5), np.float32).transpose(2, 0, 1)
        y, mask = qk.fake_quantize(x, 1.0, return_mask=True)
        assert y.strides == x.strides
        assert mask.strides == tuple(s // 4 for s in x.strides)


@pytest.mark.parametrize("convention", oracle.CONVENTIONS)
@pytest.mark.parametrize("real", oracle.FLOATS)
def test_special_values_and_scales(isa, convention, real):
    with np.errstate(over="ignore"):
        x = np.tile(some.SPECIAL_VALUES, 5).astype(oracle.dtype(real))
    for scale, (low, high), zero in itertools.product(
        [*some.SPECIAL_SCALES, np.float32(0.1)], [(-128, 127), (0, 255), (-7, 9), (0, 65535)], (0, 5)
    ):
        wide = [np.full(x.shape, v) for v in (scale, zero)]
        wanted, kept = oracle.fake_quantize(x, *wide, low, high, convention, "tensor", real)
        y, mask = qk.fake_quantize(
            x, scale, zero, quant_min=low, quant_max=high, convention=convention, return_mask=True
        )
        some.assert_same(y, wanted)
        some.assert_same(mask, kept)
        some.assert_same(qk.fake_quantize(x, scale, zero, quant_min=low, quant_max=high, convention=convention), wanted)
