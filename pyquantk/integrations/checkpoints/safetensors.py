"""Read safetensors files through mmap, without copies, and write them as a stream."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .atomic import StagedFiles
from .header import (
    DTYPES,
    MAX_HEADER_BYTES,
    CheckpointError,
    Header,
    TensorInfo,
    layout,
    parse_header,
    serialize_header,
)

__all__ = ["SafetensorsFile", "SafetensorsWriter"]

_PAGE = mmap.PAGESIZE
# Pages of the file that stay mapped behind the reader: large enough that dropping them costs nothing, small
# enough that a streamed 100 GB shard stays below 10 MB of memory.
_WINDOW = 8 << 20


class SafetensorsFile:
    """A safetensors file, checked completely when opened; tensors are views of the mapped file.

    Parameters
    ----------
    path : path-like
        The file. It must not be truncated by others while it is open.

    Attributes
    ----------
    tensors : mapping of str to TensorInfo
        In the order of their data.
    metadata : mapping of str to str

    Raises
    ------
    CheckpointError
        If the file is truncated, or its header lies: see `parse_header`.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> with SafetensorsFile("model.safetensors") as file:  # doctest: +SKIP
    ...     weight = file["encoder.layer.0.output.dense.weight"]
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with open(self.path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            header, self._start = _read_header(file, size, str(path))
            # An empty map is an error on every system; with no data there is nothing to map.
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size > self._start else None
        self.tensors: Mapping[str, TensorInfo] = header.tensors
        self.metadata: Mapping[str, str] = header.metadata
        self.nbytes = size

    def __enter__(self) -> SafetensorsFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap the file, or leave that to the last view if arrays still look into it."""
        mapped, self._map = self._map, None
        if mapped is not None:
            with suppress(BufferError):
                mapped.close()

    def raw(self, name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The bytes of tensor `name` as read-only uint8, shape (nbytes,)."""
        info = self.tensors[name]
        if info.nbytes == 0 or self._map is None:
            return np.empty(0, np.uint8)
        return np.frombuffer(self._map, np.uint8, info.nbytes, self._start + info.begin)

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        """Tensor `name` as a read-only view; BF16 and F8 come as `ml_dtypes` arrays.

        Raises
        ------
        CheckpointError
            For F4 and F6, whose elements are packed across bytes: use `raw`.
        """
        info = self.tensors[name]
        dtype = DTYPES[info.dtype].numpy
        if dtype is None:
            raise CheckpointError(
                f"{self.path}: tensor {name!r} of dtype {info.dtype} is packed; read its bytes with raw()"
            )
        return self.raw(name).view(dtype).reshape(info.shape)

    def rows(self, name: str, step: int) -> Iterator[np.ndarray[Any, Any]]:
        """`step` rows of tensor `name` at a time, letting go of the memory behind them.

        Views stay valid; memory stays bounded if earlier ones are not looked at again.
        """
        array, info = self[name], self.tensors[name]
        released = 0
        for begin in range(0, len(array), step):
            end = min(begin + step, len(array))
            yield array[begin:end]
            done = info.nbytes * end // len(array)
            if done - released >= _WINDOW or end == len(array):
                self._release(info, released, done)
                released = done

    def pieces(self, name: str, step: int, first: int = 0) -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
        """The bytes of tensor `name`, `first` of them and then `step` at a time, on the same terms as `rows`."""
        data, info = self.raw(name), self.tensors[name]
        released = end = 0
        while end < len(data):
            begin, end = end, min(end + (first if first and not end else step), len(data))
            yield data[begin:end]
            if end - released >= _WINDOW or end == len(data):
                self._release(info, released, end)
                released = end

    def _release(self, info: TensorInfo, begin: int, end: int) -> None:
        # Mapped pages count as our memory until dropped; they stay in the system's cache, and a later access maps them
        # again. Only Linux promises this; elsewhere the system reclaims them under pressure.
        if self._map is None or not hasattr(mmap, "MADV_DONTNEED"):
            return
        first = (self._start + info.begin + begin) // _PAGE * _PAGE
        length = self._start + info.begin + end - first
        if length > 0:
            self._map.madvise(mmap.MADV_DONTNEED, first, length)


def _read_header(file: Any, size: int, name: str) -> tuple[Header, int]:
    prefix = file.read(8)
    if len(prefix) < 8:
        raise CheckpointError(f"{name}: {size} bytes are too few for a safetensors file")
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER_BYTES:
        raise CheckpointError(f"{name}: a header of {length} bytes is more than the limit of {MAX_HEADER_BYTES}")
    if length > size - 8:
        raise CheckpointError(f"{name}: the header should take {length} bytes, but only {size - 8} follow")
    text = bytearray()
    while len(text) < length:  # unbuffered reads may return less
        part = file.read(length - len(text))
        if not part:
            raise CheckpointError(f"{name}: the file ended inside its header")
        text += part
    return parse_header(bytes(text), size - 8 - length, name), 8 + length


class SafetensorsWriter:
    """Write a safetensors file whose shapes are known before its data.

    The header goes first; then the bytes of each tensor in as many pieces, and in any order of tensors, as suits
    the caller. Nothing appears at `path` before the `StagedFiles` is committed.

    Parameters
    ----------
    files : StagedFiles
        Decides when the file appears.
    path : path-like
    tensors : iterable of (name, dtype, shape)
        `dtype` as safetensors spells it, such as ``"F32"``.
    metadata : mapping of str to str, optional
    """

    def __init__(
        self,
        files: StagedFiles,
        path: str | os.PathLike[str],
        tensors: Iterable[tuple[str, str, tuple[int, ...]]],
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        placed = layout(tensors)
        header = serialize_header(placed, metadata or {})
        self._tensors = {t.name: t for t in placed}
        self._written = dict.fromkeys(self._tensors, 0)
        self._start = len(header)
        self.nbytes = len(header) + (placed[-1].end if placed else 0)
        self._file = files.create(path)
        self._file.write_at(0, header)

    def write(self, name: str, data: np.ndarray[Any, Any]) -> None:
        """Append the bytes of C-contiguous `data` to tensor `name`."""
        info, done = self._tensors[name], self._written[name]
        piece = data.reshape(-1).view(np.uint8).data if data.size else memoryview(b"")
        if done + len(piece) > info.nbytes:
            raise ValueError(f"data for tensor {name!r} exceeds its {info.nbytes} bytes")
        self._file.write_at(self._start + info.begin + done, piece)
        self._written[name] = done + len(piece)

    def to_boundary(self, name: str, step: int) -> int:
        """Bytes from the start of tensor `name` to the next multiple of `step` in the file."""
        return -(self._start + self._tensors[name].begin) % step

    def __enter__(self) -> SafetensorsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()

    def finish(self) -> None:
        """Flush to disk; `ValueError` if a tensor has not received all its bytes."""
        for name, info in self._tensors.items():
            if self._written[name] != info.nbytes:
                raise ValueError(f"tensor {name!r} received {self._written[name]} of its {info.nbytes} bytes")
        self._file.finish()
