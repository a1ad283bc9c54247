"""DelayedScaling against TransformerEngine's formulas, in a few lines of NumPy."""

from __future__ import annotations

import copy
import pickle

import ml_dtypes
import numpy as np
import pytest
import strategies as some
from hypothesis import given
from hypothesis import strategies as st

import pyquantk as qk

F32 = np.float32
GREATEST = {"float8_e4m3fn": 448, "float8_e5m2": 57344, "float8_e4m3fnuz": 240, "float8_e3m4": 15.5}

absmaxes = st.lists(
    st.one_of(
        st.floats(0, 2.0**127, width=32), st.sampled_from([0.0, 1e-45, 1e-38, 2.0**-120, np.inf, np.nan, 3.4e38])
    ),
    max_size=12,
)


def transformer_engine(seen, length, algorithm, margin, greatest):
    """The factor after these updates: its default recipe, step by step."""
    history, factor = np.zeros(length, F32), F32(1)
    for absmax in seen:
        history = np.concatenate([[F32(absmax)], history[:-1]])
        amax = history.max() if algorithm == "max" else history[0]
        with np.errstate(all="ignore"):
            wanted = F32(greatest) / amax / F32(2.0**margin)
        if amax > 0 and np.isfinite(amax):
            factor = np.finfo(F32).max if np.isinf(wanted) else wanted
    return factor


@given(
    absmaxes,
    st.integers(1, 5),
    st.sampled_from(["max", "most_recent"]),
    st.integers(-3, 3),
    st.sampled_from([*GREATEST]),
)
def test_multiplier(seen, length, algorithm, margin, name):
    d = qk.DelayedScaling(name, history_length=length, algorithm=algorithm, margin=margin)
    for absmax in seen:
        d.update_absmax(absmax)
    expected = transformer_engine(seen, length, algorithm, margin, GREATEST[name])
    assert d.multiplier.dtype == F32
    assert d.multiplier == expected
    with np.errstate(all="ignore"):
        assert d.scale().dtype == F32
        assert d.scale() == F32(1) / expected
    some.assert_same(d.history, np.array([*reversed(seen), *[0] * length][:length], F32))


@given(st.data(), st.sampled_from([*GREATEST]), some.layers)
def test_quantize_multiplies(data, name, layer):
    rng, shape = data.draw(some.rngs), data.draw(some.shapes())
    x = some.arranged(rng, some.values(rng, shape, data.draw(some.float_names)), data.draw(some.layouts))
    d = qk.DelayedScaling(name, history_length=3)
    d.update_absmax(F32(rng.uniform(1e-3, 1e3)))
    with qk.cpu.use(layer):
        q = d.quantize(x)
    with np.errstate(all="ignore"):
        y = np.clip((x.astype(F32) * d.multiplier).astype(F32), -GREATEST[name], GREATEST[name])
    some.assert_same(q, y.astype(q.dtype))


def test_update_looks_at_the_array():
    d = qk.DelayedScaling(history_length=8)
    d.update([1.0, -3.0])
    d.update(np.array([[2.0]], ml_dtypes.bfloat16))
    d.update(qk.observe(np.array([[1.0, 5.0], [-6.0, 2.0]], F32), axis=0))
    d.update([])
    np.testing.assert_array_equal(d.history, np.array([0, 6, 2, 3, 0, 0, 0, 0], F32))
    d.update([np.nan, 1.0])
    assert np.isnan(d.history[0])
    assert d.multiplier == F32(448) / F32(6)
    d.update([np.inf])
    assert d.history[0] == np.inf
    assert d.multiplier == F32(448) / F32(6)


@pytest.mark.parametrize("algorithm", ["max", "most_recent"])
def test_merge_is_one_observer_of_both(algorithm):
    rng = np.random.default_rng(3)
    one, two, both = (qk.DelayedScaling(history_length=4, algorithm=algorithm) for _ in range(3))
    for _ in range(7):
        x = rng.normal(size=64).astype(F32)
        one.update(x[:32])
        two.update(x[32:])
        both.update(x)
    one.merge(two)
    assert one == both


def test_copies():
    d = qk.DelayedScaling("float8_e5m2", history_length=5, algorithm="most_recent", margin=2)
    d.update([3.0])
    for other in (pickle.loads(pickle.dumps(d)), copy.deepcopy(d)):
        assert other == d
        other.update([4.0])
        assert other != d
        assert d.history[1] == 0
    assert d != 3
    assert d != qk.DelayedScaling("float8_e5m2", history_length=5)
    d.history[0] = 7
    d.multiplier[...] = 7
    assert d.history[0] == 3
    assert d.multiplier == F32(57344 / 3 / 4)
    assert repr(d) == "DelayedScaling('float8_e5m2', history_length=5, algorithm='most_recent', margin=2)"
    with pytest.raises(TypeError, match="unhashable"):
        hash(d)


def test_defaults():
    d = qk.DelayedScaling()
    assert (d.dtype, len(d.history), d.algorithm, d.margin) == (ml_dtypes.float8_e4m3fn, 1024, "max", 0)
    assert d.scale() == 1


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, "dtype must be one of float8_e4m3fn, .*, not 'int8'", lambda: qk.DelayedScaling("int8")),
        (TypeError, "not 'float8_e8m0fnu'", lambda: qk.DelayedScaling("float8_e8m0fnu")),
        (ValueError, "history_length must be at least 1, not 0", lambda: qk.DelayedScaling(history_length=0)),
        (TypeError, "history_length must be an integer, not 1.5", lambda: qk.DelayedScaling(history_length=1.5)),
        (
            ValueError,
            "algorithm must be one of max, most_recent, not 'mean'",
            lambda: qk.DelayedScaling(algorithm="mean"),
        ),
        (ValueError, r"margin must be in \[-126, 127\], not 200", lambda: qk.DelayedScaling(margin=200)),
        (
            ValueError,
            "absmax must be a single number, at least 0, not -1",
            lambda: qk.DelayedScaling().update_absmax(-1),
        ),
        (ValueError, "absmax must be a single number", lambda: qk.DelayedScaling().update_absmax([1.0, 2.0])),
        (TypeError, "other must be a DelayedScaling, not int", lambda: qk.DelayedScaling().merge(3)),
        (
            ValueError,
            "other must be of the same kind, .*margin=0.*, not .*margin=1",
            lambda: qk.DelayedScaling().merge(qk.DelayedScaling(margin=1)),
        ),
    ],
)
def test_errors(error, message, call):
    with pytest.raises(error, match=message):
        call()
