"""Builds the one extension module: the C library of csrc/ and the Cython binding, in one shared object.

csrc/build_rules.py says which C files a machine gets and with which flags.  Their objects go straight into the
extension; a static library would make the link order matter.

PYQUANTK_CFLAGS    flags added to every C file of the library, e.g. -Werror
PYQUANTK_SANITIZE  a value for -fsanitize=, e.g. address,undefined
"""

import os
import shlex
import shutil
import sys
import sysconfig
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

CSRC = Path("csrc")  # relative: an sdist may not name absolute paths
sys.path.insert(0, str(Path(__file__).parent / CSRC))
import build_rules  # noqa: E402

# A free-threaded CPython has no limited API that Cython could target (abi3t).
ABI3 = not sysconfig.get_config_var("Py_GIL_DISABLED")


class BuildExt(build_ext):
    """Compiles the library with per-file flags, two files at a time, and links its objects into the extension."""

    def initialize_options(self):
        super().initialize_options()
        self.parallel = 2

    def build_extension(self, ext):
        msvc = self.compiler.compiler_type == "msvc"
        extra = shlex.split(os.environ.get("PYQUANTK_CFLAGS", ""))
        sanitize = os.environ.get("PYQUANTK_SANITIZE")
        if sanitize:
            extra += [f"-fsanitize={sanitize}", "-fno-omit-frame-pointer", "-g"]
            ext.extra_link_args.append(f"-fsanitize={sanitize}")
        elif not msvc:
            extra.insert(0, "-g0")  # debug information would be four fifths of the wheel
        if not msvc:
            extra.insert(0, "-MMD")
            ext.extra_compile_args += ["-g0", "-fvisibility=hidden"]
            if os.name == "posix":
                extra.insert(0, "-pthread")
                ext.extra_link_args.append("-pthread")
                ext.libraries.append("m")

        platform = sysconfig.get_platform()  # linux-x86_64, macosx-11.0-arm64, win-amd64, ...
        machine, exact = build_rules.target(platform, os.environ.get("ARCHFLAGS", ""))
        if exact != platform:
            os.environ["_PYTHON_HOST_PLATFORM"] = exact  # so that the wheel's tag names what is inside it
        found = build_rules.sources(CSRC, machine, build_rules.MSVC if msvc else build_rules.GCC)
        with ThreadPoolExecutor(self.parallel) as pool:
            objects = list(pool.map(lambda item: self.compile_one(machine, item[0], item[1] + extra), found))
        ext.extra_objects += objects
        ext.depends += objects
        ext.sources = cythonize([ext], build_dir=self.build_temp, force=self.force, quiet=True)[0].sources
        super().build_extension(ext)

    def compile_one(self, machine, source, flags):
        # One folder for each set of flags: a sanitizer build never meets the objects of a plain one.
        key = " ".join([machine, *getattr(self.compiler, "compiler_so", []), *flags])
        out = str(Path(self.build_temp, f"{zlib.crc32(key.encode()):08x}"))
        (obj,) = self.compiler.object_filenames([str(source)], output_dir=out)
        if self.force or not build_rules.up_to_date(Path(obj), source, CSRC):
            self.compiler.compile(
                [str(source)], output_dir=out, include_dirs=["csrc", "csrc/include"], extra_postargs=flags
            )
        return obj

    def copy_extensions_to_source(self):  # --inplace and editable installs
        super().copy_extensions_to_source()
        # Where an installed package has it, so that get_include() is one line.
        shutil.copytree("csrc/include", "pyquantk/include", dirs_exist_ok=True)


macros = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION")]
if ABI3:
    macros.append(("Py_LIMITED_API", "0x030B0000"))

native = Extension(
    "pyquantk._native",
    ["pyquantk/_native.pyx"],
    include_dirs=["csrc/include", numpy.get_include()],
    define_macros=macros,
    py_limited_api=ABI3,
    # Beyond rebuilding, this is what puts the library into an sdist.
    depends=[p.as_posix() for p in sorted(CSRC.rglob("*")) if p.suffix in {".c", ".h", ".py", ".md"}]
    + sorted(p.as_posix() for p in Path("pyquantk").glob("_native_*.pxi")),  # included by _native.pyx
)

setup(
    packages=[*find_packages(include=["pyquantk", "pyquantk.*"]), "pyquantk.include"],
    package_dir={"pyquantk.include": "csrc/include"},
    package_data={"pyquantk": ["py.typed", "*.pyi", "*.pxd"], "pyquantk.include": ["*.h"]},
    include_package_data=False,  # or the wheel would carry what the sdist needs
    ext_modules=[native],
    cmdclass={"build_ext": BuildExt},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if ABI3 else {},
)
