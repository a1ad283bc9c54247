"""cpu.layers, cpu.use and PYQUANTK_ISA: every layer of the build can be chosen, and no other."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

import pyquantk as qk
from pyquantk import _native

LAYERS = qk.cpu.layers()
RUNS = [name for name, supported in LAYERS.items() if supported]
PROGRAM = "import pyquantk as qk; print(qk.cpu.active()); print(qk.quantize([-1.0, 0.26, 100.0], 0.1).tolist())"


def run(layer, program=PROGRAM):
    clean = {k: v for k, v in os.environ.items() if k != "PYQUANTK_ISA"}
    environment = clean if layer is None else clean | {"PYQUANTK_ISA": layer}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_layers():
    assert next(iter(LAYERS)) == "scalar"
    assert LAYERS["scalar"] is True
    assert all("_" not in name for name in LAYERS)
    assert qk.cpu.active() in RUNS
    if platform.machine() in {"x86_64", "AMD64"}:
        assert {"scalar", "avx2", "avx512"} <= set(LAYERS)
    if platform.machine() in {"aarch64", "arm64"}:
        assert {"scalar", "neon"} <= set(LAYERS)


@pytest.mark.parametrize("layer", RUNS)
def test_use(layer):
    before = qk.cpu.active()
    with qk.cpu.use(layer):
        assert qk.cpu.active() == layer
        order = list(LAYERS)
        assert all(order.index(served) <= order.index(layer) for _, served in _native.operations())
    assert qk.cpu.active() == before


def test_use_nests_and_restores_after_an_exception():
    before = qk.cpu.active()
    with qk.cpu.use(RUNS[-1]):
        with qk.cpu.use("scalar"):
            assert qk.cpu.active() == "scalar"
        assert qk.cpu.active() == RUNS[-1]
        with pytest.raises(KeyError), qk.cpu.use("scalar"):
            raise KeyError
        assert qk.cpu.active() == RUNS[-1]
    assert qk.cpu.active() == before


def test_every_operation_has_a_kernel_on_every_layer():
    for layer in RUNS:
        with qk.cpu.use(layer):
            served = dict(_native.operations())
        assert served
        assert set(served.values()) <= set(RUNS)
    with qk.cpu.use("scalar"):
        assert set(dict(_native.operations()).values()) == {"scalar"}


@pytest.mark.parametrize("layer", ["sse9", "AVX2", "", " scalar", "scalar\0", "avx512_vbmi", "\N{SNOWMAN}"])
def test_use_refuses_unknown_names(layer):
    before = qk.cpu.active()
    with (
        pytest.raises(ValueError, match=r"layer must be one of scalar.*; this build has no "),
        qk.cpu.use(layer),
    ):
        raise AssertionError
    assert qk.cpu.active() == before


@pytest.mark.parametrize("layer", [None, 3, b"scalar", ["scalar"]])
def test_use_refuses_what_is_no_name(layer):
    with pytest.raises((TypeError, ValueError), match="layer must be"), qk.cpu.use(layer):
        raise AssertionError


def test_use_refuses_what_this_cpu_cannot_run(monkeypatch):
    monkeypatch.setattr(_native, "layers", lambda: [("scalar", True), ("amx", False)])
    with pytest.raises(ValueError, match="layer must be one of scalar; this CPU cannot run 'amx'"), qk.cpu.use("amx"):
        raise AssertionError


def test_the_library_itself_refuses():
    for name, supported in LAYERS.items():
        if not supported:
            with pytest.raises(ValueError, match="this CPU cannot run that layer, there is none of that name"):
                _native.use_layer(name)
    with pytest.raises(ValueError, match="this CPU cannot run that layer, there is none of that name"):
        _native.use_layer("sse9")


class TestEnvironmentVariable:
    @pytest.mark.parametrize("layer", RUNS)
    def test_is_obeyed(self, layer):
        done = run(layer)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [layer, "[-10, 3, 127]"]

    @pytest.mark.parametrize("layer", [None, ""])
    def test_is_optional(self, layer):
        assert run(layer).stdout.split()[0] == RUNS[-1]

    @pytest.mark.parametrize("layer", ["sse9", "AVX2", "scalar ", "avx512_vbmi"])
    def test_unknown_names_are_an_error_at_import(self, layer):
        done = run(layer)
        assert done.returncode == 1
        last = done.stderr.splitlines()[-1]
        assert last.startswith("ValueError: the environment variable PYQUANTK_ISA must be one of scalar")
        assert last.endswith(f"this build has no {layer!r}")

    @pytest.mark.skipif(all(LAYERS.values()), reason="this CPU runs every layer of this build")
    def test_layers_that_this_cpu_cannot_run(self):
        layer = next(name for name, supported in LAYERS.items() if not supported)
        done = run(layer)
        assert done.returncode == 1
        assert f"this CPU cannot run {layer!r}" in done.stderr

    def test_does_not_forbid_others_later(self):
        program = "import pyquantk as qk\nwith qk.cpu.use('scalar'): pass\nprint(qk.cpu.active())"
        assert run(RUNS[-1], program).stdout.strip() == RUNS[-1]
        program = f"import pyquantk as qk\nwith qk.cpu.use({RUNS[-1]!r}): print(qk.cpu.active())"
        assert run("scalar", program).stdout.strip() == RUNS[-1]


def test_show_config(capsys):
    qk.show_config()
    shown = capsys.readouterr().out
    assert qk.__version__ in shown
    assert all(name in shown for name in LAYERS)


def test_get_include():
    with open(os.path.join(qk.get_include(), "pyquantk.h"), encoding="utf-8") as header:
        assert "PQK_ABI_VERSION" in header.read()
    assert _native.build_info()["abi"] == 1


def test_switching_layers_while_others_compute():
    """Layers are process-wide, and as all give the same bits a switch in mid-flight changes nothing."""
    import threading

    x = np.linspace(-200, 200, 50_021, dtype=np.float32)
    expected = np.clip(np.rint(x / np.float32(0.7)), -128, 127).astype(np.int8)
    wrong, stop = [], threading.Event()

    def work():
        while not stop.is_set():
            if not np.array_equal(qk.quantize(x, np.float32(0.7)), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    before = qk.cpu.active()
    for i in range(300):
        with qk.cpu.use(RUNS[i % len(RUNS)]):
            pass
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert qk.cpu.active() == before
