# The types of _native.pyx, for mypy: nothing here is public.
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_Sizes = Sequence[int]

CONVENTIONS: dict[str, int]
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
def quantize_plain(x: object, scale: object, zero_point: object, out: object, convention: int) -> bool: ...
def dequantize_plain(q: object, scale: object, zero_point: object, out: object) -> bool: ...
def layers() -> list[tuple[str, bool]]: ...
def active_layer() -> str: ...
def use_layer(name: str) -> None: ...
def operations() -> list[tuple[str, str]]: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def set_thread_limit(n: int) -> int: ...
def build_info() -> Mapping[str, Any]: ...
