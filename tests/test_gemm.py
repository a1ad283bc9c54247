"""matmul, pack and PackedMatrix: exact for every input, layout, layer and number of threads."""

from __future__ import annotations

import copy
import pickle
import threading

import gemm_oracle as oracle
import numpy as np
import pytest
import strategies as some
from hypothesis import given, settings
from hypothesis import strategies as st

import pyquantk as qk

SIZES = st.one_of(st.integers(0, 20), st.sampled_from([31, 33, 63, 64, 65, 100, 130]))
names = st.sampled_from(oracle.OPERANDS)
kinds = st.sampled_from(oracle.KINDS)


def zeros(draw, rng, name, count):
    """A zero point as users give one: none, a number, one of each row (column)."""
    low, high = oracle.LIMITS[name]
    return draw(
        st.one_of(st.none(), st.integers(low, high), st.just(rng.integers(low, high + 1, count).astype(np.int32)))
    )


@st.composite
def matrices(draw):
    """a, b and their zero points."""
    m, n, k = draw(SIZES), draw(SIZES), draw(SIZES)
    rng, a_name, b_name = draw(some.rngs), draw(names), draw(names)
    a = oracle.operand(rng, (m, k), a_name, draw(kinds))
    b = oracle.operand(rng, (k, n), b_name, draw(kinds))
    return a, b, zeros(draw, rng, a_name, m), zeros(draw, rng, b_name, n)


class TestMatrices:
    @given(matrices(), some.layers)
    def test_is_the_exact_product(self, case, layer):
        a, b, a_zero, b_zero = case
        with qk.cpu.use(layer):
            some.assert_same(
                qk.matmul(a, b, a_zero_point=a_zero, b_zero_point=b_zero), oracle.product(a, b, a_zero, b_zero)
            )

    @given(matrices(), some.layers, st.booleans())
    def test_packed_is_plain(self, case, layer, own):
        a, b, a_zero, b_zero = case
        with qk.cpu.use(layer):
            packed = qk.pack(b, zero_point=b_zero if own else None)
            given_zero = None if own else b_zero
            found = qk.matmul(a, packed, a_zero_point=a_zero, b_zero_point=given_zero)
        some.assert_same(found, oracle.product(a, b, a_zero, b_zero))

    @given(matrices(), some.rngs, some.layouts, some.layouts, some.out_layouts, st.booleans())
    def test_any_memory(self, case, rng, a_layout, b_layout, out_layout, packs):
        """Whatever the strides, no byte outside `out` changes."""
        a, b, a_zero, b_zero = case
        wanted = oracle.product(a, b, a_zero, b_zero)
        buffer, out = some.place(rng, wanted.shape, np.int32, out_layout)
        b_there = some.arranged(rng, b, b_layout)
        operand = qk.pack(b_there) if packs else b_there
        found = qk.matmul(some.arranged(rng, a, a_layout), operand, a_zero_point=a_zero, b_zero_point=b_zero, out=out)
        assert found is out
        some.assert_same(found, wanted)
        assert some.only_within(buffer, out)

    @pytest.mark.parametrize("a_name", oracle.OPERANDS)
    @pytest.mark.parametrize("b_name", oracle.OPERANDS)
    def test_extremes_up_to_the_last_exact_k(self, isa, a_name, b_name):
        """255 * 255 * 33025 is the last that fits an int32."""
        rng = np.random.default_rng(5)
        for k in (1024, 33025):
            for kind in oracle.KINDS:
                a = oracle.operand(rng, (5, k), a_name, kind)
                b = oracle.operand(rng, (k, 18), b_name, kind)
                some.assert_same(qk.matmul(a, b), oracle.product(a, b))

    def test_modulo_beyond(self, isa):
        a, b = np.full((2, 40000), 255, np.uint8), np.full((40000, 3), 255, np.uint8)
        assert oracle.product(a, b).min() < 0
        some.assert_same(qk.matmul(a, b), oracle.product(a, b))
        some.assert_same(qk.matmul(a, b, a_zero_point=255, b_zero_point=0), np.zeros((2, 3), np.int32))

    @pytest.mark.parametrize("m", [*range(14), 33, 200])
    def test_every_height(self, isa, m):
        """Each number of rows that a micro-kernel or an edge may have, and each neighbouring width."""
        rng = np.random.default_rng(m)
        for n in (1, 15, 16, 17, 47, 48, 49, 64, 65):
            for k in (1, 3, 4, 5, 64, 67):
                a, b = oracle.operand(rng, (m, k), "int8"), oracle.operand(rng, (k, n), "uint8")
                some.assert_same(qk.matmul(a, b, a_zero_point=-3, b_zero_point=200), oracle.product(a, b, -3, 200))


