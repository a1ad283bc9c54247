"""What hypothesis draws: shapes, granularities, values that hurt, and every layout memory can have.

Arrays are made by NumPy from a drawn seed: that is fast, and a failing example still shrinks to its least shape,
layout and type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import oracle
from hypothesis import strategies as st

import pyquantk as qk

LAYERS = [name for name, supported in qk.cpu.layers().items() if supported]
LAYOUTS = ("C", "F", "transposed", "reversed", "strided", "interior", "misaligned", "readonly", "swapped")
OUT_LAYOUTS = ("C", "F", "transposed", "reversed", "strided", "interior", "misaligned")
POISON = 0xA5

SPECIAL_VALUES = np.array(
    [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-40, 2.0**-126, 3.4e38, -3.4e38, 0.49999997, 8388609.0],
    np.float32,
)
SPECIAL_SCALES = np.array(
    [0.0, -0.0, -0.1, 1e-45, 1e-39, 2.0**-127, 2.0**-126, 1e-30, 1e30, 2.0**127, 3.4e38, np.inf, -np.inf, np.nan],
    np.float32,
)

layers = st.sampled_from(LAYERS)
layouts = st.sampled_from(LAYOUTS)
out_layouts = st.sampled_from(OUT_LAYOUTS)
conventions = st.sampled_from(oracle.CONVENTIONS)
float_names = st.sampled_from(oracle.FLOATS)
integer_names = st.sampled_from(tuple(oracle.INTEGERS))
narrow_names = st.sampled_from(("int4", "uint4", "int2", "uint2"))
seeds = st.integers(0, 2**32 - 1)
rngs = seeds.map(np.random.default_rng)


@st.composite
def shapes(draw, least=0, most=4):
    """Shapes of up to a few thousand elements; axes of length 0 and 1 and runs past a vector's length included."""
    ndim = draw(st.integers(least, most))
    long = draw(st.sampled_from([7, 40, 150, 600]))
    short = {0: 1, 1: 1, 2: 9, 3: 5}.get(ndim, 4)
    shape = [draw(st.integers(0 if draw(st.integers(0, 15)) == 0 else 1, short)) for _ in range(ndim)]
    if ndim:
        shape[draw(st.integers(0, ndim - 1))] = draw(st.integers(0, long))
    return tuple(shape)


def values(rng, shape, name, scale=1.0, specials=True):
    """Random numbers, ties of `scale`, their neighbours, and special values."""
    size = int(np.prod(shape))
    with np.errstate(all="ignore"):
        x = (rng.normal(size=size) * rng.choice([1, 60, 300, 20000]) * scale).astype(np.float32)
        ties = ((rng.integers(-600, 600, size) + 0.5) * scale).astype(np.float32)
        ties = np.nextafter(ties, rng.choice(np.array([-np.inf, 0, np.inf], np.float32), size))
        x = np.where(rng.random(size) < 0.3, ties, x)
        if specials:
            x = np.where(rng.random(size) < 0.1, rng.choice(SPECIAL_VALUES, size), x)
        return x.reshape(shape).astype(oracle.dtype(name))


def scales(rng, shape, specials=False):
    """Steps of every size and significand, those next to a multiple of 2^16 too; float32."""
    s = np.exp2(rng.uniform(-12, 12, shape)).astype(np.float32)
    kind = rng.integers(0, 4, shape)
    bits = s.view(np.uint32)
    near = ((bits & np.uint32(0xFFFF0000)) + rng.integers(-14, 15, shape)).astype(np.uint32).view(np.float32)
    power = (bits & np.uint32(0x7F800000)).view(np.float32)
    s = np.where(kind == 0, near, np.where(kind == 1, power, s)).astype(np.float32)
    if specials:
        s = np.where(rng.random(shape) < 0.5, rng.choice(SPECIAL_SCALES, shape), s).astype(np.float32)
    return s


@dataclass(frozen=True)
class Grain:
    """What shares parameters: as the user says it, and as the oracle does."""

    kind: str  # "tensor", "channel" or "block"
    keywords: dict[str, Any]
    block: tuple[int, ...]
    given: tuple[int, ...]  # the shape of the parameters

    def each(self, parameter, shape):
        """The parameter of every element."""
        if not np.prod(shape):
            return np.zeros(shape, np.asarray(parameter).dtype)
        full = oracle.block_counts(shape, self.block)
        return oracle.each(np.asarray(parameter).reshape(full), shape, self.block)


GRAINS = ("tensor", "channel", "block", "blocks")


