"""qmatmul: the fused epilogue against its formulas in NumPy, bit for bit."""

from __future__ import annotations

import math
from types import SimpleNamespace

import gemm_oracle as oracle
import numpy as np
import pytest
import strategies as some
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk

SIZES = st.one_of(st.integers(0, 18), st.sampled_from([31, 48, 65, 100]))
CLAMPS = {None: None, "relu": (0, np.inf), "relu6": (0, 6), (-1.5, 2.0): (-1.5, 2.0)}
FLOATS = st.sampled_from(["float32", "float16", "bfloat16"])
INTEGERS = st.sampled_from(["int8", "uint8", "int16"])
names = st.sampled_from(oracle.OPERANDS)


def scale_of(rng, shape):
    """Steps of ordinary size, one of them far away."""
    s = (rng.uniform(0.001, 0.1, shape)).astype(np.float32)
    if s.ndim and s.size:
        s.reshape(-1)[0] = rng.choice(np.array([1e-30, 1e20, -0.5, 0.0], np.float32))
    return s


@st.composite
def products(draw, groups=True):
    """a, b, scales, zero points and a bias, as keywords of qmatmul."""
    m, n, k = draw(SIZES), draw(SIZES), draw(SIZES)
    rng, a_name, b_name = draw(some.rngs), draw(names), draw(names)
    a, b = oracle.operand(rng, (m, k), a_name), oracle.operand(rng, (k, n), b_name)
    size = draw(st.sampled_from([d for d in (1, 2, 3, 16, 32) if k and k % d == 0] or [0])) if groups else 0
    by_group = size and draw(st.booleans())
    keywords = {
        "a_scale": scale_of(rng, (m,) if draw(st.booleans()) else ()),
        "b_scale": scale_of(rng, (k // size, n) if by_group else (n,) if draw(st.booleans()) else ()),
    }
    if draw(st.booleans()):
        keywords["bias"] = rng.normal(size=n).astype(np.float32) * 10
    for name, operand, count in (("a_zero_point", a_name, m), ("b_zero_point", b_name, n)):
        low, high = oracle.LIMITS[operand]
        if draw(st.booleans()):
            shape = (count,) if draw(st.booleans()) else ()
            points = rng.integers(low, high + 1, shape)
            keywords[name] = points.astype(rng.choice(["int32", "int64"])) if shape else int(points)
    return rng, a, b, keywords


def expected(a, b, keywords):
    return oracle.scaled(
        a,
        b,
        keywords["a_scale"],
        keywords["b_scale"],
        keywords.get("a_zero_point"),
        keywords.get("b_zero_point"),
        keywords.get("bias"),
    )


class TestFloat:
    @given(products(), FLOATS, st.sampled_from(list(CLAMPS)), some.layers, st.booleans())
    def test_is_the_formula(self, case, dtype, activation, layer, packs):
        _, a, b, keywords = case
        with np.errstate(all="ignore"):
            y = expected(a, b, keywords)
            if CLAMPS[activation]:
                y = oracle.clamped(y, *CLAMPS[activation])
            wanted = oracle.narrowed(y, dtype)
        with qk.cpu.use(layer):
            found = qk.qmatmul(a, qk.pack(b) if packs else b, activation=activation, dtype=dtype, **keywords)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found.astype(np.float32), wanted.astype(np.float32))

    @given(products(), FLOATS, some.layouts, some.layouts, some.out_layouts)
    def test_any_memory(self, case, dtype, a_layout, b_layout, out_layout):
        rng, a, b, keywords = case
        wanted = qk.qmatmul(a, b, dtype=dtype, **keywords)
        buffer, out = some.place(rng, wanted.shape, wanted.dtype, out_layout)
        strided = {
            name: some.arranged(rng, value, "strided") if isinstance(value, np.ndarray) else value
            for name, value in keywords.items()
        }
        b = some.arranged(rng, b, b_layout)
        assert qk.qmatmul(some.arranged(rng, a, a_layout), b, dtype=dtype, out=out, **strided) is out
        some.assert_same(out, wanted)
        assert some.only_within(buffer, out)

    @given(products(), FLOATS, st.sampled_from(["gelu", "gelu_tanh", "silu"]))
    def test_curves_have_the_same_bits_on_every_layer(self, case, dtype, activation):
        _, a, b, keywords = case
        found = []
        for layer in some.LAYERS:
            with qk.cpu.use(layer):
                found.append(qk.qmatmul(a, b, activation=activation, dtype=dtype, **keywords))
        for other in found[1:]:
            some.assert_same(other, found[0])

    @pytest.mark.parametrize(
        ("activation", "formula"),
        [
            ("gelu", lambda y: y / 2 * (1 + math.erf(y / math.sqrt(2)))),
            ("gelu_tanh", lambda y: y / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))),
            ("silu", lambda y: y / (1 + math.exp(-y)) if y > -700 else 0.0),
        ],
    )
    def test_curves_are_those_functions(self, isa, activation, formula):
        """At 65,536 points; within 1e-6 of the larger of 1 and |y|. The C tests count the ulps."""
        a = np.arange(-128, 128).astype(np.int8)[:, None]
        b = np.arange(0, 256).astype(np.uint8)[None, :]
        for scale in (0.0001, 0.001, 0.05):
            x = qk.qmatmul(a, b, a_scale=1.0, b_scale=scale).astype(np.float64)
            y = qk.qmatmul(a, b, a_scale=1.0, b_scale=scale, activation=activation)
            right = np.array([formula(v) for v in x.reshape(-1)]).reshape(x.shape)
            np.testing.assert_allclose(y, right, rtol=1e-6, atol=1e-6)

    def test_rows_do_not_depend_on_the_batch(self):
        rng = np.random.default_rng(2)
        a, b = oracle.operand(rng, (70, 200), "int8"), oracle.operand(rng, (200, 90), "int8")
        scales = {"a_scale": rng.random(70).astype(np.float32), "b_scale": rng.random((5, 90)).astype(np.float32)}
        packed = qk.pack(b, group_size=40)
        whole = qk.qmatmul(a, packed, activation="gelu", **scales)
        for rows in (slice(0, 1), slice(3, 10), slice(20, 69)):
            part = {**scales, "a_scale": scales["a_scale"][rows]}
            some.assert_same(qk.qmatmul(a[rows], packed, activation="gelu", **part), whole[rows])

    @given(st.lists(st.integers(0, 3), max_size=2), some.rngs, some.out_layouts, st.booleans())
    def test_scales_of_every_row_of_a_batch(self, batch, rng, out_layout, packs):
        a, b = oracle.operand(rng, (*batch, 4, 10), "int8"), oracle.operand(rng, (10, 6), "int8")
        each = rng.random((*batch, 4)).astype(np.float32)
        out = some.place(rng, (*batch, 4, 6), np.float32, out_layout)[1]
        found = qk.qmatmul(a, qk.pack(b) if packs else b, a_scale=each, b_scale=0.5, out=out)
        wanted = oracle.scaled(a.reshape(-1, 10), b, each.reshape(-1), 0.5).reshape(found.shape)
        some.assert_same(found, wanted)

    @given(some.rngs, st.sampled_from([(3, 8), (2, 1, 8), (8,)]), st.sampled_from([(2, 8, 5), (8, 5), (8,)]))
    def test_batches(self, rng, a_shape, b_shape):
        a, b = oracle.operand(rng, a_shape, "uint8"), oracle.operand(rng, b_shape, "int8")
        columns = 1 if len(b_shape) == 1 else b_shape[-1]
        scale = rng.random(columns).astype(np.float32)
        found = qk.qmatmul(a, b, a_scale=0.25, b_scale=scale, a_zero_point=7, bias=scale)
        wanted = oracle.product(a, b, 7).astype(np.float32)
        step = np.float32(0.25) * scale
        if len(b_shape) == 1:
            step, bias = step[0], scale[0]
        else:
            bias = scale
        some.assert_same(found, oracle.fused(wanted, step, bias))

    def test_a_short_last_group(self, isa):
        rng = np.random.default_rng(9)
        a, b = oracle.operand(rng, (6, 70), "int8"), oracle.operand(rng, (70, 9), "int8")
        scale = rng.random((3, 9)).astype(np.float32)
        total = np.zeros((6, 9), np.float32)
        for g, part in enumerate((slice(0, 32), slice(32, 64), slice(64, 70))):
            total = oracle.fused(oracle.product(a[:, part], b[part]).astype(np.float32), scale[g], total)
        found = qk.qmatmul(a, qk.pack(b, group_size=32), a_scale=0.5, b_scale=scale)
        some.assert_same(found, oracle.fused(total, np.float32(0.5), np.float32(0)))

    def test_groups_other_than_those_of_the_packing_are_refused(self):
        packed = qk.pack(np.ones((64, 2), np.int8), group_size=32)
        with pytest.raises(ValueError, match=r"b_scale must be of shape \(2, 2\), not \(4, 2\)"):
            qk.qmatmul(np.ones((1, 64), np.int8), packed, a_scale=1.0, b_scale=np.ones((4, 2)))


