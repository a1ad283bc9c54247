"""What reads files of strangers: the safetensors header, and the index and config of a sharded checkpoint.

An input is accepted, and then each tensor lies inside the file, or refused with `CheckpointError`; nothing else.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from pyquantk.integrations.checkpoints import CheckpointError, SafetensorsFile, open_checkpoint
from pyquantk.integrations.checkpoints.header import DTYPES

FOLDER = Path(tempfile.mkdtemp(prefix="pyquantk-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
ALONE, SHARDED, INDEX = FOLDER / "alone.safetensors", FOLDER / "sharded", "model.safetensors.index.json"
SHARDED.mkdir()


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def file_of(header: object, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


LAYERS = {"a.weight": entry("F32", [2, 3], 0, 24), "b": entry("BF16", [4], 24, 32), "c": entry("F4", [2], 32, 33)}
(SHARDED / "x.safetensors").write_bytes(file_of({"x": entry("I8", [3], 0, 3)}, b"abc"))
(SHARDED / "y.safetensors").write_bytes(file_of({"y": entry("F16", [], 0, 2)}, b"ab"))
WEIGHTS = {"weight_map": {"x": "x.safetensors", "y": "y.safetensors"}}

SEEDS = [
    b"f" + file_of(LAYERS, bytes(33)),
    b"f" + file_of({"__metadata__": {"format": "pt"}, "e": entry("I64", [0, 5], 0, 0)}, b""),
    b"f" + file_of({}, b""),
    b"i" + json.dumps({"metadata": {"total_size": 5}, **WEIGHTS}).encode(),
    b"c" + json.dumps({"model_type": "bert", "quantization_config": {"format": "int-quantized"}}).encode(),
]


def read_file(content: bytes) -> None:
    ALONE.write_bytes(content)
    with SafetensorsFile(ALONE) as file:
        covered = 0
        for name, info in file.tensors.items():
            covered += file.raw(name).nbytes
            assert DTYPES[info.dtype].numpy is None or file[name].shape == info.shape
        header = 8 + int.from_bytes(content[:8], "little")
        assert covered + header == len(content)


def read_folder(index: bytes | None, config: bytes | None) -> None:
    (SHARDED / INDEX).write_bytes(json.dumps(WEIGHTS).encode() if index is None else index)
    (SHARDED / "config.json").write_bytes(b"{}" if config is None else config)
    with open_checkpoint(SHARDED) as checkpoint:
        assert checkpoint.tensors.keys() <= {"x", "y"}
        checkpoint.check_quantizable()


def one_input(data: bytes) -> None:
    kind, content = data[:1], data[1:]
    try:
        if kind == b"i":
            read_folder(content, None)
        elif kind == b"c":
            read_folder(None, content)
        else:
            read_file(content)
        return
    except CheckpointError as error:
        message = str(error)
    except FileNotFoundError as error:
        message = str(error)
        assert kind == b"i", "only an index can name a file that is not there"
    assert str(FOLDER) in message
