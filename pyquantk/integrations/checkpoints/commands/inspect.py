"""``pyquantk inspect FILE``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..source import open_checkpoint
from ..summary import megabytes, table

__all__ = ["add_arguments", "describe", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", metavar="FILE", type=Path, help="a .safetensors file, a .safetensors.index.json, or a folder"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def run(args: argparse.Namespace) -> int:
    found = describe(args.path)
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    tensors = (
        (t["name"], t["dtype"], " x ".join(map(str, t["shape"])) or "scalar", f"{t['bytes']:,}")
        for t in found["tensors"]
    )
    print(table(("tensor", "dtype", "shape", "bytes"), tensors, left=2))
    print()
    totals = (
        (name, str(t["tensors"]), f"{t['elements']:,}", megabytes(t["bytes"])) for name, t in found["dtypes"].items()
    )
    print(table(("dtype", "tensors", "elements", "size"), totals))
    print()
    for file in found["files"]:
        print(f"{file['name']}: {megabytes(file['bytes'])}, metadata {json.dumps(file['metadata'])}")
    if found["quantization_config"] is not None:
        print(f"quantization_config: {json.dumps(found['quantization_config'])}")
    return 0


def describe(path: Path) -> dict[str, Any]:
    """Everything the headers and the config say, as plain JSON types; no weight is read."""
    with open_checkpoint(path) as checkpoint:
        tensors = checkpoint.tensors.values()
        dtypes: dict[str, dict[str, int]] = {}
        for t in tensors:
            total = dtypes.setdefault(t.dtype, {"tensors": 0, "elements": 0, "bytes": 0})
            total["tensors"] += 1
            total["elements"] += t.elements
            total["bytes"] += t.nbytes
        return {
            "files": [
                {"name": n, "bytes": f.nbytes, "metadata": dict(f.metadata)} for n, f in checkpoint.files.items()
            ],
            "tensors": [{"name": t.name, "dtype": t.dtype, "shape": list(t.shape), "bytes": t.nbytes} for t in tensors],
            "dtypes": dict(sorted(dtypes.items(), key=lambda item: -item[1]["bytes"])),
            "quantization_config": (checkpoint.config or {}).get("quantization_config"),
        }
