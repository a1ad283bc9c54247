"""Tables for people, in plain text that a pipe can take as well."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from pyquantk._progress import printable

from .quantize import CheckpointReport

__all__ = ["error_table", "megabytes", "table", "totals"]


def table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Columns as wide as their contents; the first `left` flush left, the others right."""
    lines = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def error_table(report: CheckpointReport) -> str:
    """One row for each quantized tensor."""
    rows = (
        (
            t.name,
            " x ".join(map(str, t.shape)),
            str(t.bits),
            "exact" if math.isinf(t.sqnr_db) else f"{t.sqnr_db:.2f}",
            f"{t.max_abs_error:.3e}",
        )
        for t in report.tensors
    )
    return table(("tensor", "shape", "bits", "SQNR dB", "max abs error"), rows)


def totals(report: CheckpointReport) -> str:
    """What was done, how small it became, how long it took."""
    finite = [t.sqnr_db for t in report.tensors if math.isfinite(t.sqnr_db)]
    worst = f", SQNR {min(finite):.2f} to {max(finite):.2f} dB" if finite else ""
    share = 100 * report.bytes_after / report.bytes_before
    return (
        f"{len(report.tensors)} tensors quantized{worst}; {report.kept} kept as they were\n"
        f"{megabytes(report.bytes_before)} -> {megabytes(report.bytes_after)} ({share:.1f} %) "
        f"in {report.seconds:.3f} s, {report.gigabytes_per_second:.2f} GB/s, flushed to disk"
    )


def megabytes(n: int) -> str:
    """Bytes in decimal units, the ones of disks and bandwidths."""
    value, unit = float(n), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if unit != "B" else f"{n} B"