@st.composite
def batched(draw):
    """Shapes that numpy.matmul accepts: vectors, matrices, and batches that broadcast."""
    k = draw(st.integers(0, 9))
    batch = draw(st.lists(st.integers(0, 3), max_size=3))

    def leading():
        cut = draw(st.integers(0, len(batch)))
        return [1 if draw(st.booleans()) else n for n in batch[cut:]]

    a = (k,) if draw(st.integers(0, 4)) == 0 else (*leading(), draw(st.integers(0, 6)), k)
    b = (k,) if draw(st.integers(0, 4)) == 0 else (*leading(), k, draw(st.integers(0, 20)))
    return a, b


class TestShapes:
    @given(batched(), some.rngs, names, names, some.layouts, some.layouts, some.out_layouts, st.booleans())
    def test_is_numpy_matmul(self, shapes, rng, a_name, b_name, a_layout, b_layout, out_layout, with_out):
        a, b = (oracle.operand(rng, shape, name) for shape, name in zip(shapes, (a_name, b_name), strict=True))
        wanted = oracle.product(a, b)
        out = some.place(rng, wanted.shape, np.int32, out_layout)[1] if with_out else None
        found = qk.matmul(some.arranged(rng, a, a_layout), some.arranged(rng, b, b_layout), out=out)
        assert out is None or found is out
        some.assert_same(found, wanted)

    @given(st.lists(st.integers(0, 3), max_size=3), some.rngs, some.layouts, some.out_layouts)
    def test_batches_with_packed(self, batch, rng, layout, out_layout):
        a, b = oracle.operand(rng, (*batch, 5, 12), "uint8"), oracle.operand(rng, (12, 7), "int8")
        out = some.place(rng, (*batch, 5, 7), np.int32, out_layout)[1]
        rows = rng.integers(0, 256, 5)
        found = qk.matmul(some.arranged(rng, a, layout), qk.pack(b, zero_point=3), a_zero_point=rows, out=out)
        some.assert_same(found, oracle.product(a, b, rows, 3))

    def test_stride_zero_broadcasts(self):
        rng = np.random.default_rng(1)
        a = np.broadcast_to(oracle.operand(rng, (1, 40), "int8"), (6, 40))
        b = np.broadcast_to(oracle.operand(rng, (40, 1), "uint8"), (40, 9))
        some.assert_same(qk.matmul(a, b), oracle.product(a, b))
        some.assert_same(qk.matmul(a, qk.pack(b)), oracle.product(a, b))

    def test_dlpack_and_memoryviews(self):
        a, b = np.arange(6, dtype=np.int8).reshape(2, 3), np.arange(12, dtype=np.uint8).reshape(3, 4)
        some.assert_same(qk.matmul(memoryview(a), memoryview(b)), oracle.product(a, b))

    def test_sizes_past_any_memory_are_refused(self):
        """A broadcast view has any shape without any memory."""
        with pytest.raises((ValueError, MemoryError)):
            qk.pack(np.broadcast_to(np.int8(1), (2**40, 2**20)))


