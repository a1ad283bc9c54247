"""Runs rows: which, at what sizes, on how many threads and layers, and collects the times."""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from types import ModuleType
from typing import Any

from pyquantk import _native, cpu, get_num_threads, set_num_threads

from . import ROW_MODULES, peers, report
from .gemm import shape_rows
from .row import Row
from .timing import Budget, Contender, calls, pinned, race

__all__ = ["Result", "main", "measure"]

_NORMAL, _QUICK = Budget(), Budget(sample=0.001, total=0.04, rounds=5)
_SIZES, _QUICK_SIZES = [16 << 10, 1 << 20, 16 << 20], [16 << 10, 1 << 20]

#: Up to here the cost of the call itself shows, and is measured too.
_SMALL = 256 << 10


@dataclass
class Result:
    """Seconds of one row at one size: by layer for us and the bound, by name for the peers."""

    row: Row
    size: int
    threads: int
    work: float
    ours: dict[str, float] = field(default_factory=dict)
    call: dict[str, float] = field(default_factory=dict)  # of the smallest call of the same kind
    bound: dict[str, float] = field(default_factory=dict)
    peers: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)  # peer -> why


def main(args: argparse.Namespace) -> int:
    """The command: measures, prints what is finished even when it is interrupted."""
    start = perf_counter()
    rows = _selected(args.rows, shape_rows() if args.shapes else None)
    layers = _layers(args.layers)
    threads = args.threads or _thread_counts(args.quick)
    found = peers.installed(args.vs)
    jobs = [
        (row, size, n)
        for row in rows
        for size in row.sizes or args.sizes or (_QUICK_SIZES if args.quick else _SIZES)
        for n in (threads[:1] if row.unit == "us" else threads)
    ]
    results: list[Result] = []
    interrupted = False
    try:
        for i, (row, size, n) in enumerate(jobs):
            _progress(f"{i + 1}/{len(jobs)}  {row.name}, {report.size_text(size)}, {n} threads")
            results.append(measure(row, size, n, layers, found, _QUICK if args.quick else _NORMAL))
    except KeyboardInterrupt:
        interrupted = True
    _progress("")
    header = report.header(layers, found, perf_counter() - start)
    if args.json:
        print(json.dumps(report.as_json(header, results), indent=2))
    else:
        print((report.markdown if args.markdown else report.text)(header, results, list(found)))
        if args.shapes:
            print("\n".join(report.ratios(results)))
    if interrupted:
        raise KeyboardInterrupt
    return 0


def measure(
    row: Row, size: int, threads: int, layers: Sequence[str], found: dict[str, ModuleType], budget: Budget
) -> Result:
    """One row at one size: every layer, its bound and every peer in one race."""
    before = get_num_threads()
    set_num_threads(threads)
    for peer in found.values():
        peer.set_threads(threads)
    try:
        with pinned(threads):
            return _measure(row, size, threads, layers, found, budget)
    finally:
        set_num_threads(before)


def _measure(
    row: Row, size: int, threads: int, layers: Sequence[str], found: dict[str, ModuleType], budget: Budget
) -> Result:
    case = row.make(size)
    result = Result(row, size, threads, row.work(case) if row.unit != "us" else 1.0)
    entries = list(_our_entries(row, case, size, layers))
    for name in found:
        if name not in row.peers:
            continue
        try:
            alternatives = row.peers[name](case, threads)
            for call in alternatives:
                call()
        except Exception as error:  # it has no such operation, or another version has: the table goes on without it
            result.left_out[name] = str(error).strip() or type(error).__name__
        else:
            entries += [("peers", name, Contender(calls(call), foreign=True)) for call in alternatives]
    race([contender for _, _, contender in entries], budget, threads)
    for kind, name, contender in entries:
        times: dict[str, float] = getattr(result, kind)
        times[name] = min(contender.best, times.get(name, float("inf")))
    for layer in result.bound:  # narrower registers sometimes get more out of DRAM
        below = _below(layer)
        result.bound[layer] = min(seconds for name, seconds in result.bound.items() if name in below)
    return result


def _below(layer: str) -> Sequence[str]:
    """The layers that have nothing which `layer` has not, itself among them."""
    names = list(cpu.layers())
    return names[: names.index(layer) + 1]


def _our_entries(row: Row, case: Any, size: int, layers: Sequence[str]) -> Iterator[tuple[str, str, Contender]]:
    ours = row.ours(case)
    smallest = row.ours(row.make(2)) if row.bound and size <= _SMALL else None
    for layer in layers:
        yield "ours", layer, Contender(_on_layer(layer, calls(ours)))
        if smallest:
            yield "call", layer, Contender(_on_layer(layer, calls(smallest)))
    for layer in dict.fromkeys([*layers, *_narrowest()]):
        for way in row.bound(case) if row.bound else ():
            yield "bound", layer, Contender(_on_layer(layer, _repeating(way)))


def _narrowest() -> list[str]:
    """The least layer with vectors, whose way through memory is measured even where it is not asked for."""
    return [name for name, supported in cpu.layers().items() if supported and name != "scalar"][:1]


def _repeating(way: Callable[[int], object]) -> Callable[[int], float]:
    def run(n: int) -> float:
        start = perf_counter()
        way(n)
        return perf_counter() - start

    return run


def _on_layer(layer: str, run: Callable[[int], float]) -> Callable[[int], float]:
    def switched(n: int) -> float:
        before = _native.active_layer()
        _native.use_layer(layer)
        try:
            return run(n)
        finally:
            _native.use_layer(before)

    return switched


def _selected(pattern: str | None, among: Sequence[Row] | None) -> list[Row]:
    rows = list(among or [row for module in ROW_MODULES for row in importlib.import_module(module).ROWS])
    if pattern is None:
        return rows
    chosen = [row for row in rows if pattern in row.name or fnmatch.fnmatchcase(row.name, pattern)]
    if not chosen:
        names = "; ".join(row.name for row in rows)
        raise ValueError(f"--rows must match a row, and {pattern!r} matches none of: {names}")
    return chosen


def _layers(wanted: Sequence[str] | None) -> list[str]:
    """The layers to measure, best first."""
    can_run = [name for name, supported in cpu.layers().items() if supported]
    for name in wanted or ():
        if name not in can_run:
            raise ValueError(f"--layers must name layers that this CPU runs ({', '.join(can_run)}), not {name!r}")
    return (
        list(dict.fromkeys(wanted))
        if wanted
        else [name for name in reversed(can_run) if name != "scalar"] or can_run[:1]
    )


def _thread_counts(quick: bool) -> list[int]:
    available = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return [1] if quick or available < 2 else [1, 2]


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
