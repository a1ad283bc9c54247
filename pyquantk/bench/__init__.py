"""``pyquantk bench``: our kernels beside this machine's limits and beside the libraries that are installed.

A row is data (row.py): arrays, our call, the roofline's traffic and what each peer calls. An operation brings its
rows in one module, listed in `ROW_MODULES`; nothing else needs to know it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

__all__ = ["ROW_MODULES", "add_arguments", "parse_size", "run"]

T = TypeVar("T")

#: Modules with a sequence ROWS, in the order of the table.
ROW_MODULES = (
    "pyquantk.bench.affine",
    "pyquantk.bench.requantization",
    "pyquantk.bench.casts",
    "pyquantk.bench.dynamic",
    "pyquantk.bench.statistics",
    "pyquantk.bench.gemm",
    "pyquantk.bench.float_product",
    "pyquantk.bench.overhead",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds: shorter samples, no DRAM sizes, one thread"
    )
    parser.add_argument(
        "--rows", metavar="PATTERN", help="rows whose name contains this, or matches it as a shell pattern"
    )
    parser.add_argument(
        "--shapes",
        action="store_true",
        help="int8 products of the shapes of real networks instead, with the mean and the worst ratio to the best peer",
    )
    parser.add_argument("--sizes", type=_list_of(parse_size), metavar="N,...", help="elements, default 16K,1M,16M")
    parser.add_argument("--threads", type=_list_of(_positive), metavar="N,...", help="default 1 and 2, as CPUs allow")
    parser.add_argument("--layers", type=_list_of(str), metavar="NAME,...", help="default: all but scalar")
    parser.add_argument(
        "--vs", type=_list_of(str), metavar="PEER,...", help="peers to measure, or none; default all installed"
    )
    parser.add_argument("--json", action="store_true", help="every number, one object, for programs")
    parser.add_argument("--markdown", action="store_true", help="a table for a README or an issue")


def run(args: argparse.Namespace) -> int:
    from .session import main

    return main(args)


def parse_size(text: str) -> int:
    """16K, 1M, 4096: a positive multiple of 1024, so that no roofline needs a tail."""
    units = {"k": 10, "m": 20, "g": 30}
    digits, unit = (text[:-1], units[text[-1].lower()]) if text and text[-1].lower() in units else (text, 0)
    n = int(digits) << unit if digits.isdigit() else 0
    if n <= 0 or n % 1024:
        raise argparse.ArgumentTypeError(f"a size must be a positive multiple of 1024 such as 16K or 1M, not {text!r}")
    return n


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text!r}")
    return int(text)


def _list_of(kind: Callable[[str], T]) -> Callable[[str], list[T]]:
    def parse(text: str) -> list[T]:
        return [kind(part.strip()) for part in text.split(",")]

    return parse