class TestPacked:
    def test_attributes(self):
        b = np.arange(12, dtype=np.uint8).reshape(3, 4)
        packed = qk.pack(b.T, zero_point=[1, 2, 3], group_size=2)
        assert (packed.shape, packed.dtype, packed.group_size) == ((4, 3), np.uint8, 2)
        assert packed.layer in qk.cpu.layers()
        assert packed.nbytes >= b.nbytes
        np.testing.assert_array_equal(packed.zero_point, [1, 2, 3])
        assert repr(packed).startswith("PackedMatrix(4 x 3 uint8, zero_point=<int32 (3,)>, group_size=2, layer=")
        assert not packed.zero_point.flags.writeable
        for name in ("shape", "dtype", "zero_point", "layer", "anything"):
            with pytest.raises((AttributeError, TypeError)):
                setattr(packed, name, None)

    @given(SIZES, SIZES, names, some.rngs, some.layouts, st.sampled_from([None, 1, 16, 32, 1000]), some.layers)
    def test_unpack_is_the_inverse(self, k, n, name, rng, layout, group_size, layer):
        b = oracle.operand(rng, (k, n), name)
        with qk.cpu.use(layer):
            packed = qk.pack(some.arranged(rng, b, layout), group_size=group_size)
        some.assert_same(packed.unpack(), b)
        assert packed.shape == (k, n)

    def test_zero_point_is_its_own_copy(self):
        points = np.array([1, 2], np.int32)
        packed = qk.pack(np.ones((3, 2), np.int8), zero_point=points)
        points[:] = 100
        some.assert_same(qk.matmul(np.ones((1, 3), np.int8), packed), np.array([[0, -3]], np.int32))

    @pytest.mark.parametrize("copied", [pickle.loads, copy.copy, copy.deepcopy])
    def test_copies(self, copied):
        rng = np.random.default_rng(3)
        a, b = oracle.operand(rng, (7, 50), "int8"), oracle.operand(rng, (50, 70), "uint8")
        packed = qk.pack(b, zero_point=rng.integers(0, 256, 70), group_size=25)
        other = copied(pickle.dumps(packed) if copied is pickle.loads else packed)
        some.assert_same(other.unpack(), b)
        some.assert_same(qk.matmul(a, other), qk.matmul(a, packed))
        assert other.group_size == 25

    def test_pickles_hold_plain_weights(self):
        """The same bytes, whichever layer made them."""
        b = np.arange(200, dtype=np.uint8).reshape(10, 20)
        dumps = set()
        for layer in some.LAYERS:
            with qk.cpu.use(layer):
                dumps.add(pickle.dumps(qk.pack(b, zero_point=3)))
        assert len(dumps) == 1

    def test_follows_the_layer(self):
        rng = np.random.default_rng(4)
        a, b = oracle.operand(rng, (9, 130), "uint8"), oracle.operand(rng, (130, 75), "int8")
        packed = qk.pack(b, zero_point=-5)
        wanted = oracle.product(a, b, None, -5)
        sizes = []
        for _ in range(2):
            for layer in some.LAYERS:
                with qk.cpu.use(layer):
                    some.assert_same(qk.matmul(a, packed), wanted)
                    assert packed.layer in some.LAYERS[: some.LAYERS.index(layer) + 1]
                    some.assert_same(packed.unpack(), b)
            sizes.append(packed.nbytes)
        assert sizes[0] == sizes[1], "each layout is made once"
        with pytest.raises(AttributeError):
            packed.slot  # noqa: B018

    def test_layers_switched_by_another_thread(self):
        """A product that meets a matrix of the layer before packs it again; the result is never wrong."""
        rng = np.random.default_rng(6)
        a, b = oracle.operand(rng, (3, 40), "int8"), oracle.operand(rng, (40, 20), "int8")
        wanted = oracle.product(a, b)
        done = threading.Event()

        def switch():
            while not done.is_set():
                for layer in some.LAYERS:
                    with qk.cpu.use(layer):
                        pass

        switching = threading.Thread(target=switch)
        before = qk.cpu.active()
        switching.start()
        try:
            for _ in range(300):
                some.assert_same(qk.matmul(a, qk.pack(b)), wanted)
        finally:
            done.set()
            switching.join()
        assert qk.cpu.active() == before


