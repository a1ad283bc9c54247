"""Checkpoint floats as float32, exactly, in a reused buffer."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Float32Reader"]


class Float32Reader:
    """Converts blocks of one safetensors dtype.

    F32 passes through where its place in the file is aligned. Others are widened by integer shifts (BF16) and
    tables (F8), several times faster than element casts. F64 rounds, and overflows to infinity.
    """

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._buffer = np.empty(0, np.float32)
        self._table: np.ndarray[Any, np.dtype[np.float32]] | None = None

    def __call__(self, block: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """`block` as float32; valid until the next call."""
        if self._dtype == "F32" and block.flags.aligned:
            return block
        if self._buffer.size < block.size:
            self._buffer = np.empty(block.size, np.float32)
        out = self._buffer[: block.size].reshape(block.shape)
        if self._dtype == "BF16":
            np.left_shift(block.view(np.uint16), 16, out=out.view(np.uint32), dtype=np.uint32)
        elif block.dtype.itemsize == 1:
            if self._table is None:
                self._table = np.arange(256, dtype=np.uint8).view(block.dtype).astype(np.float32)
            np.take(self._table, block.view(np.uint8), out=out, mode="clip")  # "raise" would buffer the output
        else:
            with np.errstate(over="ignore"):
                out[...] = block
        return out
