"""choose_params and QuantParams: each rule against its system's formula, one number at a time."""

from __future__ import annotations

import copy
import math
import pickle

import ml_dtypes
import numpy as np
import oracle
import pytest
import strategies as some
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk

f32 = np.float32
RULES = ("pyquantk", "onnx_dynamic", "torchao", "torchao_no_clipping", "fbgemm", "per_token")
TINY = f32(2.0**-126)


def clamp(v, low, high):
    return min(max(v, low), high)


def whole(v):
    """Half to even, of any real number."""
    return round(float(v))


def symmetric_middle(low, high):
    return (low + high + 1) // 2


# --- the rules: least and greatest value (float32) -> scale (float32), zero point ---------------------------------


def rule_pyquantk(least, most, low, high, symmetric):
    if symmetric:
        absmax = max(abs(least), abs(most))
        top = high if low < 0 else (high - 1) // 2
        scale = f32(1) if absmax == 0 else max(absmax / f32(top), TINY)
        return scale, symmetric_middle(low, high)
    least, most = min(least, f32(0)), max(most, f32(0))
    if least == most:
        return f32(1), low
    with np.errstate(over="ignore"):
        span = most - least
    scale = f32((float(most) - float(least)) / (high - low)) if np.isinf(span) else span / f32(high - low)
    scale = max(scale, TINY)
    return scale, whole(clamp(f32(low) - least / scale, low, high))


def rule_onnx_dynamic(least, most, low, high, symmetric):
    least, most = min(least, f32(0)), max(most, f32(0))
    scale = f32(1) if least == most else (most - least) / f32(high - low)
    point = f32(low) - least / scale
    return scale, low if np.isnan(point) else whole(clamp(point, low, high))  # 0 / 0, where the step underflows


def rule_torchao(least, most, low, high, symmetric):
    least, most = min(least, f32(0)), max(most, f32(0))
    if symmetric:
        scale = max(-least, most) / f32((high - low) / 2)
        return max(scale, TINY), symmetric_middle(low, high)
    scale = max((most - least) / f32(high - low), TINY)
    return scale, int(clamp(low - whole(least / scale), low, high))


def rule_torchao_no_clipping(least, most, low, high, symmetric):
    least, most = min(least, f32(0)), max(most, f32(0))
    return max(least / f32(low), most / f32(high), TINY), 0


def rule_fbgemm(least, most, low, high, symmetric):
    """QuantUtils.cc, ChooseQuantizationParams, without preserved sparsity and powers of 2: double where C++ has it."""
    least, most = min(least, f32(0)), max(most, f32(0))
    scale = (float(most) - float(least)) / (high - low)
    with np.errstate(all="ignore"):
        if f32(scale) == 0 or np.isinf(f32(1) / f32(scale)):
            scale = 0.1
    small = f32(6.1e-5)
    if scale < small:
        original, scale = scale, float(small)
        if least == 0:
            most = small * f32(high - low)
        elif most == 0:
            least = -(small * f32(high - low))
        else:
            amplifier = small / f32(original)
            least, most = least * amplifier, most * amplifier
    to_least, to_most = float(least) / scale, float(most) / scale
    from_least, from_most = low - to_least, high - to_most
    nearer = abs(low) + abs(to_least) < abs(high) + abs(to_most)
    return f32(scale), whole(clamp(from_least if nearer else from_most, low, high))


def rule_per_token(least, most, low, high, symmetric):
    return max(abs(least), abs(most), f32(1e-5)) / f32(high), 0


FORMULAS = {name: globals()[f"rule_{name}"] for name in RULES}