class TestThreads:
    @settings(max_examples=20)
    @given(some.rngs, st.sampled_from([(1, 700, 900), (3, 2000, 300), (300, 300, 70), (129, 257, 515)]))
    def test_any_number(self, rng, shape):
        m, n, k = shape
        a, b = oracle.operand(rng, (m, k), "int8"), oracle.operand(rng, (k, n), "uint8")
        wanted = oracle.product(a, b, 5, 100)
        packed = qk.pack(b, zero_point=100)
        for threads in (1, 2, 3, 8):
            with qk.thread_limit(threads):
                some.assert_same(qk.matmul(a, packed, a_zero_point=5), wanted)
                some.assert_same(qk.matmul(a, b, a_zero_point=5, b_zero_point=100), wanted)

    def test_thirty_two_threads_of_mixed_calls(self):
        rng = np.random.default_rng(8)
        b = oracle.operand(rng, (256, 320), "int8")
        packed = qk.pack(b, zero_point=2)
        layer = qk.QuantizedLinear(rng.normal(size=(320, 256)).astype(np.float32), activation="silu")
        jobs = []
        for i in range(32):
            a = oracle.operand(rng, (1 + 9 * i, 256), ("int8", "uint8")[i % 2])
            x = rng.normal(size=(1 + i, 256)).astype(np.float32)
            jobs.append((a, x, oracle.product(a, b, 1, 2), layer(x)))
        wrong: list[object] = []
        start = threading.Barrier(32)

        def work(a, x, product, y):
            start.wait()
            try:
                for i in range(12):
                    if i % 3 == 0:
                        some.assert_same(layer(x), y)
                    else:
                        operand, zero = (packed, None) if i % 3 == 1 else (b, 2)
                        some.assert_same(qk.matmul(a, operand, a_zero_point=1, b_zero_point=zero), product)
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=work, args=job) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


A, B, P = np.ones((2, 3), np.int8), np.ones((3, 4), np.uint8), qk.pack(np.ones((3, 4), np.uint8), zero_point=1)
ERRORS = [
    (TypeError, "a must have one of the dtypes int8, uint8, not float32", [A.astype(np.float32), B], {}),
    (TypeError, "b must have one of the dtypes int8, uint8, not int16", [A, B.astype(np.int16)], {}),
    (TypeError, "a must have one of the dtypes int8, uint8, not object", [None, B], {}),
    (TypeError, "b must have one of the dtypes int8, uint8, not int64", [A, [[1], [2], [3]]], {}),
    (TypeError, "a must have one of the dtypes int8, uint8, not object", [P, B], {}),
    (ValueError, "a must have at least one axis, not be 0-d", [np.int8(1), B], {}),
    (ValueError, "b must have at least one axis, not be 0-d", [A, np.int8(1)], {}),
    (
        ValueError,
        r"a and b must have the same K, not 2 \(a of shape \(3, 2\)\) and 3 \(b of shape \(3, 4\)\)",
        [A.T, B],
        {},
    ),
    (ValueError, r"a and b must have the same K, not 2 .* and 3 \(b of shape \(3, 4\)\)", [A.T, P], {}),
    (
        ValueError,
        r"the leading axes of a and b must broadcast, not be \(2,\) and \(3,\)",
        [np.ones((2, 2, 3), np.int8), np.ones((3, 3, 2), np.int8)],
        {},
    ),
    (ValueError, r"a_zero_point must be in \[-128, 127\] for int8, not 128", [A, B], {"a_zero_point": 128}),
    (ValueError, r"b_zero_point must be in \[0, 255\] for uint8, not -1", [A, B], {"b_zero_point": -1}),
    (ValueError, r"b_zero_point must be in \[0, 255\] for uint8, not 256", [A, B], {"b_zero_point": [0, 0, 256, 0]}),
    (ValueError, r"b_zero_point must be in \[0, 255\] for uint8, not", [A, B], {"b_zero_point": 10**30}),
    (TypeError, "a_zero_point must be integers, not float64", [A, B], {"a_zero_point": 1.0}),
    (TypeError, "a_zero_point must be integers, not bool", [A, B], {"a_zero_point": True}),
    (
        ValueError,
        r"a_zero_point must be a single integer or of shape \(2,\), not of shape \(3,\)",
        [A, B],
        {"a_zero_point": [1, 2, 3]},
    ),
    (
        ValueError,
        r"b_zero_point must be a single integer or of shape \(4,\), not of shape \(1, 4\)",
        [A, B],
        {"b_zero_point": [[1, 2, 3, 4]]},
    ),
    (ValueError, "b_zero_point must be None where b was packed with a zero point", [A, P], {"b_zero_point": 1}),
    (TypeError, "out must be a numpy.ndarray, not list", [A, B], {"out": [[0] * 4] * 2}),
    (TypeError, "out must have dtype int32 in native byte order, not int64", [A, B], {"out": np.zeros((2, 4), int)}),
    (ValueError, r"out must have shape \(2, 4\), not \(4, 2\)", [A, B], {"out": np.zeros((4, 2), np.int32)}),
    (ValueError, r"out must have shape \(2,\), not \(2, 1\)", [A, B[:, 0]], {"out": np.zeros((2, 1), np.int32)}),
]


