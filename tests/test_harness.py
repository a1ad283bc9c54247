"""The C test programs of tests/c, built and run for this machine: a short setting of what CI runs in full."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "tests" / "c" / "build.py"
COMPILER = os.environ.get("CC", "cc").split()[0]
QUICK = ("test_division", "test_two_term_quotient", "test_gemm_float")  # take --quick

pytestmark = [
    pytest.mark.skipif(
        not BUILD.exists() or not (ROOT / "csrc").is_dir(), reason="needs a source tree (csrc/, tests/c/)"
    ),
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no C compiler '{COMPILER}' (set CC to name another)"),
]


def build(name: str, sources: list[Path], folder: Path) -> Path:
    """Compile the library with these sources; the objects of the library are shared by all programs."""
    program = folder / name
    line = [sys.executable, str(BUILD), "-D", "PQK_TESTING", "-o", str(program), *map(str, sources)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning:" not in done.stderr, done.stderr
    return program


def run(program: Path, *arguments: str) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (
        f"{program.name} {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done.stdout


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("harness", sorted((ROOT / "tests/c/harness").glob("*.c")), tmp_path_factory.mktemp("harness"))


def test_every_kernel_returns_the_scalar_bits(harness: Path) -> None:
    output = run(harness, "--quick", "--only", "kernels")
    assert "kernels scalar" in output
    assert "FAILED" not in output


def test_scalar_layer_agrees_with_the_oracle(harness: Path) -> None:
    assert "FAILED" not in run(harness, "--quick", "--only", "oracle")


def test_public_functions_agree_with_the_oracle(harness: Path) -> None:
    assert "FAILED" not in run(harness, "--quick", "--only", "entries")


def test_a_case_can_be_run_again(harness: Path) -> None:
    output = run(
        harness,
        "--layer",
        "scalar",
        "--kernel",
        "quantize_f32_s8",
        "--only",
        "kernels",
        "--seed",
        "7",
        "--case",
        "12345",
    )
    assert " 1 cases" in output


def test_an_unknown_layer_is_an_error(harness: Path) -> None:
    done = subprocess.run([harness, "--layer", "sse9"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "sse9" in done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "test_select",
        "test_division",
        "test_two_term_quotient",
        "test_epilogue",
        "test_activations",
        "test_linear",
        "test_gemm_float",
    ],
)
def test_program(name: str, tmp_path: Path) -> None:
    program = build(name, [ROOT / "tests" / "c" / f"{name}.c"], tmp_path)
    assert " 0 failures" in run(program, *(["--quick"] if name in QUICK else []))


def test_a_stratified_part_of_all_float32_is_cast_exactly(tmp_path: Path) -> None:
    program = build("exhaustive_casts", [ROOT / "tests" / "c" / "exhaustive_casts.c"], tmp_path)
    assert " 0 failures" in run(program, "--quick")


@pytest.mark.parametrize("name", ["test_failing_memory", "test_growth", "test_memory", "test_thread_count"])
def test_program_that_counts_nothing(name: str, tmp_path: Path) -> None:
    assert "FAILED" not in run(build(name, [ROOT / "tests" / "c" / f"{name}.c"], tmp_path))
