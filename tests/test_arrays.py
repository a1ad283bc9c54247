"""Arrays in and out: whatever NumPy can view, wherever it lies, and nothing else is touched."""

from __future__ import annotations

import array

import ml_dtypes
import numpy as np
import oracle
import pytest
import strategies as some
from emulation import slow_when_emulated
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk


def outputs(x, **keywords):
    """Every function on x; also what it gives back to the next one."""
    q = qk.quantize(x, 0.5, 3, **keywords)
    y, mask = qk.fake_quantize(x, 0.5, 3, return_mask=True, **keywords)
    return [q, y, mask, *qk.observe(x, **keywords)]


def assert_same_outputs(x, plain):
    for one, other in zip(outputs(x), outputs(plain), strict=True):
        some.assert_same(one, other)


class TestInputs:
    @given(some.rngs, some.shapes(), some.layouts, some.float_names, some.layers)
    def test_the_layout_of_x_does_not_matter(self, rng, shape, layout, real, layer):
        plain = some.values(rng, shape, real)
        with qk.cpu.use(layer):
            assert_same_outputs(some.arranged(rng, plain, layout), plain)

    @given(some.rngs, some.shapes(), some.layouts, some.integer_names, some.layers)
    def test_the_layout_of_q_does_not_matter(self, rng, shape, layout, name, layer):
        plain = qk.quantize(some.values(rng, shape, "float32"), 0.5, dtype=name)
        with qk.cpu.use(layer):
            some.assert_same(qk.dequantize(some.arranged(rng, plain, layout), 0.5), qk.dequantize(plain, 0.5))

    @given(some.rngs, some.shapes(1), st.data(), some.float_names, some.layers)
    def test_zero_strides(self, rng, shape, data, real, layer):
        kept = [n if data.draw(st.booleans()) else 1 for n in shape]
        view = np.broadcast_to(some.values(rng, kept, real), shape)
        with qk.cpu.use(layer):
            assert_same_outputs(view, view.copy())

    @given(some.rngs, st.integers(1, 60), st.integers(1, 60), some.layers)
    def test_overlapping_windows(self, rng, n, width, layer):
        view = np.lib.stride_tricks.sliding_window_view(some.values(rng, (n + width,), "float32"), width)
        with qk.cpu.use(layer):
            assert_same_outputs(view, view.copy())

    @given(some.rngs, some.shapes(1), some.layouts)
    def test_layouts_of_parameters(self, rng, shape, layout):
        x = some.values(rng, shape, "float32")
        scale, zero = some.scales(rng, shape[-1:]), rng.integers(-128, 128, shape[-1:]).astype(np.int16)
        given_scale, given_zero = (some.arranged(rng, p, layout) for p in (scale, zero))
        some.assert_same(qk.quantize(x, given_scale, given_zero, axis=-1), qk.quantize(x, scale, zero, axis=-1))

    @given(some.rngs, some.shapes(), some.layouts, some.conventions)
    def test_inputs_stay_as_they_are(self, rng, shape, layout, convention):
        x = some.arranged(rng, some.values(rng, shape, "float32"), layout)
        before = x.tobytes()
        scale, zero = np.array(0.5, np.float32), np.array(3, np.int8)
        q = qk.quantize(x, scale, zero, convention=convention)
        held = q.tobytes()
        qk.fake_quantize(x, scale, zero, convention=convention, return_mask=True)
        qk.observe(x)
        qk.dequantize(q, scale, zero)
        assert (x.tobytes(), q.tobytes(), scale.item(), zero.item()) == (before, held, 0.5, 3)

    @given(some.rngs, st.integers(0, 300), some.layers)
    def test_buffers(self, rng, n, layer):
        plain = some.values(rng, (n,), "float32")
        with qk.cpu.use(layer):
            for view in (memoryview(plain), memoryview(plain.tobytes()).cast("f"), array.array("f", plain.tobytes())):
                assert_same_outputs(view, plain)

    @given(some.rngs, some.shapes(), st.sampled_from(["float32", "float16"]))
    def test_dlpack(self, rng, shape, real):
        plain = some.values(rng, shape, real)
        producer = Producer(plain)
        assert_same_outputs(producer, plain)
        assert producer.asked > 0
        q = qk.quantize(plain, 0.5)
        some.assert_same(qk.dequantize(Producer(q), 0.5), qk.dequantize(q, 0.5))

    @given(some.rngs, st.integers(0, 40))
    def test_lists_tuples_and_numbers(self, rng, n):
        plain = some.values(rng, (n,), "float32")
        for sequence in (plain.tolist(), tuple(plain.tolist())):
            assert_same_outputs(sequence, plain)
        assert_same_outputs(2.3, np.array(2.3, np.float32))
        assert_same_outputs(7, np.array(7, np.float32))
        assert_same_outputs(np.float16(2.3), np.array(2.3, np.float16))

    @given(st.lists(st.sampled_from([0, 1, 2, 5]), max_size=4), some.layers)
    def test_empty_arrays(self, shape, layer):
        if 0 not in shape:
            shape = [*shape, 0]
        x = np.empty(shape, np.float32)
        with qk.cpu.use(layer):
            q = qk.quantize(x, 0.5)
            assert (q.shape, q.dtype) == (x.shape, np.int8)
            assert qk.dequantize(q, 0.5).shape == qk.fake_quantize(x, 0.5).shape == x.shape
            assert qk.quantize(x, np.ones(shape[-1]), axis=-1).shape == x.shape
            for axis, n in enumerate(shape):
                wanted = (np.inf, -np.inf, 0, 0)
                for found, value in zip(qk.observe(x, axis=axis), wanted, strict=True):
                    assert found.tolist() == [value] * n

    def test_sixty_four_axes(self):
        x = np.linspace(-9, 9, 6, dtype=np.float32)
        deep = x.reshape((1,) * 30 + (2,) + (1,) * 31 + (3, 1))
        assert np.array_equal(qk.quantize(deep, 0.5).ravel(), qk.quantize(x, 0.5))

    def test_subclasses_of_ndarray_give_plain_arrays(self):
        x = np.ones((2, 3), np.float32).view(np.recarray)
        assert type(qk.quantize(x, 0.5)) is np.ndarray
        assert type(qk.fake_quantize(x, 0.5)) is np.ndarray


