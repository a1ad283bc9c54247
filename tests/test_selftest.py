"""The selftest: that its formulas are right by exact arithmetic, and that it finds what is wrong."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from emulation import slow_when_emulated

import pyquantk as qk
from pyquantk import cli, selftest
from pyquantk.selftest import cases, formulas, products


def nearest_float32(value: Fraction) -> np.float32:
    """`value` rounded once, to the even one of two equally near floats."""
    guess = np.float32(float(value))
    around = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    return min(around, key=lambda f: (abs(Fraction(float(f)) - value), int(f.view(np.uint32)) & 1))


def test_fused_is_one_rounding():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(2000).astype(np.float32) * 300
    r = rng.standard_normal(2000).astype(np.float32)
    z = rng.integers(-32768, 65536, 2000).astype(np.float64)
    # Products that end just beyond a midpoint of the sum, where rounding twice goes wrong.
    x[:3], r[:3], z[:3] = [1 + 2**-23, 2**-24 + 2**-47, 1], [1 + 2**-23, 1, 2**-24], [2**24, 1, 1]
    found = formulas.fused(x, r, z)
    for a, b, c, y in zip(x.tolist(), r.tolist(), z.tolist(), found, strict=True):
        assert nearest_float32(Fraction(a) * Fraction(b) + Fraction(c)) == y


@pytest.mark.parametrize("y", [0.49999997, 0.5, 1.5, -2.5, 8388607.5, -0.0, math.inf])
def test_away_is_half_away_from_zero(y):
    wide = np.array([y], np.float32)
    right = y if math.isinf(y) else math.copysign(math.floor(Fraction(abs(float(wide[0]))) + Fraction(1, 2)), y)
    assert formulas._away(wide).tolist() == [right]


def test_spread_and_pack():
    given = np.arange(6).reshape(2, 3)
    spread = formulas.spread(given, (3, 5), (2, 2))
    assert spread.tolist() == [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]
    assert formulas.spread(np.array([[1], [2]]), (2, 4), (1, 4)).tolist() == [[1] * 4, [2] * 4]
    assert formulas.pack(np.array([[1, -2, 7]]), 4).tolist() == [[0xE1, 0x07]]
    assert formulas.pack(np.array([[1, 2, 3, 0, -1]]), 2).tolist() == [[0x39, 0x03]]


def test_every_combination_is_called():
    texts = [case.text for case in cases.all_cases()]
    assert len(set(texts)) == len(texts)
    for real in cases.REALS:
        for grain in cases.GRAINS.values():
            for convention in cases.CONVENTIONS:
                for name in cases.INTEGERS:
                    options = {**grain, "dtype": name, "packed": False, "convention": convention}
                    assert any(t.startswith(f"quantize of {real} ") and str(options) in t for t in texts)
                assert any(t.startswith(f"fake_quantize of {real} ") and f"'{convention}'" in t for t in texts)
            assert any(t.startswith(f"observe of {real} ") and str(grain) in t for t in texts)


def test_products_are_called_in_every_shape_and_mix_of_signs():
    texts = [case.text for case in products.all_cases()]
    assert len(set(texts)) == len(texts)
    for m, k, n in products.SHAPES:
        shape = f" {m} x {k} by {k} x {n},"
        for a, b in products.SIGNS:
            for name in ("matmul", "qmatmul"):
                assert any(t.startswith(f"{name} of {a} by {b},") and shape in t for t in texts)


def test_products_of_formulas_by_hand():
    a = np.array([[1.0, 2.0**-24, 2.0**-24]], np.float32)
    ones = np.ones((3, 1), np.float32)
    assert formulas.float_product(a, ones).tolist() == [
        [1.0]
    ]  # each small term is lost to a tie; summed first, it is not
    assert formulas.float_product(a[:, ::-1], ones).tolist() == [[1.0 + 2.0**-23]]
    assert formulas.product(np.array([[255, 255]]), np.array([[-128], [1]])).tolist() == [[-32385]]
    q, scale = formulas.quantize_by_row(np.array([[254.0, -1.0], [0.0, 0.0]], np.float32))
    assert q.tolist() == [[127, 0], [0, 0]]
    assert scale.tolist() == [[2.0], [1.0]]


@slow_when_emulated  # and the selftest is run there by itself
def test_each_layer_of_this_cpu_is_exact(capsys):
    assert cli.main(["selftest"]) == 0
    lines = capsys.readouterr().out.splitlines()
    can_run = [name for name, supported in qk.cpu.layers().items() if supported]
    assert [line.split()[0] for line in lines[:-1]] == can_run
    assert all(" calls exact, 1 and " in line for line in lines[:-1])
    assert lines[-1] == "selftest: ok"


@pytest.fixture
def few(monkeypatch):
    chosen = list(cases.all_cases())[:6]
    monkeypatch.setattr(cases, "all_cases", lambda: iter(chosen))
    monkeypatch.setattr(products, "all_cases", lambda: iter(()))
    return chosen


def spoil(result):
    result.reshape(-1)[-1:] ^= 1
    return result


def test_one_wrong_bit_on_one_layer_is_found(monkeypatch, capsys, few):
    right = qk.quantize

    def wrong(x, *args, **kwargs):
        result = right(x, *args, **kwargs)
        return spoil(result) if qk.cpu.active() == "scalar" and qk.get_num_threads() > 1 and x.ndim > 1 else result

    monkeypatch.setattr(qk, "quantize", wrong)
    with qk.thread_limit(1):
        assert cli.main(["selftest"]) == 1
    out = capsys.readouterr().out
    assert "6 of 12 calls WRONG" in out
    assert f"2 threads: {few[0].text}: result 0 at " in out
    assert "reproduce: PYQUANTK_ISA=scalar pyquantk selftest --layers scalar" in out
    assert "selftest: FAILED" in out
    assert out.count("WRONG") == 1


def test_an_exception_is_a_failure(monkeypatch, capsys, few):
    def fails(*args, **kwargs):
        raise ValueError("no such thing")

    monkeypatch.setattr(qk, "quantize", fails)
    monkeypatch.setattr("pyquantk.selftest.known.wrong_answers", lambda: [])
    assert cli.main(["selftest", "--layers", "scalar"]) == 1
    assert "raised ValueError: no such thing" in capsys.readouterr().out


def test_a_wrong_known_answer_is_a_failure(monkeypatch, capsys, few):
    right = qk.dequantize
    monkeypatch.setattr(qk, "dequantize", lambda *args, **kwargs: right(*args, **kwargs) + 1)
    assert cli.main(["selftest", "--layers", "scalar"]) == 1
    assert "known answer: dequantize([-128, 127], 0.25, 1) gave [-31.25, 32.5]" in capsys.readouterr().out


def test_layers_above_the_chosen_one_are_left_alone(monkeypatch, capsys, few):
    monkeypatch.setenv("PYQUANTK_ISA", "scalar")
    with qk.cpu.use("scalar"):
        assert selftest._layers(None) == ["scalar"]


def test_unknown_layer(capsys):
    assert cli.main(["selftest", "--layers", "scalar,sse9"]) == 2
    assert "this CPU runs (scalar" in capsys.readouterr().err
