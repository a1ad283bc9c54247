"""Products of floats with matrices of few bits: the fused multiply-adds in order, bit for bit, on every layer."""

from __future__ import annotations

import copy
import pickle

import float_product_oracle as oracle
import gemm_oracle
import numpy as np
import pytest
import strategies as some
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk

F32 = np.float32
SIZES = st.one_of(st.integers(0, 20), st.sampled_from([31, 32, 33, 64, 65, 100, 130]))
narrow = st.sampled_from(oracle.NARROW)
MX = ("mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4", "mxint8", "nvfp4")
lefts = st.sampled_from(["float32", "float16", "bfloat16", *oracle.NARROW])


def left(rng, shape, name):
    if name in oracle.NARROW:
        return oracle.codes(rng, shape, name)
    return (rng.normal(size=shape) * np.exp2(rng.integers(-6, 6, shape))).astype(oracle.dtype(name))


class TestMatmul:
    @given(SIZES, SIZES, SIZES, lefts, narrow, some.rngs, some.layers, st.sampled_from([1, 3]))
    def test_is_the_sum_in_order(self, m, n, k, a_name, b_name, rng, layer, threads):
        a, b = left(rng, (m, k), a_name), oracle.codes(rng, (k, n), b_name)
        with qk.cpu.use(layer), qk.thread_limit(threads):
            some.assert_same(qk.matmul(a, b), oracle.product(a, b))

    @pytest.mark.parametrize("name", oracle.FLOAT8)
    def test_against_fractions(self, isa, name):
        """A rounding at a time in exact arithmetic, cancellation and subnormal sums included."""
        rng = np.random.default_rng(3)
        for size in (1.0, 2.0**-130):
            a = (rng.normal(size=(3, 25)) * size).astype(F32)
            b = oracle.codes(rng, (25, 4), name)
            a[:, 12:24] = -a[:, :12]
            b[12:24] = b[:12]
            some.assert_same(qk.matmul(a, b), oracle.product_in_fractions(a, b))

    @pytest.mark.parametrize("m", [*range(1, 14), 16, 25, 241, 500])
    def test_every_height(self, isa, m):
        rng = np.random.default_rng(m)
        for n in (1, 16, 31, 32, 33, 64) if m < 100 else (33,):
            for k in (1, 2, 3, 127, 128, 129) if m < 100 else (131,):
                a, b = left(rng, (m, k), "float32"), oracle.codes(rng, (k, n), "float8_e4m3fn")
                some.assert_same(qk.matmul(a, b), oracle.product(a, b))

    @given(some.rngs, lefts, narrow, some.layouts, some.layouts, some.out_layouts, st.booleans())
    def test_any_memory(self, rng, a_name, b_name, a_layout, b_layout, out_layout, packs):
        a, b = left(rng, (7, 40), a_name), oracle.codes(rng, (40, 35), b_name)
        if "swapped" in (a_layout, b_layout):
            a_layout = b_layout = "C"
        buffer, out = some.place(rng, (7, 35), F32, out_layout)
        there = some.arranged(rng, b, b_layout)
        assert qk.matmul(some.arranged(rng, a, a_layout), qk.pack(there) if packs else there, out=out) is out
        some.assert_same(out, oracle.product(a, b))
        assert some.only_within(buffer, out)

    @pytest.mark.parametrize("a_shape", [(12,), (1, 12), (2, 3, 12), (2, 1, 5, 12), (0, 12), (2, 0, 12)])
    @pytest.mark.parametrize("b_shape", [(12,), (12, 1), (12, 7), (2, 12, 7), (3, 1, 12, 7), (12, 0)])
    def test_shapes_of_numpy(self, a_shape, b_shape):
        rng = np.random.default_rng(1)
        a, b = left(rng, a_shape, "float8_e5m2"), oracle.codes(rng, b_shape, "float8_e4m3fn")
        try:
            shape = np.matmul(np.zeros(a_shape), np.zeros(b_shape)).shape
        except ValueError:
            with pytest.raises(ValueError, match="must broadcast"):
                qk.matmul(a, b)
            return
        found = qk.matmul(a, b)
        assert found.shape == shape
        assert np.asarray(found).dtype == F32
        np.testing.assert_allclose(found, np.matmul(a.astype(F32), b.astype(F32)), rtol=1e-4, atol=1e-4)
        if len(b_shape) <= 2 and len(a_shape) > 2:
            for index in np.ndindex(a_shape[:-2]):
                some.assert_same(found[index], qk.matmul(a[index], b))

    def test_nothing_to_add(self, isa):
        a, b = np.ones((3, 0), F32), np.ones((0, 5), oracle.dtype("float8_e4m3fn"))
        some.assert_same(qk.matmul(a, b), np.zeros((3, 5), F32))

    def test_infinities_and_nans(self, isa):
        one, inf, nan = (np.array([[x]], F32) for x in (1.0, np.inf, np.nan))
        to = oracle.dtype("float8_e5m2")
        assert qk.matmul(inf, -one.astype(to))[0, 0] == -np.inf
        for a, b in [(inf, 0 * one), (nan, one), (one, nan)]:
            assert qk.matmul(a, b.astype(to)).view(np.uint32)[0, 0] == 0x7FC00000

    def test_rows_do_not_know_each_other(self, isa):
        rng = np.random.default_rng(2)
        a, b = left(rng, (300, 130), "float32"), qk.pack(oracle.codes(rng, (130, 70), "float8_e4m3fn"))
        whole = qk.matmul(a, b)
        for i in (0, 5, 239, 240, 299):
            some.assert_same(whole[i], qk.matmul(a[i], b))


