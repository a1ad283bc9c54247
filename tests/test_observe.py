"""observe: range and counts of any block of any array, as NumPy finds them."""

from __future__ import annotations

import itertools

import numpy as np
import oracle
import pytest
import strategies as some
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk


@st.composite
def observed(draw, kind=None, special=0.1):
    shape = draw(some.shapes({"channel": 1, "block": 1, "blocks": 2}.get(kind, 0)))
    grain = draw(some.grains(shape, kind))
    rng = draw(some.rngs)
    x = some.values(rng, shape, draw(some.float_names))
    if draw(st.booleans()):  # blocks of nothing but NaN, zeros of both signs
        x = np.where(rng.random(shape) < 0.7, rng.choice(np.array([np.nan, 0.0, -0.0], x.dtype), shape), x)
        x = np.asarray(x)
    return some.arranged(rng, x, draw(some.layouts)), grain


def check(x, grain, layer):
    with qk.cpu.use(layer):
        found = qk.observe(x, **grain.keywords)
    for actual, wanted in zip(found, oracle.observe(x, grain.block), strict=True):
        some.assert_same(actual, wanted.reshape(grain.given))


class TestFormula:
    @given(observed("tensor"), some.layers)
    def test_per_tensor(self, drawn, layer):
        check(*drawn, layer)

    @given(observed("channel"), some.layers)
    def test_per_channel(self, drawn, layer):
        check(*drawn, layer)

    @given(observed("block"), some.layers)
    def test_per_block(self, drawn, layer):
        check(*drawn, layer)

    @given(observed("blocks"), some.layers)
    def test_blocks_of_more_dimensions(self, drawn, layer):
        check(*drawn, layer)


class TestMeaning:
    @given(some.rngs, st.integers(0, 2000), some.float_names, some.layers)
    def test_order_does_not_matter(self, rng, n, real, layer):
        x = some.values(rng, (n,), real)
        with qk.cpu.use(layer):
            for one, other in zip(qk.observe(x), qk.observe(rng.permutation(x)), strict=True):
                some.assert_same(one, other)

    @given(observed("tensor"), st.data(), some.layers)
    def test_the_whole_is_the_union_of_its_parts(self, drawn, data, layer):
        x = drawn[0].reshape(-1)
        cut = data.draw(st.integers(0, x.size))
        with qk.cpu.use(layer):
            whole, left, right = (qk.observe(part) for part in (x, x[:cut], x[cut:]))
        assert whole.min == min(left.min, right.min)
        assert whole.max == max(left.max, right.max)
        assert whole.nan_count == left.nan_count + right.nan_count
        assert whole.inf_count == left.inf_count + right.inf_count

    @given(observed(), some.layers)
    def test_absmax(self, drawn, layer):
        x, grain = drawn
        with qk.cpu.use(layer):
            found = qk.observe(x, **grain.keywords).absmax
            magnitudes = qk.observe(np.abs(np.array(x, x.dtype.newbyteorder("=") if x.dtype.kind == "f" else x.dtype)),
                                    **grain.keywords).max  # fmt: skip
        assert found.dtype == np.float32
        assert np.array_equal(found, np.maximum(magnitudes, 0))

    @given(observed(), some.layers)
    def test_mirrored(self, drawn, layer):
        x, grain = drawn
        with qk.cpu.use(layer):
            one, other = (qk.observe(v, **grain.keywords) for v in (x, -x))
        assert np.array_equal(one.min, -other.max)
        assert np.array_equal(one.max, -other.min)

    @given(some.rngs, st.integers(1, 600), some.layers, st.sampled_from([np.nan, np.inf, -np.inf]))
    def test_one_element_that_is_not_finite_is_never_missed(self, rng, n, layer, odd):
        x = rng.normal(size=n).astype(np.float32)
        x[rng.integers(n)] = odd
        with qk.cpu.use(layer):
            found = qk.observe(x)
        assert (found.nan_count, found.inf_count) == ((1, 0) if np.isnan(odd) else (0, 1))


@pytest.mark.parametrize("real", oracle.FLOATS)
def test_every_granularity(isa, real):
    shape = (5, 6, 150)
    x = some.values(np.random.default_rng(1), shape, real)
    for axes in itertools.chain.from_iterable(itertools.combinations(range(3), r) for r in (1, 2)):
        for sizes in itertools.product([1, 4, 32, 1000], repeat=len(axes)):
            block = [1, 1, 1]
            for axis, size in zip(axes, sizes, strict=True):
                block[axis] = size
            found = qk.observe(x, axis=axes, block_size=sizes)
            for actual, wanted in zip(found, oracle.observe(x, tuple(block)), strict=True):
                some.assert_same(actual, wanted)


def test_zeros_lose_their_sign(isa):
    for zeros in ([-0.0] * 40, [-0.0, 0.0] * 20, [0.0, -0.0] * 20):
        found = qk.observe(zeros)
        assert not np.signbit([found.min, found.max, found.absmax]).any()


def test_nothing_to_see(isa):
    for x in (np.empty((0,), np.float32), np.full((70,), np.nan, np.float32)):
        found = qk.observe(x)
        assert (found.min, found.max, found.absmax) == (np.inf, -np.inf, 0)
        assert (found.nan_count, found.inf_count) == (x.size, 0)