@st.composite
def grains(draw, shape, kind=None):
    """A granularity that an array of this shape can have."""
    ndim = len(shape)
    possible = [k for k, least in zip(GRAINS, (0, 1, 1, 2), strict=True) if ndim >= least]
    kind = draw(st.sampled_from(possible)) if kind is None else kind
    if kind == "tensor":
        return Grain("tensor", {}, shape, ())
    count = draw(st.integers(2, ndim)) if kind == "blocks" else 1
    axes = draw(st.permutations(range(ndim)))[:count]
    written = tuple(a - ndim if draw(st.booleans()) else a for a in axes)
    if kind == "channel":
        (a,) = axes
        block = tuple(1 if d == a else n for d, n in enumerate(shape))
        return Grain("channel", {"axis": written[0]}, block, (shape[a],))
    sizes = tuple(draw(st.one_of(st.integers(1, 8), st.sampled_from([16, 32, 33, 10**12]))) for _ in axes)
    block = [1] * ndim
    for a, size in zip(axes, sizes, strict=True):
        block[a] = size
    given = tuple(-(-n // b) for n, b in zip(shape, block, strict=True))
    if count > 1:
        return Grain("block", {"axis": written, "block_size": sizes}, tuple(block), given)
    keywords = {"block_size": sizes[0]}
    if axes[0] != ndim - 1 or draw(st.booleans()):
        keywords["axis"] = written[0]
    return Grain("block", keywords, tuple(block), given)


@dataclass
class Case:
    """An array and parameters that fit it: `given` as arguments, `scale` and `zero` of each element."""

    x: np.ndarray
    grain: Grain
    scale_given: Any
    zero_given: Any
    scale: np.ndarray
    zero: np.ndarray

    def __repr__(self):
        return (
            f"Case(x={self.x!r}, strides={self.x.strides}, {self.grain}, scale={self.scale_given!r}, "
            f"zero_point={self.zero_given!r})"
        )


@st.composite
def cases(draw, kind=None, name=None, limits=(-128, 127), specials=False, layout=None, least=0):
    """x of a float type with parameters; zero points within `limits`."""
    least = max(least, {"channel": 1, "block": 1, "blocks": 2}.get(kind, 0))
    shape = draw(shapes(least))
    grain = draw(grains(shape, kind))
    rng = draw(rngs)
    scale = scales(rng, grain.given, specials)
    zero = rng.integers(limits[0], limits[1] + 1, grain.given)
    if draw(st.booleans()):
        zero_given: Any = zero.astype(rng.choice(["int64", "int32"])) if grain.given else int(zero)
    else:
        only = min(max(0, limits[0]), limits[1])
        zero = np.full(grain.given, only)
        zero_given = only or None
    finite = scale[np.isfinite(scale) & (np.abs(scale) < 1e20) & (np.abs(scale) > 1e-20)]
    typical = float(np.median(finite)) if finite.size else 1.0
    x = values(rng, shape, draw(float_names) if name is None else name, typical)
    x = arranged(rng, x, draw(layouts) if layout is None else layout)
    scale_given = float(scale) if not grain.given and draw(st.booleans()) else scale
    return Case(x, grain, scale_given, zero_given, grain.each(scale, shape), grain.each(zero, shape))


# --- memory ----------------------------------------------------------------------------------------------------


def place(rng, shape, dtype, layout):
    """A poisoned buffer, and a view into it of this shape and layout."""
    dtype, ndim, item = np.dtype(dtype), len(shape), np.dtype(dtype).itemsize
    steps, before, after = [1] * ndim, [0] * ndim, [0] * ndim
    order = list(range(ndim))
    if layout == "F":
        order.reverse()
    elif layout == "transposed":
        order = [int(d) for d in rng.permutation(ndim)]
    elif layout == "reversed":
        steps = [int(s) for s in rng.choice([-1, 1], ndim)]
        steps[-1:] = [-1] if ndim else []
    elif layout == "strided":
        steps = [int(s) for s in rng.choice([-2, 1, 2, 3], ndim)]
    elif layout == "interior":
        before, after = ([int(n) for n in rng.integers(0, 3, ndim)] for _ in range(2))
    room = [n * abs(s) + b + a for n, s, b, a in zip(shape, steps, before, after, strict=True)]
    offset = int(rng.integers(1, 2 * item)) if layout == "misaligned" else 0
    buffer = np.full(offset + int(np.prod(room)) * item, POISON, np.uint8)
    whole = np.ndarray([room[d] for d in order], dtype, buffer.data, offset) if buffer.size else np.empty(room, dtype)
    if buffer.size:
        whole = whole.transpose(np.argsort(order))
    cut = tuple(slice(b, b + n * abs(s), abs(s)) for n, s, b in zip(shape, steps, before, strict=True))
    flip = tuple(slice(None, None, -1 if s < 0 else 1) for s in steps)
    view = whole[(*cut, ...)][(*flip, ...)]
    assert view.shape == tuple(shape)
    return buffer, view


def bits_of(a):
    """The same memory as unsigned integers, which compare bit for bit."""
    return a.view(np.dtype(f"u{a.itemsize}"))


def arranged(rng, a, layout):
    """A copy of `a` in memory of this layout."""
    if layout == "swapped":
        if a.dtype.kind not in "fiu":
            layout = "C"  # ml_dtypes has no byte orders
        else:
            return a.astype(a.dtype.newbyteorder("S"))
    _, view = place(rng, a.shape, a.dtype, layout)
    bits_of(view)[...] = bits_of(np.ascontiguousarray(a).reshape(a.shape))
    if layout == "readonly":
        view.flags.writeable = False
    return view


def only_within(buffer, view):
    """Is all of the buffer outside the view still poison? Poisons the view."""
    bits_of(view)[...] = int.from_bytes(bytes([POISON]) * view.itemsize, "little")
    return bool((buffer == POISON).all())


def assert_same(actual, expected):
    """Equal dtype, shape and bits."""
    assert isinstance(actual, np.ndarray)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(bits_of(actual), bits_of(expected))
