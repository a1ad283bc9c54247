"""The safetensors header: what it may say, and the checks made before any of it is believed.

A file is ``u64 length | JSON of that length | data``, little-endian. The JSON maps each tensor name to its
dtype, shape and byte range in the data; ``__metadata__`` maps strings to strings. A header comes from
strangers, so everything is checked here, once, and the rest of the package trusts a `Header`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

__all__ = ["DTYPES", "CheckpointError", "Header", "TensorInfo", "layout", "parse_header", "serialize_header"]

MAX_HEADER_BYTES = 100_000_000  # the limit of the reference implementation
_MAX_DIMS = 64  # NumPy's
_MAX_BYTES = 2**63 - 1
_METADATA = "__metadata__"


class CheckpointError(ValueError):
    """A checkpoint cannot be read or quantized; the message names the file and the tensor."""


@dataclass(frozen=True)
class Dtype:
    """Bits an element, and the NumPy dtype that views it (None for elements packed across bytes)."""

    bits: int
    numpy: np.dtype[Any] | None


def _dtype(name: str | type) -> Dtype:
    dtype: np.dtype[Any] = np.dtype(name)
    return Dtype(8 * dtype.itemsize, dtype)


DTYPES: Mapping[str, Dtype] = {
    "BOOL": _dtype("?"),
    "F4": Dtype(4, None),
    "F6_E2M3": Dtype(6, None),
    "F6_E3M2": Dtype(6, None),
    "U8": _dtype("u1"),
    "I8": _dtype("i1"),
    "F8_E5M2": _dtype(ml_dtypes.float8_e5m2),
    "F8_E4M3": _dtype(ml_dtypes.float8_e4m3fn),
    "F8_E8M0": _dtype(ml_dtypes.float8_e8m0fnu),
    "F8_E4M3FNUZ": _dtype(ml_dtypes.float8_e4m3fnuz),
    "F8_E5M2FNUZ": _dtype(ml_dtypes.float8_e5m2fnuz),
    "I16": _dtype("<i2"),
    "U16": _dtype("<u2"),
    "F16": _dtype("<f2"),
    "BF16": _dtype(ml_dtypes.bfloat16),
    "I32": _dtype("<i4"),
    "U32": _dtype("<u4"),
    "F32": _dtype("<f4"),
    "C64": _dtype("<c8"),
    "F64": _dtype("<f8"),
    "I64": _dtype("<i8"),
    "U64": _dtype("<u8"),
}


@dataclass(frozen=True)
class TensorInfo:
    """One entry of a header: `begin` and `end` count bytes from the start of the data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def nbytes(self) -> int:
        return self.end - self.begin

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """A checked header: tensors in the order of their data, and the metadata."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]


def byte_count(dtype: str, shape: tuple[int, ...]) -> int:
    """Bytes that a tensor takes.

    Raises `ValueError`, a predicate for the caller's sentence, if packed elements do not fill whole bytes, or the
    size is beyond what an array can have.
    """
    bits = math.prod(shape) * DTYPES[dtype].bits
    # NumPy multiplies the non-zero dimensions only, so that (0, 2**62, 2**62) is too large as well.
    if math.prod(n for n in shape if n) * DTYPES[dtype].bits > 8 * _MAX_BYTES:
        raise ValueError("is larger than 2**63 bytes")
    if bits % 8:
        raise ValueError(f"has {bits} bits, not a whole number of bytes")
    return bits // 8


def parse_header(text: bytes, data_bytes: int, file: str) -> Header:
    """Check a header completely.

    Parameters
    ----------
    text : bytes
        The JSON, without its length.
    data_bytes : int
        How many bytes of data follow it in the file.
    file : str
        Name for error messages.

    Raises
    ------
    CheckpointError
        If `text` is not a UTF-8 JSON object with unique names, an entry is malformed, or the byte ranges do not tile
        the data exactly: overlaps, gaps, and a short or long file are refused, as the reference implementation does.
    """
    try:
        entries = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError, JSONDecodeError, digit limit, _unique
        raise CheckpointError(f"{file}: the header is not a valid JSON object: {error}") from None
    if not isinstance(entries, dict):
        raise CheckpointError(f"{file}: the header must be a JSON object, not {type(entries).__name__}")
    metadata = entries.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError(f"{file}: {_METADATA} must map strings to strings")
    tensors = [_parse_entry(name, entry, file) for name, entry in entries.items()]
    _check_unicode([*entries, *metadata, *metadata.values()], file)
    tensors.sort(key=lambda t: (t.begin, t.end))
    position = 0
    for t in tensors:
        if t.begin != position:
            what = "overlaps the tensor before it" if t.begin < position else "leaves a gap before it"
            raise CheckpointError(f"{file}: tensor {t.name!r} {what}: it begins at {t.begin}, not at {position}")
        position = t.end
    if position != data_bytes:
        raise CheckpointError(f"{file}: the header describes {position} bytes of data, the file has {data_bytes}")
    return Header({t.name: t for t in tensors}, metadata)


def _parse_entry(name: str, entry: object, file: str) -> TensorInfo:
    def error(what: str) -> CheckpointError:
        return CheckpointError(f"{file}: tensor {name!r} {what}")

    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise error("must have exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise error(f"has dtype {_short(dtype)}, which is none of {', '.join(DTYPES)}")
    if not _is_sizes(shape) or len(shape) > _MAX_DIMS:
        raise error(f"has shape {_short(shape)}, not a list of at most {_MAX_DIMS} non-negative integers")
    if not _is_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise error(f"has data_offsets {_short(offsets)}, not [begin, end] with 0 <= begin <= end")
    begin, end = offsets
    try:
        expected = byte_count(dtype, tuple(shape))
    except ValueError as reason:
        raise error(f"of shape {_short(shape)} and dtype {dtype} {reason}") from None
    if end - begin != expected:
        raise error(
            f"of shape {_short(shape)} and dtype {dtype} takes {expected} bytes, its data_offsets span {end - begin}"
        )
    return TensorInfo(name, dtype, tuple(shape), begin, end)


def _is_sizes(value: object) -> bool:
    # bool is an int to isinstance, but not to the format. The bound keeps products and messages small.
    return isinstance(value, list) and all(type(n) is int and 0 <= n <= _MAX_BYTES for n in value)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the name {twice!r} appears twice")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _check_unicode(strings: Iterable[str], file: str) -> None:
    for text in strings:
        try:
            text.encode("utf-8")  # JSON can spell half a surrogate pair, UTF-8 cannot
        except UnicodeEncodeError:
            raise CheckpointError(f"{file}: {text!r} is not valid Unicode") from None


def layout(tensors: Iterable[tuple[str, str, tuple[int, ...]]]) -> list[TensorInfo]:
    """Byte ranges for (name, dtype, shape): widest elements first, so that every tensor is aligned for its dtype."""
    ordered = sorted(tensors, key=lambda t: -DTYPES[t[1]].bits)  # stable: the given order within a width
    placed, position = [], 0
    for name, dtype, shape in ordered:
        end = position + byte_count(dtype, shape)
        placed.append(TensorInfo(name, dtype, shape, position, end))
        position = end
    return placed


def serialize_header(tensors: Iterable[TensorInfo], metadata: Mapping[str, str]) -> bytes:
    """The length and the JSON, padded with spaces so that the data starts at a multiple of 8."""
    entries: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    for t in tensors:
        entries[t.name] = {"dtype": t.dtype, "shape": list(t.shape), "data_offsets": [t.begin, t.end]}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES:
        raise CheckpointError(
            f"the header takes {len(text)} bytes, more than the {MAX_HEADER_BYTES} that readers accept"
        )
    return len(text).to_bytes(8, "little") + text