def check(x, params, rule, name, symmetric, keywords):
    """Every block's parameters, from its least and greatest element."""
    low, high = oracle.INTEGERS[name][:2]
    stats = qk.observe(x, **keywords)
    assert params.scale.shape == stats.min.shape
    assert params.dtype == oracle.dtype(name)
    points = np.zeros(stats.min.shape, int) if params.zero_point is None else params.zero_point.astype(int)
    for at in np.ndindex(*stats.min.shape):
        empty = stats.min[at] > stats.max[at]
        least, most = (f32(0), f32(0)) if empty else (stats.min[at], stats.max[at])
        scale, zero = FORMULAS[rule](least, most, low, high, symmetric)
        assert (params.scale[at], points[at]) == (scale, zero), (least, most)


@st.composite
def finite(draw, kind=None):
    """Finite arrays of any magnitude: one-sided, constant, zero and empty ones too."""
    shape = draw(some.shapes({"tensor": 0, "channel": 1, "block": 1, "blocks": 2}.get(kind, 0)))
    grain = draw(some.grains(shape, kind))
    rng = draw(some.rngs)
    x = rng.normal(size=shape) * 10.0 ** draw(st.integers(-42, 36))
    form = draw(st.sampled_from(["both", "positive", "negative", "zero", "constant"]))
    x = {"both": x, "positive": np.abs(x), "negative": -np.abs(x), "zero": x * 0, "constant": x * 0 + 3}[form]
    name = draw(st.sampled_from(["float32", "float32", "bfloat16"]))
    return np.asarray(x, np.float32).astype(oracle.dtype(name)), grain


class TestRules:
    @given(finite(), some.integer_names, st.booleans())
    def test_pyquantk(self, drawn, name, symmetric):
        self.check_rule("pyquantk", drawn, name, symmetric)

    @given(finite(), some.integer_names)
    def test_onnx_dynamic(self, drawn, name):
        self.check_rule("onnx_dynamic", drawn, name, False)

    @given(finite(), some.integer_names, st.booleans())
    def test_torchao(self, drawn, name, symmetric):
        self.check_rule("torchao", drawn, name, symmetric)

    @given(finite(), st.sampled_from(["int8", "int16", "int4", "int2"]))
    def test_torchao_no_clipping(self, drawn, name):
        self.check_rule("torchao_no_clipping", drawn, name, True)

    @given(finite(), some.integer_names)
    def test_fbgemm(self, drawn, name):
        self.check_rule("fbgemm", drawn, name, False)

    @given(finite(), st.sampled_from(["int8", "int16", "int4", "int2"]))
    def test_per_token(self, drawn, name):
        self.check_rule("per_token", drawn, name, True)

    def check_rule(self, rule, drawn, name, symmetric):
        x, grain = drawn
        with np.errstate(all="ignore"):
            params = qk.choose_params(x, name, rule=rule, symmetric=symmetric, **grain.keywords)
            check(x, params, rule, name, symmetric, grain.keywords)

    def test_documented_values(self):
        x = [-1.0, 0.5, 2.0]
        assert qk.choose_params(x).scale == f32(2) / f32(127)
        assert qk.choose_params(x).zero_point is None
        assert qk.choose_params(x, rule="torchao").scale == f32(2) / f32(127.5)
        assert qk.choose_params(x, rule="per_token").scale == f32(2) / f32(127)
        p = qk.choose_params(x, "uint8", rule="onnx_dynamic")
        assert (p.scale, p.zero_point) == (f32(3) / f32(255), 85)
        assert qk.choose_params([0.0, 0.0], "uint8", rule="onnx_dynamic").scale == 1
        assert qk.choose_params([0.0], "uint8").zero_point == 128