class TestMicroscaling:
    @given(st.sampled_from(MX), st.sampled_from(MX), st.booleans(), some.rngs, some.layers, SIZES)
    def test_both_sides(self, a_name, b_name, packs, rng, layer, k):
        """Blocks of both along k, the last of them short, elements one a byte or packed."""
        n = 20
        a, b = left(rng, (5, k), "float32"), left(rng, (k, n), "float32")
        a = qk.quantize_mx(a, a_name, packed=packs and not a_name.startswith(("mxfp8", "mxint8")))
        b = qk.quantize_mx(b, b_name, axis=0, packed=packs and not b_name.startswith(("mxfp8", "mxint8")))
        wanted = oracle.product(a.dequantize(), b.dequantize())
        with qk.cpu.use(layer):
            some.assert_same(qk.matmul(a, b), wanted)
            some.assert_same(qk.matmul(a, qk.pack(b)), wanted)
            bias = rng.normal(size=n).astype(F32)
            found = qk.qmatmul(a, b, a_scale=None, b_scale=None, bias=bias, activation="relu")
            some.assert_same(found, np.maximum(oracle.scaled(wanted, 1, 1, bias), F32(0)))

    @pytest.mark.parametrize("name", MX)
    @pytest.mark.parametrize("shape", [(40,), (2, 3, 40), (0, 40)])
    def test_left_shapes(self, name, shape):
        rng = np.random.default_rng(5)
        a, b = qk.quantize_mx(left(rng, shape, "float32"), name), oracle.codes(rng, (40, 6), "float8_e4m3fn")
        some.assert_same(qk.matmul(a, b), qk.matmul(a.dequantize(), b))
        some.assert_same(
            qk.qmatmul(a, b, a_scale=None, b_scale=0.5), qk.qmatmul(a.dequantize(), b, a_scale=1.0, b_scale=0.5)
        )