@pytest.mark.parametrize(("error", "message", "arguments", "keywords"), ERRORS, ids=[e[1][:90] for e in ERRORS])
def test_errors(error, message, arguments, keywords):
    out = np.full((2, 4), 77, np.int32)
    for options in ({}, {"out": out}):
        with pytest.raises(error, match=message):
            qk.matmul(*arguments, **{**options, **keywords})
    assert (out == 77).all()


def test_out_must_be_apart():
    memory = np.zeros(64, np.int32)
    out = memory[:8].reshape(2, 4)
    a, b = memory.view(np.int8)[:6].reshape(2, 3), memory.view(np.int8)[20:32].reshape(3, 4)
    free_a, free_b = A, B.view(np.int8)
    for operands in ((a, free_b), (free_a, b), (a, qk.pack(free_b))):
        with pytest.raises(ValueError, match="out must not overlap an input"):
            qk.matmul(*operands, out=out)
    with pytest.raises(ValueError, match="out must not overlap an input"):
        qk.matmul(free_a, free_b, a_zero_point=memory[4:6], out=out)
    assert not memory.any()
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writeable"):
        qk.matmul(free_a, free_b, out=out)


@pytest.mark.parametrize(
    ("error", "message", "arguments", "keywords"),
    [
        (TypeError, "b must have one of the dtypes int8, uint8, not float64", [np.ones((2, 2))], {}),
        (ValueError, r"b must be a matrix \(K, N\), not of shape \(3,\)", [A[0]], {}),
        (ValueError, r"b must be a matrix \(K, N\), not of shape \(1, 2, 3\)", [A[None]], {}),
        (ValueError, r"zero_point must be in \[-128, 127\] for int8, not 200", [A], {"zero_point": 200}),
        (ValueError, r"zero_point must be a single integer or of shape \(3,\), not", [A], {"zero_point": [1, 2]}),
        (ValueError, "group_size must be at least 1, not 0", [A], {"group_size": 0}),
        (TypeError, "group_size must be an integer, not 1.5", [A], {"group_size": 1.5}),
    ],
)
def test_errors_of_pack(error, message, arguments, keywords):
    with pytest.raises(error, match=message):
        qk.pack(*arguments, **keywords)
