#!/usr/bin/env python3
"""Compile the C library with one or more C files into a program (or a shared library), without Python's headers.

    python tests/c/build.py -o build/harness tests/c/harness/*.c
    python tests/c/build.py --sanitize address,undefined --cc clang -o build/asan tests/c/harness/*.c
    python tests/c/build.py --target aarch64-linux-gnu -o build/arm64 tests/c/harness/*.c     # runs under qemu-aarch64
    python tests/c/build.py --target x86_64-windows-gnu --shared -o build/pyquantk.dll        # pip install ziglang

Flags come from csrc/build_rules.py, as in setup.py.  Objects are kept in build/c and compiled again when their
source, a header they include, or a flag has changed.
"""

import argparse
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
sys.path.insert(0, str(CSRC))
import build_rules  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", type=Path, help="C files beside those of the library")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--target", default="native", help="native, aarch64-linux-gnu, or a target of zig cc")
    parser.add_argument("--cc", help="compiler (default: $CC or cc; <target>-gcc if installed, else zig cc)")
    parser.add_argument("--sanitize", help="value for -fsanitize=, with reports made fatal")
    parser.add_argument("--shared", action="store_true", help="link a shared library")
    parser.add_argument("-D", dest="defines", action="append", default=[], metavar="NAME[=VALUE]")
    parser.add_argument("-f", "--flag", dest="flags", action="append", default=[], help="one more flag: --flag=-Werror")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("-v", "--verbose", action="store_true", help="print the commands")
    return parser.parse_args()


def compiler(args: argparse.Namespace) -> list[str]:
    if args.cc:
        return shlex.split(args.cc)
    if args.target == "native":
        return shlex.split(os.environ.get("CC", "cc"))
    if gcc := shutil.which(f"{args.target}-gcc"):
        return [gcc]
    return [sys.executable, "-m", "ziglang", "cc", "-target", args.target]


def for_zig(flag: str) -> str:
    """GCC's -march=armv8.2-a+dotprod as zig cc spells it, which takes CPUs and features here, not architectures."""
    return re.sub(r"^-march=armv(\d)\.(\d)-a", r"-mcpu=generic+v\1_\2a", flag)


def flags_of(source: Path, machine: str) -> list[str] | None:
    """The flags of a test's own file, whose suffix may name an ISA as in csrc/; None where this machine has no such."""
    isa = source.stem.rpartition("_")[2]
    common, here = build_rules.COMMON[build_rules.GCC], build_rules.ISA_FLAGS.get(machine, {})
    if isa in here:
        return [*common, *here[isa][build_rules.GCC]]
    return None if isa in build_rules.ALL_ISAS else common


def main() -> int:
    args = arguments()
    machine = build_rules.machine_of(platform.machine() if args.target == "native" else args.target.partition("-")[0])
    system = sys.platform if args.target == "native" else args.target
    posix = not system.startswith("win") and "windows" not in system
    command = compiler(args)
    extra = ["-g", f"-I{CSRC}", f"-I{CSRC / 'include'}", *(f"-D{d}" for d in args.defines)]
    link = []
    if posix:
        extra += ["-pthread", "-fPIC"]
        link += ["-pthread", "-lm"]
    if args.sanitize:
        # -O1 keeps the stack traces readable, and unrolls less than we ask for; a finding ends the program, so that
        # no caller can miss it.
        extra += [f"-fsanitize={args.sanitize}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-O1"]
        extra.append("-Wno-pass-failed")
        link.append(f"-fsanitize={args.sanitize}")
    if args.shared:
        link.append("-shared")
    extra += args.flags
    link += args.flags

    work = [*build_rules.sources(CSRC, machine, build_rules.GCC)]
    work += [(path.resolve(), flags) for path in args.sources if (flags := flags_of(path, machine)) is not None]

    def compile_one(item: tuple[Path, list[str]]) -> Path:
        path, flags = item
        flags = [*(map(for_zig, flags) if "ziglang" in command else flags), *extra]
        key = f"{zlib.crc32(' '.join([*command, *flags, str(path.parent)]).encode()):08x}"
        obj = ROOT / "build" / "c" / key / f"{path.stem}.o"
        if not build_rules.up_to_date(obj, path, CSRC):
            obj.parent.mkdir(parents=True, exist_ok=True)
            run([*command, *flags, "-MMD", "-c", str(path), "-o", str(obj)])
        return obj

    def run(line: list[str]) -> None:
        if args.verbose:
            print(shlex.join(line), flush=True)
        subprocess.run(line, check=True)

    try:
        with ThreadPoolExecutor(args.jobs) as pool:
            objects = [str(obj) for obj in pool.map(compile_one, work)]
        args.output.parent.mkdir(parents=True, exist_ok=True)
        run([*command, *objects, "-o", str(args.output), *link])
    except subprocess.CalledProcessError as error:
        print(f"build.py: failed: {shlex.join(error.cmd)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
