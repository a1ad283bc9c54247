"""QuantizedLinear is the composition of choose_params, quantize and qmatmul, bit for bit."""

from __future__ import annotations

import copy
import pickle

import ml_dtypes
import numpy as np
import oracle
import pytest
import strategies as some
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk

SIZES = st.one_of(st.integers(1, 20), st.sampled_from([31, 64, 100, 257]))
ACTIVATIONS = st.sampled_from([None, "relu", "relu6", "gelu", "gelu_tanh", "silu", (-1.0, 1.5)])
FLOATS = st.sampled_from(["float32", "float16", "bfloat16"])


def rows_of(rng, m, k, name):
    """Rows of very different size, one of zeros, some with a single outlier."""
    x = rng.normal(size=(m, k)) * np.exp2(rng.integers(-12, 12, (m, 1)))
    x[rng.random((m, k)) < 0.02] *= 50
    x[rng.random(m) < 0.1] = 0
    return np.clip(x, -60000, 60000).astype(np.float32).astype(oracle.dtype(name))


def parts(x, weight, bias, activation, group_size=None, symmetric=True, inputs=None, dtype=None):
    """The layer made of the functions it stands for."""
    grain = {"axis": 0} if group_size is None else {"axis": 1, "block_size": group_size}
    w = qk.choose_params(weight, "int8", symmetric=symmetric, **grain)
    rows = x.reshape(-1, x.shape[-1])
    p = qk.choose_params(rows, "int8", axis=0) if inputs is None else inputs
    y = qk.qmatmul(
        p.quantize(rows),
        qk.pack(w.quantize(weight).T, group_size=group_size),
        a_scale=p.scale,
        a_zero_point=p.zero_point,
        b_scale=w.scale.T if group_size else w.scale,
        b_zero_point=w.zero_point,
        bias=bias,
        activation=activation,
        dtype=dtype or x.dtype,
    )
    return y.reshape(*x.shape[:-1], weight.shape[0])


@st.composite
def layers(draw):
    rng, k, n = draw(some.rngs), draw(SIZES), draw(SIZES)
    weight = rows_of(rng, n, k, draw(FLOATS))
    bias = rng.normal(size=n).astype(np.float32) if draw(st.booleans()) else None
    how = draw(st.sampled_from(["plain", "asymmetric", "groups"]))
    options = {
        "plain": {},
        "asymmetric": {"symmetric": False},
        "groups": {"group_size": draw(st.sampled_from([1, 8, 32, 1000]))},
    }[how]
    return rng, weight, bias, {"activation": draw(ACTIVATIONS), **options}


