"""Find and check a whole checkpoint: one file, a folder, or the shards of an index."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .header import CheckpointError, TensorInfo
from .safetensors import SafetensorsFile

__all__ = ["Checkpoint", "open_checkpoint"]

_INDEX = "model.safetensors.index.json"
_MAX_JSON_BYTES = 100_000_000
# Models whose linear weights are (inputs, outputs), in a module that compressed-tensors does not know: readers would
# take the codes for floats without a word.
_TRANSPOSED = frozenset({"decision_transformer", "gpt2", "imagegpt", "openai-gpt"})


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint whose every header has been checked.

    Attributes
    ----------
    path : Path
        What was asked for: a file, an index, or a folder.
    files : mapping of str to SafetensorsFile
        By file name; several for a sharded checkpoint.
    index_name, index : str and dict, or None
        The index as it was read, for a sharded checkpoint.
    config : dict or None
        The ``config.json`` beside the files.
    """

    path: Path
    directory: Path
    files: Mapping[str, SafetensorsFile]
    index_name: str | None
    index: dict[str, Any] | None
    config: dict[str, Any] | None

    @property
    def tensors(self) -> dict[str, TensorInfo]:
        return {name: info for file in self.files.values() for name, info in file.tensors.items()}

    @property
    def nbytes(self) -> int:
        return sum(file.nbytes for file in self.files.values())

    def check_quantizable(self) -> None:
        """Raise `CheckpointError` for a model that the int-quantized layout cannot hold."""
        config = self.config or {}
        if "quantization_config" in config:
            raise CheckpointError(f"{self.directory / 'config.json'}: the checkpoint is quantized already")
        if str(config.get("model_type")) in _TRANSPOSED:
            raise CheckpointError(
                f"{self.directory / 'config.json'}: models of type {config['model_type']} store their weights "
                "transposed, which the int-quantized layout cannot express"
            )

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.files.values():
            file.close()


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open the checkpoint at `path`: a ``.safetensors`` file, a ``.safetensors.index.json``, or a folder with either.

    Raises
    ------
    CheckpointError
        If there is none, a header is wrong, or the index and its shards disagree.
    FileNotFoundError
        If `path` or a shard does not exist.
    """
    path = Path(path)
    main = _main_file(path) if path.is_dir() else path
    index_name, index = None, None
    if main.name.endswith(".json"):
        index_name, index = main.name, read_json(main)
        names = _shard_names(main, index)
    else:
        names = [main.name]
    files = {name: SafetensorsFile(main.parent / name) for name in names}
    if index is not None:
        _check_index(main, index["weight_map"], files)
    config = main.parent / "config.json"
    return Checkpoint(path, main.parent, files, index_name, index, read_json(config) if config.is_file() else None)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file."""
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise CheckpointError(f"{path}: more than {_MAX_JSON_BYTES} bytes of JSON")
    try:
        value = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a valid JSON object: {error}") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: must hold a JSON object, not {type(value).__name__}")
    return value


def _main_file(directory: Path) -> Path:
    for name in (_INDEX, "model.safetensors"):
        if (directory / name).is_file():
            return directory / name
    found = sorted(directory.glob("*.safetensors.index.json")) or sorted(directory.glob("*.safetensors"))
    if len(found) == 1:
        return found[0]
    what = (
        "holds no .safetensors file" if not found else f"holds several checkpoints: {', '.join(f.name for f in found)}"
    )
    raise CheckpointError(f"{directory}: {what}")


def _shard_names(path: Path, index: dict[str, Any]) -> list[str]:
    weights = index.get("weight_map")
    if not isinstance(weights, dict) or not weights or not all(isinstance(v, str) for v in weights.values()):
        raise CheckpointError(f"{path}: weight_map must map tensor names to file names")
    if not isinstance(index.get("metadata", {}), dict):
        raise CheckpointError(f"{path}: metadata must be a JSON object")
    names = sorted(set(weights.values()))
    for name in names:
        # Shards lie beside the index: a name that leads elsewhere would read, and later write, there.
        if name in ("", ".", "..") or set(name) & {"/", "\\", ":", "\0"} or not name.endswith(".safetensors"):
            raise CheckpointError(f"{path}: weight_map names {name!r}, which is no .safetensors file beside the index")
    return names


def _check_index(path: Path, weights: dict[str, str], files: Mapping[str, SafetensorsFile]) -> None:
    for name, shard in weights.items():
        if name not in files[shard].tensors:
            raise CheckpointError(f"{path}: tensor {name!r} should be in {shard}, but is not")
    for shard, file in files.items():
        for name in file.tensors:
            if weights.get(name) != shard:
                raise CheckpointError(
                    f"{path}: tensor {name!r} of {shard} is missing from weight_map or mapped elsewhere"
                )