class TestMeaning:
    @given(finite(), some.integer_names, st.booleans())
    def test_nothing_is_clipped_and_zero_is_exact(self, drawn, name, symmetric):
        """All of x within half a step of the range, so that the error is at most half a step (asymmetric: one)."""
        x, grain = drawn
        p = qk.choose_params(x, name, symmetric=symmetric, **grain.keywords)
        x = x.astype(np.float32)
        if not x.size or np.abs(x).max() > 1e36:
            return
        y = p.dequantize(p.quantize(x)).astype(np.float64)
        scale = grain.each(p.scale, x.shape).astype(np.float64)
        steps = oracle.INTEGERS[name][1] - oracle.INTEGERS[name][0]
        assert (np.abs(y - x) <= scale * ((0.5 if symmetric else 1) + steps * 2.0**-22)).all()
        assert not p.dequantize(p.quantize(x * 0)).any()

    @given(finite(), some.integer_names, st.sampled_from(RULES), st.booleans())
    def test_every_scale_is_usable(self, drawn, name, rule, symmetric):
        x, grain = drawn
        if rule == "torchao_no_clipping" and name.startswith("u"):
            return
        if rule == "per_token" and name.startswith("u"):
            return
        if x.size and np.abs(x.astype(np.float32)).max() > 1e38:
            return
        p = qk.choose_params(x, name, rule=rule, symmetric=symmetric, **grain.keywords)
        assert np.isfinite(p.scale).all()
        assert (p.scale > 0).all()
        assert p.scale.shape == grain.given

    @given(finite(), st.sampled_from(["pyquantk", "torchao", "fbgemm"]))
    def test_statistics_stand_for_the_array(self, drawn, rule):
        x, grain = drawn
        stats = qk.observe(x, **grain.keywords)
        assert qk.choose_params(stats, rule=rule, **grain.keywords) == qk.choose_params(x, rule=rule, **grain.keywords)

    @given(some.rngs, st.integers(1, 40), st.integers(-20, 20))
    def test_powers_of_two_carry_over(self, rng, n, power):
        x = rng.normal(size=n).astype(np.float32)
        one, other = (qk.choose_params(x * f32(k), symmetric=False) for k in (1, 2.0**power))
        assert other.scale == one.scale * f32(2.0**power)
        assert other.zero_point == one.zero_point


@pytest.mark.parametrize("rule", RULES)
def test_ends_of_float32(rule):
    """No rule overflows, divides by zero or warns."""
    top = np.finfo(np.float32).max
    for x in ([-top, top], [top], [-top], [1e-45], [-1e-45, 1e-45], [0.0], [-0.0], []):
        for symmetric in (True, False):
            p = qk.choose_params(np.array(x, np.float32), rule=rule, symmetric=symmetric)
            assert p.scale.dtype == np.float32
            if rule in {"pyquantk", "torchao_no_clipping", "per_token"}:
                assert math.isfinite(p.scale)
                assert p.scale > 0


class TestErrors:
    @pytest.mark.parametrize(
        ("x", "counts"), [([np.nan, 1.0], "1 NaN and 0 infinite"), ([np.inf, -np.inf, np.nan], "1 NaN and 2 infinite")]
    )
    def test_not_finite(self, x, counts):
        with pytest.raises(ValueError, match=f"x must be finite, but has {counts} elements"):
            qk.choose_params(x)

    @pytest.mark.parametrize(
        ("error", "message", "keywords"),
        [
            (ValueError, "rule must be one of pyquantk, onnx_dynamic, .*, not 'tensorrt'", {"rule": "tensorrt"}),
            (ValueError, "rule must be one of pyquantk, onnx_dynamic, .*, not None", {"rule": None}),
            (ValueError, r"rule must be one of pyquantk, onnx_dynamic, .*, not \['fbgemm'\]", {"rule": ["fbgemm"]}),
            (ValueError, "method must be 'minmax', not 'mean'", {"method": "mean"}),
            (TypeError, "dtype must be one of int8, .*, not 'float32'", {"dtype": "float32"}),
            (
                ValueError,
                "'torchao_no_clipping' needs a signed dtype",
                {"rule": "torchao_no_clipping", "dtype": "uint8"},
            ),
            (ValueError, "'per_token' needs a signed dtype", {"rule": "per_token", "dtype": "uint4"}),
            (ValueError, r"axis must be in \[-1, 1\) for an array of 1 axes, not 1", {"axis": 1}),
            (ValueError, "block_size must be at least 1, not 0", {"block_size": 0}),
        ],
    )
    def test_arguments(self, error, message, keywords):
        with pytest.raises(error, match=message):
            qk.choose_params([1.0, 2.0], **keywords)

    def test_statistics_of_two_shapes(self):
        one, two = np.zeros(1, np.float32), np.zeros(2, np.float32)
        none = np.zeros(1, np.int64)
        with pytest.raises(ValueError, match=r"x.min and x.max must have one shape, not \(1,\) and \(2,\)"):
            qk.choose_params(qk.Statistics(one, two, none, none))

    def test_x(self):
        with pytest.raises(TypeError, match="x must have one of the dtypes float32, float16, bfloat16, not int64"):
            qk.choose_params(np.arange(3))


