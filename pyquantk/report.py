"""Plots of a quantized checkpoint (extra ``report``: matplotlib, drawn to files without a display)."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pyquantk.integrations.checkpoints import CheckpointReport, SafetensorsFile, TensorReport, open_checkpoint

__all__ = ["write_report"]

_BLUE, _ORANGE, _GRAY = "#3b6ea5", "#d1662b", "#8a8a8a"
_BARS_PER_COLUMN = 120  # beyond, bars of one tensor each are thinner than a line: the worst are shown
_BINS = 256
_BLOCK = 1 << 18  # elements of a tensor looked at together
_Array = np.ndarray[Any, np.dtype[np.float32]]
_Edges = np.ndarray[Any, np.dtype[np.floating[Any]]]
_Counts = np.ndarray[Any, np.dtype[np.int64]]


def write_report(
    report: CheckpointReport, source: str | os.PathLike[str], directory: str | os.PathLike[str]
) -> list[Path]:
    """Draw what quantization did to a checkpoint.

    Parameters
    ----------
    report : CheckpointReport
        From `quantize_checkpoint`; its output files must still be there.
    source : path-like
        The checkpoint that was quantized.
    directory : path-like
        Folder for the plots, created if missing; files of the same names are replaced.

    Returns
    -------
    list of Path
        ``sqnr.png`` (one bar a tensor), ``weights.png`` (histogram of the worst tensor, with the limits beyond
        which values would clip) and ``scales.png`` (spread of the scales of each tensor).
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    worst = min(report.tensors, key=lambda t: t.sqnr_db)
    params = _read_params(report)
    with open_checkpoint(source) as checkpoint:
        file = next(f for f in checkpoint.files.values() if worst.name in f.tensors)
        figures = {
            "sqnr.png": _sqnr_bars(report.tensors),
            "weights.png": _weight_histogram(file, worst, *params[worst.name]),
            "scales.png": _scale_spread(report.tensors, {name: scale for name, (scale, _) in params.items()}),
        }
    for name, figure in figures.items():
        FigureCanvasAgg(figure)  # attaches itself; without it savefig would ask for the user's backend
        figure.savefig(directory / name)
    return [directory / name for name in figures]


def _read_params(report: CheckpointReport) -> dict[str, tuple[_Array, _Array]]:
    """(scale, zero point) of each quantized tensor, from the files written."""
    params: dict[str, tuple[_Array, _Array]] = {}
    wanted = {t.name for t in report.tensors}
    for path in (p for p in report.files if p.suffix == ".safetensors"):
        with SafetensorsFile(path) as file:
            for name in wanted & set(file.tensors):
                scale = np.array(file[name + "_scale"])
                zero_point = name + "_zero_point"
                has_one = zero_point in file.tensors
                params[name] = scale, file[zero_point].astype(np.float32) if has_one else np.zeros_like(scale)
    return params


def _sqnr_bars(tensors: Sequence[TensorReport]) -> Figure:
    shown = _worst_in_order(tensors)
    figure, axes = _tall_figure(len(shown))
    finite = [t.sqnr_db for t in shown if math.isfinite(t.sqnr_db)]
    top = max(finite, default=0.0)
    values = [t.sqnr_db if math.isfinite(t.sqnr_db) else top for t in shown]
    worst = min(range(len(shown)), key=lambda i: shown[i].sqnr_db)
    colors = [_ORANGE if i == worst else _BLUE for i in range(len(shown))]
    axes.barh(range(len(shown)), values, color=colors)
    for i, t in enumerate(shown):
        axes.text(values[i], i, " exact" if math.isinf(t.sqnr_db) else f" {t.sqnr_db:.1f}", va="center", fontsize=7)
    _name_rows(axes, shown)
    axes.set_xlim(0, top * 1.08 or 1)
    axes.set_xlabel("signal-to-quantization-noise ratio, dB (6 dB = one bit)")
    axes.set_title(f"Error of each tensor{_cut_note(tensors, shown)}; the worst in orange")
    return figure


