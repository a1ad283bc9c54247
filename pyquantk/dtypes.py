"""The element types that the kernels know, by dtype object or by name."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

__all__ = [
    "ELEMENT_BITS",
    "FLOATS",
    "INTEGERS",
    "NARROW_FLOATS",
    "PACKED_BITS",
    "PACKED_FLOAT_BITS",
    "QUANTIZED_FLOATS",
    "dtype_named",
    "integer_range",
]

bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)

#: What `quantize` reads and `dequantize` writes.
FLOATS: tuple[np.dtype[Any], ...] = (np.dtype(np.float32), np.dtype(np.float16), bfloat16)

#: What `quantize` writes, with the least and the greatest value of each.
INTEGERS: dict[np.dtype[Any], tuple[int, int]] = {
    np.dtype(np.int8): (-128, 127),
    np.dtype(np.uint8): (0, 255),
    np.dtype(np.int16): (-32768, 32767),
    np.dtype(np.uint16): (0, 65535),
    np.dtype(ml_dtypes.int4): (-8, 7),
    np.dtype(ml_dtypes.uint4): (0, 15),
    np.dtype(ml_dtypes.int2): (-2, 1),
    np.dtype(ml_dtypes.uint2): (0, 3),
}

#: The types that can be packed several to a byte, and how many bits each takes then.
PACKED_BITS: dict[np.dtype[Any], int] = {
    np.dtype(ml_dtypes.int4): 4,
    np.dtype(ml_dtypes.uint4): 4,
    np.dtype(ml_dtypes.int2): 2,
    np.dtype(ml_dtypes.uint2): 2,
}


#: The float types of 8 bits and fewer.
NARROW_FLOATS: tuple[np.dtype[Any], ...] = tuple(
    np.dtype(t)
    for t in (
        ml_dtypes.float8_e4m3fn,
        ml_dtypes.float8_e5m2,
        ml_dtypes.float8_e4m3fnuz,
        ml_dtypes.float8_e5m2fnuz,
        ml_dtypes.float8_e4m3b11fnuz,
        ml_dtypes.float8_e4m3,
        ml_dtypes.float8_e3m4,
        ml_dtypes.float6_e2m3fn,
        ml_dtypes.float6_e3m2fn,
        ml_dtypes.float4_e2m1fn,
        ml_dtypes.float8_e8m0fnu,
    )
)

#: Those of them that can be packed, and how many bits each takes then.
PACKED_FLOAT_BITS: dict[np.dtype[Any], int] = {
    np.dtype(ml_dtypes.float6_e2m3fn): 6,
    np.dtype(ml_dtypes.float6_e3m2fn): 6,
    np.dtype(ml_dtypes.float4_e2m1fn): 4,
}

#: The float types that `quantize` writes: narrow ones with a sign and a zero.
QUANTIZED_FLOATS: tuple[np.dtype[Any], ...] = tuple(d for d in NARROW_FLOATS if d.name != "float8_e8m0fnu")

#: Every type that can be packed.
ELEMENT_BITS: dict[np.dtype[Any], int] = {**PACKED_BITS, **PACKED_FLOAT_BITS}


def dtype_named(dtype: Any, argument: str, allowed: Any) -> np.dtype[Any]:
    """The dtype that `dtype`, an object or a name, stands for, if it is one of `allowed`."""
    found: np.dtype[Any] | None
    try:
        found = np.dtype(getattr(ml_dtypes, dtype) if isinstance(dtype, str) and hasattr(ml_dtypes, dtype) else dtype)
    except TypeError:
        found = None
    if found is None or found not in allowed:
        names = ", ".join(d.name for d in allowed)
        raise TypeError(f"{argument} must be one of {names}, not {dtype!r}")
    return found


def integer_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Least and greatest value of a quantized type."""
    return INTEGERS[dtype]