# --- QuantParams -------------------------------------------------------------------------------------------------


@st.composite
def params(draw):
    name = draw(some.integer_names)
    shape = draw(some.shapes(1, 3))
    grain = draw(some.grains(shape))
    rng = draw(some.rngs)
    zero = rng.integers(*oracle.INTEGERS[name][:2], grain.given) if draw(st.booleans()) else None
    return qk.QuantParams(some.scales(rng, grain.given), zero, dtype=name, **grain.keywords)


class TestQuantParams:
    @given(params())
    def test_pickle_and_copy(self, p):
        for other in (pickle.loads(pickle.dumps(p)), copy.copy(p), copy.deepcopy(p)):
            assert other == p
            assert hash(other) == hash(p)
            assert repr(other) == repr(p)
            assert (other.dtype, other.axis, other.block_size) == (p.dtype, p.axis, p.block_size)
            some.assert_same(other.scale, p.scale)
            assert not other.scale.flags.writeable

    @given(params(), params())
    def test_equal_exactly_where_all_parts_are(self, p, q):
        same = (
            p.dtype == q.dtype
            and (p.axis, p.block_size) == (q.axis, q.block_size)
            and np.array_equal(p.scale, q.scale)
            and (p.zero_point is None) == (q.zero_point is None)
            and (p.zero_point is None or np.array_equal(p.zero_point, q.zero_point))
        )
        assert (p == q) is same
        assert (p != q) is not same
        assert len({p, q, copy.copy(p)}) == (1 if same else 2)

    @given(st.data(), some.integer_names, some.conventions)
    def test_methods_are_the_functions(self, data, name, convention):
        low, high = oracle.INTEGERS[name][:2]
        case = data.draw(some.cases(limits=(low, high)))
        p = qk.QuantParams(case.scale_given, case.zero_given, dtype=name, **case.grain.keywords)
        scale = np.asarray(case.scale_given, np.float32)
        arguments = (scale, case.zero_given)
        q = p.quantize(case.x, convention=convention)
        some.assert_same(q, qk.quantize(case.x, *arguments, dtype=name, convention=convention, **case.grain.keywords))
        some.assert_same(p.dequantize(q), qk.dequantize(q, *arguments, **case.grain.keywords))
        wanted = qk.fake_quantize(
            case.x, *arguments, quant_min=low, quant_max=high, convention=convention, **case.grain.keywords
        )
        some.assert_same(p.fake_quantize(case.x, convention=convention), wanted)

    @given(some.rngs, some.narrow_names, st.integers(1, 40))
    def test_packed(self, rng, name, n):
        x = some.values(rng, (3, n), "float32")
        p = qk.QuantParams(0.5, 1, dtype=name)
        held = p.quantize(x, packed=True)
        some.assert_same(held, oracle.pack(p.quantize(x).astype(int), oracle.INTEGERS[name][2]))
        some.assert_same(p.dequantize(held, packed=name, shape=x.shape), p.dequantize(p.quantize(x)))
        some.assert_same(p.dequantize(held, shape=x.shape), p.dequantize(p.quantize(x)))

    def test_immutable(self):
        scale = np.array([0.5, 1.0], np.float32)
        p = qk.QuantParams(scale, [1, 2], dtype="int8", axis=0)
        scale[0] = 9
        assert p.scale.tolist() == [0.5, 1.0]
        for name in ("scale", "zero_point", "dtype", "axis", "block_size"):
            with pytest.raises(AttributeError, match=f"QuantParams is immutable: {name} cannot be set"):
                setattr(p, name, None)
            with pytest.raises(AttributeError, match=f"QuantParams is immutable: {name} cannot be deleted"):
                delattr(p, name)
        with pytest.raises(AttributeError):
            p.other = 1
        for part in (p.scale, p.zero_point):
            with pytest.raises(ValueError, match="read-only"):
                part[0] = 0

    def test_not_equal_to_others(self):
        p = qk.QuantParams(0.5, dtype="int8")
        assert p != 0.5
        assert p != qk.QuantParams(0.5, 0, dtype="int8")  # "no zero point" is not "zero point 0"
        assert p != qk.QuantParams([0.5], dtype="int8")
        assert p != qk.QuantParams(0.5, dtype="uint8")

    @pytest.mark.parametrize(
        ("p", "text"),
        [
            (qk.QuantParams(0.5, dtype="int8"), "QuantParams(scale=0.5, dtype='int8')"),
            (qk.QuantParams(0.5, 3, dtype=np.uint8), "QuantParams(scale=0.5, zero_point=3, dtype='uint8')"),
            (
                qk.QuantParams([1, 2], [3, 4], dtype="int4", axis=1),
                "QuantParams(scale=<float32 (2,)>, zero_point=<int4 (2,)>, dtype='int4', axis=1)",
            ),
            (
                qk.QuantParams(np.ones((2, 3)), dtype="uint2", axis=(0, 1), block_size=(4, 4)),
                "QuantParams(scale=<float32 (2, 3)>, dtype='uint2', axis=(0, 1), block_size=(4, 4))",
            ),
        ],
    )
    def test_repr(self, p, text):
        assert repr(p) == text

    @pytest.mark.parametrize("name", oracle.INTEGERS)
    def test_zero_point_has_the_dtype(self, name):
        p = qk.QuantParams(1.0, 1, dtype=name)
        assert p.zero_point.dtype == p.dtype == oracle.dtype(name)

    @pytest.mark.parametrize(
        ("error", "message", "arguments", "keywords"),
        [
            (TypeError, "dtype must be one of int8, .*, not 'int32'", [1.0], {"dtype": "int32"}),
            (ValueError, r"zero_point must be in \[-128, 127\] for int8, not 200", [1.0, 200], {"dtype": "int8"}),
            (ValueError, r"zero_point must be in \[0, 3\] for uint2, not ", [1.0, 2**63], {"dtype": "uint2"}),
            (TypeError, "zero_point must be integers, not float64", [1.0, 0.0], {"dtype": "int8"}),
            (
                ValueError,
                r"zero_point must be a number or have the shape of scale, \(2,\), not \(3,\)",
                [[1, 2], [1, 2, 3]],
                {"dtype": "int8", "axis": 0},
            ),
            (TypeError, "scale must be real numbers, not ", ["1"], {"dtype": "int8"}),
            (TypeError, "scale must be real numbers, not ", [None], {"dtype": "int8"}),
            (TypeError, "scale must be real numbers, not ", [1j], {"dtype": "int8"}),
        ],
    )
    def test_errors(self, error, message, arguments, keywords):
        with pytest.raises(error, match=message):
            qk.QuantParams(*arguments, **keywords)

    def test_subclass_types_of_ml_dtypes(self):
        p = qk.QuantParams(ml_dtypes.bfloat16(0.5), ml_dtypes.int4(3), dtype=ml_dtypes.int4)
        assert (p.scale, int(p.zero_point)) == (0.5, 3)
