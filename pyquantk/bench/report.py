"""The results as text of 120 columns, as Markdown, and as JSON."""

from __future__ import annotations

import datetime
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import _native, info
from . import peers

if TYPE_CHECKING:
    from types import ModuleType

    from .session import Result

__all__ = ["as_json", "header", "markdown", "ratios", "size_text", "text"]


def header(layers: Sequence[str], found: Mapping[str, ModuleType], seconds: float) -> dict[str, Any]:
    """What the numbers depend on, beside the code."""
    return {
        "cpu": info.cpu_model(),
        "caches": info.caches(),
        "layers": list(layers),
        "versions": {**info.library_versions(), **{name: peers.version_of(name) for name in found}},
        "compiler": _native.build_info()["compiler"],
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seconds": round(seconds, 1),
    }


def _header_lines(head: Mapping[str, Any]) -> list[str]:
    sizes = ", ".join(f"{name} {n >> 10} KiB" for name, n in head["caches"].items())
    versions = ", ".join(f"{name} {version}" for name, version in head["versions"].items())
    return [
        head["cpu"] + (f"; {sizes}" if sizes else "") + f"; {head['date']}; {head['seconds']} s",
        *textwrap.wrap(f"{head['compiler']}; {versions}", _WIDTH),
    ]


_WIDTH = 120

_NOTES = (
    "GElem/s and GOP/s: larger is better; us: smaller. Called from Python, results written to arrays that exist, where",
    "a library can. limit: the same loads and stores with no arithmetic. kernel: ours without the cost of the smallest",
    "call; %: kernel of limit. x: ours against the best peer. Minimum of many runs, in turn, threads pinned.",
)


def size_text(n: int) -> str:
    for unit, bits in (("G", 30), ("M", 20), ("K", 10)):
        if n % (1 << bits) == 0:
            return f"{n >> bits}{unit}"
    return str(n)


def _number(x: float) -> str:
    """Three digits, and no more places than that needs."""
    if x >= 100:
        return f"{x:.0f}"
    return f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def values_of(result: Result, layer: str) -> dict[str, float]:
    """The numbers of one line: ours, kernel, limit, percent, x and each peer by name, where they exist."""
    in_time = result.row.unit == "us"

    def shown(seconds: float) -> float:
        return seconds * 1e6 if in_time else result.work / seconds / 1e9

    ours = result.ours[layer]
    found = {"ours": shown(ours)}
    bound = result.bound.get(layer)
    if bound is not None:
        # Noise may make the smallest call seem to take all the time: never less than a tenth is left.
        kernel = max(ours - result.call.get(layer, 0.0), ours / 10)
        found |= {"kernel": shown(kernel), "limit": shown(bound), "percent": 100 * bound / kernel}
    if result.peers:
        found["x"] = min(result.peers.values()) / ours
    return found | {name: shown(seconds) for name, seconds in result.peers.items()}


def _lines(results: Iterable[Result], names: Sequence[str]) -> list[list[str]]:
    lines = []
    previous = None
    for result in results:
        for layer in result.ours:
            v = values_of(result, layer)
            unit = "" if result.row.unit == "GElem/s" else f" ({result.row.unit})"
            name = result.row.name + unit
            lines.append(
                [
                    "" if name == previous else name,
                    size_text(result.size),
                    str(result.threads),
                    layer,
                    *(_number(v[key]) if key in v else "" for key in ("ours", "kernel", "limit")),
                    f"{v['percent']:.0f}" if "percent" in v else "",
                    *(_number(v[peer]) if peer in v else "" for peer in names),
                    _number(v["x"]) if "x" in v else "",
                ]
            )
            previous = name
    return lines


def _titles(names: Sequence[str]) -> list[str]:
    short = {"onnxruntime": "ort"}
    return ["row", "size", "thr", "layer", "ours", "kernel", "limit", "%", *(short.get(n, n) for n in names), "x"]


_LEFT = {0, 3}  # columns of words


def text(head: Mapping[str, Any], results: Sequence[Result], names: Sequence[str]) -> str:
    used = [name for name in names if any(name in result.peers for result in results)]
    table = [_titles(used), *_lines(results, used)]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    padded = [
        "  ".join(c.ljust(w) if i in _LEFT else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in table
    ]
    padded.insert(1, "-" * len(padded[0]))
    return "\n".join([*_header_lines(head), "", *(line.rstrip() for line in padded), "", *_NOTES])


def markdown(head: Mapping[str, Any], results: Sequence[Result], names: Sequence[str]) -> str:
    used = [name for name in names if any(name in result.peers for result in results)]
    titles = _titles(used)
    rule = [":--" if i in _LEFT else "--:" for i in range(len(titles))]
    table = ["| " + " | ".join(line) + " |" for line in [titles, rule, *_lines(results, used)]]
    return "\n".join([*(f"{line}  " for line in _header_lines(head)), "", *table, "", " ".join(_NOTES)])


def ratios(results: Sequence[Result]) -> list[str]:
    """For each layer and number of threads, ours against the best peer over all rows: geometric mean and worst."""
    found: dict[tuple[str, int], list[tuple[float, str]]] = {}
    for result in results:
        for layer in result.ours if result.peers else ():
            x = values_of(result, layer)["x"]
            found.setdefault((layer, result.threads), []).append((x, result.row.name))
    lines = []
    for (layer, threads), seen in found.items():
        mean, worst = math.exp(sum(math.log(x) for x, _ in seen) / len(seen)), min(seen)
        lines.append(
            f"{layer}, {threads} threads: {mean:.2f} times the best peer in the geometric mean of {len(seen)} rows, "
            f"worst {worst[0]:.2f} ({worst[1]})"
        )
    return lines


def as_json(head: Mapping[str, Any], results: Sequence[Result]) -> dict[str, Any]:
    """Times in seconds and the derived numbers of the table, by row, size, threads and layer."""
    return {
        **head,
        "results": [
            {
                "row": result.row.name,
                "unit": result.row.unit,
                "size": result.size,
                "threads": result.threads,
                "layer": layer,
                "seconds": {
                    "ours": result.ours[layer],
                    "smallest_call": result.call.get(layer),
                    "limit": result.bound.get(layer),
                    **result.peers,
                },
                "shown": values_of(result, layer),
                "left_out": result.left_out,
            }
            for result in results
            for layer in result.ours
        ],
    }