class Producer:
    """Something that only speaks DLPack, as a tensor of another library."""

    def __init__(self, a):
        self._array = a
        self.asked = 0

    def __dlpack__(self, **options):
        self.asked += 1
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class TestOut:
    @given(some.rngs, some.shapes(1), some.out_layouts, some.layouts, some.layers)
    def test_any_layout_to_any_other(self, rng, shape, to, layout, layer):
        plain = some.values(rng, shape, "float16")
        x = some.arranged(rng, plain, layout)
        for dtype, call in (
            (np.int8, lambda out: qk.quantize(x, 0.5, out=out)),
            (np.float16, lambda out: qk.fake_quantize(x, 0.5, out=out)),
        ):
            buffer, out = some.place(rng, shape, dtype, to)
            with qk.cpu.use(layer):
                fresh = call(None)
                if out.size:
                    assert call(out) is out
                    some.assert_same(out, fresh)
                    assert some.only_within(buffer, out)

    @given(some.rngs, some.narrow_names, st.integers(1, 5), st.integers(1, 70), st.sampled_from(["C", "misaligned"]))
    def test_packed(self, rng, name, m, n, layout):
        x = some.values(rng, (m, n), "float32")
        fresh = qk.quantize(x, 0.5, dtype=name, packed=True)
        buffer, out = some.place(rng, (m, fresh.shape[1] + 3), np.uint8, layout)
        out = out[::-1, 1:-2]
        assert qk.quantize(x, 0.5, dtype=name, packed=True, out=out) is out
        some.assert_same(out, fresh)
        assert some.only_within(buffer, out)

    @given(some.rngs, st.integers(1, 300))
    def test_overlap_is_refused_and_nothing_written(self, rng, n):
        memory = rng.integers(0, 256, 12 * n).astype(np.uint8)
        before = memory.copy()
        x = memory[4 * n : 8 * n].view(np.float32)
        at = int(rng.integers(3 * n + 1, 8 * n))  # out has at least a byte of x
        with pytest.raises(ValueError, match="out must not overlap an input"):
            qk.quantize(x, 0.5, out=memory[at : at + n].view(np.int8))
        at = 4 * n + int(rng.integers(1, 4 * n)) * int(rng.choice([-1, 1]))  # not x itself
        with pytest.raises(ValueError, match="out must not overlap an input"):
            qk.fake_quantize(x, 0.5, out=memory[at : at + 4 * n].view(np.float32))
        with pytest.raises(ValueError, match="out must not overlap an input"):
            qk.dequantize(memory[at : at + n].view(np.int8), 0.5, out=memory[at - 1 : at - 1 + 4 * n].view(np.float32))
        assert np.array_equal(memory, before)

    @given(some.rngs, st.integers(1, 50))
    def test_overlap_with_parameters_is_refused(self, rng, n):
        memory = some.scales(rng, (n,))
        before = memory.copy()
        x = some.values(rng, (n,), "float32")
        with pytest.raises(ValueError, match="out must not overlap an input"):
            qk.quantize(x, memory, axis=0, out=memory.view(np.int8)[:n])
        with pytest.raises(ValueError, match="out must not overlap an input"):
            qk.fake_quantize(x, memory, axis=0, out=memory)
        some.assert_same(memory, before)

    @given(some.rngs, st.integers(1, 300))
    def test_out_between_the_elements_of_x(self, rng, n):
        """Interleaved, not shared: allowed, as neither reads nor writes the other's bytes."""
        memory = np.zeros((n, 2), np.float32)
        memory[:, 0] = some.values(rng, (n,), "float32")
        fresh = qk.fake_quantize(memory[:, 0].copy(), 0.5)
        qk.fake_quantize(memory[:, 0], 0.5, out=memory[:, 1])
        some.assert_same(memory[:, 1], fresh)

    @given(some.rngs, some.shapes(1), st.sampled_from(["dtype", "shape", "readonly", "swapped", "list", "subtype"]))
    def test_a_wrong_out_is_refused_and_not_touched(self, rng, shape, wrong):
        x = some.values(rng, shape, "float32")
        held = np.full(shape, 77, np.int8)
        out, error = {
            "dtype": (held.view(np.uint8), TypeError),
            "shape": (held[None], ValueError),
            "readonly": (held.view(), ValueError),
            "swapped": (np.full(shape, 77, ">i2"), TypeError),
            "list": (held.tolist(), TypeError),
            "subtype": (held.view(ml_dtypes.int4) if held.size else held.view(np.bool_), TypeError),
        }[wrong]
        if wrong == "readonly":
            out.flags.writeable = False
        options = {"dtype": "int16"} if wrong == "swapped" else {}
        with pytest.raises(error, match=r"^out must"):
            qk.quantize(x, 0.5, out=out, **options)
        assert (np.asarray(out) == 77).all() if wrong in {"swapped", "list"} else (held == 77).all()

    @given(some.rngs, some.shapes(2))
    def test_a_broadcast_out_is_refused(self, rng, shape):
        if min(shape) < 2:
            return
        x = some.values(rng, shape, "float32")
        memory = np.full(shape[1:], 77, np.int8)
        out = np.lib.stride_tricks.as_strided(memory, shape, (0, *memory.strides))
        with pytest.raises(ValueError, match="out must have an element of memory for each element"):
            qk.quantize(x, 0.5, out=out)
        assert (memory == 77).all()


