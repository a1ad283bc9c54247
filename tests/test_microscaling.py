"""quantize_mx and MXArray against the OCP specification, computed in float64 (mx_oracle)."""

from __future__ import annotations

import copy
import itertools
import pickle

import ml_dtypes
import mx_oracle
import numpy as np
import oracle
import pytest
import strategies as some
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk

FORMATS = tuple(mx_oracle.FORMATS)
PACKED = ("mxfp6_e2m3", "mxfp6_e3m2", "mxfp4", "nvfp4")
formats, modes = st.sampled_from(FORMATS), st.sampled_from(mx_oracle.MODES)


@st.composite
def arrays(draw, finite=False):
    """An array whose blocks have magnitudes from the least to the greatest, and an axis of it."""
    shape = draw(some.shapes(least=1, most=3))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    rng, name = draw(some.rngs), draw(some.float_names)
    x = some.values(rng, shape, "float32", specials=False)
    far = rng.choice([0.0, 1.0, 2.0**-140, 2.0**-125, 2.0**-100, 2.0**90, 2.0**127], (*shape[:-1], 1))
    powers = np.exp2(rng.integers(-30, 30, shape)) * rng.choice([-1, 1], shape)
    with np.errstate(all="ignore"):
        x = np.where(rng.random(shape) < 0.2, powers, x) * (far if draw(st.booleans()) else 1)
        x = x.astype(np.float32).astype(oracle.dtype(name))
    if finite:
        x = np.where(np.isfinite(x), x, x.dtype.type(1))
    elif draw(st.booleans()):
        odd = np.array([np.nan, np.inf, -np.inf]).astype(x.dtype)
        x = np.where(rng.random(shape) < 0.01, rng.choice(odd, shape), x)
    return some.arranged(rng, x, draw(some.layouts)), axis


def each(scales, shape, axis, size):
    """The scale of every element."""
    return np.take(np.repeat(scales, size, axis), np.arange(shape[axis]), axis) if np.prod(shape) else np.zeros(shape)


def check_back(m, values, each_scale, name):
    """dequantize is one product in float32, and one more rounding."""
    with np.errstate(all="ignore"):
        y = (values * each_scale).astype(np.float32)
        y = np.where(np.isnan(y), np.float32(np.nan), y).astype(oracle.dtype(name))
    some.assert_same(m.dequantize(name), y)


@given(arrays(), formats, modes, some.float_names, some.layers)
def test_formats(given_array, name, mode, real, layer):
    x, axis = given_array
    with qk.cpu.use(layer):
        m = qk.quantize_mx(x, name, axis=axis, scale_mode=mode)
        values, codes = mx_oracle.quantize(x.astype(np.float32), name, axis, mode)
        np.testing.assert_array_equal(m.scales.view(np.uint8), codes)
        assert m.scales.dtype == ml_dtypes.float8_e8m0fnu
        assert m.elements.dtype == mx_oracle.FORMATS[name].dtype
        unit = 64 if name == "mxint8" else 1
        good = each(codes, x.shape, axis, 32) != mx_oracle.NAN
        elements = m.elements.astype(np.float64) / unit
        np.testing.assert_array_equal(elements[good], values[good])
        if unit == 1:
            np.testing.assert_array_equal(np.signbit(elements[good]), np.signbit(values[good]))
        scales = np.where(codes == mx_oracle.NAN, np.nan, np.exp2(codes.astype(np.float64) - 127))
        check_back(m, elements, each(scales, x.shape, axis, 32), real)


@given(arrays(finite=True), st.sampled_from([None, 1.0, 0.001, 3e-39, 1e30]), some.layers)
def test_nvfp4(given_array, whole, layer):
    x, axis = given_array
    with qk.cpu.use(layer):
        m = qk.quantize_mx(x, "nvfp4", axis=axis, global_scale=whole)
        if whole is None:
            absmax = np.float32(np.abs(x.astype(np.float32)).max(initial=0))
            whole = absmax / np.float32(2688) or 1.0
        assert m.global_scale == np.float32(whole)
        values, scales = mx_oracle.quantize_nvfp4(x, whole, axis)
        np.testing.assert_array_equal(m.scales.astype(np.float64), scales)
        np.testing.assert_array_equal(m.elements.astype(np.float64), values)
        with np.errstate(all="ignore"):
            steps = (scales.astype(np.float32) * np.float32(whole)).astype(np.float64)
        check_back(m, m.elements.astype(np.float64), each(steps, x.shape, axis, 16), "float32")


