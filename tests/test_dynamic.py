"""quantize_dynamic: what observe, the scale and quantize give one after the other."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import oracle
import pytest
import strategies as some
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk
from pyquantk.dtypes import ELEMENT_BITS, QUANTIZED_FLOATS

NAMES = ("int8", "int4", *(d.name for d in QUANTIZED_FLOATS))
TINY = np.finfo(np.float32).tiny


def greatest(name):
    if name.startswith("int"):
        return np.float32(oracle.INTEGERS[name][1])
    values = np.arange(256, dtype=np.uint8).view(oracle.dtype(name)).astype(np.float32)
    return values[np.isfinite(values)].max()


def scales(x, grain, name):
    """absmax / max of each block, NaN aside."""
    full = oracle.block_counts(x.shape, grain.block) if grain.kind != "tensor" else ()
    found = np.ones(full, np.float32)
    for index in np.ndindex(full):
        cut = tuple(slice(i * b, (i + 1) * b) for i, b in zip(index, grain.block, strict=True)) if full else ...
        absmax = np.float32(np.nanmax(np.abs(x[cut].astype(np.float32)), initial=0))
        found[index] = max(absmax / greatest(name), TINY) if absmax else 1
    return found.reshape(grain.given)


@st.composite
def cases(draw):
    shape = draw(some.shapes())
    grain, rng = draw(some.grains(shape)), draw(some.rngs)
    specials = draw(st.booleans())
    with np.errstate(all="ignore"):
        x = some.values(rng, shape, draw(some.float_names), rng.choice([1e-42, 1e-3, 1.0, 1e34]), specials)
    return some.arranged(rng, x, draw(some.layouts)), grain


@given(cases(), st.sampled_from(NAMES), some.layers)
def test_is_observe_and_quantize(case, name, layer):
    x, grain = case
    with qk.cpu.use(layer):
        q, scale = qk.quantize_dynamic(x, name, **grain.keywords)
        some.assert_same(scale, scales(x, grain, name))
        some.assert_same(q, qk.quantize(x, scale, dtype=name, **grain.keywords))


@given(cases(), st.sampled_from(["int4", *(d.name for d in ELEMENT_BITS if d in QUANTIZED_FLOATS)]), some.out_layouts)
def test_packed_and_out(case, name, layout):
    x, grain = case
    bits = ELEMENT_BITS[oracle.dtype(name)]
    along = grain.block[-1] if grain.block else 1
    q, scale = qk.quantize_dynamic(x, name, **grain.keywords)
    _, out = some.place(np.random.default_rng(0), x.shape, q.dtype, layout)
    assert qk.quantize_dynamic(x, name, out=out, **grain.keywords)[0] is out
    np.testing.assert_array_equal(some.bits_of(out), some.bits_of(q))
    if not x.ndim or (1 < along < x.shape[-1] and along * bits % 8):
        with pytest.raises(ValueError, match=r"(not be 0-d|along a packed axis)"):
            qk.quantize_dynamic(x, name, packed=True, **grain.keywords)
        return
    held, same = qk.quantize_dynamic(x, name, packed=True, **grain.keywords)
    some.assert_same(same, scale)
    some.assert_same(held, qk.quantize(x, scale, dtype=name, packed=True, **grain.keywords))


BLOCKS = [
    {},
    {"axis": 0},
    {"axis": 1},
    {"block_size": 32},
    {"block_size": 128},
    {"block_size": 1000},
    {"axis": 0, "block_size": 64},
    {"axis": 0, "block_size": 1},
    {"axis": (0, 1), "block_size": (128, 128)},
    {"axis": (0, 1), "block_size": (16, 48)},
    {"axis": (0, 1), "block_size": (300, 20)},
    {"axis": (0, 1), "block_size": (512, 512)},
]


@pytest.mark.parametrize("keywords", BLOCKS, ids=str)
@pytest.mark.parametrize("name", ["float8_e4m3fn", "int8"])
def test_large_arrays_on_any_number_of_threads(name, keywords):
    """Chunks, and blocks that no chunk holds; an odd shape, in C order and transposed."""
    x = np.random.default_rng(6).normal(size=(1031, 2050)).astype(np.float32)
    scale = np.maximum(qk.observe(x, **keywords).absmax / greatest(name), TINY).astype(np.float32)
    q = qk.quantize(x, scale, dtype=name, **keywords)
    for threads in (1, 2, 5):
        with qk.thread_limit(threads):
            for array in (x, np.asfortranarray(x)):
                found, found_scale = qk.quantize_dynamic(array, name, **keywords)
                some.assert_same(found_scale, scale)
                np.testing.assert_array_equal(some.bits_of(found), some.bits_of(q))


@pytest.mark.parametrize("keywords", [{"block_size": 128}, {"axis": (0, 1), "block_size": (128, 128)}], ids=str)
def test_larger_than_the_caches(keywords):
    x = np.random.default_rng(7).normal(size=(4100, 3000)).astype(ml_dtypes.bfloat16)
    q, scale = qk.quantize_dynamic(x, "float8_e4m3fn", **keywords)
    some.assert_same(q, qk.quantize(x, scale, dtype="float8_e4m3fn", **keywords))
    some.assert_same(scale, np.float32(1) * qk.observe(x, **keywords).absmax / np.float32(448))


def test_rectangles_in_more_dimensions(isa):
    x = np.random.default_rng(9).normal(size=(3, 2, 37, 101)).astype(np.float32)
    x[1, 0, 5, 7] = np.nan
    x[2, 1, 36, 100] = -np.inf
    for axis, block in (((2, 3), (8, 20)), ((0, 3), (2, 32)), ((1, 3), (2, 101)), ((0, 2, 3), (2, 8, 32))):
        whole = tuple(dict(zip(axis, block, strict=True)).get(d, 1) for d in range(4))
        q, scale = qk.quantize_dynamic(x, "float8_e4m3fn", axis=(0, 1, 2, 3), block_size=whole)
        for at in np.ndindex(scale.shape):
            box = tuple(slice(i * b, i * b + b) for i, b in zip(at, whole, strict=True))
            alone, own = qk.quantize_dynamic(np.ascontiguousarray(x[box]).ravel(), "float8_e4m3fn")
            some.assert_same(alone, np.ascontiguousarray(q[box]).ravel())
            some.assert_same(own, scale[at])


def test_rows_do_not_depend_on_their_neighbours(isa):
    x = np.random.default_rng(8).normal(size=(40, 70)).astype(np.float32)
    q, scale = qk.quantize_dynamic(x, "float8_e5m2", axis=0)
    for i, row in enumerate(x):
        alone, own = qk.quantize_dynamic(row, "float8_e5m2")
        some.assert_same(alone, q[i])
        assert own == scale[i]


def test_what_is_not_finite(isa):
    x = np.array([[np.nan, 448.0, 7.0], [np.inf, 1.0, -np.inf], [np.nan] * 3, [0, -0.0, 0]], np.float32)
    q, scale = qk.quantize_dynamic(x, "float8_e4m3fn", axis=0)
    np.testing.assert_array_equal(scale, np.array([1, np.inf, 1, 1], np.float32))
    np.testing.assert_array_equal(q.view(np.uint8), [[0x7F, 0x7E, 0x4E], [0x7F, 0, 0x7F], [0x7F] * 3, [0, 0x80, 0]])
    q, scale = qk.quantize_dynamic(x, axis=0)
    np.testing.assert_array_equal(q, [[-128, 127, 2], [-128, 0, -128], [-128] * 3, [0, 0, 0]])


@pytest.mark.parametrize(
    ("error", "message", "arguments", "keywords"),
    [
        (TypeError, "dtype must be one of int8, int4, float8_e4m3fn, .*, not 'uint8'", ([1.0], "uint8"), {}),
        (TypeError, "x must have one of the dtypes", (np.ones(3),), {}),
        (ValueError, r"axis must be in \[-1, 1\)", ([1.0],), {"axis": 1}),
        (TypeError, "packed results must have one of the dtypes", ([1.0], "int8"), {"packed": True}),
        (TypeError, "out must have dtype int8", ([1.0],), {"out": np.zeros(1, np.uint8)}),
        (ValueError, r"out must have shape \(1,\)", ([1.0],), {"out": np.zeros(2, np.int8)}),
        (
            ValueError,
            "out must be contiguous along its last axis",
            ([1.0, 2.0, 3.0], "int4"),
            {"packed": True, "out": np.zeros(4, np.uint8)[::2]},
        ),
    ],
)
def test_errors(error, message, arguments, keywords):
    with pytest.raises(error, match=message):
        qk.quantize_dynamic(*arguments, **keywords)


@pytest.mark.parametrize("name", ["int8", "float8_e4m3fn"])
@pytest.mark.parametrize("shape", [(2, 3), (40, 65), (3, 2, 33)])
def test_a_last_block_of_one_element_and_repeated_rows(name, shape):
    """Where the axis of the least stride is not that of the blocks."""
    x = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    for rows in (x, np.broadcast_to(x[:1], shape)):
        q, scale = qk.quantize_dynamic(rows, name, block_size=shape[-1] - 1)
        for r in np.ndindex(shape[:-1]):
            one, its = qk.quantize_dynamic(rows[r].copy(), name, block_size=shape[-1] - 1)
            np.testing.assert_array_equal(scale[r], its)
            np.testing.assert_array_equal(q[r].view(np.uint8), one.view(np.uint8))
