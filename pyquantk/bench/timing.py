"""Fair times on a machine that others use too: contenders in turn, the minimum of many runs, pinned threads.

Every round measures each contender once, A B C A B C, so that a slow second of the machine hits all alike; the
minimum of the rounds is what each can do when it is left alone.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from time import perf_counter, process_time, sleep

__all__ = ["Budget", "Contender", "calls", "pinned", "race"]

_SETTLE = 0.003  # seconds, in which our own threads fall asleep
_WATCH, _WATCH_MOST = 0.01, 0.2  # for other pools; Linux counts the time of threads that run in ticks of 4 ms


@dataclass(frozen=True)
class Budget:
    """How long to measure: seconds a sample, seconds a contender, and the least number of samples."""

    sample: float = 0.002
    total: float = 0.25
    rounds: int = 3


@dataclass
class Contender:
    """Something to measure: `run(n)` does it n times and returns the seconds that took."""

    run: Callable[[int], float]
    best: float = float("inf")  # seconds a call
    spent: float = 0.0
    samples: int = 0
    repeats: int = 1
    foreign: bool = False  # threads of its own, which may spin for long after a call


def calls(call: Callable[[], object]) -> Callable[[int], float]:
    """`run` of a Python call. The cost of this very loop is taken off."""

    def run(n: int) -> float:
        start = perf_counter()
        for _ in repeat(None, n):
            call()
        return perf_counter() - start - n * _loop_cost()

    return run


def _nothing() -> None:
    pass


_loop: list[float] = []


def _loop_cost() -> float:
    """Seconds that the loop of `calls` takes around a function that does nothing, measured once."""
    if not _loop:
        best = float("inf")
        for _ in range(20):
            start = perf_counter()
            for _ in repeat(None, 2000):
                _nothing()
            best = min(best, (perf_counter() - start) / 2000)
        _loop.append(best)
    return _loop[0]


def race(contenders: Sequence[Contender], budget: Budget, threads: int) -> None:
    """Fill in `best` of each contender."""
    _loop_cost()
    enabled = gc.isenabled()
    gc.disable()
    try:
        for contender in contenders:
            _warm_up(contender, budget)
        active = list(contenders)
        previous = None
        while active:
            for contender in active:
                if threads > 1:
                    _settle(previous is None or previous.foreign)
                _sample(contender)
                previous = contender
            active = [c for c in active if c.samples < budget.rounds or c.spent < budget.total]
    finally:
        if enabled:
            gc.enable()


def _settle(foreign: bool) -> None:
    """Waits until no thread but ours runs; pools of others spin after a call before they sleep, some for 40 ms."""
    end = perf_counter() + _WATCH_MOST
    sleep(_SETTLE)
    while foreign and perf_counter() < end:
        used = process_time()
        sleep(_WATCH)
        if process_time() - used < _WATCH / 10:
            return


def _warm_up(contender: Contender, budget: Budget) -> None:
    """The first calls, which build sessions and fault pages in, and how many make a sample."""
    contender.run(1)
    once = max(contender.run(1), 1e-9)
    contender.repeats = max(1, min(100_000, int(budget.sample / once)))


def _sample(contender: Contender) -> None:
    start = perf_counter()
    if contender.repeats > 1:
        contender.run(1)  # brings its arrays back into the caches, from which the others drove them
    contender.best = min(contender.best, max(contender.run(contender.repeats), 0.0) / contender.repeats)
    contender.spent += perf_counter() - start
    contender.samples += 1


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Every thread of this process on the first `threads` CPUs it may use; only Linux lets us, elsewhere nothing."""
    if sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    _pin_all(set(sorted(before)[:threads]))
    try:
        yield
    finally:
        _pin_all(before)


def _pin_all(cpus: set[int]) -> None:
    for name in os.listdir("/proc/self/task"):
        try:
            os.sched_setaffinity(int(name), cpus)
        except OSError:  # a thread that ended in between
            continue