@given(arrays(finite=True), st.sampled_from(PACKED), some.layers)
def test_packed(given_array, name, layer):
    x, axis = given_array
    bits = 4 if name.endswith("4") else 6
    with qk.cpu.use(layer):
        m, plain = (qk.quantize_mx(x, name, axis=axis, packed=packed) for packed in (True, False))
        assert m.packed
        assert m.shape == x.shape
        assert m.elements.dtype == np.uint8
        codes = plain.elements.view(np.uint8)
        string = ((codes[..., None] >> np.arange(bits)) & 1).reshape(*x.shape[:-1], x.shape[-1] * bits)
        held = np.packbits(string.astype(np.uint8), axis=-1, bitorder="little")
        np.testing.assert_array_equal(m.elements, held)
        some.assert_same(m.scales, plain.scales)
        some.assert_same(m.dequantize(), plain.dequantize())


def test_the_values_of_the_specification(isa):
    """Section 5.3: each type's greatest number, and a block that has it comes back as it was."""
    for name, form in mx_oracle.FORMATS.items():
        _, values = mx_oracle.magnitudes(form.dtype)
        assert values[-1] == form.greatest
        x = np.zeros(32, np.float32)
        x[:2] = form.greatest, -values[1]
        m = qk.quantize_mx(x * np.float32(2.0**-20), name)
        assert m.scales.astype(np.float32) == 2.0**-20
        np.testing.assert_array_equal(m.dequantize(), x * np.float32(2.0**-20))


def test_blocks_without_a_number(isa):
    nan, inf = np.float32(np.nan), np.float32(np.inf)
    x = np.ones((4, 32), np.float32)
    x[0], x[1, 3], x[2, 5], x[3] = 0, nan, -inf, nan
    m = qk.quantize_mx(x, "mxfp8_e4m3")
    np.testing.assert_array_equal(m.scales.view(np.uint8)[:, 0], [0, 255, 247, 255])
    y = m.dequantize()
    np.testing.assert_array_equal(y[0], 0)
    assert np.isnan(y[[1, 3]]).all()
    assert y[2, 5] == -inf
    assert (y[2, :5] == 0).all()
    assert qk.quantize_mx(x, "mxint8").scales.view(np.uint8)[2, 0] == 255
    m = qk.quantize_mx(x, "nvfp4", global_scale=1.0)
    np.testing.assert_array_equal(m.scales.view(np.uint8)[:, 0], [0x08, 0x7F, 0x7E, 0x7F])


@pytest.mark.parametrize("mode", mx_oracle.MODES)
def test_scales_around_powers_of_two(isa, mode):
    """Every magnitude next to a power of two or to a multiple of max, in every format."""
    for name, form in mx_oracle.FORMATS.items():
        exponents = np.exp2(np.arange(-149, 128, dtype=np.float64))
        near = np.concatenate([exponents, exponents * form.greatest, exponents * (2 - 2.0 ** -(form.bits + 1))])
        near = near[near < 3.4e38].astype(np.float32)
        absmax = np.concatenate([near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(0))])
        x = np.zeros((absmax.size, 2), np.float32)
        x[:, 1] = -absmax
        codes = qk.quantize_mx(x, name, scale_mode=mode).scales.view(np.uint8)
        expected = [mx_oracle.scale_code(row, form, mode) for row in x]
        np.testing.assert_array_equal(codes[:, 0], expected)


def test_nothing_saturates_with_rceil(isa):
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(500, 32)) * np.exp2(rng.uniform(-60, 60, (500, 1)))).astype(np.float32)
    for name, form in mx_oracle.FORMATS.items():
        m = qk.quantize_mx(x, name, scale_mode="rceil")
        assert (np.abs(x).max(1) <= m.scales.astype(np.float64)[:, 0] * form.greatest * (1 + 2.0**-23)).all()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", ["mxfp8_e4m3", "mxfp4", "mxint8", "nvfp4"])
def test_large_arrays_on_any_number_of_threads(name, axis):
    """More than the last-level cache: the bits of small pieces."""
    x = np.random.default_rng(2).normal(size=(1100, 8192)).astype(np.float32)
    parts = np.array_split(np.arange(x.shape[1 - axis]), 5)
    whole = 0.01 if name == "nvfp4" else None
    found = []
    for threads in (1, 2, 5):
        with qk.thread_limit(threads):
            found.append(qk.quantize_mx(x, name, axis=axis, global_scale=whole))
    pieces = [qk.quantize_mx(np.take(x, p, 1 - axis), name, axis=axis, global_scale=whole) for p in parts]
    for m in found:
        some.assert_same(m.elements, np.concatenate([p.elements for p in pieces], 1 - axis))
        some.assert_same(m.scales, np.concatenate([p.scales for p in pieces], 1 - axis))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", [*FORMATS, "nvfp4"])