class TestIntegers:
    @given(products(groups=False), INTEGERS, st.sampled_from([None, "relu", (-1.5, 2.0)]), some.layers, some.rngs)
    def test_is_the_formula(self, case, dtype, activation, layer, rng):
        _, a, b, keywords = case
        low, high = oracle.LIMITS[dtype]
        out_scale, out_zero = float(np.float32(rng.uniform(0.01, 2))), int(rng.integers(low, high + 1))
        wanted = oracle.requantized(
            a,
            b,
            dtype,
            keywords["a_scale"],
            keywords["b_scale"],
            out_scale,
            out_zero,
            keywords.get("a_zero_point"),
            keywords.get("b_zero_point"),
            keywords.get("bias"),
            CLAMPS[activation],
        )
        with qk.cpu.use(layer):
            found = qk.qmatmul(
                a,
                b,
                dtype=dtype,
                activation=activation,
                out_scale=out_scale,
                out_zero_point=out_zero,
                **keywords,
            )
        some.assert_same(found, wanted)

    @given(products(), INTEGERS, st.sampled_from(["gelu", "silu", "gelu_tanh"]), some.layers)
    def test_after_curves(self, case, dtype, activation, layer):
        _, a, b, keywords = case
        with qk.cpu.use(layer):
            y = qk.qmatmul(a, b, activation=activation, **keywords)
            found = qk.qmatmul(a, b, activation=activation, dtype=dtype, out_scale=0.5, out_zero_point=3, **keywords)
        some.assert_same(found, qk.quantize(y, 0.5, 3, dtype=dtype))

    @given(some.rngs, INTEGERS, st.sampled_from(["single", "double", "rndnu"]), some.layers, st.booleans())
    def test_by_fixed_point_multipliers(self, rng, dtype, rounding, layer, by_column):
        m, n, k = (int(v) for v in rng.integers(1, 20, 3))
        a, b = oracle.operand(rng, (m, k), "int8"), oracle.operand(rng, (k, n), "uint8")
        shape = (n,) if by_column else ()
        m0 = rng.integers(2**30, 2**31, shape).astype(np.int32)
        shift = rng.integers(-16, 1, shape).astype(np.int32)
        low, high = oracle.LIMITS[dtype]
        out_zero = int(rng.integers(low, high + 1))
        acc = oracle.product(a, b, 3, 100)
        every = np.broadcast_to(m0, acc.shape), np.broadcast_to(shift, acc.shape)
        wanted = [
            min(max(oracle.fixed_point(int(v), int(f), int(s), rounding) + out_zero, low), high)
            for v, f, s in zip(acc.flat, every[0].flat, every[1].flat, strict=True)
        ]
        with qk.cpu.use(layer):
            found = qk.qmatmul(
                a,
                b,
                a_scale=None,
                b_scale=None,
                a_zero_point=3,
                b_zero_point=100,
                dtype=dtype,
                out_scale=SimpleNamespace(m0=m0, shift=shift),
                out_zero_point=out_zero,
                rounding=rounding,
            )
        some.assert_same(found, np.array(wanted, dtype).reshape(acc.shape))


