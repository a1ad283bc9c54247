"""What an installed pyquantk consists of, and the rules by which it is built."""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import pyquantk as qk
import pyquantk._native

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(qk.__file__).parent
EXTENSION = Path(pyquantk._native.__file__)


@pytest.fixture(scope="module")
def build_rules():
    spec = importlib.util.spec_from_file_location("build_rules", ROOT / "csrc" / "build_rules.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["py.typed", "_native.pyi", "_native.pxd", "include/pyquantk.h"])
def test_package_data_is_installed(name):
    assert (PACKAGE / name).is_file()


def test_get_include_names_the_folder_of_the_header():
    assert Path(qk.get_include(), "pyquantk.h").read_text() == (ROOT / "csrc/include/pyquantk.h").read_text()


def test_version_is_that_of_the_metadata():
    assert importlib.metadata.version("pyquantk") == qk.__version__


def test_command_is_declared():
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="pyquantk")
    assert command.value == "pyquantk.__main__:main"


@pytest.mark.skipif(sysconfig.get_config_var("Py_GIL_DISABLED") == 1, reason="no limited API without the GIL")
def test_extension_uses_the_limited_api():
    # An interpreter that is newer than the build finds it by this name; what it imports is abi3audit's to check.
    assert EXTENSION.name == ("_native.pyd" if sys.platform == "win32" else "_native.abi3.so")


@pytest.mark.skipif(sys.platform != "linux", reason="reads an ELF file")
def test_extension_needs_no_runtime_but_the_c_library():
    needed = set(re.findall(rb"\0(lib[\w+-]+\.so[.\d]*)(?=\0)", EXTENSION.read_bytes()))
    libc = rb"(lib(c|m|dl|rt|pthread)\.so[.\d]*|libc\.musl-\w+\.so\.1)"
    libc += rb"|lib(asan|ubsan|tsan)\.so[.\d]*"  # a sanitizer build
    assert [name for name in needed if not re.fullmatch(libc, name)] == []


@pytest.mark.parametrize("language", ["c", "c++"])
def test_header_is_plain_c_and_cxx(language, tmp_path):
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no gcc or clang here")
    source = tmp_path / "user.c"
    source.write_text('#include "pyquantk.h"\nint main(void) { return pqk_abi_version() == PQK_ABI_VERSION; }\n')
    command = [compiler, "-x", language, "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
    found = subprocess.run([*command, f"-I{qk.get_include()}", source], capture_output=True, text=True, check=False)
    if "error trying to exec" in found.stderr or "cannot execute" in found.stderr:
        pytest.skip(f"{compiler} has no {language} compiler")
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("column", [0, 1], ids=["gcc", "msvc"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "riscv64"])
def test_only_files_named_for_an_isa_get_its_flags(build_rules, machine, column):
    common = build_rules.COMMON[column]
    for path, flags in build_rules.sources(ROOT / "csrc", machine, column):
        isa = path.stem.rpartition("_")[2]
        expected = build_rules.ISA_FLAGS.get(machine, {}).get(isa, ([], []))[column]
        assert flags == [*common, *expected]


def test_each_machine_gets_its_own_kernels_and_every_plain_file(build_rules):
    files = {
        machine: {path.name for path, _ in build_rules.sources(ROOT / "csrc", machine, 0)}
        for machine in ("x86_64", "aarch64", "riscv64")
    }
    assert files["riscv64"] == files["x86_64"] & files["aarch64"]
    assert {"layers_x86.c", "quantize_avx2.c", "quantize_avx512.c"} <= files["x86_64"] - files["aarch64"]
    assert {"layers_arm64.c", "quantize_neon.c"} <= files["aarch64"] - files["x86_64"]


def test_intrinsics_stay_in_files_named_for_an_isa(build_rules):
    """A misspelt suffix would compile a kernel without its flags, or worse, for every CPU."""
    include = re.compile(r'#include [<"](immintrin\.h|arm_neon\.h|simd/vec_(?!scalar)\w+\.h)[>"]')
    for path in sorted((ROOT / "csrc").rglob("*.c")):
        if include.search(path.read_text(encoding="utf-8")):
            assert path.stem.rpartition("_")[2] in build_rules.ALL_ISAS, path


@pytest.mark.parametrize(
    ("platform", "archflags", "expected"),
    [
        ("linux-x86_64", "", ("x86_64", "linux-x86_64")),
        ("linux-aarch64", "", ("aarch64", "linux-aarch64")),
        ("linux-riscv64", "", ("riscv64", "linux-riscv64")),
        ("win-amd64", "", ("x86_64", "win-amd64")),
        ("win-arm64", "", ("aarch64", "win-arm64")),
        ("macosx-11.0-arm64", "", ("aarch64", "macosx-11.0-arm64")),
        ("macosx-10.13-x86_64", "", ("x86_64", "macosx-10.13-x86_64")),
        ("macosx-10.13-universal2", "-arch arm64", ("aarch64", "macosx-10.13-arm64")),
        ("macosx-10.13-universal2", "-arch x86_64", ("x86_64", "macosx-10.13-x86_64")),
    ],
)
def test_target(build_rules, platform, archflags, expected):
    assert build_rules.target(platform, archflags) == expected


@pytest.mark.parametrize("archflags", ["", "-arch arm64 -arch x86_64"])
def test_two_architectures_at_once_are_refused(build_rules, archflags):
    with pytest.raises(SystemExit, match=r"one architecture at a time .* set ARCHFLAGS"):
        build_rules.target("macosx-10.13-universal2", archflags)
