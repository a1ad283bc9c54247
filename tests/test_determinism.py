"""The same bits for any layer, thread count, batch, chunking and floating-point environment of the caller."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
import sys
from contextlib import contextmanager

import numpy as np
import oracle
import pytest
import strategies as some
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import pyquantk as qk

THREADS = (1, 2, 3, 8)
LONG = 50  # examples of properties whose arrays are large enough for the pool


@st.composite
def calls(draw, kind=None, least=0, specials=True):
    """A case, and a function from x and parameters to everything that the four operations return."""
    case = draw(some.cases(kind, specials=specials, least=least, layout="C"))
    return case, draw(some.conventions)


def everything(x, scale, zero, convention, keywords):
    q = qk.quantize(x, scale, zero, convention=convention, dtype="int8", **keywords)
    y, mask = qk.fake_quantize(x, scale, zero, convention=convention, return_mask=True, **keywords)
    half = qk.dequantize(q, scale, zero, dtype="float16", **keywords)
    return [q, qk.dequantize(q, scale, zero, **keywords), half, y, mask, *qk.observe(x, **keywords)]


def assert_all_same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        some.assert_same(one, other)


class TestLayers:
    @given(calls())
    def test_every_layer_is_the_scalar_one(self, call):
        case, convention = call
        arguments = (case.x, case.scale_given, case.zero_given, convention, case.grain.keywords)
        with qk.cpu.use("scalar"):
            wanted = everything(*arguments)
        for layer in some.LAYERS[1:]:
            with qk.cpu.use(layer):
                assert_all_same(everything(*arguments), wanted)

    @given(some.rngs, some.float_names, some.integer_names, some.conventions, st.booleans())
    def test_any_bits_at_all(self, rng, real, name, convention, per_channel):
        """Uniform bit patterns: NaN payloads, subnormals and extremes of x and scale alike."""
        n = int(rng.integers(1, 200))
        item = oracle.dtype(real).itemsize
        x = rng.integers(0, 256, (3, n * item)).astype(np.uint8).view(oracle.dtype(real))
        scale = rng.integers(0, 2**32, n if per_channel else ()).astype(np.uint32).view(np.float32)
        low, high = oracle.INTEGERS[name][:2]
        zero = rng.integers(low, high + 1, scale.shape)
        axis = 1 if per_channel else None
        found = []
        for layer in some.LAYERS:
            with qk.cpu.use(layer):
                q = qk.quantize(x, scale, zero, dtype=name, axis=axis, convention=convention)
                y = qk.dequantize(q, scale, zero, dtype=real, axis=axis)
                f = qk.fake_quantize(
                    x, scale, zero, quant_min=low, quant_max=high, axis=axis, convention=convention, return_mask=True
                )
                found.append([q, y, *f, *qk.observe(x, axis=axis)])
        for other in found[1:]:
            assert_all_same(other, found[0])


class TestThreads:
    @settings(max_examples=min(LONG, settings().max_examples))
    @given(some.rngs, some.float_names, some.conventions, st.sampled_from(some.GRAINS), st.sampled_from(some.LAYOUTS))
    def test_any_number(self, rng, real, convention, kind, layout):
        shape = (int(rng.integers(1, 40)), int(rng.integers(2000, 8000)))
        keywords, given = {
            "tensor": ({}, ()),
            "channel": ({"axis": 1}, shape[1:]),
            "block": ({"block_size": 100}, (shape[0], -(-shape[1] // 100))),
            "blocks": ({"axis": (0, 1), "block_size": (3, 64)}, (-(-shape[0] // 3), -(-shape[1] // 64))),
        }[kind]
        x = some.arranged(rng, some.values(rng, shape, real), layout)
        scale, zero = some.scales(rng, given), rng.integers(-128, 128, given)
        found = []
        for n in THREADS:
            with qk.thread_limit(n):
                found.append(everything(x, scale, zero, convention, keywords))
        for other in found[1:]:
            assert_all_same(other, found[0])

    @settings(max_examples=min(LONG, settings().max_examples))
    @given(some.rngs, some.narrow_names, st.integers(1, 50), st.integers(1, 9000))
    def test_packed(self, rng, name, m, n):
        x = some.values(rng, (m, n), "float32")
        found = []
        for threads in THREADS:
            with qk.thread_limit(threads):
                held = qk.quantize(x, 0.5, dtype=name, packed=True)
                found.append([held, qk.dequantize(held, 0.5, packed=name, shape=(m, n))])
        for other in found[1:]:
            assert_all_same(other, found[0])


class TestBatches:
    @given(calls("channel", 2), some.layers, st.data())
    def test_one_row_of_many_per_channel(self, call, layer, data):
        """Row i of the call is the call with row i."""
        case, convention = call
        x, (axis,) = case.x, {d % case.x.ndim for d in [case.grain.keywords["axis"]]}
        assume(axis != 0 and x.shape[0])
        i = data.draw(st.integers(0, x.shape[0] - 1))
        arguments = (case.scale_given, case.zero_given, convention, {"axis": axis})
        with qk.cpu.use(layer):
            whole, row = (everything(v, *arguments)[:5] for v in (x, x[i : i + 1]))
        assert_all_same(row, [a[i : i + 1] for a in whole])

    @given(some.rngs, st.integers(1, 12), st.integers(1, 300), some.float_names, some.conventions, some.layers)
    def test_one_row_of_many_per_row(self, rng, m, n, real, convention, layer):
        x, scale, zero = some.values(rng, (m, n), real), some.scales(rng, (m,)), rng.integers(-128, 128, m)
        i = int(rng.integers(m))
        with qk.cpu.use(layer):
            whole = everything(x, scale, zero, convention, {"axis": 0})
            row = everything(x[i : i + 1], scale[i : i + 1], zero[i : i + 1], convention, {"axis": 0})
        assert_all_same(row, [a[i : i + 1] for a in whole])

    @given(some.rngs, st.integers(1, 12), st.integers(1, 300), st.integers(1, 64), some.float_names, some.layers)
    def test_one_row_of_many_per_block(self, rng, m, n, size, real, layer):
        x, given = some.values(rng, (m, n), real), (m, -(-n // size))
        scale, zero = some.scales(rng, given), rng.integers(-128, 128, given)
        i = int(rng.integers(m))
        with qk.cpu.use(layer):
            whole = everything(x, scale, zero, "torch", {"block_size": size})
            row = everything(x[i : i + 1], scale[i : i + 1], zero[i : i + 1], "torch", {"block_size": size})
        assert_all_same(row, [a[i : i + 1] for a in whole])

    @given(some.rngs, st.integers(0, 1500), some.float_names, some.conventions, some.layers, st.data())
    def test_any_chunking(self, rng, n, real, convention, layer, data):
        x, scale = some.values(rng, (n,), real), some.scales(rng, ())
        cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=5)))
        with qk.cpu.use(layer):
            whole = everything(x, scale, 3, convention, {})[:5]
            parts = [everything(v, scale, 3, convention, {})[:5] for v in np.split(x, cuts)]
        assert_all_same([np.concatenate(p) for p in zip(*parts, strict=True)], whole)

    @given(some.rngs, st.integers(1, 200), some.float_names, some.layers)
    def test_every_alignment(self, rng, n, real, layer):
        dtype = oracle.dtype(real)
        x = some.values(rng, (n,), real)
        memory = np.zeros(n * dtype.itemsize + 64, np.uint8)
        with qk.cpu.use(layer):
            wanted = everything(x, 0.3, 3, "onnx", {})
            for offset in rng.choice(64, 6, replace=False):
                view = memory[offset : offset + x.nbytes].view(dtype)
                some.bits_of(view)[...] = some.bits_of(x)
                assert_all_same(everything(view, 0.3, 3, "onnx", {}), wanted)

    @given(some.rngs, st.integers(2, 40), st.integers(1, 80), some.layers)
    def test_columns_and_rows_are_alike(self, rng, m, n, layer):
        x, scale = some.values(rng, (m, n), "float32"), some.scales(rng, (n,))
        with qk.cpu.use(layer):
            columns = everything(x, scale, None, "torch", {"axis": 1})
            rows = everything(np.ascontiguousarray(x.T), scale, None, "torch", {"axis": 0})
        assert_all_same([np.ascontiguousarray(a.T) for a in columns[:5]], rows[:5])
        assert_all_same(columns[5:], rows[5:])


# --- the caller's floating-point environment ---------------------------------------------------------------------
# fenv_t of glibc and musl ends with MXCSR on x86-64 and starts with FPCR on arm64.

_MACHINE = {"x86_64": (28, 0), "aarch64": (0, 0)}.get(platform.machine())
_ROUNDING = {"x86_64": (0x2000, 0x4000, 0x6000), "aarch64": (2 << 22, 1 << 22, 3 << 22)}.get(platform.machine(), ())
_FLUSH = {"x86_64": (0x8000, 0x0040, 0x8040), "aarch64": (1 << 24, 1 << 25, 1 << 19)}.get(platform.machine(), ())
ENVIRONMENTS = (*_ROUNDING, *_FLUSH, *(r | f for r in _ROUNDING for f in _FLUSH[:1]))
needs_fenv = pytest.mark.skipif(
    _MACHINE is None or sys.platform != "linux", reason="where the control register lies in fenv_t is known for Linux"
)
environments = st.sampled_from(ENVIRONMENTS or (0,))


class Control:
    """The control register of this thread, through the C library's fegetenv and fesetenv."""

    def __init__(self):
        self._libm = ctypes.CDLL(ctypes.util.find_library("m") or ctypes.util.find_library("c"))
        self._offset = _MACHINE[0]

    def read(self):
        state = (ctypes.c_char * 64)()
        assert self._libm.fegetenv(state) == 0
        return int.from_bytes(state[self._offset : self._offset + 4], "little")

    def write(self, value):
        state = (ctypes.c_char * 64)()
        assert self._libm.fegetenv(state) == 0
        state[self._offset : self._offset + 4] = value.to_bytes(4, "little")
        assert self._libm.fesetenv(state) == 0

    @contextmanager
    def with_bits(self, bits):
        before = self.read()
        self.write(before | bits)
        try:
            yield
        finally:
            found = self.read()
            self.write(before)
        flags = 0x3F if platform.machine() == "x86_64" else 0
        assert (found ^ (before | bits)) & ~flags == 0, "the caller's control bits were changed"


