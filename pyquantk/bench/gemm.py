"""Rows of the integer matrix product, plain and as a linear layer, and the shapes of real networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .peers import ort, pytorch, with_numkong
from .row import Bound, Call, Row, aligned

__all__ = ["ROWS", "SHAPES", "GemmCase", "bytes_of_b", "shape_rows"]

Array = np.ndarray[Any, Any]
_PRODUCTS: dict[str, Any] = {"onnxruntime": ort.matmul_integer, "torch": pytorch.int_mm}
_FEW = 4  # up to here the bytes of B are the limit, not the products


@dataclass
class GemmCase:
    """x (m, k) times b (k, n) into out; x is int8, uint8, or for a linear layer, whose weight is b.T, float32."""

    x: Array
    b: Array
    out: Array

    @property
    def work(self) -> float:
        """Multiplications and additions."""
        return 2.0 * self.x.size * int(self.b.shape[1])


def _maker(shape: Callable[[int], tuple[int, int, int]], *, floats: bool, unsigned: bool) -> Callable[[int], GemmCase]:
    def make(size: int) -> GemmCase:
        m, n, k = shape(size)
        rng = np.random.default_rng(7)
        if floats:
            case = GemmCase(aligned((m, k), np.float32), aligned((k, n), np.float32), aligned((m, n), np.float32))
            case.x[...] = rng.standard_normal((m, k), np.float32)
            case.b[...] = rng.standard_normal((k, n), np.float32)
            return case
        kind: Any = np.uint8 if unsigned else np.int8
        case = GemmCase(aligned((m, k), kind), aligned((k, n), np.int8), aligned((m, n), np.int32))
        case.x[...] = rng.integers(0, 256, (m, k), np.uint8).view(kind)
        case.b[...] = rng.integers(-128, 128, (k, n), np.int8)
        return case

    return make


def _product(case: GemmCase) -> Call:
    import pyquantk as qk

    a, packed, out = case.x, qk.pack(case.b), case.out
    return lambda: qk.matmul(a, packed, out=out)


def _linear(case: GemmCase) -> Call:
    import pyquantk as qk

    layer, x, out = qk.QuantizedLinear(case.b.T, np.ones(case.b.shape[1], np.float32)), case.x, case.out
    return lambda: layer(x, out)


def _peak(case: GemmCase) -> Sequence[Bound]:
    """The dot-product instruction in registers, as often as this product needs it."""
    from .. import _native

    def bound(repeat: int) -> object:
        return _native.roofline_dot(max(1, round(repeat * case.work / _native.roofline_dot(1))))

    return [bound]


def bytes_of_b(case: Any) -> Sequence[Bound]:
    """Reading as many bytes as B has."""
    from .. import _native

    nbytes = max(2048, case.b.size // 2048 * 2048)
    b, out = aligned((nbytes,), np.uint8), aligned((nbytes // 2,), np.uint8)

    def bound(way: int) -> Bound:
        return lambda repeat: _native.roofline(16, 0, 0, b, out, None, nbytes // 2, way, repeat)

    return [bound(way) for way in (0, 2)]


def _row(
    name: str,
    shape: Callable[[int], tuple[int, int, int]],
    sizes: tuple[int, ...],
    *,
    linear: bool = False,
    unsigned: bool = False,
) -> Row:
    bound = bytes_of_b if shape(4096)[0] <= _FEW else _peak
    return Row(
        name,
        _maker(shape, floats=linear, unsigned=unsigned),
        _linear if linear else _product,
        bound,
        {"onnxruntime": ort.linear, "torch": pytorch.linear}
        if linear
        else _PRODUCTS
        if unsigned
        else {**_PRODUCTS, "numkong": with_numkong.int_mm},
        work=lambda case: float(case.work),
        unit="GOP/s",
        sizes=sizes,
    )


def _rows(m: int) -> Callable[[int], tuple[int, int, int]]:
    return lambda size: (m, size, size)


ROWS = (
    _row("int8 product, n^3", lambda size: (size, size, size), (64, 1024)),
    _row("uint8 x int8 product, n^3", lambda size: (size, size, size), (1024,), unsigned=True),
    _row("int8 product, 1 n n", _rows(1), (4096,)),
    _row("int8 product, 4 n n", _rows(4), (4096,)),
    _row("int8 product, 16 n n", _rows(16), (4096,)),
    _row("int8 product, 128 n n", _rows(128), (4096,)),
    _row("uint8 x int8 product, 1 n n", _rows(1), (4096,), unsigned=True),
    _row("uint8 x int8 product, 128 n n", _rows(128), (4096,), unsigned=True),
    _row("int8 linear f32, 1 n n", _rows(1), (4096,), linear=True),
    _row("int8 linear f32, 128 n n", _rows(128), (4096,), linear=True),
)

#: (network and layer, (m, n, k)): convolutions as products of their patches, one image; projections by tokens.
SHAPES: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("resnet50 conv1", (12544, 64, 147)),
    ("resnet50 2.1x1a", (3136, 64, 64)),
    ("resnet50 2.3x3", (3136, 64, 576)),
    ("resnet50 2.1x1b", (3136, 256, 64)),
    ("resnet50 2.1x1c", (3136, 64, 256)),
    ("resnet50 3.1x1a", (784, 128, 512)),
    ("resnet50 3.3x3", (784, 128, 1152)),
    ("resnet50 3.1x1b", (784, 512, 128)),
    ("resnet50 3.down", (784, 512, 256)),
    ("resnet50 4.1x1a", (196, 256, 1024)),
    ("resnet50 4.3x3", (196, 256, 2304)),
    ("resnet50 4.1x1b", (196, 1024, 256)),
    ("resnet50 4.down", (196, 1024, 512)),
    ("resnet50 5.1x1a", (49, 512, 2048)),
    ("resnet50 5.3x3", (49, 512, 4608)),
    ("resnet50 5.1x1b", (49, 2048, 512)),
    ("resnet50 5.down", (49, 2048, 1024)),
    ("resnet50 fc", (1, 1000, 2048)),
    *(
        (f"{network} {layer} {m}", (m, n, k))
        for network, hidden, inner in (("bert-base", 768, 3072), ("minilm", 384, 1536))
        for layer, n, k in (
            ("qkv", 3 * hidden, hidden),
            ("out", hidden, hidden),
            ("up", inner, hidden),
            ("down", hidden, inner),
        )
        for m in (16, 128)
    ),
    *(
        (f"llama7b {layer} {m}", (m, n, k))
        for layer, n, k in (("qkv", 12288, 4096), ("out", 4096, 4096), ("up", 11008, 4096), ("down", 4096, 11008))
        for m in (1, 4, 16, 128, 512)
    ),
)


def shape_rows() -> Sequence[Row]:
    """A row for each shape of `SHAPES`; its size is K."""

    def always(shape: tuple[int, int, int]) -> Callable[[int], tuple[int, int, int]]:
        return lambda size: shape if size > 2 else (1, 1, 2)  # 2 asks for the smallest call

    return [_row(name, always(shape), (shape[2],)) for name, shape in SHAPES]