class TestPacked:
    @given(
        st.sampled_from([*oracle.INTEGERS, *oracle.NARROW]),
        st.sampled_from(["tensor", "column", "group", "block"]),
        st.booleans(),
        some.rngs,
        some.layers,
        st.integers(1, 5),
    )
    def test_multiplies_by_what_dequantize_says(self, name, grain, moved, rng, layer, m):
        k, n = 75, 41
        b = oracle.codes(rng, (k, n), name)
        shape, pack, axes = {
            "tensor": ((), {}, {}),
            "column": ((n,), {}, {"axis": 1}),
            "group": ((5, n), {"group_size": 16}, {"axis": 0, "block_size": 16}),
            "block": ((3, 3), {"block_size": (32, 20)}, {"axis": (0, 1), "block_size": (32, 20)}),
        }[grain]
        scale = np.exp2(rng.normal(size=shape)).astype(F32)
        zero = None
        if moved and name in oracle.INTEGERS:
            low, high = oracle.INTEGERS[name]
            zero = rng.integers(low, high + 1, shape).astype(np.int32)
        a = left(rng, (m, k), "float32")
        packed = qk.pack(b, scale=scale, zero_point=zero, **pack)
        with qk.cpu.use(layer):
            wanted = oracle.product(a, qk.dequantize(b, scale, zero, **axes))
            some.assert_same(qk.matmul(a, packed), wanted)
            some.assert_same(qk.matmul(a, pickle.loads(pickle.dumps(packed))), wanted)
        some.assert_same(packed.unpack().astype(F32), b.astype(F32))
        assert (packed.shape, packed.dtype, packed.zero_point is None) == ((k, n), b.dtype, zero is None)

    def test_attributes(self):
        b = np.ones((8, 3), oracle.dtype("float8_e4m3fn"))
        plain, by_group = qk.pack(b), qk.pack(b, scale=np.ones((2, 3), F32))
        assert isinstance(plain, qk.PackedMatrix)
        assert isinstance(by_group, qk.PackedMatrix)
        assert (plain.scale, plain.group_size, plain.block_size, plain.layer) == (None, None, None, None)
        assert (by_group.group_size, by_group.block_size, by_group.nbytes > 0) == (4, (4, 1), True)
        assert repr(by_group) == "PackedMatrix(8 x 3 float8_e4m3fn, scale=<float32 (2, 3)>, block_size=(4, 1))"
        with pytest.raises(ValueError, match="read-only"):
            by_group.scale[0] = 2
        scale = np.ones(3, F32)
        kept = qk.pack(b, scale=scale)
        scale[:] = 5
        some.assert_same(qk.matmul(np.ones((1, 8), F32), kept), np.full((1, 3), 8, F32))

    @pytest.mark.parametrize("name", MX)
    @pytest.mark.parametrize("k", [64, 75])
    def test_microscaling(self, isa, name, k):
        rng = np.random.default_rng(4)
        w, a = rng.normal(size=(k, 20)).astype(F32), left(rng, (3, k), "float32")
        m = qk.quantize_mx(w, name, axis=0)
        wanted = oracle.product(a, m.dequantize())
        some.assert_same(qk.matmul(a, m), wanted)
        some.assert_same(qk.matmul(a, qk.pack(m)), wanted)
        if not name.startswith(("mxfp8", "mxint8")):
            some.assert_same(qk.matmul(a, qk.quantize_mx(w, name, axis=0, packed=True)), wanted)
        layer = qk.QuantizedLinear(qk.quantize_mx(w.T, name), activation_dtype=None)
        some.assert_same(layer(a), oracle.product(a, qk.quantize_mx(w.T, name).dequantize().T))
        some.assert_same(pickle.loads(pickle.dumps(layer))(a), layer(a))


