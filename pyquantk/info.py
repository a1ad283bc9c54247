"""``pyquantk info``: what this installation is and what it chose, for bug reports and benchmark headers."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["add_arguments", "collect", "cpu_model", "library_versions", "render", "run", "show"]

#: What a user can set to change which kernels run, on how many threads.
OVERRIDES = ("PYQUANTK_ISA", "PYQUANTK_NUM_THREADS", "OMP_NUM_THREADS")

_SYSFS_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="everything, one object, for programs")


def run(args: argparse.Namespace) -> int:
    print(json.dumps(collect(), indent=2) if args.json else render(collect()))
    return 0


def show() -> None:
    """Print what `collect` finds."""
    print(render(collect()))


def collect() -> dict[str, Any]:
    """Versions, compiler, layers, operations, threads, caches and overrides, as plain JSON values."""
    from . import _native

    build = _native.build_info()
    return {
        "versions": {**library_versions(), "abi": build["abi"]},
        "build": {"compiler": build["compiler"], "machine": build["machine"]},
        "cpu": {"model": cpu_model(), "system": f"{platform.system()} {platform.release()} {platform.machine()}"},
        "layers": [
            {"name": name, "supported": supported, "active": name == _native.active_layer()}
            for name, supported in _native.layers()
        ],
        "operations": dict(_native.operations()),
        "threads": {"count": _native.get_num_threads(), "source": thread_source(_native.get_num_threads())},
        "caches": caches(),
        "environment": {name: os.environ[name] for name in OVERRIDES if name in os.environ},
    }


def library_versions() -> dict[str, str]:
    """Versions of pyquantk, Python, NumPy and ml_dtypes."""
    from . import __version__

    found = {"pyquantk": __version__, "python": platform.python_version()}
    for name in ("numpy", "ml_dtypes"):
        found[name] = str(importlib.import_module(name).__version__)
    return found


def cpu_model() -> str:
    """The processor's name as its maker gives it, or the kind of machine."""
    if sys.platform == "darwin":
        return _sysctl("machdep.cpu.brand_string") or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def caches() -> dict[str, int]:
    """Bytes of each cache that the first core sees, by name (L1d, L2, L3); empty where the system does not tell."""
    if sys.platform == "darwin":
        names = {"L1d": "hw.l1dcachesize", "L2": "hw.l2cachesize", "L3": "hw.l3cachesize"}
        sizes = {name: _sysctl(key) for name, key in names.items()}
        return {name: int(size) for name, size in sizes.items() if size.isdigit() and int(size)}
    return _linux_caches(_SYSFS_CACHES)


def _linux_caches(folder: Path) -> dict[str, int]:
    found = {}
    for index in sorted(folder.glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        match = re.fullmatch(r"(\d+)([KM]?)", size)
        if match and kind != "Instruction":
            found[f"L{level}{'d' if kind == 'Data' else ''}"] = int(match[1]) << {"": 0, "K": 10, "M": 20}[match[2]]
    return found


def _sysctl(name: str) -> str:
    try:
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def thread_source(count: int, environment: Mapping[str, str] | None = None) -> str:
    """Where the number of threads came from: the rule of csrc/core/thread_count.h, told backwards."""
    environment = os.environ if environment is None else environment
    for name, pattern in (
        ("PYQUANTK_NUM_THREADS", r"\s*\+?(\d+)[ \t]*"),
        ("OMP_NUM_THREADS", r"\s*\+?(\d+)[ \t]*(?:,.*)?"),
    ):
        match = re.fullmatch(pattern, environment.get(name, ""), re.DOTALL)
        if match and int(match[1]) > 0:
            # A later set_num_threads() wins, and then the numbers differ.
            return name if min(int(match[1]), 1024) == count else "set_num_threads or thread_limit"
    affinity = _affinity_cpus()
    if count == affinity:
        return "CPUs this process may run on"
    return "CPU quota of the cgroup, or set by the program" if count < affinity else "set_num_threads or thread_limit"


def _affinity_cpus() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _grouped(operations: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """One line a kind of operation: its layer, or its layers with the number of kernels each serves."""
    kinds: dict[str, dict[str, int]] = {}
    for name, layer in operations.items():
        counts = kinds.setdefault(kind_of(name), {})
        counts[layer] = counts.get(layer, 0) + 1
    for kind, counts in kinds.items():
        total = sum(counts.values())
        kernels = f"{total} kernel{'s' if total > 1 else ''}"
        if len(counts) == 1:
            yield kind, f"{next(iter(counts))} ({kernels})"
        else:
            yield kind, ", ".join(f"{layer} ({n})" for layer, n in counts.items()) + f" of {kernels}"


def kind_of(operation: str) -> str:
    """The verb of a kernel's name: fake_quantize of fake_quantize_f32_ym."""
    words = operation.split("_")
    verb = [word for word in words if word.isalpha() and word not in {"y", "ym"}]
    return "_".join(verb) if verb else operation


def _size(n: int) -> str:
    return f"{n >> 20} MiB" if n >= 1 << 20 and n % (1 << 20) == 0 else f"{n >> 10} KiB"


def render(found: Mapping[str, Any]) -> str:
    """`collect` as text for people."""
    versions, build, cpu = dict(found["versions"]), found["build"], found["cpu"]
    layers = found["layers"]
    abi = versions.pop("abi")
    lines = [
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items()) + f", C ABI {abi}"),
        ("compiler", f"{build['compiler']} for {build['machine']}"),
        ("cpu", cpu["model"]),
        ("system", cpu["system"]),
        ("layers compiled", " ".join(layer["name"] for layer in layers)),
        ("layers found", " ".join(layer["name"] for layer in layers if layer["supported"])),
        ("layer chosen", " ".join(layer["name"] for layer in layers if layer["active"])),
        *((f"  {kind}", text) for kind, text in _grouped(found["operations"])),
        ("threads", f"{found['threads']['count']} ({found['threads']['source']})"),
        ("caches", ", ".join(f"{name} {_size(n)}" for name, n in found["caches"].items()) or "unknown"),
        ("environment", ", ".join(f"{k}={v}" for k, v in found["environment"].items()) or "no overrides set"),
    ]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:{width}}  {text}" for name, text in lines)