A, B = np.ones((2, 4), np.int8), np.ones((4, 3), np.uint8)
FIXED = SimpleNamespace(m0=np.int32(2**30), shift=np.int32(0))
ACTIVATIONS = "activation must be None, 'relu', 'relu6', 'gelu', 'gelu_tanh', 'silu', or .low, high. in order, not "
ERRORS = [
    (TypeError, "a_scale must be real numbers, not <U1", {"a_scale": "1"}),
    (TypeError, "b_scale must be real numbers, not object", {"b_scale": None}),
    (TypeError, "bias must be real numbers, not complex128", {"bias": [1j, 0, 0]}),
    (ValueError, r"a_scale must be a single number or of shape \(2,\), not of shape \(3,\)", {"a_scale": [1, 2, 3]}),
    (ValueError, r"a_scale must be a single number or of shape \(2,\), not of shape \(2, 1\)", {"a_scale": [[1], [2]]}),
    (
        ValueError,
        r"b_scale must be a single number or of shape \(3,\) or \(groups, 3\), not of shape \(2,\)",
        {"b_scale": [1, 2]},
    ),
    (ValueError, r"b_scale must be of shape \(K / g, 3\) with K = 4, not \(3, 3\)", {"b_scale": np.ones((3, 3))}),
    (ValueError, r"b_scale must be of shape \(K / g, 3\) with K = 4, not \(2, 4\)", {"b_scale": np.ones((2, 4))}),
    (ValueError, r"b_scale must be of shape \(K / g, 3\) with K = 4, not \(0, 3\)", {"b_scale": np.ones((0, 3))}),
    (ValueError, "b_scale must be .*not of shape", {"b_scale": np.ones((1, 2, 3))}),
    (ValueError, "b_scale must be an array of real numbers", {"b_scale": [[1], [1, 2]]}),
    (ValueError, r"bias must be of shape \(3,\), not of shape \(\)", {"bias": 1.0}),
    (ValueError, r"bias must be of shape \(3,\), not of shape \(2,\)", {"bias": [1.0, 2.0]}),
    (ValueError, r"a_zero_point must be in \[-128, 127\] for int8, not 128", {"a_zero_point": 128}),
    (ValueError, r"b_zero_point must be in \[0, 255\] for uint8, not -1", {"b_zero_point": -1}),
    (ValueError, ACTIVATIONS + "'tanh'", {"activation": "tanh"}),
    (ValueError, ACTIVATIONS + r"\(1, 0\)", {"activation": (1, 0)}),
    (ValueError, ACTIVATIONS + r"\(nan, 0\)", {"activation": (float("nan"), 0)}),
    (ValueError, ACTIVATIONS + r"\(1, 2, 3\)", {"activation": (1, 2, 3)}),
    (ValueError, ACTIVATIONS + r"\('a', 'b'\)", {"activation": ("a", "b")}),
    (ValueError, ACTIVATIONS + "6", {"activation": 6}),
    (TypeError, "dtype must be one of float32, float16, bfloat16, int8, uint8, int16, not 'int4'", {"dtype": "int4"}),
    (TypeError, "dtype must be one of float32, .*, not None", {"dtype": None}),
    (ValueError, "out_scale must be given where dtype is int8", {"dtype": "int8"}),
    (ValueError, "out_scale must be None where dtype is float32, not 1.0", {"out_scale": 1.0}),
    (ValueError, r"out_scale must be a single number, not of shape \(3,\)", {"dtype": "int8", "out_scale": [1, 2, 3]}),
    (ValueError, "out_zero_point must be None where dtype is float32, not 1", {"out_zero_point": 1}),
    (
        ValueError,
        r"out_zero_point must be in \[0, 255\] for uint8, not -1",
        {"dtype": "uint8", "out_scale": 1.0, "out_zero_point": -1},
    ),
    (
        TypeError,
        "out_zero_point must be an integer, not 0.5",
        {"dtype": "uint8", "out_scale": 1.0, "out_zero_point": 0.5},
    ),
    (
        ValueError,
        "a_scale must be None where out_scale is a FixedPointMultiplier, not 1.0",
        {"dtype": "int8", "out_scale": FIXED},
    ),
    (
        ValueError,
        "bias must be None where out_scale is a FixedPointMultiplier",
        {"dtype": "int8", "out_scale": FIXED, "a_scale": None, "b_scale": None, "bias": [1, 2, 3]},
    ),
    (
        ValueError,
        "out_scale must be None where dtype is float32, not a FixedPointMultiplier",
        {"out_scale": FIXED, "a_scale": None, "b_scale": None},
    ),
    (
        ValueError,
        "rounding must be one of single, double, rndnu, not 'up'",
        {"dtype": "int8", "out_scale": FIXED, "a_scale": None, "b_scale": None, "rounding": "up"},
    ),
    (
        ValueError,
        "out_scale must be one multiplier or one for each of 3 columns",
        {
            "dtype": "int8",
            "out_scale": SimpleNamespace(m0=np.full(2, 2**30), shift=np.zeros(2)),
            "a_scale": None,
            "b_scale": None,
        },
    ),
]


