"""What to compile and with which flags: the one place that setup.py and tests/c/build.py ask.

A file named <anything>_<isa>.c gets the flags of that ISA and no other file does, so no instruction of a newer
CPU can reach code that runs before the CPU has been asked.  A file whose word is listed for another machine is
left out (no NEON file on x86-64); one that ends in no listed word (dispatch.c, quantize_scalar.c) is compiled
plainly everywhere.
"""

import re
from pathlib import Path

GCC, MSVC = 0, 1  # the columns below; Clang reads GCC's

COMMON = (
    # No contraction of a * b + c: every layer must round where the scalar layer rounds.
    ["-std=c11", "-O3", "-Wall", "-Wextra", "-ffp-contract=off", "-fvisibility=hidden"],
    # C11 atomics are still behind a switch in MSVC; /fp:precise does not contract since Visual Studio 2022.
    ["/std:c11", "/experimental:c11atomics", "/O2", "/W3", "/fp:precise"],
)
AVX2 = ["-mavx2", "-mfma", "-mf16c"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"]
ISA_FLAGS = {
    "x86_64": {
        "x86": ([], []),  # what only this machine has and each of its CPUs runs: isa_x86.c, layers_x86.c
        "avx2": (AVX2, ["/arch:AVX2"]),
        "avxvnni": ([*AVX2, "-mavxvnni"], ["/arch:AVX2"]),
        "avx512": (AVX512, ["/arch:AVX512"]),
        "avx512vnni": ([*AVX512, "-mavx512vnni"], ["/arch:AVX512"]),
        "avx512vbmi": ([*AVX512, "-mavx512vbmi"], ["/arch:AVX512"]),
    },
    "aarch64": {
        "arm64": ([], []),
        "neon": ([], []),
        "dotprod": (["-march=armv8.2-a+dotprod"], ["/arch:armv8.2"]),
        "i8mm": (["-march=armv8.2-a+dotprod+i8mm"], ["/arch:armv8.2"]),
    },
}
ALL_ISAS = {isa for isas in ISA_FLAGS.values() for isa in isas}
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # names that platforms use for ours


def machine_of(name: str) -> str:
    """Our name of a CPU family; one we have no kernels for keeps its name and gets the scalar layer."""
    return MACHINES.get(name.lower(), name.lower())


def target(platform: str, archflags: str = "") -> tuple[str, str]:
    """(our machine, platform) that an extension is built for, of sysconfig.get_platform() and $ARCHFLAGS.

    In a cross build that is not what we run on.  A universal2 Python becomes the one architecture of ARCHFLAGS.
    """
    if platform.endswith("universal2"):
        archs = re.findall(r"-arch\s+(\S+)", archflags)
        if len(archs) != 1:
            raise SystemExit(
                "pyquantk is built for one architecture at a time and this Python is universal2 (arm64 and x86_64): "
                f'set ARCHFLAGS to "-arch arm64" or "-arch x86_64" and build again (ARCHFLAGS is {archflags!r})'
            )
        platform = platform.replace("universal2", archs[0])
    return machine_of(platform.rpartition("-")[2]), platform


def sources(csrc: Path, machine: str, column: int) -> list[tuple[Path, list[str]]]:
    """Each C file of the library that this machine can use, with all its flags."""
    here = ISA_FLAGS.get(machine, {})
    found = []
    for path in sorted(csrc.rglob("*.c")):
        isa = path.stem.rpartition("_")[2]
        if isa in here:
            found.append((path, [*COMMON[column], *here[isa][column]]))
        elif isa not in ALL_ISAS:
            found.append((path, [*COMMON[column]]))
    return found


def up_to_date(obj: Path, source: Path, csrc: Path) -> bool:
    """Whether an object is newer than its source, these rules, and the headers its -MMD file names (else all)."""
    rule = obj.with_suffix(".d")
    if rule.exists():
        made_from = re.split(r"(?<!\\)\s+", rule.read_text(encoding="utf-8").replace("\\\n", " ").partition(": ")[2])
        headers = [Path(name.replace("\\ ", " ")) for name in made_from if name]
    else:
        headers = list(csrc.rglob("*.h"))
    try:
        made = obj.stat().st_mtime_ns
        return all(path.stat().st_mtime_ns < made for path in [source, Path(__file__), *headers])
    except FileNotFoundError:
        return False
