"""Read, quantize and write safetensors checkpoints, with NumPy alone.

Examples
--------
>>> from pyquantk.integrations import checkpoints
>>> report = checkpoints.quantize_checkpoint("model/", "model-int8/")  # doctest: +SKIP
>>> with checkpoints.SafetensorsFile("model-int8/model.safetensors") as file:  # doctest: +SKIP
...     weight, scale = file["lm.proj.weight"], file["lm.proj.weight_scale"]
"""

from .atomic import StagedFiles
from .header import CheckpointError, TensorInfo
from .plan import QuantizeOptions
from .quantize import CheckpointReport, TensorReport, quantize_checkpoint
from .safetensors import SafetensorsFile, SafetensorsWriter
from .source import Checkpoint, open_checkpoint

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "CheckpointReport",
    "QuantizeOptions",
    "SafetensorsFile",
    "SafetensorsWriter",
    "StagedFiles",
    "TensorInfo",
    "TensorReport",
    "open_checkpoint",
    "quantize_checkpoint",
]
