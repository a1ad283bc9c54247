"""cast: every float16 and bfloat16, stratified float32, every code back, every way of rounding; then layout, packing,
random numbers and errors. ml_dtypes and a table of values in float64 are the oracles."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import oracle
import pytest
import strategies as s
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk

NARROW = (
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e4m3b11fnuz",
    "float8_e4m3",
    "float8_e3m4",
    "float6_e2m3fn",
    "float6_e3m2fn",
    "float4_e2m1fn",
    "float8_e8m0fnu",
)
WIDE = ("float32", "float16", "bfloat16")
PACKED = {"float6_e2m3fn": 6, "float6_e3m2fn": 6, "float4_e2m1fn": 4}
ROUNDED = tuple(name for name in NARROW if name != "float8_e8m0fnu")  # values and signs, unlike e8m0
MODES = ("nearest_even", "nearest_away", "toward_zero", "up", "down")


def dtype(name):
    return np.dtype(getattr(ml_dtypes, name, name))


def all_of(name):
    """Every value of a 16-bit type; of float32 a sample of all exponents with ties of every narrow type, and noise."""
    if name != "float32":
        return np.arange(1 << 16, dtype=np.uint16).view(dtype(name))
    rng = np.random.default_rng(5)
    exponent = np.repeat(np.arange(512, dtype=np.uint32) << 23, 512)
    top = np.tile(np.arange(512, dtype=np.uint32) << 14, 512) + rng.integers(-1, 2, exponent.size).astype(np.uint32)
    noise = rng.integers(0, 1 << 32, 1 << 18, dtype=np.uint32)
    return np.concatenate([exponent + top, noise]).view(np.float32)


def widened(x):
    """As float32. NumPy warns of signaling NaNs where its own conversion of float16 is an instruction, as on arm64."""
    with np.errstate(invalid="ignore"):
        return x.astype(np.float32)


def numbers(name):
    """The finite non-negative values of a type in increasing order, which is that of their codes."""
    values = np.arange(256, dtype=np.uint8).view(dtype(name)).astype(np.float64)
    positive = np.arange(256) < 1 << (PACKED.get(name, 8) - 1)
    return values[positive & np.isfinite(values)]


def expected(x, name, rounding):
    """Codes of finite x by the table, saturating, from float64 comparisons alone."""
    table = numbers(name)
    magnitude = np.minimum(np.abs(x.astype(np.float64)), table[-1])
    low = np.searchsorted(table, magnitude, "right") - 1
    high = np.minimum(low + 1, table.size - 1)
    negative = np.signbit(x)
    middle = (table[low] + table[high]) / 2
    inexact = magnitude > table[low]
    up = {
        "nearest_even": (magnitude > middle) | ((magnitude == middle) & (low % 2 == 1)),
        "nearest_away": magnitude >= middle,
        "toward_zero": np.zeros(x.shape, bool),
        "up": inexact & ~negative,
        "down": inexact & negative,
    }[rounding]
    code = np.where(up & inexact, high, low)
    sign = negative & ~(name.endswith("uz") & (code == 0))
    return (code | np.where(sign, 1 << (PACKED.get(name, 8) - 1), 0)).astype(np.uint8)


def same_numbers(actual, wanted):
    """Equal bits, but any NaN for a NaN."""
    assert actual.dtype == wanted.dtype
    nan = np.isnan(wanted)
    np.testing.assert_array_equal(np.isnan(actual), nan)
    np.testing.assert_array_equal(s.bits_of(actual)[~nan], s.bits_of(wanted)[~nan])


# --- values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", WIDE)
@pytest.mark.parametrize("name", NARROW)
def test_without_saturation_as_ml_dtypes(isa, source, name):
    x = all_of(source)
    with np.errstate(all="ignore"):
        wanted = x.astype(np.float32).astype(dtype(name))
    s.assert_same(qk.cast(x, name, saturate=False), wanted)


@pytest.mark.parametrize("source", WIDE)
@pytest.mark.parametrize("name", ROUNDED)
def test_saturating_is_the_cast_of_the_clipped(isa, source, name):
    x = widened(all_of(source))
    greatest = np.float32(numbers(name)[-1])
    with np.errstate(all="ignore"):
        wanted = np.clip(x, -greatest, greatest).astype(dtype(name))
    s.assert_same(qk.cast(all_of(source), name), wanted)


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("name", ROUNDED)
def test_every_way_of_rounding(isa, name, rounding):
    for source in WIDE:
        x = all_of(source)
        x = x[np.isfinite(widened(x))]
        result = qk.cast(x, name, rounding=rounding).view(np.uint8)
        np.testing.assert_array_equal(result, expected(widened(x), name, rounding))


def test_exponents_as_onnx_has_them(isa):
    one = np.float32([3.0, -3.0, 0.0, -0.0, 1.5, 2.0**127 * 1.5, np.inf, -np.inf, np.nan, 2.0**-127, 1e-45])
    name = "float8_e8m0fnu"
    codes = {r: qk.cast(one, name, rounding=r).view(np.uint8).tolist() for r in ("nearest_even", "up", "down")}
    assert codes["nearest_even"] == [129, 129, 0, 0, 128, 254, 255, 255, 255, 0, 0]
    assert codes["up"] == [129, 129, 0, 0, 128, 254, 255, 255, 255, 1, 1]
    assert codes["down"] == [128, 128, 0, 0, 127, 254, 255, 255, 255, 0, 0]


@pytest.mark.parametrize("rounding", MODES)
def test_overflow_without_saturation_depends_on_the_direction(isa, rounding):
    x = np.float32([1e30, -1e30, np.inf, -np.inf])
    codes = qk.cast(x, "float8_e5m2", saturate=False, rounding=rounding).view(np.uint8).tolist()
    stays = {"toward_zero": (True, True), "up": (False, True), "down": (True, False)}.get(rounding, (False, False))
    assert codes == [0x7B if stays[0] else 0x7C, 0xFB if stays[1] else 0xFC, 0x7C, 0xFC]


@pytest.mark.parametrize("target", WIDE)
@pytest.mark.parametrize("name", NARROW)
def test_every_code_back_in_every_lane(isa, name, target):
    codes = np.arange(256, dtype=np.uint8)
    values = codes.view(dtype(name)).astype(np.float32)
    if name in PACKED:  # what lies above the bits of a code does not count
        values = (codes & ((1 << PACKED[name]) - 1)).view(dtype(name)).astype(np.float32)
    with np.errstate(all="ignore"):
        wanted = values.astype(dtype(target))
    for shift in range(64):
        turned = np.roll(codes, shift).view(dtype(name))
        s.assert_same(qk.cast(turned, target), np.roll(wanted, shift))


@pytest.mark.parametrize("target", WIDE)
@pytest.mark.parametrize("source", WIDE)
def test_between_wide_types(isa, source, target):
    x = all_of(source)
    with np.errstate(all="ignore"):
        wanted = x.astype(np.float32).astype(dtype(target))
    same_numbers(qk.cast(x, target), wanted)
    nans = qk.cast(x[np.isnan(widened(x))], target)
    quiet = {"float32": 0x7FC00000, "float16": 0x7E00, "bfloat16": 0x7FC0}[target]
    sign = 1 << (8 * dtype(target).itemsize - 1)
    assert set(s.bits_of(nans).tolist()) == {quiet, quiet | sign}


@pytest.mark.parametrize("rounding", ["toward_zero", "up", "down"])
def test_directed_rounding_to_float16_brackets(isa, rounding):
    x = all_of("float32")
    x = x[np.isfinite(x)]
    y = qk.cast(x, "float16", rounding=rounding).astype(np.float64)
    step = np.spacing(np.float16(0))
    near = np.where(np.isfinite(y), np.maximum(np.abs(y) * 2.0**-10, step), np.inf)
    wide = x.astype(np.float64)
    assert {"toward_zero": np.abs(y) <= np.abs(wide), "up": y >= wide, "down": y <= wide}[rounding].all()
    inside = np.abs(wide) <= 65504
    assert (np.abs(y - wide)[inside] < near[inside] + step).all()


# --- random numbers --------------------------------------------------------------------------------------------


def test_stochastic_rounding_has_the_right_mean():
    rng = np.random.default_rng(11)
    n = 1_000_000
    for i in range(20):
        low = np.float64(rng.choice(numbers("float8_e4m3fn")[1:-1]))
        table = numbers("float8_e4m3fn")
        high = table[np.searchsorted(table, low) + 1]
        x = np.float32(low + (high - low) * rng.uniform(0.05, 0.95))
        part = (np.float64(x) - low) / (high - low)
        y = qk.cast(np.full(n, x), "float8_e4m3fn", rounding="stochastic", seed=i).astype(np.float64)
        assert set(np.unique(y)) == {low, high}
        ups = np.count_nonzero(y == high)
        assert abs(ups - n * part) < 4 * np.sqrt(n * part * (1 - part))


def philox(seed, index):
    """Philox4x32-10, first word, in Python integers."""
    c, k, mask = [index & 0xFFFFFFFF, index >> 32, 0, 0], [seed & 0xFFFFFFFF, seed >> 32], 0xFFFFFFFF
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & mask, (p >> 32) ^ c[3] ^ k[1], p & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c[0]


def test_the_generator_gives_its_published_numbers():
    # Random123, known-answer tests of philox4x32 with 10 rounds; the third and fourth words of the counter are 0 here
    assert philox(0, 0) == 0x6627E8D5
    index = np.arange(600)
    x = np.full(600, np.float32(1 + 1 / 16))  # halfway between two codes of e4m3fn
    for seed in (0, 1, 2**64 - 1):
        up = np.array([philox(seed, int(i)) < 2**31 for i in index])
        wanted = np.where(up, np.float32(1.125), np.float32(1))
        got = qk.cast(x, "float8_e4m3fn", rounding="stochastic", seed=seed).astype(np.float32)
        np.testing.assert_array_equal(got, wanted)


@given(s.layers, s.shapes(), s.layouts, s.seeds, st.integers(1, 8))
def test_stochastic_rounding_depends_on_seed_and_place_alone(layer, shape, layout, seed, threads):
    rng = np.random.default_rng(seed)
    x = s.values(rng, shape, "float32")
    with qk.cpu.use("scalar"), qk.thread_limit(1):
        wanted = qk.cast(x, "float8_e5m2", rounding="stochastic", seed=seed)
    with qk.cpu.use(layer), qk.thread_limit(threads):
        got = qk.cast(s.arranged(rng, x, layout), "float8_e5m2", rounding="stochastic", seed=seed)
    s.assert_same(np.ascontiguousarray(got).reshape(shape), wanted)


def test_stochastic_rounding_of_a_large_transposed_array():
    x = np.random.default_rng(2).standard_normal((517, 701)).astype(np.float32)
    wanted = qk.cast(x, "float8_e4m3fn", rounding="stochastic", seed=9)
    for threads in (1, 2, 7):
        with qk.thread_limit(threads):
            got = qk.cast(np.asfortranarray(x), "float8_e4m3fn", rounding="stochastic", seed=9)
        s.assert_same(np.ascontiguousarray(got), wanted)


# --- memory ----------------------------------------------------------------------------------------------------


@given(s.layers, s.shapes(), s.layouts, s.out_layouts, s.rngs, st.sampled_from(NARROW), st.sampled_from(WIDE))
def test_any_layout(layer, shape, layout, out_layout, rng, name, source):
    x = s.values(rng, shape, source)
    wanted = qk.cast(x, name)
    buffer, out = s.place(rng, shape, dtype(name), out_layout)
    with qk.cpu.use(layer):
        result = qk.cast(s.arranged(rng, x, layout), name, out=out)
    assert result is out
    s.assert_same(np.ascontiguousarray(out).reshape(shape), wanted)
    assert s.only_within(buffer, out)
    back = qk.cast(wanted, source)
    s.assert_same(qk.cast(s.arranged(rng, wanted, layout), source), back)


@given(s.layers, s.shapes(least=1), s.rngs, st.sampled_from(tuple(PACKED)), st.sampled_from(WIDE))
def test_packed(layer, shape, rng, name, wide):
    x = s.values(rng, shape, wide)
    codes = qk.cast(x, name).view(np.uint8)
    with qk.cpu.use(layer):
        packed = qk.cast(x, name, packed=True)
        back = qk.cast(packed, wide, packed=name, shape=shape)
    assert packed.dtype == np.uint8
    if np.prod(shape):
        s.assert_same(packed, oracle.pack(codes, PACKED[name]))
    s.assert_same(back, qk.cast(codes.view(dtype(name)), wide))


def test_large_arrays_go_around_the_caches():
    x = np.random.default_rng(3).standard_normal(9_000_001).astype(np.float32)
    q = qk.cast(x, "float8_e4m3fn")
    s.assert_same(q, np.concatenate([qk.cast(part, "float8_e4m3fn") for part in np.array_split(x, 100)]))
    y = qk.cast(q, "float32")
    s.assert_same(y, np.concatenate([qk.cast(part, "float32") for part in np.array_split(q, 100)]))


# --- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "dtype must be one of", {"dtype": "int8"}),
        (ValueError, "rounding must be one of .*, not 'odd'", {"rounding": "odd"}),
        (ValueError, "seed must be given", {"rounding": "stochastic"}),
        (TypeError, "seed must be an integer, not 1.5", {"rounding": "stochastic", "seed": 1.5}),
        (ValueError, r"seed must be in \[0, 2\*\*64\), not -1", {"rounding": "stochastic", "seed": -1}),
        (TypeError, "packed results must have one of", {"packed": True}),
        (TypeError, "packed must be one of", {"packed": "int4"}),
        (ValueError, "shape must not be given", {"shape": (3,)}),
        (TypeError, "out must have dtype float8_e4m3fn", {"out": np.zeros(3, np.uint8)}),
        (ValueError, r"out must have shape \(3,\), not \(4,\)", {"out": np.zeros(4, ml_dtypes.float8_e4m3fn)}),
    ],
)
def test_wrong_arguments(error, message, arguments):
    keywords = {"dtype": "float8_e4m3fn", **arguments}
    with pytest.raises(error, match=message):
        qk.cast(np.ones(3, np.float32), **keywords)


def test_two_narrow_types_are_refused():
    with pytest.raises(TypeError, match="must not both be narrow types, not float8_e5m2 and float8_e4m3fn"):
        qk.cast(np.ones(3, ml_dtypes.float8_e5m2), "float8_e4m3fn")
    with pytest.raises(TypeError, match="x must have one of the dtypes"):
        qk.cast(np.ones(3, np.int8), "float8_e4m3fn")
    with pytest.raises(ValueError, match="shape must fit the bytes of x"):
        qk.cast(np.zeros(3, np.uint8), "float32", packed="float4_e2m1fn", shape=(9,))
    with pytest.raises(ValueError, match="must have an axis"):
        qk.cast(np.float32(1), "float4_e2m1fn", packed=True)