class TestQmatmul:
    @given(
        some.rngs, lefts, narrow, some.layers, st.booleans(), st.booleans(), st.booleans(), st.sampled_from([1, 4, 15])
    )
    def test_scales_and_bias(self, rng, a_name, b_name, layer, by_row, by_column, with_bias, m):
        k, n = 33, 40
        a, b = left(rng, (m, k), a_name), oracle.codes(rng, (k, n), b_name)
        a_scale = np.exp2(rng.normal(size=m)).astype(F32) if by_row else F32(0.3)
        b_scale = np.exp2(rng.normal(size=n)).astype(F32) if by_column else F32(0.7)
        bias = rng.normal(size=n).astype(F32) if with_bias else None
        wanted = oracle.scaled(oracle.product(a, b), a_scale, b_scale, 0 if bias is None else bias)
        with qk.cpu.use(layer):
            for operand in (b, qk.pack(b)):
                found = qk.qmatmul(a, operand, a_scale=a_scale, b_scale=b_scale, bias=bias)
                some.assert_same(found + F32(0), wanted + F32(0))  # without a bias the sign of a zero is its own

    @pytest.mark.parametrize("shape", [(4, 30), (4, 3), (1, 1), (128, 30)])
    def test_scales_by_block_belong_to_b(self, isa, shape):
        rng = np.random.default_rng(6)
        a, b = oracle.codes(rng, (5, 128), "float8_e4m3fn"), oracle.codes(rng, (128, 30), "float8_e4m3fn")
        scale = np.exp2(rng.normal(size=shape)).astype(F32)
        w = qk.dequantize(b, scale, axis=(0, 1), block_size=(128 // shape[0], 30 // shape[1]))
        wanted = oracle.scaled(oracle.product(a, w), np.arange(1, 6))
        some.assert_same(qk.qmatmul(a, b, a_scale=np.arange(1, 6), b_scale=scale), wanted)
        some.assert_same(qk.qmatmul(a, qk.pack(b, scale=scale), a_scale=np.arange(1, 6), b_scale=None), wanted)

    @pytest.mark.parametrize("activation", ["relu", "relu6", "gelu", "gelu_tanh", "silu", (-1.0, 1.5)])
    @pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
    def test_activations_are_those_of_the_integer_product(self, isa, activation, dtype):
        """Of integers that both can hold: one product exact in int32, the other in float32."""
        rng = np.random.default_rng(7)
        a, b = rng.integers(-8, 9, (9, 40)).astype(np.int8), rng.integers(-8, 9, (40, 21)).astype(np.int8)
        options = {"a_scale": F32(0.01), "bias": rng.normal(size=21).astype(F32), "activation": activation}
        wanted = qk.qmatmul(a, b, b_scale=F32(0.5), dtype=dtype, **options)
        floats = qk.qmatmul(
            a.astype(F32), b.astype(oracle.dtype("float8_e4m3fn")), b_scale=F32(0.5), dtype=dtype, **options
        )
        some.assert_same(floats, wanted)

    @pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
    def test_integer_results(self, isa, dtype):
        rng = np.random.default_rng(8)
        a, b = left(rng, (6, 30), "float32"), oracle.codes(rng, (30, 17), "float8_e4m3fn")
        low, high = gemm_oracle.LIMITS[dtype]
        y = qk.qmatmul(a, b, a_scale=0.5, b_scale=0.25)
        wanted = np.clip(np.rint(y / F32(1.5)) + 3, low, high).astype(dtype)
        found = qk.qmatmul(a, b, a_scale=0.5, b_scale=0.25, dtype=dtype, out_scale=1.5, out_zero_point=3)
        some.assert_same(found, wanted)

    def test_rows_of_a_batch_have_scales(self):
        rng = np.random.default_rng(9)
        a, b = left(rng, (2, 3, 20), "float8_e4m3fn"), oracle.codes(rng, (20, 4), "float8_e4m3fn")
        scale = np.exp2(rng.normal(size=(2, 3))).astype(F32)
        found = qk.qmatmul(a, b, a_scale=scale, b_scale=1.0)
        for i in range(2):
            some.assert_same(found[i], qk.qmatmul(a[i], b, a_scale=scale[i], b_scale=1.0))


LAYERS = [
    {"weight_dtype": "int8"},
    {"weight_dtype": "uint8"},
    {"weight_dtype": "int4", "group_size": 16},
    {"weight_dtype": "uint4", "group_size": 32, "symmetric": False},
    {"weight_dtype": "int4", "symmetric": False},
    {"weight_dtype": "uint2"},
    {"weight_dtype": "float8_e4m3fn"},
    {"weight_dtype": "float8_e5m2", "group_size": 20},
    {"weight_dtype": "float4_e2m1fn", "group_size": 1000},
]


class TestLinear:
    @pytest.mark.parametrize("options", LAYERS, ids=str)
    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_weight_only(self, isa, options, dtype):
        rng = np.random.default_rng(10)
        weight, bias = rng.normal(size=(19, 70)).astype(F32), rng.normal(size=19).astype(F32)
        layer = qk.QuantizedLinear(weight, bias, activation_dtype=None, activation="silu", **options)
        group = options.get("group_size")
        axes = {"axis": 0} if group is None else {"axis": 1, "block_size": group}
        if options["weight_dtype"] in oracle.INTEGERS:
            p = qk.choose_params(weight, options["weight_dtype"], symmetric=options.get("symmetric", True), **axes)
            real = p.dequantize(p.quantize(weight))
            assert layer.weight_params == p
        else:
            q, scale = qk.quantize_dynamic(weight, options["weight_dtype"], **axes)
            real = qk.dequantize(q, scale, **axes)
        x = left(rng, (4, 70), dtype)
        total = oracle.product(x, real.T)
        some.assert_same(
            oracle.scaled(total, 1, 1, bias),
            qk.QuantizedLinear(weight, bias, activation_dtype=None, **options)(x.astype(F32)),
        )
        turned = qk.pack(
            layer.weight.unpack(),
            scale=layer.weight_scale.T,
            group_size=group,
            zero_point=None if layer.symmetric else layer.weight_params.zero_point.T.astype(np.int32),
        )
        wanted = qk.qmatmul(x, turned, a_scale=1.0, b_scale=None, bias=bias, activation="silu", dtype=dtype)
        some.assert_same(layer(x), wanted)
        some.assert_same(layer(x[0]), wanted[0])

    @pytest.mark.parametrize("activations", oracle.FLOAT8)
    @pytest.mark.parametrize("group", [None, 32])
    def test_float8_activations(self, isa, activations, group):
        rng = np.random.default_rng(11)
        weight, bias = rng.normal(size=(19, 70)).astype(F32), rng.normal(size=19).astype(F32)
        layer = qk.QuantizedLinear(
            weight, bias, weight_dtype="float8_e4m3fn", activation_dtype=activations, group_size=group
        )
        x = left(rng, (2, 5, 70), "float32")
        codes, scale = qk.quantize_dynamic(x.reshape(10, 70), activations, axis=0)
        q, w_scale = qk.quantize_dynamic(
            weight, "float8_e4m3fn", **({"axis": 0} if group is None else {"axis": 1, "block_size": group})
        )
        real = qk.dequantize(q, w_scale, **({"axis": 0} if group is None else {"axis": 1, "block_size": group}))
        wanted = oracle.scaled(oracle.product(codes, real.T), scale, 1, bias)
        some.assert_same(layer(x), wanted.reshape(2, 5, 19))
        out = np.zeros((2, 5, 38), F32)[:, :, ::2]
        assert layer(x, out) is out
        some.assert_same(out, layer(x))

    @pytest.mark.parametrize("name", MX)
    @pytest.mark.parametrize(
        "weight",
        ["float8_e4m3fn", "int8", pytest.param("mxfp4", id="MXArray"), {"weight_dtype": "int4", "group_size": 8}],
    )
    def test_microscaling_activations(self, isa, name, weight):
        rng = np.random.default_rng(13)
        w, bias = rng.normal(size=(19, 70)).astype(F32), rng.normal(size=19).astype(F32)
        options = weight if isinstance(weight, dict) else {"weight_dtype": weight}
        if weight == "mxfp4":
            w, options = qk.quantize_mx(w, weight), {}
        options = {**options, "symmetric": not isinstance(weight, dict)}
        floats = qk.QuantizedLinear(w, bias, activation_dtype=None, **options)
        real = qk.matmul(np.eye(70, dtype=F32), floats.weight)  # one product and zeros: what the weight stands for
        x = left(rng, (2, 3, 70), "float32")
        m = qk.quantize_mx(x, name)
        wanted = oracle.scaled(oracle.product(m.dequantize().reshape(6, 70), real), 1, 1, bias).reshape(2, 3, 19)
        some.assert_same(floats(m), wanted)
        if name == "nvfp4":
            return
        layer = qk.QuantizedLinear(w, bias, activation_dtype=name, **options)
        for each in (layer, pickle.loads(pickle.dumps(layer))):
            some.assert_same(each(x), wanted)
            some.assert_same(each(m), wanted)
            some.assert_same(each(x[1, 2]), wanted[1, 2])
        out = np.zeros((2, 3, 19), oracle.dtype("bfloat16"))
        assert layer(x, out) is out
        some.assert_same(out, wanted.astype(out.dtype))
        assert f"activations {name} by block" in repr(layer)

    @pytest.mark.parametrize("options", [*LAYERS, {"weight_dtype": "float8_e4m3fn", "activation_dtype": "float8_e5m2"}])
    def test_round_trips(self, options):
        rng = np.random.default_rng(12)
        weight, chosen = rng.normal(size=(6, 40)).astype(F32), {"activation_dtype": None, **options}
        layer = qk.QuantizedLinear(weight, np.ones(6, F32), **chosen)
        x = rng.normal(size=(3, 40)).astype(F32)
        state = layer.state()
        for value in state.values():
            assert value is None or isinstance(value, (str, int)) or value.dtype in (F32, np.int8, np.uint8)
        for other in (qk.QuantizedLinear.from_state(state), pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
            some.assert_same(other(x), layer(x))
            assert repr(other) == repr(layer)
            assert other.weight_params == layer.weight_params


E4M3 = np.ones((4, 3), oracle.dtype("float8_e4m3fn"))
A = np.ones((2, 4), F32)
ERRORS = [
    (TypeError, "a must have one of the dtypes float32, .*, not int8", lambda: qk.matmul(A.astype(np.int8), E4M3)),
    (TypeError, "b must have one of the dtypes float8_e4m3fn, .*, not float32", lambda: qk.matmul(E4M3.T, A.T)),
    (
        TypeError,
        "b must have been packed with a scale where a is float8",
        lambda: qk.matmul(E4M3.T, qk.pack(np.ones((4, 3), np.int8))),
    ),
    (ValueError, r"a and b must have the same K, not 3 .* and 4", lambda: qk.matmul(A[:, :3], E4M3)),
    (ValueError, "b_zero_point must be None in a product of floats, not 1", lambda: qk.matmul(A, E4M3, b_zero_point=1)),
    (TypeError, "out must have dtype float32", lambda: qk.matmul(A, E4M3, out=np.zeros((2, 3), np.int32))),
    (
        ValueError,
        "b_scale must be None where b has a scale",
        lambda: qk.qmatmul(A, qk.pack(E4M3, scale=2.0), a_scale=1.0, b_scale=1.0),
    ),
    (ValueError, "b_scale must be given where b has no scale", lambda: qk.qmatmul(A, E4M3, a_scale=1.0, b_scale=None)),
    (ValueError, "b_scale must divide b of shape", lambda: qk.qmatmul(A, E4M3, a_scale=1.0, b_scale=np.ones((3, 3)))),
    (
        ValueError,
        "b_scale must be a number or by column where b is packed",
        lambda: qk.qmatmul(A, qk.pack(E4M3), a_scale=1.0, b_scale=np.ones((2, 3))),
    ),
    (ValueError, "scale must be of shape", lambda: qk.pack(E4M3, scale=np.ones((3, 3)), group_size=2)),
    (
        ValueError,
        r"block_size must be \(rows, columns\), not 2",
        lambda: qk.pack(E4M3, scale=np.ones((2, 3)), block_size=2),
    ),
    (ValueError, "group_size must be None where no scale is given", lambda: qk.pack(E4M3, group_size=2)),
    (ValueError, "zero_point must be None where b is float8_e4m3fn", lambda: qk.pack(E4M3, scale=1.0, zero_point=1)),
    (
        ValueError,
        r"zero_point must be in \[-128, 127\] for int8, not 200",
        lambda: qk.pack(np.ones((4, 3), np.int8), scale=1.0, zero_point=200),
    ),
    (ValueError, "b must have its blocks along K", lambda: qk.pack(qk.quantize_mx(A))),
    (ValueError, "a must have its blocks along K", lambda: qk.matmul(qk.quantize_mx(A, axis=0), E4M3)),
    (
        ValueError,
        "a_scale must be None where a is an MXArray",
        lambda: qk.qmatmul(qk.quantize_mx(A), E4M3, a_scale=1.0, b_scale=1.0),
    ),
    (
        TypeError,
        "b must have been packed with a scale where a is an MXArray",
        lambda: qk.matmul(qk.quantize_mx(A), qk.pack(np.ones((4, 3), np.int8))),
    ),
    (
        ValueError,
        "x must have its blocks along K",
        lambda: qk.QuantizedLinear(A, activation_dtype=None)(qk.quantize_mx(A, axis=0)),
    ),
    (
        TypeError,
        "x must be float where activation_dtype is int8, not an MXArray of mxfp4",
        lambda: qk.QuantizedLinear(A)(qk.quantize_mx(A, "mxfp4")),
    ),
    (ValueError, "activation_dtype must not be 'nvfp4'", lambda: qk.QuantizedLinear(A, activation_dtype="nvfp4")),
    (
        ValueError,
        "activation_dtype must be None or a microscaling format where the weight is int4",
        lambda: qk.QuantizedLinear(A, weight_dtype="int4"),
    ),
    (
        ValueError,
        "activation_dtype must be None, a narrow float type or a microscaling format where the weight is float8",
        lambda: qk.QuantizedLinear(A, weight_dtype="float8_e4m3fn"),
    ),
    (
        ValueError,
        "weight must be finite",
        lambda: qk.QuantizedLinear(A * np.inf, weight_dtype="float8_e4m3fn", activation_dtype=None),
    ),
]


@pytest.mark.parametrize(("error", "message", "call"), ERRORS, ids=[e[1][:50] for e in ERRORS])
def test_errors(error, message, call):
    with pytest.raises(error, match=message):
        call()
