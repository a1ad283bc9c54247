"""Where the files of a quantized checkpoint go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .header import CheckpointError
from .source import Checkpoint, read_json

__all__ = ["Destination", "resolve_destination"]

# What a model folder needs beside weights: tokenizer, generation settings, chat template.
_SIDE_SUFFIXES = frozenset({".json", ".jinja", ".model", ".tiktoken", ".txt"})


@dataclass(frozen=True)
class Destination:
    """Output paths: `weights` by the name of the input file."""

    directory: Path
    weights: Mapping[str, Path]
    config: Path
    index: Path | None
    side_files: list[tuple[Path, Path]]

    @property
    def files(self) -> list[Path]:
        index = [self.index] if self.index else []
        return [*self.weights.values(), *(copy for _, copy in self.side_files), self.config, *index]


def resolve_destination(checkpoint: Checkpoint, path: Path) -> Destination:
    """Lay out `path`, a ``.safetensors`` file or a folder.

    Raises
    ------
    ValueError
        If `path` is a file but the checkpoint has shards, or an output would replace an input.
    """
    if path.suffix == ".safetensors" and not path.is_dir():
        if checkpoint.index is not None:
            raise ValueError(
                f"a checkpoint of {len(checkpoint.files)} shards needs a folder as output, not the file {path}"
            )
        (name,) = checkpoint.files
        found = Destination(path.parent, {name: path}, _config_path(path, checkpoint.directory), None, [])
    elif path.exists() and not path.is_dir():
        raise ValueError(f"the output must be a .safetensors file or a folder, and {path} is neither")
    else:
        index = checkpoint.index_name
        weights = {name: path / (name if index else "model.safetensors") for name in checkpoint.files}
        sides = _side_files(checkpoint, path) if checkpoint.path.is_dir() else []
        found = Destination(path, weights, path / "config.json", path / index if index else None, sides)
    inputs = [file.path for file in checkpoint.files.values()]
    if (checkpoint.directory / "config.json").exists():
        inputs.append(checkpoint.directory / "config.json")
    for output in found.files:
        if output.exists() and any(output.samefile(original) for original in inputs):
            raise ValueError(f"the output {output} is the input; choose another place")
    return found


def _config_path(weights: Path, source: Path) -> Path:
    """config.json beside `weights`, unless that name is, or would be taken for, the config of an unquantized model."""
    own = weights.with_name(f"{weights.stem}.config.json")
    usual = weights.with_name("config.json")
    if weights.parent.exists() and weights.parent.samefile(source):
        return own
    if usual.exists():
        try:
            return usual if "quantization_config" in read_json(usual) else own
        except CheckpointError:
            return own
    return usual


def _side_files(checkpoint: Checkpoint, directory: Path) -> list[tuple[Path, Path]]:
    files = sorted(f for f in checkpoint.directory.iterdir() if f.suffix in _SIDE_SUFFIXES and f.is_file())
    return [(f, directory / f.name) for f in files if f.name != "config.json" and not f.name.endswith(".index.json")]
