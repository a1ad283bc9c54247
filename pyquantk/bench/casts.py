"""Rows of cast: narrow types from and to wide ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from .peers import with_numkong
from .row import Call, Row, Unsupported, aligned, shape_of, traffic

__all__ = ["ROWS", "CastCase", "case_maker"]

Array = np.ndarray[Any, Any]


@dataclass
class CastCase:
    """Arrays of one call."""

    x: Array
    out: Array
    mask: None = None  # no second output: what the roofline asks


def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name) if hasattr(ml_dtypes, name) else name)


def case_maker(source: str, target: str) -> Callable[[int], CastCase]:
    """Row.make of a cast: normal values, of which some are subnormal in an 8-bit type."""

    def make(n: int) -> CastCase:
        shape = shape_of(n)
        x, out = aligned(shape, _dtype(source)), aligned(shape, _dtype(target))
        x[...] = np.random.default_rng(7).standard_normal(shape, np.float32).astype(x.dtype)
        return CastCase(x, out)

    return make


def _cast(case: CastCase) -> Call:
    import pyquantk as qk

    x, out, dtype = case.x, case.out, case.out.dtype
    return lambda: qk.cast(x, dtype, out=out)


def _numpy(case: CastCase, threads: int) -> Sequence[Call]:
    """ml_dtypes' own loops."""
    if threads > 1:
        raise Unsupported("NumPy's loops have no threads")
    x, out = case.x, np.zeros_like(case.out)
    return [lambda: np.copyto(out, x, casting="unsafe")]


def _torch(case: CastCase, threads: int) -> Sequence[Call]:
    import torch

    def tensor(a: Array) -> Any:
        if a.dtype.kind == "f":
            return torch.from_numpy(a)
        return torch.from_numpy(a.view(f"i{a.itemsize}")).view(getattr(torch, a.dtype.name))

    x, out = tensor(case.x), tensor(np.zeros_like(case.out))
    return [lambda: out.copy_(x)]


_PEERS = {"torch": _torch, "numpy": _numpy}
_WITH_NUMKONG = {**_PEERS, "numkong": with_numkong.cast}
_make = case_maker

ROWS = (
    Row("f32 -> e4m3fn", _make("float32", "float8_e4m3fn"), _cast, traffic(32, 8), _WITH_NUMKONG),
    Row("f32 -> e5m2", _make("float32", "float8_e5m2"), _cast, traffic(32, 8), _WITH_NUMKONG),
    Row("f32 -> e4m3fnuz", _make("float32", "float8_e4m3fnuz"), _cast, traffic(32, 8), _PEERS),
    Row("bf16 -> e4m3fn", _make("bfloat16", "float8_e4m3fn"), _cast, traffic(16, 8), _PEERS),
    Row("f16 -> e4m3fn", _make("float16", "float8_e4m3fn"), _cast, traffic(16, 8), _PEERS),
    Row("e4m3fn -> f32", _make("float8_e4m3fn", "float32"), _cast, traffic(8, 32), _WITH_NUMKONG),
    Row("e4m3fn -> bf16", _make("float8_e4m3fn", "bfloat16"), _cast, traffic(8, 16), _PEERS),
    Row("e5m2 -> f16", _make("float8_e5m2", "float16"), _cast, traffic(8, 16), _PEERS),
)