@needs_fenv
class TestEnvironment:
    def test_the_environment_does_change(self):
        """Or the tests below would show nothing."""
        signs, tiny = np.array([1, -1] * 32, np.float32), np.full(64, 1e-40, np.float32)
        third, control = np.float32(1 / 3), Control()
        for bits in _ROUNDING:
            with control.with_bits(bits):
                quotients = signs / np.float32(3)
            assert set(np.abs(quotients)) != {third}
        with control.with_bits(_FLUSH[-1] if platform.machine() == "x86_64" else _FLUSH[0]):
            flushed = tiny * np.float32(0.5)
        assert not flushed.any()

    def check(self, call, bits):
        wanted = call()
        with Control().with_bits(bits):
            found = call()
        assert_all_same(found, wanted)

    @given(calls(), environments, some.layers)
    def test_array_parameters(self, call, bits, layer):
        case, convention = call
        scale = np.asarray(case.scale_given, np.float32)
        with qk.cpu.use(layer):
            self.check(lambda: everything(case.x, scale, case.zero_given, convention, case.grain.keywords), bits)

    @given(some.rngs, st.floats(1e-42, 1e30), some.conventions, environments, some.layers)
    def test_numbers_as_parameters(self, rng, scale, convention, bits, layer):
        """The scale is rounded to float32, and the reciprocal of torch_decomposed taken, before the kernel runs."""
        x = some.values(rng, (40,), "float32", scale)
        out, y = np.empty(40, np.int8), np.empty(40, np.float32)

        def call():
            qk.quantize(x, scale, 3, convention=convention, out=out)
            qk.dequantize(out, scale, 3, out=y)
            return [out.copy(), y.copy(), *everything(x, scale, 3, convention, {})]

        with qk.cpu.use(layer):
            self.check(call, bits)

    @given(some.rngs, environments, st.sampled_from(["float64", "float16", "bfloat16", "float8_e5m2"]))
    def test_scales_of_other_types(self, rng, bits, name):
        scale = np.exp2(rng.uniform(-17, 10, 30)).astype(oracle.dtype(name))
        x = some.values(rng, (3, 30), "float32")
        self.check(lambda: everything(x, scale, None, "onnx", {"axis": 1}), bits)

    @settings(max_examples=min(LONG, settings().max_examples))
    @given(some.rngs, environments, st.sampled_from(THREADS))
    def test_on_threads_too(self, rng, bits, n):
        x, scale = some.values(rng, (100_000,), "float32", 1e-38), np.float32(1e-40)
        with qk.thread_limit(n):
            self.check(lambda: everything(x, scale, 3, "torch", {}), bits)

    @given(some.rngs, environments, st.sampled_from(["pyquantk", "onnx_dynamic", "torchao", "fbgemm", "per_token"]))
    def test_choose_params(self, rng, bits, rule):
        x = (rng.normal(size=50) * 10.0 ** rng.integers(-45, 30)).astype(np.float32)

        def call():
            p = qk.choose_params(x, rule=rule, symmetric=False)
            return [p.scale, np.zeros(1) if p.zero_point is None else np.array(p.zero_point)]

        self.check(call, bits)