@pytest.mark.parametrize(("error", "message", "keywords"), ERRORS, ids=[e[1][:90] for e in ERRORS])
def test_errors(error, message, keywords):
    keywords = {"a_scale": 1.0, "b_scale": 1.0, **keywords}
    dtype = keywords.get("dtype", "float32")
    out = np.full((2, 3), 77, dtype if dtype in {"int8", "uint8"} else np.float32)
    for options in ({}, {"out": out}):
        with pytest.raises(error, match=message):
            qk.qmatmul(A, B, **keywords, **options)
    assert (out == 77).all()


def test_out_must_be_apart():
    memory = np.zeros(30, np.float32)
    out = memory[:6].reshape(2, 3)
    parts = {"a_scale": memory[4:6], "b_scale": memory[5:8], "bias": memory[3:6]}
    for name, part in parts.items():
        keywords = {"a_scale": 1.0, "b_scale": 1.0, name: part}
        with pytest.raises(ValueError, match="out must not overlap an input"):
            qk.qmatmul(A, B, out=out, **keywords)
    with pytest.raises(ValueError, match="out must not overlap an input"):
        qk.qmatmul(memory.view(np.int8)[:8].reshape(2, 4), B, a_scale=1.0, b_scale=1.0, out=out)
    assert not memory.any()


def test_scales_are_needed():
    with pytest.raises(TypeError, match="a_scale"):
        qk.qmatmul(A, B)
