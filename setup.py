"""Builds the one extension module: the C library of csrc/ and the Cython binding, in one shared object.

A file whose name ends in _<isa>.c is compiled with that ISA's flags (csrc/isa_flags.toml) and nothing else is.
The objects go straight into the extension; a static library would make the link order matter.

PYQUANTK_CFLAGS    flags added to every C file of the library, e.g. -Werror
PYQUANTK_SANITIZE  a value for -fsanitize=, e.g. address,undefined
"""

import os
import re
import shlex
import shutil
import sys
import sysconfig
import tomllib
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

FLAGS_FILE = "csrc/isa_flags.toml"
FLAGS = tomllib.loads(Path(FLAGS_FILE).read_text(encoding="utf-8"))
INCLUDE_DIRS = ["csrc", "csrc/include"]
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
HEADERS = sorted(p.as_posix() for p in Path("csrc").rglob("*.h"))
# A free-threaded CPython has no limited API that Cython could target (abi3t).
ABI3 = not sysconfig.get_config_var("Py_GIL_DISABLED")


def target_machine() -> str:
    """The architecture built for, which in a cross build is not the one we run on."""
    platform = sysconfig.get_platform()  # linux-x86_64, macosx-11.0-arm64, win-amd64, ...
    if platform.endswith("universal2"):
        archs = re.findall(r"-arch\s+(\S+)", os.environ.get("ARCHFLAGS", ""))
        if len(archs) != 1:
            raise SystemExit(
                "pyquantk is built for one architecture at a time, and this Python is universal2 (arm64 and x86_64): "
                f'set ARCHFLAGS to "-arch arm64" or "-arch x86_64" and build again (ARCHFLAGS={os.environ.get("ARCHFLAGS", "")!r})'
            )
        # The wheel's tag must name what is inside it.
        os.environ["_PYTHON_HOST_PLATFORM"] = platform.replace("universal2", archs[0])
        platform = os.environ["_PYTHON_HOST_PLATFORM"]
    name = platform.rpartition("-")[2].lower()
    return MACHINES.get(name, name)  # any other CPU gets the scalar layer


def library_sources(machine: str) -> list[tuple[str, str]]:
    """(file, isa) of each file of the library that this machine can use; isa is "" for plain files."""
    everywhere = {isa for arch, isas in FLAGS.items() if arch != "common" for isa in isas}
    found = []
    for path in sorted(Path("csrc").rglob("*.c")):
        isa = path.stem.rpartition("_")[2]
        if isa not in everywhere:
            found.append((path.as_posix(), ""))
        elif isa in FLAGS.get(machine, {}):
            found.append((path.as_posix(), isa))
    return found


class BuildExt(build_ext):
    """Compiles the library with per-file flags, two files at a time, and links its objects into the extension."""

    def initialize_options(self):
        super().initialize_options()
        self.parallel = 2

    def build_extension(self, ext):
        self.machine = target_machine()
        self.column = "msvc" if self.compiler.compiler_type == "msvc" else "gcc"
        self.extra = shlex.split(os.environ.get("PYQUANTK_CFLAGS", ""))
        sanitize = os.environ.get("PYQUANTK_SANITIZE")
        if sanitize:
            self.extra += [f"-fsanitize={sanitize}", "-fno-omit-frame-pointer", "-g"]
            ext.extra_link_args.append(f"-fsanitize={sanitize}")
        if self.column == "gcc":
            # Debug information would be four fifths of the wheel.
            ext.extra_compile_args += ["-g0", "-fvisibility=hidden"]
            if os.name == "posix":
                ext.extra_link_args.append("-pthread")
                ext.libraries.append("m")
        with ThreadPoolExecutor(self.parallel or 1) as pool:
            objects = list(pool.map(self.compile_one, library_sources(self.machine)))
        ext.extra_objects += objects
        ext.depends = [*ext.depends, *objects, FLAGS_FILE]
        ext.sources = cythonize([ext], build_dir=self.build_temp, force=self.force, quiet=True)[0].sources
        super().build_extension(ext)

    def copy_extensions_to_source(self):  # --inplace and editable installs
        super().copy_extensions_to_source()
        # Where an installed package has it, so that get_include() is one line.
        shutil.copytree("csrc/include", "pyquantk/include", dirs_exist_ok=True)

    def compile_one(self, source_isa):
        """Compile one file unless its object is newer than all that it was made from."""
        source, isa = source_isa
        flags = list(FLAGS["common"][self.column])
        if isa:
            flags += FLAGS[self.machine][isa][self.column]
        if self.column == "gcc":
            flags += ["-g0", "-MMD"] + (["-pthread"] if os.name == "posix" else [])
        flags += self.extra
        # One folder for each set of flags: a sanitizer build never meets the objects of a plain one.
        key = " ".join([self.machine, *getattr(self.compiler, "compiler_so", []), *flags])
        out = Path(self.build_temp, f"{zlib.crc32(key.encode()):08x}")
        obj = self.compiler.object_filenames([source], output_dir=str(out))[0]
        inputs = [source, FLAGS_FILE, *self.headers_of(Path(obj).with_suffix(".d"))]
        if self.force or not up_to_date(obj, inputs):
            self.compiler.compile([source], output_dir=str(out), include_dirs=INCLUDE_DIRS, extra_postargs=flags)
        return obj

    @staticmethod
    def headers_of(rule: Path) -> list[str]:
        """The headers the compiler read last time (its -MMD rule), else all of them."""
        if not rule.exists():
            return HEADERS
        return rule.read_text(encoding="utf-8").replace("\\\n", " ").partition(": ")[2].split()


def up_to_date(target: str, inputs: list[str]) -> bool:
    try:
        made = os.stat(target).st_mtime_ns
        return all(os.stat(path).st_mtime_ns < made for path in inputs)
    except FileNotFoundError:
        return False


macros = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION")]
if ABI3:
    macros.append(("Py_LIMITED_API", "0x030B0000"))

native = Extension(
    "pyquantk._native",
    ["pyquantk/_native.pyx"],
    include_dirs=["csrc/include", numpy.get_include()],
    define_macros=macros,
    py_limited_api=ABI3,
    # Beyond rebuilding, this is what puts the sources into an sdist.
    depends=[*HEADERS, FLAGS_FILE, *(p.as_posix() for p in sorted(Path("csrc").rglob("*.c")))],
)

setup(
    packages=[*find_packages(include=["pyquantk", "pyquantk.*"]), "pyquantk.include"],
    package_dir={"pyquantk.include": "csrc/include"},
    package_data={"pyquantk": ["py.typed", "*.pyi", "*.pxd"], "pyquantk.include": ["*.h"]},
    ext_modules=[native],
    cmdclass={"build_ext": BuildExt},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if ABI3 else {},
)
