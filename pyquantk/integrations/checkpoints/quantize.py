"""Quantize a whole checkpoint, streamed: read once, write once, memory of a few blocks."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import pyquantk as qk

from .accuracy import ErrorMeter, energy, largest
from .atomic import StagedFiles
from .compressed_tensors import output_tensors, quantization_config
from .destination import Destination, resolve_destination
from .floats import Float32Reader
from .header import DTYPES, CheckpointError, TensorInfo
from .plan import QuantizeOptions, plan
from .safetensors import SafetensorsFile, SafetensorsWriter
from .source import Checkpoint, open_checkpoint

__all__ = ["CheckpointReport", "TensorReport", "quantize_checkpoint"]

# Elements of one block. Its float32 values, codes and reconstruction stay in a level-2 cache, so each weight comes
# from memory once although it is looked at for its range, its codes and its error. Half of this pays the calls twice:
# 12 ms more for 90 MB (Zen 4, 1 MB of level 2).
_BLOCK = 128 * 1024
# Copied tensors are written in pieces that end at multiples of this in the file: Linux caches those in pages of up to
# 2 MiB, and 46 MB from and to the page cache took 19 ms instead of 35 ms (Zen 4, ext4, Linux 6.18, 2026-11).
_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class TensorReport:
    """What happened to one quantized tensor."""

    name: str
    shape: tuple[int, ...]
    source_dtype: str
    bits: int
    sqnr_db: float
    max_abs_error: float


@dataclass(frozen=True)
class CheckpointReport:
    """What happened to a checkpoint. Sizes in bytes, of the weight files; `files` are those written."""

    tensors: list[TensorReport]
    kept: int
    bytes_before: int
    bytes_after: int
    seconds: float
    files: list[Path] = field(default_factory=list)

    @property
    def gigabytes_per_second(self) -> float:
        """Input bytes per second, from opening the input to everything being on the disk."""
        return self.bytes_before / self.seconds / 1e9


def quantize_checkpoint(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    dtype: str = "int8",
    axis: int | None = 0,
    block_size: int | None = None,
    symmetric: bool = True,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    progress: Callable[[str, int], None] | None = None,
) -> CheckpointReport:
    """Quantize the linear weights of a safetensors checkpoint into the compressed-tensors ``int-quantized`` layout.

    Everything else is copied byte for byte. The output appears complete or not at all: whatever goes wrong, a full disk
    and Ctrl-C included, leaves what was there.

    Parameters
    ----------
    source : path-like
        A ``.safetensors`` file, a ``.safetensors.index.json`` or a folder with either. Every header is checked first.
    destination : path-like
        A ``.safetensors`` file (for a single-file source), or a folder, which then also receives the small
        files of a source folder, such as the tokenizer. ``config.json`` is written beside the weights; in the
        folder of the source, or of another unquantized model, it is called ``<file>.config.json``.
    dtype, axis, block_size, symmetric, include, exclude
        See `QuantizeOptions`.
    progress : callable, optional
        Called with the name of a tensor and a number of input bytes as they are done.

    Returns
    -------
    CheckpointReport

    Raises
    ------
    CheckpointError
        If the source is damaged, nothing is there to quantize, or a weight to quantize holds NaN or infinities:
        its scale would be meaningless. ``exclude`` keeps such a tensor as it is.
    ValueError
        For options that the layout cannot express, or a destination that is the source.
    OSError
        If reading or writing fails.
    """
    options = QuantizeOptions(dtype, axis, block_size, symmetric, tuple(include), tuple(exclude))
    start = time.perf_counter()
    with open_checkpoint(source) as checkpoint, StagedFiles() as files:
        checkpoint.check_quantizable()
        chosen = plan(checkpoint.tensors, options, str(checkpoint.path))
        where = resolve_destination(checkpoint, Path(destination))
        report = _Job(checkpoint, chosen, options, files, progress or (lambda name, nbytes: None)).run(where)
        files.commit()
    return CheckpointReport(
        report.tensors, report.kept, report.bytes_before, report.bytes_after, time.perf_counter() - start, report.files
    )


class _Job:
    def __init__(
        self,
        checkpoint: Checkpoint,
        chosen: set[str],
        options: QuantizeOptions,
        files: StagedFiles,
        progress: Callable[[str, int], None],
    ) -> None:
        self._checkpoint, self._chosen, self._options = checkpoint, chosen, options
        self._files, self._progress = files, progress
        self._reports: list[TensorReport] = []

    def run(self, where: Destination) -> CheckpointReport:
        checkpoint = self._checkpoint
        self._files.make_directory(where.directory)
        outputs = {name: self._outputs(file) for name, file in checkpoint.files.items()}
        _check_space(where.directory, outputs.values())
        total = 0
        for name, file in checkpoint.files.items():
            with SafetensorsWriter(self._files, where.weights[name], outputs[name], file.metadata) as writer:
                for info in file.tensors.values():
                    self._tensor(file, info, writer)
                total += writer.nbytes
        self._write_json(where, outputs)
        before = checkpoint.nbytes
        kept = len(checkpoint.tensors) - len(self._reports)
        return CheckpointReport(self._reports, kept, before, total, math.inf, where.files)

    def _outputs(self, file: SafetensorsFile) -> list[tuple[str, str, tuple[int, ...]]]:
        outputs = []
        for t in file.tensors.values():
            outputs += output_tensors(t, self._options) if t.name in self._chosen else [(t.name, t.dtype, t.shape)]
        return outputs

    def _tensor(self, file: SafetensorsFile, info: TensorInfo, writer: SafetensorsWriter) -> None:
        if info.name in self._chosen:
            self._reports.append(self._quantize(file, info, writer))
            return
        for piece in file.pieces(info.name, _COPY_BYTES, writer.to_boundary(info.name, _COPY_BYTES)):
            writer.write(info.name, piece)
            self._progress(info.name, len(piece))

    def _quantize(self, file: SafetensorsFile, info: TensorInfo, writer: SafetensorsWriter) -> TensorReport:
        options = self._options
        read, meter = Float32Reader(info.dtype), ErrorMeter()
        step = max(1, _BLOCK // info.shape[1])
        quantizer = _BlockQuantizer(options, self._whole_tensor_params(file, info, step))
        scales, zero_points = [], []
        for rows in file.rows(info.name, step):
            x = read(rows)
            signal = energy(x)
            if not math.isfinite(signal):
                raise _not_finite(file, info)
            try:
                codes, scale, zero_point, error = quantizer(x)
            except ValueError as reason:
                raise CheckpointError(f"{file.path}: tensor {info.name!r} cannot be quantized: {reason}") from None
            writer.write(info.name, codes)
            meter.add(signal, energy(error), largest(error))
            scales.append(scale)
            zero_points.append(zero_point)
            self._progress(info.name, rows.nbytes)
        if options.strategy == "tensor":
            del scales[1:], zero_points[1:]
        writer.write(info.name + "_scale", np.concatenate(scales))
        if not options.symmetric:
            writer.write(info.name + "_zero_point", np.concatenate(zero_points))
        return TensorReport(info.name, info.shape, info.dtype, options.bits, meter.sqnr_db, meter.max_abs)

    def _whole_tensor_params(self, file: SafetensorsFile, info: TensorInfo, step: int) -> qk.QuantParams | None:
        """One scale for the tensor needs its range before the first block: a pass of its own."""
        if self._options.strategy != "tensor":
            return None
        read, ends = Float32Reader(info.dtype), np.zeros(2, np.float32)
        for rows in file.rows(info.name, step):
            x = read(rows)
            ends[:] = min(ends[0], x.min()), max(ends[1], x.max())  # NaN: seen by the second pass at the latest
        if not np.isfinite(ends).all():
            raise _not_finite(file, info)
        return qk.choose_params(ends, self._options.dtype, symmetric=self._options.symmetric)

    def _write_json(self, where: Destination, outputs: dict[str, list[tuple[str, str, tuple[int, ...]]]]) -> None:
        checkpoint = self._checkpoint
        for original, copy in where.side_files:
            self._files.copy(original, copy)
        config = dict(checkpoint.config or {})
        config["quantization_config"] = quantization_config(checkpoint.tensors, self._chosen, self._options, config)
        self._files.write_text(where.config, json.dumps(config, indent=2) + "\n")
        if where.index is not None and checkpoint.index is not None:
            # Last: readers start here, so it must not name what is not there yet.
            weights = {t[0]: shard for shard, tensors in outputs.items() for t in tensors}
            size = sum(_data_bytes(tensors) for tensors in outputs.values())
            metadata = {**checkpoint.index.get("metadata", {}), "total_size": size}
            index = {**checkpoint.index, "metadata": metadata, "weight_map": dict(sorted(weights.items()))}
            self._files.write_text(where.index, json.dumps(index, indent=2) + "\n")


class _BlockQuantizer:
    """Codes, parameters and error of one block of rows, in buffers that are reused."""

    def __init__(self, options: QuantizeOptions, params: qk.QuantParams | None) -> None:
        self._options, self._params = options, params
        self._axis = {"channel": 0, "group": 1, "tensor": None}[options.strategy]
        self._codes: np.ndarray[Any, Any] = np.empty((0, 0), getattr(ml_dtypes, options.dtype, options.dtype))
        self._error = np.empty((0, 0), np.float32)

    def __call__(
        self, x: np.ndarray[Any, np.dtype[np.float32]]
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, np.dtype[np.float32]]]:
        options, axis, block = self._options, self._axis, self._options.block_size
        if len(self._codes) < len(x):
            self._codes = np.empty(x.shape, self._codes.dtype)
            self._error = np.empty(x.shape, np.float32)
        codes, error = self._codes[: len(x)], self._error[: len(x)]
        p = self._params or qk.choose_params(x, options.dtype, symmetric=options.symmetric, axis=axis, block_size=block)
        scale = np.asarray(p.scale, np.float32).reshape(-1)
        zero_point = (
            np.zeros(scale.size, np.int8)
            if p.zero_point is None
            else np.asarray(p.zero_point).astype(np.int8).reshape(-1)
        )
        qk.quantize(x, p.scale, p.zero_point, dtype=options.dtype, axis=axis, block_size=block, out=codes)
        qk.dequantize(codes, p.scale, p.zero_point, axis=axis, block_size=block, out=error)
        np.subtract(error, x, out=error)
        return _as_int8(codes), scale, zero_point, error


def _as_int8(codes: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Codes with their sign in all eight bits; ml_dtypes leaves the high four of an int4 undefined."""
    if codes.dtype == np.int8:
        return codes
    raw: np.ndarray[Any, np.dtype[np.int8]] = codes.view(np.int8)
    np.left_shift(raw, 4, out=raw)
    np.right_shift(raw, 4, out=raw)
    return raw


def _not_finite(file: SafetensorsFile, info: TensorInfo) -> CheckpointError:
    return CheckpointError(
        f"{file.path}: tensor {info.name!r} holds NaN or infinities as float32 and cannot be quantized; "
        "exclude it to keep it as it is"
    )


def _data_bytes(tensors: Sequence[tuple[str, str, tuple[int, ...]]]) -> int:
    return sum(math.prod(shape) * DTYPES[dtype].bits for _, dtype, shape in tensors) // 8


def _check_space(directory: Path, outputs: Any) -> None:
    # Hours of work should not end in a full disk that was full from the start. Running out later is handled as well.
    needed, free = sum(map(_data_bytes, outputs)), shutil.disk_usage(directory).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"the output takes {needed} bytes, {free} are free", str(directory))