def test_copies(name, packed):
    if packed and name not in PACKED:
        pytest.skip("8-bit elements are not packed")
    x = np.random.default_rng(5).normal(size=(3, 45)).astype(np.float32)
    m = qk.quantize_mx(x, name, packed=packed)
    for other in (pickle.loads(pickle.dumps(m)), copy.deepcopy(m)):
        assert other == m
        assert hash(other) == hash(m)
        some.assert_same(other.dequantize(), m.dequantize())
    again = qk.MXArray(m.elements, m.scales, name, -1, shape=x.shape if packed else None, global_scale=m.global_scale)
    assert again == m
    assert m != qk.quantize_mx(x + 1, name, packed=packed)
    assert m != name
    assert m.nbytes == m.elements.nbytes + m.scales.nbytes + 4 * (name == "nvfp4")
    assert name in repr(m)
    with pytest.raises(AttributeError, match="MXArray is immutable"):
        m.axis = 0
    with pytest.raises(AttributeError, match="MXArray is immutable"):
        del m.axis
    with pytest.raises(ValueError, match="read-only"):
        m.scales[0, 0] = 1


def test_dequantize_out():
    x = np.linspace(-3, 3, 64, dtype=np.float32)
    m = qk.quantize_mx(x)
    out = np.zeros(64, ml_dtypes.bfloat16)
    assert m.dequantize("bfloat16", out=out) is out
    some.assert_same(out, m.dequantize("bfloat16"))


X = np.ones((2, 40), np.float32)
E4M3 = np.ones((2, 40), ml_dtypes.float8_e4m3fn)
E8M0 = np.ones((2, 2), ml_dtypes.float8_e8m0fnu)
ERRORS = [
    (ValueError, "format must be one of mxfp8_e4m3, .*, not 'mxfp7'", lambda: qk.quantize_mx(X, "mxfp7")),
    (ValueError, "format must be one of mxfp8_e4m3, .*, not None", lambda: qk.quantize_mx(X, None)),
    (ValueError, "x must have at least one axis, not be 0-d", lambda: qk.quantize_mx(1.0)),
    (TypeError, "x must have one of the dtypes", lambda: qk.quantize_mx(X.astype(np.float64))),
    (ValueError, r"axis must be in \[-2, 2\)", lambda: qk.quantize_mx(X, axis=2)),
    (ValueError, "scale_mode must be one of floor, .*, not 'round'", lambda: qk.quantize_mx(X, scale_mode="round")),
    (
        ValueError,
        "scale_mode must be left out for nvfp4, not 'even'",
        lambda: qk.quantize_mx(X, "nvfp4", scale_mode="even"),
    ),
    (ValueError, "global_scale must be None for mxfp4, not 2.0", lambda: qk.quantize_mx(X, "mxfp4", global_scale=2.0)),
    (
        ValueError,
        "global_scale must be a single positive finite number, not -1",
        lambda: qk.quantize_mx(X, "nvfp4", global_scale=-1.0),
    ),
    (
        ValueError,
        "x must not have infinities unless global_scale is given, but has 1",
        lambda: qk.quantize_mx([1.0, np.inf], "nvfp4"),
    ),
    (TypeError, "packed results must have one of the dtypes", lambda: qk.quantize_mx(X, packed=True)),
    (TypeError, "elements must have dtype float8_e5m2 in mxfp8_e5m2", lambda: qk.MXArray(E4M3, E8M0, "mxfp8_e5m2")),
    (TypeError, "elements must have dtype .* or, packed, uint8 in mxfp4", lambda: qk.MXArray(E4M3, E8M0, "mxfp4")),
    (TypeError, "scales must have dtype float8_e8m0fnu", lambda: qk.MXArray(E4M3, E4M3, "mxfp8_e4m3")),
    (ValueError, r"scales must have shape \(1, 40\)", lambda: qk.MXArray(E4M3, E8M0, "mxfp8_e4m3", 0)),
    (ValueError, "shape must be that of elements", lambda: qk.MXArray(E4M3, E8M0, "mxfp8_e4m3", shape=(80,))),
    (
        ValueError,
        r"shape must fit the bytes of elements, of shape \(2, 20\); not \(2, 50\)",
        lambda: qk.MXArray(np.zeros((2, 20), np.uint8), E8M0, "mxfp4", shape=(2, 50)),
    ),
    (
        ValueError,
        "global_scale must be None in mxfp8_e4m3, not 1.0",
        lambda: qk.MXArray(E4M3, E8M0, "mxfp8_e4m3", global_scale=1.0),
    ),
]


@pytest.mark.parametrize(("error", "message", "call"), ERRORS, ids=[f"{i}" for i in range(len(ERRORS))])
def test_errors(error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_oracle_knows_the_least_and_the_greatest_scale():
    form = mx_oracle.FORMATS["mxfp8_e4m3"]
    tiny, huge = np.array([2.0**-149]), np.array([3.4e38])
    found = [mx_oracle.scale_code(a, form, mode) for a, mode in itertools.product((tiny, huge), mx_oracle.MODES)]
    assert found == [0, 0, 0, 0, 246, 247, 247, 247]