class TestPlain:
    """Contiguous arrays into contiguous arrays with parameters that need no conversion take a shorter way in."""

    @given(st.data(), some.conventions, st.sampled_from(some.GRAINS), st.sampled_from([np.int32, np.int64, None]))
    def test_same_as_the_thorough_way(self, data, convention, kind, points):
        case = data.draw(some.cases(kind, layout="C", specials=True))
        x, scale = case.x, np.ascontiguousarray(case.scale_given, np.float32).reshape(case.grain.given)
        if not case.grain.given:
            scale = data.draw(st.sampled_from([float, np.float32, np.asarray]))(scale)
        zero = (
            case.zero_given
            if points is None or not case.grain.given
            else np.asarray(0 if case.zero_given is None else case.zero_given, points)
        )
        options = {"convention": convention, **case.grain.keywords}
        q = qk.quantize(x, scale, zero, **options)
        y, mask = qk.fake_quantize(x, scale, zero, return_mask=True, **options)
        real = qk.dequantize(q, scale, zero, **case.grain.keywords)
        for name, wanted, call in (
            ("int8", q, lambda out: qk.quantize(x, scale, zero, out=out, **options)),
            ("float32", real, lambda out: qk.dequantize(q, scale, zero, out=out, **case.grain.keywords)),
            (x.dtype.name, y, lambda out: qk.fake_quantize(x, scale, zero, out=out, **options)),
        ):
            out = np.empty(x.shape, oracle.dtype(name))
            assert call(out) is out
            some.assert_same(out, wanted)
        kept = qk.fake_quantize(x, scale, zero, return_mask=True, out=x, **options)
        some.assert_same(x, y)
        some.assert_same(kept[1], mask)

    @given(some.rngs, st.integers(1, 6), st.integers(1, 40), st.integers(-9, 9), st.integers(1, 50))
    def test_refuses_what_the_thorough_way_refuses(self, rng, m, n, axis, size):
        x, held = some.values(rng, (m, n), "float32"), np.full((m, n), 77, np.int8)
        scale = some.scales(rng, (int(rng.choice([m, n, n + 1])),))
        for given_scale, keywords in (
            (scale, {"axis": axis}),
            (scale, {"axis": axis, "block_size": size}),
            (np.ones((m, -(-n // size)), np.float32), {"axis": axis, "block_size": size}),
        ):
            plain, thorough = (
                result_or_message(lambda out=out, s=s, k=keywords: qk.quantize(x, s, out=out, **k))
                for out, s in ((held, given_scale), (None, given_scale.tolist()))
            )
            if isinstance(thorough, str):
                assert plain == thorough
                assert (held == 77).all()
            else:
                some.assert_same(plain, thorough)
                held.fill(77)


def result_or_message(call):
    try:
        return call()
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("dtype", ["float64", "int8", "complex64", "bool", "S1", "O", "datetime64[s]"])
@pytest.mark.parametrize("function", [lambda x: qk.quantize(x, 1.0), lambda x: qk.fake_quantize(x, 1.0), qk.observe])
def test_dtypes_that_x_may_not_have(function, dtype):
    with pytest.raises(TypeError, match=r"x must have one of the dtypes float32, float16, bfloat16, not "):
        function(np.zeros(3, dtype))


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint32", "bool", "float8_e8m0fnu"])
def test_dtypes_that_q_may_not_have(dtype):
    with pytest.raises(TypeError, match="q must have one of the dtypes int8, uint8"):
        qk.dequantize(np.zeros(3, oracle.dtype(dtype)), 1.0)


class TestSizes:
    """Arrays of many more elements than memory has: a clean error at once."""

    HUGE = (2**40, (2**20, 2**20), (2**31, 3, 2**10), 2**60, (2**30, 1, 2**30))

    @pytest.mark.parametrize("shape", HUGE)
    def test_out_of_another_shape(self, shape):
        x = np.broadcast_to(np.float32(1), shape)
        out = np.zeros(16, np.int8)
        with pytest.raises(ValueError, match="out must have shape"):
            qk.quantize(x, 0.5, out=out)
        assert not out.any()

    @pytest.mark.parametrize("shape", HUGE)
    @pytest.mark.parametrize("keywords", [{"axis": 0}, {"block_size": 7}, {"axis": 0, "block_size": 2**62}])
    def test_scale_of_another_shape(self, shape, keywords):
        x, q = np.broadcast_to(np.float32(1), shape), np.broadcast_to(np.int8(1), shape)
        for call in (qk.quantize, qk.fake_quantize, qk.dequantize):
            with pytest.raises(ValueError, match="scale must be of shape"):
                call(q if call is qk.dequantize else x, np.ones(3), **keywords)

    @pytest.mark.parametrize("shape", [2**60, (2**30, 1, 2**30)])
    def test_results_that_no_memory_holds(self, shape):
        x, q = np.broadcast_to(np.float32(1), shape), np.broadcast_to(np.int8(1), shape)
        for call in (
            lambda: qk.quantize(x, 0.5),
            lambda: qk.quantize(x, 0.5, dtype="int4", packed=True),
            lambda: qk.dequantize(q, 0.5),
            lambda: qk.fake_quantize(x, 0.5),
        ):
            with pytest.raises(MemoryError):
                call()

    def test_overlapping_strides_of_a_huge_out(self):
        memory = np.full(64, 7, np.int8)
        out = np.lib.stride_tricks.as_strided(memory, (2**20, 2**20), (0, 0))
        with pytest.raises(ValueError, match=r"^out must"):
            qk.quantize(np.broadcast_to(np.float32(1), out.shape), 0.5, out=out)
        assert (memory == 7).all()

    @pytest.mark.parametrize("shape", [(0, 2**40), (2**40, 0), (2**31, 0, 2**20)])
    def test_huge_and_empty(self, shape):
        x = np.empty(shape, np.float32)
        assert qk.quantize(x, 0.5).shape == qk.fake_quantize(x, 0.5).shape == shape
        assert qk.observe(x).min == np.inf

    @slow_when_emulated
    def test_more_than_2_to_the_31_elements(self):
        """Read only, through a zero stride: the counts say that every element was seen."""
        n = 2**31 + 5
        x = np.broadcast_to(np.array([1.5, np.nan], np.float32)[:, None], (2, n))
        found = qk.observe(x, axis=0)
        assert found.nan_count.tolist() == [0, n]
        assert found.max.tolist() == [1.5, -np.inf]

    def test_block_sizes_beyond_any_axis(self):
        x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
        for block in (4, 5, 2**31, 2**62, 2**63, 10**30):
            some.assert_same(qk.quantize(x, np.full((2, 3, 1), 0.5), block_size=block), qk.quantize(x, 0.5))
