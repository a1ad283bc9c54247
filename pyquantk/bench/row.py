"""What a row of the benchmark is, and the arrays that rows are made of."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Call", "Row", "Unsupported", "aligned", "shape_of", "traffic"]

Call = Callable[[], object]
Array = np.ndarray[Any, Any]

#: Runs the bound so many times: one of several ways, of which the fastest counts.
Bound = Callable[[int], object]


class Unsupported(Exception):
    """The peer is installed but has no such operation."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    name : str
    make : callable
        Elements -> case: arrays and parameters, whatever `ours` and the peers want to see.
    ours : callable
        Case -> the call to measure, which takes no argument and writes where it wrote before.
    bound : callable, optional
        Case -> the ways to do the same work with nothing but its limiting resource (`traffic`).
    peers : mapping
        Name of a peer -> (case, threads) -> calls that do the same, of which the fastest counts.
    work : callable
        Case -> how much a call does: elements, by default, or operations. Not asked where `unit` is "us".
    unit : str
        "GElem/s", "GOP/s", or "us" for a row that compares the time of a call.
    sizes : tuple of int, optional
        In place of the sizes of the session, for rows whose size is part of their name.
    """

    name: str
    make: Callable[[int], Any]
    ours: Callable[[Any], Call]
    bound: Callable[[Any], Sequence[Bound]] | None = None
    peers: Mapping[str, Callable[[Any, int], Sequence[Call]]] = field(default_factory=dict)
    work: Callable[[Any], float] = lambda case: float(max(case.x.size, case.out.size))
    unit: str = "GElem/s"
    sizes: tuple[int, ...] | None = None


_HUGE = 2 << 20  # bytes of a huge page on x86-64 and most of arm64


def aligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array at the start of a page, filled once so that no page is missing when time is taken.

    Large ones are on huge pages where the system grants them: with small ones the bound would measure which pages
    happen to be there, and differ from array to array.
    """
    dtype = np.dtype(dtype)
    nbytes = int(np.prod(shape)) * dtype.itemsize
    page = _HUGE if nbytes >= _HUGE else 4096
    memory = mmap.mmap(-1, nbytes + page)
    raw = np.frombuffer(memory, np.uint8)
    start = -raw.ctypes.data % page
    if page == _HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    raw.fill(1)
    array: Array = raw[start : start + nbytes].view(dtype).reshape(shape)
    return array


def shape_of(n: int) -> tuple[int, int]:
    """`n` elements as a matrix, as square as powers of two allow: 1M is (1024, 1024)."""
    columns = 1 << (n.bit_length() // 2)
    return (n // columns, columns) if n % columns == 0 else (1, n)


def traffic(read: int, write: int, extra: int = 0) -> Callable[[Any], Sequence[Bound]]:
    """The bound of a streaming row: bits an element read from `case.x`, written to `case.out` and `case.mask`.

    Through the caches and around them, in one place and in four; csrc/roofline/roofline.h has the patterns.
    """

    def ways(case: Any) -> Sequence[Bound]:
        from .. import _native

        n = case.x.nbytes * 8 // read

        def bound(way: int) -> Bound:
            return lambda repeat: _native.roofline(read, write, extra, case.x, case.out, case.mask, n, way, repeat)

        return [bound(way) for way in range(4)]

    return ways