class TestBits:
    @given(layers(), st.sampled_from([0, 1, 2, 3, 7, 13, 40]), FLOATS, some.layers)
    def test_dynamic(self, case, m, name, layer):
        rng, weight, bias, options = case
        x = rows_of(rng, m, weight.shape[1], name)
        with qk.cpu.use(layer):
            some.assert_same(qk.QuantizedLinear(weight, bias, **options)(x), parts(x, weight, bias, **options))

    @given(layers(), st.sampled_from([1, 5, 20]), FLOATS, st.sampled_from(["int8", "uint8"]), st.booleans())
    def test_static(self, case, m, name, dtype, symmetric):
        rng, weight, bias, options = case
        x = rows_of(rng, m, weight.shape[1], name)
        inputs = qk.choose_params(x[:, : max(1, x.shape[1] // 2)], dtype, symmetric=symmetric)
        layer = qk.QuantizedLinear(weight, bias, activation_dtype=inputs, **options)
        some.assert_same(layer(x), parts(x, weight, bias, inputs=inputs, **options))

    @given(layers(), st.lists(st.integers(0, 4), max_size=3), FLOATS, some.layouts, some.out_layouts, FLOATS)
    def test_any_memory(self, case, leading, name, layout, out_layout, out_name):
        rng, weight, bias, options = case
        x = rows_of(rng, int(np.prod(leading)), weight.shape[1], name).reshape(*leading, weight.shape[1])
        layer = qk.QuantizedLinear(some.arranged(rng, weight, layout), bias, **options)
        wanted = parts(x, weight, bias, **options)
        there = some.arranged(rng, x, layout)
        some.assert_same(layer(there), wanted)
        wide = parts(x, weight, bias, dtype=oracle.dtype(out_name), **options)
        buffer, out = some.place(rng, wide.shape, wide.dtype, out_layout)
        assert layer(there, out) is out
        some.assert_same(out, wide)
        assert some.only_within(buffer, out)

    def test_rows_of_extreme_size(self, isa):
        """Ranges at both ends of float32, where a scale would be subnormal, and zeros."""
        x = np.zeros((9, 12), np.float32)
        for i, top in enumerate([3.4e38, 1e-37, 1.1754944e-38 * 127, 1.1754944e-38 * 126, 1e-40, 1e-44, 1e-45, 127.0]):
            x[i] = np.linspace(-1, 1, 12) * top
            x[i, 0] = top
        weight = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
        some.assert_same(qk.QuantizedLinear(weight)(x), parts(x, weight, None, None))

    def test_a_row_does_not_depend_on_the_others(self, isa):
        rng = np.random.default_rng(1)
        weight, x = rng.normal(size=(70, 300)).astype(np.float32), rows_of(rng, 65, 300, "float32")
        layer = qk.QuantizedLinear(weight, activation="gelu", group_size=100)
        whole = layer(x)
        for rows in (slice(0, 1), slice(5, 8), slice(10, 60)):
            some.assert_same(layer(x[rows]), whole[rows])

    def test_any_number_of_threads(self):
        rng = np.random.default_rng(2)
        layer = qk.QuantizedLinear(rng.normal(size=(600, 500)).astype(np.float32), rng.normal(size=600))
        for m in (1, 8, 200):
            x = rows_of(rng, m, 500, "float32")
            found = []
            for threads in (1, 2, 5):
                with qk.thread_limit(threads):
                    found.append(layer(x))
            some.assert_same(found[1], found[0])
            some.assert_same(found[2], found[0])

    def test_follows_the_layer(self):
        rng = np.random.default_rng(3)
        layer, x = qk.QuantizedLinear(rng.normal(size=(40, 50)).astype(np.float32)), rows_of(rng, 9, 50, "float32")
        wanted = layer(x)
        for name in (*some.LAYERS, *reversed(some.LAYERS)):
            with qk.cpu.use(name):
                some.assert_same(layer(x), wanted)

    def test_close_to_the_float_layer(self):
        rng = np.random.default_rng(4)
        weight, bias = rng.normal(size=(64, 256)).astype(np.float32), rng.normal(size=64).astype(np.float32)
        x = rng.normal(size=(32, 256)).astype(np.float32)
        right = x @ weight.T + bias
        for options, error in (({}, 0.012), ({"group_size": 32}, 0.011), ({"symmetric": False}, 0.012)):
            y = qk.QuantizedLinear(weight, bias, **options)(x)
            assert np.linalg.norm(y - right) / np.linalg.norm(right) < error


class TestObject:
    def make(self, **options):
        rng = np.random.default_rng(5)
        return qk.QuantizedLinear(rng.normal(size=(6, 40)).astype(np.float32), rng.normal(size=6), **options)

    VARIANTS = (
        {},
        {"group_size": 16, "activation": "gelu"},
        {"symmetric": False, "activation": (0.0, 4.0)},
        {"activation_dtype": qk.QuantParams(0.05, 100, dtype="uint8")},
    )

    @pytest.mark.parametrize("options", VARIANTS)
    def test_round_trips(self, options):
        layer = self.make(**options)
        x = np.random.default_rng(6).normal(size=(3, 40)).astype(np.float32)
        for other in (
            qk.QuantizedLinear.from_state(layer.state()),
            pickle.loads(pickle.dumps(layer)),
            copy.deepcopy(layer),
        ):
            some.assert_same(other(x), layer(x))
            assert repr(other) == repr(layer)
            assert other.activation_params == layer.activation_params
            assert other.weight_params == layer.weight_params

    def test_state_is_plain(self):
        """Arrays of the types that files have, whichever layer made them."""
        states = []
        for name in some.LAYERS:
            with qk.cpu.use(name):
                states.append(self.make(group_size=16).state())
        for state in states:
            for value in state.values():
                assert value is None or isinstance(value, (str, int)) or type(value) is np.ndarray
            assert pickle.dumps(state) == pickle.dumps(states[0])
        assert states[0]["weight"].dtype == np.int8
        assert states[0]["weight"].shape == (6, 40)
        assert states[0]["weight_scale"].shape == (6, 3)

    def test_attributes(self):
        layer = self.make(group_size=16, activation="relu")
        assert (layer.in_features, layer.out_features, layer.group_size, layer.symmetric) == (40, 6, 16, True)
        assert (layer.weight.shape, layer.activation, layer.activation_params) == ((40, 6), "relu", None)
        assert repr(layer) == ("QuantizedLinear(40 -> 6, int8, groups of 16, bias, activations int8 by row, then relu)")
        assert layer.weight_params.block_size == 16
        with pytest.raises(AttributeError, match="immutable"):
            layer.bias = None
        with pytest.raises(AttributeError, match="immutable"):
            del layer.bias
        with pytest.raises(ValueError, match="read-only"):
            layer.bias[0] = 1

    def test_bias_is_its_own_copy(self):
        bias = np.zeros(1, np.float32)
        layer = qk.QuantizedLinear([[1.0]], bias)
        bias[0] = 5
        assert layer([[1.0]]) == 1.0

    def test_lists_and_bfloat16(self):
        layer = qk.QuantizedLinear([[1.0, 0.0]], weight_dtype=np.int8)
        assert layer([127.0, 3.0]).tolist() == [127.0]
        assert layer(np.ones(2, ml_dtypes.bfloat16)).dtype == ml_dtypes.bfloat16


W = np.ones((3, 4), np.float32)
SUPPORTED = (
    "activation_dtype must be 'int8', or QuantParams of int8 or uint8 with one scale, "
    "a microscaling format, or None where the weight is int8, not "
)
MAKING = [
    (TypeError, "weight must have one of the dtypes float32, float16, bfloat16, not int8", [W.astype(np.int8)], {}),
    (ValueError, r"weight must be a matrix \(out, in\), not of shape \(4,\)", [W[0]], {}),
    (ValueError, "weight must be finite, but has 1 NaN and 0 infinite elements", [[[1.0, np.nan]]], {}),
    (ValueError, r"bias must be of shape \(3,\), not of shape \(4,\)", [W, W[0]], {}),
    (TypeError, "bias must be real numbers", [W, ["a", "b", "c"]], {}),
    (ValueError, "weight_dtype must be one of int8, uint8, int4, .*, not 'int3'", [W], {"weight_dtype": "int3"}),
    (ValueError, "weight_dtype must be one of int8, .*, not None", [W], {"weight_dtype": None}),
    (ValueError, "group_size must be at least 1, not 0", [W], {"group_size": 0}),
    (TypeError, "group_size must be an integer, not 1.5", [W], {"group_size": 1.5}),
    (
        ValueError,
        "symmetric must be True where group_size is given and x is quantized",
        [W],
        {"group_size": 2, "symmetric": False},
    ),
    (ValueError, SUPPORTED + "'int16'", [W], {"activation_dtype": "int16"}),
    (
        ValueError,
        SUPPORTED + "QuantParams",
        [W],
        {"activation_dtype": qk.QuantParams([1.0, 2.0], dtype="int8", axis=0)},
    ),
    (ValueError, SUPPORTED + "QuantParams", [W], {"activation_dtype": qk.QuantParams(1.0, dtype="int4")}),
    (ValueError, "activation must be None, 'relu'", [W], {"activation": "swish"}),
]


@pytest.mark.parametrize(("error", "message", "arguments", "keywords"), MAKING, ids=[e[1][:80] for e in MAKING])
def test_errors_of_making(error, message, arguments, keywords):
    with pytest.raises(error, match=message):
        qk.QuantizedLinear(*arguments, **keywords)


@pytest.mark.parametrize(
    ("error", "message", "x", "options"),
    [
        (TypeError, "x must have one of the dtypes float32, float16, bfloat16, not float64", np.ones((2, 4)), {}),
        (ValueError, r"x must be of shape \(..., 4\), not \(2, 3\)", np.ones((2, 3), np.float32), {}),
        (ValueError, r"x must be of shape \(..., 4\), not \(\)", np.float32(1), {}),
        (TypeError, "out must have dtype float32 in native byte order, not int32", W, {"out": np.zeros((3, 3), "i4")}),
        (ValueError, r"out must have shape \(3, 3\), not \(3, 4\)", W, {"out": np.zeros((3, 4), np.float32)}),
        (TypeError, "out must be a numpy.ndarray, not list", W, {"out": [[0.0] * 3] * 3}),
    ],
)
def test_errors_of_calling(error, message, x, options):
    with pytest.raises(error, match=message):
        qk.QuantizedLinear(W)(x, **options)


def test_out_must_be_apart():
    memory = np.zeros(20, np.float32)
    with pytest.raises(ValueError, match="out must not overlap an input"):
        qk.QuantizedLinear(W)(memory[:12].reshape(3, 4), memory[5:14].reshape(3, 3))
    assert not memory.any()


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("state must have the entries weight, .*, not 'wieght'", {"wieght": 1}),
        ("state must have the entries weight, .*, but 'bias' is missing", {"bias": ...}),
        (r"weight_scale must be of shape \(3,\), not of shape \(2,\)", {"weight_scale": [1, 2]}),
        ("group_size must be None or a positive integer, not 0", {"group_size": 0}),
        (r"weight_scale must be of shape \(3, 2\), not of shape \(3,\)", {"group_size": 2}),
        (r"weight must be a matrix \(out, in\), not of shape \(3,\)", {"weight": np.ones(3, np.int8)}),
    ],
)
def test_errors_of_state(message, change):
    state = {**qk.QuantizedLinear(W).state(), **change}
    with pytest.raises(ValueError, match=message):
        qk.QuantizedLinear.from_state({name: value for name, value in state.items() if value is not ...})
