"""What `pyquantk info` finds, and what it makes of odd systems."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import pyquantk as qk
from pyquantk import cli, info


@pytest.fixture
def found():
    return info.collect()


def test_json_is_everything(capsys, found):
    assert cli.main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert found["versions"]["pyquantk"] == qk.__version__
    assert found["versions"]["abi"] >= 1
    assert {layer["name"]: layer["supported"] for layer in found["layers"]} == qk.cpu.layers()
    assert [layer["name"] for layer in found["layers"] if layer["active"]] == [qk.cpu.active()]
    assert set(found["operations"].values()) <= set(qk.cpu.layers())


def test_text_names_each_layer_and_kind_of_operation(capsys, found):
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    lines = {line[:15].strip(): line[17:] for line in text.splitlines()}
    assert lines["layers compiled"].split() == list(qk.cpu.layers())
    assert lines["layer chosen"] == qk.cpu.active()
    kinds = {info.kind_of(name) for name in found["operations"]}
    assert {"quantize", "dequantize", "fake_quantize", "observe"} <= kinds <= set(lines)
    counts = sum(info.kind_of(name) == "quantize" for name in found["operations"])
    assert f"{counts} kernels" in lines["quantize"]
    qk.show_config()
    assert capsys.readouterr().out == text


def test_operations_of_several_layers_are_counted():
    operations = {"quantize_f32_s8": "b", "quantize_f16_s8": "a", "quantize_bf16_s8": "b", "observe_f32": "a"}
    assert list(info._grouped(operations)) == [("quantize", "b (2), a (1) of 3 kernels"), ("observe", "a (1 kernel)")]


def test_overrides_reach_the_report():
    program = "import json, pyquantk.info as i; print(json.dumps(i.collect()))"
    needed = {name: os.environ[name] for name in ("PYTHONPATH", "SYSTEMROOT") if name in os.environ}
    environment = {"PYQUANTK_ISA": "scalar", "OMP_NUM_THREADS": "3", "PATH": "", **needed}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["environment"] == {"PYQUANTK_ISA": "scalar", "OMP_NUM_THREADS": "3"}
    assert found["threads"] == {"count": 3, "source": "OMP_NUM_THREADS"}
    assert set(found["operations"].values()) == {"scalar"}


@pytest.mark.parametrize(
    ("count", "environment", "source"),
    [
        (5, {"PYQUANTK_NUM_THREADS": "5", "OMP_NUM_THREADS": "2"}, "PYQUANTK_NUM_THREADS"),
        (1024, {"PYQUANTK_NUM_THREADS": "99999"}, "PYQUANTK_NUM_THREADS"),
        (2, {"PYQUANTK_NUM_THREADS": "5x", "OMP_NUM_THREADS": " 2,4"}, "OMP_NUM_THREADS"),
        (7, {"OMP_NUM_THREADS": "2"}, "set_num_threads or thread_limit"),
        (4, {"PYQUANTK_NUM_THREADS": "0", "OMP_NUM_THREADS": "-1"}, "CPUs this process may run on"),
        (3, {}, "CPU quota of the cgroup, or set by the program"),
        (9, {}, "set_num_threads or thread_limit"),
    ],
)
def test_where_the_number_of_threads_came_from(monkeypatch, count, environment, source):
    monkeypatch.setattr(info, "_affinity_cpus", lambda: 4)
    assert info.thread_source(count, environment) == source


def test_caches_of_sysfs(tmp_path):
    entries = [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2M"), ("3", "Unified", "33554432")]
    for i, (level, kind, size) in enumerate(entries):
        (tmp_path / f"index{i}").mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (tmp_path / f"index{i}" / name).write_text(text + "\n")
    (tmp_path / "index9").mkdir()  # without files, as some hypervisors leave it
    assert info._linux_caches(tmp_path) == {"L1d": 48 << 10, "L2": 2 << 20, "L3": 32 << 20}
    assert info._linux_caches(tmp_path / "missing") == {}


def test_unknown_caches_are_said_to_be_unknown(found):
    assert "caches           unknown" in info.render({**found, "caches": {}})
