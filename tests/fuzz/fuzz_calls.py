"""The Python functions with arguments made of bytes: a result of the right shape, or a TypeError or ValueError that
leaves `out` untouched; never another exception, never a fault."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

import pyquantk as qk

FLOATS: list[Any] = ["float32", "float16", "bfloat16"]
INTEGERS: list[Any] = ["int8", "uint8", "int16", "uint16", "int4", "uint4", "int2", "uint2"]
ODD_DTYPES: list[Any] = [
    "int32",
    "float64",
    ">f4",
    ">f2",
    "bool",
    "float8_e4m3fn",
    "O",
    "S3",
    "complex64",
    None,
    7,
    "?!",
]
DTYPES = FLOATS + INTEGERS + ODD_DTYPES
CONVENTIONS = ["onnx", "torch", "torch_fake_quantize", "torch_decomposed", "tflite", "ggml", "bitsandbytes", "", 3]
ODD: list[Any] = [None, True, "x", b"ab", 2.5, [], [1, [2]], {}, object, float("nan"), 10**30, -(10**30), 1j, Ellipsis]
WRONG = (TypeError, ValueError)


class Bytes:
    """Choices made of bytes; zeros when they have run out."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def rare(self, one_in: int = 32) -> bool:
        return self.byte() % one_in == one_in - 1

    def of(self, choices: list[Any]) -> Any:
        return choices[self.byte() % len(choices)]

    def size(self) -> int:
        how = self.byte()
        return how % 9 if how < 230 else 4 * self.byte()

    def shape(self) -> tuple[int, ...]:
        drawn = [self.size() for _ in range(self.byte() % 4)]
        return tuple(n % 9 for n in drawn) if math.prod(drawn) > 5000 else tuple(drawn)  # small is fast

    def integer(self) -> int:
        how = self.byte()
        return how - 100 if how < 240 else (1 << self.byte() % 70) - self.byte() % 3


def dtype_of(name: Any) -> np.dtype[Any] | None:
    try:
        found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name, name) if isinstance(name, str) else name)
    except TypeError:
        return None
    return found


def array(b: Bytes, usual: list[Any], shape: tuple[int, ...] | None = None) -> Any:
    """Mostly of a usual type, with any strides over memory that holds it."""
    if b.rare():
        return b.of(ODD)
    dtype = dtype_of(b.of(DTYPES if b.rare(8) else usual)) or np.dtype("f4")
    if shape is None or b.rare():
        shape = b.shape()
    if dtype.kind == "O":
        return np.full(shape, b.of(ODD), object)
    steps = [(1, 2, -1, 1, 1, -3, 1, 1)[b.byte() % 8] for _ in shape]
    base = np.zeros([abs(s) * n for s, n in zip(steps, shape, strict=True)], dtype)
    if base.size and dtype.kind in "fiuV" and dtype.itemsize <= 4:
        base.reshape(-1).view(np.uint8)[:] = np.resize(np.frombuffer(b.data or b"\0", np.uint8), base.nbytes)
    cuts: tuple[Any, ...] = (*(slice(None, None, s) for s in steps), ...)
    x = base[cuts]
    x = x.T if b.rare(8) else x
    if b.rare(8):
        x = np.broadcast_to(x, (b.size() % 5, *x.shape))
    if b.rare(16):
        x.flags.writeable = False
    return x


def granularity(b: Bytes) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if b.rare(3):
        given["axis"] = b.of(ODD) if b.rare() else b.of([0, -1, 1, (0, 1), (-1, 0), (0, 0), 2, b.integer()])
    if b.rare(4):
        given["block_size"] = b.of(ODD) if b.rare() else b.of([1, 2, 3, 32, (2, 3), b.integer()])
    return given


def numbers(b: Bytes, shape: tuple[int, ...], given: dict[str, Any], kind: str) -> Any:
    """A scale or zero point: mostly of the right shape, where one exists."""
    if b.rare():
        return b.of(ODD)
    axis, block = given.get("axis"), given.get("block_size")
    wanted: tuple[int, ...] = ()
    if isinstance(axis, int) and -len(shape) <= axis < len(shape):
        n = shape[axis]
        wanted = (n,)
        if isinstance(block, int) and block > 0:
            wanted = tuple(-(-s // block) if d == axis % len(shape) else s for d, s in enumerate(shape))
    if not wanted or b.rare(16):
        return b.integer() if kind == "zero" else b.of([0.1, 1, 0.0, -2.5, 1e-40, 1e38, float("nan"), float("inf")])
    if kind == "zero":
        return np.full(wanted, b.integer() % 3, b.of(["int8", "uint8", "int32", "int64", "float32"]))
    return np.full(wanted, b.of([0.1, 1.0, 0.0, 1e-40]), b.of(["float32", "float16", "float64"]))


def one_call(b: Bytes, held: dict[str, Any]) -> None:
    """`held` gets the output array and what was in it, to be looked at after an error."""
    operation = b.byte() % 6
    x = array(b, INTEGERS if operation == 1 else ["uint8"] if operation == 2 else FLOATS)
    shape = x.shape if isinstance(x, np.ndarray) else ()
    given = granularity(b)
    scale = numbers(b, shape, given, "scale")
    zero = numbers(b, shape, given, "zero") if b.rare(2) else None
    out = array(b, INTEGERS if operation == 0 else FLOATS, shape) if b.rare(3) else None
    if isinstance(out, np.ndarray):
        held |= {"out": out, "before": out.tobytes()}
    if operation == 0:
        dtype = b.of(INTEGERS * 3 + DTYPES) if b.rare(2) else None
        packed = b.rare(6)
        y = qk.quantize(
            x,
            scale,
            zero,
            dtype=dtype,
            convention=b.of(CONVENTIONS[:1] * 5 + CONVENTIONS),
            packed=packed,
            out=out,
            **given,
        )
        assert packed or y.shape == np.shape(x)
    elif operation == 1:
        y = qk.dequantize(x, scale, zero, dtype=b.of(FLOATS * 9 + DTYPES), out=out, **given)
        assert y.shape == np.shape(x)
    elif operation == 2:
        wide = b.shape()
        qk.dequantize(x, scale, zero, packed=b.of(["int4", "uint2", "int8", None]), shape=wide, **given)
    elif operation == 3:
        limits: dict[str, Any] = {"quant_min": b.integer(), "quant_max": b.integer()} if b.rare(3) else {}
        y = qk.fake_quantize(
            x, scale, zero, convention=b.of(CONVENTIONS[2:3] * 5 + CONVENTIONS), out=out, **limits, **given
        )
        assert y.shape == np.shape(x)
    elif operation == 4:
        qk.observe(x, **given)
    else:
        rule = b.of(["pyquantk", "onnx_dynamic", "torchao", "fbgemm", "per_token", "?", 2])
        p = qk.choose_params(x, b.of(INTEGERS * 3 + DTYPES), symmetric=b.of([True, False, None]), rule=rule, **given)
        assert p.quantize(x).shape == np.shape(x)


def one_input(data: bytes) -> None:
    held: dict[str, Any] = {}
    with np.errstate(all="ignore"):
        try:
            one_call(Bytes(data), held)
            return
        except WRONG as error:
            message = str(error)
    assert message
    assert not held or held["out"].tobytes() == held["before"]


SEEDS = [bytes((17 * k + 13 * i * i) % 256 for i in range(120)) for k in range(40)]
