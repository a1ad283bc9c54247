"""``pyquantk quantize IN -o OUT``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pyquantk as qk
from pyquantk._progress import Progress

from ..plan import BITS
from ..quantize import CheckpointReport, quantize_checkpoint
from ..source import open_checkpoint
from ..summary import error_table, totals

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="IN", type=Path, help="a .safetensors file, a .safetensors.index.json, or a folder"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        required=True,
        help="a .safetensors file, or a folder (for shards always)",
    )
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `quantize` and `demo` share."""
    parser.add_argument(
        "--dtype", choices=sorted(BITS, reverse=True), default="int8", help="default int8; int4 takes a byte each"
    )
    parser.add_argument(
        "--axis",
        choices=("0", "none"),
        default="0",
        help="0: a scale per output channel (default); none: one scale per tensor",
    )
    parser.add_argument("--block-size", metavar="N", type=int, help="a scale per N inputs of each output channel")
    zero_points = parser.add_mutually_exclusive_group()
    zero_points.add_argument("--symmetric", action="store_true", default=True, help="without zero points (default)")
    zero_points.add_argument("--asymmetric", dest="symmetric", action="store_false", help="with zero points")
    parser.add_argument(
        "--include",
        metavar="PATTERN",
        action="append",
        default=[],
        help="quantize these 2-D weights instead of the default choice",
    )
    parser.add_argument(
        "--exclude", metavar="PATTERN", action="append", default=[], help="keep these tensors as they are"
    )
    parser.add_argument("--threads", metavar="N", type=int, help="threads for the kernels (default: all cores granted)")
    parser.add_argument(
        "--report", metavar="DIR", type=Path, help="write plots of error, weights and scales (needs matplotlib)"
    )


def run(args: argparse.Namespace) -> int:
    report = quantize(args, args.source, args.output)
    print(error_table(report))
    print()
    print(totals(report))
    _print_files(report)
    if args.report:
        plot(args, args.source, report)
    return 0


def quantize(args: argparse.Namespace, source: Path, output: Path) -> CheckpointReport:
    """The job with a progress bar, from parsed options."""
    if args.threads is not None:
        qk.set_num_threads(args.threads)
    if args.report:
        import_report()  # a missing library should show before the work, not after it
    with open_checkpoint(source) as checkpoint:
        total = sum(t.nbytes for t in checkpoint.tensors.values())
    with Progress(total, "quantizing") as progress:
        return quantize_checkpoint(
            source,
            output,
            dtype=args.dtype,
            axis=None if args.axis == "none" else 0,
            block_size=args.block_size,
            symmetric=args.symmetric,
            include=args.include,
            exclude=args.exclude,
            progress=progress,
        )


def plot(args: argparse.Namespace, source: Path, report: CheckpointReport) -> None:
    for path in import_report()(report, source, args.report):
        print(f"wrote {path}")


def import_report() -> Callable[[CheckpointReport, Path, Path], list[Path]]:
    """`pyquantk.report.write_report`, or what to install for it."""
    try:
        from pyquantk.report import write_report
    except ImportError as error:
        raise ValueError(f"--report needs matplotlib ({error}): pip install 'pyquantk[report]'") from None
    return write_report


def _print_files(report: CheckpointReport) -> None:
    folder = report.files[0].parent
    print(f"wrote {', '.join(f.name for f in report.files)} in {folder}")
