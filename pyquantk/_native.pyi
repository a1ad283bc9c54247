# The types of _native.pyx, for mypy: nothing here is public.
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

_Array = np.ndarray[Any, Any]
_Sizes = Sequence[int]
_T = TypeVar("_T")

CONVENTIONS: dict[str, int]
ROUNDINGS: dict[str, int]
SCALE_ABSMAX: int
SCALE_MODES: dict[str, int]
SCALE_NVFP4: int
TORCH_DECOMPOSED_GROUP: int

def quantize(
    x: _Array,
    q: _Array,
    packed_dtype: np.dtype[Any] | None,
    scale: _Array,
    zero_point: _Array | None,
    inverse: _Array | None,
    block: _Sizes | None,
    convention: int,
) -> None: ...
def dequantize(
    q: _Array,
    packed_dtype: np.dtype[Any] | None,
    shape_of_q: _Sizes,
    y: _Array,
    scale: _Array,
    zero_point: _Array | None,
    block: _Sizes | None,
) -> None: ...
def fake_quantize(
    x: _Array,
    y: _Array,
    mask: _Array | None,
    scale: _Array,
    zero_point: _Array | None,
    inverse: _Array | None,
    block: _Sizes | None,
    convention: int,
    quant_min: int,
    quant_max: int,
) -> None: ...
def observe(x: _Array, block: _Sizes | None, low: _Array, high: _Array, nans: _Array, infs: _Array) -> None: ...
def quantize_plain(
    x: object, scale: object, zero_point: object, out: object, convention: int, axis: object, block_size: object
) -> bool: ...
def dequantize_plain(
    q: object, scale: object, zero_point: object, out: object, axis: object, block_size: object
) -> bool: ...
def fake_quantize_plain(
    x: object,
    scale: object,
    zero_point: object,
    out: object,
    mask: _Array | None,
    convention: int,
    axis: object,
    block_size: object,
    quant_min: int,
    quant_max: int,
) -> bool: ...
def observe_plain(x: object, axis: object, block_size: object) -> tuple[_Array, _Array, _Array, _Array] | None: ...
def total(counts: _Array) -> int: ...
def choose(
    low: _Array, high: _Array, quant_min: int, quant_max: int, symmetric: bool
) -> tuple[_Array, _Array | None]: ...

ACTIVATIONS: dict[str, tuple[int, float, float]]
FIXED_ROUNDINGS: dict[str, int]
CLAMP: int
LINEAR_DYNAMIC: int
LINEAR_STATIC: int

class Packed:
    def __init__(self, b: _Array, group_size: int, zero_point: _Array | None) -> None: ...
    zero_point: _Array | None
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def is_unsigned(self) -> bool: ...
    @property
    def rows_in_group(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def layer(self) -> str: ...
    def unpack_into(self, b: _Array) -> None: ...

def matmul_plain(a: object, b: object, a_zero_point: object, b_zero_point: object, out: object) -> _Array | None: ...
def qmatmul_plain(
    a: object,
    b: object,
    a_scale: object,
    b_scale: object,
    a_zero_point: object,
    b_zero_point: object,
    bias: object,
    activation: tuple[int, float, float] | None,
    number: int,
    out_scale: object,
    out_zero_point: object,
    out: object,
) -> _Array | None: ...
def matmul(
    a: _Array,
    b: _Array | Packed,
    c: _Array,
    a_zero_point: _Array | None,
    b_zero_point: _Array | None,
    a_scale: _Array | None = None,
    b_scale: _Array | None = None,
    group_size: int = 0,
    bias: _Array | None = None,
    activation: tuple[int, float, float] | None = None,
    out_scale: float = 0.0,
    out_zero_point: int = 0,
    m0: _Array | None = None,
    shift: _Array | None = None,
    rounding: int = 0,
) -> None: ...

class Weights:
    def __init__(self, b: _Array, scale: _Array | None, zero_point: _Array | None, block: _Sizes | None) -> None: ...
    dtype: np.dtype[Any]
    scale: _Array | None
    zero_point: _Array | None
    block: tuple[int, int] | None
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def nbytes(self) -> int: ...
    def unpack_into(self, b: _Array) -> None: ...

def float_matmul(
    a: _Array,
    b: Weights,
    c: _Array,
    a_scale: _Array | None = None,
    b_scale: _Array | None = None,
    bias: _Array | None = None,
    activation: tuple[int, float, float] | None = None,
    out_scale: float = 0.0,
    out_zero_point: int = 0,
) -> None: ...

class Linear:
    def __init__(
        self,
        weight: Packed | Weights,
        scale: _Array | None,
        group_size: int,
        bias: _Array | None,
        activation: tuple[int, float, float] | None,
        mode: int = 0,
        like: _Array | None = None,
        input_scale: float = 0.0,
        input_zero_point: int = 0,
    ) -> None: ...
    def plain(self, x: object, out: object) -> _Array | None: ...
    def into(self, x: _Array, y: _Array) -> None: ...

def cast(
    x: _Array,
    packed_x: np.dtype[Any] | None,
    y: _Array,
    packed_y: np.dtype[Any] | None,
    shape: _Sizes,
    rounding: int,
    saturate: bool,
    seed: int,
) -> None: ...
def cast_plain(x: object, out: object, saturate: bool) -> bool: ...
def quantize_dynamic(
    x: _Array,
    q: _Array,
    packed_dtype: np.dtype[Any] | None,
    scale: _Array,
    block: _Sizes | None,
    mode: int,
    global_scale: float,
) -> None: ...
def in_float_environment(function: Callable[[], _T]) -> _T: ...
def layers() -> list[tuple[str, bool]]: ...
def active_layer() -> str: ...
def use_layer(name: str) -> None: ...
def operations() -> list[tuple[str, str]]: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def set_thread_limit(n: int) -> int: ...
def build_info() -> Mapping[str, Any]: ...
def roofline(
    read: int, write: int, extra: int, x: _Array, out: _Array, out2: _Array | None, elements: int, way: int, repeat: int
) -> None: ...
def requantize(
    acc: _Array,
    q: _Array,
    packed_dtype: np.dtype[Any] | None,
    real: _Array | None,
    m0: _Array | None,
    shift: _Array | None,
    zero_point: _Array | None,
    block: _Sizes | None,
    rounding: int,
) -> None: ...
def roofline_dot(steps: int) -> float: ...
def roofline_fma(steps: int) -> float: ...
def requantize_plain(
    acc: object,
    real: object,
    m0: _Array | None,
    shift: _Array | None,
    zero_point: object,
    out: object,
    rounding: int,
    axis: object,
    block_size: object,
) -> bool: ...