def _weight_histogram(file: SafetensorsFile, t: TensorReport, scale: _Array, zero_point: _Array) -> Figure:
    """Left, weights as they are; right, before rounding to codes, where all channels share the same limits."""
    low, high = -(2 ** (t.bits - 1)), 2 ** (t.bits - 1) - 1
    lower, upper = (low - zero_point) * scale, (high - zero_point) * scale
    raw_edges = np.linspace(lower.min(), upper.max(), _BINS + 1)
    code_edges = np.arange(low, high + 2) - 0.5
    figure = Figure(figsize=(12, 4.8), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2)
    raw, codes = _histograms(file, t, scale, zero_point, raw_edges, code_edges)
    left.stairs(raw, raw_edges, fill=True, color=_BLUE)
    _limits(left, float(np.median(lower)), float(np.median(upper)), ":", "the median channel clips at")
    _limits(left, float(lower.min()), float(upper.max()), "--", "the widest at")
    left.set_xlabel("weight")
    right.stairs(codes, code_edges, fill=True, color=_BLUE)
    _limits(right, low, high, "--", "codes end at")
    right.set_xlabel("weight / scale + zero point, of its channel, group or tensor")
    for axes in (left, right):
        axes.set_yscale("log")
        axes.set_ylabel("weights in bin")
        # Room above the highest bar, so that the legend covers none; below 1, so that single weights show.
        axes.set_ylim(0.5, axes.get_ylim()[1] * 8)
        axes.margins(x=0.03)
        axes.legend(loc="upper center", fontsize=8, ncols=2, frameon=False)
    figure.suptitle(f"{_printable(t.name)} ({' x '.join(map(str, t.shape))}), the worst tensor: {t.sqnr_db:.1f} dB")
    return figure


def _limits(axes: Axes, low: float, high: float, style: str, text: str) -> None:
    axes.axvline(low, color=_ORANGE, linestyle=style, linewidth=1.2, label=f"{text} {low:.3g} and {high:.3g}")
    axes.axvline(high, color=_ORANGE, linestyle=style, linewidth=1.2)


def _histograms(
    file: SafetensorsFile, t: TensorReport, scale: _Array, zero_point: _Array, raw_edges: _Edges, code_edges: _Edges
) -> tuple[_Counts, _Counts]:
    rows, columns = t.shape
    raw, codes = np.zeros(len(raw_edges) - 1, np.int64), np.zeros(len(code_edges) - 1, np.int64)
    step, begin = max(1, _BLOCK // columns), 0
    for block in file.rows(t.name, step):
        x = block.astype(np.float32)
        raw += np.histogram(x, raw_edges)[0]
        part = slice(begin, begin + len(x))
        codes += np.histogram(
            x / _spread(scale, rows, columns, part) + _spread(zero_point, rows, columns, part), code_edges
        )[0]
        begin += len(x)
    return raw, codes


def _spread(params: _Array, rows: int, columns: int, part: slice) -> _Array:
    """Parameters of any granularity, one for each element of the rows in `part`."""
    table = np.broadcast_to(params.reshape(1, 1), (rows, 1)) if params.size == 1 else params.reshape(rows, -1)
    return np.repeat(table[part], columns // table.shape[1], axis=1)


def _scale_spread(tensors: Sequence[TensorReport], scales: dict[str, _Array]) -> Figure:
    shown = _worst_in_order(tensors)
    figure, axes = _tall_figure(len(shown))
    for i, t in enumerate(shown):
        values = scales[t.name].reshape(-1)
        low, first, median, third, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
        axes.plot([low, high], [i, i], color=_GRAY, linewidth=1, zorder=1)
        axes.plot([first, third], [i, i], color=_BLUE, linewidth=4, solid_capstyle="butt", zorder=2)
        axes.plot([median], [i], marker="|", color=_ORANGE, markersize=7, markeredgewidth=2, linestyle="", zorder=3)
    _name_rows(axes, shown)
    axes.set_xscale("log")
    axes.set_xlabel("scale; gray: least to greatest, blue: middle half, orange: median")
    axes.set_title(f"Scales of each tensor{_cut_note(tensors, shown)}")
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    return figure


def _worst_in_order(tensors: Sequence[TensorReport]) -> list[TensorReport]:
    if len(tensors) <= _BARS_PER_COLUMN:
        return list(tensors)
    limit = sorted(t.sqnr_db for t in tensors)[_BARS_PER_COLUMN - 1]
    return [t for t in tensors if t.sqnr_db <= limit][:_BARS_PER_COLUMN]


def _cut_note(tensors: Sequence[TensorReport], shown: Sequence[TensorReport]) -> str:
    return f" ({len(shown)} worst of {len(tensors)})" if len(shown) < len(tensors) else ""


def _tall_figure(rows: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(10, 1.4 + 0.2 * rows), layout="constrained", dpi=110)
    return figure, figure.subplots()


def _name_rows(axes: Axes, tensors: Sequence[TensorReport]) -> None:
    names = [_printable(t.name.removesuffix(".weight")) for t in tensors]
    axes.set_yticks(range(len(names)), [n if len(n) <= 60 else "..." + n[-57:] for n in names], fontsize=7)
    axes.set_ylim(len(names) - 0.4, -0.6)  # first tensor on top
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _printable(name: str) -> str:
    # matplotlib reads $...$ as mathematics, and its font has neither control characters nor every script.
    return name.encode("unicode_escape").decode("ascii").replace("$", r"\$")
